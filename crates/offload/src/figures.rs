//! What a client counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened beside the ordinary. Relaxed counts: nothing depends on their order.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) ring_full: AtomicU64,
    pub(crate) resumed_early: AtomicU64,
    pub(crate) fell_back: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) abandoned: AtomicU64,
}

/// What happened to a client's operations, beside succeeding or failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Refusals for a full ring. The operation waited for room and was submitted again.
    pub ring_full: u64,
    /// Resumes of a job whose operation was on the device and not answered yet: woken for no
    /// reason, or for something else.
    pub resumed_early: u64,
    /// Operations that were given to the fallback engine.
    pub fell_back: u64,
    /// Operations that were given up because their time was over.
    pub timed_out: u64,
    /// Operations that were given up because their job was cancelled.
    pub abandoned: u64,
}

impl Figures {
    pub(crate) fn stats(&self) -> ClientStats {
        ClientStats {
            ring_full: self.ring_full.load(Ordering::Relaxed),
            resumed_early: self.resumed_early.load(Ordering::Relaxed),
            fell_back: self.fell_back.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            abandoned: self.abandoned.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}
