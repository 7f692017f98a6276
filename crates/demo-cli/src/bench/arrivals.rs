//! When the operations of an open loop are to begin.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, Exp1};

/// Counted one by one at most, of those that were not begun.
const COUNTED_MAX: u64 = 10_000_000;

/// How often operations begin on one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) ops_per_s: f64,
    /// The first one's part of a gap: threads take turns.
    pub(crate) phase: f64,
    pub(crate) poisson: bool,
    pub(crate) seed: u64,
    pub(crate) thread: u64,
}

/// The starts of a round, in nanoseconds of the row's clock.
pub(crate) struct Arrivals {
    start: u64,
    gap_ns: f64,
    /// Since `start`.
    at_ns: f64,
    /// With a constant rate: counted, so that no error adds up.
    count: u64,
    phase: f64,
    random: Option<ChaCha8Rng>,
}

impl Arrivals {
    pub(crate) fn new(rate: Rate, start: u64) -> Arrivals {
        let random = rate.poisson.then(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(rate.seed);
            // Apart from the payload, the keys and the other threads.
            rng.set_stream(u64::MAX - rate.thread);
            rng
        });
        let mut arrivals = Arrivals {
            start,
            gap_ns: 1e9 / rate.ops_per_s,
            at_ns: 0.0,
            count: 0,
            phase: rate.phase,
            random,
        };
        arrivals.find();
        arrivals
    }

    /// When the next one is to begin.
    pub(crate) fn next(&self) -> u64 {
        self.start.saturating_add(self.at_ns as u64)
    }

    /// It has begun: on to the one after it.
    pub(crate) fn advance(&mut self) {
        self.count += 1;
        self.find();
    }

    fn find(&mut self) {
        match &mut self.random {
            None => self.at_ns = (self.count as f64 + self.phase) * self.gap_ns,
            Some(rng) => {
                let gap: f64 = Exp1.sample(rng);
                self.at_ns += gap * self.gap_ns;
            }
        }
    }

    /// How many were to begin before `until`; of very many the number that is to be expected.
    pub(crate) fn count_until(&mut self, until: u64) -> u64 {
        let mut counted = 0;
        while self.next() < until {
            if counted == COUNTED_MAX {
                return counted + ((until - self.next()) as f64 / self.gap_ns) as u64;
            }
            counted += 1;
            self.advance();
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        ops_per_s: 3e6,
        phase: 0.5,
        poisson: false,
        seed: 7,
        thread: 0,
    };

    #[test]
    fn a_constant_rate_keeps_to_its_times() {
        let mut arrivals = Arrivals::new(RATE, 1000);
        assert_eq!(arrivals.next(), 1000 + 166);
        arrivals.advance();
        assert_eq!(arrivals.next(), 1000 + 500);
        assert_eq!(arrivals.count_until(1_000_001_000), 2_999_999);
        assert_eq!(arrivals.count_until(1_000_001_000), 0);
    }

    #[test]
    fn a_poisson_process_has_its_rate_and_its_spread() {
        let rate = Rate {
            poisson: true,
            ..RATE
        };
        let mut arrivals = Arrivals::new(rate, 0);
        let mut gaps = Vec::new();
        for _ in 0..100_000 {
            let before = arrivals.at_ns;
            arrivals.advance();
            gaps.push(arrivals.at_ns - before);
        }
        let mean = gaps.iter().sum::<f64>() / 1e5;
        let squares = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        let spread = (squares / 1e5).sqrt();
        assert!((mean / 333.3 - 1.0).abs() < 0.02, "{mean}");
        assert!((spread / mean - 1.0).abs() < 0.02, "{spread} of {mean}");
        let other = Arrivals::new(Rate { thread: 1, ..rate }, 0);
        assert_ne!(other.next(), Arrivals::new(rate, 0).next());
    }

    #[test]
    fn far_too_many_are_estimated() {
        let rate = Rate {
            ops_per_s: 1e9,
            poisson: true,
            ..RATE
        };
        let count = Arrivals::new(rate, 0).count_until(1_000_000_000);
        assert!((count as f64 / 1e9 - 1.0).abs() < 0.01, "{count}");
    }
}
