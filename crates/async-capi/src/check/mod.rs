//! The check mode: reports the mistakes of programs and engines. See `docs/check-mode.md`.
//!
//! - `jobs.rs`, `contexts.rs`, `fds.rs` and `faults.rs` are called where something happens, and look at it.
//!   `exit.rs` looks at what is left in the end.
//! - `notes.rs` is what is remembered meanwhile.
//! - `place.rs` says where in the program we are, `frames.rs` finds the names for it.
//! - `report.rs` says each thing once and counts it; `json.rs` is the same for programs.
//!
//! Its locks come last: nothing here calls C, or takes a lock of the library's, while one of them is held. Of its
//! own, only the places' lock is ever taken with none held before it.

mod contexts;
mod exit;
mod faults;
mod fds;
mod frames;
mod jobs;
mod json;
mod notes;
mod place;
mod report;

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use contexts::{context_freeing, context_made};
pub(crate) use faults::fault;
pub(crate) use fds::{fd_cleared, fd_set};
pub(crate) use jobs::{
    job_finished, job_pauses, job_refused, job_resumes, job_returns, job_starts, stack_bytes,
    thread_ends,
};

use crate::ctx::CONTEXTS;
use crate::job::JOBS;
use crate::slots::Slot;
use crate::{mode, thread};

/// The locks of this module, held around a fork.
pub(crate) struct ForkGuard {
    _book: MutexGuard<'static, notes::Book>,
    _said: MutexGuard<'static, report::Said>,
    _places: MutexGuard<'static, place::Places>,
}

pub(crate) fn before_fork() -> ForkGuard {
    ForkGuard {
        _book: notes::book(),
        _said: report::hold(),
        _places: place::hold(),
    }
}

/// In a forked child: what was there before is its parent's.
pub(crate) fn forget() {
    notes::forget();
    report::forget();
}

/// Turns the mode on if the environment asks for it.
pub(crate) fn begin() {
    // Both are read: the file's name is wanted also if the mode is turned on by a function.
    if json::begin() | mode::is_on("CHECK") {
        turn(true);
    }
}

/// Whether the mode is on. The hot paths have one mark for all that is unusual, and ask here what it is.
#[inline]
pub(crate) fn on() -> bool {
    mode::now() & mode::CHECK != 0
}

/// Turns the mode on or off. Called under the lock of [`mode::begin`]: two that turn it on at once would count what is
/// there twice.
pub(crate) fn turn(wanted: bool) {
    static FIRST: AtomicBool = AtomicBool::new(true);
    if !wanted {
        mode::clear(mode::CHECK);
        notes::forget();
        return;
    }
    // Not a `Once`, which a fork could find half done.
    if FIRST.swap(false, Ordering::Relaxed) {
        // SAFETY: the function stays: the library is never unloaded. Refused means that the end is not looked at.
        unsafe { libc::atexit(exit::at_exit) };
        // Refused means that a stack that overflows is a bare SIGSEGV, as without the mode.
        let _ = async_core::report_stack_overflow();
    }
    if on() {
        return;
    }
    contexts::adopt(CONTEXTS.in_use().map(Slot::handle));
    let running = thread::here().current.get().map_or(0, Slot::handle);
    jobs::adopt(JOBS.in_use(), running);
    mode::set(mode::CHECK);
}
