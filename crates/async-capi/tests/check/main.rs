//! The check mode: a C program that makes each mistake is told of it, and one that does not hears nothing.

#[path = "../common/mod.rs"]
mod common;
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Link, root, scratch, stderr, succeed};
use serde_json::Value;

use harness::*;

macro_rules! cases {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let case = CASES.iter().find(|case| case.name == $name);
                told(program(), *case.expect("it is in the list"));
                hears_nothing(program(), $name);
            }
        )*
        #[test]
        fn every_case_has_its_test() {
            let tested = BTreeSet::from([$($name),*]);
            let listed: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
            assert_eq!(tested, listed);
        }
    };
}

cases! {
    a_context_freed_by_its_running_job: "context-freed-in-job";
    a_context_freed_under_a_paused_job: "context-freed-under-job";
    a_context_never_freed: "context-never-freed";
    a_context_of_two_jobs: "context-shared";
    an_fd_left_in_a_context: "fd-never-cleared";
    an_fd_closed_and_not_cleared_at_a_pause: "fd-not-cleared";
    an_fd_closed_and_not_cleared_at_the_free: "fd-not-cleared-at-free";
    an_fd_cleared_and_not_closed: "fd-not-closed";
    what_is_not_for_jobs: "inside-job";
    a_job_left_by_the_process: "job-never-finished";
    a_job_left_by_its_thread: "job-never-finished-thread";
    a_job_that_resumes_itself: "job-running";
    a_wake_that_comes_too_late: "late-wake";
    a_start_inside_a_job: "nested-start";
    arguments_without_end: "no-memory";
    null: "null-argument";
    a_pause_without_a_context: "pause-without-context";
    a_pause_without_fd_and_callback: "pause-without-wake";
    a_pool_too_small: "pool-size";
    a_deep_stack: "stack-nearly-full";
    a_job_that_has_finished: "stale-job";
    a_job_in_a_thread_destructor: "thread-ending";
    a_context_that_was_freed: "use-after-free";
    a_context_being_freed: "use-while-freed";
    a_resume_on_another_thread: "wrong-thread";
}

#[test]
fn a_job_after_openssl_cleanup() {
    if common::has_libcrypto() {
        let flags = ["-rdynamic", "-DWITH_LIBCRYPTO"];
        let program = common::build("check", Link::BeforeLibcrypto, &flags);
        told(&program, AFTER_CLEANUP);
        hears_nothing(&program, AFTER_CLEANUP.name);
    }
}

/// All four ways of an engine's thread, each told with the place where the handle ended.
#[test]
fn each_late_wake_says_where_the_handle_ended() {
    let run = run("late-wake", "wrong");
    let told: BTreeMap<&str, &str> = run
        .reports()
        .map(|report| {
            let related = &report["related"][0];
            let ended = functions(&related["backtrace"]);
            assert!(ended.contains(&"late_wake_case"), "{ended:?}");
            let function = report["function"].as_str().expect("a name");
            (function, related["what"].as_str().expect("a sentence"))
        })
        .collect();
    let expected = BTreeMap::from([
        ("ASYNC_get_wait_ctx", "finished here"),
        ("ASYNC_WAIT_CTX_get_callback", "freed here"),
        ("ASYNC_WAIT_CTX_get_fd", "freed here"),
        ("ASYNC_WAIT_CTX_set_status", "freed here"),
    ]);
    assert_eq!(told, expected);
}

#[test]
fn a_deep_function_is_told_by_name_and_once() {
    let run = run("stack-nearly-full", "wrong");
    let messages: Vec<&str> = run
        .reports()
        .filter_map(|r| r["message"].as_str())
        .collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        messages[0].contains("stack_nearly_full_job"),
        "{}",
        messages[0]
    );
    assert!(
        messages[0].contains("of its stack of 65536"),
        "{}",
        messages[0]
    );
}

/// A call to exit() inside a job leaves it where it is, on purpose.
#[test]
fn an_exit_inside_a_job_is_no_mistake() {
    hears_nothing(program(), "exit-in-job");
    assert_eq!(run("exit-in-job", "wrong").stderr, NOTHING);
}

#[test]
fn the_same_place_is_told_once_and_counted() {
    for link in [Link::Alone, Link::Static] {
        let program = common::build("check", link, &["-rdynamic", "-DMANY"]);
        let run = run_with(&program, "many", "wrong");
        assert_eq!(run.reports().count(), 2, "{link:?}\n{}", run.stderr);
        assert_eq!(run.summaries()[0]["context-never-freed"], 1001);
        hears_nothing(&program, "many");
    }
}

#[test]
fn after_some_hundred_places_it_only_counts() {
    let run = run("places", "wrong");
    assert_eq!(run.reports().count(), 200);
    assert_eq!(run.summaries()[0]["null-argument"], 216);
    let notice = "async-capi check: 200 reports were printed; others are counted only";
    assert_eq!(run.stderr.matches(notice).count(), 1);
    hears_nothing(program(), "places");
}

#[test]
fn a_preloaded_library_tells_as_well() {
    if common::has_libcrypto() {
        let program = common::build("check", Link::Preloaded, &["-rdynamic"]);
        for name in ["late-wake", "wrong-thread", "fd-not-cleared"] {
            let case = CASES.iter().find(|case| case.name == name);
            told(&program, *case.expect("it is in the list"));
            hears_nothing(&program, name);
        }
    }
}

#[test]
fn the_manual_pages_program_is_right() {
    let path = json_file("manual");
    let program = common::build("manual", Link::Alone, &[]);
    let output = succeed(program.command().env("ASYNC_CAPI_CHECK_JSON", &path));
    let run = read(&output, &path);
    assert_eq!(run.stderr, NOTHING);
    assert!(run.kinds().is_empty());
}

#[test]
fn off_it_says_nothing() {
    for case in CASES {
        for off in [None, Some(""), Some("0")] {
            let mut command = command(program(), case.name, "wrong");
            if let Some(off) = off {
                command.env("ASYNC_CAPI_CHECK", off);
            }
            let output = succeed(&mut command);
            assert_eq!(stderr(&output), "", "{case:?}");
        }
    }
}

#[test]
fn the_variable_alone_turns_it_on() {
    let mut command = command(program(), "null-argument", "wrong");
    let output = succeed(command.env("ASYNC_CAPI_CHECK", "1"));
    let text = stderr(&output);
    assert!(
        text.starts_with("async-capi check: null-argument in ASYNC_WAIT_CTX_get_fd: "),
        "{text}"
    );
    assert!(
        text.ends_with("async-capi check: null-argument 1\n"),
        "{text}"
    );
}

#[test]
fn a_function_turns_it_on_and_off() {
    let says = |name, way| stderr(&succeed(&mut command(program(), name, way)));
    let before_all = says("set-check-first", "wrong");
    assert!(before_all.ends_with("async-capi check: null-argument 1\n"));
    let later = says("set-check", "wrong");
    assert!(
        later.ends_with("async-capi check: job-never-finished 1, null-argument 1\n"),
        "{later}"
    );
    for name in ["set-check-first", "set-check"] {
        assert_eq!(says(name, "right"), NOTHING);
    }
    assert_eq!(says("set-check-off", "wrong"), "");
    // What the program says counts more than what the environment says.
    assert_eq!(run_without_file("set-check-off"), "");
}

fn run_without_file(name: &str) -> String {
    let mut command = command(program(), name, "wrong");
    stderr(&succeed(command.env("ASYNC_CAPI_CHECK", "1")))
}

/// One line about the file, and the reports as they were.
#[test]
fn a_file_that_cannot_be_written_harms_nothing() {
    let fifo = scratch().join("nobody-reads");
    let _ = std::fs::remove_file(&fifo);
    succeed(Command::new("mkfifo").arg(&fifo));
    let missing = scratch().join("missing/directory");
    for path in [Path::new("/dev/full"), &missing, &fifo, scratch()] {
        let mut command = command(program(), "late-wake", "wrong");
        let output = succeed(command.env("ASYNC_CAPI_CHECK_JSON", path));
        let text = stderr(&output);
        let notice = format!(
            "async-capi check: cannot write ASYNC_CAPI_CHECK_JSON={}: ",
            path.display()
        );
        assert_eq!(text.matches(&notice).count(), 1, "{text}");
        assert_eq!(text.matches("late-wake in").count(), 4, "{text}");
        assert!(text.ends_with("async-capi check: late-wake 4\n"), "{text}");
    }
}

/// Nobody reads what is written to stderr; nor is there a signal for it, nor an error.
#[test]
fn a_closed_stderr_harms_nothing() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let path = json_file("closed-stderr");
    let mut command = command(program(), "wrong-thread", "wrong");
    command
        .env("ASYNC_CAPI_CHECK_JSON", &path)
        .stderr(Stdio::from(writer));
    // SAFETY: between fork and exec; it sets what this signal does.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            Ok(())
        });
    }
    let output = succeed(&mut command);
    assert_eq!(read(&output, &path).reports().count(), 1);
}

#[test]
fn a_file_is_found_again_after_a_change_of_directory() {
    let directory = scratch().join("elsewhere");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).expect("it can be made");
    let mut command = command(program(), "chdir", "wrong");
    command
        .current_dir(&directory)
        .env("ASYNC_CAPI_CHECK_JSON", "here.json");
    let output = succeed(&mut command);
    let run = read(&output, &directory.join("here.json"));
    assert_eq!(run.kinds(), BTreeSet::from(["null-argument"]));
}

/// A forked child answers for itself.
#[test]
fn a_child_is_told_of_its_own_mistakes() {
    for (way, mistakes) in [("right", 0), ("wrong", 1)] {
        let run = run("forked", way);
        let summaries = run.json.iter().filter(|line| line.get("summary").is_some());
        let pids: Vec<&Value> = summaries.map(|line| &line["pid"]).collect();
        assert_eq!(pids.len(), 2, "{}", run.stderr);
        assert_ne!(pids[0], pids[1]);
        // The child ends first; its parent has nothing to report.
        assert_eq!(run.summaries()[1], &serde_json::json!({}));
        let child: Vec<&Value> = run.reports().collect();
        assert_eq!(child.len(), mistakes, "{}", run.stderr);
        assert!(child.iter().all(|report| &report["pid"] == pids[0]));
        assert!(
            child
                .iter()
                .all(|report| report["kind"] == "context-never-freed")
        );
    }
}

/// Forks while other threads are being told of mistakes: no lock stays taken in the child.
#[test]
fn a_fork_amid_reports_leaves_a_child_that_reports() {
    let run = run("fork-amid-reports", "wrong");
    let children = run
        .reports()
        .filter(|report| functions(&report["backtrace"]).contains(&"child_mistake"))
        .count();
    assert_eq!(children, 20, "{}", run.stderr);
}

/// The job's function panics: in Rust, so this test runs itself, since a C program cannot.
#[test]
fn a_panic_in_a_job() {
    const CHILD: &str = "CHECK_TEST_PANICS";
    extern "C-unwind" fn panics(_: *mut std::ffi::c_void) -> std::ffi::c_int {
        panic!("on purpose")
    }
    if std::env::var_os(CHILD).is_some() {
        let (mut job, mut ret) = (std::ptr::null_mut(), 0);
        let null = std::ptr::null_mut();
        // SAFETY: what is passed is good; there are no arguments.
        let state = unsafe {
            async_capi::ASYNC_start_job(&mut job, null, &mut ret, Some(panics), null.cast(), 0)
        };
        assert_eq!(state, async_capi::ASYNC_ERR);
        return;
    }
    let path = json_file("panic");
    let mut command = Command::new(std::env::current_exe().expect("its own path"));
    command
        .args(["--exact", "a_panic_in_a_job", "--nocapture"])
        .env(CHILD, "1")
        .env("ASYNC_CAPI_CHECK_JSON", &path);
    let output = succeed(&mut command);
    let run = read(&output, &path);
    assert_eq!(run.kinds(), BTreeSet::from(["panic"]));
}

/// docs/check-mode.md has each kind that is reported, and no other; its example is as reports are.
#[test]
fn the_documentation_has_every_kind() {
    let path = root().join("../../docs/check-mode.md");
    let text = std::fs::read_to_string(path).expect("it is there");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let table: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let mut sorted = table.clone();
    sorted.sort_unstable();
    assert_eq!(table, sorted);
    let told = CASES.iter().chain([&AFTER_CLEANUP]);
    let mut told: BTreeSet<&str> = told.flat_map(|case| case.kinds).copied().collect();
    told.insert("panic");
    assert_eq!(BTreeSet::from_iter(table), told);

    let example = text.lines().find(|line| line.starts_with("{\"kind\""));
    let example: Value = serde_json::from_str(example.expect("an example")).expect("JSON");
    let run = run("late-wake", "wrong");
    let like = run.reports().find(|r| r["function"] == example["function"]);
    let like = like.expect("the same is told in the tests");
    let fields = |report: &Value| -> Vec<String> {
        let fields = report.as_object().expect("an object").keys();
        fields.cloned().collect()
    };
    assert_eq!(fields(&example), fields(like));
    assert_eq!(example["kind"], like["kind"]);
    assert_eq!(example["related"][0]["what"], like["related"][0]["what"]);
    let head = format!(
        "\nasync-capi check: {} in ",
        example["kind"].as_str().expect("a word")
    );
    assert!(text.contains(&head));
}

/// Finding names takes memory. Without it the report comes all the same, and nothing hangs.
#[test]
fn little_memory_leaves_the_names_out() {
    let program = program().path.display();
    let script = format!("ulimit -v 100000; exec timeout -s KILL 60 {program} null-argument wrong");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("ASYNC_CAPI_CHECK", "1")
        .output()
        .expect("sh can be run");
    let said = stderr(&output);
    assert!(
        said.contains("async-capi check: null-argument in "),
        "{said}"
    );
    assert!(said.contains("(no memory to say where)"), "{said}");
}
