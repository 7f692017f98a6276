//! Time-outs: ticks that are counted, and a thread that counts them.
//!
//! Nobody here decides that an operation has timed out: a tick wakes the jobs that have waited long,
//! and each job looks at the count. A wake that turns out wrong costs a resume and no more.
//!
//! Eight ticks make a time-out: reading the count is one load, and an operation that takes
//! microseconds does not read the system's clock for a bound of seconds.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::slots::Slots;

/// Ticks in a time-out. More would make it more exact and the thread busier.
const TICKS: u32 = 8;

/// Time-outs by hand: for a client whose time is not the wall's, as that of a simulation. Cloning
/// gives another handle to the same count.
///
/// ```
/// use offload::Ticker;
///
/// let ticker = Ticker::new();
/// // With `OffloadClient::with_ticker(&ticker)`, an operation is given up between the eighth tick
/// // after its submission and the ninth.
/// for _ in 0..=Ticker::TICKS {
///     ticker.tick();
/// }
/// ```
#[derive(Clone)]
pub struct Ticker {
    shared: Arc<Ticks>,
}

struct Ticks {
    tick: AtomicU64,
    /// Of each client that counts by it.
    slots: Mutex<Vec<Weak<Slots>>>,
}

impl Ticker {
    /// Ticks in a time-out: one tick is an eighth of it.
    pub const TICKS: u32 = TICKS;

    /// A ticker that stands still until [`tick`](Ticker::tick) is called.
    #[must_use]
    pub fn new() -> Ticker {
        Ticker {
            shared: Arc::new(Ticks {
                // Not 0, which means that no operation is under way.
                tick: AtomicU64::new(1),
                slots: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Counts one tick on, and wakes whoever has waited for a time-out or longer. From any thread;
    /// wakes may run an application's callbacks.
    pub fn tick(&self) {
        let tick = self.shared.tick.fetch_add(1, Ordering::Relaxed) + 1;
        let all: Vec<_> = {
            let mut slots = lock(&self.shared.slots);
            slots.retain(|slots| slots.strong_count() > 0);
            slots.iter().filter_map(Weak::upgrade).collect()
        };
        for slots in all {
            slots.nudge_older_than(tick.saturating_sub(u64::from(TICKS)));
        }
    }

    pub(crate) fn watch(&self, slots: &Arc<Slots>) {
        lock(&self.shared.slots).push(Arc::downgrade(slots));
    }

    /// The tick that runs now.
    pub(crate) fn now(&self) -> u64 {
        self.shared.tick.load(Ordering::Relaxed)
    }

    /// Whether a time-out has passed since tick `since`, which may have been nearly over.
    pub(crate) fn is_over(&self, since: u64) -> bool {
        self.now() > since + u64::from(TICKS)
    }
}

impl Default for Ticker {
    fn default() -> Ticker {
        Ticker::new()
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticker").field(&self.now()).finish()
    }
}

/// A ticker with a thread that ticks by the wall's clock.
pub(crate) struct Watchdog {
    ticker: Ticker,
    end: Arc<End>,
}

#[derive(Default)]
struct End {
    stop: Mutex<bool>,
    stopping: Condvar,
}

impl Watchdog {
    pub(crate) fn start(timeout: Duration, slots: &Arc<Slots>) -> io::Result<Watchdog> {
        let ticker = Ticker::new();
        ticker.watch(slots);
        let end = Arc::new(End::default());
        let length = (timeout / TICKS).max(Duration::from_millis(1));
        let (ticks, ends) = (ticker.clone(), Arc::clone(&end));
        std::thread::Builder::new()
            .name("offload-watch".into())
            .spawn(move || ends.run(length, &ticks))?;
        Ok(Watchdog { ticker, end })
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }
}

impl End {
    fn run(&self, length: Duration, ticker: &Ticker) {
        let mut stop = lock(&self.stop);
        while !*stop {
            let (guard, wait) = self
                .stopping
                .wait_timeout(stop, length)
                .unwrap_or_else(PoisonError::into_inner);
            stop = guard;
            if wait.timed_out() {
                drop(stop);
                ticker.tick();
                stop = lock(&self.stop);
            }
        }
    }
}

impl Drop for Watchdog {
    /// Ends the thread, without waiting for it: it holds nothing but the count.
    fn drop(&mut self) {
        *lock(&self.end.stop) = true;
        self.end.stopping.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
