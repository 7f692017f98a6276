//! What a thread has done, and how it adds up.

use std::time::Duration;

use async_core::SetStats;
use hdrhistogram::Histogram;
use offload::{FailureKind, OffloadError};

use super::failures::FailedBy;
use super::timeline::Timeline;
use crate::error::as_typed;

/// Operation ids are the thread's number above these bits and the operation's below, so that the
/// same seed meets the same faults however the threads are scheduled.
pub(crate) const ID_BITS: u32 = 40;
/// Latencies are told apart to this many significant digits.
const LATENCY_DIGITS: u8 = 3;

/// What a thread has done.
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) failed_by: FailedBy,
    pub(crate) cancelled: u64,
    /// Responses that were not what software computes.
    pub(crate) wrong: u64,
    /// The lowest id of one of them: the same for the same seed.
    pub(crate) first_wrong: Option<u64>,
    /// What the first failed operation said.
    pub(crate) first_failure: Option<String>,
    /// Submissions that met a full ring and waited for room.
    pub(crate) retries: u64,
    /// Resumes of a job whose answer was not there.
    pub(crate) resumed_early: u64,
    /// From the start of the job to its result, in nanoseconds.
    pub(crate) latency_ns: Histogram<u64>,
    pub(crate) latency_sum: Duration,
    /// Of the time that operations waited to begin, which is in `latency_sum` too.
    pub(crate) late_sum: Duration,
    /// Operations that were due and had not begun when the row was over.
    pub(crate) not_begun: u64,
    /// Processor time of the threads that run jobs.
    pub(crate) host_cpu: Duration,
    pub(crate) set: SetStats,
    /// Of all rounds, one after the other.
    pub(crate) timeline: Timeline,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            completed: 0,
            failed: 0,
            failed_by: FailedBy::default(),
            cancelled: 0,
            wrong: 0,
            first_wrong: None,
            first_failure: None,
            retries: 0,
            resumed_early: 0,
            latency_ns: new_histogram(),
            latency_sum: Duration::ZERO,
            late_sum: Duration::ZERO,
            not_begun: 0,
            host_cpu: Duration::ZERO,
            set: SetStats::default(),
            timeline: Timeline::new(),
        }
    }

    /// Counts a response of the operation with this id.
    pub(crate) fn answered(&mut self, id: u64, latency: Duration, right: bool) {
        self.completed += 1;
        self.latency_sum += latency;
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        record(&mut self.latency_ns, ns);
        if !right {
            self.wrong += 1;
            self.first_wrong = lower(self.first_wrong, Some(id));
        }
    }

    /// Counts an operation that gave none.
    pub(crate) fn unanswered(&mut self, error: &OffloadError) {
        if matches!(error, OffloadError::Cancelled { .. }) {
            self.cancelled += 1;
        } else {
            self.failed += 1;
            self.failed_by.count(error);
        }
        self.first_failure.get_or_insert_with(|| describe(error));
    }

    /// Adds what another thread has done.
    pub(crate) fn add(&mut self, other: Tally) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.failed_by.add(&other.failed_by);
        self.cancelled += other.cancelled;
        self.wrong += other.wrong;
        self.first_wrong = lower(self.first_wrong, other.first_wrong);
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.retries += other.retries;
        self.resumed_early += other.resumed_early;
        self.latency_sum += other.latency_sum;
        self.late_sum += other.late_sum;
        self.not_begun += other.not_begun;
        self.host_cpu += other.host_cpu;
        // Invariant: both grow as they must, so nothing is out of range.
        self.latency_ns
            .add(&other.latency_ns)
            .expect("histograms that resize take any value");
        self.set.started += other.set.started;
        self.set.finished += other.set.finished;
        self.set.pauses += other.set.pauses;
        self.set.resumes += other.set.resumes;
        self.set.wakes += other.set.wakes;
        self.set.in_flight_max += other.set.in_flight_max;
        self.timeline.add(other.timeline);
    }
}

/// A histogram of nanoseconds that takes any.
pub(crate) fn new_histogram() -> Histogram<u64> {
    // Invariant: 1 to 5 digits are what the crate takes.
    Histogram::new(LATENCY_DIGITS).expect("3 digits are supported")
}

#[inline]
pub(crate) fn record(histogram: &mut Histogram<u64>, ns: u64) {
    // Invariant: the histogram grows as it must, so nothing is out of range.
    let recorded = histogram.record(ns);
    recorded.expect("a histogram that resizes takes any value");
}

/// The lower of the two, where there are two.
fn lower(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// An operation's id in words.
pub(crate) fn name_of(id: u64) -> String {
    let n = id & ((1 << ID_BITS) - 1);
    format!("operation {n} of thread {}", id >> ID_BITS)
}

/// Why an operation failed, in words.
pub(crate) fn describe(error: &OffloadError) -> String {
    match error {
        OffloadError::Failed(failure) => match &failure.kind {
            FailureKind::TimedOut { millis } => format!("no answer within {millis} ms"),
            kind => kind.to_string(),
        },
        other => as_typed(&other.to_string()),
    }
}
