//! What can go wrong with a set.

use std::fmt;
use std::io;

#[cfg(any(target_os = "linux", target_os = "android"))]
use waitctx::PollerError;

use crate::error::StartError;

/// Why a set could not go on. The jobs stay in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobSetError {
    /// Waiting failed.
    #[error("waiting for jobs failed: {0}")]
    Wait(#[from] io::Error),
    /// A job's wait fds could not be watched. Said once; the job is looked after by resuming it at
    /// each turn, which then do not sleep.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[error("a job's wait fd cannot be watched: {0}")]
    Watch(#[from] PollerError),
}

/// Why [`JobSet::run`](super::JobSet::run) stopped early. The jobs that were started stay in the set.
#[non_exhaustive]
pub enum RunError<F> {
    /// The next job could not be started, and would not be if another finished. It comes back.
    Start(StartError<F>),
    /// See [`JobSetError`].
    Set(JobSetError),
}

impl<F> fmt::Debug for RunError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Start(e) => f.debug_tuple("Start").field(e).finish(),
            RunError::Set(e) => f.debug_tuple("Set").field(e).finish(),
        }
    }
}

impl<F> fmt::Display for RunError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Start(e) => e.fmt(f),
            RunError::Set(e) => e.fmt(f),
        }
    }
}

impl<F> std::error::Error for RunError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Start(e) => std::error::Error::source(e),
            RunError::Set(e) => Some(e),
        }
    }
}
