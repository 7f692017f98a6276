//! Callback and fd side by side; of other runs, the first two ways of being woken that there are.

use crate::human::{show_number, show_rate, show_us};
use crate::report::{Report, Row};

use super::axis::{Along, Axis};
use super::chart::{Chart, Mark, UP};
use super::facet::{self, BUT_JOBS, BUT_WAY, By, Facet, facets, legend, shared, ways};
use super::html::{self, CHARTS_MAX};
use super::theme::way;

/// Latencies that differ by more than this are drawn on a log scale.
const LINEAR_MOST: f64 = 20.0;
/// Groups of bars in a chart.
const GROUPS_MAX: usize = 8;
/// Lines of the table of ratios.
const LINES_MAX: usize = 100;

/// A figure that there is a chart and a ratio of.
struct Figure {
    heading: &'static str,
    name: &'static str,
    of: fn(&Row) -> Option<f64>,
    show: fn(f64) -> String,
    is_latency: bool,
}

const FIGURES: [Figure; 3] = [
    Figure {
        heading: "Throughput",
        name: "operations a second",
        of: |row| (row.completed > 0).then_some(row.ops_per_s),
        show: show_rate,
        is_latency: false,
    },
    Figure {
        heading: "Median latency (p50)",
        name: "latency, p50",
        of: |row| (row.completed > 0).then_some(row.latency_us.p50),
        show: show_us,
        is_latency: true,
    },
    Figure {
        heading: "99th percentile of the latency (p99)",
        name: "latency, p99",
        of: |row| row.latency_us.p99,
        show: show_us,
        is_latency: true,
    },
];

/// Two rows that differ in the way of being woken only.
struct Pair<'a> {
    name: String,
    rows: [&'a Row; 2],
}

/// The part of the page, where there are two ways at least.
pub(super) fn section(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows.iter().collect();
    let [a, b, ..] = ways(&rows)[..] else {
        return String::new();
    };
    let two: Vec<&Row> = rows
        .into_iter()
        .filter(|row| row.notify == a || row.notify == b)
        .collect();
    let pairs = pairs(&two, a, b);
    if pairs.is_empty() {
        return String::new();
    }
    let (a, b) = (html::text(a), html::text(b));
    let mut body = legend(&ways(&two));
    let all = facets(&two, &BUT_JOBS);
    let shown = &all[..all.len().min(CHARTS_MAX)];
    let of = |figure: &Figure, facet: &Facet<'_>| {
        let name = match shown.len() {
            1 => figure.name,
            _ => &facet.name,
        };
        chart(name, &facet.rows, figure, &shared(shown, figure.of))
    };
    if let [facet] = shown {
        let charts = FIGURES.iter().filter_map(|figure| of(figure, facet));
        body.push_str(&html::grid(&charts.collect::<Vec<_>>(), 0, ""));
    } else {
        for figure in &FIGURES {
            let charts = shown.iter().filter_map(|facet| of(figure, facet));
            let charts: Vec<String> = charts.collect();
            if !charts.is_empty() {
                let more = all.len() - shown.len();
                body.push_str(&format!("<h3>{}</h3>\n", figure.heading));
                body.push_str(&html::grid(&charts, charts.len() + more, "combinations"));
            }
        }
    }
    body.push_str(&ratios(&pairs, &a, &b));
    let about = "The same load, told in two ways that an operation is done. Higher is better for \
                 operations a second, lower for latencies; a ratio of 1.00 is no difference, and a few \
                 hundredths of one run are chance.";
    html::section("pair", &format!("{a} against {b}"), about, &body)
}

fn pairs<'a>(rows: &[&'a Row], a: &str, b: &str) -> Vec<Pair<'a>> {
    let pair = |facet: facet::Facet<'a>| {
        let of = |way: &str| facet.rows.iter().copied().find(|row| row.notify == way);
        Some(Pair {
            rows: [of(a)?, of(b)?],
            name: facet.name,
        })
    };
    facets(rows, &BUT_WAY)
        .into_iter()
        .filter_map(pair)
        .collect()
}

fn chart(name: &str, rows: &[&Row], figure: &Figure, also: &[f64]) -> Option<String> {
    let mut jobs: Vec<usize> = rows.iter().map(|row| row.jobs).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let all = jobs.len();
    jobs.truncate(GROUPS_MAX);
    let ways = ways(rows);
    let drawn = rows.iter().filter(|row| jobs.contains(&row.jobs));
    let mut values: Vec<f64> = drawn.filter_map(|row| (figure.of)(row)).collect();
    if values.is_empty() {
        return None;
    }
    values.extend(also);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let is_log = figure.is_latency && most > least * LINEAR_MOST;
    let show = if figure.is_latency {
        show_us
    } else {
        |number| show_number(number).trim_end().to_owned()
    };
    let values = values.into_iter();
    let y = match is_log {
        // From below the lowest, so that its bar has a height too.
        true => Axis::log(
            &format!("{} (log scale)", figure.name),
            values.chain([least / 2.0]),
            Along::Y(UP),
            show,
        ),
        false => Axis::linear(figure.name, values, Along::Y(UP), show),
    };
    let labels: Vec<String> = jobs.iter().map(|n| n.to_string()).collect();
    let x = Axis::named("jobs in flight", &labels);
    let width = 0.8 / ways.len() as f64;
    let (mut marks, mut said) = (Vec::new(), Vec::new());
    for row in rows {
        let group = jobs.iter().position(|n| *n == row.jobs);
        let at = ways.iter().position(|way| *way == row.notify);
        let (Some(group), Some(at), Some(value)) = (group, at, (figure.of)(row)) else {
            continue;
        };
        let from = group as f64 + 0.1 + width * at as f64;
        let to = from + width * 0.94;
        let (paint, _) = way(&row.notify);
        marks.push(Mark::Bar((from, f64::NEG_INFINITY), (to, value), paint));
        said.push(format!(
            "{}, {}: {}",
            row.notify,
            By::Jobs.of(row),
            (figure.show)(value)
        ));
    }
    let says = format!("{} of {name}. {}", figure.name, said.join("; "));
    let note = match all > jobs.len() {
        true => format!("The first {} of {all} numbers of jobs.", jobs.len()),
        false => String::new(),
    };
    let chart = Chart::new(says, x, y).draw(&marks);
    Some(html::figure(&html::text(name), &chart, &note))
}

/// How the second compares with the first, line by line.
fn ratios(pairs: &[Pair<'_>], a: &str, b: &str) -> String {
    let ratio_of = format!("{b} ÷ {a}");
    let mut header = vec!["rows"];
    for _ in FIGURES {
        header.extend([a, b, &ratio_of]);
    }
    let groups = FIGURES.map(|figure| (figure.name, 3));
    let lines = pairs.iter().take(LINES_MAX).map(|pair| {
        let mut line = vec![html::text(&pair.name)];
        for figure in FIGURES {
            let [a, b] = pair.rows.map(figure.of);
            let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure.show);
            line.extend([show(a), show(b), ratio(a, b)]);
        }
        line
    });
    let table = html::small_table(&groups, &header, &lines.collect::<Vec<_>>());
    match pairs.len() > LINES_MAX {
        true => format!(
            "{table}<p class=\"note\">The first {LINES_MAX} of {} lines.</p>\n",
            pairs.len()
        ),
        false => table,
    }
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("<b>{:.2}</b>", b / a),
        _ => "–".to_owned(),
    }
}
