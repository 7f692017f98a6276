//! The bare functions, used as a benchmark uses them.

#![expect(unsafe_code, reason = "calls C functions")]

mod common;

use std::ffi::{c_int, c_void};
use std::ptr;

use common::{peer, start};
use libcrypto_peer::raw::{
    ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, AsyncJob, JobFn, PauseJobFn, RawFns,
};
use libcrypto_peer::{Libcrypto, PauseError, PeerWaitCtx, StartError};

const ROUNDS: u32 = 1000;

/// Starts or resumes `job`.
///
/// # Safety
///
/// That of `RawFns::start_job`; `T` is what `func` reads.
unsafe fn run<T>(
    raw: RawFns,
    job: &mut *mut AsyncJob,
    ctx: &PeerWaitCtx,
    func: JobFn,
    mut args: T,
) -> (c_int, c_int) {
    let mut ret = -1;
    let args = (&raw mut args).cast();
    // SAFETY: the caller's promise.
    let code = unsafe {
        (raw.start_job)(
            job,
            ctx.as_ptr(),
            &mut ret,
            Some(func),
            args,
            size_of::<T>(),
        )
    };
    (code, ret)
}

/// # Safety
///
/// `args` points to a PauseJobFn, and it runs as a job.
unsafe extern "C" fn pauses_often(args: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let pause = unsafe { args.cast::<PauseJobFn>().read() };
    for _ in 0..ROUNDS {
        // SAFETY: on the job's stack, with a wait context, nothing held.
        unsafe { pause() };
    }
    11
}

#[test]
fn switches_and_the_bound() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(1, 1).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let raw = libcrypto.raw();
    let mut job = ptr::null_mut();
    for _ in 0..ROUNDS {
        // SAFETY: a start, then resumes on the same thread; `ctx` outlives the job, which finishes.
        let (code, ret) = unsafe { run(raw, &mut job, &ctx, pauses_often, raw.pause_job) };
        assert_eq!((code, ret), (ASYNC_PAUSE, -1));
    }
    let mut other = ptr::null_mut();
    // SAFETY: as above.
    let (code, _) = unsafe { run(raw, &mut other, &ctx, pauses_often, raw.pause_job) };
    assert_eq!((code, other), (ASYNC_NO_JOBS, ptr::null_mut()));
    // SAFETY: as above.
    let (code, ret) = unsafe { run(raw, &mut job, &ctx, pauses_often, raw.pause_job) };
    assert_eq!((code, ret, job), (ASYNC_FINISH, 11, ptr::null_mut()));
}

/// # Safety
///
/// `args` points to a Libcrypto, and it runs as a job.
unsafe extern "C" fn tries_the_safe_calls(args: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let libcrypto = unsafe { args.cast::<Libcrypto>().read() };
    let Ok(ctx) = PeerWaitCtx::new(libcrypto) else {
        return 0;
    };
    let started = start(libcrypto, &ctx, || 0);
    c_int::from(
        libcrypto.pause_job() == Err(PauseError::NotInJob)
            && matches!(started, Err(StartError::InsideJob(_))),
    )
}

#[test]
fn the_safe_calls_keep_off_raw_jobs() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let mut job = ptr::null_mut();
    let raw = libcrypto.raw();
    // SAFETY: one start of a job that does not pause.
    let (code, ret) = unsafe { run(raw, &mut job, &ctx, tries_the_safe_calls, libcrypto) };
    assert_eq!((code, ret), (ASYNC_FINISH, 1));
}
