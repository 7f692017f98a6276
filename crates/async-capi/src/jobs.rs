//! The job functions, as C calls them.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::Ordering;

use crate::abi::{
    ASYNC_ERR, ASYNC_FINISH, ASYNC_JOB, ASYNC_NO_JOBS, ASYNC_PAUSE, ASYNC_WAIT_CTX,
    ASYNC_stack_alloc_fn, ASYNC_stack_free_fn,
};
use crate::error::{Fault, note, raise};
use crate::job::{self, JOBS, Step, Work};
use crate::slots::Slot;
use crate::{libcrypto, mem, mode, thread};

/// 1: jobs work wherever this library compiles.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_is_capable() -> c_int {
    c_int::from(async_core::is_capable())
}

/// Sets up this thread's pool: at most `max_size` jobs, in use and idle together, 0 for no bound; `init_size`
/// of them made at once. A second call sets it up anew. 1, or 0 with an error.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_init_thread(max_size: usize, init_size: usize) -> c_int {
    let ready = job::slow_start();
    libcrypto::look();
    let done = ready.and_then(|_| thread::here().init(max_size, init_size));
    ok_or_raise(c"ASYNC_init_thread", done)
}

/// Frees this thread's idle jobs and forgets its settings. Paused jobs stay whole, and are freed as they
/// finish.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_cleanup_thread() {
    ok_or_raise(c"ASYNC_cleanup_thread", thread::here().cleanup());
}

/// Starts a job if `*job` is NULL, else resumes it; `ctx`, `func`, `args` and `size` are ignored then.
/// `ASYNC_PAUSE`: it has paused, its handle is in `*job`. `ASYNC_FINISH`: it has finished, what `func` returned
/// is in `*ret`, `*job` is NULL. `ASYNC_NO_JOBS`: the pool is at its bound. `ASYNC_ERR`: see the error; nothing
/// has changed.
///
/// `func` gets a copy of the `size` bytes at `args`, which is there until the job has finished; NULL if `args` is NULL
/// or `size` is 0. `ctx` may be NULL, and is freed after the job has finished. `ret` may be NULL. A job is resumed on
/// the thread that started it.
///
/// # Safety
///
/// `job` points to a handle or NULL, `ret` to an int, each or NULL itself. At a start: `args` are `size` bytes,
/// or NULL, and `func` can be called with a copy of them on a stack of this size. A job that has frames on its
/// stack which its thread must not leave (by `longjmp`, by an exception) does not leave them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_start_job(
    job: *mut *mut ASYNC_JOB,
    ctx: *mut ASYNC_WAIT_CTX,
    ret: *mut c_int,
    func: Option<unsafe extern "C-unwind" fn(args: *mut c_void) -> c_int>,
    args: *mut c_void,
    size: usize,
) -> c_int {
    if job.is_null() {
        return failed(c"ASYNC_start_job", Fault::Null("job"));
    }
    // SAFETY: the caller's.
    let handle = unsafe { job.read() };
    let step = if handle.is_null() {
        let work = Work {
            ctx,
            func,
            args,
            size,
        };
        // SAFETY: the caller's.
        unsafe { job::start(&work) }
    } else {
        job::resume(handle)
    };
    // SAFETY: the caller's.
    unsafe { report(c"ASYNC_start_job", step, job, ret) }
}

/// Tells the caller how far the job has come.
///
/// # Safety
///
/// `job` can be written; `ret` too, or it is null.
#[inline(always)]
pub(crate) unsafe fn report(
    function: &'static CStr,
    step: Result<Step, Fault>,
    job: *mut *mut ASYNC_JOB,
    ret: *mut c_int,
) -> c_int {
    match step {
        Ok(Step::Paused(handle)) => {
            // SAFETY: the caller's.
            unsafe { job.write(handle) };
            ASYNC_PAUSE
        }
        Ok(Step::Finished(answer)) => {
            // SAFETY: the caller's.
            unsafe { job.write(ptr::null_mut()) };
            if !ret.is_null() {
                // SAFETY: the caller's.
                unsafe { ret.write(answer) };
            }
            ASYNC_FINISH
        }
        Ok(Step::NoJobs(why)) => {
            if let Some(why) = why {
                note(function, why);
            }
            ASYNC_NO_JOBS
        }
        Err(fault) => {
            if let Fault::Panicked = fault {
                // SAFETY: the caller's.
                unsafe { job.write(ptr::null_mut()) };
            }
            failed(function, fault)
        }
    }
}

#[cold]
fn failed(function: &'static CStr, fault: Fault) -> c_int {
    raise(function, fault);
    ASYNC_ERR
}

pub(crate) fn ok_or_raise(function: &'static CStr, done: Result<(), Fault>) -> c_int {
    match done {
        Ok(()) => 1,
        Err(fault) => {
            raise(function, fault);
            0
        }
    }
}

/// Pauses the running job: `ASYNC_start_job` returns `ASYNC_PAUSE` to its caller, and this returns 1 when the
/// job is resumed. 1 at once outside a job and where pausing is blocked. 0 with the job still running if it is
/// being cancelled, or its context was freed.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_pause_job() -> c_int {
    match job::pause() {
        Ok(paused) => paused,
        Err(fault) => {
            raise(c"ASYNC_pause_job", fault);
            0
        }
    }
}

/// The running job; NULL outside.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_get_current_job() -> *mut ASYNC_JOB {
    match thread::here().current.get() {
        Some(slot) if mode::now() & mode::GONE == 0 => slot.pointer(),
        _ => ptr::null_mut(),
    }
}

/// The context that the job was started with; NULL for none and for a job that has finished. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_get_wait_ctx(job: *mut ASYNC_JOB) -> *mut ASYNC_WAIT_CTX {
    let found = JOBS.find(job.addr()).and_then(|slot| {
        let ctx = slot.ctx.load(Ordering::Relaxed);
        // Still the same use, or the context may be that of the next.
        std::sync::atomic::fence(Ordering::Acquire);
        slot.is(job.addr()).then_some(ctx)
    });
    match found {
        Some(ctx) => ptr::without_provenance_mut(ctx),
        None => {
            let fault = match job.is_null() {
                true => Fault::Null("job"),
                false => Fault::StaleJob(job.addr()),
            };
            raise(c"ASYNC_get_wait_ctx", fault);
            ptr::null_mut()
        }
    }
}

/// Keeps the running job from pausing until [`ASYNC_unblock_pause`] was called as often. Does nothing outside a
/// job. The count is the job's and ends with it.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_block_pause() {
    change_block(|count| count.saturating_add(1));
}

/// See [`ASYNC_block_pause`]. At 0 it stays at 0.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_unblock_pause() {
    change_block(|count| count.saturating_sub(1));
}

fn change_block(change: impl FnOnce(u32) -> u32) {
    if let Some(slot) = thread::here().current.get() {
        // SAFETY: the running job is this thread's.
        let blocked = &unsafe { slot.own() }.blocked;
        blocked.set(change(blocked.get()));
    }
}

/// Sets where stacks come from, for the whole process; NULL leaves one of the two as it is. `alloc_fn` is asked
/// for 32768 bytes (built-in stacks have 65536), and may give another size by writing it back; less than 8192 is
/// refused. 1, or 0 once a stack was made.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_set_mem_functions(
    alloc_fn: ASYNC_stack_alloc_fn,
    free_fn: ASYNC_stack_free_fn,
) -> c_int {
    c_int::from(mem::set_functions(alloc_fn, free_fn))
}

/// The functions in force. Either pointer may be NULL.
///
/// # Safety
///
/// What is not NULL can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_get_mem_functions(
    alloc_fn: *mut ASYNC_stack_alloc_fn,
    free_fn: *mut ASYNC_stack_free_fn,
) {
    let (alloc, free) = mem::functions();
    if !alloc_fn.is_null() {
        // SAFETY: the caller's.
        unsafe { alloc_fn.write(alloc) };
    }
    if !free_fn.is_null() {
        // SAFETY: the caller's.
        unsafe { free_fn.write(free) };
    }
}
