//! What the threads that run jobs and their device tell a live view.
//!
//! Each figure has one writer, or is only ever added to: whoever looks reads them one by one, and they
//! agree to within what happens meanwhile.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use offload::Reason;
use sim_engine::{DeviceEvent, Health, OpRecord, SimClock, SimDevice};

use super::latencies::{BUCKETS, bucket};
use crate::bench::FailedBy;
use crate::cli::PlantedPanic;

/// How often a thread tells what it has done.
pub(crate) const TELL_EVERY: Duration = Duration::from_millis(50);

/// Of what befalls a device between two looks, so much is kept.
const EVENTS_MAX: usize = 1000;

/// Kinds of failures.
pub(super) const KINDS: usize = 7;

/// Why a device refuses; the order of [`Feed::refused`].
pub(super) const REFUSALS: [&str; 5] = [
    "ring full",
    "throttled",
    "no descriptor",
    "down",
    "another reason",
];

/// What a lane's device consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) endpoints: usize,
    pub(crate) instances: usize,
    /// Of each endpoint; 0: no bound.
    pub(crate) engines: usize,
    /// Places of each ring.
    pub(crate) depth: u64,
    /// Whether requests take time on engines, so that it is known which are on one.
    pub(crate) models_time: bool,
    /// What a request takes on an engine at most: one of which nothing is heard any more is not on it.
    pub(crate) service_ns_max: u64,
}

/// What is told of one lane.
pub(crate) struct Feed {
    pub(super) shape: Shape,
    pub(super) threads: Vec<Counts>,
    /// Instance by instance, endpoint after endpoint.
    pub(super) rings: Vec<Ring>,
    /// Endpoint after endpoint.
    pub(super) engines: Vec<EngineUse>,
    /// On engines that have no bound.
    pub(super) on_engines: Ring,
    refused: [AtomicU64; REFUSALS.len()],
    events: Mutex<Vec<Event>>,
    clock: OnceLock<SimClock>,
    device: OnceLock<Weak<SimDevice>>,
    zero: Instant,
    plant: Option<PlantedPanic>,
}

/// What a thread has done so far.
pub(super) struct Counts {
    pub(super) completed: AtomicU64,
    pub(super) failed: [AtomicU64; KINDS],
    pub(super) cancelled: AtomicU64,
    pub(super) retries: AtomicU64,
    /// Now.
    pub(super) in_flight: AtomicU64,
    pub(super) latencies: Vec<AtomicU64>,
    /// The longest since somebody looked.
    pub(super) worst_ns: AtomicU64,
}

/// Requests that went in and came out.
#[derive(Default)]
pub(super) struct Ring {
    entered: AtomicU64,
    left: AtomicU64,
}

impl Ring {
    pub(super) fn fill(&self) -> u64 {
        // Two threads may tell of the same request out of order.
        let left = self.left.load(Relaxed);
        self.entered.load(Relaxed).saturating_sub(left)
    }
}

/// What a modelled engine does.
#[derive(Default)]
pub(super) struct EngineUse {
    requests: Ring,
    /// When the last request came to it.
    since_ns: AtomicU64,
    /// When the last that was answered was done, and how long it was busy with those.
    until_ns: AtomicU64,
    busy_ns: AtomicU64,
}

impl EngineUse {
    fn began(&self, at_ns: u64) {
        self.requests.entered.fetch_add(1, Relaxed);
        self.since_ns.fetch_max(at_ns, Relaxed);
    }

    fn ended(&self, record: &OpRecord) {
        self.requests.left.fetch_add(1, Relaxed);
        // Requests of a batch are on it at the same time, which counts once.
        let before = self.until_ns.fetch_max(record.done_ns, Relaxed);
        let busy = record.done_ns.saturating_sub(record.started_ns.max(before));
        self.busy_ns.fetch_add(busy, Relaxed);
    }

    /// How long it has been busy in all.
    pub(super) fn busy_ns(&self, now_ns: u64, service_ns_max: u64) -> u64 {
        let busy = self.busy_ns.load(Relaxed);
        if self.requests.fill() == 0 {
            return busy;
        }
        let since = self.since_ns.load(Relaxed).max(self.until_ns.load(Relaxed));
        busy + now_ns.saturating_sub(since).min(service_ns_max)
    }
}

/// What befell an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) what: Befell,
    pub(super) endpoint: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Befell {
    Died,
    FoundDead,
    Restarted,
}

impl Feed {
    /// For a lane of `threads` threads.
    pub(crate) fn new(shape: Shape, threads: usize, plant: Option<PlantedPanic>) -> Feed {
        let counts = || Counts {
            completed: AtomicU64::new(0),
            failed: from_fn(|_| AtomicU64::new(0)),
            cancelled: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            latencies: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            worst_ns: AtomicU64::new(0),
        };
        let rings = shape.endpoints * shape.instances;
        let engines = shape.endpoints * shape.engines;
        Feed {
            shape,
            threads: std::iter::repeat_with(counts).take(threads).collect(),
            rings: std::iter::repeat_with(Ring::default).take(rings).collect(),
            engines: std::iter::repeat_with(EngineUse::default)
                .take(engines)
                .collect(),
            on_engines: Ring::default(),
            refused: from_fn(|_| AtomicU64::new(0)),
            events: Mutex::new(Vec::new()),
            clock: OnceLock::new(),
            device: OnceLock::new(),
            zero: Instant::now(),
            plant,
        }
    }

    /// The lane is open, with this clock of its own if it has one, and this device.
    pub(crate) fn attach(&self, clock: Option<&SimClock>, device: Option<&Arc<SimDevice>>) {
        if let Some(clock) = clock {
            let _ = self.clock.set(clock.clone());
        }
        if let Some(device) = device {
            // It is closed while the view looks on.
            let _ = self.device.set(Arc::downgrade(device));
        }
    }

    /// The device has said something.
    pub(crate) fn observe(&self, event: &DeviceEvent) {
        match event {
            DeviceEvent::Submitted {
                endpoint, instance, ..
            } => {
                if let Some(ring) = self.ring(*endpoint, *instance) {
                    ring.entered.fetch_add(1, Relaxed);
                }
            }
            DeviceEvent::Started {
                at_ns,
                endpoint,
                engine,
                ..
            } => match self.engine(*endpoint, *engine) {
                Some(engine) => engine.began(*at_ns),
                None => drop(self.on_engines.entered.fetch_add(1, Relaxed)),
            },
            DeviceEvent::Ended(record) => self.ended(record),
            DeviceEvent::Refused { reason, .. } => {
                let at = match reason {
                    Reason::RingFull => 0,
                    Reason::Throttled => 1,
                    Reason::NoDescriptor => 2,
                    Reason::Down => 3,
                    _ => 4,
                };
                self.refused[at].fetch_add(1, Relaxed);
            }
            DeviceEvent::Died { endpoint, .. } => self.befell(Befell::Died, *endpoint),
            DeviceEvent::FoundDead { endpoint, .. } => self.befell(Befell::FoundDead, *endpoint),
            DeviceEvent::Restarted { endpoint, .. } => self.befell(Befell::Restarted, *endpoint),
            _ => {}
        }
    }

    fn ended(&self, record: &OpRecord) {
        if let Some(ring) = self.ring(record.endpoint, record.instance) {
            ring.left.fetch_add(1, Relaxed);
        }
        if !self.shape.models_time || record.started_ns == 0 {
            return;
        }
        match self.engine(record.endpoint, record.engine) {
            Some(engine) => engine.ended(record),
            None => drop(self.on_engines.left.fetch_add(1, Relaxed)),
        }
    }

    fn befell(&self, what: Befell, endpoint: u32) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < EVENTS_MAX {
            events.push(Event { what, endpoint });
        }
    }

    fn ring(&self, endpoint: u32, instance: u32) -> Option<&Ring> {
        let at = endpoint as usize * self.shape.instances + instance as usize;
        self.rings.get(at)
    }

    fn engine(&self, endpoint: u32, engine: Option<u32>) -> Option<&EngineUse> {
        let at = endpoint as usize * self.shape.engines + engine? as usize;
        self.engines.get(at)
    }

    /// What befell the device since somebody looked.
    pub(super) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn refused(&self) -> [u64; REFUSALS.len()] {
        from_fn(|at| self.refused[at].load(Relaxed))
    }

    /// By the clock that latencies are measured with: the model's, or the wall's.
    pub(super) fn now_ns(&self) -> u64 {
        let wall = || u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.clock.get().map_or_else(wall, SimClock::now_ns)
    }

    pub(super) fn health(&self, endpoint: usize) -> Option<Health> {
        let device = self.device.get()?.upgrade()?;
        device.health(u32::try_from(endpoint).ok()?)
    }

    /// How often an endpoint has died, and how often one was reset.
    pub(super) fn deaths_and_restarts(&self) -> Option<(u64, u64)> {
        let stats = self.device.get()?.upgrade()?.stats();
        Some((stats.deaths, stats.restarts))
    }
}

/// What a thread tells beside latencies.
pub(crate) struct Told<'a> {
    pub(crate) completed: u64,
    pub(crate) failed_by: &'a FailedBy,
    pub(crate) cancelled: u64,
    pub(crate) retries: u64,
    pub(crate) in_flight: usize,
}

/// A thread's end of a [`Feed`].
pub(crate) struct Teller {
    feed: Arc<Feed>,
    thread: usize,
    due: Instant,
    /// The thread's own count, and which of it is not told yet.
    latencies: Box<[u64; BUCKETS]>,
    untold: Option<(usize, usize)>,
    worst_ns: u64,
}

impl Teller {
    pub(crate) fn new(feed: Arc<Feed>, thread: u64) -> Teller {
        Teller {
            feed,
            thread: thread as usize, // as many as there are threads
            due: Instant::now(),
            latencies: Box::new([0; BUCKETS]),
            untold: None,
            worst_ns: 0,
        }
    }

    /// An operation was completed that took so long.
    pub(crate) fn took(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let at = bucket(ns);
        self.latencies[at] += 1;
        let (low, high) = self.untold.unwrap_or((at, at));
        self.untold = Some((low.min(at), high.max(at)));
        self.worst_ns = self.worst_ns.max(ns);
    }

    /// Whether it is time to tell what was done.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Tells it.
    pub(crate) fn tell(&mut self, told: &Told<'_>) {
        self.due = Instant::now() + TELL_EVERY;
        let Some(counts) = self.feed.threads.get(self.thread) else {
            return;
        };
        counts.completed.store(told.completed, Relaxed);
        for (count, (_, failed)) in counts.failed.iter().zip(told.failed_by.kinds()) {
            count.store(failed, Relaxed);
        }
        counts.cancelled.store(told.cancelled, Relaxed);
        counts.retries.store(told.retries, Relaxed);
        counts.in_flight.store(told.in_flight as u64, Relaxed);
        if let Some((low, high)) = self.untold.take() {
            for at in low..=high {
                counts.latencies[at].store(self.latencies[at], Relaxed);
            }
        }
        counts.worst_ns.fetch_max(self.worst_ns, Relaxed);
        self.worst_ns = 0;
        assert!(
            self.feed.plant != Some(PlantedPanic::Job) || told.completed == 0,
            "planted in a thread that runs jobs"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        endpoints: 2,
        instances: 2,
        engines: 3,
        depth: 8,
        models_time: true,
        service_ns_max: 1000,
    };

    #[test]
    fn rings_fill_and_empty() {
        let feed = Feed::new(SHAPE, 1, None);
        let submitted = |endpoint, instance| DeviceEvent::Submitted {
            at_ns: 1,
            id: 7,
            endpoint,
            instance,
        };
        feed.observe(&submitted(1, 0));
        feed.observe(&submitted(1, 0));
        feed.observe(&submitted(0, 1));
        // Of no ring of this device.
        feed.observe(&submitted(9, 9));
        let fills: Vec<u64> = feed.rings.iter().map(Ring::fill).collect();
        assert_eq!(fills, [0, 1, 2, 0]);
    }

    #[test]
    fn an_engine_is_busy_while_a_request_is_on_it() {
        let engine = EngineUse::default();
        engine.began(100);
        assert_eq!(engine.busy_ns(150, 1000), 50);
        // Lost on its way back, it is not there for ever.
        assert_eq!(engine.busy_ns(1_000_000, 1000), 1000);
        assert_eq!(engine.requests.fill(), 1);
    }

    #[test]
    fn a_thread_tells_what_it_has_done() {
        let feed = Arc::new(Feed::new(SHAPE, 2, None));
        let mut teller = Teller::new(Arc::clone(&feed), 1);
        teller.took(Duration::from_micros(10));
        teller.took(Duration::from_micros(900));
        let failed_by = FailedBy {
            down: 3,
            ..FailedBy::default()
        };
        let told = Told {
            completed: 2,
            failed_by: &failed_by,
            cancelled: 1,
            retries: 4,
            in_flight: 5,
        };
        teller.tell(&told);
        let counts = &feed.threads[1];
        assert_eq!(counts.completed.load(Relaxed), 2);
        assert_eq!(counts.failed[1].load(Relaxed), 3);
        assert_eq!(counts.in_flight.load(Relaxed), 5);
        assert_eq!(counts.worst_ns.load(Relaxed), 900_000);
        let sum: u64 = counts.latencies.iter().map(|l| l.load(Relaxed)).sum();
        assert_eq!(sum, 2);
    }
}
