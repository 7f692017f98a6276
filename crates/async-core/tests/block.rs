//! Pausing is blocked for a while.

mod common;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;

use async_core::{BlockGuard, Pause, block_pause, current_job, pause_job, pool_stats, start_job};
use common::{assert_pool, on_own_thread, start, start_paused};
use waitctx::WaitCtx;

/// Carries a guard from one job to elsewhere.
type Pocket = Rc<RefCell<Option<BlockGuard>>>;

#[test]
fn a_pause_under_a_guard_says_so_and_does_nothing() {
    on_own_thread(|| {
        let job = start_paused(|| {
            let guard = block_pause();
            assert!(current_job().is_some());
            for _ in 0..3 {
                assert_eq!(pause_job(), Ok(Pause::Blocked));
            }
            drop(guard);
            pause_job()
        });
        assert_pool(1, 0);
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_job_can_ask_whether_a_pause_would_pause() {
    struct AskOnDrop(Rc<std::cell::Cell<bool>>);
    impl Drop for AskOnDrop {
        fn drop(&mut self) {
            let can = current_job().is_some_and(|job| job.can_pause());
            self.0.set(can);
        }
    }
    on_own_thread(|| {
        let job = start_paused(|| {
            let me = current_job().expect("in a job");
            assert!(me.can_pause());
            let guard = block_pause();
            assert!(!me.can_pause());
            drop(guard);
            assert!(me.can_pause());
            let unwinding = Rc::new(std::cell::Cell::new(true));
            let ask = AskOnDrop(Rc::clone(&unwinding));
            let panic = AssertUnwindSafe(move || {
                let _ask = ask;
                panic_any("to unwind");
            });
            assert!(catch_unwind(panic).is_err());
            assert!(!unwinding.get());
            assert!(me.can_pause());
            assert!(pause_job().is_err(), "it is cancelled here");
            assert!(!me.can_pause());
        });
        job.cancel();
        assert_pool(0, 1);
    });
}

#[test]
fn guards_nest_and_may_be_dropped_in_any_order() {
    on_own_thread(|| {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let job = start_paused(move || {
                let mut guards = [(); 3].map(|()| Some(block_pause()));
                for at in order {
                    assert_eq!(pause_job(), Ok(Pause::Blocked));
                    guards[at] = None;
                }
                pause_job()
            });
            assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        }
        assert_pool(0, 1);
    });
}

#[test]
fn outside_a_job_a_guard_does_nothing() {
    on_own_thread(|| {
        let guard = block_pause();
        assert_eq!(pool_stats(), None);
        assert_eq!(pause_job(), Ok(Pause::NotInJob));
        let job = start_paused(pause_job);
        drop(guard);
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_guard_from_outside_that_is_dropped_in_a_job_unblocks_nothing() {
    on_own_thread(|| {
        let outside = block_pause();
        let job = start_paused(move || {
            let inside = block_pause();
            drop(outside);
            assert_eq!(pause_job(), Ok(Pause::Blocked));
            drop(inside);
            pause_job()
        });
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    });
}

#[test]
fn a_forgotten_guard_ends_with_its_job() {
    on_own_thread(|| {
        let job = start(|| {
            std::mem::forget(block_pause());
            std::mem::forget(block_pause());
            pause_job()
        });
        assert_eq!(job.finished(), Some(Ok(Pause::Blocked)));
        assert_pool(0, 1);
        let next = start_paused(pause_job);
        assert_eq!(next.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_guard_that_outlives_its_job_is_harmless() {
    on_own_thread(|| {
        let pocket = Pocket::default();
        let inside = Rc::clone(&pocket);
        let job = start(move || *inside.borrow_mut() = Some(block_pause()));
        assert_eq!(job.finished(), Some(()));
        // On the same slot: it holds a guard of its own, which the old one must not take.
        let inside = Rc::clone(&pocket);
        let next = start_paused(move || {
            let own = block_pause();
            drop(inside.take().expect("the old job's guard"));
            assert_eq!(pause_job(), Ok(Pause::Blocked));
            drop(own);
            pause_job()
        });
        assert_eq!(next.resume().finished(), Some(Ok(Pause::Resumed)));

        let inside = Rc::clone(&pocket);
        let _ = start(move || *inside.borrow_mut() = Some(block_pause()));
        drop(pocket.take().expect("outside"));
        assert_pool(0, 1);
        let last = start_paused(pause_job);
        assert_eq!(last.resume().finished(), Some(Ok(Pause::Resumed)));
    });
}

#[test]
fn a_guard_outlives_its_job_and_its_slot() {
    on_own_thread(|| {
        let pocket = Pocket::default();
        let inside = Rc::clone(&pocket);
        let _ = start(move || *inside.borrow_mut() = Some(block_pause()));
        let guard = pocket.take().expect("the job's guard");
        assert_eq!(async_core::cleanup_thread(), Ok(0));
        drop(guard);
        assert_eq!(pool_stats(), None);
    });
}

#[test]
fn the_guard_of_a_job_that_waits_can_be_dropped_in_the_job_it_resumed() {
    on_own_thread(|| {
        let pocket = Pocket::default();
        let inside = Rc::clone(&pocket);
        let inner = start_paused(move || {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            drop(inside.take().expect("the outer job's guard"));
            // The inner job itself was not blocked at any time.
            assert_eq!(pause_job(), Ok(Pause::Resumed));
        });
        let outer = start_paused(move || {
            *pocket.borrow_mut() = Some(block_pause());
            assert_eq!(pause_job(), Ok(Pause::Blocked));
            let inner = inner.resume().paused().expect("it pauses twice");
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            inner.resume().finished()
        });
        assert_pool(2, 0);
        assert_eq!(outer.resume().finished(), Some(Some(())));
        assert_pool(0, 2);
    });
}

#[test]
fn a_block_of_one_job_does_not_block_another() {
    on_own_thread(|| {
        let inner = start_paused(pause_job);
        let outer = start(move || {
            let _guard = block_pause();
            let inner = inner.resume().finished();
            (inner, pause_job())
        });
        let expected = (Some(Ok(Pause::Resumed)), Ok(Pause::Blocked));
        assert_eq!(outer.finished(), Some(expected));
        assert_pool(0, 2);
    });
}

#[test]
fn a_current_job_is_good_in_its_job_only() {
    fn unusable(job: async_core::CurrentJob) -> bool {
        let uses: [&dyn Fn(); 5] = [
            &|| drop(job.wait_ctx()),
            &|| drop(job.notifier()),
            &|| drop(job.acknowledge()),
            &|| _ = job.is_cancelled(),
            &|| _ = job.can_pause(),
        ];
        uses.iter()
            .all(|f| catch_unwind(AssertUnwindSafe(f)).is_err())
    }
    on_own_thread(|| {
        let kept = Rc::new(RefCell::new(None));
        let inside = Rc::clone(&kept);
        let ctx = WaitCtx::new();
        let job = start_job(&ctx, move || {
            *inside.borrow_mut() = current_job();
            pause_job()
        });
        let job = job.expect("a slot").paused().expect("it pauses");
        let stale = kept.take().expect("the job left it");
        assert_eq!(stale.id(), job.id());
        assert!(unusable(stale), "while it is paused");
        assert_eq!(start(move || unusable(stale)).finished(), Some(true));
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert!(unusable(stale), "when it has finished");
        assert_eq!(start(move || unusable(stale)).finished(), Some(true));
        assert_eq!(async_core::cleanup_thread(), Ok(0));
        assert!(unusable(stale), "when its slot is gone");
    });
}
