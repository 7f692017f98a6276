//! What is compared of rows, and how far the ratios are to be trusted.

use serde::Serialize;

use crate::human::show_us;
use crate::report::{Row, Spread};

/// Parts that a row's time is cut into, about.
const PARTS: usize = 15;
/// Of fewer parts nothing is said.
const PARTS_MIN: usize = 4;
/// Operations in a part on average, at least: of fewer the count itself is what differs.
const OPERATIONS_MIN: u64 = 50;
/// So much of a row is to lie in its parts: where two runtimes took turns, its time has gaps.
const COVERED_FROM: f64 = 0.9;

/// A figure, of an operation unless it says otherwise. More is slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Figure {
    /// Of a result of `simulate`: of a seed.
    Seed,
    /// What one takes, from one to the next.
    Time,
    /// The median of the latency.
    P50,
    /// The latency that one in a hundred exceeds.
    P99,
    /// Processor time of the whole process.
    Cpu,
}

impl Figure {
    /// Those of a row.
    pub(super) const OF_ROWS: [Figure; 4] = [Figure::Time, Figure::P50, Figure::P99, Figure::Cpu];
    /// Those of a result of `simulate`.
    pub(super) const OF_CAMPAIGNS: [Figure; 2] = [Figure::Seed, Figure::Time];

    /// Over a column.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Figure::Seed => "time/seed",
            Figure::Time => "time/op",
            Figure::P50 => "p50",
            Figure::P99 => "p99",
            Figure::Cpu => "cpu/op",
        }
    }

    /// In a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Figure::Seed => "time per seed",
            Figure::Time => "time per operation",
            Figure::P50 => "latency p50",
            Figure::P99 => "latency p99",
            Figure::Cpu => "processor time per operation",
        }
    }

    /// Of a row, in microseconds.
    fn of(self, row: &Row) -> Option<f64> {
        let figure = match self {
            Figure::Seed => None,
            Figure::Time => (row.ops_per_s > 0.0).then(|| 1e6 / row.ops_per_s),
            Figure::P50 => (row.completed > 0).then_some(row.latency_us.p50),
            Figure::P99 => row.latency_us.p99,
            // On a virtual clock it is what the model costs, not what is modelled.
            Figure::Cpu => row.cpu_us_per_op.filter(|_| row.clock == "real"),
        };
        figure.filter(|figure| figure.is_finite() && *figure >= 0.0)
    }
}

/// A figure of two rows that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Measured {
    /// The median, where there are repeats.
    pub(super) base_us: Option<f64>,
    pub(super) other_us: Option<f64>,
    /// The other ÷ the base: above 1 is slower.
    pub(super) ratio: Option<f64>,
    /// How far the ratio goes.
    pub(super) spread: Option<Range>,
    pub(super) seen: Seen,
}

/// How far a ratio goes, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Range {
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) over: Over,
}

/// What a ratio goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Over {
    /// Each repeat of the one with each of the other.
    #[serde(rename = "repeats")]
    Repeats,
    /// Parts of the one run with parts of the other: what differs from run to run is not in it.
    #[serde(rename = "within the run")]
    WithinTheRun,
}

/// A ratio in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Seen {
    #[serde(rename = "slower")]
    Slower,
    #[serde(rename = "faster")]
    Faster,
    /// The spread includes 1.
    #[serde(rename = "no difference seen")]
    NoDifference,
    /// The ratio is 1, and there is no spread.
    #[serde(rename = "the same")]
    Same,
    #[serde(rename = "slower, spread not known")]
    SlowerUnsure,
    #[serde(rename = "faster, spread not known")]
    FasterUnsure,
    /// There is no ratio.
    #[serde(rename = "cannot be told")]
    CannotBeTold,
}

impl Seen {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Seen::Slower => "slower",
            Seen::Faster => "faster",
            Seen::NoDifference => "no difference seen",
            Seen::Same => "the same",
            Seen::SlowerUnsure => "slower, spread not known",
            Seen::FasterUnsure => "faster, spread not known",
            Seen::CannotBeTold => "cannot be told",
        }
    }

    fn of(ratio: Option<f64>, spread: Option<Range>) -> Seen {
        match (ratio, spread) {
            (None, _) => Seen::CannotBeTold,
            (_, Some(range)) if range.least <= 1.0 && 1.0 <= range.most => Seen::NoDifference,
            (Some(ratio), Some(_)) if ratio > 1.0 => Seen::Slower,
            (Some(_), Some(_)) => Seen::Faster,
            (Some(ratio), None) if ratio > 1.0 => Seen::SlowerUnsure,
            (Some(ratio), None) if ratio < 1.0 => Seen::FasterUnsure,
            (Some(_), None) => Seen::Same,
        }
    }
}

impl Measured {
    /// A figure of the repeats of a row in both reports; `None` if neither has it.
    pub(super) fn new(figure: Figure, base: &[&Row], other: &[&Row]) -> Option<Measured> {
        let of = |rows: &[&Row]| -> Option<Spread> {
            Spread::of(rows.iter().filter_map(|row| figure.of(row)).collect())
        };
        let (a, b) = (of(base), of(other));
        if a.is_none() && b.is_none() {
            return None;
        }
        let medians = (a.map(|a| a.median), b.map(|b| b.median));
        let repeats = base.len() > 1 || other.len() > 1;
        let range = match (repeats, base, other) {
            (true, ..) => a.zip(b).and_then(|(a, b)| range(a, b, Over::Repeats)),
            (false, [base], [other]) if figure == Figure::Time => within_the_run(base, other),
            (false, ..) => None,
        };
        Some(Measured::of(medians.0, medians.1, range))
    }

    /// Of figures that are known.
    pub(super) fn of(base: Option<f64>, other: Option<f64>, range: Option<Range>) -> Measured {
        let ratio = base.zip(other).and_then(|(a, b)| ratio(b, a));
        // The whole may lie beside its parts: what is begun and what is ended is not in them.
        let spread = ratio.zip(range).map(|(ratio, range)| Range {
            least: range.least.min(ratio),
            most: range.most.max(ratio),
            ..range
        });
        Measured {
            base_us: base,
            other_us: other,
            ratio,
            spread,
            seen: Seen::of(ratio, spread),
        }
    }

    /// Both figures, for people: `17.5 µs, now 35 µs`.
    pub(super) fn both(&self) -> String {
        let show = |us: Option<f64>| us.map_or_else(|| "none".to_owned(), show_us);
        format!("{}, now {}", show(self.base_us), show(self.other_us))
    }
}

/// `None` where it is no number.
fn ratio(other: f64, base: f64) -> Option<f64> {
    // What takes no time on either side takes the same.
    if other == base {
        return Some(1.0);
    }
    Some(other / base).filter(|ratio| ratio.is_finite())
}

/// From the best of the one to the worst of the other, and the other way round.
fn range(base: Spread, other: Spread, over: Over) -> Option<Range> {
    let least = ratio(other.least, base.most)?;
    let most = ratio(other.most, base.least)?;
    Some(Range { least, most, over })
}

fn within_the_run(base: &Row, other: &Row) -> Option<Range> {
    let (base, other) = (Spread::of(parts(base)?)?, Spread::of(parts(other)?)?);
    range(base, other, Over::WithinTheRun)
}

/// What an operation took in each of some equal parts of a row's time; `None` where that cannot be told.
fn parts(row: &Row) -> Option<Vec<f64>> {
    let over_time = &row.over_time;
    // The last slot may have been cut short.
    let slots = (row.wall_s / over_time.slot_s).floor();
    if slots.is_nan() || slots < 1.0 || over_time.completed.is_empty() {
        return None;
    }
    let slots = (slots as usize).min(over_time.completed.len());
    let completed = &over_time.completed[..slots];
    let all = completed.iter().copied().fold(0, u64::saturating_add);
    if (all as f64) < row.completed as f64 * COVERED_FROM {
        return None;
    }
    let enough = (all / OPERATIONS_MIN).min(PARTS as u64) as usize;
    if enough < PARTS_MIN {
        return None;
    }
    let slots_each = slots.div_ceil(enough);
    let part_us = slots_each as f64 * over_time.slot_s * 1e6;
    let parts: Vec<f64> = completed
        .chunks_exact(slots_each)
        .map(|part| part.iter().copied().fold(0, u64::saturating_add))
        // Where nothing was done, one took at least that long.
        .map(|done| part_us / done.max(1) as f64)
        .collect();
    (parts.len() >= PARTS_MIN).then_some(parts)
}

/// A figure over all rows that have it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Overall {
    pub(super) figure: Figure,
    pub(super) rows: usize,
    pub(super) geometric_mean: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Overall {
    /// Of ratios; `None` of none.
    pub(super) fn of(figure: Figure, ratios: &[f64]) -> Option<Overall> {
        let spread = Spread::of(ratios.to_vec())?;
        let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        Some(Overall {
            figure,
            rows: ratios.len(),
            geometric_mean: (logs / ratios.len() as f64).exp(),
            least: spread.least,
            most: spread.most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_depends_on_the_spread() {
        let over = Over::Repeats;
        let seen = |ratio: f64, spread: Option<(f64, f64)>| {
            let range = spread.map(|(least, most)| Range { least, most, over });
            Measured::of(Some(10.0), Some(10.0 * ratio), range).seen
        };
        assert_eq!(seen(1.2, Some((0.99, 1.3))), Seen::NoDifference);
        assert_eq!(seen(1.2, Some((1.01, 1.3))), Seen::Slower);
        assert_eq!(seen(0.8, Some((0.7, 0.9))), Seen::Faster);
        assert_eq!(seen(1.0, None), Seen::Same);
        assert_eq!(seen(1.2, None), Seen::SlowerUnsure);
        assert_eq!(seen(0.8, None), Seen::FasterUnsure);
        let none = Measured::of(Some(0.0), Some(1.0), None);
        assert_eq!((none.ratio, none.seen), (None, Seen::CannotBeTold));
        assert_eq!(Measured::of(Some(0.0), Some(0.0), None).ratio, Some(1.0));
    }

    #[test]
    fn the_mean_of_ratios_is_the_geometric_one() {
        let overall = Overall::of(Figure::Time, &[0.5, 2.0]).expect("two");
        assert!((overall.geometric_mean - 1.0).abs() < 1e-12);
        assert_eq!((overall.least, overall.most, overall.rows), (0.5, 2.0, 2));
        assert_eq!(Overall::of(Figure::Time, &[]), None);
    }
}
