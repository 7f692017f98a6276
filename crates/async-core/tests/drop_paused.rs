//! A paused job is dropped, or forgotten.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

use async_core::{
    Cancelled, Pause, PoolConfig, StartError, cleanup_thread, current_job, init_thread, pause_job,
    start_job,
};
use common::{Drops, Steps, Token, assert_pool, on_own_thread, start, start_paused};
use waitctx::{Key, WaitCtx, WaitFd};

/// Panics when it is dropped. Counted first.
struct Bomb(#[expect(dead_code, reason = "its drop is counted")] Token);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any("a destructor");
    }
}

#[test]
fn dropping_cancels() {
    on_own_thread(|| {
        let (drops, steps) = (Drops::default(), Steps::default());
        let (inside, seen) = (drops.clone(), steps.clone());
        let captured = drops.token();
        let job = start_paused(move || {
            let _captured = captured;
            let _local = inside.token();
            let result = inside.token();
            assert_eq!(pause_job(), Err(Cancelled));
            assert!(current_job().expect("in a job").is_cancelled());
            seen.next();
            result
        });
        assert_eq!((drops.count(), steps.count()), (0, 0));
        assert_pool(1, 0);
        drop(job);
        assert_eq!((drops.count(), steps.count()), (3, 1));
        assert!(current_job().is_none());
        assert_pool(0, 1);
    });
}

#[test]
fn an_outcome_that_is_not_looked_at_cancels() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let outcome = start(move || {
            let _token = token;
            pause_job()
        });
        assert_eq!(outcome.finished(), None);
        assert_eq!(drops.count(), 1);
        assert_pool(0, 1);
    });
}

#[test]
fn dropping_many_at_once() {
    on_own_thread(|| {
        let drops = Drops::default();
        let jobs: Vec<_> = (0..100)
            .map(|_| {
                let token = drops.token();
                start_paused(move || (pause_job(), token))
            })
            .collect();
        assert_pool(100, 0);
        drop(jobs);
        assert_eq!(drops.count(), 100);
        assert_pool(0, 100);
    });
}

/// Nobody is there to take what comes out of a dropped job, so no panic may: a destructor that
/// panics while its thread unwinds ends the process.
fn no_panic_comes_out(drop_it: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(drop_it)).is_ok());
    assert_pool(0, 1);
    let next = start_paused(pause_job);
    assert_eq!(next.resume().finished(), Some(Ok(Pause::Resumed)));
    assert_pool(0, 1);
}

#[test]
fn a_panic_of_the_job_is_swallowed() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let job = start_paused(move || {
            let _token = token;
            let _ = pause_job();
            panic_any("nobody hears it");
        });
        no_panic_comes_out(|| drop(job));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_panic_in_the_drop_of_the_result_is_swallowed() {
    on_own_thread(|| {
        let drops = Drops::default();
        let bomb = Bomb(drops.token());
        let job = start_paused(move || (pause_job(), bomb));
        no_panic_comes_out(|| drop(job));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_panic_in_the_drop_of_the_panic_is_swallowed() {
    on_own_thread(|| {
        /// Panics when it is dropped, with one that is left to panic one time less.
        struct Again(u32);
        impl Drop for Again {
            fn drop(&mut self) {
                if let Some(left) = self.0.checked_sub(1) {
                    panic_any(Again(left));
                }
            }
        }
        let job = start_paused(|| {
            let _ = pause_job();
            panic_any(Again(3));
        });
        no_panic_comes_out(|| drop(job));
    });
}

#[test]
fn a_panic_in_a_cleanup_of_the_context_is_swallowed() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let fd = WaitFd::foreign(99).on_cleanup(|_, _, _, _| panic_any("a cleanup"));
        ctx.set_wait_fd(Key::new(), fd).expect("a new key");
        let drops = Drops::default();
        let token = drops.token();
        let outcome = start_job(&ctx, move || (pause_job(), token));
        let job = outcome.expect("a slot").paused().expect("it pauses");
        drop(ctx);
        no_panic_comes_out(|| drop(job));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_host_that_unwinds_drops_its_jobs() {
    on_own_thread(|| {
        let drops = Drops::default();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _jobs: Vec<_> = (0..5)
                .map(|n| {
                    let token = drops.token();
                    start_paused(move || {
                        let _token = token;
                        assert_eq!(pause_job(), Err(Cancelled));
                        assert!(n % 2 == 0, "every other one panics in turn");
                    })
                })
                .collect();
            assert_pool(5, 0);
            panic_any("the host");
        }));
        let payload = unwound.expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&"the host"));
        assert_eq!(drops.count(), 5);
        assert_pool(0, 5);
    });
}

#[test]
fn a_forgotten_job_keeps_its_slot() {
    on_own_thread(|| {
        init_thread(&PoolConfig {
            max_jobs: 2.try_into().ok(),
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        let drops = Drops::default();
        let token = drops.token();
        std::mem::forget(start_paused(move || (pause_job(), token)));
        assert_pool(1, 0);
        let other = start_paused(pause_job);
        let refused = start_job(&WaitCtx::new(), || ()).expect_err("the pool is full");
        assert!(matches!(refused, StartError::NoJobs(_)));
        drop(other);
        assert_pool(1, 1);
        assert_eq!(cleanup_thread(), Ok(1));
        assert_eq!(drops.count(), 0);
    });
}
