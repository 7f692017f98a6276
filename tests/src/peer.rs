//! libcrypto's jobs by its bare functions, for measuring: what a C program does, and nothing else.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

use libcrypto_peer::Libcrypto;
use libcrypto_peer::raw::{
    ASYNC_FINISH, ASYNC_PAUSE, AsyncJob, AsyncWaitCtx, JobFn, PauseJobFn, RawFns,
};

/// `ASYNC_pause_job`, where the bodies below find it: they get no argument, so that libcrypto
/// allocates nothing for one.
static PAUSE: OnceLock<PauseJobFn> = OnceLock::new();

/// What a job does.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// It returns.
    Returns,
    /// It pauses, and returns when it is resumed.
    PausesOnce,
    /// It pauses whenever it is resumed.
    PausesForEver,
}

/// Starts and resumes libcrypto's jobs on this thread.
#[derive(Debug)]
pub struct RawPeer {
    raw: RawFns,
    _bound_to_thread: PhantomData<*mut ()>,
}

/// A place for a job of libcrypto's, with a wait context of its own. Hand it to [`RawPeer::free`] when
/// its job has finished; dropped, it leaks both, as libcrypto does.
#[derive(Debug)]
pub struct RawJob {
    job: *mut AsyncJob,
    ctx: *mut AsyncWaitCtx,
}

impl RawPeer {
    /// libcrypto's jobs.
    ///
    /// # Safety
    ///
    /// This is not used inside a job of libcrypto's, and nobody cleans libcrypto's pool of this
    /// thread up while a job of this is paused.
    #[must_use]
    pub unsafe fn new(peer: &Libcrypto) -> RawPeer {
        let raw = peer.raw();
        PAUSE.get_or_init(|| raw.pause_job);
        RawPeer {
            raw,
            _bound_to_thread: PhantomData,
        }
    }

    /// A place without a job.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    #[must_use]
    pub fn job(&self) -> RawJob {
        // SAFETY: no preconditions.
        let ctx = unsafe { (self.raw.wait_ctx_new)() };
        assert!(!ctx.is_null(), "no memory for a wait context");
        RawJob {
            job: ptr::null_mut(),
            ctx,
        }
    }

    /// Starts a job, or resumes the one that is there. Says whether it finished.
    ///
    /// # Panics
    ///
    /// If libcrypto reports an error.
    #[inline(always)]
    pub fn step(&self, job: &mut RawJob, body: Body) -> bool {
        match self.call(job, body) {
            ASYNC_FINISH => true,
            ASYNC_PAUSE => false,
            other => panic!("ASYNC_start_job returned {other}"),
        }
    }

    /// The same where it may not succeed.
    ///
    /// # Errors
    ///
    /// What is wrong, in words. Nothing was started.
    pub fn try_step(&self, job: &mut RawJob, body: Body) -> Result<bool, String> {
        match self.call(job, body) {
            ASYNC_FINISH => Ok(true),
            ASYNC_PAUSE => Ok(false),
            other => Err(format!(
                "libcrypto has no memory for another (it says {other})"
            )),
        }
    }

    #[inline(always)]
    fn call(&self, job: &mut RawJob, body: Body) -> c_int {
        let body: JobFn = match body {
            Body::Returns => returns,
            Body::PausesOnce => pauses_once,
            Body::PausesForEver => pauses_for_ever,
        };
        let mut ret = 0;
        // SAFETY: not inside a job, as whoever made `self` has promised; `job` has what the last
        // call stored, and its context lives as long; the bodies take no argument, keep to their
        // stack and do not unwind.
        unsafe {
            (self.raw.start_job)(
                &mut job.job,
                job.ctx,
                &mut ret,
                Some(body),
                ptr::null_mut(),
                0,
            )
        }
    }

    /// Frees the wait context of a place whose job has finished; leaks one whose job is paused.
    pub fn free(&self, job: RawJob) {
        if job.job.is_null() {
            // SAFETY: from `wait_ctx_new`, freed once, and used by no job.
            unsafe { (self.raw.wait_ctx_free)(job.ctx) };
        }
    }
}

#[inline(always)]
fn pause() {
    if let Some(pause) = PAUSE.get() {
        // SAFETY: called by the functions below only, which run as jobs of libcrypto's with a
        // context, and keep nothing across it.
        unsafe { pause() };
    }
}

unsafe extern "C" fn returns(_: *mut c_void) -> c_int {
    black_box(1)
}

unsafe extern "C" fn pauses_once(_: *mut c_void) -> c_int {
    pause();
    black_box(1)
}

unsafe extern "C" fn pauses_for_ever(_: *mut c_void) -> c_int {
    loop {
        pause();
    }
}
