//! What this process wants of the library, as marks that the hot paths read at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::slots::lock;
use crate::{asan, check, fork, libcrypto, stats, thread};

/// The environment has not been read yet.
pub(crate) const NEW: u32 = 1;
/// libcrypto is there: each job has its own default library context.
pub(crate) const LIBCTX: u32 = 2;
/// Count what happens, and print it at the end.
pub(crate) const STATS: u32 = 4;
/// Report mistakes.
pub(crate) const CHECK: u32 = 8;
/// libcrypto has been cleaned up.
pub(crate) const GONE: u32 = 16;

/// The program is built with AddressSanitizer, which is told of switches.
pub(crate) const ASAN: u32 = 32;

/// Any of these makes the hot paths take the long way.
pub(crate) const SLOW: u32 = NEW | STATS | CHECK | GONE;

static MODE: AtomicU32 = AtomicU32::new(NEW);

/// Acquire: what a mark stands for is there when it is seen.
#[inline(always)]
pub(crate) fn now() -> u32 {
    MODE.load(Ordering::Acquire)
}

pub(crate) fn set(mark: u32) {
    MODE.fetch_or(mark, Ordering::Release);
}

pub(crate) fn clear(mark: u32) {
    MODE.fetch_and(!mark, Ordering::Release);
}

/// Whether [`begin`] has been done. Taken first of all locks.
pub(crate) static BEGUN: Mutex<bool> = Mutex::new(false);

/// What holds, once the beginning is past: for every function that may be the first to be called.
#[inline(always)]
pub(crate) fn ready() -> u32 {
    match now() {
        now if now & NEW != 0 => begin(),
        now => now,
    }
}

/// What is done once, before the first job and the first context: reads the environment, looks for libcrypto,
/// prepares for forks. Says what holds then.
#[cold]
fn begin() -> u32 {
    // Before the lock is taken: a fork waits for it then, and leaves no child in which it is never done.
    fork::prepare();
    // Without the lock, since these ask the loader, which may be loading a library that begins, too.
    libcrypto::look();
    asan::begin();
    let mut begun = lock(&BEGUN);
    if !*begun {
        thread::prepare_ends();
        stats::begin();
        check::begin();
        clear(NEW);
        *begun = true;
    }
    now()
}

/// A setting of ours in the environment, by its name without `ASYNC_CAPI_`. A program that runs with somebody
/// else's rights has none.
pub(crate) fn setting(name: &str) -> Option<String> {
    // SAFETY: asks for a number.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return None;
    }
    std::env::var(format!("ASYNC_CAPI_{name}")).ok()
}

/// Whether a setting is there and not "0" or empty.
pub(crate) fn is_on(name: &str) -> bool {
    setting(name).is_some_and(|value| !value.is_empty() && value != "0")
}
