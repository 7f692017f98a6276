//! Many jobs are run to their ends.

mod common;
#[path = "common/engine.rs"]
mod engine;
#[path = "common/heap.rs"]
mod heap;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_core::{
    Cancelled, JobSet, Pause, PoolConfig, RunError, StartError, WakeBy, cleanup_thread,
    init_thread, pause_job, pool_stats,
};
use common::{Drops, assert_pool, on_own_thread, start_paused};
use engine::Engine;
use heap::HeapStacks;

const ALL: &[WakeBy] = &[
    WakeBy::Callback,
    WakeBy::SharedFd,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    WakeBy::Fd,
    WakeBy::Polling,
];

fn new_set<R: 'static>(limit: usize, wake: WakeBy) -> JobSet<R> {
    JobSet::new(limit, wake).expect("a descriptor is left")
}

fn bound(max_jobs: usize) -> PoolConfig {
    PoolConfig {
        max_jobs: max_jobs.try_into().ok(),
        ..PoolConfig::default()
    }
}

/// A job that pauses a number of times, to be told when it may stop by nobody.
fn pauses(times: u64) -> impl FnOnce() -> u64 {
    move || {
        for _ in 0..times {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
        }
        times
    }
}

#[test]
fn every_way_of_being_woken_runs_every_job_to_its_end() {
    const LIMIT: usize = 16;
    const JOBS: u64 = 13 * LIMIT as u64;
    for &wake in ALL {
        on_own_thread(|| {
            // In batches of as many as there are jobs in flight, which each wait for one.
            let (engine, thread) = Engine::in_batches(LIMIT);
            let mut set = new_set(LIMIT, wake);
            let drops = Drops::default();
            let jobs = (0..JOBS).map(|n| {
                let (engine, token) = (engine.clone(), drops.token());
                move || {
                    let _token = token;
                    engine.ask(n).and_then(|n| engine.ask(n * n))
                }
            });
            let mut results = vec![None; JOBS as usize];
            set.run(jobs, |index, square| {
                let result = results[index as usize].replace(square);
                assert_eq!(result, None, "{wake:?}: job {index} a second time");
            })
            .expect("nothing fails");
            for (n, result) in (0..).zip(results) {
                assert_eq!(result, Some(Ok(n * n)), "{wake:?}");
            }
            assert_eq!(drops.count() as u64, JOBS);
            assert!(set.is_empty());
            assert!(set.has_room());
            let stats = set.stats();
            assert_eq!((stats.started, stats.finished), (JOBS, JOBS), "{wake:?}");
            assert_eq!(stats.pauses, stats.resumes, "{wake:?}");
            // The last of a batch may find its answer before it pauses.
            assert!((LIMIT - 1..=LIMIT).contains(&stats.in_flight_max));
            assert_eq!(stats.wakes == 0, wake == WakeBy::Polling, "{wake:?}");
            let pool = pool_stats().expect("a pool");
            assert_eq!((pool.in_use, pool.started), (0, JOBS));
            assert!(pool.idle <= LIMIT);
            drop(set);
            drop(engine);
            thread.join().expect("the engine does not panic");
        });
    }
}

#[test]
fn the_limit_is_kept_and_reached() {
    on_own_thread(|| {
        for limit in [1, 2, 7, 100] {
            let mut set = new_set(limit, WakeBy::Polling);
            let mut sum = 0;
            set.run((0..50).map(pauses), |index, times| {
                assert_eq!(index, times);
                sum += times;
            })
            .expect("nothing fails");
            let stats = set.stats();
            assert_eq!((sum, stats.pauses, stats.resumes), (1225, 1225, 1225));
            // The job that does not pause is never in the set.
            assert_eq!(stats.in_flight_max, limit.min(49));
            assert_eq!((stats.started, stats.finished, stats.wakes), (50, 50, 0));
        }
        assert_pool(0, 49);
        let set = new_set::<()>(0, WakeBy::Polling);
        assert!(set.has_room(), "a limit of 0 is taken as 1");
    });
}

#[test]
fn at_its_limit_a_set_hands_the_closure_back() {
    on_own_thread(|| {
        let mut set = new_set(2, WakeBy::Polling);
        let drops = Drops::default();
        for key in [30, 40] {
            assert!(set.has_room());
            assert!(matches!(set.start(key, || pauses(1)()), Ok(None)));
        }
        assert_eq!((set.in_flight(), set.has_room()), (2, false));
        let token = drops.token();
        let refused = set.start(50, move || {
            drop(token);
            0
        });
        let error = refused.expect_err("the set is full");
        assert!(error.is_no_jobs());
        assert_eq!((drops.count(), set.stats().started), (0, 2));
        assert_pool(2, 0);
        let mut keys = Vec::new();
        let resumed = set.turn(None, |key, times| keys.push((key, times)));
        assert_eq!(resumed.expect("nothing fails"), 2);
        assert_eq!(keys, [(30, 1), (40, 1)]);
        let finished = set.start(50, error.into_closure());
        assert_eq!(finished.expect("there is room"), Some(0));
        assert_eq!((drops.count(), set.in_flight()), (1, 0));
        assert_eq!((set.stats().started, set.stats().finished), (3, 3));
    });
}

/// The thread's pool is smaller than the set: jobs wait for each other's slots.
#[test]
fn a_smaller_pool_slows_a_run_and_does_not_stop_it() {
    for &wake in ALL {
        on_own_thread(|| {
            init_thread(&bound(3)).expect("a sound configuration");
            let (engine, thread) = Engine::in_batches(1);
            let mut set = new_set(10, wake);
            let jobs = (0..50).map(|n| {
                let engine = engine.clone();
                move || engine.ask(n)
            });
            let mut sum = 0;
            set.run(jobs, |index, answer| {
                assert_eq!(answer, Ok(index));
                sum += index;
            })
            .expect("nothing fails");
            assert_eq!(sum, 1225, "{wake:?}");
            let stats = set.stats();
            assert_eq!((stats.started, stats.finished), (50, 50));
            assert!(stats.in_flight_max <= 3);
            let pool = pool_stats().expect("a pool");
            assert_eq!((pool.in_use, pool.started), (0, 50), "{wake:?}");
            drop(set);
            drop(engine);
            thread.join().expect("the engine does not panic");
        });
    }
}

#[test]
fn a_source_that_runs_out_of_stacks_slows_a_run_too() {
    on_own_thread(|| {
        let made = AtomicUsize::new(0);
        let source = HeapStacks::default().on_allocate(move || {
            let before = made.fetch_add(1, Ordering::Relaxed);
            (before < 2)
                .then_some(())
                .ok_or(std::io::Error::other("no more"))
        });
        init_thread(&PoolConfig {
            stack_bytes: 128 << 10,
            stack_source: Some(Arc::new(source)),
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        let mut set = new_set(5, WakeBy::Polling);
        let mut finished = 0;
        set.run([3; 20].map(pauses), |_, _| finished += 1)
            .expect("two are enough");
        assert_eq!((finished, set.stats().in_flight_max), (20, 2));
        assert_pool(0, 2);
        assert_eq!(cleanup_thread(), Ok(0));
    });
}

/// Nothing in the set can finish and make room: an error, not a wait for ever.
#[test]
fn a_pool_that_others_hold_stops_a_run() {
    on_own_thread(|| {
        init_thread(&bound(1)).expect("a sound configuration");
        let other = start_paused(pause_job);
        let mut set = new_set(4, WakeBy::Callback);
        let run = set.run([2, 3].map(pauses), |_, _| panic!("none runs"));
        let Err(RunError::Start(error @ StartError::NoJobs(_))) = run else {
            panic!("{run:?}");
        };
        drop(other);
        assert_pool(0, 1);
        let paused = set.start(0, error.into_closure());
        assert!(matches!(paused, Ok(None)));
        assert_pool(1, 0);
    });
}

#[test]
fn a_turn_in_vain_resumes_nobody() {
    for &wake in ALL {
        on_own_thread(|| {
            let mut set = new_set(2, wake);
            let timeout = Some(Duration::from_millis(1));
            let turn = set.turn(timeout, |_, _| ());
            assert_eq!(turn.expect("nothing fails"), 0, "no job is in it");
            assert!(matches!(set.start(1, pause_job), Ok(None)));
            let turn = set.turn(timeout, |_, said| assert_eq!(said, Ok(Pause::Resumed)));
            // Who polls resumes everybody at each turn.
            let resumed = usize::from(wake == WakeBy::Polling);
            assert_eq!(turn.expect("nothing fails"), resumed, "{wake:?}");
            assert_eq!(set.stats().resumes, resumed as u64);
            assert_pool(1 - resumed, resumed);
        });
    }
}

#[test]
fn all_are_cancelled_and_the_set_goes_on() {
    for &wake in ALL {
        on_own_thread(|| {
            let mut set = new_set(8, wake);
            for key in 0..5 {
                let paused = set.start(key, move || (key, pause_job()));
                assert!(matches!(paused, Ok(None)));
            }
            assert_pool(5, 0);
            let mut cancelled = Vec::new();
            set.cancel_all(|key, result| cancelled.push((key, result)));
            let expected = [0, 1, 2, 3, 4].map(|key| (key, (key, Err(Cancelled))));
            assert_eq!(cancelled, expected);
            assert!(set.is_empty());
            assert_pool(0, 5);
            let stats = set.stats();
            assert_eq!((stats.started, stats.finished, stats.pauses), (5, 5, 5));
            let finished = set.start(9, || (9, Ok(Pause::NotInJob)));
            assert_eq!(finished.expect("room"), Some((9, Ok(Pause::NotInJob))));
        });
    }
}

#[test]
fn dropping_a_set_cancels_its_jobs() {
    for &wake in ALL {
        on_own_thread(|| {
            let drops = Drops::default();
            let mut set = new_set(8, wake);
            for key in 0..3 {
                let token = drops.token();
                let paused = set.start(key, move || {
                    let _token = token;
                    assert_eq!(pause_job(), Err(Cancelled));
                });
                assert!(matches!(paused, Ok(None)));
            }
            assert_eq!(drops.count(), 0);
            drop(set);
            assert_eq!(drops.count(), 3);
            assert_pool(0, 3);
        });
    }
}

/// So that whoever starts others in the place of those that have finished comes to it.
#[test]
fn a_turn_resumes_a_bounded_number_and_the_next_goes_on_at_once() {
    for &wake in &[WakeBy::Callback, WakeBy::Polling] {
        on_own_thread(|| {
            const JOBS: u64 = 150;
            let (engine, thread) = Engine::in_batches(JOBS as usize);
            let mut set = new_set(JOBS as usize, wake);
            let mut finished = Vec::new();
            for n in 0..JOBS {
                let engine = engine.clone();
                let started = set.start(n, move || engine.ask(n));
                // The last one's answer may be there before it pauses.
                let Ok(at_once) = started else {
                    panic!("there is room");
                };
                finished.extend(at_once.map(|square| (n, square)));
            }
            let mut most = 0;
            while !set.is_empty() {
                let before = finished.len();
                let resumed = set
                    .turn(None, |key, square| finished.push((key, square)))
                    .expect("nothing fails");
                assert!(finished.len() - before <= resumed);
                most = most.max(resumed);
            }
            assert!((1..=64).contains(&most), "{wake:?}: {most}");
            finished.sort_by_key(|(key, _)| *key);
            let expected: Vec<_> = (0..JOBS).map(|n| (n, Ok(n))).collect();
            assert_eq!(finished, expected, "{wake:?}");
            drop(engine);
            thread.join().expect("no panic");
        });
    }
}
