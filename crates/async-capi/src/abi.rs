//! The types and numbers of `openssl/async.h`. Names and values are C's.

#![expect(
    non_camel_case_types,
    reason = "the names that C programs know; cbindgen writes them into the header"
)]

use std::ffi::{c_int, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// The start, or the resume, failed: see OpenSSL's error queue, or `async_capi_last_error()`.
pub const ASYNC_ERR: c_int = 0;
/// No job is free in this thread's pool. Nothing is queued; try again when one has finished.
pub const ASYNC_NO_JOBS: c_int = 1;
/// The job has paused. Its handle is in `*job`: start it again to resume it.
pub const ASYNC_PAUSE: c_int = 2;
/// The job has finished: `*ret` is what its function returned, `*job` is NULL.
pub const ASYNC_FINISH: c_int = 3;

/// The engine does not use the callback. The status of a new context.
pub const ASYNC_STATUS_UNSUPPORTED: c_int = 0;
/// The operation failed.
pub const ASYNC_STATUS_ERR: c_int = 1;
/// The operation was accepted, or is done.
pub const ASYNC_STATUS_OK: c_int = 2;
/// The engine was busy: resume the job, and it will submit again.
pub const ASYNC_STATUS_EAGAIN: c_int = 3;

/// `ERR_LIB_ASYNC`: the library number of these functions' errors in OpenSSL's error queue.
pub(crate) const ERR_LIB_ASYNC: c_int = 51;
/// OpenSSL's reason for an error that this library has no cause for.
pub const ASYNC_R_FAILED_TO_SET_POOL: c_int = 101;
/// OpenSSL's reason for an error that this library has no cause for.
pub const ASYNC_R_FAILED_TO_SWAP_CONTEXT: c_int = 102;
/// The reason of an error: `init_size` is above `max_size`, or more than the machine can hold.
pub const ASYNC_R_INVALID_POOL_SIZE: c_int = 103;
/// OpenSSL's reason for an error that this library has no cause for.
pub const ASYNC_R_INIT_FAILED: c_int = 105;
/// `ERR_R_INTERNAL_ERROR`, with OpenSSL's flags.
pub(crate) const ERR_R_INTERNAL_ERROR: c_int = 0xC0103;
/// `ERR_R_PASSED_NULL_PARAMETER`, with OpenSSL's flags.
pub(crate) const ERR_R_PASSED_NULL_PARAMETER: c_int = 0xC0102;
/// `ERR_R_MALLOC_FAILURE`, with OpenSSL's flags.
pub(crate) const ERR_R_MALLOC_FAILURE: c_int = 0xC0100;

/// A wait file descriptor. In C a macro, as in OpenSSL.
pub type OSSL_ASYNC_FD = c_int;

/// A job. Only ever handled by pointer, and the pointer is a handle: a place in a table and the number of its
/// use, never followed. So one that is kept for too long is recognised.
// Without repr(C), cbindgen declares it and no more; nobody asks for its layout.
#[derive(Debug)]
pub struct async_job_st {
    _private: [u8; 0],
    _neither_moved_nor_shared: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A wait context: where the code in a job says what it waits for, and its caller reads it. Only ever handled by
/// pointer, which is a handle like a job's.
#[derive(Debug)]
pub struct async_wait_ctx_st {
    _private: [u8; 0],
    _neither_moved_nor_shared: PhantomData<(*mut u8, PhantomPinned)>,
}

/// The name that programs use.
pub type ASYNC_JOB = async_job_st;
/// The name that programs use.
pub type ASYNC_WAIT_CTX = async_wait_ctx_st;

/// What an application has called when its job can be resumed. From any thread; it must be short, and
/// must not resume the job. OpenSSL ignores what it returns, and so do we.
pub type ASYNC_callback_fn = Option<unsafe extern "C" fn(arg: *mut c_void) -> c_int>;

/// Gives a stack of about `*num` bytes, and writes its true size back. NULL if there is none.
pub type ASYNC_stack_alloc_fn = Option<unsafe extern "C" fn(num: *mut usize) -> *mut c_void>;

/// Takes a stack back.
pub type ASYNC_stack_free_fn = Option<unsafe extern "C" fn(addr: *mut c_void)>;

// In the functions' signatures, these two are written out: cbindgen writes a function pointer's type in place only
// if it sees it there.

/// The function of a job. `C-unwind`, so that a panic of the same Rust runtime is caught.
pub(crate) type JobFn = unsafe extern "C-unwind" fn(args: *mut c_void) -> c_int;

/// What a context does with an fd that is still in it when it is freed.
pub(crate) type CleanupFn = unsafe extern "C" fn(
    ctx: *mut ASYNC_WAIT_CTX,
    key: *const c_void,
    fd: OSSL_ASYNC_FD,
    custom_data: *mut c_void,
);
