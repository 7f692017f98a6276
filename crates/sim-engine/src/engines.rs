//! The modelled engines: when a request that starts now will be done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// k engines, each with the time from which it is free. Requests are taken in the order in which
/// they ask, each by the engine that is free first.
pub(crate) struct Engines {
    /// Empty if there is no bound.
    free_from: BinaryHeap<Reverse<Instant>>,
}

impl Engines {
    pub(crate) fn new(count: u32, now: Instant) -> Engines {
        Engines {
            free_from: (0..count).map(|_| Reverse(now)).collect(),
        }
    }

    /// Takes an engine for `service`, from `arrival` on or as soon as one is free after that.
    /// Returns when it is done.
    pub(crate) fn take(&mut self, arrival: Instant, service: Duration) -> Instant {
        match self.free_from.pop() {
            None => arrival + service,
            Some(Reverse(free)) => {
                let done = arrival.max(free) + service;
                self.free_from.push(Reverse(done));
                done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn two_engines_take_three_requests_in_two_turns() {
        let now = Instant::now();
        let mut engines = Engines::new(2, now);
        assert_eq!(engines.take(now, MS), now + MS);
        assert_eq!(engines.take(now, MS), now + MS);
        assert_eq!(engines.take(now, MS), now + 2 * MS);
        // One that comes late finds an engine that has been free for a while.
        assert_eq!(engines.take(now + 10 * MS, MS), now + 11 * MS);
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let now = Instant::now();
        let mut engines = Engines::new(0, now);
        for _ in 0..100 {
            assert_eq!(engines.take(now, MS), now + MS);
        }
    }
}
