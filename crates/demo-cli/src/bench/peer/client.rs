//! One operation, inside a job of libcrypto's: what an OpenSSL engine does, and what
//! [`OffloadClient`](offload::OffloadClient) does in a job of ours.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libcrypto_peer::Libcrypto;
use offload::{
    Engine, Failure, FailureKind, OffloadError, Pending, Reason, Request, Response, Submission,
};
use waitctx::{Notifier, Status, WaitCtx};

use crate::bench::worker::Work;

/// What one operation after another needs.
pub(super) struct Place {
    /// What the engine tells.
    pub(super) ctx: WaitCtx,
    /// Where the last answer was, for the next one; none while an operation is under way.
    pub(super) kept: Cell<Option<Pending>>,
}

/// Runs operations for the jobs of one thread.
pub(super) struct PeerClient {
    libcrypto: Libcrypto,
    engine: Arc<dyn Engine>,
    fallback: Option<Arc<dyn Engine>>,
    timeout: Duration,
    /// As the jobs' thread last read it, so that a resume does not cost a look at the clock.
    now: Cell<Instant>,
    /// The run is over before its end: jobs stop waiting.
    given_up: Cell<bool>,
    ring_full: Cell<u64>,
    resumed_early: Cell<u64>,
}

/// Why waiting ended without an answer.
#[derive(Clone, Copy)]
enum Stop {
    TimedOut,
    GivenUp,
}

impl PeerClient {
    pub(super) fn new(libcrypto: Libcrypto, work: &Work) -> PeerClient {
        PeerClient {
            libcrypto,
            engine: Arc::clone(work.client.engine()),
            fallback: work.fallback.clone(),
            timeout: work.timeout,
            now: Cell::new(Instant::now()),
            given_up: Cell::new(false),
            ring_full: Cell::new(0),
            resumed_early: Cell::new(0),
        }
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Submissions that met a full ring.
    pub(super) fn ring_full(&self) -> u64 {
        self.ring_full.get()
    }

    /// Resumes of a job whose answer was not there.
    pub(super) fn resumed_early(&self) -> u64 {
        self.resumed_early.get()
    }

    /// Says what time it is.
    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// From now on jobs that are resumed stop waiting.
    pub(super) fn give_up(&self) {
        self.given_up.set(true);
    }

    /// Runs one operation, begun at `since`, and returns its response. The engine tells `place`.
    pub(super) fn run(
        &self,
        place: &Place,
        since: Instant,
        request: Request,
    ) -> Result<Response, OffloadError> {
        let error = match self.run_on(&*self.engine, place, since, request) {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        match &self.fallback {
            None => Err(error),
            Some(fallback) => self.run_on(&**fallback, place, since, try_elsewhere(error)?),
        }
    }

    fn run_on(
        &self,
        engine: &dyn Engine,
        place: &Place,
        since: Instant,
        request: Request,
    ) -> Result<Response, OffloadError> {
        if engine.runs_inline(&request) {
            return engine.run_inline(request).map_err(OffloadError::Failed);
        }
        let ctx = &place.ctx;
        let notifier = match ctx.notifier() {
            Ok(notifier) => notifier,
            Err(source) => return Err(OffloadError::NoNotifier { source, request }),
        };
        let (pending, completion) = match place.kept.take() {
            // Of the operation before, in the same context.
            Some(mut pending) => {
                let completion = pending.again(None);
                (pending, completion)
            }
            None => Pending::new(notifier.clone()),
        };
        let submission = Submission {
            request,
            completion,
            ticket: None,
        };
        self.submit(engine, ctx, since, submission, &notifier)?;
        let mut resumed = false;
        loop {
            if let Some(answer) = pending.take() {
                place.kept.set(Some(pending));
                return answer.map_err(OffloadError::Failed);
            }
            if resumed {
                add_one(&self.resumed_early);
                if let Some(stop) = self.stop(since) {
                    return Err(self.stopped(stop, None));
                }
            }
            self.pause(ctx);
            resumed = true;
        }
    }

    /// Submits, waiting in line while the ring is full.
    fn submit(
        &self,
        engine: &dyn Engine,
        ctx: &WaitCtx,
        since: Instant,
        mut submission: Submission,
        notifier: &Notifier,
    ) -> Result<(), OffloadError> {
        loop {
            let Err(refused) = engine.submit(submission) else {
                return Ok(());
            };
            submission = refused.submission;
            if refused.reason != Reason::RingFull {
                let (reason, request) = (refused.reason, take_back(submission));
                return Err(OffloadError::Refused { reason, request });
            }
            add_one(&self.ring_full);
            if submission.ticket.is_none() {
                submission.ticket = engine.queue_for_room(&submission.request, notifier);
            }
            if submission.ticket.is_none() {
                // The engine will not tell. Ask to be resumed, behind the jobs that are ready.
                let _ = notifier.notify(Status::Again);
            }
            while !submission.ticket.as_ref().is_some_and(|t| t.is_granted()) {
                self.pause(ctx);
                if let Some(stop) = self.stop(since) {
                    return Err(self.stopped(stop, Some(take_back(submission))));
                }
                if submission.ticket.is_none() {
                    break;
                }
            }
        }
    }

    /// Pauses, and takes note of the wake before anybody looks for what it announced.
    fn pause(&self, ctx: &WaitCtx) {
        // Invariant: a job's body runs on the job's stack, and nothing here blocks pausing.
        let paused = self.libcrypto.pause_job();
        paused.expect("a job can be paused from its own stack");
        // A read that fails leaves the fd readable: one resume too many, no harm.
        let _ = ctx.acknowledge();
    }

    /// Whether an operation begun at `since` is to be waited for no longer.
    fn stop(&self, since: Instant) -> Option<Stop> {
        if self.given_up.get() {
            Some(Stop::GivenUp)
        } else if self.now.get().saturating_duration_since(since) >= self.timeout {
            Some(Stop::TimedOut)
        } else {
            None
        }
    }

    fn stopped(&self, stop: Stop, request: Option<Request>) -> OffloadError {
        match stop {
            Stop::GivenUp => OffloadError::Cancelled { request },
            Stop::TimedOut => {
                let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
                let kind = FailureKind::TimedOut { millis };
                OffloadError::Failed(Failure { kind, request })
            }
        }
    }
}

/// What was not submitted.
fn take_back(submission: Submission) -> Request {
    submission.completion.withdraw();
    submission.request
}

/// The request, if another engine may well carry it out: it is here, and what failed was the engine.
fn try_elsewhere(error: OffloadError) -> Result<Request, OffloadError> {
    match error {
        OffloadError::Refused { request, .. } => Ok(request),
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

fn add_one(figure: &Cell<u64>) {
    figure.set(figure.get() + 1);
}
