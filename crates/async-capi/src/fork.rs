//! A fork copies the process with one of its threads: no lock of ours may be held by another one then.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ctx::{CONTEXTS, CTX_LOCKS};
use crate::job::JOBS;
use crate::slots::{AllShards, Spare, lock};
use crate::{check, libcrypto, mem, mode, stats};

/// Every lock of the library, in the order in which they may be taken one inside the other.
struct AllLocks {
    _begun: MutexGuard<'static, bool>,
    _loader: MutexGuard<'static, ()>,
    _settings: MutexGuard<'static, mem::Settings>,
    _contexts: AllShards<'static>,
    _context_places: MutexGuard<'static, Spare>,
    _job_places: MutexGuard<'static, Spare>,
    _check: check::ForkGuard,
}

thread_local! {
    /// Held by the thread that forks, from before until after. Without a destructor, so that a thread that
    /// is ending can fork as well.
    static HELD: Cell<Option<ManuallyDrop<Box<AllLocks>>>> = const { Cell::new(None) };
}

/// Has the locks held around each fork of this process, from the return on.
pub(crate) fn prepare() {
    /// 0, then the process that is at it, then `DONE`. Not a `Once`: a child that was forked meanwhile, without
    /// our handlers, finds that it is another process, and does it itself.
    static BY: AtomicU32 = AtomicU32::new(0);
    const DONE: u32 = u32::MAX;
    let this = std::process::id();
    loop {
        let by = BY.load(Ordering::Acquire);
        if by == DONE {
            return;
        } else if by == this {
            std::thread::yield_now();
        } else if BY
            .compare_exchange(by, this, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            break;
        }
    }
    // SAFETY: the functions stay: the library is never unloaded. Refused for want of memory means that a fork
    // may leave a lock held in the child; nothing else depends on it.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
    BY.store(DONE, Ordering::Release);
}

extern "C" fn before() {
    if let Some(held) = HELD.take() {
        // The handlers were registered twice.
        HELD.set(Some(held));
        return;
    }
    let all = AllLocks {
        _begun: lock(&mode::BEGUN),
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
