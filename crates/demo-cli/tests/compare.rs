//! `compare`: results on a virtual clock, which are the same each time, and results with a figure put in.

mod common;

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use common::{command, complains, run, run_bad, run_ok, stderr, stdout, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Results as files, as long as it is there.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).expect("written");
        text(&self.path(name)).to_owned()
    }

    /// A device with so many nanoseconds for each operation.
    fn device(&self, name: &str, service_ns: u32) -> String {
        let toml = format!(
            "name = '{name}'\nengines = 10\nring_depth_max = 1024\n\
             [service_default]\nfixed_ns = {service_ns}\n"
        );
        self.write(&format!("{name}.toml"), toml)
    }

    /// The result of a sweep on a virtual clock, as data.
    fn sweep(&self, device: &str, args: &[&str]) -> Value {
        let fixed = [
            "sweep", "--clock", "virtual", "--device", device, "--total", "4000", "--format",
            "json",
        ];
        serde_json::from_slice(&run_ok(&[&fixed, args].concat()).stdout).expect("JSON")
    }

    /// A report of one row, with these figures put in: time per operation in microseconds, for each
    /// repeat.
    fn repeats(&self, name: &str, times_us: &[f64]) -> String {
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

const LISTS: [&str; 4] = ["--jobs", "8,64", "--sizes", "64,1KiB"];

fn compared(files: &[&str]) -> Value {
    let args = [&["compare", "--format", "json"], files].concat();
    serde_json::from_slice(&run_ok(&args).stdout).expect("JSON")
}

fn rows(comparison: &Value) -> &[Value] {
    comparison["rows"].as_array().expect("rows")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn change<'a>(comparison: &'a Value, what: &str) -> Option<(&'a str, &'a str)> {
    let changes = comparison["changed"].as_array().expect("changes");
    let change = changes.iter().find(|change| change["what"] == what)?;
    Some((change["base"].as_str()?, change["other"].as_str()?))
}

/// Runs it, which is to fail the threshold: what is on standard output, and the last sentence.
fn fails(args: &[&str]) -> (String, String) {
    let output = run(args);
    (stdout(&output), complains(&output, 1, args))
}

#[test]
fn a_result_is_the_same_as_itself() {
    let files = Files::new();
    let report = files.sweep(&files.device("card", 100_000), &LISTS);
    let a = files.write("a.json", report.to_string());
    let outcome = compared(&[&a, &a, &a, "--fail-above", "1"]);
    assert_eq!(
        (&outcome["schema"], &outcome["passed"]),
        (&1.into(), &true.into())
    );
    let comparisons = outcome["comparisons"].as_array().expect("a list");
    assert_eq!(comparisons.len(), 2);
    for comparison in comparisons {
        assert_eq!(comparison["changed"], json!([]));
        assert_eq!(comparison["warnings"], json!([]));
        assert_eq!(comparison["failed"], json!([]));
        assert_eq!(comparison.get("verdicts"), None);
        assert_eq!(rows(comparison).len(), 4);
        for row in rows(comparison) {
            let figures = row["figures"].as_object().expect("figures");
            // Processor time on a virtual clock is that of the model.
            assert_eq!(
                figures.keys().collect::<Vec<_>>(),
                ["p50", "p99", "time"],
                "{row}"
            );
            assert!(figures.values().all(|figure| figure["ratio"] == 1.0));
            let time = &row["figures"]["time"];
            assert_eq!(time["seen"], "no difference seen");
            assert_eq!(time["spread"]["over"], "within the run");
            let (least, most) = (&time["spread"]["least"], &time["spread"]["most"]);
            assert!(number(least) > 0.8 && number(least) <= 1.0, "{row}");
            assert!(number(most) < 1.25 && number(most) >= 1.0, "{row}");
            assert_eq!(row["figures"]["p50"]["seen"], "the same");
        }
        for overall in comparison["overall"].as_array().expect("a list") {
            assert_eq!(overall["rows"], 4);
            assert_eq!(overall["geometric_mean"], 1.0, "{overall}");
        }
    }
    let table = stdout(&run_ok(&["compare", &a, &a]));
    assert_eq!(table.matches("no difference seen").count(), 4, "{table}");
    assert!(table.contains("within the run, part by part"), "{table}");
    assert!(!table.contains("changed:"), "{table}");
}

#[test]
fn a_device_that_is_twice_as_slow_is_two() {
    let files = Files::new();
    let report = |name: &str, ns| files.sweep(&files.device(name, ns), &LISTS).to_string();
    let fast = files.write("fast.json", report("fast", 100_000));
    let slow = files.write("slow.json", report("slow", 200_000));
    let outcome = compared(&[&fast, &slow]);
    assert_eq!(
        (&outcome["fail_above"], &outcome["passed"]),
        (&Value::Null, &Value::Null)
    );
    let comparison = &outcome["comparisons"][0];
    assert_eq!(change(comparison, "device"), Some(("fast", "slow")));
    assert_eq!(rows(comparison).len(), 4);
    for row in rows(comparison) {
        for figure in ["time", "p50", "p99"] {
            let ratio = number(&row["figures"][figure]["ratio"]);
            assert!((ratio - 2.0).abs() < 0.02, "{figure}: {row}");
        }
        assert_eq!(row["figures"]["time"]["seen"], "slower", "{row}");
    }
    let back = compared(&[&slow, &fast]);
    for row in rows(&back["comparisons"][0]) {
        assert_eq!(row["figures"]["time"]["seen"], "faster", "{row}");
    }

    let table = stdout(&run_ok(&["compare", &fast, &slow, "--fail-above", "2.1"]));
    assert!(table.contains("changed: device: fast → slow"), "{table}");
    assert!(
        table.contains(
            "time per operation over 4 rows: 2.00 (geometric mean; least 2.00, most 2.00)"
        ),
        "{table}"
    );
    assert!(!table.contains("FAILED"), "{table}");
    let (said, last) = fails(&["compare", &fast, &slow, "--fail-above", "1.1"]);
    let failed: Vec<&str> = said.lines().filter(|l| l.starts_with("FAILED ")).collect();
    assert_eq!(failed.len(), 4, "{said}");
    let words = "8 jobs, 64 B: time per operation is 2.00 times that of";
    assert!(failed[0].contains(words), "{}", failed[0]);
    assert!(
        failed[0].ends_with("(12.5 µs, now 25 µs), above 1.1"),
        "{}",
        failed[0]
    );
    assert!(
        last.contains("4 of 4 rows are slower than 1.1 times"),
        "{last}"
    );
    // It is in the data too, and beside what has no place for it.
    let (said, _) = fails(&[
        "compare",
        &fast,
        &slow,
        "--fail-above",
        "1.1",
        "--format",
        "json",
    ]);
    let outcome: Value = serde_json::from_str(&said).expect("JSON");
    let failed = outcome["comparisons"][0]["failed"].as_array();
    assert_eq!(
        (failed.map(Vec::len), &outcome["passed"]),
        (Some(4), &false.into())
    );
    let output = run(&[
        "compare",
        &fast,
        &slow,
        "--fail-above",
        "1.1",
        "--format",
        "csv",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).matches("FAILED ").count(), 4);
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let header = reader.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|h| h == name).expect("a column");
    let records: Vec<_> = reader.records().map(|r| r.expect("a record")).collect();
    assert_eq!(records.len(), 4);
    assert_eq!(&records[3][at("size_bytes")], "1024");
    assert_eq!(&records[3][at("time_seen")], "slower");
}

#[test]
fn repeats_run_the_whole_list_again_and_have_a_spread() {
    let files = Files::new();
    let device = files.device("card", 100_000);
    let args = ["--jobs", "8,64", "--sizes", "64", "--repeat", "3"];
    let report = files.sweep(&device, &args);
    let ran = rows(&report).iter().map(|row| {
        let jobs = row["jobs"].as_u64().expect("a count");
        (row["repeat"].as_u64().expect("a count"), jobs)
    });
    let order: Vec<_> = ran.collect();
    assert_eq!(order, [(0, 8), (0, 64), (1, 8), (1, 64), (2, 8), (2, 64)]);
    assert_eq!(report["options"]["repeat"], 3);
    let a = files.write("a.json", report.to_string());
    let once = files.sweep(&device, &["--jobs", "8,64", "--sizes", "64"]);
    assert_eq!(once["rows"][0]["repeat"], 0);
    let b = files.write("b.json", once.to_string());
    let outcome = compared(&[&a, &a, &b]);
    let pairs = rows(&outcome["comparisons"][0]);
    assert_eq!(pairs.len(), 2);
    assert_eq!(pairs[0]["repeats"], json!({ "base": 3, "other": 3 }));
    for figure in ["time", "p50", "p99"] {
        let spread = json!({ "least": 1.0, "most": 1.0, "over": "repeats" });
        assert_eq!(pairs[0]["figures"][figure]["spread"], spread);
    }
    let last = &outcome["comparisons"][1];
    assert_eq!(change(last, "repeat"), Some(("3", "1")));
    assert_eq!(rows(last)[0]["repeats"], json!({ "base": 3, "other": 1 }));

    // The table has a column for them; without repeats it has none.
    let table = |repeat: &str| {
        let args = [
            "bench", "--jobs", "4", "--total", "10", "--notify", "callback",
        ];
        stdout(&run_ok(&[&args[..], &["--repeat", repeat]].concat()))
    };
    assert!(table("2").contains(" repeat "), "{}", table("2"));
    assert!(!table("1").contains(" repeat "), "{}", table("1"));
}

#[test]
fn ratios_are_of_medians_and_go_from_the_best_to_the_worst() {
    let files = Files::new();
    let base = files.repeats("base.json", &[10.0, 9.0, 20.0]);
    for (name, times, ratio, least, most, seen) in [
        (
            "a",
            [12.0, 11.0, 13.0],
            1.2,
            0.55,
            13.0 / 9.0,
            "no difference seen",
        ),
        ("b", [30.0, 40.0, 24.0], 3.0, 1.2, 40.0 / 9.0, "slower"),
        ("c", [8.0, 4.0, 5.0], 0.5, 0.2, 8.0 / 9.0, "faster"),
    ] {
        let other = files.repeats(&format!("{name}.json"), &times);
        let outcome = compared(&[&base, &other]);
        let time = &rows(&outcome["comparisons"][0])[0]["figures"]["time"];
        let close = |value: &Value, expected: f64| (number(value) / expected - 1.0).abs() < 1e-9;
        assert!(close(&time["ratio"], ratio), "{time}");
        assert!(close(&time["spread"]["least"], least), "{time}");
        assert!(close(&time["spread"]["most"], most), "{time}");
        assert_eq!(time["seen"], seen, "{time}");
    }
    // One repeat of the other is four times as slow, and the median is not.
    let other = files.repeats("d.json", &[10.0, 40.0, 10.5]);
    run_ok(&["compare", &base, &other, "--fail-above", "1.1"]);
    let (said, last) = fails(&["compare", &base, &other, "--fail-above", "1.01"]);
    assert!(said.contains("is 1.05 times that of"), "{said}");
    assert!(
        last.contains("1 of 1 rows is slower than 1.01 times"),
        "{last}"
    );
}

#[test]
fn rows_that_are_missing() {
    let files = Files::new();
    let device = files.device("card", 100_000);
    let report = |name: &str, jobs: &str| {
        let report = files.sweep(&device, &["--jobs", jobs, "--sizes", "64"]);
        files.write(name, report.to_string())
    };
    let all = report("all.json", "1,8,64");
    let some = report("some.json", "8,64");
    let none = report("none.json", "2,4");
    let outcome = compared(&[&all, &some]);
    let comparison = &outcome["comparisons"][0];
    assert_eq!(comparison["only_in_base"], json!(["1 job"]));
    assert_eq!(rows(comparison).len(), 2);
    assert_eq!(change(comparison, "jobs"), Some(("1, 8, 64", "8, 64")));
    let (said, last) = fails(&["compare", &all, &some, "--fail-above", "9"]);
    assert!(said.contains("FAILED 1 job: a row of"), "{said}");
    assert!(said.contains("only in"), "{said}");
    assert!(last.contains("1 of its rows is missing"), "{last}");
    // More rows than the base has are none of its business.
    run_ok(&["compare", &some, &all, "--fail-above", "1.01"]);
    let sentence = run_bad(&["compare", &all, &none], 2);
    assert!(
        sentence
            .contains("no rows in common (jobs is 1, 8, 64 in the first and 2, 4 in the second)"),
        "{sentence}"
    );
    // What is one value in each of them does not keep them apart.
    let one = report("one.json", "2");
    let other = report("other.json", "4");
    let outcome = compared(&[&one, &other]);
    assert_eq!(rows(&outcome["comparisons"][0]).len(), 1);
    assert_eq!(change(&outcome["comparisons"][0], "jobs"), Some(("2", "4")));
}

#[test]
fn two_ways_of_being_woken() {
    let files = Files::new();
    let device = files.device("card", 100_000);
    let report = |name: &str, notify: &str| {
        let report = files.sweep(
            &device,
            &["--jobs", "8", "--sizes", "64", "--notify", notify],
        );
        files.write(name, report.to_string())
    };
    let (fd, callback) = (report("fd.json", "fd"), report("callback.json", "callback"));
    let all = report("all.json", "all");
    let outcome = compared(&[&callback, &fd, &all]);
    let apart = &outcome["comparisons"][0];
    assert_eq!(change(apart, "notify"), Some(("callback", "fd")));
    assert_eq!(rows(apart)[0]["name"], "callback → fd");
    let among = &outcome["comparisons"][1];
    assert_eq!(rows(among).len(), 1);
    assert_eq!(rows(among)[0]["name"], "callback");
    assert_eq!(among["only_in_other"], json!(["fd", "shared-fd", "poll"]));
}

#[test]
fn open_loops_are_judged_by_the_latency() {
    let files = Files::new();
    let report = |name: &str, ns| {
        let device = files.device(name, ns);
        let args = ["--jobs", "64", "--sizes", "64", "--rate", "5000"];
        let report = files.sweep(&device, &args);
        files.write(&format!("{name}.json"), report.to_string())
    };
    let (fast, slow) = (report("fast", 100_000), report("slow", 200_000));
    let (said, _) = fails(&["compare", &fast, &slow, "--fail-above", "1.5"]);
    assert!(said.contains("latency p50 is 2.00 times that of"), "{said}");
    assert!(said.contains("base p50"), "{said}");
    // Given arrivals take what they take.
    run_ok(&[
        "compare",
        &fast,
        &slow,
        "--fail-above",
        "1.5",
        "--figure",
        "time",
    ]);
    let (said, _) = fails(&[
        "compare",
        &fast,
        &slow,
        "--fail-above",
        "1.5",
        "--figure",
        "time,p99",
    ]);
    assert!(said.contains("latency p99 is 2.00 times that of"), "{said}");
    assert!(!said.contains("FAILED callback: time"), "{said}");
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let files = Files::new();
    let base = files.repeats("base.json", &[10.0]);
    let sentence = run_bad(
        &[
            "compare",
            &base,
            &base,
            "--fail-above",
            "2",
            "--figure",
            "cpu",
        ],
        2,
    );
    assert!(
        sentence.contains("has a processor time per operation to judge by"),
        "{sentence}"
    );
    let edited = |name: &str, edit: &dyn Fn(&mut Value)| {
        let report = std::fs::read(&base).expect("read");
        let mut report: Value = serde_json::from_slice(&report).expect("JSON");
        edit(&mut report);
        files.write(name, report.to_string())
    };
    let stuck = edited("stuck.json", &|report| {
        report["rows"][0]["ops_per_s"] = 0.into()
    });
    let (said, last) = fails(&["compare", &base, &stuck, "--fail-above", "2"]);
    assert!(said.contains("there is no time per operation in"), "{said}");
    assert!(last.contains("1 of 1 rows is slower"), "{last}");
    let wrong = edited("wrong.json", &|report| {
        report["rows"][0]["verified"] = false.into();
        report["rows"][0]["problems"] = json!(["not verified: a response is wrong"]);
    });
    let (said, last) = fails(&["compare", &base, &wrong, "--fail-above", "2"]);
    assert!(
        said.contains("changed: callback: verified → NOT VERIFIED"),
        "{said}"
    );
    assert!(
        said.contains("changed: problems: none → not verified: a"),
        "{said}"
    );
    assert!(said.contains("FAILED callback: verified in"), "{said}");
    assert!(last.contains("1 is not verified any more"), "{last}");
    run_ok(&["compare", &wrong, &base, "--fail-above", "2"]);
    run_ok(&["compare", &base, &wrong]);
}

#[test]
fn failures_are_told_by_kind() {
    let files = Files::new();
    let device = files.device("card", 100_000);
    let args = ["--jobs", "8", "--sizes", "64"];
    let healthy = files.write("healthy.json", files.sweep(&device, &args).to_string());
    let faults = std::fs::read_to_string(&device).expect("read") + "[faults]\nerror = 0.2\n";
    let moody = files.write("moody.toml", faults);
    let moody = files.write("moody.json", files.sweep(&moody, &args).to_string());
    let outcome = compared(&[&healthy, &moody]);
    let (before, after) =
        change(&outcome["comparisons"][0], "failed, device status").expect("told");
    assert_eq!(before, "0 of 4,000");
    assert!(
        after.ends_with(" of 4,000") && !after.starts_with("0 "),
        "{after}"
    );
}

#[test]
fn builds_and_machines_are_warned_of() {
    let files = Files::new();
    let base = files.repeats("base.json", &[10.0]);
    let edited = |name: &str, edits: &[(&str, &str, Value)]| {
        let report = std::fs::read(&base).expect("read");
        let mut report: Value = serde_json::from_slice(&report).expect("JSON");
        report["options"]["clock"] = "real".into();
        report["host"]["debug_build"] = false.into();
        for (part, field, value) in edits {
            report[part][field] = value.clone();
        }
        files.write(name, report.to_string())
    };
    let a = edited("a.json", &[]);
    let warned = |a: &str, b: &str| compared(&[a, b])["comparisons"][0]["warnings"].to_string();
    assert_eq!(warned(&a, &a), "[]");
    let debug = edited("debug.json", &[("host", "debug_build", true.into())]);
    assert!(warned(&a, &debug).contains("debug.json IS OF A DEBUG BUILD"));
    assert!(warned(&debug, &a).contains("debug.json IS OF A DEBUG BUILD"));
    assert!(warned(&debug, &debug).contains("BOTH ARE OF DEBUG BUILDS"));
    let other = edited(
        "other.json",
        &[
            ("host", "cpus", 4096.into()),
            ("options", "total", 5.into()),
        ],
    );
    assert!(warned(&a, &other).contains("different machines"));
    let outcome = compared(&[&a, &other]);
    assert_eq!(
        change(&outcome["comparisons"][0], "cpus").expect("told").1,
        "4,096"
    );
    assert_eq!(
        change(&outcome["comparisons"][0], "total"),
        Some(("4,000", "5"))
    );
    assert!(warned(&base, &a).contains("a model's time"));
    let table = stdout(&run_ok(&["compare", &a, &debug]));
    assert!(table.contains("\nWARNING: "), "{table}");
}

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

fn run_ok_quietly(args: &[&str]) -> Vec<u8> {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    output.stdout
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
fn campaigns() {
    let files = Files::new();
    let run = |name: &str, args: &[&str]| {
        let args = [&["simulate", "--format", "json"], args].concat();
        let mut result: Value = serde_json::from_slice(&run_ok_quietly(&args)).expect("JSON");
        result["seconds"] = 2.0.into();
        let same = files.write(&format!("{name}.json"), result.to_string());
        result["seconds"] = 6.0.into();
        let slower = files.write(&format!("{name}-slower.json"), result.to_string());
        result["failure"] = json!({ "seed": 3, "problem": "a job is \u{1b} lost" });
        (
            same,
            slower,
            files.write(&format!("{name}-failed.json"), result.to_string()),
        )
    };
    let (a, slower, failed) = run("a", &["--seeds", "0..20"]);
    let outcome = compared(&[&a, &a, &slower]);
    let figures = |at: usize| &rows(&outcome["comparisons"][at])[0]["figures"];
    assert_eq!(figures(0)["seed"]["ratio"], 1.0);
    assert_eq!(figures(1)["seed"]["ratio"], 3.0);
    assert_eq!(figures(1)["seed"]["base_us"], 100_000.0);
    assert!((number(&figures(1)["time"]["ratio"]) - 3.0).abs() < 1e-9);
    assert_eq!(outcome["comparisons"][0]["changed"], json!([]));
    let (said, _) = fails(&["compare", &a, &slower, "--fail-above", "2.9"]);
    assert!(
        said.contains("time per seed is 3.00 times that of"),
        "{said}"
    );
    run_ok(&["compare", &a, &slower, "--fail-above", "3.1"]);
    let (said, _) = fails(&["compare", &a, &failed, "--fail-above", "9"]);
    assert!(
        said.contains("changed: failure: none → seed 3: a job is \\u{1b} lost"),
        "{said}"
    );
    let (other, ..) = run("b", &["--seeds", "20..60", "--jobs", "8"]);
    let outcome = compared(&[&a, &other]);
    let comparison = &outcome["comparisons"][0];
    assert_eq!(change(comparison, "seeds"), Some(("0..20", "20..60")));
    assert_eq!(change(comparison, "jobs"), Some(("24", "8")));
    assert_eq!(change(comparison, "passed"), Some(("20", "40")));
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

#[test]
fn the_help_has_examples() {
    let help = stdout(&run_ok(&["compare", "--help"]));
    assert!(
        help.contains("Examples:\n  demo-cli compare old.json new.json"),
        "{help}"
    );
    assert!(help.contains("for CI: exit status 1"), "{help}");
}
