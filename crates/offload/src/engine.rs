//! What an engine is.

use std::fmt;

use waitctx::Notifier;

use crate::completion::Completion;
use crate::gate::Ticket;
use crate::request::{Failure, FailureKind, OpKind, Request, Response};

/// Something that carries out operations, usually later and elsewhere: an accelerator, an HSM, a
/// thread pool, a simulation.
///
/// All methods may be called from any thread at any time. `submit` must not block: it is called on
/// the thread that all jobs of an application share.
///
/// # What an engine promises
///
/// - Each accepted submission is completed once: with an answer, with a [`Failure`], or by dropping
///   its [`Completion`], which counts as a failure. Also at shutdown.
/// - What it refuses it hands back whole.
/// - It calls [`Completion::complete`] without holding a lock that `submit` takes: the wake may
///   run an application's callback.
///
/// The suite in `offload::conformance` checks all of it.
pub trait Engine: Send + Sync {
    /// The engine's name, for reports and errors: lower case, no spaces.
    fn name(&self) -> &str;

    /// Whether it can carry out `op`. It may still refuse one particular request.
    fn supports(&self, op: OpKind) -> bool;

    /// Takes on an operation, or refuses it. Does not block.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the submission and the reason.
    fn submit(&self, submission: Submission) -> Result<(), Refused>;

    /// Whether the engine carries `request` out on the spot, by [`run_inline`](Engine::run_inline):
    /// software, or a request too small to be worth the way to the device. Asked before each
    /// submission, so it should be quick.
    fn runs_inline(&self, request: &Request) -> bool {
        let _ = request;
        false
    }

    /// Carries `request` out on the calling thread, which saves the completion and the wake. Called
    /// where [`runs_inline`](Engine::runs_inline) says so.
    ///
    /// # Errors
    ///
    /// [`Failure`], as a completion carries it; for an engine that runs nothing inline
    /// [`FailureKind::BadRequest`] with the request.
    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        let reason = "the engine runs nothing on the spot; submit it";
        Err(Failure::with_request(
            FailureKind::BadRequest { reason },
            request,
        ))
    }

    /// Gets in line for room, after a refusal for [`Reason::RingFull`]: `notifier` is woken with
    /// [`Status::Again`](waitctx::Status::Again) when it is this one's turn, and the room is kept
    /// for the [`Ticket`] until it is submitted with, or dropped.
    ///
    /// `None` if the engine cannot tell when it has room. The job then tries again each time it is
    /// resumed, and asks to be resumed at once: a busy loop, though a fair one.
    ///
    /// `request` is the one that was refused, for engines with more rings than one.
    fn queue_for_room(&self, request: &Request, notifier: &Notifier) -> Option<Ticket> {
        let _ = (request, notifier);
        None
    }

    /// Somebody has given up an operation: a good moment to let go of what has not been started and
    /// that nobody waits for ([`Completion::is_abandoned`]), so that it does not keep others from the
    /// ring. It must not complete anything of which that is not true. Does not block.
    fn abandoned(&self) {}

    /// Who makes completions happen.
    fn drive(&self) -> Drive {
        Drive::Threads
    }

    /// Completes what is done, at most `quota` operations (0: all), and says how many. For engines
    /// of [`Drive::Poll`]; others complete by themselves and return 0.
    fn poll(&self, quota: usize) -> usize {
        let _ = quota;
        0
    }

    /// What the engine has done so far.
    fn counters(&self) -> Counters;
}

/// Who makes an engine's completions happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Drive {
    /// The engine's own threads.
    Threads,
    /// Whoever calls [`Engine::poll`]: the application's event loop. An operation outside a job
    /// polls for itself.
    Poll,
}

/// An operation on its way into an engine.
pub struct Submission {
    /// What to do.
    pub request: Request,
    /// Where the answer goes.
    pub completion: Completion,
    /// The place in line, if it had to wait for room.
    pub ticket: Option<Ticket>,
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("request", &self.request)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// Why an engine did not take an operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No room: as many operations are in flight as there may be. OpenSSL engines call it RETRY.
    #[error("the engine's ring is full; try again when an operation has completed")]
    RingFull,
    /// The engine does not do this.
    #[error("the engine cannot do {0}; choose another engine, or allow software fallback")]
    Unsupported(OpKind),
    /// The engine is down or shutting down.
    #[error("the engine is down; restart it, or allow software fallback")]
    Down,
    /// A rate limit was hit, as cloud HSMs have one.
    #[error("the engine throttles; send fewer operations a second, or allow software fallback")]
    Throttled,
    /// The engine could get no descriptor for its notification.
    #[error(
        "the engine has no descriptor left for its notification; raise the limit on open files (ulimit -n), or allow software fallback"
    )]
    NoDescriptor,
}

/// An operation that was not taken on: all of it, and why.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// What was submitted, to be submitted again or elsewhere.
    pub submission: Submission,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refused {}

/// What an engine has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Operations taken on.
    pub submitted: u64,
    /// Answered with success to somebody who waited.
    pub completed: u64,
    /// Answered with a failure to somebody who waited.
    pub failed: u64,
    /// Answered when nobody waited any more.
    pub orphaned: u64,
    /// Second answers to the same operation, thrown away. Not part of the balance.
    pub duplicates: u64,
    /// Refusals. Not part of the balance: what is refused was not taken on.
    pub refused: u64,
    /// Taken on and not answered yet.
    pub in_flight: u64,
}

impl Counters {
    /// Whether every operation that was taken on is accounted for.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.submitted == self.completed + self.failed + self.orphaned + self.in_flight
    }
}
