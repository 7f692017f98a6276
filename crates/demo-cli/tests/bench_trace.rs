//! `bench --trace`: what a trace viewer gets.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{run, run_ok, stderr, text};
use serde_json::Value;

/// The spans of each named track: process, track, then name, start and end in nanoseconds.
type Tracks = BTreeMap<(String, String), Vec<(String, i64, i64)>>;

/// Reads a trace, and insists that all tracks have names and no spans on one overlap.
fn tracks(path: &Path) -> Tracks {
    let bytes = std::fs::read(path).expect("a trace");
    let trace: Value = serde_json::from_slice(&bytes).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let mut names = BTreeMap::new();
    let id = |event: &Value, field: &str| event[field].as_u64().expect("an id");
    for event in events.iter().filter(|e| e["ph"] == "M") {
        let name = event["args"]["name"].as_str().expect("a name").to_owned();
        let tid = match event["name"].as_str() {
            Some("process_name") => None,
            Some("thread_name") => Some(id(event, "tid")),
            other => panic!("{other:?}"),
        };
        let twice = names.insert((id(event, "pid"), tid), name);
        assert_eq!(twice, None, "named twice");
    }
    let mut tracks = Tracks::new();
    for event in events.iter().filter(|e| e["ph"] != "M") {
        assert_eq!(event["ph"], "X");
        let (pid, tid) = (id(event, "pid"), id(event, "tid"));
        let key = (
            names[&(pid, None)].clone(),
            names[&(pid, Some(tid))].clone(),
        );
        let ns = |field: &str| (event[field].as_f64().expect("µs") * 1000.0).round() as i64;
        let name = event["name"].as_str().expect("a name").to_owned();
        let (start, length) = (ns("ts"), ns("dur"));
        assert!(start >= 0 && length >= 0);
        let track = tracks.entry(key).or_default();
        track.push((name, start, start + length));
    }
    for (key, spans) in &mut tracks {
        spans.sort_by_key(|(_, start, end)| (*start, *end));
        for two in spans.windows(2) {
            assert!(two[0].2 <= two[1].1, "{key:?}: {two:?} overlap");
        }
    }
    tracks
}

/// Runs a bench with a trace and this device file, and reads the trace.
fn traced(device: &str, args: &[&str]) -> Tracks {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, trace) = (
        directory.path().join("d.toml"),
        directory.path().join("t.json"),
    );
    std::fs::write(&file, device).expect("written");
    let fixed = ["bench", "--device", text(&file), "--trace", text(&trace)];
    run_ok(&[&fixed, args].concat());
    tracks(&trace)
}

const CARD: &str =
    "name = 'card'\nengines = 3\n[service_default]\nfixed_ns = 20_000\n[host]\nop_ns = 500\n";

fn spans(tracks: &Tracks, process: &str) -> usize {
    let of_process = tracks.iter().filter(|(key, _)| key.0.starts_with(process));
    of_process.map(|(_, spans)| spans.len()).sum()
}

#[test]
fn a_track_for_each_job_and_one_for_each_engine() {
    let args = [
        "--clock", "virtual", "--jobs", "2,7", "--total", "300", "--notify", "callback",
    ];
    let tracks = traced(CARD, &args);
    let count = |process: &str| tracks.keys().filter(|key| key.0 == process).count();
    assert_eq!(count("jobs (callback, 2 jobs)"), 2);
    assert_eq!(count("jobs (callback, 7 jobs)"), 7);
    assert_eq!(count("engines (callback, 2 jobs)"), 2);
    assert_eq!(count("engines (callback, 7 jobs)"), 3);
    assert_eq!(
        (spans(&tracks, "jobs"), spans(&tracks, "engines")),
        (600, 600)
    );
    let engine = &tracks[&(
        "engines (callback, 7 jobs)".to_owned(),
        "engine 0".to_owned(),
    )];
    for (name, start, end) in engine {
        assert_eq!((name.as_str(), end - start), ("sha256", 20_000));
    }
    // The host begins with one after the other.
    let job = &tracks[&("jobs (callback, 7 jobs)".to_owned(), "job 1".to_owned())];
    assert_eq!((job[0].1, job[0].2), (500, 21_000));
}

#[test]
fn real_time_open_loops_threads_and_engines_without_a_bound() {
    for (device, load) in [
        (CARD, &["--jobs", "20", "--threads", "3"][..]),
        (CARD, &["--jobs", "20", "--rate", "50000", "--poisson"]),
        (
            "name = 'unbounded'\n[service_default]\nfixed_ns = 30_000\n",
            &["--jobs", "9"],
        ),
        ("name = 'untimed'\nworkers = 2\n", &["--jobs", "9"]),
        (
            "name = 'batch'\nengines = 2\n[service_default]\nfixed_ns = 5_000\n\
             [batch]\nsize = 4\nflush_ns = 50_000\n[faults.late]\nshare = 0.2\nextra_ns = 30_000\n",
            &["--jobs", "30", "--clock", "virtual"],
        ),
    ] {
        let args = ["--total", "2000", "--notify", "shared-fd"];
        let tracks = traced(device, &[&args, load].concat());
        assert_eq!(spans(&tracks, "jobs"), 2000, "{device} {load:?}");
        let on_engines = spans(&tracks, "engines");
        match device.contains("batch") {
            // One for all of a batch.
            true => assert!((500..2000).contains(&on_engines), "{on_engines}"),
            false => assert_eq!(on_engines, 2000, "{device} {load:?}"),
        }
    }
}

#[test]
fn a_run_that_fails_leaves_whole_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, trace) = (
        directory.path().join("d.toml"),
        directory.path().join("t.json"),
    );
    // After the first operation everything is refused, in no time.
    let device = "name = 'busy'\nengines = 1\n[service_default]\nfixed_ns = 1_000\n[throttle]\nops_per_s = 1.0\n";
    std::fs::write(&file, device).expect("written");
    let output = run(&[
        "bench",
        "--clock",
        "virtual",
        "--device",
        text(&file),
        "--trace",
        text(&trace),
        "--jobs",
        "4",
        "--notify",
        "callback",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("the virtual clock stands still"), "{said}");
    let tracks = tracks(&trace);
    let all: Vec<_> = tracks.values().flatten().collect();
    assert!(all.iter().any(|(name, ..)| name == "failed"));
}

#[test]
fn a_full_disk_is_said() {
    if !Path::new("/dev/full").exists() {
        common::skip("a full device", "no /dev/full here");
        return;
    }
    let output = run(&[
        "bench",
        "--jobs",
        "10",
        "--total",
        "500",
        "--notify",
        "callback",
        "--trace",
        "/dev/full",
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("cannot write the trace /dev/full: "),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    assert_eq!(report["rows"][0]["completed"], 500);
    assert!(
        report["error"]
            .as_str()
            .is_some_and(|e| e.contains("/dev/full"))
    );
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("d.toml");
    let device = format!("{CARD}[jitter]\nkind = 'exponential'\n");
    std::fs::write(&file, device).expect("written");
    let traced = |name: &str, seed: &str| {
        let trace = directory.path().join(name);
        run_ok(&[
            "bench",
            "--device",
            text(&file),
            "--trace",
            text(&trace),
            "--seed",
            seed,
            "--clock",
            "virtual",
            "--jobs",
            "9",
            "--total",
            "500",
            "--rate",
            "90000",
            "--poisson",
        ]);
        std::fs::read(trace).expect("a trace")
    };
    let once = traced("a", "1");
    assert_eq!(once, traced("b", "1"));
    assert_ne!(once, traced("c", "2"));
}
