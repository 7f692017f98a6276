//! `bench`: rows, formats, verification, limits.

mod common;

use common::{run, run_ok, stderr, stdout};
use serde_json::Value;

const MODES: [&str; 4] = ["fd", "shared-fd", "callback", "poll"];

/// The report of a short run.
fn json(args: &[&str]) -> Value {
    let all = [&["bench", "--format", "json", "--total", "2000"], args].concat();
    serde_json::from_slice(&run_ok(&all).stdout).expect("one JSON object")
}

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

#[test]
fn the_table_has_a_verified_row_for_each_way_of_being_woken() {
    let output = run_ok(&["bench", "--jobs", "100", "--total", "2000"]);
    let text = stdout(&output);
    for mode in MODES {
        let row = text
            .lines()
            .find(|l| l.trim_start().starts_with(mode))
            .unwrap_or_else(|| panic!("no row for {mode}: {text}"));
        assert!(
            row.contains("2,000") && row.trim_end().ends_with("yes"),
            "{row}"
        );
    }
    assert!(
        text.starts_with("sha256 of 1KiB on sim (ideal), 100 jobs"),
        "{text}"
    );
    assert!(text.contains("seed 24301"), "{text}");
    // By waiting, on a machine that has no time for it.
    assert!(text.contains("-bound: "), "{text}");
    assert_eq!(stderr(&output), "");
}

/// However busy the machine is while a row lasts.
#[test]
fn the_shortest_row_has_an_operation() {
    let output = run_ok(&["bench", "--duration", "1us", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for row in rows(&report) {
        assert!(row["completed"].as_u64() >= Some(1), "{row}");
        assert_eq!(row["verified"], true, "{row}");
    }
}

#[test]
fn json_has_the_stable_fields() {
    let report = json(&["--jobs", "50"]);
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<_> = value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(
        keys(&report),
        ["host", "options", "rows", "schema", "seed", "verdict"]
    );
    assert_eq!(report["schema"], 1);
    assert_eq!(report["seed"], 24_301);
    assert_eq!(report["options"]["jobs"], 50);
    assert!(report["host"]["cpus"].as_u64() >= Some(1));
    assert_eq!(rows(&report).len(), 4);
    for (row, mode) in rows(&report).iter().zip(MODES) {
        assert_eq!(
            keys(row),
            [
                "bytes_per_s",
                "cancelled",
                "capacity",
                "clock",
                "completed",
                "completion",
                "context_switches_per_op",
                "cpu_sys_s",
                "cpu_us_per_op",
                "cpu_user_s",
                "device",
                "engine",
                "engine_utilisation",
                "failed",
                "failed_by",
                "host_cpu_us_per_op",
                "in_flight",
                "jobs",
                "latency_counts",
                "latency_us",
                "loop",
                "not_begun",
                "notify",
                "offload_ratio",
                "op",
                "ops_per_s",
                "orphaned",
                "over_time",
                "pauses",
                "rate_per_s",
                "repeat",
                "results",
                "retries",
                "runtime",
                "size_bytes",
                "software_cpu_us_per_op",
                "spurious_resumes",
                "stages_us",
                "threads",
                "verified",
                "wakes",
                "wall_s",
            ]
        );
        // The distribution and the slots of time are of the same operations.
        let sum = |values: &Value, of: fn(&Value) -> Option<u64>| -> u64 {
            let values = values.as_array().expect("a list").iter();
            values.map(|value| of(value).expect("a count")).sum()
        };
        let completed = row["completed"].as_u64().expect("a count");
        assert_eq!(
            sum(&row["latency_counts"], |pair| pair[1].as_u64()),
            completed
        );
        assert_eq!(
            sum(&row["over_time"]["completed"], Value::as_u64),
            completed
        );
        assert_eq!(row["capacity"], Value::Null, "the device has no bound");
        assert_eq!(
            keys(&row["latency_us"]),
            ["max", "mean", "p50", "p90", "p99", "p999"]
        );
        assert_eq!(keys(&row["in_flight"]), ["max", "mean"]);
        assert_eq!(row["notify"], mode);
        assert_eq!(row["completed"], 2000);
        assert_eq!(row["failed"], 0);
        assert_eq!(row["verified"], true);
        // Too few for one in a thousand.
        assert_eq!(row["latency_us"]["p999"], Value::Null);
        assert_eq!(
            (&row["loop"], &row["completion"]),
            (&"closed".into(), &"threads".into())
        );
        assert_eq!(row["stages_us"], Value::Null);
        let latency = |q: &str| row["latency_us"][q].as_f64().expect("a number");
        assert!(0.0 < latency("p50") && latency("p50") <= latency("p99"));
        assert!(latency("p99") <= latency("max"));
        assert!(row["in_flight"]["max"].as_u64() <= Some(50));
    }
}

#[test]
fn csv_has_a_header_and_a_line_per_row() {
    let output = run_ok(&[
        "bench", "--format", "csv", "--total", "2000", "--jobs", "10",
    ]);
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let header = reader.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|h| h == name).expect("a column");
    let records: Vec<_> = reader.records().map(|r| r.expect("a record")).collect();
    let column = |name| -> Vec<&str> { records.iter().map(|r| &r[at(name)]).collect() };
    assert_eq!(column("notify"), MODES);
    assert_eq!(column("completed"), ["2000"; 4]);
    assert_eq!(column("verified"), ["true"; 4]);
    assert_eq!(column("seed"), ["24301"; 4]);
    assert!(stderr(&output).starts_with("demo-cli: sha256 of 1KiB"));
}

#[test]
fn every_operation_is_verified_on_every_way() {
    for op in [
        "nop",
        "sha256",
        "sha512",
        "hmac-sha256",
        "aes-128-ctr",
        "aes-256-ctr",
        "aes-128-gcm",
        "aes-256-gcm",
        "aes-128-cbc",
        "aes-256-cbc",
    ] {
        let report = json(&["--op", op, "--jobs", "20", "--size", "100"]);
        for row in rows(&report) {
            assert_eq!(
                (&row["verified"], &row["completed"]),
                (&true.into(), &2000.into()),
                "{op}"
            );
        }
    }
}

#[test]
fn software_never_pauses() {
    let report = json(&["--engine", "software", "--jobs", "20"]);
    for row in rows(&report) {
        assert_eq!(row["pauses"], 0);
        assert_eq!(row["completed"], 2000);
        assert_eq!(row["device"], Value::Null);
        assert_eq!(row["completion"], "inline");
        // The one that runs is in flight.
        let in_flight = |figure: &str| row["in_flight"][figure].as_f64().expect("a number");
        assert!(in_flight("max") >= in_flight("mean") && in_flight("mean") > 0.0);
    }
}

#[test]
fn every_preset_that_has_no_faults_verifies() {
    let listed = run_ok(&["devices"]);
    let listed = stdout(&listed);
    for device in listed.lines().filter_map(|l| l.split_whitespace().next()) {
        if device != "flaky" && !device.starts_with("hsm") {
            let report = json(&["--device", device, "--jobs", "100"]);
            assert!(
                rows(&report).iter().all(|r| r["verified"] == true),
                "{device}"
            );
        }
    }
}

#[test]
fn jobs_are_shared_among_threads() {
    let report = json(&["--threads", "3", "--jobs", "10"]);
    for row in rows(&report) {
        assert_eq!(row["completed"], 2000);
        assert_eq!(row["threads"], 3);
    }
}

#[test]
fn a_duration_ends_a_row() {
    let args = [
        "bench",
        "--duration",
        "50ms",
        "--notify",
        "callback",
        "--format",
        "json",
    ];
    let report: Value = serde_json::from_slice(&run_ok(&args).stdout).expect("JSON");
    let wall = report["rows"][0]["wall_s"].as_f64().expect("a number");
    assert!((0.05..5.0).contains(&wall), "{wall}");
}

#[test]
fn the_payload_can_come_from_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("payload");
    std::fs::write(&path, common::noise(2500, 3)).expect("written");
    let report = json(&["--input", common::text(&path), "--op", "aes-128-gcm"]);
    assert!(rows(&report).iter().all(|r| r["verified"] == true));
}

#[test]
fn a_full_ring_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("narrow.toml");
    std::fs::write(&path, "name = \"narrow\"\nring_depth_max = 4\n").expect("written");
    let report = json(&["--device", common::text(&path), "--jobs", "200"]);
    for row in rows(&report) {
        assert_eq!(
            (&row["completed"], &row["failed"]),
            (&2000.into(), &0.into())
        );
        assert!(row["retries"].as_u64() > Some(0));
    }
}

#[test]
fn thousands_of_fds() {
    let report = json(&["--jobs", "1500", "--notify", "fd"]);
    assert_eq!(
        rows(&report)[0]["in_flight"]["max"]
            .as_u64()
            .map(|n| n <= 1500),
        Some(true)
    );
    assert_eq!(rows(&report)[0]["verified"], true);
}

#[test]
fn twenty_thousand_jobs_on_one_fd_or_none() {
    for notify in ["shared-fd", "callback"] {
        let args = [
            "bench", "--format", "json", "--jobs", "20000", "--notify", notify, "--total", "40000",
        ];
        let report: Value = serde_json::from_slice(&run_ok(&args).stdout).expect("JSON");
        assert_eq!(rows(&report)[0]["jobs"], 20_000);
        assert_eq!(rows(&report)[0]["verified"], true);
    }
}

#[test]
fn wrong_results_are_caught() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("liar.toml");
    let device = "name = \"liar\"\n[faults]\nwrong = 0.01\n";
    std::fs::write(&path, device).expect("written");
    let args = [
        "bench",
        "--device",
        common::text(&path),
        "--jobs",
        "50",
        "--total",
        "2000",
        "--notify",
        "callback",
        "--format",
        "json",
    ];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("callback: not verified: "), "{text}");
    assert!(
        text.contains("responses are wrong") && text.contains("--seed 24301"),
        "{text}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    assert_eq!(report["rows"][0]["verified"], false);
    // The same seed strikes the same operations, whatever the timing.
    let again = stderr(&run(&args));
    let sentence = |text: &str| {
        text.lines()
            .find(|l| l.contains("not verified"))
            .map(str::to_owned)
    };
    assert_eq!(sentence(&text), sentence(&again));
}

#[test]
fn the_flaky_device_is_found_out() {
    let output = run(&[
        "bench",
        "--device",
        "flaky",
        "--jobs",
        "50",
        "--total",
        "5000",
        "--timeout",
        "300ms",
        "--notify",
        "shared-fd",
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("not verified"), "{text}");
    assert!(!text.contains("broken invariant"), "{text}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    let row = &report["rows"][0];
    let get = |field: &str| row[field].as_u64().expect("a count");
    assert_eq!(get("completed") + get("failed") + get("cancelled"), 5000);
    assert!(get("failed") > 0);
}

#[test]
fn failures_are_counted_and_are_not_mismatches() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("errors.toml");
    std::fs::write(&path, "name = \"errors\"\n[faults]\nerror = 0.1\n").expect("written");
    let report = json(&["--device", common::text(&path)]);
    for row in rows(&report) {
        assert_eq!(row["verified"], true);
        assert!(row["failed"].as_u64() > Some(100));
        assert_eq!(row["failed_by"]["device_status"], row["failed"]);
        assert_eq!(row["failed_by"]["timed_out"], 0);
    }
    let report = json(&["--device", common::text(&path), "--fallback"]);
    for row in rows(&report) {
        assert_eq!(
            (&row["completed"], &row["failed"]),
            (&2000.into(), &0.into())
        );
    }
}

#[test]
fn failures_have_kinds_in_each_format() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("errors.toml");
    std::fs::write(&path, "name = 'errors'\n[faults]\nerror = 0.1\n").expect("written");
    let shown = |format: &str| {
        let args = [
            "bench",
            "--device",
            common::text(&path),
            "--jobs",
            "10",
            "--total",
            "500",
            "--notify",
            "callback,poll",
            "--format",
            format,
        ];
        let args = [&["sweep", "--sizes", "64"], &args[1..]].concat();
        stdout(&run_ok(&args)).to_owned()
    };
    let table = shown("table");
    let line = table.lines().find(|l| l.starts_with("failed: "));
    let line = line.unwrap_or_else(|| panic!("no line: {table}"));
    assert!(
        line.contains(" of 1,000 operations, ") && line.ends_with(" device_status"),
        "{line}"
    );
    let csv = shown("csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let at = |name: &str| header.iter().position(|h| h == name).expect("a column");
    for record in reader.records() {
        let record = record.expect("a record");
        let expected = format!("{} device_status", &record[at("failed")]);
        assert_eq!(&record[at("failed_by")], expected);
    }
    let healthy = run_ok(&["bench", "--jobs", "10", "--total", "100"]);
    assert!(!stdout(&healthy).contains("failed: "));
}

#[test]
fn one_in_a_hundred_needs_a_hundred() {
    for (total, known) in [("99", false), ("100", true)] {
        let args = ["bench", "--jobs", "5", "--total", total, "--stages"];
        let output = run_ok(&[&args[..], &["--format", "json", "--notify", "fd"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let row = &rows(&report)[0];
        assert_eq!(row["latency_us"]["p99"].is_number(), known);
        assert!(row["latency_us"]["p90"].is_number());
    }
}

#[test]
fn size_and_sizes_are_the_same_option() {
    let sizes = |command: &str, option: &str| {
        let args = [command, option, "100", "--jobs", "5", "--total", "50"];
        let output = run_ok(&[&args[..], &["--format", "json"]].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        rows(&report)[0]["size_bytes"].clone()
    };
    for command in ["bench", "sweep"] {
        for option in ["--size", "--sizes"] {
            assert_eq!(sizes(command, option), 100, "{command} {option}");
        }
    }
}

#[test]
fn the_verdict_tells_a_busy_device_from_an_idle_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("slow.toml");
    let device = "name = \"slow\"\nengines = 10\n[service_default]\nfixed_ns = 20_000_000\n";
    std::fs::write(&path, device).expect("written");
    let verdict = |jobs: &str| {
        let args = [
            "bench",
            "--device",
            common::text(&path),
            "--notify",
            "callback",
            "--total",
            "200",
            "--jobs",
            jobs,
        ];
        let output = run_ok(&args);
        stdout(&output)
            .lines()
            .last()
            .expect("a verdict")
            .to_owned()
    };
    let busy = verdict("100");
    let expected = "device-bound: the engines can do 500 ops/s; 10 jobs in flight would do";
    assert!(busy.starts_with(expected), "{busy}");
    let idle = verdict("2");
    assert!(idle.starts_with("too few jobs in flight: "), "{idle}");
    assert!(idle.ends_with("10 jobs would do"), "{idle}");
}

#[test]
fn a_time_out_bounds_a_row() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("slow.toml");
    let device = "name = 'slow'\nengines = 1\n[service_default]\nfixed_ns = 60_000_000_000\n";
    std::fs::write(&path, device).expect("written");
    let device = [
        "bench",
        "--device",
        common::text(&path),
        "--timeout",
        "20ms",
    ];
    let start = std::time::Instant::now();
    let more = ["--jobs", "4", "--total", "4", "--notify", "callback"];
    let output = run(&[&device[..], &more].concat());
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
    let text = stderr(&output);
    assert!(text.contains("no answer within 20 ms"), "{text}");
    assert!(!text.contains("broken invariant"), "{text}");
}

#[test]
fn a_run_that_fails_midway_says_so_in_the_report() {
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 15; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_demo-cli"))
        .args(["bench", "--threads", "30", "--jobs", "60", "--total", "100"])
        .args(["--notify", "shared-fd", "--format", "json"])
        .output()
        .expect("sh runs");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    let error = report["error"].as_str().expect("an error");
    assert!(error.contains("wake source"), "{error}");
}
