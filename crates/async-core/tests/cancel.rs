//! A paused job is cancelled.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use async_core::{Cancelled, Pause, block_pause, current_job, pause_job, start_job};
use common::{Drops, Steps, assert_pool, on_own_thread, start, start_paused};
use waitctx::WaitCtx;

#[test]
fn the_pause_returns_cancelled_and_so_does_every_later_one() {
    on_own_thread(|| {
        let steps = Steps::default();
        let seen = steps.clone();
        let job = start_paused(move || {
            let me = current_job().expect("in a job");
            assert!(!me.is_cancelled());
            assert_eq!(pause_job(), Err(Cancelled));
            assert!(me.is_cancelled());
            for _ in 0..100 {
                seen.next();
                assert_eq!(pause_job(), Err(Cancelled));
            }
            "undone"
        });
        assert_eq!(steps.count(), 0);
        assert_eq!(job.cancel(), "undone");
        assert_eq!(steps.count(), 100);
        assert_pool(0, 1);
    });
}

#[test]
fn a_job_that_was_resumed_before_is_cancelled_too() {
    on_own_thread(|| {
        let mut job = start_paused(|| {
            let mut resumed = 0;
            while let Ok(said) = pause_job() {
                assert_eq!(said, Pause::Resumed);
                resumed += 1;
            }
            resumed
        });
        for _ in 0..5 {
            job = job.resume().paused().expect("it pauses for ever");
        }
        assert_eq!(job.cancel(), 5);
        assert_pool(0, 1);
    });
}

#[test]
fn a_job_that_finished_its_work_all_the_same_hands_it_over() {
    on_own_thread(|| {
        let drops = Drops::default();
        let inside = drops.clone();
        let job = start_paused(move || {
            let result = (inside.token(), vec![7; 300], [1_u8; 200]);
            let _ = pause_job();
            result
        });
        let result = job.cancel();
        assert_eq!((result.1.len(), result.2), (300, [1; 200]));
        assert_eq!(drops.count(), 0);
        drop(result);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn destructors_run_in_order() {
    struct Named(&'static str, Rc<RefCell<Vec<&'static str>>>);
    impl Drop for Named {
        fn drop(&mut self) {
            assert_eq!(pause_job(), Err(Cancelled), "also in a destructor");
            self.1.borrow_mut().push(self.0);
        }
    }
    fn undo(log: Rc<RefCell<Vec<&'static str>>>) -> Result<(), Cancelled> {
        let _first = Named("first", Rc::clone(&log));
        let _second = Named("second", Rc::clone(&log));
        pause_job()?;
        log.borrow_mut().push("not reached");
        Ok(())
    }
    on_own_thread(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let outer = Named("captured", Rc::clone(&log));
        let inside = Rc::clone(&log);
        let job = start_paused(move || {
            let _outer = outer;
            undo(inside)
        });
        assert!(log.borrow().is_empty());
        assert_eq!(job.cancel(), Err(Cancelled));
        assert_eq!(*log.borrow(), ["second", "first", "captured"]);
        assert_pool(0, 1);
    });
}

#[test]
fn the_next_job_on_the_slot_is_not_cancelled() {
    on_own_thread(|| {
        assert_eq!(start_paused(pause_job).cancel(), Err(Cancelled));
        let job = start_paused(|| {
            assert!(!current_job().expect("in a job").is_cancelled());
            pause_job()
        });
        assert_pool(1, 0);
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_panic_comes_out_of_cancel() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let job = start_paused(move || {
            let _token = token;
            pause_job().expect("a job that does not expect to be cancelled");
        });
        let panic = catch_unwind(AssertUnwindSafe(|| job.cancel()));
        let payload = panic.expect_err("it panics");
        let message = payload.downcast_ref::<String>().expect("of expect()");
        assert!(message.ends_with("Cancelled"), "{message}");
        assert_eq!(drops.count(), 1);
        assert_pool(0, 1);
        assert_eq!(start(|| 3).finished(), Some(3));
        assert_pool(0, 1);
    });
}

/// Cancelled is worth more than blocked: who waits in a loop must get out of it.
#[test]
fn a_blocked_job_that_is_cancelled_hears_of_it() {
    on_own_thread(|| {
        let job = start_paused(|| {
            assert_eq!(pause_job(), Err(Cancelled));
            let guard = block_pause();
            assert_eq!(pause_job(), Err(Cancelled));
            std::mem::forget(guard);
        });
        job.cancel();
        let next = start_paused(pause_job);
        assert_eq!(next.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_cancelled_job_still_has_its_context_and_cannot_start_another() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let expected = ctx.clone();
        let job = start_job(&ctx, move || {
            assert_eq!(pause_job(), Err(Cancelled));
            let ctx = current_job().expect("in a job").wait_ctx();
            assert_eq!(ctx, expected);
            start_job(&ctx, || ()).expect_err("refused").into_closure()();
        });
        let job = job.expect("a slot").paused().expect("it pauses");
        assert_eq!(job.wait_ctx(), &ctx);
        job.cancel();
        assert_pool(0, 1);
    });
}

#[test]
fn each_of_many_is_cancelled_alone() {
    on_own_thread(|| {
        let mut jobs: Vec<_> = (0..10)
            .map(|n| start_paused(move || (n, pause_job())))
            .collect();
        for n in (0..10).step_by(2).rev() {
            assert_eq!(jobs.remove(n).cancel(), (n, Err(Cancelled)));
        }
        assert_pool(5, 5);
        for (at, job) in jobs.into_iter().enumerate() {
            let resumed = (2 * at + 1, Ok(Pause::Resumed));
            assert_eq!(job.resume().finished(), Some(resumed));
        }
        assert_pool(0, 10);
    });
}
