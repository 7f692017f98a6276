//! A stack source that uses this crate while it is asked for a stack, or handed one back: whatever
//! it does to the pool that calls it, nothing is freed under that pool's feet.

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;

use async_core::{
    Cancelled, InitError, Job, Pause, PoolConfig, StartError, cleanup_thread, init_thread,
    pause_job, pool_stats, start_job, trim_thread,
};
use common::{assert_pool, on_own_thread, start, start_paused};
use heap::HeapStacks;
use waitctx::WaitCtx;

type Paused = Job<Result<Pause, Cancelled>>;

thread_local! {
    /// What the source does next, once.
    static NEXT: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn next(f: impl FnOnce() + 'static) {
    NEXT.with(|next| *next.borrow_mut() = Some(Box::new(f)));
}

fn do_next() {
    if let Some(f) = NEXT.with(|next| next.borrow_mut().take()) {
        f();
    }
}

fn calling_source() -> Arc<HeapStacks> {
    HeapStacks::default()
        .on_allocate(|| {
            do_next();
            Ok(())
        })
        .on_release(|_| do_next())
        .shared()
}

fn config(source: &Arc<HeapStacks>, max_jobs: usize, init_jobs: usize) -> PoolConfig {
    PoolConfig {
        max_jobs: max_jobs.try_into().ok(),
        init_jobs,
        stack_bytes: 128 << 10,
        stack_source: Some(Arc::clone(source) as _),
        ..PoolConfig::default()
    }
}

fn pause_some(count: usize) -> Vec<Paused> {
    (0..count).map(|_| start_paused(pause_job)).collect()
}

/// Everything was released, and the thread works as if new.
fn assert_clean(source: &Arc<HeapStacks>) {
    assert_eq!(cleanup_thread(), Ok(0));
    assert_eq!(source.out(), 0);
    assert_eq!(Arc::strong_count(source), 1, "no pool holds it");
    assert_eq!(start(|| 6).finished(), Some(6));
    assert_pool(0, 1);
}

#[test]
fn cleanup_while_a_stack_is_allocated_for_a_start() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        next(|| assert_eq!(cleanup_thread(), Ok(0)));
        let refused = start_job(&WaitCtx::new(), || 5).expect_err("its pool is gone");
        let StartError::Stack { closure, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!((closure(), pool_stats()), (5, None));
        assert_clean(&source);
    });
}

#[test]
fn cleanup_while_jobs_are_made_up_front() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 1)).expect("a sound configuration");
        next(|| assert_eq!(cleanup_thread(), Ok(0)));
        let error = init_thread(&config(&source, 4, 3)).expect_err("the pool is gone");
        assert!(matches!(error, InitError::Stack { .. }), "{error}");
        assert_eq!(pool_stats(), None);
        assert_clean(&source);
    });
}

#[test]
fn another_pool_is_set_up_while_a_stack_is_allocated() {
    on_own_thread(|| {
        let source = calling_source();
        let other = config(&source, 7, 2);
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        next(move || {
            init_thread(&PoolConfig {
                stack_bytes: 192 << 10,
                ..other
            })
            .expect("no stack was made yet");
        });
        let refused = start_job(&WaitCtx::new(), || 5).expect_err("its pool is gone");
        assert!(matches!(refused, StartError::Stack { .. }));
        assert_pool(0, 2);
        let stats = pool_stats().expect("the other pool");
        assert_eq!(
            (stats.max_jobs, stats.stack_bytes),
            (7.try_into().ok(), 192 << 10)
        );
        assert_clean(&source);
    });
}

#[test]
fn a_job_is_started_while_a_stack_is_allocated() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        next(|| {
            let job = start_paused(pause_job);
            assert_pool(1, 0);
            drop(job);
            assert_pool(0, 1);
        });
        assert_eq!(start(|| 5).finished(), Some(5));
        assert_pool(0, 2);
        assert_clean(&source);
    });
}

#[test]
fn cleanup_while_idle_jobs_are_freed() {
    on_own_thread(|| {
        let source = calling_source();
        // By a cleanup.
        init_thread(&config(&source, 4, 4)).expect("a sound configuration");
        next(|| assert_eq!(cleanup_thread(), Ok(0)));
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 4));
        // By a smaller bound.
        init_thread(&config(&source, 4, 4)).expect("a sound configuration");
        next(|| assert_eq!(cleanup_thread(), Ok(0)));
        init_thread(&config(&source, 1, 0)).expect("a smaller bound");
        assert_eq!((pool_stats(), source.out()), (None, 0));
        // By a job that is one too many.
        init_thread(&config(&source, 2, 0)).expect("a sound configuration");
        let mut jobs = pause_some(2);
        init_thread(&config(&source, 1, 0)).expect("a smaller bound");
        next(|| assert_eq!(cleanup_thread(), Ok(1)));
        drop(jobs.pop());
        assert_eq!((pool_stats(), source.out()), (None, 1));
        drop(jobs);
        assert_clean(&source);
    });
}

#[test]
fn jobs_end_while_the_pool_they_belong_to_is_closed() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        let mut jobs = pause_some(4);
        drop(jobs.split_off(3));
        assert_pool(3, 1);
        // While the idle one is freed, the others end: the pool has nothing left then.
        next(move || {
            drop(jobs);
            assert_eq!(pool_stats(), None);
        });
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 4));
        assert_clean(&source);
    });
}

#[test]
fn the_last_jobs_of_a_closed_pool_end_within_each_other() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        let mut jobs = pause_some(3);
        assert_eq!(cleanup_thread(), Ok(3));
        let first = jobs.remove(0);
        next(move || {
            let last = jobs.pop();
            next(move || drop(last));
            drop(jobs);
        });
        assert_eq!(first.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_eq!((source.out(), source.released()), (0, 3));
        assert_clean(&source);
    });
}

#[test]
fn a_job_pauses_while_the_stack_of_another_is_released() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        let inner = start_paused(pause_job);
        let outer = start_paused(move || {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            next(|| assert_eq!(pause_job(), Ok(Pause::Resumed)));
            inner.resume().finished()
        });
        assert_eq!(cleanup_thread(), Ok(2));
        let outer = outer.resume().paused().expect("it pauses in the release");
        assert_eq!(cleanup_thread(), Ok(1));
        let finished = outer.resume().finished();
        assert_eq!(finished, Some(Some(Ok(Pause::Resumed))));
        assert_clean(&source);
    });
}

#[test]
fn cleanup_while_the_pool_is_trimmed() {
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 4)).expect("a sound configuration");
        next(|| assert_eq!(cleanup_thread(), Ok(0)));
        // The others went with the pool.
        assert_eq!(trim_thread(1).map(|trimmed| trimmed.jobs), Ok(1));
        assert_eq!((pool_stats(), source.out()), (None, 0));
        // And a job is started on what is still there.
        init_thread(&config(&source, 4, 4)).expect("a sound configuration");
        next(|| assert_eq!(start(|| 5).finished(), Some(5)));
        assert_eq!(trim_thread(1).map(|trimmed| trimmed.jobs), Ok(3));
        assert_pool(0, 1);
        assert_clean(&source);
    });
}

#[test]
fn a_source_panics() {
    fn panics(f: impl FnOnce()) {
        let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"the source"));
    }
    on_own_thread(|| {
        let source = calling_source();
        init_thread(&config(&source, 4, 0)).expect("a sound configuration");
        next(|| panic_any("the source"));
        panics(|| drop(start(|| 5)));
        assert_pool(0, 0);
        next(|| panic_any("the source"));
        panics(|| drop(init_thread(&config(&source, 4, 2))));
        assert_pool(0, 0);

        let jobs = pause_some(4);
        init_thread(&config(&source, 3, 0)).expect("a smaller bound");
        // One too many: its stack is released when it ends.
        let mut jobs = jobs.into_iter();
        let first = jobs.next().expect("four were started");
        next(|| panic_any("the source"));
        panics(|| drop(first.resume()));
        assert_pool(3, 0);
        drop(jobs);
        assert_pool(0, 3);
        next(|| panic_any("the source"));
        panics(|| assert_eq!(cleanup_thread(), Ok(0)));
        assert_eq!(pool_stats(), None);
        assert_eq!(start(|| 6).finished(), Some(6));
        assert_pool(0, 1);
    });
}

/// Says when it is dropped.
struct Last(Box<dyn Fn() + Send + Sync>);

impl Drop for Last {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn the_drop_of_a_source_uses_the_pool() {
    on_own_thread(|| {
        let last = Last(Box::new(|| {
            assert_eq!(start(|| 9).finished(), Some(9));
            assert_eq!(cleanup_thread(), Ok(0));
        }));
        let source = HeapStacks::default()
            .on_allocate(move || {
                let _ = &last;
                Ok::<(), io::Error>(())
            })
            .shared();
        init_thread(&config(&source, 4, 2)).expect("a sound configuration");
        let job = start_paused(pause_job);
        drop(source);
        assert_eq!(cleanup_thread(), Ok(1));
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_eq!(pool_stats(), None);
    });
}
