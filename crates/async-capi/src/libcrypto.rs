//! libcrypto, where it is in the process: found at run time, never linked.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::transmute_copy;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::abi::ERR_LIB_ASYNC;
use crate::mode;

/// An `OSSL_LIB_CTX *`; null for "none known".
pub(crate) type LibCtx = *mut c_void;

struct Libcrypto {
    set0_default: unsafe extern "C" fn(ctx: LibCtx) -> LibCtx,
    err_new: unsafe extern "C" fn(),
    err_set_debug: unsafe extern "C" fn(file: *const c_char, line: c_int, function: *const c_char),
    err_set_error: unsafe extern "C" fn(library: c_int, reason: c_int, format: *const c_char, ...),
}

static LIBCRYPTO: OnceLock<Libcrypto> = OnceLock::new();

/// The names under which it is known to the loader, newest last: the first that is in the process is taken.
const NAMES: [&CStr; 2] = [c"libcrypto.so.3", c"libcrypto.so.4"];

/// Looks for libcrypto, unless it is known: it may come into the process later, with an engine or a plugin.
/// Cheap if nothing was loaded since the last look.
pub(crate) fn look() {
    if LIBCRYPTO.get().is_some() {
        return;
    }
    static LOADED: AtomicU64 = AtomicU64::new(u64::MAX);
    let loaded = libraries_loaded();
    if LOADED.swap(loaded, Ordering::Relaxed) == loaded {
        return;
    }
    let Some(found) = find() else { return };
    if LIBCRYPTO.set(found).is_ok() {
        mode::set(mode::LIBCTX);
    }
}

/// How many libraries the loader has loaded so far.
fn libraries_loaded() -> u64 {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        out: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a good record, and `out` as it was given, which is a u64's address.
        unsafe { *out.cast::<u64>() = (*info).dlpi_adds };
        1 // no need to see the others
    }
    let mut loaded = 0_u64;
    // SAFETY: `first` takes what the loader and this call give it, and calls nothing.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut loaded).cast()) };
    loaded
}

/// Finds the functions, wherever libcrypto is: in the program's own scope, or loaded by somebody for themselves
/// (`RTLD_LOCAL`).
fn find() -> Option<Libcrypto> {
    // SAFETY: looks a name up.
    let global = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"OSSL_LIB_CTX_set0_default".as_ptr()) };
    if !global.is_null() {
        return resolve(libc::RTLD_DEFAULT);
    }
    NAMES.iter().find_map(|name| {
        // SAFETY: NOLOAD loads nothing. The library is kept for good: there is no dlclose.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if library.is_null() {
            return None;
        }
        resolve(library)
    })
}

fn resolve(library: *mut c_void) -> Option<Libcrypto> {
    /// # Safety
    ///
    /// `F` is the type of the C function of that name.
    unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: `library` is RTLD_DEFAULT or open.
        let address = unsafe { libc::dlsym(library, name.as_ptr()) };
        // SAFETY: not null, so it is the address of that function, and `F` is a pointer to it.
        (!address.is_null()).then(|| unsafe { transmute_copy(&address) })
    }
    // SAFETY: the types are those of OpenSSL 3's crypto.h and err.h.
    unsafe {
        let at_exit: unsafe extern "C" fn(extern "C" fn()) -> c_int =
            function(library, c"OPENSSL_atexit")?;
        let init: unsafe extern "C" fn(u64, *const c_void) -> c_int =
            function(library, c"OPENSSL_init_crypto")?;
        let found = Libcrypto {
            set0_default: function(library, c"OSSL_LIB_CTX_set0_default")?,
            err_new: function(library, c"ERR_new")?,
            err_set_debug: function(library, c"ERR_set_debug")?,
            err_set_error: function(library, c"ERR_set_error")?,
        };
        // As OpenSSL's own functions do first. 0 after OPENSSL_cleanup().
        const OPENSSL_INIT_ASYNC: u64 = 0x100;
        if init(OPENSSL_INIT_ASYNC, ptr::null()) == 0 {
            mode::set(mode::GONE);
            return None;
        }
        // Refused means that OPENSSL_cleanup() is not noticed.
        at_exit(cleaned_up);
        Some(found)
    }
}

/// `OPENSSL_cleanup()` has been called: none of its functions may be called any more.
extern "C" fn cleaned_up() {
    mode::set(mode::GONE);
    mode::clear(mode::LIBCTX);
}

/// The thread's default library context. Called if [`mode::LIBCTX`] is set.
#[inline(always)]
pub(crate) fn default_ctx() -> LibCtx {
    set_default_ctx(ptr::null_mut())
}

/// Makes `ctx` the thread's default library context, unless it is null. Says which it was before.
#[inline(always)]
pub(crate) fn set_default_ctx(ctx: LibCtx) -> LibCtx {
    match LIBCRYPTO.get() {
        // SAFETY: null, or what the same function said on this thread earlier. Not after the library's
        // cleanup, which clears the mark by which this is called.
        Some(libcrypto) => unsafe { (libcrypto.set0_default)(ctx) },
        None => ptr::null_mut(),
    }
}

/// Puts an error into this thread's queue, as OpenSSL's own ASYNC functions do.
pub(crate) fn queue_error(function: &'static CStr, reason: c_int, text: *const c_char) {
    look();
    if mode::now() & mode::LIBCTX == 0 {
        return;
    }
    if let Some(libcrypto) = LIBCRYPTO.get() {
        const LINE: c_uint = 0;
        // SAFETY: the types are OpenSSL's; the strings end with a zero, file and function for good, the text
        // for the length of the call, in which it is copied. The library was not cleaned up.
        unsafe {
            (libcrypto.err_new)();
            (libcrypto.err_set_debug)(c"async-capi".as_ptr(), LINE as c_int, function.as_ptr());
            (libcrypto.err_set_error)(ERR_LIB_ASYNC, reason, c"%s".as_ptr(), text);
        }
    }
}
