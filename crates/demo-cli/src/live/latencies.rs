//! A coarse count of latencies: sixteen buckets for each doubling, so that what is read from it is right
//! to about three percent.

/// Buckets for each doubling: 2 to the power of this.
const FINE_BITS: u32 = 4;
/// Enough for any number of nanoseconds.
pub(super) const BUCKETS: usize = 64 << FINE_BITS;

/// The bucket of a latency.
pub(super) fn bucket(ns: u64) -> usize {
    let doublings = ns.max(1).ilog2();
    let fine = match doublings.checked_sub(FINE_BITS) {
        Some(shift) => ns >> shift,
        None => ns.max(1) << (FINE_BITS - doublings),
    };
    // `fine` has its highest bit at FINE_BITS.
    ((doublings as usize) << FINE_BITS) + (fine as usize - (1 << FINE_BITS))
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> f64 {
    let doublings = (bucket >> FINE_BITS) as i32; // at most 63
    let fine = (bucket & ((1 << FINE_BITS) - 1)) as f64 + 0.5;
    2_f64.powi(doublings) * (1.0 + fine / f64::from(1 << FINE_BITS))
}

/// The latency, in nanoseconds, that `part` of those in `counts` have at most; `None` of none.
pub(super) fn quantile(counts: &[u64], part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let rank = (all as f64 * part).ceil().max(1.0) as u64;
    let mut so_far = 0;
    let at = counts.iter().position(|count| {
        so_far += count;
        so_far >= rank
    });
    at.map(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_latency_has_a_bucket_whose_middle_is_near() {
        for ns in [0, 1, 2, 15, 16, 17, 999, 123_456, 1 << 40, u64::MAX] {
            let at = bucket(ns);
            assert!(at < BUCKETS, "{ns}");
            let off = middle(at) / ns.max(1) as f64;
            assert!((0.9..1.6).contains(&off), "{ns}: {off}");
            if ns > 16 {
                assert!((0.96..1.04).contains(&off), "{ns}: {off}");
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_counts() {
        let mut counts = vec![0; BUCKETS];
        assert_eq!(quantile(&counts, 0.5), None);
        for ns in 1..=1000 {
            counts[bucket(ns * 1000)] += 1;
        }
        for (part, expected) in [(0.5, 5e5), (0.99, 9.9e5), (0.0, 1e3), (1.0, 1e6)] {
            let found = quantile(&counts, part).expect("some");
            assert!((found / expected - 1.0).abs() < 0.04, "{part}: {found}");
        }
    }
}
