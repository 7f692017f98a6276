//! The jobs that operations are run in: ours, and other runtimes'.

use std::fmt;
use std::io;

use async_core::{Cancelled, CurrentJob, Pause, pause_job};
use waitctx::Notifier;

use crate::completion::Answer;
use crate::engine::Submission;
use crate::gate::Ticket;
use crate::slots::Seat;
use crate::waiter::Waiter;

/// What an operation has while its job is paused: its place in line for a full ring with all that is to be submitted,
/// or where its answer comes to. Dropping it gives the operation up.
#[must_use = "dropping it gives the operation up"]
pub struct Held {
    seat: Option<Seat>,
    /// Boxed, as it is large and mostly not there.
    submission: Option<Box<Submission>>,
}

impl Held {
    #[inline]
    pub(crate) fn new(seat: Seat, submission: Option<Submission>) -> Held {
        Held {
            seat: Some(seat),
            submission: submission.map(Box::new),
        }
    }

    #[inline]
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    pub(crate) fn ticket(&self) -> Option<&Ticket> {
        self.submission.as_ref()?.ticket.as_ref()
    }

    /// Gives the operation on the device up. An answer that came first is picked up instead.
    pub(crate) fn abandon(&self) -> Option<Answer> {
        let seat = self.seat.as_ref()?;
        seat.slot.set_since(0);
        seat.slot.abandon()
    }

    #[cold]
    fn give_up(&mut self) {
        if let Some(submission) = self.submission.take() {
            // Not a failure of the engine's.
            submission.completion.withdraw();
        } else {
            drop(self.abandon());
        }
    }

    #[inline]
    pub(crate) fn into_seat(mut self) -> Option<Seat> {
        self.seat.take()
    }

    pub(crate) fn into_parts(mut self) -> (Option<Seat>, Option<Submission>) {
        (self.seat.take(), self.submission.take().map(|boxed| *boxed))
    }

    /// Takes all of it, so that it can be kept elsewhere until it is put back.
    pub fn take(&mut self) -> Held {
        Held {
            seat: self.seat.take(),
            submission: self.submission.take(),
        }
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if self.seat.is_some() || self.submission.is_some() {
            self.give_up();
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("in_line", &self.submission.is_some())
            .finish_non_exhaustive()
    }
}

/// The running job of a job runtime, as [`OffloadClient::run_in`](crate::OffloadClient::run_in) needs it:
/// libcrypto's own `ASYNC_JOB`, for one. Our own jobs need none of this;
/// [`run`](crate::OffloadClient::run) knows them.
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
    /// A runtime whose jobs may be forgotten while they are paused [takes](Held::take) `held`, keeps it where it is
    /// dropped then, and puts it back when the job is resumed. Otherwise an answer that nobody comes for is kept for
    /// good, and so is room in a ring for who is in line.
    ///
    /// # Errors
    ///
    /// [`Cancelled`]: the job is to end without an answer.
    fn pause(&self, held: &mut Held) -> Result<(), Cancelled>;

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

    fn pause(&self, _: &mut Held) -> Result<(), Cancelled> {
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
