//! What is said how: colours, suggestions, examples, progress.

mod common;

use std::path::Path;

use common::{command, run, run_bad, run_ok, stderr, stdout, text};

const ESCAPE: char = '\u{1b}';

#[test]
fn names_that_are_nearly_right_get_a_suggestion() {
    let cases: &[(&[&str], &str)] = &[
        (&["bnech"], "'bench'"),
        (&["bench", "--op", "sha265"], "did you mean sha256?"),
        (
            &["bench", "--device", "qat-c62x"],
            "did you mean qat-c62x-1?",
        ),
        (&["bench", "--notify", "callbak"], "'callback'"),
        (&["bench", "--job", "5"], "'--jobs'"),
        (&["devices", "--show", "flakey"], "did you mean flaky?"),
        (&["man", "sweeep"], "did you mean sweep?"),
    ];
    for (args, says) in cases {
        let said = run_bad(args, 2);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn files_and_pipes_get_no_colours_unless_they_are_asked_for() {
    let args = ["bench", "--total", "50", "--jobs", "5", "--notify", "poll"];
    let plain = run_ok(&args);
    assert!(!stdout(&plain).contains(ESCAPE));
    let always = run_ok(&[&args[..], &["--color", "always"]].concat());
    assert!(stdout(&always).contains("\u{1b}[1m"), "{}", stdout(&always));
    // What is asked for on the command line goes before what the environment says.
    let output = command(&["--color=always", "devices", "--show", "abacus"])
        .env("NO_COLOR", "1")
        .output()
        .expect("it runs");
    assert!(stderr(&output).contains(ESCAPE));
    let output = command(&args).env("CLICOLOR_FORCE", "1").output();
    assert!(stdout(&output.expect("it runs")).contains(ESCAPE));
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let output = command(&["bench", "--op", "md5"]).env(name, value).output();
        assert!(
            !stderr(&output.expect("it runs")).contains(ESCAPE),
            "{name}"
        );
    }
    // Data is data.
    let json = run_ok(&[&args[..], &["--color", "always", "--format", "json"]].concat());
    assert!(!stdout(&json).contains(ESCAPE));
}

#[test]
fn every_command_that_is_run_by_hand_has_examples() {
    let help = stdout(&run_ok(&["--help"]));
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Further lines of a description are further in.
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
        })
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !["help", "example", "engines"].contains(name))
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for name in commands {
        let help = stdout(&run_ok(&[name, "--help"]));
        let examples = help.split("Examples:").nth(1).unwrap_or("");
        let shown = examples.contains(&format!("  demo-cli {name} "))
            || examples.contains(&format!("  demo-cli {name}\n"));
        assert!(shown, "{name} has no example of itself");
        // They fit a terminal of 120 columns as they are, to be copied.
        assert!(examples.lines().all(|line| line.len() <= 120), "{examples}");
    }
}

#[test]
fn numbers_have_units() {
    let args = [
        "--clock",
        "virtual",
        "--device",
        "qat-c62x-1",
        "--op",
        "rsa2048-sign",
    ];
    let row = ["--jobs", "64", "--notify", "callback", "--total", "20000"];
    let table = stdout(&run_ok(&[&["bench"], &args[..], &row].concat()));
    let line = table
        .lines()
        .find(|line| line.trim_start().starts_with("callback"))
        .expect("a row");
    assert!(line.contains("33.3 k"), "{line}");
    assert!(line.contains("1.92 ms"), "{line}");
}

/// Each line of standard error of a run that takes longer than the first line waits.
fn progress_of(args: &[&str]) -> Vec<String> {
    let output = run(args);
    assert!(output.status.success(), "{}", stderr(&output));
    stderr(&output).lines().map(str::to_owned).collect()
}

#[test]
fn long_runs_say_how_long_they_will_take_where_there_is_no_terminal() {
    let lines = progress_of(&[
        "bench",
        "--notify",
        "poll",
        "--jobs",
        "8",
        "--duration",
        "12s",
    ]);
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(
        line.starts_with("demo-cli: row 1 of 1 (poll): ") && line.ends_with(" s left"),
        "{line}"
    );
    assert!(progress_of(&["bench", "--notify", "poll", "--duration", "100ms"]).is_empty());
}

#[test]
fn what_was_not_asked_for_is_not_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, "text").expect("written");
    let digest = run_ok(&["digest", text(Path::new(&path))]);
    assert_eq!(stderr(&digest), "");
}
