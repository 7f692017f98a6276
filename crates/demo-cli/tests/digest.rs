//! `digest` against sha256sum and sha512sum.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{command, noise, stderr, stdout};

/// Files with odd names and sizes.
fn files(directory: &Path) -> Vec<String> {
    let long = "x".repeat(200);
    let files = [
        ("empty", 0),
        ("one", 1),
        ("two words", 55),
        ("-dash", 56),
        ("back\\slash", 64),
        ("line\nend", 119),
        ("return\r", 120),
        ("ünïcode", 1000),
        (&long, 65_536),
        ("large", 3_000_001),
    ];
    for (name, size) in files {
        std::fs::write(directory.join(name), noise(size, size as u64)).expect("written");
    }
    files.map(|(name, _)| name.to_owned()).to_vec()
}

fn run_in(directory: &Path, program: &str, args: &[&str], files: &[String]) -> Output {
    Command::new(program)
        .args(args)
        .arg("--")
        .args(files)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

#[test]
fn prints_what_coreutils_print() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let ours = env!("CARGO_BIN_EXE_demo-cli");
    for op in ["sha256", "sha512"] {
        let expected = run_in(directory.path(), &format!("{op}sum"), &[], &files);
        assert!(expected.status.success());
        for notify in ["fd", "shared-fd", "callback", "poll"] {
            for more in [
                &["--jobs", "3"][..],
                &["--jobs", "1"],
                &["--engine", "software"],
            ] {
                let args = [&["digest", "--op", op, "--notify", notify], more].concat();
                let output = run_in(directory.path(), ours, &args, &files);
                assert!(output.status.success(), "{}", stderr(&output));
                assert_eq!(stdout(&output), stdout(&expected), "{args:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_hashed() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("sub")).expect("made");
    std::fs::write(directory.path().join("good"), b"abc").expect("written");
    let files = ["missing", "good", "sub", "good"].map(str::to_owned);
    let expected = run_in(directory.path(), "sha256sum", &[], &files);
    let output = run_in(
        directory.path(),
        env!("CARGO_BIN_EXE_demo-cli"),
        &["digest"],
        &files,
    );
    assert_eq!(output.status.code(), expected.status.code());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, expected.stdout);
    let text = stderr(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("demo-cli: missing: No such file"),
        "{text}"
    );
    assert_eq!(lines[1], "demo-cli: sub: is a directory; give files");
}

#[test]
fn standard_input() {
    for args in [&["digest"][..], &["digest", "-"]] {
        let mut child = command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(b"abc").expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n";
        assert_eq!(stdout(&output), expected);
    }
}

/// The output of `digest` on this device, of the file `file`.
fn digest_on(directory: &Path, device: &str, more: &[&str]) -> Output {
    std::fs::write(directory.join("device.toml"), device).expect("written");
    std::fs::write(directory.join("file"), b"abc").expect("written");
    let args = [&["digest", "--device", "device.toml"], more].concat();
    let ours = env!("CARGO_BIN_EXE_demo-cli");
    run_in(directory, ours, &args, &["file".to_owned()])
}

#[test]
fn a_device_without_threads_is_polled() {
    let directory = tempfile::tempdir().expect("a directory");
    let device = "name = 'polled'\ncompletions = 'poll'\n";
    for notify in ["fd", "shared-fd", "callback", "poll"] {
        let output = digest_on(directory.path(), device, &["--notify", notify]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("ba7816bf"), "{notify}");
    }
}

#[test]
fn a_time_out_bounds_the_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let device = "name = 'slow'\nengines = 1\n[service_default]\nfixed_ns = 3_000_000_000\n";
    let start = std::time::Instant::now();
    let output = digest_on(directory.path(), device, &["--timeout", "20ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
}

#[test]
fn wrong_results_are_warned_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let device = "name = 'liar'\n[faults]\nwrong = 1.0\n";
    let output = digest_on(directory.path(), device, &[]);
    let said = common::complains(&output, 0, &["digest"]);
    assert!(said.contains("warning: the device liar"), "{said}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = std::fs::File::create(directory.path().join("huge")).expect("made");
    file.set_len(1 << 40).expect("a sparse file");
    let ours = env!("CARGO_BIN_EXE_demo-cli");
    let output = run_in(directory.path(), ours, &["digest"], &["huge".to_owned()]);
    let said = common::complains(&output, 1, &["digest"]);
    assert!(said.contains("huge: is larger than 1024 MiB"), "{said}");
}

#[test]
fn a_device_error_is_said_and_fallback_mends_it() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(
        directory.path().join("bad.toml"),
        "name = 'bad'\n[faults]\nerror = 1.0\n",
    )
    .expect("written");
    std::fs::write(directory.path().join("file"), b"abc").expect("written");
    let files = ["file".to_owned()];
    let ours = env!("CARGO_BIN_EXE_demo-cli");
    let args = ["digest", "--device", "bad.toml"];
    let output = run_in(directory.path(), ours, &args, &files);
    let said = common::complains(&output, 1, &args);
    assert!(said.contains("file: the device reported status"), "{said}");
    assert_eq!(stdout(&output), "");
    let args = [&args[..], &["--fallback"]].concat();
    assert!(
        run_in(directory.path(), ours, &args, &files)
            .status
            .success()
    );
}
