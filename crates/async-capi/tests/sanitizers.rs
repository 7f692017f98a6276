//! The C programs under valgrind, and built with the sanitizers; and bugs in jobs that these must find.

mod common;

use std::process::Command;

use common::{Link, Program, build};

/// What these tools end a program with when they have found something.
const FOUND: i32 = 9;

fn valgrind(program: &Program) -> Command {
    program.command_under(&[
        "valgrind",
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--show-leak-kinds=definite",
    ])
}

/// Whether the compiler can build and link with this sanitizer; says that the test skips, if not.
fn has_sanitizer(flag: &str) -> bool {
    let here = common::scratch();
    let source = here.join(format!("probe{flag}.c"));
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("it can be written");
    let mut cc = Command::new("cc");
    cc.arg(flag)
        .arg(&source)
        .arg("-o")
        .arg(source.with_extension("probe"));
    let found = cc.output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: cc cannot link with {flag}");
    }
    found
}

const ADDRESS: &str = "-fsanitize=address";

/// `leaks`: whether memory that is lost is an error. Not where a program loses jobs on purpose: they take what is
/// on their stacks with them.
fn asan(program: &Program, leaks: bool) -> Command {
    let leaks = u8::from(leaks);
    let mut command = program.command();
    command.env(
        "ASAN_OPTIONS",
        format!(
            "exitcode={FOUND}:detect_leaks={leaks}:detect_stack_use_after_return=1:allocator_may_return_null=1"
        ),
    );
    command
}

/// That the command ends because of a finding that is called `name`.
#[track_caller]
fn finds(command: &mut Command, name: &str) {
    let output = command.output().expect("it can be run");
    let text = common::stderr(&output);
    assert_eq!(output.status.code(), Some(FOUND), "{command:?}\n{text}");
    assert!(
        text.contains(name),
        "{command:?} does not say {name}:\n{text}"
    );
}

/// A test for each: the whole program, or some of its cases.
macro_rules! under_valgrind {
    ($($test:ident: $name:literal $cases:tt;)*) => {
        mod under_valgrind {
            use super::*;
            $(
                #[test]
                fn $test() {
                    if !common::has("valgrind") {
                        return;
                    }
                    let program = build($name, Link::Alone, &[concat!("-DTEST_", stringify!($test))]);
                    let cases: &[&str] = &$cases;
                    if cases.is_empty() {
                        common::succeed(&mut valgrind(&program));
                    }
                    for case in cases {
                        common::succeed(valgrind(&program).arg(case));
                    }
                }
            )*
        }
    };
}

under_valgrind! {
    jobs: "jobs" [];
    pool: "pool" [];
    contexts: "contexts" [];
    stacks: "stacks" [];
    jobs_used_wrongly: "misuse_jobs" [];
    contexts_used_wrongly: "misuse_contexts" [];
    devices: "threads" ["callbacks_from_the_devices_thread", "fds_from_the_devices_thread"];
    // The other cases start a thread's first job in the destructor of a key, after those of thread-locals: the C
    // library never frees its notes of ours then, 64 bytes. All else is freed.
    the_end_of_a_thread: "thread_end" ["destructors_of_thread_locals"];
}

#[test]
fn valgrind_finds_what_is_planted() {
    if !common::has("valgrind") {
        return;
    }
    let program = build("planted", Link::Alone, &[]);
    common::succeed(valgrind(&program).arg("nothing"));
    for (case, found) in [
        ("heap_overflow", "Invalid write of size 1"),
        ("use_after_free", "Invalid read of size 1"),
        ("use_in_a_cleanup", "Invalid read of size 1"),
        ("uninitialised", "depends on uninitialised value"),
        ("leak", "4,242 bytes in 1 blocks are definitely lost"),
    ] {
        finds(valgrind(&program).arg(case), found);
    }
}

#[test]
fn with_address_sanitizer() {
    if !has_sanitizer(ADDRESS) {
        return;
    }
    // Not the forks: the sanitizer's own allocator does not survive one among threads.
    for (name, leaks) in [
        ("jobs", true),
        ("pool", true),
        ("contexts", true),
        ("upstream", true),
        ("stacks", true),
        ("threads", true),
        ("misuse_arguments", true),
        ("misuse_jobs", false),
        ("misuse_contexts", false),
        ("thread_end", false),
    ] {
        common::succeed(&mut asan(&build(name, Link::Alone, &[ADDRESS]), leaks));
    }
}

/// It must know of the jobs' stacks, or it takes what an exception does there for a bug.
#[test]
fn exceptions_with_address_sanitizer() {
    if !common::has("c++") || !has_sanitizer(ADDRESS) {
        return;
    }
    let program = build("exceptions", Link::Alone, &[ADDRESS]);
    for case in ["caught_inside", "a_pause_in_a_handler"] {
        let output = common::succeed(asan(&program, true).arg(case));
        assert_eq!(common::stderr(&output), "", "{case}");
    }
    let program = build("endings", Link::Alone, &[ADDRESS]);
    let output = common::succeed(asan(&program, true).arg("longjmp_within_a_job"));
    assert_eq!(common::stderr(&output), "");
}

#[test]
fn address_sanitizer_finds_what_is_planted() {
    if !has_sanitizer(ADDRESS) {
        return;
    }
    let program = build("planted", Link::Alone, &[ADDRESS]);
    common::succeed(asan(&program, true).arg("nothing"));
    for (case, found) in [
        ("heap_overflow", "heap-buffer-overflow"),
        ("stack_overflow", "stack-buffer-overflow"),
        ("use_after_free", "heap-use-after-free"),
        ("use_in_a_cleanup", "heap-use-after-free"),
        ("leak", "4242 byte(s) leaked in 1 allocation(s)"),
    ] {
        finds(asan(&program, true).arg(case), found);
    }
}

#[test]
fn with_undefined_behaviour_sanitizer() {
    const UNDEFINED: [&str; 2] = ["-fsanitize=undefined", "-fno-sanitize-recover=all"];
    if !has_sanitizer(UNDEFINED[0]) {
        return;
    }
    for name in [
        "jobs",
        "pool",
        "contexts",
        "upstream",
        "stacks",
        "threads",
        "misuse_arguments",
        "misuse_jobs",
        "misuse_contexts",
        "thread_end",
        "fork",
    ] {
        build(name, Link::Alone, &UNDEFINED).run(&[]);
    }
}
