//! libcrypto's own `ASYNC_JOB`, loaded at run time, to measure and compare against.
//!
//! A job is a function on a stack of its own that can *pause* in the middle, give the thread back to
//! whoever started it, and be *resumed* later. This crate runs such jobs on the machine's libcrypto
//! (OpenSSL 3.0 or later): same objects, same stacks, same switches as a C program gets. Nothing is
//! linked; a machine without libcrypto gets a [`LoadError`] that says what to do.
//!
//! ```
//! use libcrypto_peer::{JobOutcome, Libcrypto, PeerWaitCtx};
//!
//! let Ok(libcrypto) = Libcrypto::load() else {
//!     return Ok(()); // not on this machine
//! };
//! let ctx = PeerWaitCtx::new(libcrypto)?;
//! let body = move || {
//!     libcrypto.pause_job().expect("we are inside a job");
//!     42
//! };
//! // SAFETY: two shallow calls, no coroutines: most of the job's stack is left for a panic.
//! let mut outcome = unsafe { libcrypto.start_job(&ctx, body) }?;
//! let result = loop {
//!     outcome = match outcome {
//!         JobOutcome::Finished(result) => break result,
//!         JobOutcome::Paused(job) => job.resume()?,
//!     };
//! };
//! assert_eq!(result, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Three ways in
//!
//! - [`PeerJobs`], for programs: many jobs that run one closure. All of it is safe: their stacks, which
//!   are libcrypto's, get a guard page.
//! - [`Libcrypto::start_job`] and its kin, for tests, comparisons and command lines: checked, but for
//!   the size of the stack, so starting is `unsafe` and the rest is safe. Starting a job allocates (a
//!   box for the closure, a small record for the job); resuming and pausing do not, but each pays for
//!   the checks in the table below.
//! - [`raw`]: the bare function pointers, for benchmarks that must measure libcrypto and nothing else.
//!
//! # What libcrypto leaves undefined, and what happens here
//!
//! | misuse | libcrypto | this crate |
//! |---|---|---|
//! | start or resume inside a job | crash, or the result of an earlier job | refused: [`StartError::InsideJob`], [`ResumeError::InsideJob`] |
//! | resume a finished job | the pool hands one job out twice | [`PeerJob::resume`] consumes the handle |
//! | resume on another thread | crash when the job finishes | [`PeerJob`] is not `Send` |
//! | free the wait context under a paused job | use after free | the job keeps its context alive |
//! | `ASYNC_cleanup_thread` with jobs paused, then resume one | use after free | refused: [`ResumeError::CleanedUp`] |
//! | pause from a stack that is not the job's | switches the wrong stack | refused: [`PauseError::NotOnJobStack`] |
//! | panic out of a job | undefined: C frames below | caught, carried out by `start_job` or `resume` |
//! | give up a paused job | leaked | leaked, and counted: [`leaked_jobs`] |
//!
//! # What this crate cannot mend
//!
//! - **The stack is 32 KiB of heap without a guard page** ([`JOB_STACK_BYTES`]). A job that needs more
//!   overwrites the heap, silently. Replacing the stack would mend it, but then it would no longer be
//!   libcrypto that is measured. A page of the stack itself made inaccessible, as [`PeerJobs`] does,
//!   leaves about 23 KiB, which is fewer than a panic with a backtrace is sure to find. So [`Libcrypto::start_job`] is `unsafe`, and who calls it promises that
//!   the job fits: keep job bodies shallow, big buffers in boxes, and leave room for panics: about 5 KiB
//!   each, 22 KiB if it prints a backtrace (x86-64, Rust 1.95). `pause_job` notices when it is itself
//!   called too deep, no more than that, and the damage may be done by then.
//! - **C code does not ask which stack it is on.** If an engine calls `ASYNC_pause_job` from a coroutine
//!   inside a job, or outside while the job keeps one suspended, the wrong stack is switched. This too
//!   is the caller's promise.
//! - Jobs on one thread share its error queue, errno and thread-locals, and a `RefCell` borrow or a
//!   lock held across a pause is still held when the next job runs.
//! - The first entry into a job installs the signal mask and floating-point modes of the moment when
//!   libcrypto made the job, and they stay in force when the caller goes on.
//! - Other code in the process that uses the same libcrypto shares these pools. It must not call
//!   `OPENSSL_thread_stop`, `OPENSSL_cleanup` or `ASYNC_cleanup_thread` under a paused [`PeerJob`].

// Wait descriptors are HANDLEs on Windows, and dynamic loading differs: an empty crate there.
#![cfg(unix)]

mod error;
pub mod raw;
#[expect(
    unsafe_code,
    reason = "calls into libcrypto, and the C entry points it calls back"
)]
mod sys;

pub use error::{
    InitError, LoadAttempt, LoadError, PauseError, PeerError, ResumeError, RunError, StartError,
    WaitFdError,
};
pub use sys::job::{JOB_STACK_BYTES, JobOutcome, PeerJob, leaked_jobs};
pub use sys::jobs::{PeerJobs, Progress};
pub use sys::library::Libcrypto;
pub use sys::thread::ThreadGuard;
pub use sys::wait_ctx::{PeerCallback, PeerWaitCtx, Status};
