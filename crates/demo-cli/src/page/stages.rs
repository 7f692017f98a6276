//! Where the time of operations goes, as stacked bars.

use crate::human::show_us;
use crate::report::{Report, Row, STAGE_NAMES};

use super::axis::{Along, Axis};
use super::chart::{ACROSS, Chart, LEFT, Mark, swatch};
use super::facet::{BUT_JOBS, BUT_WAY, By, Facet, facets, legend_of, ways};
use super::html::{self, CHARTS_MAX};
use super::theme::Paint;

/// Room for the name of a way beside its bar.
const NAMES: u32 = 96;
/// The height of a chart without its bars, and of a bar.
const FRAME: u32 = 8 + 48;
const BAR: u32 = 34;
/// Bars in a chart.
const BARS_MAX: usize = 12;

/// What each stage is.
const MEANINGS: [&str; 5] = [
    "from when it was to start until the device has taken it on: waiting for a place or for room in the ring, the host's work",
    "until an engine begins: the link, and waiting for an engine",
    "on the engine",
    "until the answer is seen: the link back, and until the host looks",
    "until its job is resumed",
];

/// The part of the page, where stages were measured.
pub(super) fn section(report: &Report) -> String {
    let measured = report.rows.iter().filter(|row| row.stages_us.is_some());
    let measured = measured.filter(|row| row.completed > 0);
    let rows: Vec<&Row> = measured.collect();
    if rows.is_empty() {
        return String::new();
    }
    // Bars beside each other are to be compared: ways of being woken, or else numbers of jobs.
    let by_way = ways(&rows).len() > 1;
    let facets = match by_way {
        true => facets(&rows, &BUT_WAY),
        false => facets(&rows, &BUT_JOBS),
    };
    let shown = facets.iter().take(CHARTS_MAX);
    let charts: Vec<String> = shown.map(|facet| chart(facet, by_way)).collect();
    let mut body = legend();
    body.push_str(&html::grid(&charts, facets.len(), "combinations"));
    let about = "The mean latency of an operation, cut into its parts in the order in which they \
                 follow each other. The longest part is what to shorten first.";
    html::section("stages", "Where the time goes", about, &body)
}

fn legend() -> String {
    let items = STAGE_NAMES.iter().zip(MEANINGS).enumerate();
    let items = items.map(|(n, (name, meaning))| {
        let meaning = html::text(meaning);
        let swatch = swatch(Paint::Stage(n as u8), None);
        (swatch, format!("<span><b>{name}</b> {meaning}</span>"))
    });
    let list = legend_of(&items.collect::<Vec<_>>());
    list.replace("class=\"legend\"", "class=\"legend lines\"")
}

fn chart(facet: &Facet<'_>, by_way: bool) -> String {
    let all = facet.rows.len();
    let rows = &facet.rows[..all.min(BARS_MAX)];
    let label = |row: &&Row| match by_way {
        true => row.notify.to_string(),
        false => By::Jobs.of(row),
    };
    let means = |row: &Row| {
        let stages = row.stages_us.map(|stages| stages.in_order());
        stages.map_or([0.0; 5], |stages| stages.map(|stage| stage.mean.max(0.0)))
    };
    let totals = rows.iter().map(|row| means(row).iter().sum::<f64>());
    // From the top down.
    let labels: Vec<String> = rows.iter().rev().map(label).collect();
    let left = match by_way {
        true => NAMES,
        false => LEFT + 10,
    };
    let across = ACROSS - f64::from(left - LEFT);
    let x = Axis::linear("mean latency", totals, Along::X(across), show_us);
    let y = Axis::named("", &labels);
    let (mut marks, mut said) = (Vec::new(), Vec::new());
    for (n, row) in rows.iter().enumerate() {
        let bottom = (rows.len() - 1 - n) as f64;
        let mut from = 0.0;
        let means = means(row);
        for (stage, mean) in means.into_iter().enumerate() {
            let paint = Paint::Stage(stage as u8);
            if mean > 0.0 {
                let corner = (from, bottom + 0.15);
                marks.push(Mark::Bar(corner, (from + mean, bottom + 0.85), paint));
            }
            from += mean;
        }
        let parts = STAGE_NAMES.iter().zip(means);
        let parts = parts.map(|(name, mean)| format!("{name} {}", show_us(mean)));
        said.push(format!(
            "{}: {}",
            label(row),
            parts.collect::<Vec<_>>().join(", ")
        ));
    }
    let says = format!("Stages, {}. {}", facet.name, said.join("; "));
    let chart = Chart {
        height: FRAME + BAR * rows.len() as u32,
        left,
        ..Chart::new(says, x, y)
    };
    let note = match all > rows.len() {
        true => format!("The first {BARS_MAX} of {all}."),
        false => String::new(),
    };
    html::figure(&html::text(&facet.name), &chart.draw(&marks), &note)
}
