//! Figures over time: the newest to the right.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, RenderDirection, Sparkline};

use super::picture::{Latency, Throughput};
use super::sampler::POINT;
use super::theme::Theme;
use crate::human::{show_number, show_us};

/// Numbers left of a chart have so many columns.
const AXIS: u16 = 7;

/// Throughput as bars, with the highest and the time below.
pub(super) fn throughput(
    frame: &mut Frame<'_>,
    area: Rect,
    data: &Throughput,
    row_lasts: Option<f64>,
    theme: Theme,
) {
    if area.height < 3 || area.width < 3 * AXIS {
        return bars(frame, area, data, columns(area.width, row_lasts), theme);
    }
    let [chart, times] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    let [numbers, chart] =
        Layout::horizontal([Constraint::Length(AXIS), Constraint::Fill(1)]).areas(chart);
    let per = columns(chart.width, row_lasts);
    let top = top(data, chart.width / per);
    let mut labels = vec![Line::raw(""); chart.height.into()];
    if let [first, .., last] = &mut labels[..] {
        *first = Line::raw(show_number(top).trim_end().to_owned());
        *last = Line::raw("0");
    }
    for (line, y) in labels.into_iter().zip(numbers.y..) {
        let place = Rect {
            y,
            width: AXIS - 1,
            height: 1,
            ..numbers
        };
        frame.render_widget(line.style(theme.quiet()).alignment(Alignment::Right), place);
    }
    bars(frame, chart, data, per, theme);
    let below = Rect {
        x: chart.x,
        width: chart.width,
        ..times
    };
    time_line(frame, below, chart.width / per, theme);
}

/// How many columns a point has, so that the points of a short row fill the chart.
pub(super) fn columns(width: u16, row_lasts: Option<f64>) -> u16 {
    const MOST: f64 = 8.0;
    let points = row_lasts.map_or(f64::INFINITY, |s| s / POINT.as_secs_f64());
    (f64::from(width) / points).clamp(1.0, MOST) as u16
}

/// The bars alone, each so many columns wide.
pub(super) fn bars(frame: &mut Frame<'_>, area: Rect, data: &Throughput, per: u16, theme: Theme) {
    // So that a bar of eighths of a cell is as fine as it can be drawn.
    const STEPS: f64 = 10_000.0;
    let top = top(data, area.width / per).max(f64::MIN_POSITIVE);
    let newest_first = data.over_time.iter().rev();
    let columns = newest_first.flat_map(|rate| std::iter::repeat_n(rate, per.into()));
    let newest_first = columns.take(area.width.into());
    let bars = newest_first.map(|rate| (rate / top * STEPS) as u64);
    let sparkline = Sparkline::default()
        .data(bars)
        .max(STEPS as u64)
        .direction(RenderDirection::RightToLeft)
        .style(theme.throughput());
    frame.render_widget(sparkline, area);
}

/// The round number at or above the highest that is shown.
fn top(data: &Throughput, width: u16) -> f64 {
    let shown = data.over_time.iter().rev().take(width.into());
    round_up(shown.fold(0.0, |a: f64, b| a.max(*b)))
}

/// 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten.
fn round_up(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(number.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.iter().find(|step| *step * power >= number);
    step.unwrap_or(&10.0) * power
}

/// From how long ago to now.
fn time_line(frame: &mut Frame<'_>, area: Rect, points: u16, theme: Theme) {
    let ago = format!("−{:.0} s", f64::from(points) * POINT.as_secs_f64());
    let between = usize::from(area.width).saturating_sub(ago.chars().count() + 3);
    let line = Line::from(vec![
        Span::raw(ago),
        Span::raw(" ".repeat(between)),
        Span::raw("now"),
    ]);
    frame.render_widget(line.style(theme.quiet()), area);
}

/// The median and the 99th percentile over time, on a logarithmic scale.
pub(super) fn latencies(
    frame: &mut Frame<'_>,
    area: Rect,
    latencies: &[Option<Latency>],
    row_lasts: Option<f64>,
    theme: Theme,
) {
    if area.height < 3 || area.width < 3 * AXIS {
        return;
    }
    let [chart, times] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    let width = chart.width - AXIS - 1;
    let width = width / columns(width, row_lasts);
    // Two points of a line have room in a cell; as many as above each other in the other chart is
    // enough.
    let newest = latencies.len().saturating_sub(width.into());
    let shown = &latencies[newest..];
    let points = |of: fn(&Latency) -> f64| -> Vec<(f64, f64)> {
        let numbered = (0_u32..).zip(shown.iter().rev());
        numbered
            .filter_map(|(back, latency)| {
                let ns = latency.as_ref().map(of)?;
                Some((-f64::from(back), ns.max(1.0).log10()))
            })
            .collect()
    };
    let (p50, p99) = (points(|l| l.p50), points(|l| l.p99));
    let ys = || p50.iter().chain(&p99).map(|(_, y)| *y);
    let low = ys().fold(f64::INFINITY, f64::min);
    let high = ys().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = match low.is_finite() && high.is_finite() {
        // A little of the scale is there however even they are.
        true => (
            round_log(low - 0.1, f64::floor).max(0.0),
            round_log(high + 0.1, f64::ceil),
        ),
        false => (3.0, 6.0),
    };
    let label = |y: f64| {
        let text = format!("{:>w$}", at_scale(y), w = usize::from(AXIS - 1));
        Span::styled(text, theme.quiet())
    };
    let line = |data, style| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(style)
            .data(data)
    };
    let widget = Chart::new(vec![line(&p99, theme.p99()), line(&p50, theme.p50())])
        .x_axis(
            Axis::default()
                .bounds([-f64::from(width.max(2) - 1), 0.0])
                .style(theme.quiet()),
        )
        .y_axis(
            Axis::default()
                .bounds([low, high])
                .labels([label(low), label(f64::midpoint(low, high)), label(high)])
                .style(theme.quiet()),
        )
        .legend_position(None);
    frame.render_widget(widget, chart);
    let below = Rect {
        x: times.x + AXIS,
        width: times.width.saturating_sub(AXIS),
        ..times
    };
    time_line(frame, below, width, theme);
}

/// The logarithm of 1, 2 or 5 times a power of ten, on this side of `log`.
fn round_log(log: f64, side: fn(f64) -> f64) -> f64 {
    const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
    let power = log.floor();
    let within = 10_f64.powf(log - power);
    let up = side(0.5) > 0.5;
    let step = match up {
        true => STEPS.into_iter().find(|step| *step >= within * 0.999_999),
        false => STEPS.into_iter().rfind(|step| *step <= within * 1.000_001),
    };
    power + step.unwrap_or(1.0).log10()
}

/// A latency whose logarithm this is, short.
fn at_scale(log_ns: f64) -> String {
    // Two digits: it is a scale.
    let ns = 10_f64.powf(log_ns);
    let digit = 10_f64.powf(log_ns.floor() - 1.0);
    show_us((ns / digit).round() * digit / 1e3).replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithmic_scales_are_round() {
        for (number, below, above) in [(3.0, 2.0, 5.0), (70.0, 50.0, 100.0), (1e6, 1e6, 1e6)] {
            let of = |side: fn(f64) -> f64| 10_f64.powf(round_log(f64::log10(number), side));
            assert!((of(f64::floor) / below - 1.0).abs() < 1e-9, "{number}");
            assert!((of(f64::ceil) / above - 1.0).abs() < 1e-9, "{number}");
        }
    }

    #[test]
    fn scales_are_round() {
        for (number, expected) in [
            (0.0, 1.0),
            (7.0, 8.0),
            (33_300.0, 40_000.0),
            (100.0, 100.0),
            (0.013, 0.015),
        ] {
            let top = round_up(number);
            assert!((top / expected - 1.0).abs() < 1e-9, "{number}: {top}");
        }
    }
}
