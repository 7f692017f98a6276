//! The locks and atomics of this crate: std's, or the model checker's when built with
//! `--cfg loom`. Reference counts stay std's: they are not what the models look at, and trait
//! objects need them.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

pub(crate) use imp::*;

/// Locks, also when another thread panicked while it held the lock.
///
/// Every critical section of this crate leaves its data whole at each step that can panic (user
/// code never runs under a lock), so poisoning carries no information here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
