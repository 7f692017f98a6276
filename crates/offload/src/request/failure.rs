//! What comes back from an operation that did not succeed.

use std::fmt;

use super::Request;

/// Why an operation that was accepted did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The device answered with an error status.
    #[error("the device reported status {status}; try again, or run it in software")]
    Device {
        /// The device's own number.
        status: i32,
    },
    /// The device is gone, or went with the operation on it.
    #[error("the device went down with the operation on it; reset it, or run it in software")]
    Down,
    /// No answer came within the time-out.
    #[error("no answer from the engine within {millis} ms; the operation was abandoned")]
    TimedOut {
        /// The time-out, in milliseconds.
        millis: u64,
    },
    /// The tag does not fit the data: forged or corrupted input, not a device fault.
    #[error("authentication failed: the tag does not fit the data")]
    Verify,
    /// The parameters cannot work, as data that is not whole blocks for CBC without padding.
    #[error("the request cannot be carried out: {reason}")]
    BadRequest {
        /// What is wrong with it and what would be right.
        reason: &'static str,
    },
    /// The engine dropped the completion without answering: a bug in the engine.
    #[error("the engine dropped the operation without answering; report it to the engine's author")]
    Dropped,
    /// Nobody waits for the answer any more; the engine did not start it.
    #[error("the operation was cancelled before the engine started it")]
    Cancelled,
}

/// A failed operation, with its request as it was before where the engine still has it.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// The request, unchanged, to be tried again elsewhere. `None` if it is lost on the device.
    pub request: Option<Request>,
}

impl Failure {
    /// A failure that hands the request back.
    #[must_use]
    pub fn with_request(kind: FailureKind, request: Request) -> Failure {
        Failure {
            kind,
            request: Some(request),
        }
    }

    /// A failure whose request is lost on the device.
    #[must_use]
    pub fn lost(kind: FailureKind) -> Failure {
        Failure {
            kind,
            request: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Failure {}
