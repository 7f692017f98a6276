//! A set that watches its jobs' own fds.

#![cfg(any(target_os = "linux", target_os = "android"))]

mod common;
#[path = "common/engine.rs"]
mod engine;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_core::{JobSet, JobSetError, Pause, RunError, WakeBy, current_job, pause_job};
use common::{assert_pool, on_own_thread};
use engine::Engine;
use waitctx::{Key, PollerError, WaitFd};

fn new_set<R: 'static>() -> JobSet<R> {
    JobSet::new(8, WakeBy::Fd).expect("a descriptor is left")
}

/// Long enough to be sure that nothing will come.
const NEVER: Option<Duration> = Some(Duration::from_secs(20));
const SHORT: Option<Duration> = Some(Duration::from_millis(1));

fn set_fd(key: Key, fd: WaitFd) {
    let ctx = current_job().expect("in a job").wait_ctx();
    ctx.set_wait_fd(key, fd).expect("a new key");
}

/// A job under an fd of its engine's that the set cannot watch. It pauses a few times.
fn with_foreign_fd(fd: i32, pauses: u64) -> impl FnOnce() -> u64 {
    move || {
        set_fd(Key::new(), WaitFd::foreign(fd));
        for _ in 0..pauses {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
        }
        pauses
    }
}

#[test]
fn an_engines_own_fd_wakes_the_job() {
    on_own_thread(|| {
        let (reader, mut writer) = std::io::pipe().expect("two descriptors are left");
        let mut set = new_set();
        let key = Key::new();
        let paused = set.start(5, move || {
            set_fd(key, WaitFd::owned(reader));
            let said = pause_job();
            // Whoever set it takes it away, and with it the byte in it.
            let ctx = current_job().expect("in a job").wait_ctx();
            drop(ctx.clear_fd(key).expect("it is there"));
            said
        });
        assert!(matches!(paused, Ok(None)));
        let turn = set.turn(SHORT, |_, _| panic!("nobody finishes"));
        assert_eq!(turn.expect("nothing fails"), 0);
        writer.write_all(&[1]).expect("the pipe is open");
        let turn = set.turn(NEVER, |key, said| {
            assert_eq!((key, said), (5, Ok(Pause::Resumed)));
        });
        assert_eq!((turn.expect("nothing fails"), set.stats().wakes), (1, 1));
        assert_pool(0, 1);
    });
}

#[test]
fn a_job_with_a_foreign_fd_is_reported_and_still_runs_to_its_end() {
    on_own_thread(|| {
        let (reader, _writer) = std::io::pipe().expect("two descriptors are left");
        let number = reader.as_raw_fd();
        let mut set = new_set();
        let error = set.run([with_foreign_fd(number, 4)], |_, _| panic!("not yet"));
        let Err(RunError::Set(JobSetError::Watch(PollerError::Foreign { fd }))) = error else {
            panic!("{error:?}");
        };
        assert_eq!((fd, set.in_flight()), (number, 1));
        let mut done = None;
        for _ in 0..4 {
            assert_eq!(done, None);
            let turn = set.turn(NEVER, |key, pauses| done = Some((key, pauses)));
            assert_eq!(turn.expect("it was reported"), 1, "it is looked after");
        }
        assert_eq!((done, set.is_empty()), (Some((0, 4)), true));
        assert_eq!((set.stats().pauses, set.stats().resumes), (4, 4));
        assert_pool(0, 1);
    });
}

/// The job that is looked after at each turn does not keep the others from being waited for.
#[test]
fn others_are_still_woken_beside_a_job_with_a_foreign_fd() {
    on_own_thread(|| {
        let (reader, _writer) = std::io::pipe().expect("two descriptors are left");
        let number = reader.as_raw_fd();
        let (engine, thread) = Engine::in_batches(1);
        let mut set = new_set();
        // Until the others are done: only they hold it.
        let others = Arc::new(());
        let watch = Arc::downgrade(&others);
        let first = set.start(100, move || {
            set_fd(Key::new(), WaitFd::foreign(number));
            while watch.upgrade().is_some() {
                assert_eq!(pause_job(), Ok(Pause::Resumed));
            }
            100
        });
        assert!(matches!(first, Ok(None)));
        let mut jobs = (0..20).map(|n| {
            let (engine, other) = (engine.clone(), Arc::clone(&others));
            move || {
                let _other = other;
                engine.ask(n).expect("nobody cancels")
            }
        });
        let mut done = Vec::new();
        let error = set.run(jobs.by_ref(), |_, answer| done.push(answer));
        assert!(matches!(error, Err(RunError::Set(JobSetError::Watch(_)))));
        let rest: Vec<_> = jobs.collect();
        drop(others);
        let taken = set.stats().started - 1;
        assert_eq!(rest.len() as u64 + taken, 20, "none was taken and lost");
        set.run(rest, |_, answer| done.push(answer))
            .expect("it was reported");
        done.sort_unstable();
        let expected: Vec<_> = (0..20).chain([100]).collect();
        assert_eq!(done, expected);
        assert!(set.is_empty());
        drop(set);
        drop(engine);
        thread.join().expect("the engine does not panic");
    });
}

/// What an engine left in a context whose job has ended concerns nobody.
#[test]
fn an_fd_left_readable_by_a_job_that_has_ended_is_not_watched_for_ever() {
    on_own_thread(|| {
        let (reader, mut writer) = std::io::pipe().expect("two descriptors are left");
        let (engine, operations) = Engine::by_hand();
        let mut set = new_set();
        let waits = set.start(1, move || engine.ask(1).expect("nobody cancels"));
        assert!(matches!(waits, Ok(None)));
        let leaves = set.start(2, move || {
            set_fd(Key::new(), WaitFd::owned(reader));
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            2
        });
        assert!(matches!(leaves, Ok(None)));
        writer.write_all(&[1]).expect("the pipe is open");
        let turn = set.turn(NEVER, |key, _| assert_eq!(key, 2));
        assert_eq!(turn.expect("nothing fails"), 1);
        // The pipe is still readable: at most one more turn may hear of it.
        let late = set.turn(SHORT, |_, _| panic!("nobody finishes"));
        assert_eq!(late.expect("nothing fails"), 0);
        let wakes = set.stats().wakes;
        for _ in 0..5 {
            let turn = set.turn(SHORT, |_, _| panic!("nobody finishes"));
            assert_eq!(turn.expect("nothing fails"), 0);
        }
        assert_eq!(set.stats().wakes, wakes);
        // The slot works for the next job, and the other job is still watched.
        let next = set.start(3, || pause_job().map_or(0, |_| 3));
        assert!(matches!(next, Ok(None)));
        operations.recv().expect("it is in flight").complete();
        let turn = set.turn(NEVER, |key, _| assert_eq!(key, 1));
        assert_eq!(turn.expect("nothing fails"), 1);
        assert_pool(1, 1);
    });
}

#[test]
fn the_wake_fd_of_a_slot_is_made_once() {
    on_own_thread(|| {
        let (engine, thread) = Engine::in_batches(1);
        let mut set = new_set();
        let fds = || {
            let ctx = current_job().expect("in a job").wait_ctx();
            ctx.all_fds()
        };
        for round in 0..10 {
            let engine = engine.clone();
            let started = set.start(round, move || {
                let before = fds();
                engine.ask(7).expect("nobody cancels");
                (before, fds())
            });
            let mut result = started.expect("there is room");
            while result.is_none() {
                set.turn(NEVER, |_, fds| result = Some(fds))
                    .expect("nothing fails");
            }
            let (before, after) = result.expect("it has finished");
            assert_eq!(after.len(), 1);
            assert_eq!(before.len(), usize::from(round > 0));
        }
        drop(set);
        drop(engine);
        thread.join().expect("the engine does not panic");
    });
}
