//! Each thread's pool of jobs, from outside.

use std::num::NonZeroUsize;

use crate::config::PoolConfig;
use crate::error::{InitError, InsideJob};
use crate::sys;

/// Sets up this thread's pool, or sets it up anew.
///
/// Without it the first job makes a pool of the default settings. A second call changes the
/// settings: bounds take effect at once; where stacks have to be others, idle jobs are freed, and
/// jobs in use finish on the stack they have and still count against the bound.
///
/// # Errors
///
/// [`InitError`]. After [`InitError::Stack`] the pool is set up with fewer jobs made up front
/// (where OpenSSL reports a success); after any other error nothing has changed.
#[doc(alias = "ASYNC_init_thread")]
pub fn init_thread(config: &PoolConfig) -> Result<(), InitError> {
    let max_jobs = config.max_jobs.map_or(usize::MAX, NonZeroUsize::get);
    if config.init_jobs > max_jobs {
        return Err(InitError::InvalidPoolSize {
            init_jobs: config.init_jobs,
            max_jobs,
        });
    }
    let (min, max) = (PoolConfig::MIN_STACK_BYTES, PoolConfig::MAX_STACK_BYTES);
    if !(min..=max).contains(&config.stack_bytes) {
        return Err(InitError::InvalidStackSize {
            stack_bytes: config.stack_bytes,
            min,
            max,
        });
    }
    sys::init_thread(config)
}

/// Frees this thread's idle jobs and forgets its settings. Says how many of its jobs are still
/// paused: they stay whole, and are freed as they finish. (In OpenSSL they are leaked, and
/// resuming one is undefined.)
///
/// A thread that ends does this by itself. Safe with nothing to clean up, and twice.
///
/// # Errors
///
/// [`InsideJob`] inside a job, with nothing changed.
#[doc(alias = "ASYNC_cleanup_thread")]
pub fn cleanup_thread() -> Result<usize, InsideJob> {
    sys::cleanup_thread()
}

/// Gives memory of this thread's idle jobs back to the system: frees those beyond `keep_idle`, with
/// the pages of their stacks; the ones that stay keep theirs. Address space and guard pages stay, for
/// the jobs to come. Nothing else does this but the end of the pool: a stack that was used once
/// stays in memory for the next job, which is what makes starting one cheap.
///
/// For a program that had many jobs at once and will not have as many again soon. It costs about
/// 1 µs per freed job, and a job that is started on a freed stack about 2 µs more than on a warm one:
/// a page fault.
///
/// Stacks of a [`StackSource`](crate::StackSource) are released to it, and counted as jobs only.
/// Does nothing in a thread without a pool.
///
/// # Errors
///
/// [`InsideJob`] inside a job, with nothing changed.
///
/// ```
/// use async_core::{PoolConfig, init_thread, trim_thread};
///
/// init_thread(&PoolConfig { init_jobs: 100, ..PoolConfig::default() })?;
/// let trimmed = trim_thread(10)?;
/// assert_eq!(trimmed.jobs, 90);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn trim_thread(keep_idle: usize) -> Result<Trimmed, InsideJob> {
    sys::trim_thread(keep_idle)
}

/// What [`trim_thread`] gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trimmed {
    /// Idle jobs that were freed.
    pub jobs: usize,
    /// Bytes of memory that went back to the system, in whole pages: what was in memory, not what
    /// is reserved. Of built-in stacks only. 0 where the system does not take memory back: where it
    /// is locked, and elsewhere than on Linux.
    pub bytes: usize,
}

/// How the stacks of a pool are guarded against overflow. A pool takes the best way that the system
/// has, and the next one when it is refused; it does not go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guard {
    /// By guard pages in the page table (`MADV_GUARD_INSTALL`, Linux 6.13): any number of jobs.
    /// Not in memory that is locked (`mlockall`).
    Advised,
    /// By pages without access rights (`mprotect`), two mappings each: at most about 30,700 jobs per
    /// process at Linux's default `vm.max_map_count`, with 4,096 mappings left to the rest of the
    /// program.
    Protected,
    /// Not at all, as [`PoolConfig::allow_unguarded`] permits: any number of jobs, and an overflow
    /// overwrites the job below. Stacks that were made before the system refused have their guard.
    Unguarded,
    /// However the [`StackSource`](crate::StackSource) does it, or not at all.
    Source,
}

/// What a thread's pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The bound, if any.
    pub max_jobs: Option<NonZeroUsize>,
    /// Jobs that are running or paused, forgotten ones included.
    pub in_use: usize,
    /// Jobs that wait to be started.
    pub idle: usize,
    /// Jobs started on this thread so far.
    pub started: u64,
    /// The size of a stack in bytes, control block included, guard page not.
    pub stack_bytes: usize,
    /// How stacks are guarded: the one made last, and each made before it no worse. `None` before
    /// the first stack was made.
    pub guard: Option<Guard>,
}

/// What this thread's pool holds, or `None` if it has none yet.
#[must_use]
pub fn pool_stats() -> Option<PoolStats> {
    sys::pool_stats()
}

/// How many jobs of this process were still paused when their thread ended. Their stacks, and
/// everything on them, stay for ever.
#[must_use]
pub fn leaked_jobs() -> u64 {
    sys::leaked_jobs()
}
