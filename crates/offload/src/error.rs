//! Why an operation gave no response.

use std::io;

use crate::engine::Reason;
use crate::request::{Failure, FailureKind, Request};

/// Why [`OffloadClient::run`](crate::OffloadClient::run) gave no response. The request comes back
/// wherever it still exists: [`into_request`](OffloadError::into_request).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OffloadError {
    /// The engine did not take it on.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: Reason,
        /// The request.
        request: Request,
    },
    /// The engine took it on, and it failed.
    #[error(transparent)]
    Failed(Failure),
    /// The job was cancelled.
    #[error("the job was cancelled; its operation was abandoned")]
    Cancelled {
        /// The request, if it was not on the device yet.
        request: Option<Request>,
    },
    /// There was no way to be woken, so nothing was submitted.
    #[error(
        "no wake fd for the job: {source}; raise the limit on open files (ulimit -n), or set a callback"
    )]
    NoNotifier {
        /// What the system said.
        #[source]
        source: io::Error,
        /// The request.
        request: Request,
    },
    /// The thread that enforces time-outs could not be started, so nothing was submitted.
    #[error("no watchdog thread for time-outs: {source}; free threads, or run without a time-out")]
    NoWatchdog {
        /// What the system said.
        #[source]
        source: io::Error,
        /// The request.
        request: Request,
    },
}

impl OffloadError {
    /// The request, unless it is lost on the device.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        match self {
            OffloadError::Refused { request, .. }
            | OffloadError::NoNotifier { request, .. }
            | OffloadError::NoWatchdog { request, .. } => Some(request),
            OffloadError::Failed(failure) => failure.request,
            OffloadError::Cancelled { request } => request,
        }
    }

    /// Whether the same request may well succeed on another engine: the fault was the engine's,
    /// and the request is here.
    pub(crate) fn try_elsewhere(self) -> Result<Request, OffloadError> {
        match self {
            OffloadError::Refused { request, .. }
            // One that computes on the spot needs neither.
            | OffloadError::NoNotifier { request, .. }
            | OffloadError::NoWatchdog { request, .. } => Ok(request),
            OffloadError::Failed(Failure {
                kind:
                    FailureKind::Device { .. }
                    | FailureKind::Down
                    | FailureKind::Dropped
                    | FailureKind::TimedOut { .. },
                request: Some(request),
            }) => Ok(request),
            other => Err(other),
        }
    }
}
