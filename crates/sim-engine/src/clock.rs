//! A device's time: the wall's, or a time of its own that only moves when it is moved.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use offload::Ticker;

/// What time it is for a device.
///
/// Cloning gives another handle to the same clock. Several devices can share one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SimClock {
    /// The wall's: worker threads, and waits that take their time.
    Real(RealClock),
    /// Virtual: no threads and no waits. Whoever runs the jobs moves it.
    Virtual(VirtualClock),
}

impl SimClock {
    /// The wall's clock, from now on.
    #[must_use]
    pub fn real() -> SimClock {
        SimClock::Real(RealClock {
            zero: Instant::now(),
        })
    }

    /// A virtual clock of its own, at 0.
    #[must_use]
    pub fn virtual_time() -> SimClock {
        SimClock::Virtual(VirtualClock::new())
    }

    /// Nanoseconds since the clock's zero.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            SimClock::Real(clock) => clock.at(Instant::now()),
            SimClock::Virtual(clock) => clock.now_ns(),
        }
    }

    /// The virtual clock, if it is one.
    #[must_use]
    pub fn as_virtual(&self) -> Option<&VirtualClock> {
        match self {
            SimClock::Real(_) => None,
            SimClock::Virtual(clock) => Some(clock),
        }
    }
}

/// The wall's clock, counted from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    zero: Instant,
}

impl RealClock {
    /// Nanoseconds from the clock's zero to `instant`; 0 for one before it.
    #[must_use]
    pub fn at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.zero);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The moment at `ns` nanoseconds, if there is one.
    pub(crate) fn instant(&self, ns: u64) -> Option<Instant> {
        self.zero.checked_add(Duration::from_nanos(ns))
    }
}

/// Something to which things happen in virtual time.
pub(crate) trait Timed: Send + Sync {
    /// When something happens next.
    fn next_at(&self) -> Option<u64>;

    /// Lets happen what happens until `now`. Returns how many requests were completed; `None` if
    /// somebody else is at work with it, so that nothing was done.
    fn run(&self, now: u64) -> Option<usize>;
}

/// A time in which nothing happens by itself: one thread runs its jobs until none is ready, and then
/// moves the clock to the next event of the devices on it ([`step`](VirtualClock::step), or
/// [`Engine::poll`](offload::Engine::poll) of such a device). The same seed gives the same events in
/// the same order at the same times, however fast the host is.
///
/// It may be used from any thread, but only if one thread does all is a run the same each time. A
/// callback of an event cannot move it: an operation outside a job that is run there, which would wait
/// for the clock, waits for ever.
#[derive(Clone)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

struct Shared {
    now: AtomicU64,
    /// Somebody moves it: events may call callbacks, and a callback must not move it.
    moving: AtomicBool,
    /// Somebody has come to a device in vain since the last event, and may wait for a time-out now.
    asked: AtomicBool,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    devices: Vec<Weak<dyn Timed>>,
    tickers: Vec<Tick>,
}

struct Tick {
    ticker: Ticker,
    every: u64,
    next: u64,
    /// Ticks since a device had something to do, or somebody came to one.
    idle: u32,
}

/// With nothing happening on any device, so many ticks of each ticker pass at most: enough for every
/// time-out to run out and for what it sets free to be seen.
const IDLE_TICKS_MAX: u32 = 4 * Ticker::TICKS;

/// What a step of a [`VirtualClock`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happened, and so many requests were completed.
    Happened {
        /// Requests completed.
        completed: usize,
    },
    /// Nothing happened until the limit; it is that time now.
    Limit,
    /// Nothing will ever happen, unless something is submitted.
    Idle,
    /// Nothing was done, as the clock is being moved or the device polled: this is a callback, or
    /// another thread does it.
    Moving,
}

impl VirtualClock {
    /// A clock at 0.
    #[must_use]
    pub fn new() -> VirtualClock {
        VirtualClock {
            shared: Arc::new(Shared {
                now: AtomicU64::new(0),
                moving: AtomicBool::new(false),
                asked: AtomicBool::new(false),
                parts: Mutex::new(Parts::default()),
            }),
        }
    }

    /// Nanoseconds since its zero.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.shared.now.load(Ordering::Relaxed)
    }

    /// Moves it to the next event, of whatever device, and lets it happen: all that happens at that
    /// time. Called from a callback of such an event it does nothing.
    pub fn step(&self) -> Step {
        self.step_until(u64::MAX)
    }

    /// The same, if that event is not after `limit`; otherwise moves the clock to `limit`, if it is
    /// not past it.
    pub fn step_until(&self, limit: u64) -> Step {
        if self.shared.moving.swap(true, Ordering::Acquire) {
            return Step::Moving;
        }
        let _moving = Moving(&self.shared.moving);
        let Some((at, device)) = self.next(limit) else {
            if limit == u64::MAX {
                return Step::Idle;
            }
            self.advance(limit);
            return Step::Limit;
        };
        self.advance(at);
        match device {
            Next::Device(device) => match device.run(at) {
                Some(completed) => Step::Happened { completed },
                None => Step::Moving,
            },
            Next::Ticker(ticker) => {
                ticker.tick();
                Step::Happened { completed: 0 }
            }
        }
    }

    /// The host works for `ns` nanoseconds, and what happens on the devices meanwhile happens: the
    /// clock is that much later. Returns how many requests were completed.
    pub fn spend(&self, ns: u64) -> usize {
        let until = self.now_ns().saturating_add(ns);
        let mut done = 0;
        loop {
            match self.step_until(until) {
                Step::Happened { completed } if self.now_ns() < until => done += completed,
                Step::Happened { completed } => return done + completed,
                Step::Limit | Step::Idle | Step::Moving => return done,
            }
        }
    }

    /// Ticks `ticker` each `every_ns` nanoseconds from now on, as long as its clients have anything
    /// under way: for time-outs in virtual time. 0 is taken as 1.
    pub fn tick(&self, ticker: &Ticker, every_ns: u64) {
        let every = every_ns.max(1);
        self.parts().tickers.push(Tick {
            ticker: ticker.clone(),
            every,
            next: self.now_ns().saturating_add(every),
            idle: 0,
        });
    }

    pub(crate) fn join(&self, device: Weak<dyn Timed>) {
        let mut parts = self.parts();
        parts.devices.retain(|device| device.strong_count() > 0);
        parts.devices.push(device);
    }

    /// Somebody came to a device and was refused: time-outs count on, though nothing happens on it.
    pub(crate) fn was_asked(&self) {
        self.shared.asked.store(true, Ordering::Relaxed);
    }

    /// What happens next, and when, if that is not after `limit`. A ticker's tick is counted here.
    fn next(&self, limit: u64) -> Option<(u64, Next)> {
        let mut parts = self.parts();
        let mut first: Option<(u64, Arc<dyn Timed>)> = None;
        for device in &parts.devices {
            let Some(device) = device.upgrade() else {
                continue;
            };
            if let Some(at) = device.next_at()
                && first.as_ref().is_none_or(|(earliest, _)| at < *earliest)
            {
                first = Some((at, device));
            }
        }
        let now = self.now_ns();
        let busy = first.is_some();
        if self.shared.asked.swap(false, Ordering::Relaxed) || busy {
            parts.tickers.iter_mut().for_each(|tick| tick.idle = 0);
        }
        let ticking = parts.tickers.iter_mut();
        let ticking = ticking.filter(|tick| tick.idle < IDLE_TICKS_MAX);
        if let Some(tick) = ticking.min_by_key(|tick| tick.next)
            && first
                .as_ref()
                .is_none_or(|(earliest, _)| tick.next < *earliest)
            && tick.next <= limit
        {
            let next = tick.next;
            tick.idle += u32::from(!busy);
            tick.next = next.max(now).saturating_add(tick.every);
            return Some((next.max(now), Next::Ticker(tick.ticker.clone())));
        }
        let (at, device) = first.filter(|(at, _)| *at <= limit)?;
        Some((at.max(now), Next::Device(device)))
    }

    fn advance(&self, to: u64) {
        self.shared.now.fetch_max(to, Ordering::Relaxed);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Nothing of anybody else's runs under it but `next_at`.
        let parts = self.shared.parts.lock();
        parts.unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Device(Arc<dyn Timed>),
    Ticker(Ticker),
}

/// Ends the move, also when a callback panics.
struct Moving<'a>(&'a AtomicBool);

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Default for VirtualClock {
    fn default() -> VirtualClock {
        VirtualClock::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now_ns()).finish()
    }
}
