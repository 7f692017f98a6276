//! How a thread's pool of jobs is set up.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::sys::{StackSource, Unguarded};

/// The settings of a thread's pool, for [`init_thread`](crate::init_thread).
///
/// ```
/// use async_core::PoolConfig;
///
/// let config = PoolConfig {
///     max_jobs: 1000.try_into().ok(),
///     init_jobs: 16,
///     ..PoolConfig::default()
/// };
/// async_core::init_thread(&config)?;
/// # Ok::<(), async_core::InitError>(())
/// ```
#[derive(Clone)]
pub struct PoolConfig {
    /// The bound on jobs, in use and idle together; `None` for no bound. Default: `None`.
    pub max_jobs: Option<NonZeroUsize>,
    /// How many idle jobs to make at once. Default: 0.
    pub init_jobs: usize,
    /// The size of a job's stack in bytes, control block included, guard page not; rounded up to
    /// whole pages. Only pages that are touched use memory.
    ///
    /// Default: 64 KiB, or 256 KiB with debug assertions. (OpenSSL's is 32 KiB without a guard
    /// page. A TLS handshake in Rust was measured at 13 to 20 KiB in release builds and 46 to
    /// 74 KiB in debug builds, and a panic with a backtrace at 22 KiB on top.)
    ///
    /// [`scan_high_water`](crate::scan_high_water) says how much was used, and
    /// [`report_stack_overflow`](crate::report_stack_overflow) that it was too little.
    pub stack_bytes: usize,
    /// Whether a slot is wiped each time its job has finished, for jobs that handle secrets: the
    /// stack, and what was in place of closure and result. What a job put on the heap is its own
    /// to wipe; so are a closure or a result above [128 bytes](crate::start_job#memory), which are
    /// kept in a box. Default: no.
    ///
    /// Measured (release, start to finish, stacks of 64 KiB): an empty job takes 13 ns without and
    /// 310 to 390 ns with it, 25 to 30 times as long, for a system call and the rest of a page
    /// overwritten. A job that uses 16 KiB takes 110 ns without and 8.2 µs with it, 70 times as
    /// long: its pages go back to the system, so the next job takes a page fault for each page that
    /// it touches.
    ///
    /// Valgrind takes a wipe for a write below a stack pointer; with the suppressions in this
    /// crate's `valgrind.supp` it does not.
    pub wipe_stacks: bool,
    /// Permits a stack without a guard page where the system refuses one, for those who can promise
    /// that no job goes deeper than its stack: an overflow then overwrites another job's memory,
    /// silently. It only permits; guards are used for as long as the system has them, and
    /// [`PoolStats::guard`](crate::PoolStats::guard) says when it has not. Without it a job that
    /// cannot have one is not started ([`StartError::Stack`](crate::StartError::Stack)). Of no
    /// meaning with a `stack_source`. Default: `None`.
    pub allow_unguarded: Option<Unguarded>,
    /// Where stacks come from; `None` for the built-in one, which maps them with a guard page
    /// below each. Default: `None`.
    pub stack_source: Option<Arc<dyn StackSource>>,
}

impl PoolConfig {
    /// The smallest stack that is accepted, in bytes: room for a few calls, not for crypto.
    pub const MIN_STACK_BYTES: usize = 8 * 1024;
    /// The largest stack that is accepted, in bytes: 1 GiB.
    pub const MAX_STACK_BYTES: usize = 1 << 30;
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            max_jobs: None,
            init_jobs: 0,
            stack_bytes: if cfg!(debug_assertions) { 256 } else { 64 } * 1024,
            wipe_stacks: false,
            allow_unguarded: None,
            stack_source: None,
        }
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolConfig")
            .field("max_jobs", &self.max_jobs)
            .field("init_jobs", &self.init_jobs)
            .field("stack_bytes", &self.stack_bytes)
            .field("wipe_stacks", &self.wipe_stacks)
            .field("allow_unguarded", &self.allow_unguarded)
            .field("stack_source", &self.stack_source.as_ref().map(|_| ".."))
            .finish()
    }
}
