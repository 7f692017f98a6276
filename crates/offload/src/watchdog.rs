//! Time-outs: a thread that wakes jobs whose operation takes too long.
//!
//! It does not decide that an operation has timed out: it wakes the job, and the job looks at the
//! clock. A wake that turns out wrong costs a resume and no more.
//!
//! The clock is a tick that the thread counts, eight to a time-out: reading it is one load, and an
//! operation that takes microseconds does not read the system's clock for a bound of seconds.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::slots::Slots;

/// Ticks in a time-out. More would make it more exact and the thread busier.
const TICKS: u32 = 8;

pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

struct Shared {
    tick: AtomicU64,
    stop: Mutex<bool>,
    stopping: Condvar,
}

impl Watchdog {
    pub(crate) fn start(timeout: Duration, slots: &Arc<Slots>) -> io::Result<Watchdog> {
        let shared = Arc::new(Shared {
            // Not 0, which means that no operation is under way.
            tick: AtomicU64::new(1),
            stop: Mutex::new(false),
            stopping: Condvar::new(),
        });
        let length = (timeout / TICKS).max(Duration::from_millis(1));
        let watch = Arc::clone(&shared);
        let slots = Arc::clone(slots);
        std::thread::Builder::new()
            .name("offload-watch".into())
            .spawn(move || watch.run(length, &slots))?;
        Ok(Watchdog { shared })
    }

    /// The tick that runs now.
    pub(crate) fn now(&self) -> u64 {
        self.shared.tick.load(Ordering::Relaxed)
    }

    /// Whether the time-out has passed since tick `since`, which may have been nearly over.
    pub(crate) fn is_over(&self, since: u64) -> bool {
        self.now() > since + u64::from(TICKS)
    }
}

impl Shared {
    fn run(&self, length: Duration, slots: &Slots) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            let (guard, wait) = self
                .stopping
                .wait_timeout(stop, length)
                .unwrap_or_else(PoisonError::into_inner);
            stop = guard;
            if wait.timed_out() {
                drop(stop);
                let tick = self.tick.fetch_add(1, Ordering::Relaxed) + 1;
                slots.nudge_older_than(tick.saturating_sub(u64::from(TICKS)));
                stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Watchdog {
    /// Ends the thread, without waiting for it: it holds nothing but the slots' list.
    fn drop(&mut self) {
        *self
            .shared
            .stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopping.notify_one();
    }
}
