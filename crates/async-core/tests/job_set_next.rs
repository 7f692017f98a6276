//! Jobs of a set are taken out one by one, as they finish.

mod common;
#[path = "common/engine.rs"]
mod engine;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

use async_core::{JobSet, Pause, WakeBy, pause_job};
use common::{assert_pool, on_own_thread};
use engine::Engine;

const ALL: &[WakeBy] = &[
    WakeBy::Callback,
    WakeBy::SharedFd,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    WakeBy::Fd,
    WakeBy::Polling,
];

/// Long enough to be sure that nothing will come.
const NEVER: Option<Duration> = Some(Duration::from_secs(20));

fn new_set<R: 'static>(wake: WakeBy) -> JobSet<R> {
    JobSet::new(4, wake).expect("a descriptor is left")
}

fn next<R: 'static>(set: &mut JobSet<R>, timeout: Option<Duration>) -> Option<(u64, R)> {
    set.next_finished(timeout).expect("nothing fails")
}

#[test]
fn each_is_replaced_as_soon_as_it_has_finished() {
    for &wake in ALL {
        on_own_thread(|| {
            let (engine, thread) = Engine::in_batches(1);
            let mut set = new_set(wake);
            let mut results = vec![None; 100];
            let mut started = 0;
            loop {
                while set.has_room() && started < 100 {
                    let (engine, key) = (engine.clone(), started);
                    started += 1;
                    let job = move || engine.ask(key).and_then(|n| engine.ask(n + 1));
                    if let Some(result) = set.start(key, job).expect("there is room") {
                        results[key as usize] = Some(result);
                    }
                }
                match next(&mut set, None) {
                    Some((key, result)) => {
                        assert_eq!(results[key as usize].replace(result), None);
                        assert!(set.has_room());
                    }
                    None => break,
                }
            }
            for (n, result) in (0..).zip(results) {
                assert_eq!(result, Some(Ok(n + 1)), "{wake:?}");
            }
            let stats = set.stats();
            assert_eq!((stats.started, stats.finished), (100, 100));
            assert_eq!(stats.pauses, stats.resumes, "{wake:?}");
            drop((set, engine));
            thread.join().expect("the engine does not panic");
        });
    }
}

#[test]
fn what_is_ready_stays_ready_for_the_next_call() {
    for &wake in ALL {
        on_own_thread(|| {
            let (engine, operations) = Engine::by_hand();
            let mut set = new_set(wake);
            for key in 0..4 {
                let engine = engine.clone();
                assert!(matches!(set.start(key, move || engine.ask(key)), Ok(None)));
            }
            operations.try_iter().for_each(|op| op.complete());
            let mut keys: Vec<_> = (0..4)
                .map(|left| {
                    assert_eq!(set.in_flight(), 4 - left);
                    let (key, result) = next(&mut set, NEVER).expect("all are done");
                    assert_eq!(result, Ok(key));
                    key
                })
                .collect();
            keys.sort_unstable();
            assert_eq!((keys, next(&mut set, None)), (vec![0, 1, 2, 3], None));
            assert_pool(0, 4);
        });
    }
}

/// Also where every look is a resume.
#[test]
fn a_time_out_ends_the_wait() {
    for &wake in ALL {
        on_own_thread(|| {
            let (engine, operations) = Engine::by_hand();
            let mut set = new_set(wake);
            for timeout in [None, Some(Duration::ZERO), NEVER] {
                assert_eq!(next(&mut set, timeout), None, "no job is in it");
            }
            assert!(matches!(set.start(7, move || engine.ask(7)), Ok(None)));
            for millis in [0, 1, 0] {
                let timeout = Some(Duration::from_millis(millis));
                assert_eq!(next(&mut set, timeout), None, "{wake:?}");
                assert_eq!(set.in_flight(), 1);
            }
            operations.recv().expect("it is in flight").complete();
            // A look, without a wait, finds what has come.
            assert_eq!(next(&mut set, Some(Duration::ZERO)), Some((7, Ok(7))));
            assert_pool(0, 1);
        });
    }
}

#[test]
fn a_panic_loses_no_other_job() {
    on_own_thread(|| {
        let mut set = new_set(WakeBy::Polling);
        for key in 0..4 {
            let paused = set.start(key, move || {
                assert_eq!(pause_job(), Ok(Pause::Resumed));
                if key % 2 == 0 {
                    panic_any(key);
                }
                key
            });
            assert!(matches!(paused, Ok(None)));
        }
        for key in [0, 2] {
            let panic = catch_unwind(AssertUnwindSafe(|| next(&mut set, None)));
            let payload = panic.expect_err("it panics");
            assert_eq!(payload.downcast_ref::<u64>(), Some(&key));
            assert_eq!(next(&mut set, None), Some((key + 1, key + 1)));
        }
        assert!(set.is_empty());
        assert_pool(0, 4);
    });
}
