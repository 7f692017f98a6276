//! `bench --clock virtual`: modelled time, the same for the same seed.

mod common;

use std::path::{Path, PathBuf};

use common::{run, run_ok, stderr, stdout, text};
use serde_json::Value;
use tempfile::TempDir;

/// An Intel C62x with RSA-2048: 300 µs on one of ten engines, answers seen each 100 µs, 8 µs of the
/// host for each operation.
const C62X: &str = "name = 'c62x'\nengines = 10\nring_depth_max = 1024\n\
    [service_default]\nfixed_ns = 300_000\n\
    [detection]\nevery_ns = 100_000\n\
    [host]\nop_ns = 8_000\n";

/// A device file, as long as the directory is there.
fn device(toml: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("device.toml");
    std::fs::write(&path, toml).expect("written");
    (directory, path)
}

/// The report of a command on a virtual clock.
fn json(command: &str, device: &Path, args: &[&str]) -> Value {
    let fixed = [
        command,
        "--clock",
        "virtual",
        "--device",
        text(device),
        "--format",
        "json",
    ];
    serde_json::from_slice(&run_ok(&[&fixed, args].concat()).stdout).expect("one JSON object")
}

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[track_caller]
fn close(got: f64, expected: f64, within: f64, what: &str) {
    let off = (got / expected - 1.0).abs();
    assert!(off <= within, "{what}: {got}, not {expected}");
}

/// The table that is derived from what users of these cards report.
#[test]
fn throughput_rises_to_the_knee_and_then_only_latency_does() {
    let (_directory, file) = device(C62X);
    // The preset has ring and link too, and nothing is computed that software could verify.
    for (device, op, verified) in [
        (&*file, "nop", true),
        (Path::new("qat-c62x-1"), "rsa2048-sign", false),
    ] {
        let jobs = "1,8,16,48,64,128";
        let args = [
            "--jobs", jobs, "--op", op, "--total", "8000", "--notify", "callback",
        ];
        let report = json("bench", device, &args);
        let table = [
            (1, 2_500.0, 392.0),
            (8, 20_000.0, 392.0),
            (16, 33_300.0, 472.0),
            (48, 33_400.0, 1_432.0),
            (64, 33_400.0, 1_911.0),
            (128, 33_400.0, 3_829.0),
        ];
        assert_eq!(rows(&report).len(), table.len());
        for (row, (jobs, ops, mean)) in rows(&report).iter().zip(table) {
            assert_eq!(row["jobs"], jobs);
            assert_eq!(row["clock"], "virtual");
            assert_eq!(
                (&row["completed"], &row["verified"]),
                (&8000.into(), &verified.into())
            );
            close(number(&row["ops_per_s"]), ops, 0.05, op);
            close(number(&row["latency_us"]["mean"]), mean, 0.05, op);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_rows() {
    // Random service times, faults that fail and lose operations, a ring that is too short.
    let (_directory, device) = device(
        "name = 'moody'\nengines = 3\nring_depth_max = 8\n\
         [service_default]\nfixed_ns = 50_000\nper_byte_ns = 3.0\n\
         [jitter]\nkind = 'exponential'\n[host]\nop_ns = 2_000\n\
         [faults]\nerror = 0.02\nlost = 0.002\n",
    );
    let command = |seed: &str, load: &[&str]| {
        let args = [
            "--jobs",
            "4,40",
            "--total",
            "1500",
            "--seed",
            seed,
            "--timeout",
            "20ms",
        ];
        let mut report = json("bench", &device, &[&args, load].concat());
        for row in report["rows"].as_array_mut().expect("rows") {
            let row = row.as_object_mut().expect("an object");
            row.retain(|field, _| !field.starts_with("cpu_"));
        }
        report["rows"].take()
    };
    for load in [
        &[][..],
        &["--rate", "30000", "--poisson"],
        &["--completion", "heuristic"],
    ] {
        let once = command("7", load);
        assert_eq!(once, command("7", load), "{load:?}");
        assert_ne!(once, command("8", load), "{load:?}");
        for row in once.as_array().expect("rows") {
            let count = |field: &str| row[field].as_u64().expect("a count");
            assert_eq!(count("completed") + count("failed"), 1500, "{load:?}");
            assert!(count("failed") > 10, "{load:?}");
            for of_the_host in ["offload_ratio", "context_switches_per_op"] {
                assert_eq!(row[of_the_host], Value::Null);
            }
        }
    }
}

#[test]
fn every_way_of_being_woken_is_the_same_in_virtual_time() {
    let (_directory, device) = device(C62X);
    let report = json("bench", &device, &["--jobs", "30", "--total", "1000"]);
    let figures = |row: &Value| (row["latency_us"].clone(), row["wall_s"].clone());
    let first = figures(&rows(&report)[0]);
    assert_eq!(rows(&report).len(), 4);
    for row in rows(&report) {
        assert_eq!(figures(row), first, "{}", row["notify"]);
    }
}

#[test]
fn time_passes_without_waiting_for_it() {
    let (_directory, device) =
        device("name = 'usb'\nengines = 1\n[service_default]\nfixed_ns = 139_000_000\n");
    let start = std::time::Instant::now();
    let args = ["--duration", "10m", "--jobs", "4", "--notify", "callback"];
    let report = json("bench", &device, &args);
    // An end for a bench that waits after all.
    assert!(start.elapsed() < std::time::Duration::from_secs(120));
    let row = &rows(&report)[0];
    assert!((600.0..600.6).contains(&number(&row["wall_s"])), "{row}");
    close(number(&row["ops_per_s"]), 1.0 / 0.139, 0.001, "ops/s");
}

#[test]
fn the_stages_add_up_to_the_latency() {
    let (_directory, device) = device(
        "name = 'linked'\nengines = 2\nring_depth_max = 4\n\
         [link]\nfixed_ns = 700\n[service_default]\nfixed_ns = 20_000\n\
         [jitter]\nkind = 'uniform'\nspread = 0.5\n[host]\nop_ns = 1_000\n",
    );
    for load in [
        &["--jobs", "16"][..],
        &["--jobs", "3"],
        &["--jobs", "99", "--rate", "80000"],
    ] {
        let args = ["--total", "3000", "--notify", "shared-fd"];
        let report = json("bench", &device, &[&args, load].concat());
        let row = &rows(&report)[0];
        let stage = |name: &str| number(&row["stages_us"][name]["mean"]);
        let sum: f64 = ["submit", "queue", "service", "answer", "notify"]
            .map(stage)
            .iter()
            .sum();
        close(sum, number(&row["latency_us"]["mean"]), 1e-9, "the sum");
        close(stage("service"), 20.0, 0.02, "service");
        assert!((stage("answer") - 0.7).abs() < 1e-9, "the link back");
        assert!(stage("submit") >= 1.0, "the host's work");
    }
}

#[test]
fn modelled_results_are_never_called_verified() {
    let (_directory, device) = device(C62X);
    for (results, verified) in [("computed", true), ("modelled", false)] {
        let args = ["--total", "100", "--notify", "fd", "--results", results];
        let report = json("bench", &device, &args);
        assert_eq!(rows(&report)[0]["results"], results);
        assert_eq!(rows(&report)[0]["verified"], verified);
        assert_eq!(report["options"]["results"], results);
    }
    let file = format!("results = 'modelled'\n{C62X}");
    let (_directory, device) = self::device(&file);
    let shown = run_ok(&[
        "bench",
        "--device",
        text(&device),
        "--total",
        "100",
        "--jobs",
        "10",
        "--notify",
        "poll",
    ]);
    let shown = stdout(&shown);
    assert!(
        shown.contains("results modelled and not verified"),
        "{shown}"
    );
    assert!(shown.lines().any(|l| l.ends_with("modelled")), "{shown}");
}

#[test]
fn a_clock_that_stands_still_is_an_error_and_not_a_hang() {
    // All but the first operation are refused, in no time.
    let (_directory, device) = device(
        "name = 'busy'\nengines = 1\n[service_default]\nfixed_ns = 1_000\n[throttle]\nops_per_s = 1.0\n",
    );
    let args = [
        "bench",
        "--clock",
        "virtual",
        "--device",
        text(&device),
        "--jobs",
        "4",
    ];
    let said = common::complains(&run(&[&args[..], &["--notify", "fd"]].concat()), 1, &args);
    assert!(said.contains("`host.op_ns`"), "{said}");
}

#[test]
fn time_outs_pass_in_virtual_time() {
    let (_directory, device) = device(
        "name = 'hole'\nengines = 4\n[service_default]\nfixed_ns = 1_000\n[faults]\nlost = 1.0\n",
    );
    let args = [
        "bench",
        "--clock",
        "virtual",
        "--device",
        text(&device),
        "--jobs",
        "4",
        "--total",
        "8",
        "--timeout",
        "60s",
        "--notify",
        "callback",
        "--format",
        "json",
    ];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("no answer within 60000 ms"), "{said}");
    assert!(!said.contains("broken invariant"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    assert_eq!(rows(&report)[0]["failed"], 8);
    let wall = number(&rows(&report)[0]["wall_s"]);
    assert!(
        (120.0..=136.0).contains(&wall),
        "two after the other: {wall}"
    );
}

#[test]
fn an_open_loop_counts_from_when_an_operation_was_due() {
    // A server that is asked twice as much as it can do: what comes later waits longer.
    let (_directory, device) =
        device("name = 'one'\nengines = 1\n[service_default]\nfixed_ns = 100_000\n");
    let open = |more: &[&str]| {
        let args = ["--notify", "callback", "--op", "nop"];
        let report = json("bench", &device, &[&args, more].concat());
        let row = rows(&report)[0].clone();
        assert_eq!(row["loop"], "open");
        row
    };
    // Each next is due 50 µs later and done 100 µs later: the n-th takes 100 + n × 50 µs.
    let row = open(&["--rate", "20000", "--jobs", "2", "--total", "101"]);
    close(
        number(&row["latency_us"]["mean"]),
        100.0 + 50.0 * 50.0,
        1e-6,
        "late",
    );
    assert!(row["in_flight"]["max"].as_u64() <= Some(2));
    // Asked half of what it can do, it takes its time and no more.
    let row = open(&["--rate", "5000", "--jobs", "2", "--total", "100"]);
    close(number(&row["latency_us"]["mean"]), 100.0, 1e-6, "in time");
    // Two thousand were due, half of them began.
    let row = open(&["--rate", "20000", "--jobs", "2", "--duration", "100ms"]);
    assert_eq!(
        row["completed"]
            .as_u64()
            .zip(row["not_begun"].as_u64())
            .map(|(a, b)| a + b),
        Some(2000)
    );
    assert!((1000..=1002).contains(&row["completed"].as_u64().expect("a count")));
    // M/D/1 at half load waits a quarter of a service on average... of 100 µs.
    let args = [
        "--rate",
        "5000",
        "--poisson",
        "--jobs",
        "1000",
        "--total",
        "60000",
    ];
    let row = open(&args);
    close(number(&row["latency_us"]["mean"]), 150.0, 0.02, "M/D/1");
    assert!(number(&row["latency_us"]["p999"]) > 300.0);
}

#[test]
fn the_jobs_that_would_do_do() {
    // Batches that the host fills more slowly than the engine empties them.
    let last = |jobs: &str| {
        let shown = run_ok(&[
            "bench", "--clock", "virtual", "--device", "sw-mb8", "--total", "4000", "--notify",
            "poll", "--jobs", jobs,
        ]);
        stdout(&shown).lines().last().expect("a verdict").to_owned()
    };
    let few = last("8");
    assert!(
        few.contains("; 11 jobs would do for the 125,000 ops/s"),
        "{few}"
    );
    let enough = last("11");
    assert!(
        enough.starts_with("host-bound: by `host.op_ns`"),
        "{enough}"
    );
}

#[test]
fn an_open_loop_that_lags_says_how_far() {
    let (_directory, device) =
        device("name = 'one'\nengines = 1\n[service_default]\nfixed_ns = 100_000\n");
    let shown = run_ok(&[
        "bench",
        "--clock",
        "virtual",
        "--device",
        text(&device),
        "--notify",
        "callback",
        "--rate",
        "20000",
        "--jobs",
        "2",
        "--duration",
        "100ms",
    ]);
    let shown = stdout(&shown);
    let last = shown.lines().last().expect("a verdict");

    // Two thousand were due.
    assert!(
        last.starts_with("does not keep up with 20000 ops/s: ")
            && last.contains(" due operations were not begun; device-bound"),
        "{last}"
    );
}

#[test]
fn who_completes_decides_when_answers_are_seen() {
    let (_directory, device) = device(
        "name = 'card'\nengines = 10\n[service_default]\nfixed_ns = 300_000\n[host]\nop_ns = 1_000\n",
    );
    let args = [
        "--jobs",
        "1,60",
        "--sizes",
        "64",
        "--completion",
        "threads,poll,heuristic",
        "--total",
        "600",
    ];
    let report = json("sweep", &device, &args);
    let mean = |jobs: u64, completion: &str| {
        let row = rows(&report)
            .iter()
            .find(|r| r["jobs"] == jobs && r["completion"] == completion);
        number(&row.expect("a row")["latency_us"]["mean"])
    };
    close(mean(1, "threads"), 301.0, 1e-9, "as soon as it is there");
    close(
        mean(1, "heuristic"),
        301.0,
        1e-9,
        "the only job waits: it polls at once",
    );
    close(mean(1, "poll"), 1000.0, 0.01, "with the timer");
    assert!(mean(60, "poll") > mean(60, "heuristic"));
}
