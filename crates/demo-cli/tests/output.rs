//! Output that goes nowhere: a closed pipe is no error, a full disk is.

mod common;

use std::fs::File;
use std::process::Stdio;

use common::{command, complains, run_ok, stderr, stdout};

const COMMANDS: &[&[&str]] = &[
    &["bench", "--total", "500", "--jobs", "10"],
    &[
        "bench", "--total", "500", "--jobs", "10", "--format", "json",
    ],
    &["bench", "--total", "500", "--jobs", "10", "--format", "csv"],
    &["sweep", "--total", "100", "--jobs", "2,3"],
    &["digest", "/dev/null"],
    &["example"],
    &["devices"],
    &["devices", "--show", "ideal"],
    &["engines"],
    &["man"],
    &["man", "bench"],
    &["man", "sweep"],
    &["completions", "bash"],
    &["--help"],
    &["bench", "--help"],
    &["--version"],
];

#[test]
fn a_closed_pipe_ends_quietly() {
    for args in COMMANDS {
        let mut child = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {text}");
        assert!(!text.contains("panic"), "{args:?}: {text}");
        assert!(text.lines().count() <= 2, "{args:?}: {text}");
    }
}

#[test]
fn a_full_disk_is_said() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        common::skip("a full device", "no /dev/full here");
        return;
    };
    for args in COMMANDS {
        let output = command(args)
            .stdout(full.try_clone().expect("another descriptor"))
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = stderr(&output);
        let last = text.lines().last().unwrap_or("");
        assert!(
            last.starts_with("demo-cli: cannot write to standard output"),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn encrypting_onto_a_full_device_is_said() {
    if !std::path::Path::new("/dev/full").exists() {
        common::skip("a full device", "no /dev/full here");
        return;
    }
    let key = "00112233445566778899aabbccddeeff";
    let args = [
        "encrypt",
        env!("CARGO_BIN_EXE_demo-cli"),
        "--op",
        "aes-128-ctr",
        "--key",
        key,
        "--iv",
        key,
        "--out",
        "/dev/full",
    ];
    let output = command(&args).output().expect("it runs");
    assert!(complains(&output, 1, &args).contains("cannot write to /dev/full"));
}

#[test]
fn lists_and_pages_say_what_they_should() {
    let text = |args: &[&str]| stdout(&run_ok(args));
    assert!(text(&["devices"]).lines().any(|l| l.starts_with("ideal ")));
    assert!(text(&["devices", "--show", "flaky"]).contains("name = \"flaky\""));
    assert_eq!(text(&["engines"]).lines().count(), 2);
    assert!(text(&["man"]).contains("demo\\-cli"));
    assert!(text(&["man", "bench"]).contains("shared\\-fd"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&["completions", shell]).contains("bench"));
    }
    let help = text(&["encrypt", "--help"]);
    assert!(
        help.contains("Other users of this machine can see it"),
        "{help}"
    );
}

#[test]
fn a_preset_shown_is_a_good_device_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("device.toml");
    let listed = run_ok(&["devices"]);
    for name in stdout(&listed)
        .lines()
        .filter_map(|l| l.split_whitespace().next())
    {
        std::fs::write(&path, run_ok(&["devices", "--show", name]).stdout).expect("written");
        let checked = run_ok(&["devices", "--check", common::text(&path)]);
        assert_eq!(stdout(&checked), format!("{name}: a good device file\n"));
    }
}
