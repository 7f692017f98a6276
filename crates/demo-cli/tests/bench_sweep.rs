//! `sweep`, lists of jobs, open loops and completion modes in real time.

mod common;

use common::{run, run_ok, stderr, stdout, text};
use serde_json::Value;

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

fn json(args: &[&str]) -> Value {
    let output = run_ok(&[args, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn a_row_for_each_combination_in_one_report() {
    let args = [
        "sweep",
        "--jobs",
        "1,8",
        "--sizes",
        "64,1KiB",
        "--notify",
        "callback,poll,callback",
        "--completion",
        "threads,poll,heuristic",
        "--total",
        "60",
    ];
    let report = json(&args);
    let mut seen: Vec<String> = Vec::new();
    for row in rows(&report) {
        assert_eq!(
            (&row["completed"], &row["verified"]),
            (&60.into(), &true.into()),
            "{row}"
        );
        let of = |field: &str| row[field].to_string();
        seen.push(
            ["size_bytes", "jobs", "completion", "notify"]
                .map(of)
                .join(" "),
        );
    }
    assert_eq!(seen.len(), 2 * 2 * 3 * 2);
    assert_eq!(seen[0], r#"64 1 "threads" "callback""#);
    assert_eq!(seen[23], r#"1024 8 "heuristic" "poll""#);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 24);
    assert_eq!(
        report["options"]["lists"]["jobs"],
        serde_json::json!([1, 8])
    );
    let table = run_ok(&["sweep", "--jobs", "1,8", "--total", "60"]);
    let table = stdout(&table);
    for label in ["jobs", "size"] {
        assert!(
            table.lines().nth(1).is_some_and(|l| l.contains(label)),
            "{table}"
        );
    }
    let csv = run_ok(&["sweep", "--jobs", "1,8", "--total", "60", "--format", "csv"]);
    assert_eq!(stdout(&csv).lines().count(), 1 + 2 * 3);
}

#[test]
fn bench_takes_several_numbers_of_jobs() {
    let report = json(&["bench", "--jobs", "1,30", "--total", "200"]);
    let jobs: Vec<_> = rows(&report).iter().map(|r| r["jobs"].as_u64()).collect();
    let each = |n| std::iter::repeat_n(Some(n), 4);
    assert_eq!(jobs, each(1).chain(each(30)).collect::<Vec<_>>());
    assert_eq!(report["options"]["jobs"], 1);
}

#[test]
fn an_open_loop_keeps_its_rate_and_says_so() {
    for notify in ["fd", "shared-fd", "callback", "poll"] {
        for more in [
            &["--threads", "2"][..],
            &["--poisson"],
            &["--completion", "heuristic"],
        ] {
            let args = [
                "bench", "--rate", "2000", "--total", "400", "--jobs", "50", "--notify", notify,
            ];
            let report = json(&[&args, more].concat());
            let row = &rows(&report)[0];
            assert_eq!(
                (&row["loop"], &row["verified"]),
                (&"open".into(), &true.into())
            );
            assert_eq!(
                (&row["completed"], &row["failed"]),
                (&400.into(), &0.into())
            );
            // Not sooner than the rate allows, but for the luck of a Poisson process.
            let least = if more == ["--poisson"] { 0.12 } else { 0.19 };
            let wall = row["wall_s"].as_f64().expect("a number");
            assert!(wall > least, "{notify} {more:?}: {wall}");
        }
    }
}

#[test]
fn a_device_with_times_has_stages_and_others_have_them_for_the_asking() {
    let stages = |args: &[&str]| {
        let fixed = [
            "bench", "--jobs", "20", "--total", "500", "--notify", "callback",
        ];
        let report = json(&[&fixed, args].concat());
        let row = &rows(&report)[0];
        assert_eq!(row["verified"], true);
        let stages = &row["stages_us"];
        let mean = |stage: &str| stages[stage]["mean"].as_f64();
        let names = ["submit", "queue", "service", "answer", "notify"];
        let sum: Option<f64> = names.map(mean).into_iter().sum();
        (sum, row["latency_us"]["mean"].as_f64().expect("a number"))
    };
    assert_eq!(stages(&[]).0, None);
    for args in [&["--stages"][..], &["--device", "qat-c62x-1"]] {
        let (sum, mean) = stages(args);
        let sum = sum.expect("stages");
        // The threads' clocks are read at slightly different moments.
        assert!((sum / mean - 1.0).abs() < 0.2, "{args:?}: {sum}, {mean}");
    }
}

#[test]
fn libcrypto_jobs_go_through_the_same_loops() {
    let args = [
        "bench",
        "--runtime",
        "libcrypto",
        "--rate",
        "5000",
        "--total",
        "200",
        "--jobs",
        "20",
        "--notify",
        "callback",
        "--completion",
        "heuristic",
        "--format",
        "json",
    ];
    let output = run(&args);
    if output.status.code() == Some(2) {
        common::skip("libcrypto in an open loop", &stderr(&output));
        return;
    }
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(rows(&report)[0]["completed"], 200, "{}", stderr(&output));
    assert_eq!(rows(&report)[0]["verified"], true);
}

#[test]
fn the_host_is_measured_beside_software() {
    let report = json(&[
        "bench", "--jobs", "50", "--total", "5000", "--notify", "callback",
    ]);
    let row = &rows(&report)[0];
    let figure = |name: &str| {
        row[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {row}"))
    };
    let (host, software) = (
        figure("host_cpu_us_per_op"),
        figure("software_cpu_us_per_op"),
    );
    assert!(host > 0.0 && software > 0.0);
    assert!((figure("offload_ratio") - (1.0 - host / software)).abs() < 1e-9);
    // Who polls the device also computes for it: no ratio then.
    let args = [
        "bench",
        "--total",
        "500",
        "--notify",
        "poll",
        "--completion",
        "heuristic",
    ];
    assert_eq!(rows(&json(&args))[0]["offload_ratio"], Value::Null);
    // Nor where it spins until the next start.
    let args = [
        "bench", "--total", "50", "--notify", "poll", "--rate", "1000",
    ];
    assert_eq!(rows(&json(&args))[0]["offload_ratio"], Value::Null);
    // Of which the jobs' thread is a part.
    assert!(figure("cpu_us_per_op") >= host * 0.9, "{row}");
    assert!(figure("context_switches_per_op") > 0.0);
}

#[test]
fn a_device_that_fails_is_loud_without_fallback() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("errors.toml");
    std::fs::write(&path, "name = 'errors'\n[faults]\nerror = 0.1\n").expect("written");
    let bench = |more: &[&str]| {
        let args = [
            "bench",
            "--device",
            text(&path),
            "--jobs",
            "20",
            "--total",
            "500",
            "--notify",
            "poll",
        ];
        let output = run(&[&args, more].concat());
        (output.status.code(), stderr(&output))
    };
    assert_eq!(bench(&[]), (Some(0), String::new()));
    assert_eq!(bench(&["--fallback"]), (Some(0), String::new()));
    let (code, said) = bench(&["--no-fallback"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("THE DEVICE FAILED")
            && said.contains("of 500 operations (")
            && said.contains(" device_status; the first: "),
        "{said}"
    );
    let healthy = ["bench", "--no-fallback", "--total", "100", "--jobs", "5"];
    run_ok(&healthy);
}

#[test]
fn no_more_rows_are_run_when_nobody_reads() {
    let rows: Vec<String> = (1..=200).map(|n| n.to_string()).collect();
    for format in ["table", "json"] {
        let args = [
            "bench",
            "--jobs",
            &rows.join(","),
            "--duration",
            "10s",
            "--format",
            format,
        ];
        let mut child = common::command(&args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        // Of more than two hours.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while child.try_wait().expect("it is ours").is_none() {
            if std::time::Instant::now() > until {
                child.kill().expect("it is ours");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let output = child.wait_with_output().expect("it has ended");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{format}: {}",
            stderr(&output)
        );
    }
}
