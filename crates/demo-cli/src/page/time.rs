//! How rows went: throughput, failures, retries and what befell the device.

use crate::human::{show_number, show_us};
use crate::report::{Report, Row};
use crate::units::show_count;

use super::axis::{Along, Axis};
use super::chart::{ACROSS, Chart, Mark, UP, dashed_swatch, swatch};
use super::facet::{Names, legend_of};
use super::html;
use super::theme::{Paint, Shape};

/// Rows with charts.
const ROWS_MAX: usize = 16;
/// Of them, those that are not folded.
const OPEN_MAX: usize = 4;
/// Points of a line at most.
const POINTS_MAX: usize = 256;
/// Points of a line that are marked, at most.
const DOTS_MAX: usize = 48;
/// Marks of what befell the device, of each kind.
const EVENTS_MAX: usize = 100;
/// What is drawn of a row at least: all but one part in so many.
const NEARLY_ALL: u64 = 100;
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
    let alike = alike(&drawn);
    for (n, rows) in alike.iter().enumerate() {
        if n == OPEN_MAX {
            body.push_str(&format!(
                "<details><summary>{} more rows</summary>\n",
                alike.len() - n
            ));
        }
        let own: Vec<String> = rows.iter().map(|row| names.of(row)).collect();
        let own = html::text(&own.join("; "));
        let charts = html::grid(&charts(rows[0]), 0, "");
        body.push_str(&format!("<h3>{own}</h3>\n{charts}"));
    }
    if alike.len() > OPEN_MAX {
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

/// Rows that went the same way, as the ways of being woken do on a virtual clock.
fn alike<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut alike: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let same = |other: &Vec<&Row>| {
            let (a, b) = (&row.over_time, &other[0].over_time);
            (&a.completed, &a.failed, &a.retries) == (&b.completed, &b.failed, &b.retries)
                && row.device_events == other[0].device_events
        };
        match alike.iter_mut().find(|other| same(other)) {
            Some(other) => other.push(row),
            None => alike.push(vec![row]),
        }
    }
    alike
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
    let until_s = until(row);
    shown
        .map(|(_, counted)| chart(row, until_s, &counted))
        .collect()
}

/// Up to when a row is drawn, in seconds. A time-out can keep it going long after all else is done.
fn until(row: &Row) -> f64 {
    let over = &row.over_time;
    let slots = over.completed.len();
    let mut until = 0;
    for counts in [&over.completed, &over.failed, &over.retries] {
        let all: u64 = counts.iter().fold(0, |sum, n| sum.saturating_add(*n));
        let (mut seen, mut at) = (0_u64, 0);
        while at < counts.len() && seen < all - all / NEARLY_ALL {
            seen = seen.saturating_add(counts[at]);
            at += 1;
        }
        until = until.max(at);
    }
    let events = row.device_events.iter().map(|event| event.at_s);
    let until = events.fold(until as f64 * over.slot_s, f64::max);
    let whole = slots as f64 * over.slot_s;
    match until < whole / 2.0 {
        true => until * 1.1,
        false => whole,
    }
}

fn chart(row: &Row, until_s: f64, counted: &Counted<'_>) -> String {
    let slot_s = row.over_time.slot_s;
    let seconds = |s: f64| show_us(s * 1e6);
    let ends = counted.counts.len() as f64 * slot_s;
    let is_cut = until_s > 0.0 && until_s < ends;
    let shown = match is_cut {
        true => ((until_s / slot_s).ceil() as usize).min(counted.counts.len()),
        false => counted.counts.len(),
    };
    let points = rates(slot_s, &counted.counts[..shown]);
    let last = points.iter().map(|(s, _)| *s);
    let last = last.chain([until_s]);
    let x = Axis::linear("time since the row began", last, Along::X(ACROSS), seconds);
    let number = |number| show_number(number).trim_end().to_owned();
    let rates = points.iter().map(|(_, rate)| *rate);
    let y = Axis::linear(counted.name, rates, Along::Y(UP), number);
    let mut marks = Vec::new();
    for (what, paint) in EVENTS {
        let own = row.device_events.iter();
        for event in own.filter(|event| event.what == what).take(EVENTS_MAX) {
            marks.push(Mark::Dashed(
                (event.at_s, 0.0),
                (event.at_s, f64::MAX),
                paint,
            ));
        }
    }
    if points.len() <= DOTS_MAX {
        marks.push(Mark::Points(points.clone(), counted.paint, Shape::Circle));
    }
    marks.push(Mark::Line(points, counted.paint));
    let sum = |counts: &[u64]| counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let name = format!(
        "{}: {} in all",
        counted.name,
        show_count(sum(counted.counts))
    );
    let note = match is_cut {
        true => format!(
            "Drawn up to {} of {}: {} after that.",
            seconds(until_s),
            seconds(ends),
            show_count(sum(&counted.counts[shown..]))
        ),
        false => String::new(),
    };
    let says = format!("{name}, over time. {note}");
    html::figure(&name, &Chart::new(says, x, y).draw(&marks), &note)
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
