//! Jobs that pause in the middle of straight-line code: OpenSSL's `ASYNC_JOB` in safe Rust.
//!
//! A *job* is a closure on a stack of its own. Anywhere below it, [`pause_job`] gives the thread
//! back to whoever started the job; [`Job::resume`] goes on behind the pause. That lets code that
//! is written straight down (`sign()`, wait, use the result) wait for hardware without blocking
//! the thread, and without being rewritten as a state machine.
//!
//! ```
//! use async_core::{JobOutcome, pause_job, start_job};
//! use waitctx::WaitCtx;
//!
//! let ctx = WaitCtx::new();
//! let outcome = start_job(&ctx, || {
//!     let half = 20;
//!     pause_job().expect("not cancelled"); // the thread is free here
//!     half + 22
//! })?;
//! let JobOutcome::Paused(job) = outcome else { unreachable!("it pauses") };
//! // Other work, other jobs. Then, when the job's wait context says so:
//! let JobOutcome::Finished(answer) = job.resume() else { unreachable!("it pauses once") };
//! assert_eq!(answer, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each thread has its own pool of jobs ([`init_thread`]), made as needed and used again. How a
//! paused job is told that it can go on is the business of its [`WaitCtx`](waitctx::WaitCtx).
//! [`JobSet`] runs many jobs to the end and is what most programs want.
//!
//! # What a job may do
//!
//! Everything that a function called on this thread may do, with the same thread-locals, locks,
//! `errno`, signal mask and floating-point modes: nothing is saved per job. So, across a pause:
//!
//! - do not hold a `Mutex` guard or a `RefCell` borrow that another job of this thread wants, or
//!   hold [`block_pause`] beside it;
//! - do not expect a thread-local, or OpenSSL's error queue, to be as it was.
//!
//! A job cannot leave its thread: [`Job`] is neither `Send` nor `Sync`. A job that is running
//! cannot start another ([`StartError::InsideJob`]); it can resume, cancel or drop one.
//!
//! # Ending a job early
//!
//! [`Job::cancel`], or dropping the [`Job`], makes every pause of that job return
//! [`Cancelled`], resumes it and lets it run to its end on the spot. No stack is ever unwound
//! from outside, so it works with C code below the pause and with `panic = "abort"`.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod config;
mod current;
mod error;
mod job;
mod pool;
mod set;
mod stack;

mod state;
#[expect(
    unsafe_code,
    reason = "stacks, the switch between them, and closures stored in place; see its documentation"
)]
mod sys;

pub use config::PoolConfig;
pub use current::{BlockGuard, CurrentJob, block_pause, current_job};
pub use error::{Cancelled, InitError, InsideJob, StartError};
pub use job::{Job, JobId, JobOutcome, Pause, is_capable, pause_job, start_job};
pub use pool::{
    Guard, PoolStats, Trimmed, cleanup_thread, init_thread, leaked_jobs, pool_stats, trim_thread,
};
pub use set::{JobSet, JobSetError, RunError, SetStats, WakeBy};
pub use stack::{report_stack_overflow, scan_high_water};

#[doc(hidden)]
pub use sys::thread_word;
pub use sys::{StackMemory, StackSource, Unguarded, prefetch_for_write};
