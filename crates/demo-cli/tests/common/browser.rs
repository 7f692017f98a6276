//! A browser without a window, that looks at a page and says what it found.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What measures a page, from the page around it.
const MEASURE: &str = include_str!("measure.js");
/// Ends a hang, and nothing else.
const PATIENCE: Duration = Duration::from_secs(120);

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    fn flag(self) -> String {
        let scheme = match self {
            Scheme::Dark => 0,
            Scheme::Light => 1,
        };
        format!("--blink-settings=preferredColorScheme={scheme}")
    }
}

/// The browser of this machine, if it has one.
pub(crate) struct Browser {
    program: PathBuf,
}

impl Browser {
    pub(crate) fn find() -> Option<Browser> {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let programs = std::env::split_paths(&path)
            .flat_map(|directory| names.map(|name| directory.join(name)))
            .find(|program| program.is_file());
        programs.map(|program| Browser { program })
    }

    /// Runs it with `arguments` on a page of the directory `beside`, to its end. Returns what it wrote,
    /// and what it complained of.
    fn run(&self, beside: &Path, arguments: &[String]) -> (String, String) {
        let (out, err) = (beside.join("out"), beside.join("err"));
        let file = |path: &Path| std::fs::File::create(path).expect("a file");
        let mut child = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--allow-file-access-from-files", "--enable-logging=stderr"])
            .arg(format!(
                "--user-data-dir={}",
                beside.join("profile").display()
            ))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the browser starts");
        let begun = Instant::now();
        while child.try_wait().expect("it can be asked").is_none() {
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the browser hangs");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = |path: &Path| {
            String::from_utf8_lossy(&std::fs::read(path).expect("it was written")).into_owned()
        };
        (text(&out), text(&err))
    }

    /// Shows `page` in a frame of each width and returns what was found in each.
    pub(crate) fn measure(&self, page: &str, widths: &[u32], scheme: Scheme) -> Vec<Found> {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("a file");
        };
        write("page.html", page);
        let around = format!(
            "<!doctype html><link rel=\"icon\" href=\"data:,\"><pre id=\"found\"></pre>\
             <script>const WIDTHS = {widths:?};\n{MEASURE}</script>"
        );
        write("around.html", &around);
        let (dom, log) = self.run(
            directory.path(),
            &[
                scheme.flag(),
                "--window-size=1600,1200".to_owned(),
                "--virtual-time-budget=60000".to_owned(),
                "--dump-dom".to_owned(),
                format!("file://{}/around.html", directory.path().display()),
            ],
        );
        let found = dom.split_once("<pre id=\"found\">").map(|(_, rest)| rest);
        let found = found.and_then(|rest| rest.split_once("</pre>"));
        let Some((found, _)) = found else {
            panic!("the browser found nothing: {log}");
        };
        let found = found
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&nbsp;", "\u{a0}")
            .replace("&amp;", "&");
        let found: Vec<Value> = serde_json::from_str(&found)
            .unwrap_or_else(|e| panic!("{e}: {}; {log}", &found[..found.len().min(300)]));
        let said: Vec<String> = log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .map(str::to_owned)
            .collect();
        found
            .into_iter()
            .map(|value| Found {
                value,
                said: said.clone(),
            })
            .collect()
    }

    /// Takes a picture of a page, `size` wide and high, into the file `to`.
    pub(crate) fn picture(&self, page: &Path, to: &Path, size: (u32, u32), scheme: Scheme) {
        let directory = tempfile::tempdir().expect("a directory");
        let (_, log) = self.run(
            directory.path(),
            &[
                scheme.flag(),
                "--hide-scrollbars".to_owned(),
                format!("--window-size={},{}", size.0, size.1),
                format!("--screenshot={}", to.display()),
                format!("file://{}", page.display()),
            ],
        );
        assert!(to.is_file(), "no picture was taken: {log}");
    }

    /// The page as it is printed.
    pub(crate) fn print(&self, page: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().expect("a directory");
        let (html, pdf) = (
            directory.path().join("page.html"),
            directory.path().join("page.pdf"),
        );
        std::fs::write(&html, page).expect("a file");
        let arguments = [
            format!("--print-to-pdf={}", pdf.display()),
            format!("file://{}", html.display()),
        ];
        let (_, log) = self.run(directory.path(), &arguments);
        std::fs::read(pdf).unwrap_or_else(|e| panic!("{e}: {log}"))
    }
}

/// What was found in a page of one width.
pub(crate) struct Found {
    pub(crate) value: Value,
    /// What the page said on the console.
    pub(crate) said: Vec<String>,
}

/// The lists of what is to be empty.
pub(crate) const FAULTS: [&str; 6] = ["wide", "overlapping", "outside", "pale", "tiny", "fetched"];

impl Found {
    /// What is wrong, of a kind of [`FAULTS`].
    pub(crate) fn faults(&self, kind: &str) -> &[Value] {
        self.value[kind].as_array().expect("a list of faults")
    }

    pub(crate) fn assert_clean(&self, what: &str) {
        let width = &self.value["width"];
        for kind in FAULTS {
            assert_eq!(
                self.faults(kind),
                [] as [Value; 0],
                "{what}, {width} wide: {kind}"
            );
        }
        assert_eq!(self.said, [] as [String; 0], "{what}: on the console");
        // Nothing is found where nothing is looked at.
        assert!(
            self.value["texts"].as_u64() > Some(20),
            "{what}: {:?}",
            self.value["texts"]
        );
    }
}
