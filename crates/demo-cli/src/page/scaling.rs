//! Throughput and latency against the jobs in flight.

use crate::human::{show_number, show_rate, show_us};
use crate::report::{Report, Row};
use crate::units::show_count;

use super::axis::{Along, Axis};
use super::chart::{ACROSS, Chart, Mark, UP, dashed_swatch, swatch};
use super::facet::{self, BUT_JOBS, Facet, facets, legend_of, shared, ways};
use super::html::{self, CHARTS_MAX};
use super::theme::{Paint, way};

/// How much more a device may be able to do than it did, for its line to be in the chart.
const LIMIT_MOST: f64 = 4.0;

/// What is drawn against the jobs.
struct Figure {
    heading: &'static str,
    axis: &'static str,
    of: fn(&Row) -> Option<f64>,
    is_latency: bool,
}

const FIGURES: [Figure; 3] = [
    Figure {
        heading: "Throughput",
        axis: "operations a second",
        of: |row| Some(row.ops_per_s),
        is_latency: false,
    },
    Figure {
        heading: "Median latency (p50)",
        axis: "latency, p50 (log scale)",
        of: |row| (row.completed > 0).then_some(row.latency_us.p50),
        is_latency: true,
    },
    Figure {
        heading: "99th percentile of the latency (p99)",
        axis: "latency, p99 (log scale)",
        of: |row| row.latency_us.p99,
        is_latency: true,
    },
];

/// The part of the page.
pub(super) fn section(report: &Report) -> String {
    let heading = "Throughput and latency by jobs in flight";
    let rows: Vec<&Row> = report.rows.iter().collect();
    match jobs_of(&rows)[..] {
        [] => String::new(),
        [one] => {
            let said = format!(
                "All rows have {} in flight; give <code>--jobs</code> several numbers to see what \
                 they change.",
                facet::jobs(one)
            );
            html::section("jobs", heading, &said, "")
        }
        _ => html::section("jobs", heading, ABOUT, &charts(&rows)),
    }
}

const ABOUT: &str = "More jobs in flight give more operations a second until something is busy all \
    the time; from there on they only wait longer. Look for where a line of the throughput goes flat.";

fn charts(rows: &[&Row]) -> String {
    let facets = facets(rows, &BUT_JOBS);
    let shown = &facets[..facets.len().min(CHARTS_MAX)];
    let mut body = legend(rows);
    if let [facet] = shown {
        let charts = FIGURES.iter().filter_map(|figure| {
            let all = rows.iter().filter_map(|row| (figure.of)(row));
            chart(facet, figure, figure.heading, &all.collect::<Vec<_>>())
        });
        body.push_str(&html::grid(&charts.collect::<Vec<_>>(), 0, ""));
        return body;
    }
    for figure in &FIGURES {
        // A log scale has room for all values; a linear one may not.
        let all = match figure.is_latency {
            true => {
                let rows = shown.iter().flat_map(|facet| &facet.rows);
                rows.filter_map(|row| (figure.of)(row)).collect()
            }
            false => shared(shown, figure.of),
        };
        let charts = shown
            .iter()
            .filter_map(|facet| chart(facet, figure, &facet.name, &all));
        let charts: Vec<String> = charts.collect();
        if charts.is_empty() {
            continue;
        }
        body.push_str(&format!("<h3>{}</h3>\n", figure.heading));
        // Without latencies a facet has no chart; it is not left out for want of room.
        let all = charts.len() + facets.len() - shown.len();
        body.push_str(&html::grid(&charts, all, "combinations"));
    }
    body
}

fn legend(rows: &[&Row]) -> String {
    let mut items: Vec<(String, String)> = Vec::new();
    for name in ways(rows) {
        let (paint, shape) = way(name);
        items.push((swatch(paint, Some(shape)), html::text(name)));
    }
    if rows.iter().any(|row| row.capacity.is_some()) {
        let line = dashed_swatch(Paint::Limit);
        let what = "what the device can do (across), jobs that are enough for it (upright)";
        items.push((line, what.to_owned()));
    }
    legend_of(&items)
}

fn jobs_of(rows: &[&Row]) -> Vec<usize> {
    let mut jobs: Vec<usize> = rows.iter().map(|row| row.jobs).collect();
    jobs.sort_unstable();
    jobs.dedup();
    jobs
}

fn chart(facet: &Facet<'_>, figure: &Figure, name: &str, all: &[f64]) -> Option<String> {
    let rows = &facet.rows;
    let values = || rows.iter().filter_map(|row| (figure.of)(row));
    values().next()?;
    let jobs: Vec<f64> = jobs_of(rows).into_iter().map(|n| n as f64).collect();
    let limits = Limits::new(rows);
    let knee = limits.as_ref().and_then(|limits| limits.knee(&jobs));
    let x = Axis::log_at("jobs in flight (log scale)", &jobs, knee, ACROSS);
    let line = limits.as_ref().and_then(|limits| match figure.is_latency {
        true => None,
        false => limits.line(values().fold(0.0, f64::max)),
    });
    let y = match figure.is_latency {
        true => Axis::log(figure.axis, all.iter().copied(), Along::Y(UP), show_us),
        false => {
            let show = |number| show_number(number).trim_end().to_owned();
            let values = values().chain(line).chain(all.iter().copied());
            Axis::linear(figure.axis, values, Along::Y(UP), show)
        }
    };
    let mut marks = Vec::new();
    if let Some(line) = line {
        marks.push(Mark::Dashed((0.0, line), (f64::MAX, line), Paint::Limit));
    }
    if let Some(knee) = knee {
        marks.push(Mark::Dashed((knee, 0.0), (knee, f64::MAX), Paint::Limit));
    }
    let mut said = Vec::new();
    for name in ways(rows) {
        let own = rows.iter().filter(|row| row.notify == name);
        let points = own.filter_map(|row| Some((row.jobs as f64, (figure.of)(row)?)));
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let (Some((from, first)), Some((to, last))) = (points.first(), points.last()) {
            let show = if figure.is_latency {
                show_us
            } else {
                show_rate
            };
            said.push(format!(
                "{name}: {} with {from} jobs, {} with {to}",
                show(*first),
                show(*last)
            ));
        }
        let (paint, shape) = way(name);
        marks.push(Mark::Line(points.clone(), paint));
        marks.push(Mark::Points(points, paint, shape));
    }
    let says = format!(
        "{} of {} against jobs in flight. {}",
        figure.heading,
        facet.name,
        said.join("; ")
    );
    let chart = Chart::new(says, x, y).draw(&marks);
    let note = match (&limits, figure.is_latency) {
        (Some(limits), false) => limits.note(line.is_some()),
        _ => String::new(),
    };
    Some(html::figure(&html::text(name), &chart, &note))
}

/// What the device of a chart can do.
struct Limits {
    ops_per_s: f64,
    by_host: bool,
    jobs_enough: f64,
}

impl Limits {
    /// Of the first row that has it: the others of the chart have the same.
    fn new(rows: &[&Row]) -> Option<Limits> {
        let capacity = rows.iter().find_map(|row| row.capacity.as_ref())?;
        Some(Limits {
            ops_per_s: capacity.host_ops_per_s.unwrap_or(capacity.ops_per_s),
            by_host: capacity.host_ops_per_s.is_some(),
            jobs_enough: capacity.jobs_enough as f64,
        })
    }

    /// Where the upright line is, if it is not far from all points.
    fn knee(&self, jobs: &[f64]) -> Option<f64> {
        let (first, last) = (jobs.first()?, jobs.last()?);
        let near = *first / LIMIT_MOST..=*last * LIMIT_MOST;
        near.contains(&self.jobs_enough).then_some(self.jobs_enough)
    }

    /// Where the line across is, if the points are not flat below it.
    fn line(&self, most: f64) -> Option<f64> {
        (self.ops_per_s <= most * LIMIT_MOST).then_some(self.ops_per_s)
    }

    fn note(&self, drawn: bool) -> String {
        let who = if self.by_host { "host" } else { "device" };
        let far = match drawn {
            true => "",
            false => ", far above what is drawn",
        };
        format!(
            "The {who} can do {}{far}; {} in flight are enough for that.",
            html::text(&show_rate(self.ops_per_s)),
            match self.jobs_enough {
                1.0 => "1 job".to_owned(),
                n => format!("{} jobs", show_count(n as u64)),
            }
        )
    }
}
