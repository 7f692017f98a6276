//! The functions of libcrypto that we call, found by name.

use std::ffi::{CStr, OsStr, c_char, c_int, c_ulong, c_void};

use libloading::Library;

use crate::PeerError;
use crate::raw::{AsyncJob, AsyncWaitCtx, RawFns};

/// `OSSL_ASYNC_FD`, where it is not a Windows HANDLE.
pub(super) type AsyncFd = c_int;
/// `ASYNC_callback_fn`.
pub(super) type CallbackFn = unsafe extern "C" fn(arg: *mut c_void) -> c_int;
/// The last argument of `ASYNC_WAIT_CTX_set_wait_fd`.
pub(super) type CleanupFn = unsafe extern "C" fn(
    ctx: *mut AsyncWaitCtx,
    key: *const c_void,
    fd: AsyncFd,
    custom_data: *mut c_void,
);

/// `ERR_LIB_ASYNC`: the errors raised by libcrypto's async code.
const ERR_LIB_ASYNC: c_ulong = 51;
/// Where the library number sits in a packed error code.
const ERR_LIB_OFFSET: u32 = 23;
const ERR_LIB_MASK: c_ulong = 0xff;
/// The `t` of `OpenSSL_version(t)` that asks for the version in words.
const OPENSSL_VERSION: c_int = 0;

/// Why a library cannot serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{}", in_full(.0))]
    Loader(#[from] libloading::Error),
    #[error("it has no {0}, so it is not OpenSSL 3.0 or later")]
    Missing(&'static str),
}

/// libloading keeps the loader's own words in the source of its error.
fn in_full(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Defines the table and how it is filled, so that name and prototype stand side by side.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// libcrypto's functions, each under its name without the prefix `ASYNC_`.
        pub(super) struct Functions {
            $(pub(super) $field: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Functions {
            /// Looks every function up.
            ///
            /// # Safety
            ///
            /// What `library` exports under a name below has the prototype given there. The pointers
            /// are called only while the library is loaded.
            unsafe fn resolve(library: &Library) -> Result<Self, OpenError> {
                Ok(Self {
                    $($field: {
                        type Pointer = unsafe extern "C" fn($($arg),*) $(-> $ret)?;
                        // SAFETY: Pointer is the prototype, as the caller promises, and Option
                        // makes room for a symbol that is there but null.
                        let symbol = unsafe { library.get::<Option<Pointer>>($name) };
                        *symbol
                            .ok()
                            .and_then(libloading::Symbol::lift_option)
                            .ok_or(OpenError::Missing($name))?
                    },)*
                })
            }
        }
    };
}

// Prototypes: openssl/async.h, openssl/crypto.h and openssl/err.h of 3.0, unchanged since.
functions! {
    is_capable = "ASYNC_is_capable": fn() -> c_int;
    init_thread = "ASYNC_init_thread": fn(usize, usize) -> c_int;
    cleanup_thread = "ASYNC_cleanup_thread": fn();
    start_job = "ASYNC_start_job": fn(
        *mut *mut AsyncJob,
        *mut AsyncWaitCtx,
        *mut c_int,
        Option<crate::raw::JobFn>,
        *mut c_void,
        usize
    ) -> c_int;
    pause_job = "ASYNC_pause_job": fn() -> c_int;
    get_current_job = "ASYNC_get_current_job": fn() -> *mut AsyncJob;
    wait_ctx_new = "ASYNC_WAIT_CTX_new": fn() -> *mut AsyncWaitCtx;
    wait_ctx_free = "ASYNC_WAIT_CTX_free": fn(*mut AsyncWaitCtx);
    wait_ctx_set_wait_fd = "ASYNC_WAIT_CTX_set_wait_fd": fn(
        *mut AsyncWaitCtx,
        *const c_void,
        AsyncFd,
        *mut c_void,
        Option<CleanupFn>
    ) -> c_int;
    wait_ctx_get_fd = "ASYNC_WAIT_CTX_get_fd": fn(
        *mut AsyncWaitCtx,
        *const c_void,
        *mut AsyncFd,
        *mut *mut c_void
    ) -> c_int;
    wait_ctx_get_all_fds = "ASYNC_WAIT_CTX_get_all_fds": fn(
        *mut AsyncWaitCtx,
        *mut AsyncFd,
        *mut usize
    ) -> c_int;
    wait_ctx_set_callback = "ASYNC_WAIT_CTX_set_callback": fn(
        *mut AsyncWaitCtx,
        Option<CallbackFn>,
        *mut c_void
    ) -> c_int;
    wait_ctx_get_callback = "ASYNC_WAIT_CTX_get_callback": fn(
        *mut AsyncWaitCtx,
        *mut Option<CallbackFn>,
        *mut *mut c_void
    ) -> c_int;
    wait_ctx_set_status = "ASYNC_WAIT_CTX_set_status": fn(*mut AsyncWaitCtx, c_int) -> c_int;
    wait_ctx_get_status = "ASYNC_WAIT_CTX_get_status": fn(*mut AsyncWaitCtx) -> c_int;
    version = "OpenSSL_version": fn(c_int) -> *const c_char;
    version_num = "OpenSSL_version_num": fn() -> c_ulong;
    err_peek_last_error = "ERR_peek_last_error": fn() -> c_ulong;
    err_error_string_n = "ERR_error_string_n": fn(c_ulong, *mut c_char, usize);
}

/// A loaded libcrypto. Lives until the process ends.
pub(super) struct Api {
    pub(super) functions: Functions,
    /// Never closed: libcrypto registers handlers for the end of threads and of the process, which
    /// would run in unmapped code.
    _library: Library,
}

impl Api {
    /// Opens the library `name`, as the dynamic loader finds it, and looks its functions up.
    pub(super) fn open(name: &OsStr) -> Result<&'static Self, OpenError> {
        // SAFETY: runs the initialisers of a library that the system administrator, or the user by an
        // environment variable, has named as their libcrypto: code trusted as much as anything the
        // loader links in or preloads. libcrypto's own initialisers have no preconditions.
        let library = unsafe { Library::new(name) }?;
        // SAFETY: OpenSSL's names with OpenSSL's prototypes, which are part of the ABI that its soname
        // stands for. A library that exports all of them, the 3.0 ones too, with others in mind is
        // beyond what a program that uses shared libraries can detect. The pointers live in the same
        // struct as the library, which is leaked below.
        let functions = unsafe { Functions::resolve(&library) }?;
        Ok(Box::leak(Box::new(Self {
            functions,
            _library: library,
        })))
    }

    pub(super) fn raw(&self) -> RawFns {
        RawFns {
            start_job: self.functions.start_job,
            pause_job: self.functions.pause_job,
            wait_ctx_new: self.functions.wait_ctx_new,
            wait_ctx_free: self.functions.wait_ctx_free,
        }
    }

    pub(super) fn is_capable(&self) -> bool {
        // SAFETY: no preconditions; it asks the C library for the current context and drops it.
        unsafe { (self.functions.is_capable)() == 1 }
    }

    pub(super) fn current_job_exists(&self) -> bool {
        // SAFETY: no preconditions: initialises the library if need be, and reads a thread-local.
        let job = unsafe { (self.functions.get_current_job)() };
        !job.is_null()
    }

    pub(super) fn version(&self) -> String {
        // SAFETY: accepts any int.
        let text = unsafe { (self.functions.version)(OPENSSL_VERSION) };
        // SAFETY: a string constant inside the library for each value, "not available" if unknown.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_string_lossy().into_owned()
    }

    pub(super) fn version_num(&self) -> u64 {
        // SAFETY: no preconditions; returns a constant.
        let number = unsafe { (self.functions.version_num)() };
        #[allow(clippy::useless_conversion, reason = "c_ulong has 32 bits elsewhere")]
        number.into()
    }

    /// The error to report after `function` has failed on this thread.
    pub(super) fn failure(&self, function: &'static str) -> PeerError {
        PeerError {
            function,
            reason: self.newest_async_error(),
        }
    }

    fn newest_async_error(&self) -> Option<String> {
        // SAFETY: no preconditions: reads this thread's error queue and leaves it as it is.
        let code = unsafe { (self.functions.err_peek_last_error)() };
        if (code >> ERR_LIB_OFFSET) & ERR_LIB_MASK != ERR_LIB_ASYNC {
            return None;
        }
        // ERR_error_string_n cuts to fit; OpenSSL calls 256 enough for all its messages.
        let mut text: [c_char; 256] = [0; 256];
        // SAFETY: writes at most `text.len()` bytes, the last of them a NUL.
        unsafe { (self.functions.err_error_string_n)(code, text.as_mut_ptr(), text.len()) };
        // SAFETY: `text` is NUL-terminated, and borrowed for as long as it is read.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        Some(text.to_string_lossy().into_owned())
    }
}
