//! Results of `bench`, `sweep` and `simulate` in files, to be compared.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{run, run_ok, stderr, text};

/// Results as files, as long as it is there.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    pub(crate) fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).expect("written");
        text(&self.path(name)).to_owned()
    }

    /// A device with so many nanoseconds for each operation.
    pub(crate) fn device(&self, name: &str, service_ns: u32) -> String {
        let toml = format!(
            "name = '{name}'\nengines = 10\nring_depth_max = 1024\n\
             [service_default]\nfixed_ns = {service_ns}\n"
        );
        self.write(&format!("{name}.toml"), toml)
    }

    /// The result of a sweep on a virtual clock, as data.
    pub(crate) fn sweep(&self, device: &str, args: &[&str]) -> Value {
        let fixed = [
            "sweep", "--clock", "virtual", "--device", device, "--total", "4000", "--format",
            "json",
        ];
        serde_json::from_slice(&run_ok(&[&fixed, args].concat()).stdout).expect("JSON")
    }

    /// A report of one row, with these figures put in: time per operation in microseconds, for each
    /// repeat.
    pub(crate) fn repeats(&self, name: &str, times_us: &[f64]) -> String {
        let device = self.device("card", 100_000);
        let mut report = self.sweep(&device, &["--jobs", "8", "--sizes", "64"]);
        let row = report["rows"][0].clone();
        let rows = times_us.iter().enumerate().map(|(repeat, us)| {
            let mut row = row.clone();
            row["repeat"] = repeat.into();
            row["ops_per_s"] = (1e6 / us).into();
            row
        });
        report["rows"] = rows.collect();
        self.write(name, report.to_string())
    }
}

/// Runs it, insists that it succeeds, and returns what it says.
pub(crate) fn run_ok_quietly(args: &[&str]) -> Vec<u8> {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output.stdout
}
