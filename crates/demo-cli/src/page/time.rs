//! How rows went: throughput, failures, retries and what befell the device.

use crate::human::{show_number, show_us};
use crate::report::{OverTime, Report, Row};
use crate::units::show_count;

use super::axis::{Along, Axis};
use super::chart::{ACROSS, Chart, Mark, UP, dashed_swatch, swatch};
use super::facet::{Names, legend_of};
use super::html;
use super::theme::{Paint, Shape};

/// Rows with charts.
const ROWS_MAX: usize = 16;
/// Points of a line at most.
const POINTS_MAX: usize = 256;
/// Marks of what befell the device, of each kind.
const EVENTS_MAX: usize = 100;
/// Lines of the table of failures.
const LINES_MAX: usize = 100;

const EVENTS: [(&str, Paint); 3] = [
    ("died", Paint::Bad),
    ("found dead", Paint::Warn),
    ("restarted", Paint::Good),
];

/// The part of the page.
pub(super) fn section(report: &Report) -> String {
    let heading = "Faults and retries over time";
    if report.rows.is_empty() {
        return String::new();
    }
    let has = |row: &&Row| row.failed > 0 || row.retries > 0 || !row.device_events.is_empty();
    let rows: Vec<&Row> = report.rows.iter().filter(has).collect();
    if rows.is_empty() {
        let said =
            "No operation failed, no submission met a full ring, and nothing befell the device.";
        return html::section("time", heading, said, "");
    }
    let names = Names::new(report);
    // What failed says more than what waited.
    let mut drawn = rows.clone();
    drawn.sort_by_key(|row| row.device_events.is_empty() && row.failed == 0);
    drawn.truncate(ROWS_MAX);
    let mut body = legend(&drawn);
    for (n, row) in drawn.iter().enumerate() {
        if n == 4 {
            body.push_str(&format!(
                "<details><summary>{} more rows</summary>\n",
                drawn.len() - n
            ));
        }
        let name = html::text(&names.of(row));
        body.push_str(&format!(
            "<h3>{name}</h3>\n{}",
            html::grid(&charts(row), 0, "")
        ));
    }
    if drawn.len() > 4 {
        body.push_str("</details>\n");
    }
    if rows.len() > drawn.len() {
        body.push_str(&format!(
            "<p class=\"note\">{} of {} such rows are drawn, those with failures first; the figures \
             of all are in the table.</p>\n",
            drawn.len(),
            rows.len()
        ));
    }
    body.push_str(&failures(&names, &rows));
    let about = "Only rows in which something failed, had to wait for room in a full ring, or befell \
                 the device. A dip in the throughput below a mark is what it cost.";
    html::section("time", heading, about, &body)
}

fn legend(rows: &[&Row]) -> String {
    let line = |paint, name: &str| (swatch(paint, Some(Shape::Circle)), name.to_owned());
    let mut items = vec![line(Paint::Series(0), "operations completed")];
    if rows.iter().any(|row| row.failed > 0) {
        items.push(line(Paint::Bad, "operations failed"));
    }
    if rows.iter().any(|row| row.retries > 0) {
        items.push(line(Paint::Warn, "submissions that met a full ring"));
    }
    for (what, paint) in EVENTS {
        let seen = |row: &&Row| row.device_events.iter().any(|event| event.what == what);
        if rows.iter().any(seen) {
            items.push((dashed_swatch(paint), format!("an endpoint {what}")));
        }
    }
    legend_of(&items)
}

/// Something counted in each slot.
struct Counted<'a> {
    name: &'static str,
    counts: &'a [u64],
    paint: Paint,
}

fn charts(row: &Row) -> Vec<String> {
    let over = &row.over_time;
    let counted = [
        Counted {
            name: "completed a second",
            counts: &over.completed,
            paint: Paint::Series(0),
        },
        Counted {
            name: "failed a second",
            counts: &over.failed,
            paint: Paint::Bad,
        },
        Counted {
            name: "full rings met a second",
            counts: &over.retries,
            paint: Paint::Warn,
        },
    ];
    let some = |counted: &Counted<'_>| counted.counts.iter().any(|n| *n > 0);
    let shown = counted.into_iter().enumerate();
    let shown = shown.filter(|(n, counted)| *n == 0 || some(counted));
    shown
        .map(|(_, counted)| chart(row, over, &counted))
        .collect()
}

fn chart(row: &Row, over: &OverTime, counted: &Counted<'_>) -> String {
    let points = rates(over.slot_s, counted.counts);
    let events = row.device_events.iter();
    let last = points.iter().map(|(s, _)| *s);
    let last = last.chain(events.map(|event| event.at_s));
    let seconds = |s: f64| show_us(s * 1e6);
    let x = Axis::linear("time since the row began", last, Along::X(ACROSS), seconds);
    let number = |number| show_number(number).trim_end().to_owned();
    let rates = points.iter().map(|(_, rate)| *rate);
    let y = Axis::linear(counted.name, rates, Along::Y(UP), number);
    let mut marks = Vec::new();
    for (what, paint) in EVENTS {
        let own = row.device_events.iter().filter(|event| event.what == what);
        for event in own.take(EVENTS_MAX) {
            marks.push(Mark::Dashed(
                (event.at_s, 0.0),
                (event.at_s, f64::MAX),
                paint,
            ));
        }
    }
    marks.push(Mark::Line(points, counted.paint));
    let total = counted
        .counts
        .iter()
        .fold(0_u64, |sum, n| sum.saturating_add(*n));
    let says = format!("{} over time: {} in all", counted.name, show_count(total));
    let name = format!("{}: {} in all", counted.name, show_count(total));
    html::figure(&name, &Chart::new(says, x, y).draw(&marks), "")
}

/// Counts of slots as rates over time, at the middle of each; of many slots several are one point.
fn rates(slot_s: f64, counts: &[u64]) -> Vec<(f64, f64)> {
    if !slot_s.is_finite() || slot_s <= 0.0 {
        return Vec::new();
    }
    let together = counts.len().div_ceil(POINTS_MAX).max(1);
    let points = counts.chunks(together).enumerate().map(|(n, some)| {
        let sum = some.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let middle = (n * together) as f64 + some.len() as f64 / 2.0;
        (middle * slot_s, sum as f64 / (some.len() as f64 * slot_s))
    });
    points.collect()
}

/// What failed, by kind.
fn failures(names: &Names, rows: &[&Row]) -> String {
    let failed: Vec<&&Row> = rows.iter().filter(|row| row.failed > 0).collect();
    if failed.is_empty() {
        return "<p class=\"note\">No operation failed.</p>\n".to_owned();
    }
    let kinds = failed[0].failed_by.kinds().map(|(name, _)| name);
    let seen = |n: &usize| failed.iter().any(|row| row.failed_by.kinds()[*n].1 > 0);
    let seen: Vec<usize> = (0..kinds.len()).filter(seen).collect();
    let mut header = vec!["failed".to_owned(), "all".to_owned()];
    header.extend(seen.iter().map(|n| kinds[*n].replace('_', " ")));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let lines = failed.iter().take(LINES_MAX).map(|row| {
        let mut line = vec![html::text(&names.of(row)), show_count(row.failed)];
        line.extend(seen.iter().map(|n| show_count(row.failed_by.kinds()[*n].1)));
        line
    });
    let lines: Vec<_> = lines.collect();
    let table = html::small_table(&[], &header, &lines);
    format!("<h3>Failures by kind</h3>\n{table}")
}
