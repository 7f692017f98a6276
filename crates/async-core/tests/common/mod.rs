//! What several of these tests need.

#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::cell::Cell;
use std::rc::Rc;

use async_core::{Job, JobOutcome, pool_stats, start_job};
use waitctx::WaitCtx;

/// Runs `f` on a thread of its own, so that it finds no pool and leaves none behind, and waits
/// until that thread's thread-locals are destroyed too.
pub(crate) fn on_own_thread<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(f).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Starts a job under a context of its own.
#[track_caller]
pub(crate) fn start<R: 'static>(closure: impl FnOnce() -> R + 'static) -> JobOutcome<R> {
    start_job(&WaitCtx::new(), closure).expect("there is a slot")
}

/// Starts a job that pauses.
#[track_caller]
pub(crate) fn start_paused<R: 'static>(closure: impl FnOnce() -> R + 'static) -> Job<R> {
    start(closure).paused().expect("the job pauses")
}

/// What this thread's pool holds.
#[track_caller]
pub(crate) fn assert_pool(in_use: usize, idle: usize) {
    let stats = pool_stats().expect("the thread has a pool");
    assert_eq!((stats.in_use, stats.idle), (in_use, idle), "(in use, idle)");
}

/// Counts how many of its tokens were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Rc<Cell<usize>>);

/// A value whose drop is counted.
pub(crate) struct Token(Rc<Cell<usize>>);

impl Drops {
    pub(crate) fn token(&self) -> Token {
        Token(Rc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A place in which a job notes how far it has come.
#[derive(Clone, Default)]
pub(crate) struct Steps(Rc<Cell<u64>>);

impl Steps {
    pub(crate) fn next(&self) {
        self.0.set(self.0.get() + 1);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.get()
    }
}
