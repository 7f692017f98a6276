//! A job that runs out of stack ends the process. It does not write over another job's memory.

#![cfg(unix)]

mod common;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use async_core::{Guard, PoolConfig, init_thread, pause_job, pool_stats};
use common::{on_own_thread, start, start_paused};

/// Set in the child process: how its job behaves.
const BEHAVIOUR: &str = "ASYNC_CORE_TEST_BEHAVIOUR";
/// What the child says when it is still there. It must not.
const SURVIVED: &str = "survived";

/// Runs one of the tests below, in a process of its own, where it behaves as told.
fn run_child(behaviour: &str) -> (ExitStatus, String) {
    let binary = std::env::current_exe().expect("it runs");
    let output = Command::new(binary)
        .args(["--exact", "child", "--nocapture"])
        .env(BEHAVIOUR, behaviour)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status, said)
}

/// The stacks of the child's jobs.
const STACK: usize = 128 << 10;
/// More than a stack, and less than two: where no guard page is met, this ends in the stack below,
/// which is another job's, and nobody notices.
const TOO_MUCH: usize = STACK + STACK / 2;

/// Calls itself until it has used so much of the stack.
#[inline(never)]
fn recurse(bytes: usize) -> usize {
    #[inline(never)]
    fn down(top: usize, bytes: usize) -> usize {
        let frame = black_box([1_usize; 32]);
        let used = top.saturating_sub((&raw const frame).addr());
        if used >= bytes {
            return 1;
        }
        down(top, bytes) + black_box(frame)[31]
    }
    let here = 0_u8;
    down((&raw const here).addr(), bytes)
}

/// A frame larger than the stack: it would step over the guard page if it did not touch each page
/// on the way down.
#[inline(never)]
fn one_large_frame() -> u8 {
    let frame = black_box([1_u8; TOO_MUCH]);
    black_box(&frame)[12345]
}

/// Does nothing unless it is in a child process.
#[test]
fn child() {
    let Ok(behaviour) = std::env::var(BEHAVIOUR) else {
        return;
    };
    init_thread(&PoolConfig {
        stack_bytes: STACK,
        init_jobs: 3,
        ..PoolConfig::default()
    })
    .expect("a sound configuration");
    assert!(matches!(
        pool_stats().and_then(|stats| stats.guard),
        Some(Guard::Advised | Guard::Protected)
    ));
    // The highest of the three stacks is taken first; the next one is between two others.
    let neighbour = start_paused(pause_job);
    match behaviour.as_str() {
        "shallow" => drop(start(|| recurse(10_000))),
        "deep" => drop(start(|| recurse(TOO_MUCH))),
        "deep after a pause" => {
            let job = start_paused(|| {
                let _ = pause_job();
                recurse(TOO_MUCH)
            });
            drop(job.resume());
        }
        "large" => drop(start(one_large_frame)),
        "deep while it is cancelled" => {
            start_paused(|| {
                let _ = pause_job();
                recurse(TOO_MUCH)
            })
            .cancel();
        }
        other => panic!("unknown: {other}"),
    }
    drop(neighbour);
    println!("{SURVIVED}");
}

#[test]
fn a_job_within_its_stack_survives() {
    let (status, said) = run_child("shallow");
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains(SURVIVED), "{said}");
}

#[test]
fn a_job_beyond_its_stack_ends_the_process() {
    /// SIGABRT, SIGBUS, SIGSEGV: by whoever notices.
    const DEADLY: [i32; 3] = [6, 7, 11];
    for behaviour in [
        "deep",
        "deep after a pause",
        "large",
        "deep while it is cancelled",
    ] {
        let (status, said) = run_child(behaviour);
        let signal = status.signal();
        assert!(
            signal.is_some_and(|s| DEADLY.contains(&s)),
            "{behaviour}: {status}: {said}"
        );
        assert!(!said.contains(SURVIVED), "{behaviour}: {said}");
    }
}

/// The same work on a larger stack is fine: it was the stack that ended it.
#[test]
fn a_larger_stack_holds_more() {
    on_own_thread(|| {
        init_thread(&PoolConfig {
            stack_bytes: 8 << 20,
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        assert_eq!(start(one_large_frame).finished(), Some(1));
        assert!(start(|| recurse(4 << 20)).finished() > Some(1000));
    });
}
