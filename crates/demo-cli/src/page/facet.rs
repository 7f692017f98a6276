//! Rows put together: those of one chart, and what tells a chart from the next.

use crate::report::{Report, Row, size_with_unit};
use crate::units::show_count;

use super::chart::swatch;
use super::html;
use super::theme::way;

/// What rows may differ in, but for the way of being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Size,
    Jobs,
    Completion,
    Runtime,
    Load,
}

/// What rows of one chart of curves over the jobs have in common.
pub(super) const BUT_JOBS: [By; 4] = [By::Size, By::Completion, By::Runtime, By::Load];
/// What rows have in common that differ in the way of being woken only.
pub(super) const BUT_WAY: [By; 5] = [By::Size, By::Jobs, By::Completion, By::Runtime, By::Load];

impl By {
    /// In words, for the name of a chart.
    pub(super) fn of(self, row: &Row) -> String {
        match self {
            By::Size => size_with_unit(row.size_bytes),
            By::Jobs => jobs(row.jobs),
            By::Completion => format!("completed by {}", row.completion),
            By::Runtime => match &*row.runtime {
                "ours" => "our jobs".to_owned(),
                other => format!("jobs of {other}"),
            },
            By::Load => match row.rate_per_s {
                Some(rate) => format!("open loop of {}", crate::human::show_rate(rate)),
                None => format!("{} loop", row.load),
            },
        }
    }
}

/// `1 job`, `64 jobs`.
pub(super) fn jobs(jobs: usize) -> String {
    match jobs {
        1 => "1 job".to_owned(),
        n => format!("{} jobs", show_count(n as u64)),
    }
}

/// Rows with the same of everything that they were put together by.
#[derive(Debug)]
pub(super) struct Facet<'a> {
    /// What they have in common and others have not.
    pub(super) name: String,
    pub(super) rows: Vec<&'a Row>,
}

/// What of `by` the rows differ in.
fn differing(rows: &[&Row], by: &[By]) -> Vec<By> {
    let differs = |by: &By| {
        let mut values = rows.iter().map(|row| by.of(row));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    by.iter().copied().filter(differs).collect()
}

fn name(row: &Row, by: &[By]) -> String {
    let parts = by.iter().map(|by| by.of(row));
    parts.collect::<Vec<_>>().join(", ")
}

/// The rows by what they have in common, in the order in which they were run; of a facet, by the way of
/// being woken first.
pub(super) fn facets<'a>(rows: &[&'a Row], by: &[By]) -> Vec<Facet<'a>> {
    let mut told_by = differing(rows, by);
    if told_by.is_empty() {
        told_by.push(By::Size);
    }
    let ways = ways(rows);
    let mut facets: Vec<Facet<'a>> = Vec::new();
    // Names are all that is looked at: rows are few hundred, kinds of names a handful.
    for row in rows {
        let name = name(row, &told_by);
        match facets.iter_mut().find(|facet| facet.name == name) {
            Some(facet) => facet.rows.push(row),
            None => facets.push(Facet {
                name,
                rows: vec![row],
            }),
        }
    }
    for facet in &mut facets {
        let rank = |row: &&Row| ways.iter().position(|way| *way == row.notify);
        facet.rows.sort_by_key(rank);
    }
    facets
}

/// Charts whose highest values are not further apart than this have the same axis.
const ALIKE_MOST: f64 = 3.0;

/// The values that the axes of charts beside each other are to have in common, so that they can be
/// compared: all, or none where that would make some charts flat.
pub(super) fn shared(facets: &[Facet<'_>], of: fn(&Row) -> Option<f64>) -> Vec<f64> {
    let highest = |facet: &Facet<'_>| {
        let values = facet.rows.iter().filter_map(|row| of(row));
        values.fold(0.0, f64::max)
    };
    let highest: Vec<f64> = facets.iter().map(highest).collect();
    let most = highest.iter().copied().fold(0.0, f64::max);
    match highest.iter().all(|high| high * ALIKE_MOST >= most) {
        true => highest,
        false => Vec::new(),
    }
}

/// What tells rows from the others of a report.
pub(super) struct Names {
    by: Vec<By>,
}

impl Names {
    pub(super) fn new(report: &Report) -> Names {
        let rows: Vec<&Row> = report.rows.iter().collect();
        Names {
            by: differing(&rows, &BUT_WAY),
        }
    }

    /// A row in words.
    pub(super) fn of(&self, row: &Row) -> String {
        match self.by.is_empty() {
            true => row.notify.to_string(),
            false => format!("{}, {}", row.notify, name(row, &self.by)),
        }
    }
}

/// The ways of being woken that there are rows of: those that are compared most, first.
pub(super) fn ways<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    let mut ways: Vec<&str> = Vec::new();
    for row in rows {
        if !ways.contains(&&*row.notify) {
            ways.push(&row.notify);
        }
    }
    let known = ["callback", "fd", "shared-fd", "poll"];
    ways.sort_by_key(|way| known.iter().position(|k| k == way).unwrap_or(known.len()));
    ways
}

/// What line is which way of being woken.
pub(super) fn legend(ways: &[&str]) -> String {
    let items = ways.iter().map(|name| {
        let (paint, shape) = way(name);
        (swatch(paint, Some(shape)), html::text(name))
    });
    legend_of(&items.collect::<Vec<_>>())
}

/// What is what: swatches, and their names as HTML.
pub(super) fn legend_of(items: &[(String, String)]) -> String {
    let items = items
        .iter()
        .map(|(swatch, name)| format!("<li>{swatch}{name}</li>"));
    format!("<ul class=\"legend\">{}</ul>\n", items.collect::<String>())
}
