//! The device: what applications submit to.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use offload::{
    Counters, Drive, Engine, Failure, FailureKind, Gate, OpKind, Reason, Refused, Request,
    Response, Submission, Ticket,
};
use waitctx::{Notifier, WakeBatch};

use crate::compute;
use crate::config::{Completions, DeviceConfig, DeviceFileError};
use crate::counters::Count;
use crate::engines::Engines;
use crate::fault::{FaultPlan, Outcome};
use crate::inbox::Inbox;
use crate::work::{Work, Worker, carry_out, complete, fail};

/// A simulated device: an [`Engine`].
///
/// Dropping the last handle kills it: what is in flight fails with [`FailureKind::Down`], and the
/// workers are joined. [`shutdown`](SimDevice::shutdown) finishes what is in flight first.
pub struct SimDevice {
    shared: Arc<Shared>,
    /// Those that have not been waited for.
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// The threads of all of them.
    threads: Vec<ThreadId>,
}

/// What the device's threads share with its users.
pub(crate) struct Shared {
    config: DeviceConfig,
    plan: FaultPlan,
    /// The device models time: link, service, or a delay.
    timed: bool,
    state: AtomicU8,
    /// The end was asked for: each worker has been sent its stop.
    ending: AtomicBool,
    /// Workers that have not ended.
    live: AtomicUsize,
    rings: Vec<Gate>,
    next_ring: AtomicUsize,
    /// Closed when the workers, or the poller, have ended.
    inbox: Inbox,
    engines: Mutex<Engines>,
    count: Count,
    /// For a device that is polled: the state that a worker thread would have.
    poller: Mutex<Worker>,
    /// The thread that holds `poller`.
    polling: Mutex<Option<ThreadId>>,
    opened: Instant,
}

/// Takes requests.
const RUNNING: u8 = 0;
/// Takes none, and finishes those it has.
const DRAINING: u8 = 1;
/// Takes none, and fails those it has. Final.
const DEAD: u8 = 2;

/// Why a device was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is not one.
    #[error("the device cannot be opened: {0}")]
    Config(#[from] DeviceFileError),
    /// A worker thread could not be started.
    #[error("a worker thread of the device could not be started: {0}; lower `workers`")]
    Worker(#[source] io::Error),
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
}

impl SimDevice {
    /// Opens a device as `config` describes it, and starts its workers. `seed` decides which
    /// operations its faults strike.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(config: &DeviceConfig, seed: u64) -> Result<Arc<SimDevice>, OpenError> {
        config.check()?;
        let opened = Instant::now();
        let zero = |fixed: u64, per_byte: f64| fixed == 0 && per_byte == 0.0;
        let untimed = zero(config.link.fixed_ns, config.link.per_byte_ns)
            && zero(config.faults.slow.extra_ns, 0.0)
            && std::iter::once(&config.service_default)
                .chain(config.service.values())
                .all(|time| zero(time.fixed_ns, time.per_byte_ns));
        let shared = Arc::new(Shared {
            plan: FaultPlan::new(config.faults, seed),
            timed: !untimed,
            state: AtomicU8::new(RUNNING),
            ending: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            rings: (0..config.instances)
                .map(|_| Gate::new(config.ring_depth_max))
                .collect(),
            next_ring: AtomicUsize::new(0),
            inbox: Inbox::new(match config.completions {
                Completions::Poll => 1,
                _ => config.workers as usize,
            }),
            engines: Mutex::new(Engines::new(config.engines, opened)),
            count: Count::default(),
            poller: Mutex::new(Worker::new()),
            polling: Mutex::new(None),
            opened,
            config: config.clone(),
        });
        // Dropped, and so ended, if a worker cannot be started.
        let mut device = SimDevice {
            shared,
            workers: Mutex::new(Vec::new()),
            threads: Vec::new(),
        };
        // Those of a device that completes before the pause look after what it loses.
        if config.completions != Completions::Poll {
            for n in 0..config.workers {
                let live = Live::new(&device.shared);
                let worker = std::thread::Builder::new()
                    .name(format!("{}-{n}", config.name))
                    .spawn(move || Worker::new().run(&live.0, &live.0.inbox))
                    .map_err(OpenError::Worker)?;
                device.threads.push(worker.thread().id());
                lock(&device.workers).push(worker);
            }
        }
        Ok(Arc::new(device))
    }

    /// The configuration it was opened with.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.shared.config
    }

    /// What it has done so far. Exact after [`shutdown`](SimDevice::shutdown): an answer is
    /// counted just after it was given.
    #[must_use]
    pub fn stats(&self) -> DeviceStats {
        let shared = &self.shared;
        let elapsed = shared.opened.elapsed().as_nanos() as f64;
        let capacity = elapsed * f64::from(shared.config.engines);
        let utilisation = if capacity > 0.0 {
            (shared.count.busy_ns() as f64 / capacity).min(1.0)
        } else {
            0.0
        };
        DeviceStats {
            counters: self.counters(),
            engine_utilisation: utilisation,
        }
    }

    /// Takes no more requests, finishes those in flight (lost ones fail), ends the workers, and
    /// returns the final counts. Again: returns the same.
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
        let panicked = self.end();
        assert!(!panicked, "a worker of the device panicked");
        self.stats()
    }

    /// Dies: takes no more requests, and fails those in flight with [`FailureKind::Down`]. What
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

impl Shared {
    pub(crate) fn config(&self) -> &DeviceConfig {
        &self.config
    }

    pub(crate) fn count(&self) -> &Count {
        &self.count
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DEAD
    }

    pub(crate) fn leave_ring(&self, instance: usize) {
        self.rings[instance].leave();
    }

    /// How many requests hold a place in a ring.
    pub(crate) fn in_ring(&self, instance: usize) -> usize {
        self.rings[instance].inside() as usize
    }

    pub(crate) fn take_engine(&self, arrival: Instant, service: Duration) -> Instant {
        lock(&self.engines).take(arrival, service)
    }

    pub(crate) fn busy(&self, service: Duration) {
        let ns = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
        self.count.busy(ns);
    }

    /// Finds a ring with room, going round them, or the one that the ticket is for.
    fn enter(&self, ticket: Option<Ticket>) -> Result<usize, Option<Ticket>> {
        if let Some(ticket) = ticket {
            return match self.rings.iter().position(|ring| ring.issued(&ticket)) {
                Some(at) => self.rings[at].enter(Some(ticket)).map(|()| at),
                // Another device's: worth nothing here.
                None => Err(Some(ticket)),
            };
        }
        let count = self.rings.len();
        let first = if count == 1 {
            0
        } else {
            self.next_ring.fetch_add(1, Ordering::Relaxed) % count
        };
        (first..count)
            .chain(0..first)
            .find(|at| self.rings[*at].enter(None).is_ok())
            .ok_or(None)
    }

    /// Runs `f` on the poller, known as the thread that does.
    fn with_poller<T>(
        &self,
        mut poller: MutexGuard<'_, Worker>,
        f: impl FnOnce(&mut Worker) -> T,
    ) -> T {
        *lock(&self.polling) = Some(std::thread::current().id());
        let result = f(&mut poller);
        *lock(&self.polling) = None;
        result
    }

    /// Finishes what the poller has and what waits for it.
    fn end_polling(&self, poller: &mut Worker) {
        poller.poll(self, &self.inbox, 0);
        std::mem::replace(poller, Worker::new()).finish(self);
        self.end_intake();
    }

    /// Nobody takes from the inbox any more: fails what was submitted beside the end. What comes
    /// later is handed back to its submitter.
    fn end_intake(&self) {
        let mut wakes = WakeBatch::new();
        for work in self.inbox.close() {
            fail(self, work, FailureKind::Down, &mut wakes);
        }
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
        request.data.len() < self.shared.config.inline_below_bytes
    }

    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        compute::compute(request)
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let shared = &*self.shared;
        let refuse = |reason, submission| {
            shared.count.refused();
            Err(Refused { reason, submission })
        };
        if shared.state.load(Ordering::SeqCst) != RUNNING {
            return refuse(Reason::Down, submission);
        }
        let kind = submission.request.op.kind();
        if !self.supports(kind) {
            return refuse(Reason::Unsupported(kind), submission);
        }
        let fate = shared.plan.fate(submission.request.id);
        // Once: whoever comes back has a ticket.
        if fate.ring_full && submission.ticket.is_none() {
            return refuse(Reason::RingFull, submission);
        }
        let Submission {
            request,
            completion,
            ticket,
        } = submission;
        let instance = match shared.enter(ticket) {
            Ok(instance) => instance,
            Err(ticket) => {
                let submission = Submission {
                    request,
                    completion,
                    ticket,
                };
                return refuse(Reason::RingFull, submission);
            }
        };
        shared.count.submitted();
        let work = Work {
            request,
            completion,
            instance,
            submitted: shared.timed.then(Instant::now),
            fate,
        };
        let before_pause = shared.config.completions == Completions::BeforePause;
        if before_pause && work.fate.outcome != Outcome::Lost {
            complete(shared, carry_out(work), &mut WakeBatch::new());
            return Ok(());
        }
        if let Err(work) = shared.inbox.push(work) {
            // The device has ended since we looked.
            fail(shared, work, FailureKind::Down, &mut WakeBatch::new());
        }
        Ok(())
    }

    fn queue_for_room(&self, notifier: &Notifier) -> Option<Ticket> {
        // In the shortest line, or simply round them: with lines only when all are full, the
        // difference is one request.
        let at = self.shared.next_ring.fetch_add(1, Ordering::Relaxed) % self.shared.rings.len();
        Some(self.shared.rings[at].wait(notifier))
    }

    fn drive(&self) -> Drive {
        match self.shared.config.completions {
            Completions::Poll => Drive::Poll,
            _ => Drive::Threads,
        }
    }

    fn poll(&self, quota: usize) -> usize {
        if self.drive() != Drive::Poll {
            return 0;
        }
        // Somebody else polls, or a callback polls from inside a poll: nothing left to do here.
        let shared = &*self.shared;
        let Ok(poller) = shared.poller.try_lock() else {
            return 0;
        };
        shared.with_poller(poller, |poller| {
            let done = poller.poll(shared, &shared.inbox, quota);
            // A callback asked for the end from inside this poll.
            if shared.ending.load(Ordering::SeqCst) && !shared.inbox.is_closed() {
                shared.end_polling(poller);
            }
            done
        })
    }

    fn counters(&self) -> Counters {
        let in_flight = self
            .shared
            .rings
            .iter()
            // Room that is kept for somebody in line is not in flight yet.
            .map(|ring| u64::from(ring.inside().saturating_sub(ring.kept())))
            .sum();
        self.shared.count.snapshot(in_flight)
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
