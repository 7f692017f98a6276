//! The bare functions, for benchmarks that must measure libcrypto and nothing else.
//!
//! [`Libcrypto::raw`](crate::Libcrypto::raw) hands out function pointers. Calling one costs what a
//! C program pays for a call into a shared library; nothing is allocated, checked or counted here.
//!
//! ```
//! use std::ffi::{c_int, c_void};
//! use std::ptr;
//!
//! use libcrypto_peer::raw::{ASYNC_FINISH, ASYNC_PAUSE, PauseJobFn};
//! use libcrypto_peer::{Libcrypto, PeerWaitCtx};
//!
//! /// Pauses once. Its argument is libcrypto's copy of the pointer to `ASYNC_pause_job`.
//! unsafe extern "C" fn body(args: *mut c_void) -> c_int {
//!     // SAFETY: started below with a PauseJobFn as its argument; we are in a job, on its stack.
//!     unsafe { args.cast::<PauseJobFn>().read()() }
//! }
//!
//! let Ok(libcrypto) = Libcrypto::load() else {
//!     return Ok(()); // not on this machine
//! };
//! let _pool = libcrypto.init_thread(1, 1)?;
//! let ctx = PeerWaitCtx::new(libcrypto)?;
//! let raw = libcrypto.raw();
//!
//! let (mut job, mut ret, mut pause) = (ptr::null_mut(), 0, raw.pause_job);
//! for expected in [ASYNC_PAUSE, ASYNC_FINISH] {
//!     // SAFETY: not inside a job; `body` takes a copied PauseJobFn, keeps to its stack and does not
//!     // unwind; `job`, `ret` and `ctx` outlive the job, which is resumed on this thread until it
//!     // finishes; the pool is dropped last.
//!     let outcome = unsafe {
//!         (raw.start_job)(
//!             &mut job,
//!             ctx.as_ptr(),
//!             &mut ret,
//!             Some(body),
//!             (&raw mut pause).cast(),
//!             size_of::<PauseJobFn>(),
//!         )
//!     };
//!     assert_eq!(outcome, expected);
//! }
//! assert_eq!(ret, 1); // what ASYNC_pause_job answered
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To time switches alone, let the body pause in an endless loop and count `start_job` calls; the job
//! is then abandoned, which leaks its stack as it does in C. To time whole jobs, start with a null
//! `args` and size 0, or libcrypto allocates a copy per job.
//!
//! [`Libcrypto::pause_job`](crate::Libcrypto::pause_job) does not pause a job started this way:
//! use [`RawFns::pause_job`].

use std::ffi::{c_int, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// The start or resume failed.
pub const ASYNC_ERR: c_int = 0;
/// The pool's bound is reached, or a job could not be allocated.
pub const ASYNC_NO_JOBS: c_int = 1;
/// The job paused; start it again to resume it.
pub const ASYNC_PAUSE: c_int = 2;
/// The job's function returned.
pub const ASYNC_FINISH: c_int = 3;

/// A job of libcrypto's, only ever behind a pointer.
#[doc(alias = "ASYNC_JOB")]
#[derive(Debug)]
#[repr(C)]
pub struct AsyncJob {
    _private: [u8; 0],
    _neither_moved_nor_shared: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A wait context of libcrypto's, only ever behind a pointer.
#[doc(alias = "ASYNC_WAIT_CTX")]
#[derive(Debug)]
#[repr(C)]
pub struct AsyncWaitCtx {
    _private: [u8; 0],
    _neither_moved_nor_shared: PhantomData<(*mut u8, PhantomPinned)>,
}

/// What a job runs. It gets libcrypto's copy of the arguments, or null if their size is 0.
pub type JobFn = unsafe extern "C" fn(args: *mut c_void) -> c_int;

/// `ASYNC_start_job`: see [`RawFns::start_job`].
pub type StartJobFn = unsafe extern "C" fn(
    job: *mut *mut AsyncJob,
    ctx: *mut AsyncWaitCtx,
    ret: *mut c_int,
    func: Option<JobFn>,
    args: *mut c_void,
    size: usize,
) -> c_int;

/// `ASYNC_pause_job`: see [`RawFns::pause_job`].
pub type PauseJobFn = unsafe extern "C" fn() -> c_int;

/// `ASYNC_WAIT_CTX_new`: see [`RawFns::wait_ctx_new`].
pub type WaitCtxNewFn = unsafe extern "C" fn() -> *mut AsyncWaitCtx;

/// `ASYNC_WAIT_CTX_free`: see [`RawFns::wait_ctx_free`].
pub type WaitCtxFreeFn = unsafe extern "C" fn(ctx: *mut AsyncWaitCtx);

/// Pointers to libcrypto's own functions. They stay valid until the process ends.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RawFns {
    /// Starts a job if `*job` is null, else resumes it (`ctx`, `func`, `args` and `size` are then
    /// ignored). Returns one of the `ASYNC_` constants of this module; writes `*job` on PAUSE (the job)
    /// and FINISH (null), and `*ret` on FINISH only.
    ///
    /// # Safety
    ///
    /// - Not inside a job on this thread: libcrypto does not nest jobs.
    /// - `job` and `ret` are valid for writes. `*job` is null, or what the last PAUSE on this thread
    ///   stored for a job that has not finished since, with no cleanup of the thread's pool
    ///   ([`ThreadGuard`](crate::ThreadGuard)) in between.
    /// - `ctx` stays alive until the job finishes or is abandoned for good. It may be null for a job
    ///   that never pauses, and for no other.
    /// - At a start, `func` is a function that can be called with a copy of the `size` bytes at `args`
    ///   (aligned for any scalar type), with null if `args` is null or `size` is 0. It does not unwind
    ///   and fits in [`JOB_STACK_BYTES`](crate::JOB_STACK_BYTES), unguarded.
    #[doc(alias = "ASYNC_start_job")]
    pub start_job: StartJobFn,

    /// Pauses the running job; the `start_job` call that started or last resumed it returns PAUSE.
    /// Returns 1 when the job has been resumed, at once if there is no job or pausing is blocked, and
    /// 0 if the switch failed.
    ///
    /// # Safety
    ///
    /// If there is a current job, the caller runs on its stack, and the job was started with a wait
    /// context. Nothing that another job or the host may also need is held across the call.
    #[doc(alias = "ASYNC_pause_job")]
    pub pause_job: PauseJobFn,

    /// Makes a wait context; null if there is no memory. For measuring what one takes:
    /// [`PeerWaitCtx`](crate::PeerWaitCtx) adds a record of its own.
    ///
    /// # Safety
    ///
    /// None of its own.
    #[doc(alias = "ASYNC_WAIT_CTX_new")]
    pub wait_ctx_new: WaitCtxNewFn,

    /// Frees a wait context.
    ///
    /// # Safety
    ///
    /// `ctx` came from [`wait_ctx_new`](RawFns::wait_ctx_new), was not freed before, and no job that
    /// could still run was started with it.
    #[doc(alias = "ASYNC_WAIT_CTX_free")]
    pub wait_ctx_free: WaitCtxFreeFn,
}
