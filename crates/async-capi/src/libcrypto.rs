//! libcrypto, where it is in the process: found at run time, never linked.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute_copy;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::abi::ERR_LIB_ASYNC;
use crate::mode;
use crate::slots::lock;

/// A thread's default `OSSL_LIB_CTX *`, as [`current`] reads it; null may stand for the process's.
pub(crate) type LibCtx = *mut c_void;

/// `OSSL_LIB_CTX_set0_default`: sets the thread's default, unless it is null, and says which it was before.
type SetDefault = unsafe extern "C" fn(ctx: LibCtx) -> LibCtx;

struct Libcrypto {
    set0_default: SetDefault,
    get0_global_default: unsafe extern "C" fn() -> LibCtx,
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
    if LOADED.load(Ordering::Relaxed) == loaded {
        return;
    }
    // Not under a lock, since it calls libcrypto and the loader, which has one of its own. Several threads may be at
    // it, and find the same.
    if let Some(found) = find() {
        // So that no fork finds it half done.
        let _asking = lock(&ASKING_LOADER);
        if LIBCRYPTO.set(found).is_ok() {
            mode::set(mode::LIBCTX);
        }
    }
    // Only now: a child of a fork, or another thread that comes here meanwhile, looks for itself.
    LOADED.store(loaded, Ordering::Relaxed);
}

/// Held while the loader is asked for its libraries, and while what was found is stored. The loader has a lock for that which some versions of glibc leave
/// held in the child of a fork; so no thread of ours may be at it when another one forks.
pub(crate) static ASKING_LOADER: Mutex<()> = Mutex::new(());

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
    let _asking = lock(&ASKING_LOADER);
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
            get0_global_default: function(library, c"OSSL_LIB_CTX_get0_global_default")?,
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
        if let Some(key) = find_key(found.set0_default, found.get0_global_default) {
            KEY.store(key, Ordering::Relaxed);
        }
        Some(found)
    }
}

/// `OPENSSL_cleanup()` has been called: none of its functions may be called any more.
extern "C" fn cleaned_up() {
    mode::set(mode::GONE);
    mode::clear(mode::LIBCTX);
}

/// The thread-specific key under which libcrypto keeps a thread's default context, or [`NO_KEY`].
///
/// Each switch into or out of a job asks for the default twice. Asking libcrypto takes some 70 instructions, a
/// third of what the switch itself takes; reading the key takes 10. Where it cannot be found (OpenSSL 3.6 keeps
/// it elsewhere), libcrypto is asked.
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
const NO_KEY: u32 = u32::MAX;

/// Finds the key: the one under which a value appears that was set as the default. Everything is as before
/// afterwards.
///
/// # Safety
///
/// The functions are libcrypto's: a context is stored and not looked into.
unsafe fn find_key(
    set0_default: SetDefault,
    get0_global_default: unsafe extern "C" fn() -> LibCtx,
) -> Option<libc::pthread_key_t> {
    const KEYS: libc::pthread_key_t = 1024; // PTHREAD_KEYS_MAX
    static PROBE: u8 = 0;
    let probe: LibCtx = (&raw const PROBE).cast_mut().cast();
    // SAFETY: reading a key that was not made says null.
    let read = |key| unsafe { libc::pthread_getspecific(key) };
    // SAFETY: the caller's. The probe is no context, but nothing of libcrypto looks at it: until the default is put
    // back, this thread reads keys and no more. (A signal handler that uses libcrypto here has no right to: it is
    // not async-signal-safe.)
    let before = unsafe { set0_default(probe) };
    let mut holders = (0..KEYS).filter(|key| read(*key) == probe);
    let found = (holders.next(), holders.next());
    // SAFETY: it is what was there before.
    unsafe { set0_default(before) };
    let (Some(key), None) = found else {
        return None;
    };
    // SAFETY: it takes nothing.
    let global = unsafe { get0_global_default() };
    // Null stands for the global one. Anything else is not how this reads it.
    let means = match read(key) {
        null if null.is_null() => global,
        ctx => ctx,
    };
    (means == before).then_some(key)
}

/// The thread's default library context. Called if [`mode::LIBCTX`] is set.
#[inline(always)]
pub(crate) fn current() -> LibCtx {
    match KEY.load(Ordering::Relaxed) {
        NO_KEY => set_default(ptr::null_mut()),
        // SAFETY: any number may be asked for. While it is libcrypto's key, which is until the cleanup, the value is a
        // context; the mark by which this is called is cleared before the key goes.
        key => unsafe { libc::pthread_getspecific(key) },
    }
}

/// Makes `ctx`, which [`current`] said on this thread, the thread's default library context.
#[cold]
pub(crate) fn install(ctx: LibCtx) {
    if ctx.is_null()
        && let Some(libcrypto) = LIBCRYPTO.get()
    {
        // SAFETY: it takes nothing.
        set_default(unsafe { (libcrypto.get0_global_default)() });
    } else {
        set_default(ctx);
    }
}

/// `OSSL_LIB_CTX_set0_default`.
fn set_default(ctx: LibCtx) -> LibCtx {
    match LIBCRYPTO.get() {
        // SAFETY: null, or a context that was this thread's default earlier. Not after the library's cleanup,
        // which clears the mark by which this is called.
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
        // SAFETY: the types are OpenSSL's; the strings end with a zero, file and function for good, the text
        // for the length of the call, in which it is copied. The library was not cleaned up.
        unsafe {
            (libcrypto.err_new)();
            (libcrypto.err_set_debug)(c"async-capi".as_ptr(), 0, function.as_ptr());
            (libcrypto.err_set_error)(ERR_LIB_ASYNC, reason, c"%s".as_ptr(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static ELSEWHERE: Cell<LibCtx> = const { Cell::new(ptr::null_mut()) });

    fn key() -> libc::pthread_key_t {
        static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();
        *KEY.get_or_init(|| {
            let mut key = 0;
            // SAFETY: makes a key, without a destructor.
            assert_eq!(0, unsafe { libc::pthread_key_create(&raw mut key, None) });
            key
        })
    }

    unsafe extern "C" fn global() -> LibCtx {
        ptr::without_provenance_mut(0x10)
    }

    /// Keeps the default as OpenSSL 3.0 does.
    unsafe extern "C" fn set_in_key(ctx: LibCtx) -> LibCtx {
        // SAFETY: the key was made.
        unsafe {
            let before = match libc::pthread_getspecific(key()) {
                null if null.is_null() => global(),
                ctx => ctx,
            };
            if !ctx.is_null() {
                let kept = if ctx == global() {
                    ptr::null_mut()
                } else {
                    ctx
                };
                libc::pthread_setspecific(key(), kept);
            }
            before
        }
    }

    unsafe extern "C" fn set_elsewhere(ctx: LibCtx) -> LibCtx {
        match ctx.is_null() {
            true => ELSEWHERE.get(),
            false => ELSEWHERE.replace(ctx),
        }
    }

    #[test]
    fn the_key_is_found_and_the_default_is_as_before() {
        let other: LibCtx = ptr::without_provenance_mut(0x20);
        for default in [unsafe_global(), other] {
            // SAFETY: the functions only store what they are given.
            unsafe {
                set_in_key(default);
                assert_eq!(find_key(set_in_key, global), Some(key()));
                assert_eq!(set_in_key(ptr::null_mut()), default);
            }
        }
    }

    fn unsafe_global() -> LibCtx {
        // SAFETY: it takes nothing.
        unsafe { global() }
    }

    #[test]
    fn what_is_kept_elsewhere_is_not_found() {
        // SAFETY: as above.
        unsafe {
            set_elsewhere(unsafe_global());
            assert_eq!(find_key(set_elsewhere, global), None);
            assert_eq!(set_elsewhere(ptr::null_mut()), unsafe_global());
        }
    }
}
