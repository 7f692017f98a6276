//! How the latencies of a row are distributed.

use crate::human::show_us;
use crate::report::{Report, Row};

use super::axis::{Along, Axis};
use super::chart::{ACROSS, Chart, Mark};
use super::facet::{BUT_WAY, Facet, facets, legend, ways};
use super::html::{self, CHARTS_MAX};
use super::theme::way;

/// The percentiles that are marked.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The part of the page.
pub(super) fn section(report: &Report) -> String {
    let rows = report.rows.iter();
    let rows: Vec<&Row> = rows.filter(|row| row.completed > 0).collect();
    if rows.is_empty() {
        return String::new();
    }
    let facets = facets(&rows, &BUT_WAY);
    let charts: Vec<String> = facets.iter().take(CHARTS_MAX).map(chart).collect();
    let mut body = legend(&ways(&rows));
    body.push_str(&html::grid(&charts, facets.len(), "combinations"));
    let about = "How long operations took, from the fastest half (p50) up to the slowest in a \
                 thousand (p99.9). Further left is faster; an upright line is a latency that hardly \
                 varies, and a line that leans to the right at the top has a few slow operations.";
    html::section("latency", "Latency distributions", about, &body)
}

/// Where a share of the operations is on the upright axis: each step up, a tenth of those that are left.
fn nines(share: f64) -> f64 {
    -(1.0 - share.clamp(0.0, 1.0)).max(1e-12).log10()
}

fn percentiles(row: &Row) -> [Option<f64>; 4] {
    let latency = &row.latency_us;
    [
        Some(latency.p50),
        Some(latency.p90),
        latency.p99,
        latency.p999,
    ]
}

fn chart(facet: &Facet<'_>) -> String {
    let marked = |row: &Row| {
        let known = PERCENTILES.iter().zip(percentiles(row));
        let known = known.filter_map(|((_, share), us)| Some((us?, nines(*share))));
        known.collect::<Vec<(f64, f64)>>()
    };
    let top = facet.rows.iter().flat_map(|row| marked(row));
    let top = top.map(|(_, at)| at).fold(1.0, f64::max) + 0.35;
    let lines: Vec<_> = facet
        .rows
        .iter()
        .map(|row| curve(row, &marked(row), top))
        .collect();
    let values = lines.iter().flatten().map(|(us, _)| *us);
    let x = Axis::log("latency (log scale)", values, Along::X(ACROSS), show_us);
    let ticks = PERCENTILES
        .iter()
        .map(|(name, share)| (nines(*share), (*name).to_owned()));
    let y = Axis::fixed(
        "share of operations that were as fast",
        (0.0, top),
        ticks.filter(|(at, _)| *at <= top).collect(),
    );
    let (mut marks, mut said) = (Vec::new(), Vec::new());
    for (row, line) in facet.rows.iter().zip(lines) {
        let (paint, shape) = way(&row.notify);
        marks.push(Mark::Line(line, paint));
        marks.push(Mark::Points(marked(row), paint, shape));
        said.push(format!("{}: {}", row.notify, words(row).join(", ")));
    }
    let says = format!(
        "Distribution of the latency, {}. {}",
        facet.name,
        said.join("; ")
    );
    let chart = Chart::new(says, x, y).draw(&marks);
    html::figure(&html::text(&facet.name), &chart, &values_table(facet))
}

fn words(row: &Row) -> Vec<String> {
    let known = PERCENTILES.iter().zip(percentiles(row));
    let known = known.filter_map(|((name, _), us)| Some(format!("{name} {}", show_us(us?))));
    known.collect()
}

/// The curve of a row, through its percentiles too: the counts are coarser than they are.
fn curve(row: &Row, marked: &[(f64, f64)], top: f64) -> Vec<(f64, f64)> {
    let all: u64 = row
        .latency_counts
        .iter()
        .fold(0, |sum, (_, n)| sum.saturating_add(*n));
    let mut points = marked.to_vec();
    let mut seen = 0_u64;
    for (upto_us, count) in &row.latency_counts {
        if seen == 0 {
            // Where the first step begins: there are eight for each doubling.
            points.push((upto_us / 2f64.powf(0.125), 0.0));
        }
        seen = seen.saturating_add(*count);
        let at = nines(seen as f64 / all.max(1) as f64);
        if at > top {
            points.push((row.latency_us.max.min(*upto_us), top));
            break;
        }
        points.push((*upto_us, at));
    }
    points.retain(|(us, at)| us.is_finite() && at.is_finite());
    points.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    let mut so_far = 0.0_f64;
    for point in &mut points {
        so_far = so_far.max(point.0);
        point.0 = so_far;
    }
    points
}

/// The marked values, as numbers.
fn values_table(facet: &Facet<'_>) -> String {
    let mut table = "<span class=\"values\"><span></span>".to_owned();
    for (name, _) in PERCENTILES {
        table.push_str(&format!("<span>{name}</span>"));
    }
    for row in &facet.rows {
        table.push_str(&format!("<b>{}</b>", html::text(&row.notify)));
        for us in percentiles(row) {
            table.push_str(&format!(
                "<span>{}</span>",
                us.map_or_else(|| "–".to_owned(), show_us)
            ));
        }
    }
    table + "</span>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_a_step() {
        assert!((nines(0.9) - 1.0).abs() < 1e-9 && (nines(0.999) - 3.0).abs() < 1e-9);
        assert!(nines(0.0).abs() < 1e-9 && nines(1.0) <= 12.0 && nines(7.0) <= 12.0);
    }
}
