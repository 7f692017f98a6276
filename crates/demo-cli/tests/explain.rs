//! `explain`: an operation's life, and a job's, from traces of `bench`.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{run, run_bad, run_ok, stderr, stdout, text};
use serde_json::Value;
use tempfile::TempDir;

/// Two engines and four places, so that some wait for room and some in the queue.
const CARD: &str = "name = 'card'\nengines = 2\nring_depth_max = 4\n\
    [service_default]\nfixed_ns = 20_000\n[host]\nop_ns = 500\n";

/// A trace, in a directory of its own.
struct Traced {
    directory: TempDir,
    trace: PathBuf,
}

impl Traced {
    /// Runs a bench with this device file. How it ends is not of interest: faults make it fail.
    fn new(device: &str, args: &[&str]) -> Traced {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("d.toml");
        std::fs::write(&file, device).expect("written");
        Traced::of(directory, text(&file), args)
    }

    /// The same with a device that ships.
    fn preset(device: &str, args: &[&str]) -> Traced {
        Traced::of(tempfile::tempdir().expect("a directory"), device, args)
    }

    fn of(directory: TempDir, device: &str, args: &[&str]) -> Traced {
        let trace = directory.path().join("t.json");
        let fixed = ["bench", "--device", device, "--trace", text(&trace)];
        let output = run(&[&fixed, args].concat());
        let status = output.status.code();
        assert!(matches!(status, Some(0 | 1)), "{}", stderr(&output));
        Traced { directory, trace }
    }

    fn explain(&self, args: &[&str]) -> String {
        explain(&self.trace, args)
    }

    /// The same as data.
    fn data(&self, args: &[&str]) -> Value {
        let args = [args, &["--format", "json"]].concat();
        serde_json::from_str(&self.explain(&args)).expect("JSON")
    }

    /// The spans of jobs and the marks and spans of the device, by operation.
    fn events(&self) -> Vec<Value> {
        let bytes = std::fs::read(&self.trace).expect("a trace");
        let trace: Value = serde_json::from_slice(&bytes).expect("JSON");
        let events = trace["traceEvents"].as_array().expect("events");
        events.iter().filter(|e| e["ph"] == "X").cloned().collect()
    }

    /// The number of the first operation of thread 0 for which this holds of one of its events.
    fn first(&self, holds: impl Fn(&Value) -> bool) -> String {
        let events = self.events();
        let found = events.iter().find(|e| e["args"]["thread"] == 0 && holds(e));
        let found = found.expect("there is one");
        found["args"]["op"].as_u64().expect("a number").to_string()
    }

    fn other(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn explain(trace: &Path, args: &[&str]) -> String {
    let fixed = ["explain", "--trace", text(trace)];
    stdout(&run_ok(&[&fixed, args].concat()))
}

fn bad(trace: &Path, args: &[&str]) -> String {
    let fixed = ["explain", "--trace", text(trace)];
    run_bad(&[&fixed, args].concat(), 2)
}

fn virtually<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["--clock", "virtual", "--notify", "callback"], more].concat()
}

/// All but the last lines, which tell of the run and of the build.
fn told(answer: &str) -> String {
    let (told, run) = answer.split_once("\n\nThe run: ").expect("the run");
    assert!(run.starts_with("sha256 of 1KiB on sim (card), "), "{run}");
    told.to_owned()
}

#[test]
fn an_operation_from_when_it_was_due_until_its_job_went_on() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "8", "--total", "300"]));
    let expected = "\
Operation 7 of thread 0, in job 7: sha256 of 1KiB on card, in row 'callback'
completed in 81 µs; slower than all the others of this row's operations: it waited 3.50 µs to begin, where half of the others took no time

        at       took
      0 ns    3.50 µs  It is due.
   3.50 µs     500 ns  Job 7 begins it.
      4 µs      37 µs  The device refuses it: the ring is full, with 4 on the endpoint. It waits for room.
     41 µs             The device takes it on, in instance 0 of endpoint 0; its job pauses.
     41 µs      20 µs  It is at the endpoint; 1 other waits before it, 2 are on engines.
     61 µs      20 µs  Engine 1 begins with it.
     81 µs             The engine is done; the answer is on its way.
     81 µs             The answer is there; its job is woken.
     81 µs             Its job goes on: completed.

waits for its turn  ██▏                                                  3.50 µs
begins                ▍                                                   500 ns
waits for room        ███████████████████████▎                             37 µs
in the queue                                 ████████████▋                 20 µs
on an engine                                              ████████████▋    20 µs";
    assert_eq!(told(&traced.explain(&["--op", "7"])), expected);
    // It is the slowest, too.
    assert_eq!(told(&traced.explain(&["--slowest"])), expected);
    assert_eq!(told(&traced.explain(&["--op", "0:7"])), expected);

    let data = traced.data(&["--op", "7"]);
    assert_eq!(data["schema"], 1);
    assert_eq!(data["rows"], serde_json::json!(["callback"]));
    assert_eq!(data["end"], "completed");
    assert_eq!(data["job"], 7);
    assert_eq!(
        (&data["due_ns"], &data["took_ns"]),
        (&0.into(), &81_000.into())
    );
    let stages = data["stages"].as_array().expect("stages");
    assert_eq!(stages[2]["name"], "waits for room");
    assert_eq!(stages[2]["from_ns"], 4000);
    assert_eq!(stages[2]["to_ns"], 41_000);
    assert_eq!(data["compared"]["others"], 299);
    assert_eq!(data["compared"]["shorter"], 299);
}

#[test]
fn the_first_is_the_fastest_and_most_are_alike() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "100"]));
    let first = traced.explain(&["--op", "0"]);
    assert!(
        first.contains("nobody waits before it, the engines are free."),
        "{first}"
    );
    assert!(
        first.contains("completed in 20.5 µs; as long as 98 % of"),
        "{first}"
    );
    let alone = Traced::new(CARD, &virtually(&["--jobs", "1", "--total", "1"]));
    assert!(
        alone
            .explain(&["--op", "0"])
            .contains("the only one of its row")
    );
    assert!(
        alone
            .explain(&["--slowest"])
            .contains("Operation 0 of thread 0")
    );
}

#[test]
fn a_job_with_its_operations_and_what_it_did_between() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "9"]));
    let expected = "\
Job 1 of row 'callback': 4 operations in 82 µs, 4 completed

     operation   begun at      after       busy     paused
             1       0 ns       0 ns     500 ns      20 µs
             3    20.5 µs       0 ns     500 ns      20 µs
             5      41 µs       0 ns     500 ns      20 µs
             7    61.5 µs       0 ns     500 ns      20 µs

░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
█ busy 2 µs (2.4 %)   ░ paused 80 µs (97.6 %)   · idle 0 ns (0.0 %)";
    assert_eq!(told(&traced.explain(&["--job", "1"])), expected);
    let data = traced.data(&["--job", "1"]);
    assert_eq!(data["operations"], 4);
    assert_eq!(data["busy_ns"], 2000);
    assert_eq!(data["listed"][3]["op"], 7);

    // In an open loop it has nothing to do for a while.
    let load = ["--jobs", "1", "--total", "4", "--rate", "10000"];
    let open = Traced::new(CARD, &virtually(&load));
    let told = open.explain(&["--job", "0"]);
    assert!(told.contains("·····"), "{told}");
    let data = open.data(&["--job", "0"]);
    assert_eq!(data["idle_ns"], 3 * (100_000 - 20_500));
    assert_eq!(data["listed"][1]["gap_ns"], 100_000 - 20_500);
}

#[test]
fn a_long_list_is_cut_unless_all_of_it_is_asked_for() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "1", "--total", "100"]));
    let cut = traced.explain(&["--job", "0"]);
    assert!(
        cut.contains("           ... 60 more; --all lists them\n            80 "),
        "{cut}"
    );
    let all = traced.explain(&["--job", "0", "--all"]);
    assert!(!all.contains("more"), "{all}");
    assert_eq!(all.lines().count(), cut.lines().count() + 60 - 1);
    let data = traced.data(&["--job", "0", "--all"]);
    let listed = data["listed"].as_array().expect("a list");
    let ops: Vec<_> = listed.iter().map(|op| op["op"].as_u64()).collect();
    assert_eq!(ops, (0..100).map(Some).collect::<Vec<_>>());
}

#[test]
fn what_is_lost_and_what_comes_too_late() {
    let device = format!(
        "{CARD}[[faults.script]]\nat_op = 3\nfault = 'lost'\n\
         [[faults.script]]\nat_op = 9\nfault = 'late'\nfor_ns = 40_000_000\n"
    );
    // It lasts until the late answer has come.
    let load = [
        "--jobs",
        "3",
        "--total",
        "200",
        "--rate",
        "1000",
        "--timeout",
        "20ms",
    ];
    let traced = Traced::new(&device, &virtually(&load));
    let lost = traced.explain(&["--op", "3"]);
    for words in [
        "failed after 2",
        "slower than ",
        "for an answer\n",
        "An engine begins with it.",
        "Its job goes on: failed (no answer within 20 ms).",
        "(The device lets go of it, without an answer.)",
        "\nwaits for an answer  ",
    ] {
        assert!(lost.contains(words), "{words}: {lost}");
    }
    let late = traced.explain(&["--op", "9"]);
    for words in [
        "Its job goes on: failed (no answer within 20 ms).\n",
        "   40 ms             (The answer comes too late: nobody waits for it any more.)",
    ] {
        assert!(late.contains(words), "{words}: {late}");
    }
    let data = traced.data(&["--op", "9"]);
    assert_eq!(data["end"], "failed");
    assert_eq!(data["why"], "no answer within 20 ms");
}

#[test]
fn a_device_that_refuses_fails_and_dies() {
    let load = ["--jobs", "20", "--total", "4000"];
    let traced = Traced::preset("flaky", &virtually(&load));
    let words_of = |op: &str| traced.explain(&["--op", op]);
    let why = |event: &Value, says: &str| {
        let why = event["args"]["why"].as_str();
        why.is_some_and(|why| why.contains(says))
    };

    let failed = words_of(&traced.first(|e| why(e, "status")));
    assert!(
        failed.contains("The device answers with a failure; its job is woken."),
        "{failed}"
    );
    assert!(
        failed.contains("Its job goes on: failed (the device reported status -"),
        "{failed}"
    );

    let down = words_of(&traced.first(|e| why(e, "went down")));
    for words in [
        "(Endpoint 0 dies: what is on it gets no answer.)",
        "(Endpoint 0 is found dead: what was on it fails.)",
        "The device gives it up.",
        "\nwaits for an answer  ",
    ] {
        assert!(down.contains(words), "{words}: {down}");
    }

    let refused = words_of(&traced.first(|e| e["args"]["refused"] == "down"));
    assert!(
        refused.contains("The device refuses it: it is down."),
        "{refused}"
    );
    let throttled = words_of(&traced.first(|e| e["args"]["refused"] == "throttled"));
    assert!(throttled.contains("too many in a second"), "{throttled}");

    let wrong = words_of(&traced.first(|e| e["args"]["end"] == "wrong"));
    assert!(wrong.contains("answered WRONGLY in"), "{wrong}");
    let job = traced.data(&["--job", "3", "--all"]);
    assert_ne!(job["operations"], job["completed"]);
}

#[test]
fn what_software_does_instead() {
    let device = format!(
        "{CARD}[[faults.script]]\nat_op = 3\nfault = 'error'\n\
         [[faults.script]]\nat_op = 4\nfault = 'throttled'\n"
    );
    let load = ["--jobs", "2", "--total", "20", "--fallback"];
    let traced = Traced::new(&device, &virtually(&load));
    for op in ["3", "4"] {
        let told = traced.explain(&["--op", op]);
        assert!(told.contains("completed, by software instead."), "{told}");
    }
    let other = traced.explain(&["--op", "5"]);
    assert!(other.contains("Its job goes on: completed.\n"), "{other}");
    // No device at all.
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("t.json");
    let load = ["--jobs", "2", "--total", "9", "--notify", "callback"];
    let fixed = ["bench", "--engine", "software", "--trace", text(&trace)];
    run_ok(&[&fixed, &load[..]].concat());
    let told = explain(&trace, &["--op", "3"]);
    assert!(
        told.contains("completed, on the spot and not on a device."),
        "{told}"
    );
}

#[test]
fn batches_share_an_engine() {
    let device = "name = 'batch'\nengines = 2\n[service_default]\nfixed_ns = 5_000\n\
        [batch]\nsize = 4\nflush_ns = 50_000\n[host]\nop_ns = 100\n";
    let traced = Traced::new(device, &virtually(&["--jobs", "8", "--total", "400"]));
    for op in ["0", "1", "2", "3"] {
        let told = traced.explain(&["--op", op]);
        assert!(
            told.contains("Engine 0 begins with it, in a batch with 3 others."),
            "{told}"
        );
    }
}

/// In real time nothing is as told beforehand, but each operation is there once, whole, and its stages
/// are its time.
#[test]
fn real_time_threads_and_faults() {
    let load = [
        "--jobs",
        "20",
        "--threads",
        "3",
        "--total",
        "900",
        "--notify",
        "all",
        "--timeout",
        "50ms",
    ];
    let traced = Traced::preset("flaky", &load);
    let mut spans = BTreeMap::new();
    for event in traced.events() {
        let of_a_job = event["pid"].as_u64().is_some_and(|pid| pid % 3 == 1);
        if of_a_job {
            let args = &event["args"];
            let key = (
                event["pid"].to_string(),
                args["thread"].to_string(),
                args["op"].to_string(),
            );
            assert!(spans.insert(key, event.clone()).is_none(), "twice: {event}");
        }
    }
    assert_eq!(spans.len(), 4 * 900);
    for (at, ((pid, thread, op), event)) in spans.iter().enumerate() {
        if at % 400 != 7 {
            continue;
        }
        let row = (pid.parse::<u32>().expect("a pid") / 3 + 1).to_string();
        let op = format!("{thread}:{op}");
        let data = traced.data(&["--op", &op, "--row", &row]);
        let ns = |us: &Value| (us.as_f64().expect("µs") * 1000.0).round() as u64;
        let due = event["args"].get("due").unwrap_or(&event["ts"]);
        let end = ns(&event["ts"]) + ns(&event["dur"]);
        assert_eq!(data["took_ns"], end - ns(due), "{event}");
        let stages = data["stages"].as_array().expect("stages");
        let mut before = 0;
        for stage in stages {
            assert_eq!(stage["from_ns"], before, "{data:#}");
            before = stage["to_ns"].as_u64().expect("a time");
        }
        assert_eq!(before, end - ns(due), "{data:#}");
        let failed = event["name"] == "failed";
        assert_eq!(failed, data["end"] == "failed", "{data:#}");
        assert_eq!(data["compared"]["others"], 899);
    }
}

#[test]
fn a_trace_holds_all_of_an_operation_and_is_small() {
    let load = ["--jobs", "32", "--total", "5000", "--rate", "90000"];
    let traced = Traced::preset("qat-c62x-1", &virtually(&load));
    let length = std::fs::metadata(&traced.trace).expect("a trace").len();
    assert!(length < 400 * 5000, "{length}");
    let events = traced.events();
    let with = |arg: &str| {
        events
            .iter()
            .filter(|e| e["args"].get(arg).is_some())
            .count()
    };
    for arg in ["submitted", "arrived", "answered", "instance", "bytes"] {
        assert_eq!(with(arg), 5000, "{arg}");
    }
}

#[test]
fn rows_are_told_apart() {
    let load = [
        "--jobs", "2,8", "--total", "40", "--notify", "callback", "--clock", "virtual",
    ];
    let traced = Traced::new(CARD, &load);
    let first = traced.explain(&["--op", "7"]);
    assert!(first.contains("in row 'callback, 2 jobs'"), "{first}");
    let rows = "\nIts rows: 1 (callback, 2 jobs), 2 (callback, 8 jobs); --row selects one\n";
    assert!(first.ends_with(rows), "{first}");
    for row in ["2", "callback, 8 jobs"] {
        let second = traced.explain(&["--op", "7", "--row", row]);
        assert!(second.contains("in row 'callback, 8 jobs'"), "{second}");
        assert!(second.contains("slower than all the others"), "{second}");
    }
    // Only the second row has so many jobs.
    let job = traced.explain(&["--job", "5"]);
    assert!(job.contains("Job 5 of row 'callback, 8 jobs'"), "{job}");
    let said = bad(&traced.trace, &["--job", "5", "--row", "1"]);
    assert!(
        said.contains("no job 5; its jobs are 0 to 1 in row 1\n"),
        "{said}"
    );
    let said = bad(&traced.trace, &["--job", "5", "--row", "smoke"]);
    let rows = "no row smoke; its rows are 1 (callback, 2 jobs), 2 (callback, 8 jobs)\n";
    assert!(said.contains(rows), "{said}");
    let said = bad(&traced.trace, &["--op", "40"]);
    let there = "0 to 39 of thread 0 in row 1, 0 to 39 of thread 0 in row 2\n";
    assert!(said.contains(there), "{said}");
}

#[test]
fn a_run_that_was_cut_short() {
    // After the first operation everything is refused, in no time: the run gives up.
    let device = "name = 'busy'\nengines = 1\n[service_default]\nfixed_ns = 1_000\n\
        [throttle]\nops_per_s = 1.0\n";
    let traced = Traced::new(device, &virtually(&["--jobs", "4"]));
    let told = traced.explain(&["--op", "0"]);
    assert!(
        told.contains("cut off: the run was over before its job went on"),
        "{told}"
    );
    assert!(
        told.contains("The device takes it on, in instance 0"),
        "{told}"
    );
    assert!(
        traced
            .explain(&["--op", "1"])
            .contains("too many in a second")
    );
}

#[test]
fn what_is_no_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let old = r#"{"traceEvents":[
{"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"jobs (callback)"}},
{"ph":"X","name":"sha256","pid":1,"tid":1,"ts":0.5,"dur":20.0,"args":{"op":"operation 0 of thread 0"}}
]}"#;
    let cases = [
        ("", "it is empty"),
        ("{", "it ends before it says what it is"),
        ("\n", "it ends before it says what it is"),
        ("sha256 of 1KiB", "it is not JSON"),
        ("\u{0}\u{1}", "it is not JSON"),
        ("[]", "it is other JSON"),
        ("[{\"ph\":\"X\"}]", "it is other JSON"),
        ("7", "it is other JSON"),
        ("{}", "it has no traceEvents"),
        (r#"{"schema":1,"rows":[]}"#, "it has no traceEvents"),
        (r#"{"traceEvents":[]}"#, "it does not say that it is one"),
        (
            r#"{"traceEvents":[{"ph":"B","args":{"name":"x"}}]}"#,
            "it does not say that it is one",
        ),
        (
            r#"{"otherData":{"version":"9"},"traceEvents":[]}"#,
            "it does not say that it is one",
        ),
        (r#"{"otherData":7}"#, "it is other JSON"),
        (
            r#"{"otherData":{"trace":"demo-cli bench","schema":1}}"#,
            "it has no traceEvents",
        ),
        (
            r#"{"otherData":{"trace":"demo-cli bench","schema":99},"traceEvents":[]}"#,
            "is a trace of schema 99, and this demo-cli reads schema 1; write it anew",
        ),
        (
            old,
            "is a trace of an older demo-cli, which wrote less; write it anew",
        ),
    ];
    for (at, (content, says)) in cases.iter().enumerate() {
        let said = bad(&file(&at.to_string(), content), &["--op", "0"]);
        assert!(said.contains(says), "{content}: {said}");
    }
    let said = bad(&directory.path().join("none"), &["--op", "0"]);
    assert!(
        said.contains("cannot read ") && said.contains("No such file"),
        "{said}"
    );
    let said = bad(directory.path(), &["--job", "0"]);
    assert!(said.contains("it is a directory"), "{said}");
    let fifo = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    if made.is_ok_and(|status| status.success()) {
        let said = bad(&fifo, &["--slowest"]);
        assert!(said.contains("it is no plain file"), "{said}");
    } else {
        common::skip("a FIFO", "no mkfifo here");
    }
    let nothing = r#"{"otherData":{"trace":"demo-cli bench","schema":1},"traceEvents":[]}"#;
    let said = bad(&file("nothing", nothing), &["--slowest"]);
    assert!(
        said.contains("the trace has no operation; its operations are none"),
        "{said}"
    );
}

#[test]
fn a_trace_that_ends_midway_or_is_damaged() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "50"]));
    let whole = std::fs::read_to_string(&traced.trace).expect("a trace");
    let spans = |text: &str| text.matches("\"submitted\":").count();
    let path = traced.other("cut.json");
    for part in [3, 5, 9] {
        // Behind a line, where the count is plain, and in the middle of one.
        let end = whole[..whole.len() * part / 10]
            .rfind('\n')
            .expect("a line");
        for end in [end, end + 20] {
            std::fs::write(&path, &whole[..end]).expect("written");
            let said = bad(&path, &["--op", "0"]);
            let says = format!("ends midway, after {} operations;", spans(&whole[..end]));
            assert!(said.contains(&says), "{says}: {said}");
        }
    }
    let middle = whole[..whole.len() / 2].rfind('\n').expect("a line");
    for rubbish in [
        "\n{\"ph\":\"X\",\"pid\":-1},",
        "\n}",
        "\n\u{1b}[2J",
        "\n{\"ph\":\"X\",\"pid\":1,\"ts\":-5.0},",
    ] {
        let damaged = format!("{}{rubbish}{}", &whole[..middle], &whole[middle..]);
        std::fs::write(&path, &damaged).expect("written");
        let said = bad(&path, &["--job", "0"]);
        let line = whole[..middle].lines().count() + 1;
        let says = format!(
            "is damaged in line {line}, after {} operations",
            spans(&whole[..middle])
        );
        assert!(said.contains(&says), "{says}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    std::fs::write(&path, format!("{whole}[]")).expect("written");
    assert!(bad(&path, &["--op", "0"]).contains("is damaged"));
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "5"]));
    let whole = std::fs::read_to_string(&traced.trace).expect("a trace");
    let hostile = whole
        .replace(r#""row_name":"callback""#, r#""row_name":"\u001b[2Jrow""#)
        .replace(r#""device":"card""#, r#""device":"ca\nrd\u0007""#)
        .replace(r#""options":"sha256"#, r#""options":"\u001b[31msha256"#);
    let path = traced.other("hostile.json");
    std::fs::write(&path, hostile).expect("written");
    for asked in [&["--op", "1"], &["--job", "1"]] {
        let told = explain(&path, asked);
        assert!(told.contains("\\u{1b}[2Jrow"), "{told}");
        assert!(!told.contains(['\u{1b}', '\u{7}']), "{told:?}");
    }
    let said = bad(&path, &["--op", "1", "--row", "smoke"]);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn colours_only_where_they_are_asked_for() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "5"]));
    for asked in [["--op", "1"], ["--job", "1"]] {
        let plain = traced.explain(&asked);
        let painted = traced.explain(&[&asked[..], &["--color", "always"]].concat());
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        assert!(painted.starts_with("\u{1b}[1m"), "{painted:?}");
    }
}

#[test]
fn bad_arguments() {
    let traced = Traced::new(CARD, &virtually(&["--jobs", "2", "--total", "5"]));
    let cases: [(&[&str], &str); 8] = [
        (&[], "required"),
        (&["--op", "x"], "as 17"),
        (&["--op", "1:"], "as 2:17"),
        (&["--job", "x"], "--job"),
        (&["--op", "1", "--job", "1"], "cannot be used with"),
        (&["--op", "1", "--all"], "cannot be used with"),
        (
            &["--op", "5"],
            "no operation 5 of thread 0; its operations are 0 to 4 of thread 0",
        ),
        (
            &["--op", "3:0"],
            "no operation 0 of thread 3; its operations are",
        ),
    ];
    for (args, says) in cases {
        let said = bad(&traced.trace, args);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

#[test]
fn help_has_examples() {
    let help = stdout(&run_ok(&["explain", "--help"]));
    assert!(help.contains("Examples:\n  demo-cli bench "), "{help}");
    assert!(
        help.contains("demo-cli explain --trace t.json --op 17"),
        "{help}"
    );
}
