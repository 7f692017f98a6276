//! `compare`: what it is given and cannot use, and output that goes nowhere.

mod common;

use std::fs::File;
use std::process::Stdio;

use common::results::{Files, run_ok_quietly};
use common::{command, run, run_bad, stderr, stdout, text};
use serde_json::{Value, json};

#[test]
fn bad_files_are_said_in_one_sentence() {
    let files = Files::new();
    let good = files.repeats("good.json", &[10.0]);
    let report = std::fs::read_to_string(&good).expect("read");
    let seeds = ["simulate", "--seeds", "0..20", "--format", "json"];
    let campaign = run_ok_quietly(&seeds);
    let campaign = files.write("campaign.json", campaign);
    let other = report.replacen("\"schema\":1", "\"schema\":9", 1);
    assert_ne!(other, report);
    let bad = [
        (
            files.write("other.json", other),
            "its schema is 9, and this demo-cli reads 1",
        ),
        (files.write("empty.json", ""), "it is empty"),
        (
            files.write("half.json", &report[..report.len() / 2]),
            "it ends in the middle",
        ),
        (
            files.write("binary.json", common::noise(5000, 7)),
            "is not text, as a report file is",
        ),
        (files.write("list.json", "[1]"), "is not a report of"),
        (
            files.write("object.json", "{}"),
            "it has no field \"schema\"",
        ),
        (
            files.write("deep.json", "[".repeat(100_000)),
            "is not a report of",
        ),
        (
            files.write("rowless.json", no_rows(&report)),
            "has no rows at all",
        ),
        (text(files.0.path()).to_owned(), "cannot read"),
        ("/nonexistent/file".to_owned(), "cannot read"),
        ("/dev/null".to_owned(), "it is empty"),
        ("/dev/zero".to_owned(), "too large for a report file"),
        (campaign.clone(), "do not belong together"),
    ];
    for (file, says) in bad {
        for args in [["compare", &good, &file], ["compare", &file, &good]] {
            let sentence = run_bad(&args, 2);
            assert!(sentence.contains(says), "{args:?}: {sentence}");
        }
    }
    for (args, says) in [
        (&["compare", &good][..], "2 values required"),
        (&["compare", "-", "-"], "is given twice"),
        (
            &["compare", &good, &good, "--fail-above", "0"],
            "a number above 0",
        ),
        (
            &["compare", &good, &good, "--fail-above", "ten"],
            "a number above 0",
        ),
        (&["compare", &good, &good, "--figure", "p42"], "p99"),
        (
            &["compare", &campaign, &campaign, "--figure", "p50"],
            "--figure is for",
        ),
        (&["bench", "--repeat", "0"], "at least 1"),
        (
            &["bench", "--jobs", "1,2,3,4", "--repeat", "1000"],
            "--repeat make 16000 rows",
        ),
    ] {
        let sentence = run_bad(args, 2);
        assert!(sentence.contains(says), "{args:?}: {sentence}");
    }
}

fn no_rows(report: &str) -> String {
    let mut report: Value = serde_json::from_str(report).expect("JSON");
    report["rows"] = json!([]);
    report.to_string()
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let files = Files::new();
    let good = files.repeats("good.json", &[10.0, 11.0, 12.0]);
    let mut report: Value =
        serde_json::from_slice(&std::fs::read(&good).expect("read")).expect("JSON");
    report["rows"][2]["jobs"] = 9.into();
    let good = files.write("good.json", report.to_string());
    let edits: [&dyn Fn(&mut Value); 7] = [
        &|r| r["options"]["duration_s"] = (-1.0).into(),
        &|r| r["options"]["timeout_s"] = 1e300.into(),
        &|r| r["options"]["rate_per_s"] = (-5).into(),
        &|r| r["rows"][0]["ops_per_s"] = 1e-308.into(),
        &|r| {
            for at in 0..3 {
                r["rows"][at]["completed"] = u64::MAX.into();
                r["rows"][at]["failed"] = u64::MAX.into();
                r["rows"][at]["failed_by"]["down"] = u64::MAX.into();
            }
        },
        &|r| {
            r["rows"].as_array_mut().expect("rows").remove(1);
            r["rows"][0]["over_time"] = json!({ "slot_s": -1.0, "completed": [u64::MAX, u64::MAX],
                "failed": [], "retries": [], "latency_mean_us": [] });
        },
        &|r| {
            r["rows"].as_array_mut().expect("rows").remove(1);
            r["rows"][0]["wall_s"] = 1e308.into();
            r["rows"][0]["over_time"]["slot_s"] = 1e-308.into();
        },
    ];
    for (at, edit) in edits.iter().enumerate() {
        let mut bad = report.clone();
        edit(&mut bad);
        let bad = files.write("bad.json", bad.to_string());
        for format in ["table", "json", "csv"] {
            for files in [[&*good, &bad], [&bad, &good]] {
                let output = run(&["compare", files[0], files[1], "--format", format]);
                assert!(output.status.success(), "{at}: {}", stderr(&output));
            }
        }
    }
}

#[test]
fn nothing_of_a_file_steers_the_terminal() {
    let files = Files::new();
    let good = files.repeats("good.json", &[10.0]);
    let mut report: Value =
        serde_json::from_slice(&std::fs::read(&good).expect("read")).expect("JSON");
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\r";
    for field in ["engine", "device", "notify", "op", "completion"] {
        report["rows"][0][field] = evil.into();
    }
    for field in ["engine", "device", "op", "clock"] {
        report["options"][field] = evil.into();
    }
    report["options"]["notify"] = json!([evil]);
    report["host"]["kernel"] = evil.into();
    report["error"] = evil.into();
    report["verdict"] = json!([evil]);
    report["rows"][0]["problems"] = json!([evil]);
    let bad = files.write("bad.json", report.to_string());
    report["rows"][0]["jobs"] = evil.into();
    let worse = files.write("worse.json", report.to_string());
    let painted = stdout(&run(&["compare", &good, &bad, "--color", "always"]));
    assert!(painted.contains("\u{1b}[1m"), "{painted:?}");
    assert!(
        !painted.contains(evil) && !painted.contains("\u{1b}[2J"),
        "{painted:?}"
    );
    for format in ["table", "json", "csv"] {
        for file in [&bad, &worse] {
            let output = run(&[
                "compare",
                &good,
                file,
                "--format",
                format,
                "--fail-above",
                "0.5",
            ]);
            let said = stdout(&output) + &stderr(&output);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!said.contains(steers), "{format}: {said:?}");
            let status = if file == &bad { 1 } else { 2 };
            assert_eq!(output.status.code(), Some(status), "{format}: {said}");
            assert!(said.contains("[2J"), "{format}: {said}");
        }
    }
}

#[test]
fn standard_input_and_pipes_are_files_too() {
    let files = Files::new();
    let a = files.repeats("a.json", &[10.0]);
    let script = "\"$0\" compare \"$1\" - < \"$1\" && mkfifo \"$2\" && { cat \"$1\" > \"$2\" & } && \
                  exec \"$0\" compare \"$2\" \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_demo-cli"), &a])
        .arg(files.path("fifo"))
        .output()
        .expect("sh runs");
    let said = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(said.starts_with("standard input compared with"), "{said}");
    assert_eq!(said.matches("no difference seen").count(), 2, "{said}");
}

#[test]
fn a_full_disk_is_said_and_a_closed_pipe_is_not() {
    let files = Files::new();
    let a = files.repeats("a.json", &[10.0]);
    let b = files.repeats("b.json", &[20.0]);
    for format in ["table", "json", "csv"] {
        let args = ["compare", &a, &b, "--format", format];
        let mut child = command(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            !stderr(&output).contains("cannot write"),
            "{}",
            stderr(&output)
        );
        // Nobody reads of it, and CI still sees it.
        let mut child = command(&[&args[..], &["--fail-above", "1.5"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));

        let Ok(full) = File::options().write(true).open("/dev/full") else {
            common::skip("a full device", "no /dev/full here");
            continue;
        };
        for more in [&[][..], &["--fail-above", "1.5"]] {
            let full = full.try_clone().expect("another descriptor");
            let mut command = command(&[&args[..], more].concat());
            let output = command.stdout(full).output().expect("it runs");
            assert_eq!(output.status.code(), Some(1), "{format}");
            let text = stderr(&output);
            let last = text.lines().last().unwrap_or("");
            assert!(
                last.starts_with("demo-cli: cannot write to standard output"),
                "{format}: {text}"
            );
        }
    }
}
