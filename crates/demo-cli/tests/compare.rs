//! `compare`: results on a virtual clock, which are the same each time, and results with a figure put in.

mod common;

use common::results::{Files, run_ok_quietly};
use common::{complains, run, run_bad, run_ok, stderr, stdout};
use serde_json::{Value, json};

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
    let header = |repeat: &str| {
        let args = [
            "bench", "--jobs", "4", "--total", "10", "--notify", "callback",
        ];
        let table = stdout(&run_ok(&[&args[..], &["--repeat", repeat]].concat()));
        let header = table.lines().find(|line| line.contains("completed"));
        header.expect("a header").to_owned()
    };
    assert!(header("2").contains(" repeat "), "{}", header("2"));
    assert!(!header("1").contains("repeat"), "{}", header("1"));
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
fn the_help_has_examples() {
    let help = stdout(&run_ok(&["compare", "--help"]));
    assert!(
        help.contains("Examples:\n  demo-cli compare old.json new.json"),
        "{help}"
    );
    assert!(help.contains("for CI: exit status 1"), "{help}");
}
