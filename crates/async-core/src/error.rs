//! What can go wrong, one type per operation. Whatever was moved in comes back.

use std::fmt;
use std::io;

/// The job was cancelled: undo, return, and do not wait any more.
///
/// What [`pause_job`](crate::pause_job) reports in a job that is being cancelled, at once and
/// every time. A job that ignores it and waits in a loop keeps whoever cancelled it waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the job was cancelled")]
pub struct Cancelled;

/// Why a job was not started. The closure comes back.
#[non_exhaustive]
pub enum StartError<F> {
    /// The pool is at its bound: try again when a job of this thread has finished. OpenSSL's
    /// `ASYNC_NO_JOBS`.
    NoJobs(F),
    /// Called inside a job. At most one job runs per thread; call the function instead, or hand
    /// the closure to whoever runs the jobs. The running job is not affected.
    InsideJob(F),
    /// The thread is ending and its pool is gone.
    ThreadExiting(F),
    /// There was no stack for another job. Jobs that exist are not affected.
    Stack {
        /// The closure.
        closure: F,
        /// What the system, or the [`StackSource`](crate::StackSource), said.
        source: io::Error,
    },
}

impl<F> StartError<F> {
    /// The closure that was not started.
    #[must_use]
    pub fn into_closure(self) -> F {
        match self {
            StartError::NoJobs(f)
            | StartError::InsideJob(f)
            | StartError::ThreadExiting(f)
            | StartError::Stack { closure: f, .. } => f,
        }
    }

    /// Whether the same call can succeed later, when another job has finished.
    #[must_use]
    pub fn is_no_jobs(&self) -> bool {
        matches!(self, StartError::NoJobs(_))
    }
}

impl<F> fmt::Debug for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NoJobs(_) => f.write_str("NoJobs(..)"),
            StartError::InsideJob(_) => f.write_str("InsideJob(..)"),
            StartError::ThreadExiting(_) => f.write_str("ThreadExiting(..)"),
            StartError::Stack { source, .. } => f
                .debug_struct("Stack")
                .field("source", source)
                .finish_non_exhaustive(),
        }
    }
}

impl<F> fmt::Display for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::NoJobs(_) => f.write_str(
                "no job is free in this thread's pool; resume a paused job to its end, or raise max_jobs",
            ),
            StartError::InsideJob(_) => {
                f.write_str("a job cannot start another; call the function directly instead")
            }
            StartError::ThreadExiting(_) => {
                f.write_str("the thread is ending; start jobs before its thread-locals are destroyed")
            }
            StartError::Stack { source, .. } => {
                write!(f, "no stack for another job: {source}; lower max_jobs or stack_bytes")
            }
        }
    }
}

impl<F> std::error::Error for StartError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Stack { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a thread's pool was not set up as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// `init_jobs` is above `max_jobs`. Nothing was changed.
    #[error("init_jobs ({init_jobs}) is above max_jobs ({max_jobs}); lower it, or raise max_jobs")]
    InvalidPoolSize {
        /// The jobs to make at once.
        init_jobs: usize,
        /// The bound.
        max_jobs: usize,
    },
    /// The stack size is too small to run anything, or too large to reserve. Nothing was changed.
    #[error("a stack of {stack_bytes} bytes is out of range; give {min} to {max} bytes")]
    InvalidStackSize {
        /// What was asked for, in bytes.
        stack_bytes: usize,
        /// The least, in bytes.
        min: usize,
        /// The most, in bytes.
        max: usize,
    },
    /// Another source of stacks was given after this thread's pool had made its first stack.
    /// Nothing was changed; call [`cleanup_thread`](crate::cleanup_thread) first.
    #[error("the stack source cannot change once a stack was made; call cleanup_thread first")]
    SourceInUse,
    /// Called inside a job. Nothing was changed.
    #[error(transparent)]
    InsideJob(#[from] InsideJob),
    /// The thread is ending and its pool is gone.
    #[error("the thread is ending; set its pool up before its thread-locals are destroyed")]
    ThreadExiting,
    /// The pool is set up, but only some of the jobs could be made up front.
    #[error(
        "only {made} of {init_jobs} jobs could be made: {source}; lower init_jobs or stack_bytes"
    )]
    Stack {
        /// How many idle jobs there are.
        made: usize,
        /// How many were asked for.
        init_jobs: usize,
        /// What the system, or the stack source, said.
        source: io::Error,
    },
}

/// Called inside a job, where it would pull the stack from under itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("called inside a job; call it from the code that starts and resumes the jobs")]
pub struct InsideJob;
