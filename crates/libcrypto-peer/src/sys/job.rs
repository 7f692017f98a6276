//! Jobs: starting, pausing, resuming, and giving up.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::hint::black_box;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::panicking;

use super::library::Libcrypto;
use super::thread;
use super::wait_ctx::PeerWaitCtx;
use crate::raw::{ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, AsyncJob, JobFn};
use crate::{PauseError, ResumeError, StartError};

/// The size of a job's stack in bytes: fixed by libcrypto, on the heap, without a guard page.
///
/// All that runs in a job must fit, and nothing checks: see the safety section of
/// [`Libcrypto::start_job`].
pub const JOB_STACK_BYTES: usize = 32 * 1024;

/// How close to the end of its stack a job may pause. Covers the few frames between the top of the
/// stack and the mark that depth is measured from, and what `ASYNC_pause_job` itself needs.
pub(super) const RESERVE_BYTES: usize = 1024;

static LEAKED: AtomicU64 = AtomicU64::new(0);

/// How many paused jobs this process has given up, each with its stack and its wait context.
///
/// Counted when a paused [`PeerJob`] is dropped, or [`PeerJobs`](crate::PeerJobs) with paused jobs, on
/// any thread; not when one is forgotten.
#[must_use]
pub fn leaked_jobs() -> u64 {
    LEAKED.load(Ordering::Relaxed)
}

pub(super) fn count_leaked() {
    LEAKED.fetch_add(1, Ordering::Relaxed);
}

/// How far a job got.
#[derive(Debug)]
#[must_use = "dropping a paused job leaks it: resume it until it finishes"]
pub enum JobOutcome {
    /// It paused; resume it when what it waits for has happened.
    #[doc(alias = "ASYNC_PAUSE")]
    Paused(PeerJob),
    /// Its body returned this.
    #[doc(alias = "ASYNC_FINISH")]
    Finished(c_int),
}

/// A paused job, and the right to resume it.
///
/// Bound to the thread that started it, so not `Send`: its frames hold addresses of that thread's
/// locals, and libcrypto returns from them to that thread's stack.
///
/// # Giving one up
///
/// libcrypto has no way to cancel a paused job, and unwinding its stack through C frames is not to be
/// had. So dropping one **leaks** it: its stack, all that its frames own, and its wait context with the
/// descriptors in it. In a pool with a bound, its place is lost as well. [`leaked_jobs`] counts them.
#[doc(alias = "ASYNC_JOB")]
#[must_use = "dropping a paused job leaks it: resume it until it finishes"]
pub struct PeerJob(Option<Paused>);

/// What a paused job consists of, without the destructor.
struct Paused {
    libcrypto: Libcrypto,
    job: NonNull<AsyncJob>,
    state: Rc<JobState>,
}

/// What host and job share. It outlives the job's frames: freed after they have returned, else leaked.
pub(super) struct JobState {
    /// libcrypto keeps a pointer to it, and writes through it each time a pause returns.
    pub(super) ctx: PeerWaitCtx,
    /// What the body panicked with, on its way to the host.
    pub(super) panic: Cell<Option<Box<dyn Any + Send>>>,
    /// An address in the frame of the function that libcrypto calls, near the top of the job's stack.
    pub(super) stack_mark: Cell<usize>,
    /// The thread's count of clean-ups when the job started.
    pub(super) cleanups: Cell<u64>,
}

impl JobState {
    /// For a job that starts now.
    pub(super) fn new(ctx: PeerWaitCtx) -> JobState {
        JobState {
            ctx,
            panic: Cell::new(None),
            stack_mark: Cell::new(0),
            cleanups: Cell::new(thread::cleanups()),
        }
    }
}

/// The argument of [`run_body`]. libcrypto copies its bytes.
struct Launch<F> {
    /// In the frame of `start_job`.
    body: *const Cell<Option<Box<F>>>,
    state: *const JobState,
}

impl Libcrypto {
    /// Starts `body` as a job, and returns when it has paused or finished.
    ///
    /// The body runs on this thread, on a stack of [`JOB_STACK_BYTES`]. It borrows nothing, because a job
    /// that is given up is never unwound. `ctx` stays the job's until it finishes; several jobs may
    /// share one.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the body, which was not called.
    ///
    /// # Panics
    ///
    /// If the body panics before it pauses, with the same payload. The job is finished then.
    ///
    /// # Safety
    ///
    /// Until the job finishes or is given up, so through every [`PeerJob::resume`] too:
    ///
    /// - The body and everything it calls fit in [`JOB_STACK_BYTES`], or in 23 KiB once a
    ///   [`PeerJobs`](crate::PeerJobs) has run on this thread: destructors, a panic with its hook
    ///   and its backtrace, and signal handlers that have no stack of their own included. There is no
    ///   guard page and nothing checks: what does not fit overwrites the heap. [What to leave
    ///   room for](crate#what-this-crate-cannot-mend).
    /// - Wherever this thread runs on another stack while libcrypto takes the job for the running one (in
    ///   a coroutine of another kind inside the job, or outside while the job keeps one around it
    ///   suspended), it uses libcrypto through this crate's safe functions only. They refuse there;
    ///   `ASYNC_pause_job` itself, called by C code, would switch the wrong stack.
    #[doc(alias = "ASYNC_start_job")]
    pub unsafe fn start_job<F>(
        &self,
        ctx: &PeerWaitCtx,
        body: F,
    ) -> Result<JobOutcome, StartError<F>>
    where
        F: FnOnce() -> c_int + 'static,
    {
        if self.current_job_exists() {
            return Err(StartError::InsideJob(body));
        }
        let state = Rc::new(JobState::new(ctx.clone()));
        let body = Cell::new(Some(Box::new(body)));
        let launch = Launch {
            body: &raw const body,
            state: Rc::as_ptr(&state),
        };
        let mut job = ptr::null_mut();
        let mut ret = 0;
        // SAFETY: a first start, and no job is current. `run_body::<F>` gets a copy of a Launch<F>
        // whose `body` is alive until libcrypto has called it, during this call, and whose `state`
        // lives as long as the job can run: we own it, and then so does the PeerJob. It does not
        // unwind. It owns a handle on the wait context. That it fits on the stack is the caller's
        // promise.
        let code = unsafe {
            switch(
                *self,
                &mut job,
                &state,
                &mut ret,
                Some(run_body::<F>),
                (&raw const launch).cast_mut().cast(),
                size_of::<Launch<F>>(),
            )
        };
        // Whether the body is still there tells whether libcrypto has called run_body.
        match (code, body.take(), NonNull::new(job)) {
            (ASYNC_PAUSE, None, Some(job)) => Ok(paused(*self, job, state)),
            (ASYNC_FINISH, None, None) => Ok(finished(&state, ret)),
            (ASYNC_NO_JOBS, Some(body), None) => Err(StartError::NoJobs(*body)),
            (ASYNC_ERR, Some(body), None) => Err(StartError::Failed {
                body: *body,
                cause: self.api.failure("ASYNC_start_job"),
            }),
            _ => inconsistent("started", code),
        }
    }

    /// Pauses the running job: the `start_job` or `resume` call that runs it returns
    /// [`JobOutcome::Paused`]. Returns when the job has been resumed.
    ///
    /// `Ok` is no promise that anything has happened meanwhile, nor even that the job has paused (C
    /// code in the job may have blocked pausing): check what you wait for, and pause again.
    ///
    /// # Errors
    ///
    /// [`PauseError`]; the job, if there is one, was not paused.
    #[doc(alias = "ASYNC_pause_job")]
    // A frame of its own, so below run_body's on the job's stack.
    #[inline(never)]
    pub fn pause_job(&self) -> Result<(), PauseError> {
        let mark = thread::stack_mark();
        if mark == 0 {
            return Err(PauseError::NotInJob);
        }
        // Stacks grow down on every platform that libcrypto has jobs for. Elsewhere than on the job's,
        // the difference is too great, or wraps and is greater still.
        if mark.wrapping_sub(address_in_frame()) > JOB_STACK_BYTES - RESERVE_BYTES {
            return Err(PauseError::NotOnJobStack);
        }
        if panicking() {
            return Err(PauseError::Unwinding);
        }
        // SAFETY: the mark says that this thread is inside `switch`, so inside a job with a living
        // wait context, and the address that we run on that job's own stack, not on another one above
        // it: it is the job that libcrypto takes for the current one, and its stack that is set aside.
        let resumed = unsafe { (self.api.functions.pause_job)() };
        if resumed == 1 {
            Ok(())
        } else {
            Err(self.api.failure("ASYNC_pause_job").into())
        }
    }
}

impl PeerJob {
    /// Goes on where the job paused, and returns when it has paused again or finished.
    ///
    /// # Errors
    ///
    /// [`ResumeError`], with the job if it can still be resumed.
    ///
    /// # Panics
    ///
    /// If the body panics before it pauses again, with the same payload. The job is finished then.
    #[doc(alias = "ASYNC_start_job")]
    pub fn resume(mut self) -> Result<JobOutcome, ResumeError> {
        if self.inner().libcrypto.current_job_exists() {
            return Err(ResumeError::InsideJob(self));
        }
        if self.inner().state.cleanups.get() != thread::cleanups() {
            // Dropped here: leaked and counted.
            return Err(ResumeError::CleanedUp);
        }
        // Invariant of `inner`: only `resume` and `drop` take it, and both consume the handle.
        let Some(Paused {
            libcrypto,
            job,
            state,
        }) = self.0.take()
        else {
            unreachable!("a PeerJob holds a job until it is consumed")
        };
        let mut pointer = job.as_ptr();
        let mut ret = 0;
        // SAFETY: `pointer` is a paused job of this thread (PeerJob is not Send, and made at a PAUSE),
        // not resumed since (its only handle is consumed here), with no clean-up in between (checked),
        // and no job is current (checked). libcrypto ignores the rest at a resume. `state` is still
        // ours. What runs on is the body, which whoever started it has promised fits on its stack.
        let code = unsafe {
            switch(
                libcrypto,
                &mut pointer,
                &state,
                &mut ret,
                None,
                ptr::null_mut(),
                0,
            )
        };
        match (code, NonNull::new(pointer)) {
            (ASYNC_PAUSE, Some(job)) => Ok(paused(libcrypto, job, state)),
            (ASYNC_FINISH, None) => Ok(finished(&state, ret)),
            // libcrypto's start-up checks failed, before it looked at the job.
            (ASYNC_ERR, Some(job)) => Err(ResumeError::Failed {
                job: Self(Some(Paused {
                    libcrypto,
                    job,
                    state,
                })),
                cause: libcrypto.api.failure("ASYNC_start_job"),
            }),
            _ => inconsistent("resumed", code),
        }
    }

    /// The wait context that the job was started with.
    #[doc(alias = "ASYNC_get_wait_ctx")]
    #[must_use]
    pub fn wait_ctx(&self) -> &PeerWaitCtx {
        &self.inner().state.ctx
    }

    fn inner(&self) -> &Paused {
        self.0
            .as_ref()
            // Only `resume` and `drop` take it, and both consume the handle.
            .expect("a PeerJob holds a job until it is consumed")
    }
}

impl Drop for PeerJob {
    fn drop(&mut self) {
        if let Some(Paused { state, .. }) = self.0.take() {
            count_leaked();
            // With it the wait context, which libcrypto's job still points to.
            mem::forget(state);
        }
    }
}

impl fmt::Debug for PeerJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerJob")
            .field("job", &self.inner().job)
            .finish_non_exhaustive()
    }
}

fn paused(libcrypto: Libcrypto, job: NonNull<AsyncJob>, state: Rc<JobState>) -> JobOutcome {
    JobOutcome::Paused(PeerJob(Some(Paused {
        libcrypto,
        job,
        state,
    })))
}

fn finished(state: &JobState, ret: c_int) -> JobOutcome {
    if let Some(payload) = state.panic.take() {
        resume_unwind(payload);
    }
    JobOutcome::Finished(ret)
}

/// Calls `ASYNC_start_job`, and keeps the thread's record of which job's stack is in use.
///
/// # Safety
///
/// That of [`RawFns::start_job`](crate::raw::RawFns::start_job). `state` is the job's.
pub(super) unsafe fn switch(
    libcrypto: Libcrypto,
    job: &mut *mut AsyncJob,
    state: &JobState,
    ret: &mut c_int,
    func: Option<JobFn>,
    args: *mut c_void,
    size: usize,
) -> c_int {
    // 0 at a first start: run_body sets it as soon as there is a stack.
    thread::set_stack_mark(state.stack_mark.get());
    // SAFETY: the caller's promise.
    let code = unsafe {
        (libcrypto.api.functions.start_job)(job, state.ctx.as_ptr(), ret, func, args, size)
    };
    thread::set_stack_mark(0);
    code
}

/// What libcrypto runs on the job's stack.
///
/// # Safety
///
/// `args` points to the bytes of a [`Launch<F>`], both of whose pointers are valid now; its `state`
/// stays so until this returns, if it ever does.
unsafe extern "C" fn run_body<F: FnOnce() -> c_int>(args: *mut c_void) -> c_int {
    // SAFETY: the caller's promise; libcrypto's copy comes from its malloc, aligned for pointers.
    let Launch { body, state } = unsafe { args.cast::<Launch<F>>().read() };
    // SAFETY: valid now, by the caller's promise. Shared with `start_job`, which waits for us; a Cell.
    let body = unsafe { &*body }.take();
    // SAFETY: valid until we return. Shared with the host, on this same thread; its cells need no more.
    let state = unsafe { &*state };
    let Some(body) = body else {
        // Called twice for one start. We are below C frames, and cannot go on.
        inconsistent("started", ASYNC_ERR)
    };
    let mark = address_in_frame();
    state.stack_mark.set(mark);
    thread::set_stack_mark(mark);
    // Unwind safe: body and captures are consumed, and the host learns of the panic.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(ret) => ret,
        Err(payload) => {
            state.panic.set(Some(payload));
            0
        }
    }
}

/// An address in the caller's frame.
#[inline(always)]
pub(super) fn address_in_frame() -> usize {
    let here = 0_u8;
    black_box(&raw const here).addr()
}

/// libcrypto's answer does not fit what was asked, so its pool holds a job in use, or a stale one was
/// slipped into it. The next start, ours or libssl's, could run on a live stack: stop here.
pub(super) fn inconsistent(what: &str, code: c_int) -> ! {
    eprintln!(
        "libcrypto-peer: libcrypto's pool of jobs is corrupt (a job was {what}, the answer was \
         {code}): something in this process has broken the rules of ASYNC_start_job"
    );
    process::abort()
}
