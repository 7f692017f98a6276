//! A bound on the rate of requests.

use crate::config::Throttle;
use crate::model::Nanos;

/// A bucket of tokens: one is taken for each request, and they come back at a steady rate.
pub(crate) struct Bucket {
    /// Nanoseconds for a token to come back.
    token_ns: f64,
    burst: f64,
    tokens: f64,
    at: Nanos,
}

impl Bucket {
    /// A full one, if there is a bound.
    pub(crate) fn new(throttle: Throttle, now: Nanos) -> Option<Bucket> {
        (throttle.ops_per_s > 0.0).then(|| Bucket {
            token_ns: 1e9 / throttle.ops_per_s,
            burst: f64::from(throttle.burst),
            tokens: f64::from(throttle.burst),
            at: now,
        })
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Nanos) -> bool {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed as f64 / self.token_ns).min(self.burst);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }

    /// Puts the last token back: the request was not taken on after all.
    pub(crate) fn put_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let throttle = Throttle {
            ops_per_s: 1000.0,
            burst: 3,
        };
        let mut bucket = Bucket::new(throttle, 0).expect("a bound");
        let taken = |bucket: &mut Bucket, now| (0..10).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, 0), 3);
        assert_eq!(taken(&mut bucket, 999_999), 0);
        assert_eq!(taken(&mut bucket, 1_000_000), 1);
        // A token in part is not lost.
        assert_eq!(taken(&mut bucket, 2_500_000), 1);
        assert_eq!(taken(&mut bucket, 3_000_000), 1);
        assert_eq!(taken(&mut bucket, 1_000_000_000), 3);
        bucket.put_back();
        assert_eq!(taken(&mut bucket, 1_000_000_000), 1);
        assert!(Bucket::new(Throttle::default(), 0).is_none());
    }
}
