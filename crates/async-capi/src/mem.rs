//! Where stacks come from: the built-in arena with its guard pages, or a program's own functions.

use std::ffi::c_void;
use std::io::{self, Write};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use async_core::{PoolConfig, StackMemory, StackSource};

use crate::abi::{ASYNC_stack_alloc_fn, ASYNC_stack_free_fn};
use crate::slots::lock;
use crate::{check, mode};

/// What a program's function is asked for, in bytes: OpenSSL's size.
const PROPOSED_BYTES: usize = 32 * 1024;

/// The process's settings for stacks.
pub(crate) struct Settings {
    alloc: ASYNC_stack_alloc_fn,
    free: ASYNC_stack_free_fn,
    /// The size of a built-in stack; 0 for the usual one.
    stack_bytes: usize,
    /// The first pool has taken these settings: they are final.
    taken: bool,
    /// What the pools were given, if the functions are a program's.
    source: Option<Arc<dyn StackSource>>,
}

pub(crate) static SETTINGS: Mutex<Settings> = Mutex::new(Settings {
    alloc: None,
    free: None,
    stack_bytes: 0,
    taken: false,
    source: None,
});

/// The functions that are in force while none were set. They work, without a guard page; the arena is used in
/// their place.
unsafe extern "C" fn default_alloc(num: *mut usize) -> *mut c_void {
    // SAFETY: whoever calls a stack function passes a size.
    unsafe { libc::malloc(*num) }
}

/// See [`default_alloc`].
unsafe extern "C" fn default_free(addr: *mut c_void) {
    // SAFETY: it came from malloc, or is null.
    unsafe { libc::free(addr) }
}

/// `ASYNC_set_mem_functions`. Says whether they were set; not once a stack was made.
pub(crate) fn set_functions(alloc: ASYNC_stack_alloc_fn, free: ASYNC_stack_free_fn) -> bool {
    let mut settings = lock(&SETTINGS);
    if settings.taken {
        return false;
    }
    settings.alloc = alloc.or(settings.alloc);
    settings.free = free.or(settings.free);
    true
}

/// The functions in force.
pub(crate) fn functions() -> (ASYNC_stack_alloc_fn, ASYNC_stack_free_fn) {
    let settings = lock(&SETTINGS);
    (
        settings.alloc.or(Some(default_alloc)),
        settings.free.or(Some(default_free)),
    )
}

/// Sets the size of built-in stacks. Says whether it was set; not once a stack was made, nor if it is out of
/// bounds.
pub(crate) fn set_stack_bytes(bytes: usize) -> bool {
    let bounds = PoolConfig::MIN_STACK_BYTES..=PoolConfig::MAX_STACK_BYTES;
    let mut settings = lock(&SETTINGS);
    if settings.taken || !bounds.contains(&bytes) {
        return false;
    }
    settings.stack_bytes = bytes;
    true
}

/// Settings for a thread's pool. From the first call on they are final.
pub(crate) fn pool_config() -> PoolConfig {
    let mut settings = lock(&SETTINGS);
    if !settings.taken {
        settings.taken = true;
        settings.source = settings.own_source();
        if settings.stack_bytes == 0 {
            settings.stack_bytes = stack_bytes_wanted();
        }
        settings.stack_bytes = check::stack_bytes(settings.stack_bytes);
    }
    let stack_bytes = match settings.source {
        Some(_) => PROPOSED_BYTES,
        None => settings.stack_bytes,
    };
    PoolConfig {
        stack_bytes,
        // The check mode looks how deep each job goes: not the one before it on the same stack.
        wipe_stacks: mode::is_on("WIPE") || check::on(),
        stack_source: settings.source.clone(),
        ..PoolConfig::default()
    }
}

/// The size of the stacks that the pools have, or of those that a program's functions are asked for.
pub(crate) fn stack_bytes() -> usize {
    let settings = lock(&SETTINGS);
    match settings.source {
        Some(_) => PROPOSED_BYTES,
        None => settings.stack_bytes,
    }
}

/// The size of built-in stacks that the environment asks for, or the usual one.
fn stack_bytes_wanted() -> usize {
    let usual = PoolConfig::default().stack_bytes;
    let Some(wanted) = mode::setting("STACK_BYTES") else {
        return usual;
    };
    let (min, max) = (PoolConfig::MIN_STACK_BYTES, PoolConfig::MAX_STACK_BYTES);
    match wanted.trim().parse() {
        Ok(bytes) if (min..=max).contains(&bytes) => bytes,
        _ => {
            // Not `eprintln`, which panics if it cannot be written.
            let _ = writeln!(
                io::stderr(),
                "async-capi: ASYNC_CAPI_STACK_BYTES={wanted:?} is not a number from {min} to {max}; \
                 stacks have {usual} bytes"
            );
            usual
        }
    }
}

/// More jobs than this machine has pages for: each takes one at least.
pub(crate) fn most_jobs() -> usize {
    // SAFETY: asks for a number.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    usize::try_from(pages).unwrap_or(usize::MAX)
}

impl Settings {
    fn own_source(&self) -> Option<Arc<dyn StackSource>> {
        if self.alloc.is_none() && self.free.is_none() {
            return None;
        }
        Some(Arc::new(Functions {
            alloc: self.alloc.unwrap_or(default_alloc),
            free: self.free.unwrap_or(default_free),
        }))
    }
}

/// A program's functions.
struct Functions {
    alloc: unsafe extern "C" fn(*mut usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: what the functions give is the promise of the C program that set them, which is the manual page's:
// memory of the size that was written back, used by nobody else until it is freed. A C function does not panic.
unsafe impl StackSource for Functions {
    fn allocate(&self, bytes: usize) -> io::Result<StackMemory> {
        let mut bytes = bytes;
        // SAFETY: as the manual page has it: a pointer to the size.
        let lowest = unsafe { (self.alloc)(&raw mut bytes) };
        match NonNull::new(lowest.cast()) {
            Some(lowest) => Ok(StackMemory { lowest, bytes }),
            None => Err(io::Error::from(io::ErrorKind::OutOfMemory)),
        }
    }

    unsafe fn release(&self, memory: StackMemory) {
        // SAFETY: it came from `alloc`, by this function's contract, and is not used again.
        unsafe { (self.free)(memory.lowest.as_ptr().cast()) }
    }
}
