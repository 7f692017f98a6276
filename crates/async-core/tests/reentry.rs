//! Code of the user's that this crate calls, or that runs when it drops something, uses jobs itself.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::panic_any;
use std::rc::Rc;

use async_core::{
    Cancelled, Job, JobSet, Pause, PoolConfig, WakeBy, cleanup_thread, current_job, init_thread,
    pause_job, pool_stats, start_job,
};
use common::{assert_pool, on_own_thread, start, start_paused};
use waitctx::{Key, WaitCtx, WaitFd};

type Paused = Job<Result<Pause, Cancelled>>;

thread_local! {
    /// What the cleanup functions do, which cannot hold jobs themselves: they may be called on any
    /// thread.
    static IN_CLEANUP: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

fn in_cleanup(f: impl FnOnce() + 'static) {
    IN_CLEANUP.with(|todo| todo.borrow_mut().push(Box::new(f)));
}

/// A job that has the only reference to its context, and pauses once.
fn last_of_its_context() -> Paused {
    let ctx = WaitCtx::new();
    let fd = WaitFd::foreign(99).on_cleanup(|_, _, _, _| {
        let todo = IN_CLEANUP.with(|todo| todo.take());
        todo.into_iter().for_each(|f| f());
    });
    ctx.set_wait_fd(Key::new(), fd).expect("a new key");
    let outcome = start_job(&ctx, pause_job);
    outcome.expect("a slot").paused().expect("it pauses")
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_cleanup_of_the_context_starts_a_job_on_the_slot_that_was_just_freed() {
    on_own_thread(|| {
        let job = last_of_its_context();
        let kept = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&kept);
        in_cleanup(move || {
            assert!(current_job().is_none());
            assert_pool(0, 1);
            *keep.borrow_mut() = Some(start_paused(pause_job));
            assert_pool(1, 0);
        });
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(1, 0);
        let second = kept.take().expect("it was started");
        assert_eq!(second.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 1);
    });
}

#[test]
fn a_cleanup_of_the_context_closes_the_pool() {
    on_own_thread(|| {
        for _ in 0..2 {
            let job = last_of_its_context();
            in_cleanup(|| assert_eq!(cleanup_thread(), Ok(0)));
            assert_eq!(job.cancel(), Err(Cancelled));
            assert_eq!(pool_stats(), None);
            let job = last_of_its_context();
            assert_eq!(cleanup_thread(), Ok(1));
            in_cleanup(|| {
                init_thread(&PoolConfig {
                    init_jobs: 2,
                    ..PoolConfig::default()
                })
                .expect("a sound configuration");
            });
            drop(job);
            assert_pool(0, 2);
            assert_eq!(cleanup_thread(), Ok(0));
        }
    });
}

#[test]
fn cleanups_of_contexts_end_one_job_after_the_other() {
    on_own_thread(|| {
        let mut jobs: Vec<_> = (0..20).map(|_| last_of_its_context()).collect();
        fn end_next(mut jobs: Vec<Paused>) {
            if let Some(job) = jobs.pop() {
                in_cleanup(move || end_next(jobs));
                drop(job);
            }
        }
        assert_pool(20, 0);
        let first = jobs.pop().expect("twenty");
        in_cleanup(move || end_next(jobs));
        assert_eq!(first.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 20);
    });
}

/// The cleanup runs on the stack of the job that ended the other one, and may pause that.
#[test]
fn a_cleanup_of_the_context_pauses_the_job_it_runs_in() {
    on_own_thread(|| {
        let inner = last_of_its_context();
        let outer = start_paused(move || {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            in_cleanup(|| assert_eq!(pause_job(), Ok(Pause::Resumed)));
            inner.resume().finished()
        });
        let outer = outer.resume().paused().expect("it pauses in the cleanup");
        assert_pool(1, 1);
        assert_eq!(cleanup_thread(), Ok(1));
        let inner = outer.resume().finished().expect("it pauses twice");
        assert_eq!(inner, Some(Ok(Pause::Resumed)));
        assert_eq!(pool_stats(), None);
    });
}

#[test]
fn the_drop_of_a_result_uses_jobs() {
    on_own_thread(|| {
        let drops = Rc::new(Cell::new(0));
        let count = Rc::clone(&drops);
        let job = start_paused(move || {
            let _ = pause_job();
            OnDrop(move || {
                assert!(current_job().is_none());
                assert_eq!(start(|| 4).finished(), Some(4));
                assert_eq!(cleanup_thread(), Ok(0));
                count.set(count.get() + 1);
            })
        });
        drop(job);
        assert_eq!((drops.get(), pool_stats()), (1, None));
    });
}

#[test]
fn the_drops_of_a_closure_pause() {
    on_own_thread(|| {
        let said = Rc::new(RefCell::new(Vec::new()));
        let note = Rc::clone(&said);
        let captured = OnDrop(move || note.borrow_mut().push(pause_job()));
        let mut outcome = start(move || {
            let _captured = captured;
        });
        let mut pauses = 0;
        while let async_core::JobOutcome::Paused(job) = outcome {
            pauses += 1;
            outcome = job.resume();
        }
        assert_eq!((pauses, &said.borrow()[..]), (1, &[Ok(Pause::Resumed)][..]));
        assert_pool(0, 1);
    });
}

#[test]
fn a_closure_that_comes_back_uses_jobs_when_it_is_dropped() {
    on_own_thread(|| {
        init_thread(&PoolConfig {
            max_jobs: 1.try_into().ok(),
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        let other = RefCell::new(Some(start_paused(pause_job)));
        let captured = OnDrop(move || {
            drop(other.take());
            assert_eq!(start(|| 4).finished(), Some(4));
        });
        let refused = start_job(&WaitCtx::new(), move || drop(captured));
        assert_pool(1, 0);
        drop(refused);
        assert_pool(0, 1);
    });
}

#[test]
fn who_takes_the_results_of_a_set_uses_jobs() {
    on_own_thread(|| {
        let mut set = JobSet::new(3, WakeBy::Polling).expect("no fd is needed");
        let mut others = Vec::new();
        set.run(
            (0..10).map(|n| move || (n, pause_job())),
            |index, (n, _)| {
                assert_eq!(index, n);
                assert!(current_job().is_none());
                others.push(start_paused(pause_job));
            },
        )
        .expect("nothing fails");
        assert_eq!(others.len(), 10);
        drop(set);
        drop(others);
        assert_eq!(pool_stats().map(|s| (s.in_use, s.started)), Some((0, 20)));
    });
}

/// The set is borrowed while it runs its jobs: one of them that wants it is told so by the cell.
#[test]
fn a_job_of_a_set_cannot_use_the_set() {
    on_own_thread(|| {
        let set = Rc::new(RefCell::new(
            JobSet::new(3, WakeBy::Polling).expect("no fd is needed"),
        ));
        let own = Rc::clone(&set);
        let paused = set.borrow_mut().start(1, move || {
            let _ = pause_job();
            own.try_borrow_mut().is_err()
        });
        assert!(matches!(paused, Ok(None)));
        let turn = set.borrow_mut().turn(None, |_, busy| assert!(busy));
        assert_eq!(turn.expect("nothing fails"), 1);
        set.borrow_mut().cancel_all(|_, _| panic_any("it is empty"));
        assert_pool(0, 1);
    });
}
