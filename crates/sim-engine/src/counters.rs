//! What a device counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use offload::{Counters, Delivery};

/// Counts of submitters and of workers, on different cache lines. Relaxed: they are exact when the
/// device is at rest, and otherwise a snapshot.
#[derive(Default)]
pub(crate) struct Count {
    submit: CachePadded<SubmitSide>,
    answer: CachePadded<AnswerSide>,
}

#[derive(Default)]
struct SubmitSide {
    submitted: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct AnswerSide {
    completed: AtomicU64,
    failed: AtomicU64,
    orphaned: AtomicU64,
    duplicates: AtomicU64,
    skipped: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Count {
    pub(crate) fn submitted(&self) {
        add(&self.submit.submitted, 1);
    }

    pub(crate) fn refused(&self) {
        add(&self.submit.refused, 1);
    }

    pub(crate) fn answered(&self, delivery: Delivery, success: bool) {
        let counter = match delivery {
            Delivery::Delivered if success => &self.answer.completed,
            Delivery::Delivered => &self.answer.failed,
            Delivery::Orphaned => &self.answer.orphaned,
            Delivery::Duplicate => &self.answer.duplicates,
        };
        add(counter, 1);
    }

    /// One that nobody waited for was not started.
    pub(crate) fn skipped(&self) {
        add(&self.answer.skipped, 1);
    }

    pub(crate) fn skips(&self) -> u64 {
        self.answer.skipped.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, in_flight: u64) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            submitted: get(&self.submit.submitted),
            refused: get(&self.submit.refused),
            completed: get(&self.answer.completed),
            failed: get(&self.answer.failed),
            orphaned: get(&self.answer.orphaned),
            duplicates: get(&self.answer.duplicates),
            in_flight,
        }
    }
}
