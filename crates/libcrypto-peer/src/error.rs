//! What can go wrong, one type per operation; what was handed in is handed back.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::PeerJob;

/// No usable libcrypto was found. The message lists what was tried and says what to do.
#[derive(Debug, thiserror::Error)]
#[error(
    "no usable libcrypto ({}): install OpenSSL 3.0 or later (Debian and Ubuntu: libssl3, Fedora: \
     openssl-libs), or set LIBCRYPTO_PEER to the path of a libcrypto.so.3",
    list(attempts)
)]
pub struct LoadError {
    pub(crate) attempts: Vec<LoadAttempt>,
}

impl LoadError {
    /// What was tried, in order.
    #[must_use]
    pub fn attempts(&self) -> &[LoadAttempt] {
        &self.attempts
    }
}

/// One library name that [`Libcrypto::load`](crate::Libcrypto::load) tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadAttempt {
    /// The name or path given to the dynamic loader.
    pub name: OsString,
    /// Why it is not usable: the loader's words, or the function that is missing.
    pub reason: String,
}

fn list(attempts: &[LoadAttempt]) -> String {
    let each = |attempt: &LoadAttempt| format!("{}: {}", attempt.name.display(), attempt.reason);
    attempts.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// A libcrypto function reported failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{function} failed{}", in_brackets(reason.as_deref()))]
#[non_exhaustive]
pub struct PeerError {
    /// The C name of the function.
    pub function: &'static str,
    /// The newest entry of this thread's error queue, if libcrypto's async code put it there.
    /// It stays in the queue.
    pub reason: Option<String>,
}

fn in_brackets(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// Why [`Libcrypto::init_thread`](crate::Libcrypto::init_thread) made no pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// libcrypto refused, for example because `init` is above `max`.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The thread has a [`ThreadGuard`](crate::ThreadGuard) already. libcrypto would replace its pool
    /// and leak it.
    #[error("this thread already has a job pool: drop its ThreadGuard first")]
    AlreadyInitialised,
    /// Called inside a job.
    #[error("a job cannot set up the pool of its own thread")]
    InsideJob,
}

/// Why a job did not start. Its body was not called and comes back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError<F> {
    /// The pool's bound is reached, or there is no memory for a job and its stack (`ASYNC_NO_JOBS`;
    /// libcrypto does not tell the two apart).
    #[doc(alias = "ASYNC_NO_JOBS")]
    #[error("no job is free: resume a paused one until it finishes, or raise the pool's bound")]
    NoJobs(F),
    /// Called inside a job: libcrypto cannot nest them.
    #[error("a job cannot start another one: libcrypto does not nest jobs")]
    InsideJob(F),
    /// libcrypto reported an error (`ASYNC_ERR`).
    #[doc(alias = "ASYNC_ERR")]
    #[error("{cause}")]
    Failed {
        /// The body, not called.
        body: F,
        /// What libcrypto reported.
        cause: PeerError,
    },
}

impl<F> StartError<F> {
    /// The body, to try again or to call directly.
    pub fn into_body(self) -> F {
        match self {
            Self::NoJobs(body) | Self::InsideJob(body) | Self::Failed { body, .. } => body,
        }
    }
}

// Not derived: closures have no Debug.
impl<F> fmt::Debug for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJobs(_) => f.write_str("NoJobs(..)"),
            Self::InsideJob(_) => f.write_str("InsideJob(..)"),
            Self::Failed { cause, .. } => f
                .debug_struct("Failed")
                .field("cause", cause)
                .finish_non_exhaustive(),
        }
    }
}

/// Why a paused job was not resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// Called inside a job: libcrypto cannot nest them. The job is still paused, and comes back.
    #[error("a job cannot resume another one: libcrypto does not nest jobs")]
    InsideJob(PeerJob),
    /// The thread's [`ThreadGuard`](crate::ThreadGuard) was dropped while the job was paused. The job
    /// refers to freed memory and can never run again: it is leaked, and counted by
    /// [`leaked_jobs`](crate::leaked_jobs).
    #[error("the thread's job pool was cleaned up while the job was paused: the job is lost")]
    CleanedUp,
    /// libcrypto reported an error (`ASYNC_ERR`). The job is still paused, and comes back.
    #[error("{cause}")]
    Failed {
        /// The job, as it was.
        job: PeerJob,
        /// What libcrypto reported.
        cause: PeerError,
    },
}

/// Why [`PeerJobs::run`](crate::PeerJobs::run) neither started nor resumed a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The pool's bound is reached, or there is no memory for a job and its stack (`ASYNC_NO_JOBS`).
    #[doc(alias = "ASYNC_NO_JOBS")]
    #[error("libcrypto has no job free: let one finish, or free memory")]
    NoJobs,
    /// Called inside a job: libcrypto cannot nest them.
    #[error("a job cannot start or resume another one: libcrypto does not nest jobs")]
    InsideJob,
    /// The thread's pool was cleaned up while the job was paused, or the thread is ending. The job can
    /// never run again.
    #[error("the thread's job pool was cleaned up while the job was paused: the job is lost")]
    CleanedUp,
    /// The job's stack could not be given a guard page. Each takes two of the mappings that a process
    /// may have.
    #[error(
        "a stack of libcrypto's cannot be guarded: {0}; use fewer jobs, or raise vm.max_map_count"
    )]
    NoGuard(#[source] io::Error),
    /// libcrypto reported an error (`ASYNC_ERR`).
    #[error(transparent)]
    Failed(#[from] PeerError),
}

/// Why [`Libcrypto::pause_job`](crate::Libcrypto::pause_job) did not pause.
///
/// libcrypto's own function answers 1 for the first of these and has no check for the next two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// Not inside a job that [`Libcrypto::start_job`](crate::Libcrypto::start_job) started. There is
    /// nobody to pause for: wait in some other way.
    #[error("not inside a job: nothing to pause")]
    NotInJob,
    /// The caller runs on another stack than the job (a coroutine inside it, or the host while one is
    /// suspended), or so deep that the job's stack has overflowed.
    #[error("not on the job's own stack, or past its end: a job can only be paused from its stack")]
    NotOnJobStack,
    /// The thread is unwinding from a panic. The host would be taken for panicking too.
    #[error("cannot pause while the thread is unwinding from a panic")]
    Unwinding,
    /// libcrypto could not switch stacks.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// Why a wait descriptor was not added. It was not closed and comes back.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
#[non_exhaustive]
pub struct WaitFdError {
    /// The descriptor, still open.
    pub fd: OwnedFd,
    /// What libcrypto reported.
    pub cause: PeerError,
}
