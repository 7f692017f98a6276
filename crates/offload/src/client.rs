//! Running an operation on an engine, from inside a job or outside.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_core::{Cancelled, current_job};
use waitctx::{Notifier, Status};

use crate::completion::Answer;
use crate::engine::{Drive, Engine, Reason, Refused, Submission};
use crate::error::OffloadError;
use crate::figures::{ClientStats, Figures, count};
use crate::host_job::{Held, HostJob};
use crate::request::{Failure, FailureKind, Request, Response};
use crate::slots::{Seat, Slots};
use crate::waiter::Waiter;
use crate::watchdog::{Ticker, Watchdog};

/// Runs operations on an engine: inside a job it submits, pauses and takes the answer; outside a
/// job it waits on the spot.
///
/// A cheap handle; clones share one engine, one set of settings and one set of figures. From any
/// thread.
#[derive(Clone)]
pub struct OffloadClient {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    fallback: Option<Arc<dyn Engine>>,
    timeout: Option<Duration>,
    slots: Arc<Slots>,
    /// Counts the time-outs, if somebody does by hand.
    by_hand: Option<Ticker>,
    watchdog: OnceLock<Watchdog>,
    /// Held while the watchdog is started, so that there is one.
    starting: Mutex<()>,
    figures: Figures,
}

/// How long a thread that blocks waits in line before it takes over room that others do not use.
const INSIST_AFTER: Duration = Duration::from_millis(1);

impl OffloadClient {
    /// How long an operation may take unless told otherwise: 10 s, which is what nginx's async
    /// mode gives an operation.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A client of `engine`, without fallback, with the default time-out.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> OffloadClient {
        let timeout = Some(OffloadClient::DEFAULT_TIMEOUT);
        OffloadClient::build(engine, None, timeout, None)
    }

    /// The same with another engine to turn to: for operations that the first one refuses (but
    /// for a full ring, which is waited for), and for those it fails and hands back. An
    /// operation that timed out is lost on the device with its buffers, and is not tried again;
    /// neither is one with a wrong tag or impossible parameters. One whose job could not be told of
    /// its end for want of a descriptor ([`OffloadError::NoNotifier`]) is: a fallback that runs
    /// inline needs none.
    #[must_use]
    pub fn with_fallback(&self, fallback: Arc<dyn Engine>) -> OffloadClient {
        OffloadClient::build(
            Arc::clone(&self.shared.engine),
            Some(fallback),
            self.shared.timeout,
            self.shared.by_hand.clone(),
        )
    }

    /// The same with another time-out; `None` for none, and then an engine that loses an
    /// operation hangs its job.
    ///
    /// Inside a job it is exact to one eighth, and to no less than a millisecond: the operation is
    /// given up between once and nine eighths of the time.
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> OffloadClient {
        OffloadClient::build(
            Arc::clone(&self.shared.engine),
            self.shared.fallback.clone(),
            timeout,
            self.shared.by_hand.clone(),
        )
    }

    /// The same with time-outs counted by `ticker`, one eighth of a time-out a tick, in and out of
    /// jobs: for time that is not the wall's. No thread is started for them. What the time-out is in
    /// such time only the ticker's owner knows; [`with_timeout`](OffloadClient::with_timeout) then
    /// says what failures call it.
    #[must_use]
    pub fn with_ticker(&self, ticker: &Ticker) -> OffloadClient {
        OffloadClient::build(
            Arc::clone(&self.shared.engine),
            self.shared.fallback.clone(),
            self.shared.timeout,
            Some(ticker.clone()),
        )
    }

    fn build(
        engine: Arc<dyn Engine>,
        fallback: Option<Arc<dyn Engine>>,
        timeout: Option<Duration>,
        by_hand: Option<Ticker>,
    ) -> OffloadClient {
        let slots = Arc::new(Slots::new());
        if let Some(ticker) = &by_hand {
            ticker.watch(&slots);
        }
        OffloadClient {
            shared: Arc::new(Shared {
                engine,
                fallback,
                timeout,
                slots,
                by_hand,
                watchdog: OnceLock::new(),
                starting: Mutex::new(()),
                figures: Figures::default(),
            }),
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.shared.engine
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        self.shared.figures.stats()
    }

    /// Runs one operation and returns its response.
    ///
    /// Inside a job the thread is given back while the engine works. Outside a job, and where the
    /// job must not pause, this waits; an engine that must be polled is polled meanwhile.
    ///
    /// # Errors
    ///
    /// [`OffloadError`], with the request unless it is lost on the device.
    ///
    /// # Panics
    ///
    /// If the engine panics.
    pub fn run(&self, request: Request) -> Result<Response, OffloadError> {
        self.run_by(request, |engine, request| match current_job() {
            Some(job) if job.can_pause() => self.run_in_job(engine, &job, request),
            Some(job) if job.is_cancelled() => Err(self.cancelled(Some(request))),
            _ => self.run_on_the_spot(engine, request),
        })
    }

    /// The same in a job of another runtime, which is the one that runs on this thread.
    ///
    /// # Errors
    ///
    /// As for [`run`](OffloadClient::run).
    ///
    /// # Panics
    ///
    /// If the engine or the job's methods panic.
    pub fn run_in(&self, job: &impl HostJob, request: Request) -> Result<Response, OffloadError> {
        self.run_by(request, |engine, request| {
            self.run_in_job(engine, job, request)
        })
    }

    /// On the engine by `run`, unless it does without; then, if need be, on the fallback.
    #[inline(always)]
    fn run_by(
        &self,
        request: Request,
        run: impl Fn(&dyn Engine, Request) -> Result<Response, OffloadError>,
    ) -> Result<Response, OffloadError> {
        let engine = &*self.shared.engine;
        let ran = if engine.runs_inline(&request) {
            engine.run_inline(request).map_err(OffloadError::Failed)
        } else {
            run(engine, request)
        };
        match ran {
            Err(error) if self.shared.fallback.is_some() => self.fall_back(error, run),
            ran => ran,
        }
    }

    #[cold]
    fn fall_back(
        &self,
        error: OffloadError,
        run: impl Fn(&dyn Engine, Request) -> Result<Response, OffloadError>,
    ) -> Result<Response, OffloadError> {
        let Some(fallback) = &self.shared.fallback else {
            return Err(error);
        };
        let request = error.try_elsewhere()?;
        count(&self.shared.figures.fell_back);
        if fallback.runs_inline(&request) {
            return fallback.run_inline(request).map_err(OffloadError::Failed);
        }
        run(&**fallback, request)
    }

    // ---- inside a job ------------------------------------------------------------------------

    fn run_in_job(
        &self,
        engine: &dyn Engine,
        job: &impl HostJob,
        request: Request,
    ) -> Result<Response, OffloadError> {
        let ticker = match self.ticker() {
            Ok(ticker) => ticker,
            Err(source) => return Err(OffloadError::NoWatchdog { source, request }),
        };
        let since = ticker.map_or(0, Ticker::now);
        let is_over = || ticker.is_some_and(|t| t.is_over(since));

        let seat = self.submit(
            engine,
            request,
            since,
            |kept| job.renew_notifier(kept),
            |held| match job.pause(held) {
                Ok(()) if is_over() => Err(Stop::TimedOut),
                Ok(()) => Ok(()),
                Err(Cancelled) => Err(Stop::Cancelled),
            },
        )?;
        job.looks_at(&*seat.slot);
        let mut held = Held::new(seat, None);
        let mut resumed = false;
        while let Some(seat) = held.seat() {
            if let Some(answer) = seat.slot.take() {
                return self.answered(held, answer);
            }
            if resumed {
                count(&self.shared.figures.resumed_early);
            }
            let stop = match job.pause(&mut held) {
                Ok(()) if !is_over() => None,
                // The answer may have come with the last wake.
                Ok(()) => Some(Stop::TimedOut),
                Err(Cancelled) => Some(Stop::Cancelled),
            };
            if let Some(stop) = stop {
                return self.stopped(engine, held, stop);
            }
            resumed = true;
        }
        // It was not put back.
        Err(self.cancelled(None))
    }

    /// The client's watchdog, started on the first call; none without a time-out.
    fn ticker(&self) -> io::Result<Option<&Ticker>> {
        let Some(timeout) = self.shared.timeout else {
            return Ok(None);
        };
        if let Some(ticker) = &self.shared.by_hand {
            return Ok(Some(ticker));
        }
        if self.shared.watchdog.get().is_none() {
            let starting = self.shared.starting.lock();
            let _starting = starting.unwrap_or_else(PoisonError::into_inner);
            if self.shared.watchdog.get().is_none() {
                let watchdog = Watchdog::start(timeout, &self.shared.slots)?;
                // Set by us alone, under the lock.
                let _ = self.shared.watchdog.set(watchdog);
            }
        }
        Ok(self.shared.watchdog.get().map(Watchdog::ticker))
    }

    // ---- outside a job -----------------------------------------------------------------------

    fn run_on_the_spot(
        &self,
        engine: &dyn Engine,
        request: Request,
    ) -> Result<Response, OffloadError> {
        let waiter = Waiter::get();
        // Of somebody else's time, or of the wall's.
        let by_hand = self.shared.timeout.and(self.shared.by_hand.as_ref());
        let began = by_hand.map_or(0, Ticker::now);
        let deadline = match by_hand {
            Some(_) => None,
            None => (self.shared.timeout).and_then(|t| Instant::now().checked_add(t)),
        };
        let is_over = || match (by_hand, deadline) {
            (Some(ticker), _) => ticker.is_over(began),
            (None, Some(deadline)) => Instant::now() >= deadline,
            (None, None) => false,
        };
        let wait = |held: &mut Held| {
            let ticket = held.ticket();
            match engine.drive() {
                Drive::Threads => {
                    // Room may be kept for a paused job of this very thread, which cannot come for
                    // it while we wait here: so not for long without looking.
                    let until = match ticket {
                        Some(_) => Instant::now().checked_add(INSIST_AFTER),
                        None => deadline,
                    };
                    // Nothing to be done about a failed wait but to try again later.
                    if waiter.wait(until).is_err() {
                        Waiter::nap();
                    }
                }
                Drive::Poll => {
                    if engine.poll(0) == 0 {
                        std::thread::yield_now();
                    }
                }
            }
            if let Some(ticket) = ticket {
                ticket.insist();
            }
            if is_over() {
                Err(Stop::TimedOut)
            } else {
                Ok(())
            }
        };
        // By the wall's time it is this thread that looks at the clock: not older than any time-out,
        // which is 0. A ticker wakes it.
        let since = began;
        let renew = |kept: &mut _| waiter.renew_notifier(kept);
        let seat = self.submit(engine, request, since, renew, wait)?;
        let mut held = Held::new(seat, None);
        loop {
            if let Some(answer) = held.seat().and_then(|seat| seat.slot.take()) {
                return self.answered(held, answer);
            }
            if let Err(stop) = wait(&mut held) {
                return self.stopped(engine, held, stop);
            }
        }
    }

    // ---- both --------------------------------------------------------------------------------

    /// Submits, waiting in line while the ring is full.
    fn submit(
        &self,
        engine: &dyn Engine,
        request: Request,
        since: u64,
        renew: impl FnOnce(&mut Option<Notifier>) -> io::Result<bool>,
        wait: impl Fn(&mut Held) -> Result<(), Stop>,
    ) -> Result<Seat, OffloadError> {
        let mut seat = self.shared.slots.take();
        seat.slot.set_since(since);
        let completion = match seat.begin(renew) {
            Ok(completion) => completion,
            Err(source) => {
                self.shared.slots.give(seat);
                return Err(OffloadError::NoNotifier { source, request });
            }
        };
        let submission = Submission {
            request,
            completion,
            ticket: None,
        };
        match engine.submit(submission) {
            Ok(()) => Ok(seat),
            Err(refused) => self.submit_again(engine, seat, refused, wait),
        }
    }

    /// After a refusal: waits in line, if it was for a full ring.
    #[cold]
    fn submit_again(
        &self,
        engine: &dyn Engine,
        mut seat: Seat,
        mut refused: Refused,
        wait: impl Fn(&mut Held) -> Result<(), Stop>,
    ) -> Result<Seat, OffloadError> {
        loop {
            if refused.reason != Reason::RingFull {
                return Err(self.refused(seat, refused));
            }
            count(&self.shared.figures.ring_full);
            let mut submission = refused.submission;
            if let Some(notifier) = seat.notifier() {
                if submission.ticket.is_none() {
                    submission.ticket = engine.queue_for_room(&submission.request, notifier);
                }
                if submission.ticket.is_none() {
                    // The engine will not tell. Ask to be resumed, behind the jobs that are ready.
                    let _ = notifier.notify(Status::Again);
                }
            }
            loop {
                if submission.ticket.as_ref().is_some_and(|t| t.is_granted()) {
                    break;
                }
                let mut held = Held::new(seat, Some(submission));
                let waited = wait(&mut held);
                let (Some(seat_back), Some(back)) = held.into_parts() else {
                    // It was not put back.
                    return Err(self.cancelled(None));
                };
                (seat, submission) = (seat_back, back);
                if let Err(stop) = waited {
                    return Err(self.stopped_in_line(seat, submission, stop));
                }
                if submission.ticket.is_none() {
                    break;
                }
            }
            match engine.submit(submission) {
                Ok(()) => return Ok(seat),
                Err(again) => refused = again,
            }
        }
    }

    #[inline]
    fn answered(&self, held: Held, answer: Answer) -> Result<Response, OffloadError> {
        if let Some(seat) = held.into_seat() {
            self.shared.slots.give(seat);
        }
        answer.map_err(OffloadError::Failed)
    }

    /// The operation is on the device and nobody waits for it any more, unless its answer has
    /// come just now.
    #[cold]
    fn stopped(
        &self,
        engine: &dyn Engine,
        held: Held,
        stop: Stop,
    ) -> Result<Response, OffloadError> {
        if held.seat().is_none() {
            // It was not put back: a fork's child has no part in it.
            return Err(self.cancelled(None));
        }
        if let Some(answer) = held.abandon() {
            return self.answered(held, answer);
        }
        // The slot goes to the completion, and with it.
        drop(held);
        engine.abandoned();
        Err(match stop {
            Stop::Cancelled => self.cancelled(None),
            Stop::TimedOut => self.timed_out(None),
        })
    }

    /// The operation never got in.
    fn stopped_in_line(&self, seat: Seat, submission: Submission, stop: Stop) -> OffloadError {
        let request = self.take_back(seat, submission);
        match stop {
            Stop::Cancelled => self.cancelled(Some(request)),
            Stop::TimedOut => self.timed_out(Some(request)),
        }
    }

    fn refused(&self, seat: Seat, refused: Refused) -> OffloadError {
        OffloadError::Refused {
            reason: refused.reason,
            request: self.take_back(seat, refused.submission),
        }
    }

    fn take_back(&self, seat: Seat, submission: Submission) -> Request {
        submission.completion.withdraw();
        self.shared.slots.give(seat);
        submission.request
    }

    fn cancelled(&self, request: Option<Request>) -> OffloadError {
        count(&self.shared.figures.abandoned);
        OffloadError::Cancelled { request }
    }

    fn timed_out(&self, request: Option<Request>) -> OffloadError {
        count(&self.shared.figures.timed_out);
        let timeout = self.shared.timeout.unwrap_or_default();
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let kind = FailureKind::TimedOut { millis };
        OffloadError::Failed(Failure { kind, request })
    }
}

/// Why waiting ended without an answer.
#[derive(Clone, Copy)]
enum Stop {
    Cancelled,
    TimedOut,
}

impl fmt::Debug for OffloadClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffloadClient")
            .field("engine", &self.shared.engine.name())
            .field("fallback", &self.shared.fallback.as_ref().map(|e| e.name()))
            .field("timeout", &self.shared.timeout)
            .field("stats", &self.stats())
            .finish()
    }
}
