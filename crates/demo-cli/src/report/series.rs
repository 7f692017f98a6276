//! What a row's figures are made of: its latencies one by one, and how it went over time.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize, Serializer};

use super::Name;
use crate::bench::Timeline;

/// Pairs of a distribution for each doubling of the latency.
const PER_DOUBLING: f64 = 8.0;

/// How a row went: one value for each slot of time, the first from its begin on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct OverTime {
    /// How long a slot lasts, in seconds; of the model's on a virtual clock.
    pub(crate) slot_s: f64,
    #[serde(serialize_with = "compact")]
    pub(crate) completed: Vec<u64>,
    #[serde(serialize_with = "compact")]
    pub(crate) failed: Vec<u64>,
    /// Submissions that met a full ring.
    #[serde(serialize_with = "compact")]
    pub(crate) retries: Vec<u64>,
    /// Of the operations that were completed in the slot; `None` if there were none.
    #[serde(serialize_with = "compact")]
    pub(crate) latency_mean_us: Vec<Option<f64>>,
}

/// Something that befell the device.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct DeviceNote {
    /// Since the row began, in seconds.
    pub(crate) at_s: f64,
    /// `died`, `found dead` or `restarted`.
    pub(crate) what: Name,
    /// Which endpoint, counted from 0.
    pub(crate) endpoint: u32,
}

impl OverTime {
    pub(crate) fn new(timeline: &Timeline) -> OverTime {
        let slots = timeline.slots();
        let mean = |slot: &crate::bench::Slot| {
            (slot.completed > 0).then(|| slot.latency_ns as f64 / slot.completed as f64 / 1e3)
        };
        OverTime {
            slot_s: timeline.slot_ns() as f64 / 1e9,
            completed: slots.iter().map(|slot| slot.completed).collect(),
            failed: slots.iter().map(|slot| slot.failed).collect(),
            retries: slots.iter().map(|slot| slot.retries).collect(),
            latency_mean_us: slots.iter().map(mean).collect(),
        }
    }
}

/// A histogram of nanoseconds as pairs, from the first that is not empty on.
pub(crate) fn distribution(ns: &Histogram<u64>) -> Vec<(f64, u64)> {
    let steps = ns.iter_log(1, PER_DOUBLING.recip().exp2());
    let mut pairs: Vec<(f64, u64)> = Vec::new();
    for step in steps {
        let (upto_us, count) = (
            step.value_iterated_to() as f64 / 1e3,
            step.count_since_last_iteration(),
        );
        match pairs.last_mut() {
            None if count == 0 => {}
            // Below a few nanoseconds steps are finer than the nanosecond.
            Some(last) if last.0 >= upto_us => last.1 += count,
            _ => pairs.push((upto_us, count)),
        }
    }
    pairs
}

/// Values on one line, however the rest is laid out.
pub(super) fn compact<S: Serializer, T: Serialize>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let raw = serde_json::value::to_raw_value(values).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_in_one_pair_and_pairs_grow() {
        let mut ns = Histogram::new(3).expect("three digits");
        for value in [0, 1, 3, 900, 1_000, 1_024, 77_000, 5_000_000_000_u64] {
            ns.record(value).expect("recorded");
        }
        let pairs = distribution(&ns);
        assert_eq!(pairs.iter().map(|(_, count)| count).sum::<u64>(), 8);
        assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0), "{pairs:?}");
        let at_most = |us: f64| -> u64 {
            let below = pairs.iter().take_while(|(upto, _)| *upto <= us);
            below.map(|(_, count)| count).sum()
        };
        assert_eq!(at_most(2.0), 6);
        assert_eq!(at_most(100.0), 7);
        assert!(distribution(&Histogram::new(3).expect("three digits")).is_empty());
    }
}
