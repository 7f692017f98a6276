//! What a device's threads share with its users.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::thread::ThreadId;
use std::time::Instant;

use offload::{Drive, FailureKind, Gate, OpKind, Reason, Ticket};
use waitctx::WakeBatch;

use super::endpoint::{Endpoint, Strike};
use super::lock;
use super::throttle::Bucket;
use crate::clock::SimClock;
use crate::config::{Completions, DeviceConfig, InstanceChoice};
use crate::counters::Count;
use crate::fault::{FaultPlan, Outcome};
use crate::inbox::Inbox;
use crate::model::{Course, Nanos};
use crate::observe::{DeviceEvent, Observer};
use crate::work::{Work, Worker, carry_out, complete, fail, survive};

/// See the top of the file.
pub(crate) struct Shared {
    pub(super) config: DeviceConfig,
    pub(super) plan: FaultPlan,
    pub(super) clock: SimClock,
    /// When it was opened.
    pub(super) opened: Nanos,
    /// The device models time, so that requests go through the model of an endpoint.
    timed: bool,
    /// Something happens on the endpoints by itself: they are looked at.
    events: AtomicBool,
    pub(super) state: AtomicU8,
    /// The end was asked for: each worker has been sent its stop.
    pub(super) ending: AtomicBool,
    /// Workers that have not ended.
    pub(super) live: AtomicUsize,
    endpoints: Vec<Endpoint>,
    /// Those of an endpoint one after the other; of an instance first the symmetric one.
    pub(super) rings: Vec<Gate>,
    /// Of each ring its endpoint and its instance there.
    places: Vec<(u32, u32)>,
    next_instance: AtomicUsize,
    /// The number of the thread that was the first to choose an instance.
    first_thread: OnceLock<usize>,
    throttle: Option<Mutex<Bucket>>,
    /// Closed when the workers, or the poller, have ended.
    pub(super) inbox: Inbox,
    count: Count,
    /// For a device without threads: the state that a worker thread would have.
    pub(super) poller: Mutex<Worker>,
    /// The thread that holds `poller`.
    pub(super) polling: Mutex<Option<ThreadId>>,
    /// In virtual time: how many requests are completed at most when the clock moves. Who polls says
    /// so; usually there is no bound.
    pub(super) quota: AtomicUsize,
    /// More than that had ended: the rest is completed when the clock moves again.
    pub(super) left_over: AtomicBool,
    /// Operations were given up while the poller was at work.
    sweep: AtomicBool,
    observer: Option<Arc<dyn Observer>>,
}

/// Takes requests.
pub(super) const RUNNING: u8 = 0;
/// Takes none, and finishes those it has.
pub(super) const DRAINING: u8 = 1;
/// Takes none, and fails those it has. Final.
pub(super) const DEAD: u8 = 2;

impl Shared {
    pub(super) fn new(
        config: &DeviceConfig,
        plan: FaultPlan,
        clock: SimClock,
        observer: Option<Arc<dyn Observer>>,
    ) -> Shared {
        let opened = clock.now_ns();
        // In virtual time all goes through the model, so that all is in its order.
        let timed = config.is_timed() || clock.as_virtual().is_some();
        let classes = [config.ring_depth_max, config.asym_ring_depth_max];
        let of_an_instance = classes.into_iter().filter(|&depth| depth > 0);
        let instances = (0..config.endpoints * config.instances).map(|_| of_an_instance.clone());
        let each = of_an_instance.clone().count();
        let places = (0..config.endpoints)
            .flat_map(|endpoint| (0..config.instances).map(move |at| (endpoint, at)))
            .flat_map(|place| std::iter::repeat_n(place, each));
        Shared {
            plan,
            opened,
            timed,
            events: AtomicBool::new(timed),
            state: AtomicU8::new(RUNNING),
            ending: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            endpoints: (0..config.endpoints)
                .map(|number| Endpoint::new(config, number, opened))
                .collect(),
            rings: instances.flatten().map(Gate::new).collect(),
            places: places.collect(),
            next_instance: AtomicUsize::new(0),
            first_thread: OnceLock::new(),
            throttle: Bucket::new(config.throttle, opened).map(Mutex::new),
            inbox: Inbox::new(match config.completions {
                Completions::Poll => 1,
                _ => config.workers as usize,
            }),
            count: Count::default(),
            poller: Mutex::new(Worker::new()),
            polling: Mutex::new(None),
            quota: AtomicUsize::new(usize::MAX),
            left_over: AtomicBool::new(false),
            sweep: AtomicBool::new(false),
            observer,
            clock,
            config: config.clone(),
        }
    }

    pub(crate) fn count(&self) -> &Count {
        &self.count
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DEAD
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Whether answers wait for whoever polls.
    pub(crate) fn is_polled(&self) -> bool {
        self.config.completions == Completions::Poll
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.clock.as_virtual().is_some()
    }

    /// Who makes its completions happen.
    pub(super) fn drive(&self) -> Drive {
        if self.is_polled() || self.is_virtual() {
            Drive::Poll
        } else {
            Drive::Threads
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        self.clock.now_ns()
    }

    /// When it is that time, on the wall's clock.
    pub(crate) fn instant(&self, at: Nanos) -> Option<Instant> {
        match &self.clock {
            SimClock::Real(clock) => clock.instant(at),
            SimClock::Virtual(_) => None,
        }
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(crate) fn observe(&self, event: &DeviceEvent) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }

    pub(crate) fn computes(&self, op: OpKind) -> bool {
        self.config.computes(op, self.is_virtual())
    }

    // ---- endpoints and their rings -----------------------------------------------------------

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub(crate) fn has_events(&self) -> bool {
        self.events.load(Ordering::Relaxed)
    }

    /// Rings of an instance.
    fn classes(&self) -> usize {
        if self.config.asym_ring_depth_max > 0 {
            2
        } else {
            1
        }
    }

    /// The endpoint and the instance of a ring.
    pub(crate) fn place_of(&self, ring: u32) -> (u32, u32) {
        self.places[ring as usize]
    }

    pub(crate) fn endpoint_of(&self, ring: u32) -> &Endpoint {
        &self.endpoints[self.place_of(ring).0 as usize]
    }

    pub(crate) fn leave_ring(&self, ring: u32) {
        self.rings[ring as usize].leave();
    }

    /// How many requests hold a place in a ring.
    pub(crate) fn in_ring(&self, ring: u32) -> usize {
        self.rings[ring as usize].inside() as usize
    }

    /// The rings for `op`, the one that is next in turn first; none of an endpoint that is known to
    /// be down.
    fn rings_for(&self, op: OpKind) -> impl Iterator<Item = usize> {
        let classes = self.classes();
        let class = usize::from(classes == 2 && op.is_asymmetric());
        let endpoints = self.endpoints.len();
        let instances = endpoints * self.config.instances as usize;
        let first = match self.config.instance_choice {
            _ if instances == 1 => 0,
            InstanceChoice::RoundRobin => self.next_instance.fetch_add(1, Ordering::Relaxed),
            InstanceChoice::Thread => {
                // From the first one that came on: how many threads there were before must not
                // decide what one thread's run is like.
                let number = thread_number();
                let first = *self.first_thread.get_or_init(|| number);
                (number % instances + instances - first % instances) % instances
            }
        };
        let one_only = self.config.instance_choice == InstanceChoice::Thread;
        let rings = (0..instances).filter_map(move |n| {
            // Neighbours in turn are on different endpoints.
            let turn = (first + n) % instances;
            let endpoint = turn % endpoints;
            let at = endpoint * self.config.instances as usize + turn / endpoints;
            let takes = self.endpoints[endpoint].takes_requests();
            takes.then_some(at * classes + class)
        });
        rings.take(if one_only { 1 } else { instances })
    }

    /// Finds a ring with room, or the one that the ticket is for.
    pub(super) fn enter(
        &self,
        op: OpKind,
        ticket: Option<Ticket>,
    ) -> Result<u32, (Reason, Option<Ticket>)> {
        if let Some(ticket) = ticket {
            match self.rings.iter().position(|ring| ring.issued(&ticket)) {
                // Of an endpoint that is down: somebody else in line may have the room, and fare
                // as this one.
                Some(at) if !self.endpoint_of(at as u32).takes_requests() => {
                    // Whoever is woken by it may panic.
                    survive(|| drop(ticket));
                }
                Some(at) => {
                    return match self.rings[at].enter(Some(ticket)) {
                        Ok(()) => Ok(at as u32),
                        Err(ticket) => Err((Reason::RingFull, ticket)),
                    };
                }
                // Another device's: worth nothing here.
                None => return Err((Reason::RingFull, Some(ticket))),
            }
        }
        if let [ring] = &self.rings[..] {
            // The only one, of the only endpoint.
            if !self.endpoints[0].takes_requests() {
                return Err((Reason::Down, None));
            }
            let entered = ring.enter(None);
            return entered.map(|()| 0).map_err(|none| (Reason::RingFull, none));
        }
        let mut any = false;
        for at in self.rings_for(op) {
            any = true;
            if self.rings[at].enter(None).is_ok() {
                return Ok(at as u32);
            }
        }
        let reason = if any { Reason::RingFull } else { Reason::Down };
        Err((reason, None))
    }

    /// A ring to wait at for `op`: the next in turn. With lines only where all are full, a better
    /// choice makes a difference of one request.
    pub(super) fn ring_to_wait_at(&self, op: OpKind) -> Option<&Gate> {
        self.rings_for(op).next().map(|at| &self.rings[at])
    }

    /// Takes a token, if the rate is bounded.
    pub(super) fn pass_throttle(&self) -> bool {
        let Some(bucket) = &self.throttle else {
            return true;
        };
        lock(bucket).take(self.now())
    }

    pub(super) fn give_token_back(&self) {
        if let Some(bucket) = &self.throttle {
            lock(bucket).put_back();
        }
    }

    // ---- the model ---------------------------------------------------------------------------

    /// How a request goes through the model.
    pub(crate) fn course(&self, work: &Work) -> Course {
        let fate = work.route.fate();
        let (kind, bytes) = (work.request.op.kind(), work.request.data.len());
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let link = ns(self.config.link_time(bytes));
        let service = ns(self.config.service_time(kind, bytes));
        // Jitter is a small factor of what is at most an hour and some: exact enough in an f64.
        let service = (service as f64 * fate.jitter) as u64;
        Course {
            kind,
            link_in_ns: link,
            service_ns: service.saturating_add(fate.slow_ns),
            stall_ns: fate.stall_ns,
            link_out_ns: link.saturating_add(fate.late_ns),
            lost: fate.outcome == Outcome::Lost,
            kills: fate.kills,
        }
    }

    /// When something happens on the endpoints next.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        if !self.has_events() {
            return None;
        }
        self.endpoints.iter().filter_map(Endpoint::next_at).min()
    }

    /// Something strikes an endpoint now.
    pub(super) fn strike(&self, number: u32, what: Strike) -> bool {
        let Some(endpoint) = self.endpoints.get(number as usize) else {
            return false;
        };
        endpoint.strike(self.now(), what);
        self.events.store(true, Ordering::Relaxed);
        // A worker that sleeps does not know of it.
        self.inbox.nudge();
        true
    }

    /// Operations were given up: lets go of them, now or when the poller is done.
    pub(super) fn sweep(&self) {
        if !self.has_events() {
            return;
        }
        // Said first: whoever has the poller looks again when it is free.
        self.sweep.store(true, Ordering::SeqCst);
        while self.sweep.load(Ordering::SeqCst)
            && let Some(poller) = self.try_poller()
        {
            self.with_poller(poller, |poller| self.catch_up(poller));
        }
    }

    // ---- whoever works without a thread of the device ------------------------------------------

    /// Runs `f` on the poller, known as the thread that does.
    pub(super) fn with_poller<T>(
        &self,
        mut poller: MutexGuard<'_, Worker>,
        f: impl FnOnce(&mut Worker) -> T,
    ) -> T {
        *lock(&self.polling) = Some(std::thread::current().id());
        let _polling = Polling(&self.polling);
        f(&mut poller)
    }

    /// The poller, if nobody is at work with it.
    pub(super) fn try_poller(&self) -> Option<MutexGuard<'_, Worker>> {
        match self.poller.try_lock() {
            Ok(poller) => Some(poller),
            // An observer has panicked: the poller is whole at each step.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Finishes what the poller has and what waits for it.
    pub(super) fn end_polling(&self, poller: &mut Worker) {
        poller.poll(self, &self.inbox, 0);
        std::mem::replace(poller, Worker::new()).finish(self);
        self.end_intake();
    }

    /// Nobody takes from the inbox any more: ends what was submitted beside the end.
    pub(super) fn end_intake(&self) {
        for work in self.inbox.close() {
            self.end_beside(work);
        }
    }

    /// Ends a request that was taken on when the last worker was on its way out: at once, as there is
    /// nobody to wait for its time.
    pub(super) fn end_beside(&self, work: Work) {
        let mut wakes = WakeBatch::new();
        if self.is_dead() || work.route.outcome() == Outcome::Lost {
            fail(self, work, FailureKind::Down, &mut wakes);
        } else {
            complete(self, carry_out(self, work), &mut wakes);
        }
    }

    /// For who has the poller: does what was asked for while others could not have it.
    pub(super) fn catch_up(&self, poller: &mut Worker) {
        // Again for what callbacks have given up meanwhile.
        while self.sweep.swap(false, Ordering::SeqCst) {
            poller.sweep(self);
            poller.deal(self, usize::MAX);
            poller.tell();
        }
        // A callback asked for the end from inside this poll. Worker threads see to theirs.
        let polled = self.drive() == Drive::Poll;
        if polled && self.ending.load(Ordering::SeqCst) && !self.inbox.is_closed() {
            self.end_polling(poller);
        }
    }
}

/// Says that the poller is free again, also when an observer panics.
struct Polling<'a>(&'a Mutex<Option<ThreadId>>);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

/// A number of its own for each thread, from 0 on.
fn thread_number() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
    }
    NUMBER.try_with(|number| *number).unwrap_or(0)
}
