//! What the operations that failed failed of.

use std::fmt;

use offload::{FailureKind, OffloadError, Reason};
use serde::{Deserialize, Serialize};

use crate::units::show_count;

/// Failed operations, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct FailedBy {
    /// The device answered with an error status.
    pub(crate) device_status: u64,
    /// The device was down, or went down with the operation on it.
    pub(crate) down: u64,
    /// No answer came within the time-out.
    pub(crate) timed_out: u64,
    /// A rate limit was hit.
    pub(crate) throttled: u64,
    /// No file descriptor was left to be told with.
    pub(crate) no_descriptor: u64,
    /// Refused for any other reason.
    pub(crate) refused_other: u64,
    /// Taken on, and failed for any other reason.
    pub(crate) failed_other: u64,
}

impl FailedBy {
    /// Counts an operation that failed. Who cancels one has not failed.
    pub(crate) fn count(&mut self, error: &OffloadError) {
        let kind = match error {
            OffloadError::Cancelled { .. } => return,
            OffloadError::Failed(failure) => match failure.kind {
                FailureKind::Device { .. } => &mut self.device_status,
                FailureKind::Down => &mut self.down,
                FailureKind::TimedOut { .. } => &mut self.timed_out,
                _ => &mut self.failed_other,
            },
            OffloadError::Refused { reason, .. } => match reason {
                Reason::Down => &mut self.down,
                Reason::Throttled => &mut self.throttled,
                Reason::NoDescriptor => &mut self.no_descriptor,
                _ => &mut self.refused_other,
            },
            OffloadError::NoNotifier { .. } => &mut self.no_descriptor,
            _ => &mut self.refused_other,
        };
        *kind += 1;
    }

    /// Adds those of another thread or row.
    pub(crate) fn add(&mut self, other: &FailedBy) {
        self.device_status += other.device_status;
        self.down += other.down;
        self.timed_out += other.timed_out;
        self.throttled += other.throttled;
        self.no_descriptor += other.no_descriptor;
        self.refused_other += other.refused_other;
        self.failed_other += other.failed_other;
    }

    /// All of them, with the names of their fields.
    pub(crate) fn kinds(&self) -> [(&'static str, u64); 7] {
        [
            ("device_status", self.device_status),
            ("down", self.down),
            ("timed_out", self.timed_out),
            ("throttled", self.throttled),
            ("no_descriptor", self.no_descriptor),
            ("refused_other", self.refused_other),
            ("failed_other", self.failed_other),
        ]
    }

    pub(crate) fn total(&self) -> u64 {
        self.kinds().iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for FailedBy {
    /// Those kinds that there are: `12 timed_out, 3 down`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds().into_iter().filter(|(_, count)| *count > 0);
        for (at, (name, count)) in kinds.enumerate() {
            let between = if at > 0 { ", " } else { "" };
            write!(f, "{between}{} {name}", show_count(count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use offload::Failure;

    #[test]
    fn each_failure_is_of_one_kind() {
        let mut failed = FailedBy::default();
        let kinds = [
            FailureKind::Device { status: 5 },
            FailureKind::Down,
            FailureKind::TimedOut { millis: 10 },
            FailureKind::TimedOut { millis: 10 },
            FailureKind::Dropped,
        ];
        for kind in kinds {
            failed.count(&OffloadError::Failed(Failure::lost(kind)));
        }
        failed.count(&OffloadError::Cancelled { request: None });
        let said = "1 device_status, 1 down, 2 timed_out, 1 failed_other";
        assert_eq!(failed.to_string(), said);
        let mut twice = failed;
        twice.add(&failed);
        assert_eq!((failed.total(), twice.total()), (5, 10));
    }
}
