//! Running the binary.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod results;
pub(crate) mod terminal;

use std::path::Path;
use std::process::{Command, Output};

/// The binary with these arguments, not yet run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-cli"));
    command.args(args);
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8 on standard output")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8 on standard error")
}

/// Runs it and insists that it succeeds without a word on standard error.
pub(crate) fn run_ok(args: &[&str]) -> Output {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output
}

/// Runs it and insists on this exit status and one sentence on standard error, which is returned.
pub(crate) fn run_bad(args: &[&str], status: i32) -> String {
    complains(&run(args), status, args)
}

pub(crate) fn complains(output: &Output, status: i32, args: &[&str]) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    assert!(text.starts_with("demo-cli: "), "{args:?}: {text}");
    text
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|e| e.expect("an entry").file_name().display().to_string())
        .collect();
    names.sort();
    names
}

/// Bytes without a pattern, the same every time.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x = x
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (x >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A path as text; those of the tests are.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Says that a test did not run, past the harness, which hides what passing tests print.
pub(crate) fn skip(test: &str, why: &str) {
    use std::io::Write;
    // Nobody to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
