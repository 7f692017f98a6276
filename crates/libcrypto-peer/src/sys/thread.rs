//! What belongs to one thread: its job pool, and what we must know to keep its jobs safe.

use std::cell::Cell;
use std::marker::PhantomData;

use super::guard;
use super::library::Libcrypto;
use crate::InitError;

/// This crate's record of the thread. Without a destructor, so it can be read until the thread is gone.
struct ThreadRecord {
    /// An address near the top of the stack of the job that [`super::job`] has switched to; 0 if none.
    stack_mark: Cell<usize>,
    /// How often the thread's pool was cleaned up. A job started before the last time is lost.
    cleanups: Cell<u64>,
    /// Whether a [`ThreadGuard`] is alive.
    guarded: Cell<bool>,
}

thread_local! {
    static RECORD: ThreadRecord = const {
        ThreadRecord {
            stack_mark: Cell::new(0),
            cleanups: Cell::new(0),
            guarded: Cell::new(false),
        }
    };
}

pub(super) fn stack_mark() -> usize {
    RECORD.with(|record| record.stack_mark.get())
}

pub(super) fn set_stack_mark(mark: usize) {
    RECORD.with(|record| record.stack_mark.set(mark));
}

pub(super) fn cleanups() -> u64 {
    RECORD.with(|record| record.cleanups.get())
}

/// Jobs that are paused now must not be resumed.
pub(super) fn count_cleanup() {
    RECORD.with(|record| record.cleanups.set(record.cleanups.get() + 1));
}

/// The job pool of the thread that made it, freed when dropped. Bound to that thread: not `Send`.
///
/// Dropping it frees the idle jobs. Jobs still paused then are lost: [`PeerJob::resume`] says
/// [`ResumeError::CleanedUp`], and they are leaked. So drop it last.
///
/// Dropped inside a job, which libcrypto does not survive, it does nothing; the pool then stays until
/// the thread ends. The same goes for a guard that is forgotten.
///
/// [`PeerJob::resume`]: crate::PeerJob::resume
/// [`ResumeError::CleanedUp`]: crate::ResumeError::CleanedUp
#[doc(alias = "ASYNC_cleanup_thread")]
#[must_use = "dropping the guard frees the thread's job pool again"]
#[derive(Debug)]
pub struct ThreadGuard {
    libcrypto: Libcrypto,
    _bound_to_thread: PhantomData<*mut ()>,
}

impl Libcrypto {
    /// Makes this thread's job pool: `init` jobs and their stacks now, never more than `max` jobs at
    /// once, running, paused and idle together. (0, 0) means no bound.
    ///
    /// Optional: without it the first start makes a pool without a bound, which lasts as long as the
    /// thread. Call it before that, or libcrypto leaks that pool's idle jobs and stops counting its
    /// busy ones.
    ///
    /// # Errors
    ///
    /// - [`InitError::Peer`] if `init` is above `max`; this includes a `max` of 0 with any `init` but 0.
    ///   Not if there was memory for some of the `init` jobs only: libcrypto calls that a success.
    /// - [`InitError::AlreadyInitialised`] while an earlier guard of this thread lives.
    /// - [`InitError::InsideJob`] inside a job.
    #[doc(alias = "ASYNC_init_thread")]
    pub fn init_thread(&self, max: usize, init: usize) -> Result<ThreadGuard, InitError> {
        if RECORD.with(|record| record.guarded.get()) {
            return Err(InitError::AlreadyInitialised);
        }
        if self.current_job_exists() {
            return Err(InitError::InsideJob);
        }
        // SAFETY: no preconditions in C; all it does with an existing pool is to lose it.
        let made = unsafe { (self.api.functions.init_thread)(max, init) };
        if made != 1 {
            return Err(self.api.failure("ASYNC_init_thread").into());
        }
        RECORD.with(|record| record.guarded.set(true));
        Ok(ThreadGuard {
            libcrypto: *self,
            _bound_to_thread: PhantomData,
        })
    }
}

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        if self.libcrypto.current_job_exists() {
            return;
        }
        // The stacks go back to the heap, whole.
        guard::lift();
        // SAFETY: frees the idle jobs and the record of the host's stack that running and paused jobs
        // return through. No job is running on this thread: we just asked. Jobs that are paused will
        // not be resumed: ours because of the count below, others because whoever uses `raw` has
        // promised so.
        unsafe { (self.libcrypto.api.functions.cleanup_thread)() };
        count_cleanup();
        RECORD.with(|record| record.guarded.set(false));
    }
}
