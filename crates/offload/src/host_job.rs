//! The jobs that operations are run in: ours, and other runtimes'.

use std::io;

use async_core::{Cancelled, CurrentJob, Pause, pause_job};
use waitctx::Notifier;

use crate::engine::Submission;
use crate::waiter::Waiter;

/// The running job of a job runtime, as [`OffloadClient::run_in`](crate::OffloadClient::run_in) needs it:
/// libcrypto's own `ASYNC_JOB`, for one. Our own jobs need none of this;
/// [`run`](crate::OffloadClient::run) knows them.
///
/// The client keeps what it must not lose off the job's stack: a job that is never resumed costs the
/// memory of its stack and of some small records, and neither a descriptor nor a buffer.
pub trait HostJob {
    /// Makes `kept` a [`Notifier`] that has this job resumed, and says whether it is another one now: as
    /// [`WaitCtx::renew_notifier`](waitctx::WaitCtx::renew_notifier).
    ///
    /// # Errors
    ///
    /// What the system said to the descriptor for it.
    fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool>;

    /// Gives the thread back, and returns when the job is resumed: once the notifier was used, or for no
    /// reason. Takes note of the wake, so that the next pause waits for the next one. Where the job cannot
    /// pause this waits a moment instead.
    ///
    /// # Errors
    ///
    /// [`Cancelled`]: the job is to end without an answer.
    fn pause(&self) -> Result<(), Cancelled>;

    /// The same in line for a full ring, with what is to be submitted. A runtime whose jobs may be forgotten while
    /// they are paused takes it, keeps it where it is dropped then, and puts it back when the job is resumed: the place
    /// in line goes with it, and room that is kept for a job that never comes is lost to all.
    ///
    /// # Errors
    ///
    /// As for [`pause`](HostJob::pause).
    fn pause_in_line(&self, held: &mut Option<Submission>) -> Result<(), Cancelled> {
        let _ = held;
        self.pause()
    }

    /// What the job looks at first when it is resumed, for a runtime that asks the processor for it ahead of
    /// time. Unless it does, nothing happens.
    fn looks_at<T>(&self, value: &T) {
        let _ = value;
    }
}

impl HostJob for CurrentJob {
    fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        CurrentJob::renew_notifier(self, kept)
    }

    fn looks_at<T>(&self, value: &T) {
        CurrentJob::looks_at(self, value);
    }

    fn pause(&self) -> Result<(), Cancelled> {
        match pause_job()? {
            // A read that fails leaves the fd readable: one resume too many, no harm.
            Pause::Resumed => drop(self.acknowledge()),
            // It could pause when this operation began, and nothing has happened since that
            // would change that; an engine that blocks pausing in `submit` gets a slow wait.
            Pause::Blocked | Pause::NotInJob => Waiter::nap(),
        }
        Ok(())
    }
}
