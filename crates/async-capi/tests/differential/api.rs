//! The 20 functions of libcrypto 3.0, as a C program gets them from a shared library; and what both libraries
//! share: libcrypto's error queue and its library contexts.

use std::ffi::{OsStr, c_int, c_uint, c_ulong, c_void};
use std::path::Path;
use std::ptr;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::common;

pub(crate) const ASYNC_ERR: c_int = 0;
pub(crate) const ASYNC_NO_JOBS: c_int = 1;
pub(crate) const ASYNC_PAUSE: c_int = 2;
pub(crate) const ASYNC_FINISH: c_int = 3;

/// What is only ever handled by pointer.
pub(crate) type Job = *mut c_void;
pub(crate) type Ctx = *mut c_void;
pub(crate) type LibCtx = *mut c_void;

pub(crate) type JobFn = unsafe extern "C" fn(*mut c_void) -> c_int;
pub(crate) type CallbackFn = unsafe extern "C" fn(*mut c_void) -> c_int;
pub(crate) type CleanupFn = unsafe extern "C" fn(Ctx, *const c_void, c_int, *mut c_void);

macro_rules! api {
    ($($field:ident = $name:literal: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// One implementation.
        #[derive(Clone, Copy)]
        pub(crate) struct Api {
            $(pub(crate) $field: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Api {
            /// The names of the functions, for messages.
            const NAMES: &[&str] = &[$($name),*];

            /// # Safety
            ///
            /// The functions of the library have the types of OpenSSL's `async.h`.
            unsafe fn of(library: &Library) -> Result<Api, libloading::Error> {
                Ok(Api {
                    $(
                        // SAFETY: the caller's.
                        $field: unsafe { *library.get($name.as_bytes())? },
                    )*
                })
            }

            fn addresses(&self) -> Vec<usize> {
                vec![$(self.$field as usize),*]
            }
        }
    };
}

api! {
    is_capable = "ASYNC_is_capable": fn() -> c_int;
    init_thread = "ASYNC_init_thread": fn(usize, usize) -> c_int;
    cleanup_thread = "ASYNC_cleanup_thread": fn();
    start_job = "ASYNC_start_job":
        fn(*mut Job, Ctx, *mut c_int, Option<JobFn>, *mut c_void, usize) -> c_int;
    pause_job = "ASYNC_pause_job": fn() -> c_int;
    get_current_job = "ASYNC_get_current_job": fn() -> Job;
    get_wait_ctx = "ASYNC_get_wait_ctx": fn(Job) -> Ctx;
    block_pause = "ASYNC_block_pause": fn();
    unblock_pause = "ASYNC_unblock_pause": fn();
    ctx_new = "ASYNC_WAIT_CTX_new": fn() -> Ctx;
    ctx_free = "ASYNC_WAIT_CTX_free": fn(Ctx);
    set_wait_fd = "ASYNC_WAIT_CTX_set_wait_fd":
        fn(Ctx, *const c_void, c_int, *mut c_void, Option<CleanupFn>) -> c_int;
    get_fd = "ASYNC_WAIT_CTX_get_fd":
        fn(Ctx, *const c_void, *mut c_int, *mut *mut c_void) -> c_int;
    get_all_fds = "ASYNC_WAIT_CTX_get_all_fds": fn(Ctx, *mut c_int, *mut usize) -> c_int;
    get_changed_fds = "ASYNC_WAIT_CTX_get_changed_fds":
        fn(Ctx, *mut c_int, *mut usize, *mut c_int, *mut usize) -> c_int;
    clear_fd = "ASYNC_WAIT_CTX_clear_fd": fn(Ctx, *const c_void) -> c_int;
    set_callback = "ASYNC_WAIT_CTX_set_callback":
        fn(Ctx, Option<CallbackFn>, *mut c_void) -> c_int;
    get_callback = "ASYNC_WAIT_CTX_get_callback":
        fn(Ctx, *mut Option<CallbackFn>, *mut *mut c_void) -> c_int;
    set_status = "ASYNC_WAIT_CTX_set_status": fn(Ctx, c_int) -> c_int;
    get_status = "ASYNC_WAIT_CTX_get_status": fn(Ctx) -> c_int;
}

/// What belongs to libcrypto alone, and both implementations use.
pub(crate) struct Process {
    get_error: unsafe extern "C" fn() -> c_ulong,
    set0_default: unsafe extern "C" fn(LibCtx) -> LibCtx,
    /// The library contexts that become the default one: the process's own, and two more.
    lib_ctxs: [LibCtx; 3],
    /// A start with arguments that no memory can hold queues what it did in 3.0. Later versions queue what
    /// the allocator has to say.
    pub(crate) malloc_failure_is_async: bool,
    /// Arguments of no bytes are no arguments. Before December 2025 libcrypto had ASYNC_ERR for them, without
    /// a word.
    pub(crate) size_zero_works: bool,
}

// SAFETY: functions that any thread may call, and contexts that are made before and never freed: they are only
// ever made a thread's default.
unsafe impl Sync for Process {}
// SAFETY: as above.
unsafe impl Send for Process {}

impl Process {
    /// The oldest error of this thread's queue, which is taken out; 0 if there is none.
    pub(crate) fn take_error(&self) -> u64 {
        // SAFETY: libcrypto is there for good.
        unsafe { (self.get_error)() }
    }

    pub(crate) fn set_default(&self, which: u8) {
        // SAFETY: one of the contexts, which live for good.
        unsafe { (self.set0_default)(self.lib_ctxs[usize::from(which) % 3]) };
    }

    /// Which of the three is the thread's default; -1 for another.
    pub(crate) fn default(&self) -> i64 {
        // SAFETY: null asks only.
        let now = unsafe { (self.set0_default)(ptr::null_mut()) };
        let found = self.lib_ctxs.iter().position(|&one| one == now);
        found.map_or(-1, |at| at as i64)
    }
}

/// Both implementations, and what they share.
pub(crate) struct Both {
    pub(crate) libcrypto: Api,
    pub(crate) ours: Api,
    pub(crate) process: Process,
    pub(crate) version: String,
}

/// Loads both. `None`, with a line that says so, where there is no libcrypto to compare with.
pub(crate) fn load() -> Option<Both> {
    let theirs = match open(OsStr::new("libcrypto.so.3")) {
        Ok(library) => library,
        Err(why) => {
            println!("skipped: no libcrypto.so.3 to compare with: {why}");
            return None;
        }
    };
    let major = {
        // SAFETY: the type is that of OpenSSL's crypto.h.
        let version =
            unsafe { theirs.get::<unsafe extern "C" fn() -> c_uint>(b"OPENSSL_version_major") };
        // SAFETY: it takes nothing and says a number.
        version.map(|version| unsafe { version() }).unwrap_or(0)
    };
    if major < 3 {
        println!("skipped: libcrypto.so.3 is older than 3.0");
        return None;
    }
    // SAFETY: types of OpenSSL 3's async.h.
    let libcrypto = unsafe { Api::of(&theirs) }.expect("libcrypto 3 has all of the functions");
    // SAFETY: as above.
    if unsafe { (libcrypto.is_capable)() } == 0 {
        println!("skipped: this libcrypto was built without jobs");
        return None;
    }
    let path = common::shared_library();
    let own = open(path.as_os_str()).expect("the library was built with this test");
    // SAFETY: our types are those of async.h.
    let ours = unsafe { Api::of(&own) }.expect("ours has all of the functions");
    let addresses = libcrypto.addresses().into_iter().zip(ours.addresses());
    for ((one, other), name) in addresses.zip(Api::NAMES) {
        assert_ne!(one, other, "{name} is compared with itself");
    }
    // SAFETY: types of OpenSSL 3's crypto.h and err.h.
    let mut process = unsafe { Process::of(&theirs) }.expect("libcrypto 3 has these functions");
    probe(&libcrypto, &mut process);
    // SAFETY: as above.
    let version = unsafe { version(&theirs) };
    // Both stay: threads end into them.
    std::mem::forget((theirs, own));
    Some(Both {
        libcrypto,
        ours,
        process,
        version,
    })
}

fn open(name: &OsStr) -> Result<Library, libloading::Error> {
    // SAFETY: neither library does more at its start than libraries do.
    unsafe { Library::open(Some(Path::new(name)), RTLD_NOW | RTLD_LOCAL) }
}

/// # Safety
///
/// It is libcrypto 3.
unsafe fn version(library: &Library) -> String {
    type Text = unsafe extern "C" fn(c_int) -> *const std::ffi::c_char;
    // SAFETY: the type is crypto.h's; 0 asks for the long version, which is a constant.
    unsafe {
        match library.get::<Text>(b"OpenSSL_version") {
            Ok(text) => std::ffi::CStr::from_ptr(text(0))
                .to_string_lossy()
                .into_owned(),
            Err(_) => "libcrypto 3".into(),
        }
    }
}

impl Process {
    /// # Safety
    ///
    /// It is libcrypto 3.
    unsafe fn of(library: &Library) -> Result<Process, libloading::Error> {
        // SAFETY: the caller's.
        unsafe {
            let new: unsafe extern "C" fn() -> LibCtx = *library.get(b"OSSL_LIB_CTX_new")?;
            let set0_default: unsafe extern "C" fn(LibCtx) -> LibCtx =
                *library.get(b"OSSL_LIB_CTX_set0_default")?;
            let lib_ctxs = [set0_default(ptr::null_mut()), new(), new()];
            assert!(lib_ctxs.iter().all(|one| !one.is_null()));
            Ok(Process {
                get_error: *library.get(b"ERR_get_error")?,
                set0_default,
                lib_ctxs,
                malloc_failure_is_async: false,
                size_zero_works: false,
            })
        }
    }
}

/// What no program gets from an allocator.
pub(crate) const TOO_LARGE: usize = usize::MAX / 4;

/// Finds out in which ways this libcrypto is like the newest of its line.
fn probe(libcrypto: &Api, process: &mut Process) {
    unsafe extern "C" fn one(_: *mut c_void) -> c_int {
        1
    }
    let start = |size: usize| {
        let (mut job, mut ret, mut byte) = (ptr::null_mut(), 0, 0_u8);
        let args = (&raw mut byte).cast();
        // SAFETY: the job does nothing. A size too large is refused before a byte is read.
        unsafe { (libcrypto.start_job)(&mut job, ptr::null_mut(), &mut ret, Some(one), args, size) }
    };
    process.size_zero_works = start(0) == ASYNC_FINISH;
    while process.take_error() != 0 {}
    assert_eq!(start(TOO_LARGE), ASYNC_ERR, "nothing has so much memory");
    process.malloc_failure_is_async = process.take_error() == 0x198c_0100;
    while process.take_error() != 0 {}
    // SAFETY: no job is left.
    unsafe { (libcrypto.cleanup_thread)() };
}
