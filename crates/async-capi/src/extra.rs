//! What OpenSSL does not have. Declared in `async_capi.h`.

use std::ffi::{c_char, c_int, c_ulong};

use crate::abi::ASYNC_JOB;
use crate::error::{Fault, last_text};
use crate::jobs::report;
use crate::slots::lock;
use crate::{check, ctx, job, mem, mode, thread};

/// The text of the calling thread's last error: what happened, and what to do. NULL if there was none. Good until
/// the thread's next error.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_last_error() -> *const c_char {
    last_text()
}

/// The version of this library.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Cancels a paused job: resumes it, and from now on each of its `ASYNC_pause_job` returns 0 at once, so that it
/// runs to its end before this returns. `ASYNC_FINISH`, with what its function returned in `*ret` and NULL in
/// `*job`; or `ASYNC_ERR` with an error, as `ASYNC_start_job`.
///
/// # Safety
///
/// `job` points to a handle, `ret` to an int, each or NULL itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn async_capi_cancel_job(job: *mut *mut ASYNC_JOB, ret: *mut c_int) -> c_int {
    const NAME: &std::ffi::CStr = c"async_capi_cancel_job";
    let step = if job.is_null() {
        Err(Fault::Null("job"))
    } else {
        // SAFETY: the caller's.
        job::cancel(unsafe { job.read() })
    };
    // SAFETY: the caller's; `job` is written only if there was a job.
    unsafe { report(NAME, step, job, ret) }
}

/// Sets the size of the stacks, in bytes, for the whole process: 8 KiB to 1 GiB. Of no meaning with stacks of
/// `ASYNC_set_mem_functions`. 1, or 0 once a stack was made, or if it is out of these bounds.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_set_stack_bytes(bytes: usize) -> c_int {
    c_int::from(mem::set_stack_bytes(bytes))
}

/// From now on a job that overflows its stack says so before the process ends, on stderr. It installs a handler
/// for SIGSEGV and SIGBUS, which passes on what is not its own. 1, or 0 if the system refuses.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_report_stack_overflow() -> c_int {
    c_int::from(async_core::report_stack_overflow().is_ok())
}

/// Turns the check mode on, or off if `on` is 0: as `ASYNC_CAPI_CHECK=1` does before the first job, at any time.
/// What was done while it was off is not known to it, and what it knew is forgotten when it is turned off. See
/// `docs/check-mode.md`.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_set_check(on: c_int) {
    mode::ready();
    let _begun = lock(&mode::BEGUN);
    check::turn(on != 0);
}

/// How many jobs of this process were paused when their thread ended: they stay for ever, with all that is on
/// their stacks.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_leaked_jobs() -> c_ulong {
    thread::leaked_jobs()
}

/// How many jobs can never be resumed, because their wait context was freed under them.
#[unsafe(no_mangle)]
pub extern "C" fn async_capi_abandoned_jobs() -> c_ulong {
    ctx::abandoned_jobs()
}
