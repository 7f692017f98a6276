//! What OpenSSL's own test of its jobs checks, asked of ours: one test per case, in its order.
//!
//! Its case about library contexts (the seventh) concerns libcrypto only, and the one about memory
//! functions (the eighth) is that of a stack source.

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_core::{
    JobId, Pause, PoolConfig, block_pause, cleanup_thread, current_job, init_thread, is_capable,
    pause_job, pool_stats, start_job,
};
use common::{assert_pool, on_own_thread};
use heap::HeapStacks;
use waitctx::{Callback, Key, Notified, Status, WaitCtx, WaitFd};

/// Each case ends with a cleanup, after which a new pool must work.
fn case(run: impl FnOnce() + Send) {
    on_own_thread(|| {
        assert!(is_capable());
        run();
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!(pool_stats(), None);
        let again = start_job(&WaitCtx::new(), || 1).expect("a new pool");
        assert_eq!(again.finished(), Some(1));
        assert_eq!(cleanup_thread(), Ok(0));
    });
}

fn pool(max_jobs: usize, init_jobs: usize) {
    init_thread(&PoolConfig {
        max_jobs: max_jobs.try_into().ok(),
        init_jobs,
        ..PoolConfig::default()
    })
    .expect("a sound configuration");
}

fn only_pause() -> i32 {
    assert_eq!(pause_job(), Ok(Pause::Resumed));
    1
}

#[test]
fn case_1_a_pool_of_two() {
    case(|| {
        pool(2, 0);
        let ctx = WaitCtx::new();
        let start = || start_job(&ctx, only_pause);
        let first = start().expect("the first").paused().expect("it pauses");
        let second = start().expect("the second").paused().expect("it pauses");
        assert!(start().expect_err("there is no third").is_no_jobs());
        assert_eq!(first.resume().finished(), Some(1));
        let third = start().expect("now there is").paused().expect("it pauses");
        assert_eq!(second.resume().finished(), Some(1));
        assert_eq!(third.resume().finished(), Some(1));
        assert_pool(0, 2);
    });
}

#[test]
fn case_2_callback_and_status() {
    case(|| {
        pool(1, 0);
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let ctx = WaitCtx::new();
        assert!(ctx.callback().is_none());
        let callback = Callback::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        assert!(ctx.set_callback(callback).expect("no fd").is_none());
        let found = ctx.callback().expect("it was set");
        found.call().expect("it has no fd to fail");
        assert_eq!(calls.load(Ordering::Relaxed), 1, "it is the same one");
        assert_eq!(ctx.status(), Status::Unsupported);
        ctx.set_status(Status::Err);
        assert_eq!(ctx.status(), Status::Err);
        // What OpenSSL leaves to its engines.
        let notifier = ctx.notifier().expect("no fd is needed");
        let told = notifier.notify(Status::Ok).expect("a call");
        assert_eq!((told, ctx.status()), (Notified::Callback, Status::Ok));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn case_3_start_pause_finish() {
    case(|| {
        let count = Rc::new(Cell::new(0));
        let counter = Rc::clone(&count);
        let job = start_job(&WaitCtx::new(), move || {
            counter.set(1);
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            counter.set(2);
            2
        });
        let job = job.expect("a slot").paused().expect("it pauses");
        assert_eq!(count.get(), 1);
        assert_eq!(job.resume().finished(), Some(2));
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn case_4_the_current_job() {
    case(|| {
        pool(1, 0);
        assert!(current_job().is_none());
        let seen: Rc<Cell<Option<JobId>>> = Rc::default();
        let note = Rc::clone(&seen);
        let job = start_job(&WaitCtx::new(), move || {
            note.set(current_job().map(|job| job.id()));
            only_pause()
        });
        let job = job.expect("a slot").paused().expect("it pauses");
        assert_eq!(seen.get(), Some(job.id()));
        assert!(current_job().is_none());
        assert_eq!(job.resume().finished(), Some(1));
    });
}

#[test]
fn case_5_wait_fds() {
    /// Any number does: it is never opened.
    const FD: i32 = 99;
    case(|| {
        let ctx = WaitCtx::new();
        let key = Key::new();
        let job = start_job(&ctx, move || {
            let ctx = current_job().expect("in a job").wait_ctx();
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            ctx.set_wait_fd(key, WaitFd::foreign(FD))
                .expect("a new key");
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            let fd = ctx.fd(key);
            drop(ctx.clear_fd(key).expect("it was set"));
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            ctx.set_wait_fd(key, WaitFd::foreign(FD))
                .expect("a new key");
            drop(ctx.clear_fd(key).expect("it was set"));
            (1, fd)
        });
        let expect = |all: &[i32], added: &[i32], removed: &[i32]| {
            assert_eq!(
                (&ctx.all_fds()[..], ctx.fd(key)),
                (all, all.first().copied())
            );
            let changes = ctx.changes();
            assert_eq!((&changes.added[..], &changes.removed[..]), (added, removed));
        };
        let job = job.expect("a slot").paused().expect("round 1");
        expect(&[], &[], &[]);
        let job = job.resume().paused().expect("round 2");
        expect(&[FD], &[FD], &[]);
        let job = job.resume().paused().expect("round 3");
        expect(&[], &[], &[FD]);
        // Asked after the job has finished.
        assert_eq!(job.resume().finished(), Some((1, Some(FD))));
        expect(&[], &[], &[]);
    });
}

#[test]
fn case_6_blocked_pauses() {
    case(|| {
        pool(1, 0);
        let job = start_job(&WaitCtx::new(), || {
            let blocked = block_pause();
            assert_eq!(pause_job(), Ok(Pause::Blocked));
            drop(blocked);
            only_pause()
        });
        let job = job.expect("a slot").paused().expect("exactly one pause");
        assert_eq!(job.resume().finished(), Some(1));
    });
}

#[test]
fn case_8_stacks_from_elsewhere() {
    case(|| {
        let source = HeapStacks::default().shared();
        init_thread(&PoolConfig {
            max_jobs: 1.try_into().ok(),
            init_jobs: 1,
            stack_source: Some(Arc::clone(&source) as _),
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        assert_eq!(source.asked(), [PoolConfig::default().stack_bytes]);
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 1));
    });
}
