//! The mistakes, and what is to be said of each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::{self, Link, Program, scratch, stderr, succeed};
use serde_json::Value;

/// A mistake of tests/c/check.c, and what is to be said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// All that is reported, in order of the names.
    pub(crate) kinds: &'static [&'static str],
    /// The C function that is at fault.
    pub(crate) culprit: &'static str,
    /// What the first report has besides what all have.
    pub(crate) has: &'static [&'static str],
    /// The places that belong to the first report.
    pub(crate) related: &'static [&'static str],
}

pub(crate) const fn case(
    name: &'static str,
    kinds: &'static [&'static str],
    culprit: &'static str,
    has: &'static [&'static str],
    related: &'static [&'static str],
) -> Case {
    Case {
        name,
        kinds,
        culprit,
        has,
        related,
    }
}

pub(crate) const STARTED: &str = "started here";
pub(crate) const RUNNING: &str = "the running job was started here";

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    case("context-freed-in-job", &["context-freed-under-job"], "context_freed_in_job_job", &["ctx", "job"], &["freed here", STARTED]),
    case("context-freed-under-job", &["context-freed-under-job"], "context_freed_under_job", &["ctx", "job"], &["paused here", STARTED]),
    case("context-never-freed", &["context-never-freed"], "context_never_freed", &["ctx"], &[]),
    case("context-shared", &["context-shared"], "context_shared_job", &["ctx", "job"], &[STARTED, "the other was started here"]),
    case("fd-never-cleared", &["context-never-freed", "fd-never-cleared"], "fd_never_cleared", &["ctx"], &[]),
    case("fd-not-cleared", &["fd-not-cleared"], "fd_not_cleared_job", &["ctx", "fd", "job", "key"], &["set here"]),
    case("fd-not-cleared-at-free", &["fd-not-cleared"], "fd_not_cleared_at_free", &["ctx", "fd", "key"], &["set here"]),
    case("fd-not-closed", &["fd-not-closed"], "fd_not_closed", &["ctx", "fd", "key"], &[]),
    case("inside-job", &["inside-job"], "inside_job_job", &["job"], &[RUNNING]),
    case("job-never-finished", &["job-never-finished"], "job_never_finished_job", &["ctx", "job"], &[STARTED]),
    case("job-never-finished-thread", &["job-never-finished"], "job_never_finished_job", &["ctx", "job"], &[STARTED]),
    case("job-running", &["job-running"], "job_running_job", &["job"], &[STARTED]),
    case("late-wake", &["late-wake"], "late_wake", &["job"], &["finished here"]),
    case("nested-start", &["nested-start"], "nested_start_job", &["job"], &[RUNNING]),
    case("no-memory", &["no-memory"], "no_memory", &[], &[]),
    case("null-argument", &["null-argument"], "null_argument", &[], &[]),
    case("pause-without-context", &["pause-without-wake"], "pause_without_wake_job", &["job"], &[STARTED]),
    case("pause-without-wake", &["pause-without-wake"], "pause_without_wake_job", &["ctx", "job"], &[STARTED]),
    case("pool-size", &["pool-size"], "pool_size", &[], &[]),
    case("stack-nearly-full", &["stack-nearly-full"], "start", &["job"], &[]),
    case("stale-job", &["stale-job"], "stale_job", &["job"], &["finished here"]),
    case("thread-ending", &["thread-ending"], "thread_ending", &[], &[]),
    case("use-after-free", &["use-after-free"], "use_after_free", &["ctx"], &["freed here"]),
    case("use-while-freed", &["use-while-freed"], "use_while_freed", &["ctx"], &["being freed here"]),
    case("wrong-thread", &["wrong-thread"], "wrong_thread", &["job"], &["paused here", STARTED]),
];

pub(crate) const AFTER_CLEANUP: Case = case(
    "after-openssl-cleanup",
    &["after-openssl-cleanup"],
    "after_openssl_cleanup",
    &[],
    &[],
);

pub(crate) const NOTHING: &str = "async-capi check: nothing to report\n";

pub(crate) fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| common::build("check", Link::Alone, &["-rdynamic"]))
}

/// A program's run: what was said on stderr, and as JSON.
pub(crate) struct Run {
    pub(crate) stderr: String,
    pub(crate) json: Vec<Value>,
}

impl Run {
    pub(crate) fn reports(&self) -> impl Iterator<Item = &Value> {
        self.json.iter().filter(|line| line["kind"].is_string())
    }

    pub(crate) fn kinds(&self) -> BTreeSet<&str> {
        self.reports().filter_map(|r| r["kind"].as_str()).collect()
    }

    pub(crate) fn summaries(&self) -> Vec<&Value> {
        let lines = self.json.iter();
        lines.filter_map(|line| line.get("summary")).collect()
    }
}

pub(crate) fn command(program: &Program, name: &str, way: &str) -> Command {
    let mut command = program.command();
    command
        .args([name, way])
        // What the case about deep stacks is made for, optimised or not.
        .env("ASYNC_CAPI_STACK_BYTES", "65536");
    command
}

pub(crate) fn json_file(name: &str) -> PathBuf {
    // Tests run at the same time, some of them the same case.
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    scratch().join(format!("{name}-{number}.json"))
}

pub(crate) fn run_with(program: &Program, name: &str, way: &str) -> Run {
    let path = json_file(name);
    let mut command = command(program, name, way);
    let output = succeed(command.env("ASYNC_CAPI_CHECK_JSON", &path));
    read(&output, &path)
}

pub(crate) fn run(name: &str, way: &str) -> Run {
    run_with(program(), name, way)
}

pub(crate) fn read(output: &Output, path: &Path) -> Run {
    let json = std::fs::read_to_string(path).expect("the file is there");
    let parse = |line| serde_json::from_str(line).expect("one object a line");
    Run {
        stderr: stderr(output),
        json: json.lines().map(parse).collect(),
    }
}

pub(crate) fn functions(backtrace: &Value) -> Vec<&str> {
    let calls = backtrace.as_array().expect("a list of calls");
    calls
        .iter()
        .map(|call| call["function"].as_str().expect("each has a name"))
        .collect()
}

pub(crate) fn told(program: &Program, case: Case) {
    let run = run_with(program, case.name, "wrong");
    let kinds: Vec<&str> = run.kinds().into_iter().collect();
    assert_eq!(kinds, case.kinds, "{}", run.stderr);
    for report in run.reports() {
        let kind = report["kind"].as_str().expect("a word");
        let function = report["function"].as_str().expect("a name");
        let head = format!("async-capi check: {kind} in {function}: ");
        assert!(run.stderr.contains(&head), "{head}\n{}", run.stderr);
        assert!(report["pid"].is_u64() && report["thread"].is_u64());
        assert!(
            report["message"]
                .as_str()
                .is_some_and(|text| text.len() > 20)
        );
        let calls = functions(&report["backtrace"]);
        assert!(calls[0].starts_with("ASYNC_"), "{calls:?}");
        assert_eq!(calls[1], case.culprit, "{calls:?}");
        let at = report["backtrace"][1]["at"].as_str();
        assert!(at.is_some_and(|at| at.contains("/c/check")), "{at:?}");
    }
    let first = run.reports().next().expect("there is one");
    for field in ["ctx", "fd", "job", "key"] {
        let there = !first[field].is_null();
        assert_eq!(there, case.has.contains(&field), "{field}: {first}");
    }
    let related: Vec<&str> = first["related"].as_array().map_or(Vec::new(), |related| {
        assert!(related.iter().all(|r| functions(&r["backtrace"]).len() > 1));
        related.iter().filter_map(|r| r["what"].as_str()).collect()
    });
    assert_eq!(related, case.related, "{first}");
    // The counts say the same, at the end.
    assert_eq!(run.summaries().len(), 1);
    let counts: Vec<&str> = run.summaries()[0]
        .as_object()
        .expect("a map")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(counts, case.kinds);
    let last = run.stderr.lines().last().expect("there is one");
    assert!(last.starts_with("async-capi check: "), "{last}");
    assert!(case.kinds.iter().all(|kind| last.contains(kind)), "{last}");
}

pub(crate) fn hears_nothing(program: &Program, name: &str) {
    let run = run_with(program, name, "right");
    assert_eq!(run.stderr, NOTHING);
    assert_eq!(run.summaries(), [&Value::Object(serde_json::Map::new())]);
    assert_eq!(run.json.len(), 1);
}
