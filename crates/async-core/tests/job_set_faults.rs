//! What goes wrong in a set of jobs: panics, late wakes, fds that cannot be watched.

mod common;
#[path = "common/engine.rs"]
mod engine;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

use async_core::{JobSet, Pause, WakeBy, pause_job};
use common::{assert_pool, on_own_thread};
use engine::Engine;

fn new_set<R: 'static>(wake: WakeBy) -> JobSet<R> {
    JobSet::new(8, wake).expect("a descriptor is left")
}

/// Long enough to be sure that nothing will come.
const NEVER: Option<Duration> = Some(Duration::from_secs(20));
/// Short, where nothing is to come.
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

/// Says what the set panicked with.
fn panic_of(f: impl FnOnce()) -> u64 {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    *payload.downcast().expect("a number")
}

#[test]
fn a_panic_of_one_job_loses_no_other() {
    for wake in [WakeBy::Callback, WakeBy::SharedFd, WakeBy::Polling] {
        on_own_thread(|| {
            let (engine, operations) = Engine::by_hand();
            let mut set = new_set(wake);
            for key in 0..6 {
                let engine = engine.clone();
                let paused = set.start(key, move || {
                    let answer = engine.ask(key).expect("nobody cancels");
                    if answer % 3 == 1 {
                        panic_any(answer);
                    }
                    answer
                });
                assert!(matches!(paused, Ok(None)));
            }
            // All six are ready at once.
            operations.try_iter().for_each(|op| op.complete());
            let mut done = Vec::new();
            let mut turn = || set.turn(NEVER, |key, answer| done.push((key, answer)));
            assert_eq!(panic_of(|| drop(turn())), 1);
            assert_eq!(panic_of(|| drop(turn())), 4);
            assert_eq!(turn().expect("nothing fails"), 1);
            assert_eq!(done, [(0, 0), (2, 2), (3, 3), (5, 5)], "{wake:?}");
            assert!(set.is_empty());
            let stats = set.stats();
            assert_eq!((stats.started, stats.finished, stats.resumes), (6, 4, 6));
            assert_pool(0, 6);
        });
    }
}

#[test]
fn a_panic_at_the_start_leaves_the_set_as_it_was() {
    on_own_thread(|| {
        let mut set = new_set(WakeBy::Callback);
        assert_eq!(panic_of(|| drop(set.start(0, || panic_any(3_u64)))), 3);
        assert!(set.is_empty());
        assert_eq!(set.stats().in_flight_max, 0);
        assert!(matches!(set.start(1, pause_job), Ok(None)));
        assert_eq!(set.in_flight(), 1);
        assert_pool(1, 0);
    });
}

#[test]
fn a_panic_of_who_takes_the_results_loses_only_that_one() {
    on_own_thread(|| {
        let mut set = new_set(WakeBy::Polling);
        for key in 0..4 {
            assert!(matches!(set.start(key, pause_job), Ok(None)));
        }
        let mut seen = Vec::new();
        let panic = panic_of(|| {
            let _ = set.turn(None, |key, _| {
                if key == 1 {
                    panic_any(key);
                }
                seen.push(key);
            });
        });
        assert_eq!((panic, set.in_flight()), (1, 2));
        let turn = set.turn(None, |key, _| seen.push(key));
        assert_eq!(turn.expect("nothing fails"), 2);
        assert_eq!(seen, [0, 2, 3]);
        assert_pool(0, 4);
    });
}

/// A wake that is in the queue belongs to a job that is still in the set.
#[test]
fn a_panic_while_all_are_cancelled_loses_no_wake() {
    on_own_thread(|| {
        let (engine, operations) = Engine::by_hand();
        let mut set = new_set(WakeBy::Callback);
        for key in [0, 1, 2] {
            let engine = engine.clone();
            let paused = set.start(key, move || match engine.ask(key) {
                Ok(0) => panic_any(0_u64),
                Ok(answer) => answer,
                Err(_) => panic_any(9_u64),
            });
            assert!(matches!(paused, Ok(None)));
        }
        operations.try_iter().for_each(|op| op.complete());
        // The first one panics in its turn; the wakes of the others have been taken.
        assert_eq!(panic_of(|| drop(set.turn(NEVER, |_, _| ()))), 0);
        assert_eq!(set.in_flight(), 2);
        let refuses = set.start(7, || pause_job().map_or_else(|_| panic_any(7_u64), |_| 7));
        assert!(matches!(refuses, Ok(None)));
        // It is in the first slot, and so the first to be cancelled.
        assert_eq!(panic_of(|| set.cancel_all(|_, _| ())), 7);
        assert_eq!(set.in_flight(), 2);
        let mut done = Vec::new();
        let turn = set.turn(NEVER, |key, answer| done.push((key, answer)));
        assert_eq!(turn.expect("nothing fails"), 2);
        assert_eq!(done, [(1, 1), (2, 2)]);
        assert_pool(0, 3);
    });
}

/// Starts a job that stays, so that turns wait, and one that is woken twice for one answer.
fn leave_a_late_wake(wake: WakeBy) -> (JobSet<u64>, waitctx::Notifier) {
    let mut set = new_set(wake);
    let (send, notifier) = std::sync::mpsc::channel();
    let stays = set.start(1, || {
        while pause_job().is_ok() {}
        1
    });
    assert!(matches!(stays, Ok(None)));
    let paused = set.start(2, move || {
        let ctx = async_core::current_job().expect("in a job").wait_ctx();
        let notifier = ctx.notifier().expect("a descriptor is left");
        send.send(notifier).expect("the test waits");
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        ctx.acknowledge().expect("the fd is open");
        2
    });
    assert!(matches!(paused, Ok(None)));
    let notifier = notifier.recv().expect("the job has sent it");
    notifier
        .notify(waitctx::Status::Ok)
        .expect("the fd is open");
    let turn = set.turn(NEVER, |key, result| assert_eq!((key, result), (2, 2)));
    assert_eq!(turn.expect("nothing fails"), 1);
    assert_pool(1, 1);
    (set, notifier)
}

fn ways_to_be_woken() -> impl Iterator<Item = WakeBy> {
    [
        Some(WakeBy::Callback),
        Some(WakeBy::SharedFd),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some(WakeBy::Fd),
    ]
    .into_iter()
    .flatten()
}

#[test]
fn a_wake_for_a_job_that_has_ended_is_harmless() {
    for wake in ways_to_be_woken() {
        on_own_thread(|| {
            let (mut set, notifier) = leave_a_late_wake(wake);
            notifier
                .notify(waitctx::Status::Ok)
                .expect("the fd is open");
            let late = set.turn(NEVER, |_, _| panic!("nobody finishes"));
            assert_eq!(late.expect("nothing fails"), 0);
            let wakes = set.stats().wakes;
            // And is not told again and again.
            for _ in 0..3 {
                let turn = set.turn(SHORT, |_, _| panic!("nobody finishes"));
                assert_eq!(turn.expect("nothing fails"), 0);
            }
            assert!(set.stats().wakes <= wakes, "{wake:?}");
            assert_eq!(set.in_flight(), 1);
        });
    }
}

#[test]
fn a_late_wake_on_a_slot_in_use_again_is_a_resume_for_nothing() {
    for wake in ways_to_be_woken() {
        on_own_thread(|| {
            let (mut set, late) = leave_a_late_wake(wake);
            let (engine, operations) = Engine::by_hand();
            let paused = set.start(3, move || engine.ask(3).expect("nobody cancels"));
            assert!(matches!(paused, Ok(None)));
            late.notify(waitctx::Status::Ok).expect("the fd is open");
            let turn = set.turn(NEVER, |_, _| panic!("nobody finishes"));
            assert_eq!(turn.expect("nothing fails"), 1, "{wake:?}");
            assert_eq!(set.in_flight(), 2);
            operations.recv().expect("it is in flight").complete();
            let turn = set.turn(NEVER, |key, result| assert_eq!((key, result), (3, 3)));
            assert_eq!(turn.expect("nothing fails"), 1, "{wake:?}");
            assert_pool(1, 1);
        });
    }
}
