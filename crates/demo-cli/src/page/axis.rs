//! The axes of a chart: what range they have, and which of their places are labelled.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

use super::chart::RIGHT;
use super::html;

/// How wide a character of a label is at most, in the chart's pixels.
const CHARACTER: f64 = 8.2;
/// Between two labels beside each other.
const GAP: f64 = 12.0;
/// From one label to the one above it.
const LINE: f64 = 24.0;
/// Times below a picosecond and above a year are drawn at the edge.
const LOG_MIN: f64 = 1e-6;
const LOG_MAX: f64 = 1e15;

/// Which way an axis runs, and how long it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Along {
    X(f64),
    Y(f64),
}

/// An axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// With its unit.
    pub(super) name: String,
    /// Where it begins and ends, as places.
    pub(super) range: (f64, f64),
    /// The places that have labels.
    pub(super) ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// From nought to the highest of `values`.
    pub(super) fn linear(
        name: &str,
        values: impl Iterator<Item = f64>,
        along: Along,
        show: fn(f64) -> String,
    ) -> Axis {
        let usable = values.filter(|v| v.is_finite() && *v > 0.0);
        let most = usable.fold(0.0, f64::max).min(1e300);
        let most = if most > 1e-12 { most * 1.06 } else { 1.0 };
        let mut ticks = Vec::new();
        for step in steps(most) {
            let count = (most / step).floor() as usize;
            let places = (0..=count).map(|n| n as f64 * step);
            ticks = places.map(|at| (at, show(at))).collect();
            if fits(&ticks, (0.0, most), along) {
                break;
            }
        }
        trim(&mut ticks, (0.0, most), along);
        Axis {
            name: name.to_owned(),
            range: (0.0, most),
            ticks,
            log: false,
        }
    }

    /// Logarithmic, around `values`.
    pub(super) fn log(
        name: &str,
        values: impl Iterator<Item = f64>,
        along: Along,
        show: fn(f64) -> String,
    ) -> Axis {
        let (lo, hi) = log_range(values, 1.12);
        let mut ticks = Vec::new();
        for (mantissas, every) in MANTISSAS {
            ticks.clear();
            for exponent in lo.floor() as i32..=hi.ceil() as i32 {
                if exponent.rem_euclid(every) != 0 {
                    continue;
                }
                for mantissa in mantissas {
                    let value = mantissa * 10f64.powi(exponent);
                    let at = value.log10();
                    if (lo..=hi).contains(&at) {
                        ticks.push((at, show(value)));
                    }
                }
            }
            if fits(&ticks, (lo, hi), along) {
                break;
            }
        }
        trim(&mut ticks, (lo, hi), along);
        Axis {
            name: name.to_owned(),
            range: (lo, hi),
            ticks,
            log: true,
        }
    }

    /// Logarithmic, labelled at `values` where there is room.
    pub(super) fn log_at(name: &str, values: &[f64], also: Option<f64>, length: f64) -> Axis {
        let all = values.iter().copied().chain(also);
        let range = log_range(all, 1.25);
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in values {
            ticks.push((place(*value), short_count(*value)));
            if !fits(&ticks, range, Along::X(length)) {
                ticks.pop();
            }
        }
        Axis {
            name: name.to_owned(),
            range,
            ticks,
            log: true,
        }
    }

    /// A place for each of so many things, of width 1.
    pub(super) fn named(name: &str, labels: &[String]) -> Axis {
        let ticks = labels.iter().enumerate();
        Axis {
            name: name.to_owned(),
            range: (0.0, labels.len().max(1) as f64),
            ticks: ticks
                .map(|(n, label)| (n as f64 + 0.5, html::plain(label)))
                .collect(),
            log: false,
        }
    }

    /// With places that are known.
    pub(super) fn fixed(name: &str, range: (f64, f64), ticks: Vec<(f64, String)>) -> Axis {
        Axis {
            name: name.to_owned(),
            range,
            ticks,
            log: false,
        }
    }

    /// The place of a value; within the axis, whatever it is.
    pub(super) fn at(&self, value: f64) -> f64 {
        let at = if self.log { place(value) } else { value };
        let at = if at.is_nan() { self.range.0 } else { at };
        at.clamp(self.range.0, self.range.1)
    }

    /// What is written at a place.
    fn label(&self, at: f64) -> String {
        let here = self.ticks.iter().find(|(tick, _)| (tick - at).abs() < 1e-9);
        here.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// As plotters' coordinates, of places: with labels that are ours.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, at: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(at, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(at, _)| *at).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, at: &f64) -> String {
        self.label(*at)
    }
}

/// Which numbers of each so many-th power of ten are labelled, from many to few.
const MANTISSAS: [(&[f64], i32); 9] = [
    (&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0], 1),
    (&[1.0, 2.0, 3.0, 5.0], 1),
    (&[1.0, 2.0, 5.0], 1),
    (&[1.0, 3.0], 1),
    (&[1.0], 1),
    (&[1.0], 2),
    (&[1.0], 3),
    (&[1.0], 6),
    (&[1.0], 12),
];

/// The steps that an axis up to `most` may have, from short to long.
fn steps(most: f64) -> impl Iterator<Item = f64> {
    let power = 10f64.powf((most / 10.0).log10().floor());
    let factors = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0];
    factors.into_iter().map(move |factor| factor * power)
}

/// The places from the lowest to the highest value, so far apart that there is something to see.
fn log_range(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|v| v.is_finite() && *v > 0.0) {
        (lo, hi) = (lo.min(place(value)), hi.max(place(value)));
    }
    if lo > hi {
        (lo, hi) = (0.0, 1.0);
    }
    let short = (4f64.log10() - (hi - lo)).max(0.0) / 2.0;
    let margin = margin.log10();
    (lo - short - margin, hi + short + margin)
}

fn place(value: f64) -> f64 {
    value.clamp(LOG_MIN, LOG_MAX).log10()
}

fn width(label: &str) -> f64 {
    label.chars().count() as f64 * CHARACTER
}

/// Whether labels are clear of each other.
fn fits(ticks: &[(f64, String)], range: (f64, f64), along: Along) -> bool {
    let span = (range.1 - range.0).max(f64::MIN_POSITIVE);
    ticks.windows(2).all(|two| {
        let apart = (two[1].0 - two[0].0) / span;
        match along {
            Along::X(length) => {
                apart * length >= f64::midpoint(width(&two[0].1), width(&two[1].1)) + GAP
            }
            Along::Y(length) => apart * length >= LINE,
        }
    })
}

/// Takes the last label away if it would reach beyond the chart.
fn trim(ticks: &mut Vec<(f64, String)>, range: (f64, f64), along: Along) {
    if let (Along::X(length), Some((at, label))) = (along, ticks.last()) {
        let room = (range.1 - at) / (range.1 - range.0) * length + f64::from(RIGHT);
        if width(label) / 2.0 > room {
            ticks.pop();
        }
    }
}

/// A number of jobs where there is little room: `512`, `100 k`.
fn short_count(number: f64) -> String {
    crate::human::show_number(number).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::show_us;

    const EXTREMES: [f64; 10] = [
        0.0,
        f64::MIN_POSITIVE,
        -1.0,
        1e-300,
        1e-9,
        1.0,
        1e300,
        f64::MAX,
        f64::NAN,
        f64::INFINITY,
    ];

    #[test]
    fn any_values_make_an_axis_whose_labels_are_clear_of_each_other() {
        for a in EXTREMES {
            for b in EXTREMES {
                for along in [Along::X(380.0), Along::Y(220.0)] {
                    let log = Axis::log("t", [a, b].into_iter(), along, show_us);
                    let linear = Axis::linear("t", [a, b].into_iter(), along, show_us);
                    for axis in [log, linear] {
                        let (from, to) = axis.range;
                        assert!(from.is_finite() && to.is_finite() && from < to, "{a} {b}");
                        assert!(fits(&axis.ticks, axis.range, along), "{a} {b}: {axis:?}");
                        assert!(!axis.ticks.is_empty(), "{a} {b}: {axis:?}");
                        let mut trimmed = axis.ticks.clone();
                        trim(&mut trimmed, axis.range, along);
                        assert_eq!(trimmed, axis.ticks, "{a} {b}");
                        for value in EXTREMES {
                            assert!((from..=to).contains(&axis.at(value)), "{value}");
                        }
                    }
                }
                let at = Axis::log_at("jobs", &[a, b], Some(b), 380.0);
                assert!(fits(&at.ticks, at.range, Along::X(380.0)), "{a} {b}");
            }
        }
        assert!(!Axis::named("", &[]).range.1.is_nan());
    }

    #[test]
    fn jobs_are_labelled_while_there_is_room() {
        let jobs = [1.0, 8.0, 64.0, 512.0];
        let axis = Axis::log_at("jobs", &jobs, None, 380.0);
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, l)| l.as_str()).collect();
        assert_eq!(labels, ["1", "8", "64", "512"]);
        let many: Vec<f64> = (1..=100).map(f64::from).collect();
        let axis = Axis::log_at("jobs", &many, None, 380.0);
        assert!((5..30).contains(&axis.ticks.len()), "{:?}", axis.ticks);
    }
}
