//! A fork copies the process with one of its threads: no lock of ours may be held by another one then.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::MutexGuard;

use crate::ctx::{CONTEXTS, CTX_LOCKS};
use crate::job::JOBS;
use crate::slots::{Spare, lock};
use crate::{check, libcrypto, mem, stats};

/// Every lock of the library, in the order in which they may be taken one inside the other.
struct AllLocks {
    _loader: MutexGuard<'static, ()>,
    _settings: MutexGuard<'static, mem::Settings>,
    _contexts: [MutexGuard<'static, ()>; 64],
    _context_places: MutexGuard<'static, Spare>,
    _job_places: MutexGuard<'static, Spare>,
    _check: check::ForkGuard,
}

thread_local! {
    /// Held by the thread that forks, from before until after. Without a destructor, so that a thread that
    /// is ending can fork as well.
    static HELD: Cell<Option<ManuallyDrop<Box<AllLocks>>>> = const { Cell::new(None) };
}

/// Has the locks held around each fork of this process.
pub(crate) fn prepare() {
    // SAFETY: the functions stay: the library is never unloaded. Refused for want of memory means that a fork
    // may leave a lock held in the child; nothing else depends on it.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
}

extern "C" fn before() {
    let all = AllLocks {
        _loader: lock(&libcrypto::ASKING_LOADER),
        _settings: lock(&mem::SETTINGS),
        _contexts: CTX_LOCKS.lock_all(),
        _context_places: CONTEXTS.lock(),
        _job_places: JOBS.lock(),
        _check: check::before_fork(),
    };
    HELD.set(Some(ManuallyDrop::new(Box::new(all))));
}

extern "C" fn after() {
    if let Some(all) = HELD.take() {
        drop(ManuallyDrop::into_inner(all));
    }
}

extern "C" fn in_child() {
    after();
    stats::forget();
    check::forget();
}
