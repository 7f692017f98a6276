//! Results of `simulate`, compared.

use std::collections::BTreeMap;

use super::figures::{Figure, Measured};
use super::outcome::{Change, Compared, Pair, Repeats, Verified, overall};
use super::source::Named;
use crate::human::printable;
use crate::simulate::Campaign;
use crate::units::show_count;

/// The name of the only row.
const NAME: &str = "simulate";

/// One result with another.
pub(super) fn compared(base: &Named<Campaign>, other: &Named<Campaign>) -> Compared {
    let (a, b) = (&base.what, &other.what);
    let figures = Figure::OF_CAMPAIGNS.map(|figure| {
        let measured = Measured::of(time_us(a, figure), time_us(b, figure), None);
        (figure, measured)
    });
    let pair = Pair {
        name: NAME.to_owned(),
        row: BTreeMap::from([
            ("device", printable(&a.device).into()),
            ("jobs", a.jobs.into()),
            ("total", a.total.into()),
        ]),
        cells: vec![printable(&a.device)],
        repeats: Repeats { base: 1, other: 1 },
        judged_by: vec![Figure::Seed],
        // A seed that has passed is one in which every result was looked at.
        verified: Verified {
            base: a.failure.is_none(),
            other: b.failure.is_none(),
        },
        figures: BTreeMap::from(figures),
    };
    let rows = vec![pair];
    Compared {
        file: other.name.clone(),
        warnings: Vec::new(),
        changed: changed(a, b),
        verdicts: None,
        only_in_base: Vec::new(),
        only_in_other: Vec::new(),
        overall: overall(&rows),
        rows,
        failed: Vec::new(),
        slower: 0,
    }
}

/// What it took on average.
fn time_us(campaign: &Campaign, figure: Figure) -> Option<f64> {
    let count = match figure {
        Figure::Seed => campaign.passed,
        _ => campaign.operations,
    };
    let us = campaign.seconds * 1e6 / count as f64;
    (us.is_finite() && us >= 0.0).then_some(us)
}

fn changed(base: &Campaign, other: &Campaign) -> Vec<Change> {
    let seeds = |campaign: &Campaign| {
        let ranges = campaign.seeds.iter();
        let ranges: Vec<String> = ranges
            .map(|(start, end)| format!("{start}..{end}"))
            .collect();
        ranges.join(", ")
    };
    let failure = |campaign: &Campaign| match &campaign.failure {
        None => "none".to_owned(),
        Some(failure) => format!("seed {}: {}", failure.seed, failure.problem),
    };
    let count = |number: u64| show_count(number);
    let all = [
        ("device", base.device.clone(), other.device.clone()),
        ("jobs", count(base.jobs as u64), count(other.jobs as u64)),
        ("total", count(base.total), count(other.total)),
        ("seeds", seeds(base), seeds(other)),
        ("passed", count(base.passed), count(other.passed)),
        (
            "operations",
            count(base.operations),
            count(other.operations),
        ),
        ("failure", failure(base), failure(other)),
    ];
    let differ = all.into_iter().filter(|(_, base, other)| base != other);
    differ
        .map(|(what, base, other)| Change {
            what: what.to_owned(),
            base: printable(&base),
            other: printable(&other),
        })
        .collect()
}
