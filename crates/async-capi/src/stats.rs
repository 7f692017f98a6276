//! Counts of what happened, for `ASYNC_CAPI_STATS=1`.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{ctx, mode, thread};

pub(crate) static STARTS: AtomicU64 = AtomicU64::new(0);
pub(crate) static PAUSES: AtomicU64 = AtomicU64::new(0);
pub(crate) static RESUMES: AtomicU64 = AtomicU64::new(0);
pub(crate) static FINISHES: AtomicU64 = AtomicU64::new(0);
pub(crate) static CANCELS: AtomicU64 = AtomicU64::new(0);

/// Counts one. Called on the long way only.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One that did not happen after all.
pub(crate) fn take_back(counter: &AtomicU64) {
    counter.fetch_sub(1, Ordering::Relaxed);
}

/// Begins to count if the environment asks for it.
pub(crate) fn begin() {
    if mode::is_on("STATS") {
        mode::set(mode::STATS);
        // SAFETY: the function stays: the library is never unloaded. Refused means that nothing is printed.
        unsafe { libc::atexit(print_at_exit) };
    }
}

/// A forked child counts for itself.
pub(crate) fn forget() {
    for counter in [&STARTS, &PAUSES, &RESUMES, &FINISHES, &CANCELS] {
        counter.store(0, Ordering::Relaxed);
    }
}

/// One line, as `name=number` words.
fn line() -> String {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "async-capi: pid={} starts={} pauses={} resumes={} finishes={} cancels={} abandoned={} leaked={}\n",
        std::process::id(),
        read(&STARTS),
        read(&PAUSES),
        read(&RESUMES),
        read(&FINISHES),
        read(&CANCELS),
        ctx::abandoned_jobs(),
        thread::leaked_jobs(),
    )
}

extern "C" fn print_at_exit() {
    // One write, so that lines of several processes stay whole. There is nobody to tell of a failure.
    let _ = std::io::stderr().write_all(line().as_bytes());
}
