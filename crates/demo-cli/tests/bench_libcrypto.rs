//! `bench --runtime libcrypto` and `both`. Where there is no libcrypto, most of these tests say so and
//! pass.

mod common;

use common::{command, complains, run, run_bad, run_ok, skip, stderr, stdout};
use libcrypto_peer::Libcrypto;
use serde_json::Value;

const MODES: [&str; 4] = ["fd", "shared-fd", "callback", "poll"];

/// Whether there is a libcrypto with jobs. Where `LIBCRYPTO_PEER` asks for a certain one, not getting
/// it is a failure.
fn has_libcrypto(test: &str) -> bool {
    let why = match Libcrypto::load() {
        Ok(libcrypto) if libcrypto.is_capable() => return true,
        Ok(libcrypto) => format!("{} has no jobs on this system", libcrypto.version()),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("LIBCRYPTO_PEER").is_none(), "{why}");
    skip(test, &why);
    false
}

/// The report of a short run.
fn json(args: &[&str]) -> Value {
    let all = [&["bench", "--format", "json"], args].concat();
    serde_json::from_slice(&run_ok(&all).stdout).expect("one JSON object")
}

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

fn count(row: &Value, field: &str) -> u64 {
    row[field].as_u64().expect("a count")
}

fn device(directory: &tempfile::TempDir, text: &str) -> String {
    let path = directory.path().join("device.toml");
    std::fs::write(&path, text).expect("written");
    common::text(&path).to_owned()
}

#[test]
fn every_way_of_being_told_is_verified() {
    if !has_libcrypto("every_way_of_being_told_is_verified") {
        return;
    }
    let report = json(&["--runtime", "libcrypto", "--total", "2000", "--jobs", "100"]);
    assert_eq!(report["options"]["runtime"], "libcrypto");
    assert!(report["host"]["libcrypto"].is_string());
    assert_eq!(report.get("comparisons"), None);
    assert_eq!(rows(&report).len(), 4);
    for (row, mode) in rows(&report).iter().zip(MODES) {
        assert_eq!(row["notify"], mode);
        assert_eq!(row["runtime"], "libcrypto");
        assert_eq!(row["completed"], 2000, "{mode}");
        assert_eq!(row["failed"], 0, "{mode}");
        assert_eq!(row["verified"], true, "{mode}");
        assert_eq!(row["orphaned"], 0, "{mode}");
        let max = row["in_flight"]["max"].as_u64().expect("a count");
        assert!((2..=100).contains(&max), "{mode}: {max}");
        let (pauses, wakes) = (count(row, "pauses"), count(row, "wakes"));
        match mode {
            // An eventfd is written for each operation, whether its job had paused or not.
            "fd" => assert!(wakes >= pauses && pauses > 0, "{wakes} {pauses}"),
            "poll" => assert_eq!(wakes, 0),
            // None where each answer is there before the thread would sleep.
            _ => assert!(wakes <= pauses + 1, "{wakes} {pauses}"),
        }
    }
}

#[test]
fn a_row_of_each_and_a_ratio() {
    if !has_libcrypto("a_row_of_each_and_a_ratio") {
        return;
    }
    let args = ["--runtime", "both", "--total", "1000", "--jobs", "50"];
    let output = run_ok(&[&["bench"], &args[..]].concat());
    let text = stdout(&output);
    let row = |mode: &str, runtime: &str| {
        let mut rows = text.lines().map(|l| l.split_whitespace());
        rows.any(|mut r| r.next() == Some(mode) && r.next() == Some(runtime))
    };
    for mode in MODES {
        assert!(row(mode, "ours") && row(mode, "libcrypto"), "{text}");
        let ratio = format!("{mode}: time per operation, ours / libcrypto: ");
        let line = text.lines().find(|l| l.starts_with(&ratio));
        let line = line.unwrap_or_else(|| panic!("no ratio for {mode}: {text}"));
        assert!(line.contains("(median of 9 rounds, "), "{line}");
    }
    assert_eq!(stderr(&output), "");

    let report = json(&args);
    assert_eq!(report["options"]["runtime"], "both");
    let runtimes: Vec<_> = rows(&report).iter().map(|r| &r["runtime"]).collect();
    assert_eq!(runtimes, ["ours", "libcrypto"].repeat(4));
    for row in rows(&report) {
        assert_eq!(row["completed"], 1000);
        assert_eq!(row["verified"], true);
    }
    let comparisons = report["comparisons"].as_array().expect("comparisons");
    let modes: Vec<_> = comparisons.iter().map(|c| &c["notify"]).collect();
    assert_eq!(modes, MODES);
    for comparison in comparisons {
        assert_eq!(comparison["rounds"], 9);
        let ratio = &comparison["ns_per_op_ours_over_libcrypto"];
        let ratio = ["least", "median", "most"].map(|f| ratio[f].as_f64().expect("a number"));
        assert!(ratio[0] > 0.0 && ratio.is_sorted(), "{ratio:?}");
    }
}

#[test]
fn with_given_arrivals_there_is_nothing_to_compare() {
    if !has_libcrypto("with_given_arrivals_there_is_nothing_to_compare") {
        return;
    }
    let args = ["--runtime", "both", "--total", "90", "--rate", "5000"];
    let report = json(&[&args[..], &["--jobs", "50", "--notify", "callback"]].concat());
    assert_eq!(rows(&report).len(), 2);
    assert_eq!(report["comparisons"], Value::Null);
}

#[test]
fn the_rounds_of_a_row_are_as_long_as_was_asked_for() {
    if !has_libcrypto("the_rounds_of_a_row_are_as_long_as_was_asked_for") {
        return;
    }
    let report = json(&[
        "--runtime",
        "both",
        "--duration",
        "90ms",
        "--notify",
        "callback",
        "--jobs",
        "10",
    ]);
    for row in rows(&report) {
        let wall = row["wall_s"].as_f64().expect("a number");
        assert!((0.09..10.0).contains(&wall), "{wall}");
    }
    // Fewer operations than rounds: a round for each.
    let report = json(&["--runtime", "both", "--total", "3", "--jobs", "1"]);
    assert_eq!(report["comparisons"][0]["rounds"], 3);
    assert!(rows(&report).iter().all(|r| r["completed"] == 3));
}

#[test]
fn all_of_the_flaky_device_is_accounted_for() {
    if !has_libcrypto("all_of_the_flaky_device_is_accounted_for") {
        return;
    }
    for mode in MODES {
        let output = run(&[
            "bench",
            "--runtime",
            "both",
            "--device",
            "flaky",
            "--jobs",
            "50",
            "--total",
            "4000",
            "--timeout",
            "200ms",
            "--notify",
            mode,
            "--format",
            "json",
        ]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{mode}: {text}");
        assert!(
            text.contains(&format!("{mode} (libcrypto): not verified")),
            "{text}"
        );
        assert!(!text.contains("broken invariant"), "{text}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
        let [ours, libcrypto] = rows(&report) else {
            panic!("two rows: {report}")
        };
        for row in [ours, libcrypto] {
            let ends = ["completed", "failed", "cancelled"].map(|f| count(row, f));
            assert_eq!(ends.iter().sum::<u64>(), 4000, "{mode}");
        }
        assert!(count(libcrypto, "failed") > 0 && count(libcrypto, "retries") > 0);
    }
}

#[test]
fn the_same_operations_are_wrong_whoever_asks() {
    if !has_libcrypto("the_same_operations_are_wrong_whoever_asks") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let liar = device(
        &directory,
        "name = 'liar'\n[faults]\nwrong = 0.01\nduplicate = 0.1\n",
    );
    let output = run(&[
        "bench",
        "--runtime",
        "both",
        "--device",
        &liar,
        "--jobs",
        "50",
        "--total",
        "3000",
        "--notify",
        "callback",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    let wrong = |name: &str| {
        let line = text.lines().find(|l| l.contains(name)).expect("a line");
        line.split_once("not verified: ")
            .expect("a reason")
            .1
            .to_owned()
    };
    assert!(
        wrong("(ours)").contains(" of 3000 responses are wrong"),
        "{text}"
    );
    assert_eq!(wrong("(ours)"), wrong("(libcrypto)"));
}

#[test]
fn lost_operations_end_by_time_out() {
    if !has_libcrypto("lost_operations_end_by_time_out") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let lost = device(
        &directory,
        "name = 'lossy'\n[faults]\nlost = 0.02\nuntold = 0.02\n",
    );
    for mode in MODES {
        let report = json(&[
            "--runtime",
            "libcrypto",
            "--device",
            &lost,
            "--timeout",
            "50ms",
            "--total",
            "1000",
            "--jobs",
            "20",
            "--notify",
            mode,
        ]);
        let row = &rows(&report)[0];
        assert!(count(row, "failed") > 0, "{mode}");
        assert_eq!(
            count(row, "completed") + count(row, "failed"),
            1000,
            "{mode}"
        );
        assert_eq!(row["verified"], true, "{mode}");
    }
}

#[test]
fn a_full_ring_is_waited_for() {
    if !has_libcrypto("a_full_ring_is_waited_for") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let narrow = device(&directory, "name = 'narrow'\nring_depth_max = 4\n");
    let report = json(&[
        "--runtime",
        "libcrypto",
        "--device",
        &narrow,
        "--jobs",
        "200",
        "--total",
        "2000",
        "--threads",
        "2",
    ]);
    for row in rows(&report) {
        assert_eq!((count(row, "completed"), count(row, "failed")), (2000, 0));
        assert!(count(row, "retries") > 0);
    }
}

#[test]
fn jobs_that_compute_do_so_where_their_stacks_suffice() {
    if !has_libcrypto("jobs_that_compute_do_so_where_their_stacks_suffice") {
        return;
    }
    for op in [
        "sha512",
        "aes-256-gcm",
        "aes-256-cbc",
        "rsa2048-sign",
        "rsa2048-decrypt",
        "ecdsa-p384-sign",
        "x25519-derive",
        "p256-derive",
    ] {
        let engines: [&[&str]; 3] = [
            &["--engine", "software"],
            &["--device", "flaky", "--fallback", "--timeout", "200ms"],
            &["--device", "dasync"],
        ];
        for engine in engines {
            let more = [
                "--runtime",
                "libcrypto",
                "--op",
                op,
                "--total",
                "500",
                "--jobs",
                "20",
            ];
            let args = [&["bench", "--format", "json"], engine, &more].concat();
            if cfg!(debug_assertions) {
                let text = run_bad(&args, 2);
                assert!(text.contains("too small for a debug build"), "{text}");
                continue;
            }
            let output = run(&args);
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            for row in rows(&report) {
                assert!(count(row, "completed") >= 490, "{row}");
                assert!(engine[1] == "flaky" || count(row, "pauses") == 0, "{row}");
            }
        }
    }
}

#[test]
fn without_libcrypto_the_error_says_what_to_install() {
    for runtime in ["libcrypto", "both"] {
        let args = ["bench", "--runtime", runtime, "--total", "10"];
        let mut command = command(&args);
        command.env("LIBCRYPTO_PEER", "/nonexistent/libcrypto.so.3");
        let output = command.output().expect("the binary runs");
        let text = complains(&output, 2, &args);
        for part in ["/nonexistent/libcrypto.so.3", "libssl3", "--runtime ours"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert_eq!(stdout(&output), "");
    }
    // Ours need none.
    let mut command = command(&["bench", "--total", "10", "--jobs", "2"]);
    command.env("LIBCRYPTO_PEER", "/nonexistent/libcrypto.so.3");
    assert!(command.output().expect("the binary runs").status.success());
}
