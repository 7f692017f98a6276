//! What a running job may do with other jobs: not start one; resume, cancel and drop one.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use async_core::{
    Cancelled, InitError, InsideJob, Job, JobId, JobSet, Pause, PoolConfig, StartError, WakeBy,
    cleanup_thread, current_job, init_thread, pause_job, start_job,
};
use common::{Drops, assert_pool, on_own_thread, start, start_paused};
use waitctx::WaitCtx;

fn current() -> Option<JobId> {
    current_job().map(|job| job.id())
}

/// Tries to start a job inside a job. The closure must come back whole, and unused.
fn try_to_start() -> u32 {
    let drops = Drops::default();
    let token = drops.token();
    let before = current();
    let error = start_job(&WaitCtx::new(), move || {
        drop(token);
        5
    })
    .expect_err("a job cannot start another");
    assert!(matches!(error, StartError::InsideJob(_)));
    assert!(!error.is_no_jobs());
    assert_eq!((drops.count(), current()), (0, before));
    let result = (error.into_closure())();
    assert_eq!(drops.count(), 1);
    result
}

/// OpenSSL does one of three things here, by what the running job went through before.
#[test]
fn a_start_inside_a_job_is_refused_whatever_its_history() {
    on_own_thread(|| {
        let job = start_paused(|| {
            let first_life = try_to_start();
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            first_life + try_to_start()
        });
        assert_pool(1, 0);
        assert_eq!(job.resume().finished(), Some(10));
        let recycled = start(try_to_start);
        assert_eq!(recycled.finished(), Some(5));
        assert_pool(0, 1);
    });
}

#[test]
fn the_pool_cannot_be_changed_inside_a_job() {
    on_own_thread(|| {
        let outer = start(|| {
            assert_eq!(cleanup_thread(), Err(InsideJob));
            let error = init_thread(&PoolConfig::default()).expect_err("refused");
            assert!(matches!(error, InitError::InsideJob(InsideJob)));
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            assert_eq!(cleanup_thread(), Err(InsideJob));
        });
        assert_pool(1, 0);
        let job = outer.paused().expect("it is intact");
        assert_eq!(job.resume().finished(), Some(()));
        assert_pool(0, 1);
    });
}

#[test]
fn a_job_resumes_another_to_its_end() {
    on_own_thread(|| {
        let inner_ctx = WaitCtx::new();
        let expected_ctx = inner_ctx.clone();
        let inner = start_job(&inner_ctx, move || {
            let me = current();
            for _ in 0..2 {
                assert_eq!(pause_job(), Ok(Pause::Resumed));
                assert_eq!(current(), me);
                let ctx = current_job().expect("in a job").wait_ctx();
                assert_eq!(ctx, expected_ctx);
            }
            "inner"
        });
        let inner = inner.expect("a slot").paused().expect("it pauses");
        let outer_ctx = WaitCtx::new();
        let expected_ctx = outer_ctx.clone();
        let outer = start_job(&outer_ctx, move || {
            let me = current();
            assert_ne!(me, Some(inner.id()));
            let inner = inner.resume().paused().expect("it pauses a second time");
            assert_eq!(current(), me);
            assert_pool(2, 0);
            assert_eq!(pause_job(), Ok(Pause::Resumed), "with a paused job in hand");
            assert_eq!(current(), me);
            let result = inner.resume().finished();
            assert_eq!(current(), me);
            assert_eq!(current_job().expect("in a job").wait_ctx(), expected_ctx);
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            assert_eq!(current(), me);
            result
        });
        let outer = outer.expect("a slot").paused().expect("it pauses");
        assert_eq!(current(), None);
        assert_pool(2, 0);
        let outer = outer.resume().paused().expect("it pauses again");
        assert_eq!(current(), None);
        assert_pool(1, 1);
        assert_eq!(outer.resume().finished(), Some(Some("inner")));
        assert_pool(0, 2);
    });
}

#[test]
fn a_job_cancels_and_drops_others() {
    on_own_thread(|| {
        let drops = Drops::default();
        let victim = || {
            let token = drops.token();
            start_paused(move || {
                let _token = token;
                let me = current();
                let said = pause_job();
                assert_eq!(current(), me);
                said
            })
        };
        let (to_cancel, to_drop) = (victim(), victim());
        assert_pool(2, 0);
        let seen = drops.clone();
        let outer = start_paused(move || {
            let me = current();
            assert_eq!(to_cancel.cancel(), Err(Cancelled));
            assert_eq!((seen.count(), current()), (1, me));
            drop(to_drop);
            assert_eq!((seen.count(), current()), (2, me));
            assert!(!current_job().expect("in a job").is_cancelled());
            pause_job()
        });
        assert_pool(1, 2);
        assert_eq!(outer.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 3);
    });
}

#[test]
fn four_jobs_deep() {
    on_own_thread(|| {
        fn resume_below(below: Option<Job<u32>>) -> u32 {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            let me = current();
            let depth = match below {
                Some(job) => job.resume().finished().expect("it pauses once"),
                None => 0,
            };
            assert_eq!(current(), me);
            depth + 1
        }
        let mut top = None;
        for _ in 0..4 {
            let below = top.take();
            top = Some(start_paused(move || resume_below(below)));
        }
        assert_pool(4, 0);
        let top = top.expect("four were started");
        assert_eq!(top.resume().finished(), Some(4));
        assert_eq!(current(), None);
        assert_pool(0, 4);
    });
}

#[test]
fn a_panic_in_the_inner_job_surfaces_in_the_outer_one() {
    on_own_thread(|| {
        let inner = start_paused(|| {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            std::panic::panic_any("inner");
        });
        let outer = start_paused(move || {
            let me = current();
            let panic = catch_unwind(AssertUnwindSafe(|| drop(inner.resume())));
            let payload = panic.expect_err("it panics");
            assert_eq!(payload.downcast_ref(), Some(&"inner"));
            assert_eq!(current(), me);
            pause_job()
        });
        assert_pool(1, 1);
        assert_eq!(outer.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 2);
    });
}

#[test]
fn a_job_hands_a_paused_job_out_as_its_result() {
    on_own_thread(|| {
        let inner = start_paused(pause_job);
        let id = inner.id();
        let out = start(move || inner).finished().expect("it does not pause");
        assert_eq!(out.id(), id);
        assert_pool(1, 1);
        assert_eq!(out.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 2);
    });
}

#[test]
fn dropping_a_job_that_holds_another_cancels_both() {
    on_own_thread(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&log);
        let inner = start_paused(move || {
            let said = pause_job();
            seen.borrow_mut().push(("inner", said));
        });
        let seen = Rc::clone(&log);
        let outer = start_paused(move || {
            let _inner = inner;
            let said = pause_job();
            seen.borrow_mut().push(("outer", said));
        });
        assert_pool(2, 0);
        drop(outer);
        let expected = [("outer", Err(Cancelled)), ("inner", Err(Cancelled))];
        assert_eq!(*log.borrow(), expected);
        assert_pool(0, 2);
    });
}

#[test]
fn a_job_runs_a_set_but_cannot_add_to_it() {
    on_own_thread(|| {
        let mut set = JobSet::new(4, WakeBy::Polling).expect("no fd is needed");
        for key in 0..3 {
            let paused = set.start(key, move || (pause_job(), key));
            assert!(matches!(paused, Ok(None)));
        }
        let outer = start(move || {
            let me = current();
            let refused = set.start(9, || (pause_job(), 9));
            assert!(matches!(refused, Err(StartError::InsideJob(_))));
            assert_eq!((set.in_flight(), set.stats().started), (3, 3));
            let mut done = Vec::new();
            while !set.is_empty() {
                set.turn(None, |key, result| done.push((key, result)))
                    .expect("polling cannot fail");
                assert_eq!(current(), me);
            }
            done
        });
        let expected = [0, 1, 2].map(|key| (key, (Ok(Pause::Resumed), key)));
        assert_eq!(outer.finished().as_deref(), Some(&expected[..]));
        assert_pool(0, 4);
    });
}
