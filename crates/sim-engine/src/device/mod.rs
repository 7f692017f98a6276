//! The device: what applications submit to.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use offload::{
    Counters, Drive, Engine, Failure, OpKind, Reason, Refused, Request, Response, Submission,
    Ticket,
};
use waitctx::{Notifier, WakeBatch};

use crate::clock::{SimClock, Step};
use crate::compute;
use crate::config::{Completions, DeviceConfig};
use crate::fault::{Fate, Outcome, Refusal};
use crate::observe::DeviceEvent;
use crate::work::{Route, Work, carry_out, complete};

mod builder;
mod endpoint;
mod shared;
mod throttle;
mod virtual_time;

pub use builder::{Builder, OpenError};
use endpoint::Endpoint;
pub(crate) use endpoint::Happening;
pub use endpoint::{Health, Strike};
pub(crate) use shared::Shared;
use shared::{DEAD, DRAINING, RUNNING};

/// A simulated device: an [`Engine`].
///
/// Dropping the last handle kills it: what is in flight fails with [`FailureKind::Down`](offload::FailureKind::Down), and the
/// workers are joined. [`shutdown`](SimDevice::shutdown) finishes what is in flight first.
///
/// On a virtual clock ([`Builder::clock`]) it has no threads: [`Engine::poll`] moves the clock to the
/// next event, and so does an operation outside a job while it waits.
pub struct SimDevice {
    shared: Arc<Shared>,
    /// Those that have not been waited for.
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// The threads of all of them.
    threads: Vec<ThreadId>,
}

/// What a device has done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeviceStats {
    /// The counts of its operations.
    pub counters: Counters,
    /// The part of the modelled engines' time that was spent on requests, from 0 to 1, since the
    /// device was opened; 0 for a device without a bound on its engines.
    pub engine_utilisation: f64,
    /// How often an endpoint has died.
    pub deaths: u64,
    /// How often one was reset, and worked again.
    pub restarts: u64,
    /// Operations that were given up before they started, and were not carried out.
    pub not_started: u64,
}

impl SimDevice {
    /// Opens a device as `config` describes it, in real time. `seed` decides which operations its
    /// faults strike.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(config: &DeviceConfig, seed: u64) -> Result<Arc<SimDevice>, OpenError> {
        SimDevice::builder(config).seed(seed).open()
    }

    /// A device as `config` describes it, to be opened.
    pub fn builder(config: &DeviceConfig) -> Builder<'_> {
        Builder::new(config)
    }

    /// The configuration it was opened with.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.shared.config
    }

    /// Its time.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// What befalls the operation with this id on it.
    #[must_use]
    pub fn fate(&self, id: u64) -> Fate {
        self.shared.plan.planned(id)
    }

    /// How endpoint number `endpoint` is, counted from 0; `None` if there is none.
    #[must_use]
    pub fn health(&self, endpoint: u32) -> Option<Health> {
        let endpoint = self.shared.endpoints().get(endpoint as usize)?;
        Some(endpoint.health())
    }

    /// Strikes endpoint number `endpoint`, counted from 0, now: what `debugfs` does for tests of real
    /// drivers. Says whether there is such an endpoint. Does not wait; also in a callback.
    pub fn strike(&self, endpoint: u32, what: Strike) -> bool {
        self.shared.strike(endpoint, what)
    }

    /// Completes what is done by now, at most `quota` operations (0: all), and says how many; never
    /// moves a virtual clock, as [`Engine::poll`] does when it finds nothing. For devices that are
    /// polled ([`Completions::Poll`]) by who moves the clock himself; others return 0.
    pub fn poll_at_rest(&self, quota: usize) -> usize {
        if self.drive() != Drive::Poll {
            return 0;
        }
        self.poll_now(quota)
    }

    /// What it has done so far. Exact after [`shutdown`](SimDevice::shutdown): an answer is
    /// counted just after it was given.
    #[must_use]
    pub fn stats(&self) -> DeviceStats {
        let shared = &self.shared;
        let elapsed = shared.now().saturating_sub(shared.opened) as f64;
        let endpoints = f64::from(shared.config.endpoints);
        let capacity = elapsed * f64::from(shared.config.engines) * endpoints;
        let cores = shared.endpoints().iter();
        let busy: u64 = cores.map(|e| e.lock().model.busy_ns()).sum();
        let utilisation = if capacity > 0.0 {
            (busy as f64 / capacity).min(1.0)
        } else {
            0.0
        };
        let mut stats = DeviceStats {
            counters: self.counters(),
            engine_utilisation: utilisation,
            deaths: 0,
            restarts: 0,
            not_started: shared.count().skips(),
        };
        for endpoint in shared.endpoints() {
            let (deaths, restarts) = endpoint.deaths_and_restarts();
            stats.deaths += deaths;
            stats.restarts += restarts;
        }
        stats
    }

    /// Takes no more requests, finishes those in flight (lost ones fail), ends the workers, and
    /// returns the final counts. Again: returns the same. On a virtual clock it moves the clock until
    /// they have finished.
    ///
    /// A callback that runs on one of the device's own threads, or in its poll, cannot wait for
    /// that thread: there this only begins the end, and returns the counts so far.
    ///
    /// # Panics
    ///
    /// If a worker has panicked, which is a bug.
    pub fn shutdown(&self) -> DeviceStats {
        // A device that is dead stays so.
        let _ = self.shared.state.compare_exchange(
            RUNNING,
            DRAINING,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        self.shared.drain_in_virtual_time();
        let panicked = self.end();
        assert!(!panicked, "a worker of the device panicked");
        self.stats()
    }

    /// Dies: takes no more requests, and fails those in flight with [`FailureKind::Down`](offload::FailureKind::Down). What
    /// has not been computed is handed back with its failure. Also while a
    /// [`shutdown`](SimDevice::shutdown) waits on another thread, which this cuts short. In a
    /// callback it does not wait, as there.
    pub fn kill(&self) {
        self.shared.state.store(DEAD, Ordering::SeqCst);
        self.end();
    }

    /// Ends the workers, and whatever is in flight. Says whether a worker has panicked.
    fn end(&self) -> bool {
        let shared = &*self.shared;
        if !shared.ending.swap(true, Ordering::SeqCst) {
            shared.inbox.stop_all();
        }
        let here = std::thread::current().id();
        if self.threads.contains(&here) || *lock(&shared.polling) == Some(here) {
            // A callback cannot wait for the thread that calls it, which comes to the end when
            // the callback has returned.
            return false;
        }
        // Held meanwhile: whoever else ends the device waits here until it has ended.
        let mut workers = lock(&self.workers);
        let mut panicked = false;
        for worker in workers.drain(..) {
            panicked |= worker.join().is_err();
        }
        drop(workers);
        if self.drive() == Drive::Poll {
            shared.with_poller(lock(&shared.poller), |poller| shared.end_polling(poller));
        }
        panicked
    }
}

/// Held by a worker's thread as long as it runs, also when it panics.
struct Live(Arc<Shared>);

impl Live {
    fn new(shared: &Arc<Shared>) -> Live {
        shared.live.fetch_add(1, Ordering::SeqCst);
        Live(Arc::clone(shared))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Not before the last one: the inbox also holds the others' stops.
        if self.0.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.end_intake();
        }
    }
}

impl SimDevice {
    fn refuse(&self, reason: Reason, submission: Submission) -> Result<(), Refused> {
        let shared = &self.shared;
        shared.count().refused();
        if let Some(clock) = shared.clock.as_virtual() {
            clock.was_asked();
        }
        if shared.is_observed() {
            shared.observe(&DeviceEvent::Refused {
                at_ns: shared.now(),
                id: submission.request.id,
                reason,
            });
        }
        Err(Refused { reason, submission })
    }

    /// Completes what can be completed without waiting.
    fn poll_now(&self, quota: usize) -> usize {
        // Somebody else polls, or a callback polls from inside a poll: nothing left to do here.
        let shared = &*self.shared;
        let Some(poller) = shared.try_poller() else {
            return 0;
        };
        shared.with_poller(poller, |poller| {
            let done = poller.poll(shared, &shared.inbox, quota);
            shared.catch_up(poller);
            done
        })
    }
}

fn reason(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::RingFull => Reason::RingFull,
        Refusal::Throttled => Reason::Throttled,
        Refusal::NoDescriptor => Reason::NoDescriptor,
    }
}

impl Engine for SimDevice {
    fn name(&self) -> &str {
        "sim"
    }

    fn supports(&self, op: OpKind) -> bool {
        compute::supports(op)
    }

    fn runs_inline(&self, request: &Request) -> bool {
        !request.op.kind().is_asymmetric() // a short message is no less work than a long one
            && request.data.len() < self.shared.config.inline_below_bytes
    }

    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        compute::compute(request)
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let shared = &*self.shared;
        if shared.state.load(Ordering::SeqCst) != RUNNING {
            return self.refuse(Reason::Down, submission);
        }
        let kind = submission.request.op.kind();
        if !self.supports(kind) {
            return self.refuse(Reason::Unsupported(kind), submission);
        }
        // Before a fault says that a ring is full: there would be none to wait at.
        if !shared.endpoints().iter().any(Endpoint::takes_requests) {
            return self.refuse(Reason::Down, submission);
        }
        let fate = shared.plan.fate(submission.request.id);
        // Once: whoever comes back has a ticket.
        if let Some(refusal) = fate.as_ref().and_then(|fate| fate.refused)
            && submission.ticket.is_none()
        {
            return self.refuse(reason(refusal), submission);
        }
        if !shared.pass_throttle() {
            return self.refuse(Reason::Throttled, submission);
        }
        let Submission {
            request,
            completion,
            ticket,
        } = submission;
        let ring = match shared.enter(kind, ticket) {
            Ok(ring) => ring,
            Err((reason, ticket)) => {
                shared.give_token_back();
                let submission = Submission {
                    request,
                    completion,
                    ticket,
                };
                return self.refuse(reason, submission);
            }
        };
        shared.count().submitted();
        let timed = shared.is_timed() || shared.is_observed();
        let submitted = if timed { shared.now() } else { 0 };
        if shared.is_observed() {
            let (endpoint, instance) = shared.place_of(ring);
            shared.observe(&DeviceEvent::Submitted {
                at_ns: submitted,
                id: request.id,
                endpoint,
                instance,
            });
        }
        let work = Work {
            request,
            route: Route::new(completion, ring, submitted, fate, shared.is_observed()),
        };
        let before_pause = shared.config.completions == Completions::BeforePause;
        if before_pause && work.route.outcome() != Outcome::Lost {
            complete(shared, carry_out(shared, work), &mut WakeBatch::new());
        } else if shared.is_virtual() {
            shared.set_on_its_way(work);
        } else if let Err(work) = shared.inbox.push(work) {
            // The device has ended since we looked.
            shared.end_beside(work);
        }
        Ok(())
    }

    fn queue_for_room(&self, request: &Request, notifier: &Notifier) -> Option<Ticket> {
        let ring = self.shared.ring_to_wait_at(request.op.kind());
        Some(ring?.wait(notifier))
    }

    fn abandoned(&self) {
        self.shared.sweep();
    }

    fn drive(&self) -> Drive {
        self.shared.drive()
    }

    fn poll(&self, quota: usize) -> usize {
        if self.drive() != Drive::Poll {
            return 0;
        }
        let shared = &self.shared;
        let done = self.poll_now(quota);
        match shared.clock.as_virtual() {
            // Nothing to do at this time: on to the next.
            Some(clock) if done == 0 => match shared.step(clock, quota) {
                // Of a device that is polled, answers are there now and not given.
                Step::Happened { completed: 0 } => self.poll_now(quota),
                Step::Happened { completed } => completed,
                _ => 0,
            },
            _ => done,
        }
    }

    fn counters(&self) -> Counters {
        let in_flight = self
            .shared
            .rings
            .iter()
            // Room that is kept for somebody in line is not in flight yet.
            .map(|ring| u64::from(ring.inside().saturating_sub(ring.kept())))
            .sum();
        self.shared.count().snapshot(in_flight)
    }
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for SimDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDevice")
            .field("name", &self.shared.config.name)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// No user code runs under a lock of this crate, but for the poller's, whose state is whole at
/// each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
