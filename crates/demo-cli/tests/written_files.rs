//! Files that are written: none over what is read, none that is not complete, no words of theirs raw.

mod common;

use common::{names, run_bad, run_ok, stdout, text};

const SHORT: [&str; 8] = [
    "bench",
    "--clock",
    "virtual",
    "--device",
    "qat-c62x-1",
    "--total",
    "2000",
    "--trace",
];

#[test]
fn nothing_is_written_over_what_is_read_or_written_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (file, link, new) = (path("a.json"), path("link"), path("new"));
    std::fs::write(&file, "{}").expect("written");
    std::os::unix::fs::symlink("a.json", &link).expect("linked");
    let (file, link, new) = (text(&file), text(&link), text(&new));
    for args in [
        &["report", file, "--out", file][..],
        &["report", file, "--out", link],
        &["simulate", "--merge", file, "--report", link],
        &["simulate", "--device", file, "--report", file],
        &["bench", "--input", file, "--report", link],
        &["bench", "--input", file, "--trace", link],
        &["bench", "--report", new, "--trace", new],
    ] {
        let sentence = run_bad(args, 2);
        assert!(
            sentence.contains("is the same file as"),
            "{args:?}: {sentence}"
        );
    }
    assert_eq!(std::fs::read_to_string(file).expect("read"), "{}");
    assert_eq!(names(directory.path()), ["a.json", "link"]);
}

#[test]
fn a_trace_has_its_name_when_it_is_complete() {
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("t.json");
    std::fs::write(&trace, "old").expect("written");
    // The limit on the size of files stands for a full disk; its signal is ignored, as an error is said.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_demo-cli"))
        .args(SHORT)
        .arg(&trace)
        .output()
        .expect("sh runs");
    let sentence = common::complains(&output, 1, &SHORT);
    assert!(sentence.contains("cannot write the trace"), "{sentence}");
    assert_eq!(std::fs::read_to_string(&trace).expect("read"), "old");
    assert_eq!(names(directory.path()), ["t.json"]);
    assert!(run_bad(&[&SHORT[..], &["-"]].concat(), 2).contains("not standard output"));
    let dangling = directory.path().join("dangling");
    std::os::unix::fs::symlink("nothing", &dangling).expect("linked");
    let sentence = run_bad(&[&SHORT[..], &[text(&dangling)]].concat(), 2);
    assert!(sentence.contains("No such file"), "{sentence}");
    assert!(dangling.is_symlink());
    run_ok(&[&SHORT[..], &[text(&trace)]].concat());
    let told = run_ok(&["explain", "--trace", text(&trace), "--op", "0"]);
    assert!(stdout(&told).contains("The run: "));
}

#[test]
fn a_files_name_does_not_steer_the_terminal() {
    let evil = "/nonexistent/\u{1b}[2J\n\u{202e}";
    for args in [
        &["report", evil, "--out", "page"][..],
        &["compare", evil, evil],
        &["explain", "--trace", evil, "--op", "0"],
        &["bench", "--device", evil],
    ] {
        let sentence = run_bad(args, 2);
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!sentence.contains(raw), "{sentence:?}");
        assert!(
            sentence.contains("\\u{1b}[2J\\u{a}\\u{202e}"),
            "{sentence:?}"
        );
    }
}
