//! A pool that had many jobs gives their memory back.

#![cfg(target_os = "linux")]

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use async_core::{
    InsideJob, Pause, PoolConfig, cleanup_thread, init_thread, pause_job, pool_stats, trim_thread,
};
use common::{assert_pool, on_own_thread, start, start_paused};
use heap::HeapStacks;

/// Runs `f` on a thread of its own while no other test of this file runs: what is in memory is
/// counted for the whole process.
fn in_turn(f: impl FnOnce() + Send) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    on_own_thread(f);
}

const STACK: usize = 256 << 10;
/// How much of it each job touches, at least.
const TOUCHED: usize = 48 << 10;
const JOBS: usize = 500;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("it is there");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse::<usize>().ok());
    pages.expect("a number") * rustix::param::page_size()
}

fn config() -> PoolConfig {
    PoolConfig {
        stack_bytes: STACK,
        ..PoolConfig::default()
    }
}

/// Touches a good part of the stack, and pauses.
fn touch() -> u8 {
    let frame = black_box([7_u8; TOUCHED]);
    assert_eq!(pause_job(), Ok(Pause::Resumed));
    black_box(&frame)[1234]
}

/// Has so many jobs at once, each on a stack of which it touches a good part.
fn run_many(count: usize) {
    let jobs: Vec<_> = (0..count).map(|_| start_paused(touch)).collect();
    for job in jobs {
        assert_eq!(job.resume().finished(), Some(7));
    }
}

#[test]
fn memory_of_idle_jobs_goes_back() {
    in_turn(|| {
        init_thread(&config()).expect("a sound configuration");
        run_many(JOBS);
        assert_pool(0, JOBS);
        let before = resident_bytes();
        let trimmed = trim_thread(20).expect("not inside a job");
        let after = resident_bytes();
        assert_eq!(trimmed.jobs, JOBS - 20);
        assert!(trimmed.bytes >= trimmed.jobs * TOUCHED, "{trimmed:?}");
        assert!(trimmed.bytes <= trimmed.jobs * STACK, "{trimmed:?}");
        // Nearly all of that: the process may have grown a little meanwhile.
        let fell = before.saturating_sub(after);
        assert!(fell >= trimmed.bytes / 10 * 9, "{fell}, {trimmed:?}");
        assert_pool(0, 20);
        assert_eq!(trim_thread(20).map(|t| (t.jobs, t.bytes)), Ok((0, 0)));

        // The same stacks again, and again.
        run_many(JOBS + 10);
        assert_pool(0, JOBS + 10);
        let again = trim_thread(0).expect("not inside a job");
        assert_eq!(again.jobs, JOBS + 10);
        assert!(again.bytes >= again.jobs * TOUCHED, "{again:?}");
        assert!(resident_bytes() < before);
        assert_pool(0, 0);
        assert_eq!(start(|| 5).finished(), Some(5));
        assert_pool(0, 1);
    });
}

/// Only what is used in between is given back the next time.
#[test]
fn stacks_that_were_trimmed_are_not_trimmed_again() {
    in_turn(|| {
        init_thread(&config()).expect("a sound configuration");
        run_many(JOBS);
        let all = trim_thread(0).expect("not inside a job");
        run_many(3);
        let three = trim_thread(0).expect("not inside a job");
        assert_eq!((all.jobs, three.jobs), (JOBS, 3));
        assert!(
            three.bytes >= 3 * TOUCHED && three.bytes <= 3 * STACK,
            "{three:?}"
        );
    });
}

/// A job that never ran has one page, its control block's; the guards between them are no memory.
#[test]
fn what_is_in_memory_is_counted() {
    in_turn(|| {
        let up_front = PoolConfig {
            init_jobs: 100,
            ..config()
        };
        init_thread(&up_front).expect("a sound configuration");
        let trimmed = trim_thread(0).expect("not inside a job");
        let pages = trimmed.bytes / rustix::param::page_size();
        assert_eq!((trimmed.jobs, pages), (100, 100));
    });
}

/// Every second stack is free: they are no neighbours, and what is between them stays.
#[test]
fn jobs_in_use_are_not_touched() {
    in_turn(|| {
        init_thread(&config()).expect("a sound configuration");
        let jobs: Vec<_> = (0..100).map(|_| start_paused(touch)).collect();
        let mut kept = Vec::new();
        for (at, job) in jobs.into_iter().enumerate() {
            if at % 2 == 0 {
                kept.push(job);
            } else {
                assert_eq!(job.resume().finished(), Some(7));
            }
        }
        let trimmed = trim_thread(0).expect("not inside a job");
        assert_eq!(trimmed.jobs, 50);
        assert_pool(50, 0);
        kept.extend((0..50).map(|_| start_paused(touch)));
        assert_pool(100, 0);
        for job in kept {
            assert_eq!(job.resume().finished(), Some(7));
        }
    });
}

#[test]
fn inside_a_job_it_is_refused() {
    in_turn(|| {
        init_thread(&PoolConfig {
            init_jobs: 3,
            ..config()
        })
        .expect("a sound configuration");
        let asked = start(|| trim_thread(0)).finished();
        assert_eq!(asked, Some(Err(InsideJob)));
        assert_pool(0, 3);
    });
}

#[test]
fn without_a_pool_there_is_nothing_to_trim() {
    in_turn(|| {
        assert_eq!(trim_thread(0).map(|t| (t.jobs, t.bytes)), Ok((0, 0)));
        assert_eq!(pool_stats(), None);
    });
}

#[test]
fn stacks_of_a_source_are_released_to_it() {
    in_turn(|| {
        let source = HeapStacks::default().shared();
        init_thread(&PoolConfig {
            init_jobs: 5,
            stack_source: Some(Arc::clone(&source) as _),
            ..config()
        })
        .expect("a sound configuration");
        let trimmed = trim_thread(2).expect("not inside a job");
        assert_eq!((trimmed.jobs, trimmed.bytes), (3, 0));
        assert_eq!((source.out(), source.released()), (2, 3));
        assert_pool(0, 2);
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 5));
    });
}

/// Set in the child process.
const CHILD: &str = "ASYNC_CORE_TEST_OVERFLOW_AFTER_TRIM";

/// Does nothing unless it is in a child process.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    /// Calls itself until it has used more than its stack, and less than two: where no guard is
    /// met, it ends in the stack below, and nobody notices.
    #[inline(never)]
    fn down(top: usize) -> usize {
        let frame = black_box([1_usize; 32]);
        if top.saturating_sub((&raw const frame).addr()) > STACK + STACK / 2 {
            return 1;
        }
        down(top) + black_box(frame)[31]
    }
    init_thread(&config()).expect("a sound configuration");
    run_many(9);
    let above = [start_paused(touch), start_paused(touch)];
    assert_eq!(trim_thread(0).map(|trimmed| trimmed.jobs), Ok(7));
    // The lowest stack is freed last and used first; so the next one has a stack below.
    let below = [start_paused(touch), start_paused(touch)];
    println!("trimmed");
    let depth = start(|| {
        let here = 0_u8;
        down((&raw const here).addr())
    });
    println!("survived: {:?}", depth.finished());
    drop((above, below));
}

#[test]
fn an_overflow_after_a_trim_ends_the_process() {
    let output = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("trimmed") && !said.contains("survived"),
        "{said}"
    );
    assert!(
        output
            .status
            .signal()
            .is_some_and(|s| [6, 7, 11].contains(&s)),
        "{}",
        output.status
    );
}
