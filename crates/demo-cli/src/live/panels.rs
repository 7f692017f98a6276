//! What is in each panel of the screen.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::charts;
use super::log::words;
use super::picture::{Engines, Kind, Picture};
use super::theme::Theme;
use crate::human::{show_rate, show_time_left, show_us, show_us_or_none};
use crate::units::show_count;

/// Labels of a panel's lines are so wide.
pub(super) const LABEL: usize = 10;

/// The program and what it runs.
pub(super) fn head(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let mut left = vec![
        Span::styled(" demo-cli ", theme.badge()),
        Span::raw("  "),
        Span::styled(picture.op.clone(), theme.strong()),
        Span::styled("  on  ", theme.quiet()),
        Span::styled(picture.on.clone(), theme.strong()),
    ];
    if let Some(runtime) = picture.runtime {
        left.push(Span::styled("  jobs of  ", theme.quiet()));
        left.push(Span::styled(runtime, theme.strong()));
    }
    let left = Line::from(left);
    let room = usize::from(area.width).saturating_sub(left.width());
    frame.render_widget(left, area);
    if let Some(model) = &picture.model {
        let text = format!(
            "model time {:.3} s, {}× as fast ",
            model.now_s,
            three(model.speed)
        );
        let line = Line::styled(text, theme.warning()).alignment(Alignment::Right);
        if line.width() < room {
            frame.render_widget(line, area);
        }
    }
}

/// How far the run has come: a line of words and a bar.
pub(super) fn position(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let at = &picture.at;
    let mut left = vec![
        Span::styled(format!(" row {} of {}", at.number, at.rows), theme.strong()),
        Span::styled(format!("  {}", at.row), theme.text()),
    ];
    let right = match at.left {
        Some(time) => format!("{} left ", show_time_left(time)),
        None => String::new(),
    };
    let [words, bar] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let right = Line::styled(right, theme.text()).alignment(Alignment::Right);
    let elapsed = format!("  {:.1} s of {} ", at.elapsed.as_secs_f64(), at.length);
    let used: usize = left.iter().map(Span::width).sum();
    if used + elapsed.len() + right.width() <= words.width.into() {
        left.push(Span::styled(elapsed, theme.quiet()));
    }
    frame.render_widget(Line::from(left), words);
    frame.render_widget(right, words);
    let bar = Rect {
        x: bar.x + 1,
        width: bar.width.saturating_sub(2),
        ..bar
    };
    frame.render_widget(thin_bar(at.part.unwrap_or(0.0), bar.width, theme), bar);
}

/// A line that is drawn up to a part of it.
fn thin_bar(part: f64, width: u16, theme: Theme) -> Line<'static> {
    let width = usize::from(width);
    let full = (part.clamp(0.0, 1.0) * width as f64).round() as usize;
    Line::from(vec![
        Span::styled("━".repeat(full), theme.throughput()),
        Span::styled("─".repeat(width - full), theme.quiet()),
    ])
}

/// The same on one line.
pub(super) fn short_position(picture: &Picture, theme: Theme) -> Line<'static> {
    let at = &picture.at;
    let left = at
        .left
        .map(|left| format!(", {} left", show_time_left(left)));
    Line::from(vec![
        Span::styled(format!("row {}/{}", at.number, at.rows), theme.strong()),
        Span::styled(
            format!(" {}{}", at.row, left.unwrap_or_default()),
            theme.quiet(),
        ),
    ])
}

/// Everything in a few lines.
pub(super) fn short(picture: &Picture, theme: Theme) -> Vec<Line<'static>> {
    let counts = &picture.counts;
    let labelled = |label: &str, value: String, style: Style| {
        Line::from(vec![
            Span::styled(format!("{label:<LABEL$}"), theme.quiet()),
            Span::styled(value, style),
        ])
    };
    let rate = three(picture.throughput.now);
    let latency = picture.latency.map_or_else(
        || "-".to_owned(),
        |l| format!("{}, p99 {}", us(l.p50), us(l.p99)),
    );
    let failed_style = if counts.failed > 0 {
        theme.bad()
    } else {
        theme.text()
    };
    let mut lines = vec![
        labelled("ops/s", rate, theme.throughput().patch(theme.strong())),
        labelled("p50", latency, theme.text()),
        labelled("in flight", show_count(counts.in_flight), theme.text()),
        labelled("failed", show_count(counts.failed), failed_style),
        labelled("completed", show_count(counts.completed), theme.text()),
    ];
    if let Some(device) = &picture.device {
        let fill: u64 = device.rings.iter().map(|r| r.fill).sum();
        let depth: u64 = device.rings.iter().map(|r| r.depth).sum();
        let rings = format!("{} / {}", show_count(fill), show_count(depth));
        lines.push(labelled("rings", rings, theme.text()));
        lines.push(labelled(
            "engines",
            engines_in_words(&device.engines),
            theme.text(),
        ));
    }
    lines
}

/// Throughput, as bars over the whole area.
pub(super) fn bars(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    if area.height >= 2 {
        let per = charts::columns(area.width, picture.row_lasts);
        charts::bars(frame, area, &picture.throughput, per, theme);
    }
}

pub(super) fn throughput(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let [words, chart] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let throughput = &picture.throughput;
    let line = Line::from(vec![
        Span::styled(
            show_rate(throughput.now),
            theme.throughput().patch(theme.strong()),
        ),
        Span::styled("   mean ", theme.quiet()),
        Span::raw(show_rate(throughput.mean)),
        Span::styled("   peak ", theme.quiet()),
        Span::raw(show_rate(throughput.peak)),
    ]);
    frame.render_widget(line, words);
    charts::throughput(frame, chart, throughput, picture.row_lasts, theme);
}

pub(super) fn latency(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let [words, chart] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(latency_words(picture, theme), words);
    charts::latencies(frame, chart, &picture.latencies, picture.row_lasts, theme);
}

/// Throughput with the latency below it, where there is no room for both panels.
pub(super) fn throughput_and_latency(
    frame: &mut Frame<'_>,
    area: Rect,
    picture: &Picture,
    theme: Theme,
) {
    let [rest, words] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    throughput(frame, rest, picture, theme);
    frame.render_widget(latency_words(picture, theme), words);
}

fn latency_words(picture: &Picture, theme: Theme) -> Line<'static> {
    let Some(latency) = picture.latency else {
        let text = "nothing was completed in the last seconds";
        return Line::styled(text, theme.quiet());
    };
    Line::from(vec![
        Span::styled("━ p50 ", theme.p50()),
        Span::styled(us(latency.p50), theme.strong()),
        Span::styled("   ━ p99 ", theme.p99()),
        Span::styled(us(latency.p99), theme.strong()),
        Span::styled("   max ", theme.quiet()),
        Span::raw(us(latency.max)),
    ])
}

fn us(ns: f64) -> String {
    show_us(ns / 1e3)
}

/// Three digits, and a prefix.
pub(super) fn three(number: f64) -> String {
    crate::human::show_number(number).trim_end().to_owned()
}

/// The name of a number.
pub(super) fn label(text: &str, theme: Theme) -> Span<'static> {
    Span::styled(format!("{text:<LABEL$}"), theme.quiet())
}

/// A bar in eighths of a cell.
pub(super) fn block_bar(part: f64, width: usize, style: Style, theme: Theme) -> [Span<'static>; 2] {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let (full, rest) = (eighths / 8, eighths % 8);
    let used = full + usize::from(rest > 0);
    [
        Span::styled(format!("{}{}", "█".repeat(full), EIGHTHS[rest]), style),
        Span::styled("·".repeat(width - used), theme.quiet()),
    ]
}

/// How many are busy, of how many.
pub(super) fn engines_in_words(engines: &Engines) -> String {
    match engines {
        Engines::NotModelled => "take no time on this device".to_owned(),
        Engines::Unbounded(busy) => format!("{} busy, of as many as it takes", show_count(*busy)),
        Engines::Bounded(endpoints) => {
            let busy: f64 = endpoints.iter().flatten().sum();
            let all: usize = endpoints.iter().map(Vec::len).sum();
            format!("{busy:.1} of {all} busy")
        }
    }
}

/// Lines of the panel.
pub(super) fn counts_height(picture: &Picture) -> u16 {
    let counts = &picture.counts;
    4 + u16::from(counts.cancelled > 0) + counts.failed_by.len() as u16
}

pub(super) fn counts(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let counts = &picture.counts;
    let all = counts.completed + counts.failed + counts.cancelled;
    let width = usize::from(area.width);
    let numbers = format!(
        " {} / {}",
        show_count(counts.in_flight),
        show_count(counts.jobs)
    );
    let part = counts.in_flight as f64 / counts.jobs.max(1) as f64;
    let mut in_flight = vec![label("in flight", theme)];
    let bar = width.saturating_sub(LABEL + numbers.len());
    in_flight.extend(block_bar(part, bar, theme.throughput(), theme));
    in_flight.push(Span::raw(numbers));
    let number = |name: &str, count: u64, style: Style| {
        let number = format!("{:>13}", show_count(count));
        vec![label(name, theme), Span::styled(number, style)]
    };
    let failed_style = if counts.failed > 0 {
        theme.bad()
    } else {
        theme.text()
    };
    let mut failed = number("failed", counts.failed, failed_style.patch(theme.strong()));
    if counts.failed > 0 && all > 0 {
        let part = 100.0 * counts.failed as f64 / all as f64;
        failed.push(Span::styled(format!("   {part:.2} %"), theme.quiet()));
    }
    let mut lines = vec![
        Line::from(in_flight),
        Line::from(number("completed", counts.completed, theme.strong())),
        Line::from(failed),
    ];
    for (name, times) in &counts.failed_by {
        lines.push(Line::from(vec![
            Span::raw(" ".repeat(LABEL)),
            Span::styled(format!("{:>13}", show_count(*times)), theme.bad()),
            Span::styled(format!("   {}", words(name)), theme.quiet()),
        ]));
    }
    if counts.cancelled > 0 {
        lines.push(Line::from(number(
            "cancelled",
            counts.cancelled,
            theme.text(),
        )));
    }
    let mut retries = number("retries", counts.retries, theme.text());
    retries.push(Span::styled("   met a full ring", theme.quiet()));
    lines.push(Line::from(retries));
    // The retries have a place of their own where kinds of failures fill the panel.
    let room = usize::from(area.height);
    if lines.len() > room && room >= 4 {
        lines.drain(room - 1..lines.len() - 1);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn log(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    if picture.log.is_empty() {
        return frame.render_widget(Line::styled("no faults so far", theme.quiet()), area);
    }
    let skipped = picture.log.len().saturating_sub(area.height.into());
    let line = |entry: &super::picture::Entry| {
        let (mark, style) = match entry.kind {
            Kind::Bad => ("✖", theme.bad()),
            Kind::Warning => ("▲", theme.warning()),
            Kind::Good => ("✔", theme.good()),
            Kind::Mark => {
                return Line::styled(format!("─── {}", entry.whom), theme.quiet());
            }
        };
        let mut spans = vec![
            Span::styled(
                format!("{:>8.2} s  ", entry.at.as_secs_f64()),
                theme.quiet(),
            ),
            Span::styled(mark, style),
            Span::raw(format!(" {}  ", entry.whom)),
        ];
        for (at, (what, times)) in entry.what.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            spans.push(Span::styled(format!("{comma}{what}"), theme.quiet()));
            if *times > 1 {
                spans.push(Span::raw(format!(" ×{}", three(*times as f64))));
            }
        }
        Line::from(spans)
    };
    let lines: Vec<_> = picture.log[skipped..].iter().map(line).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

pub(super) fn rows(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    if picture.finished.is_empty() {
        return frame.render_widget(Line::styled("none yet", theme.quiet()), area);
    }
    let right = |text: String| Line::from(text).alignment(Alignment::Right);
    let skipped = picture
        .finished
        .len()
        .saturating_sub(usize::from(area.height).saturating_sub(1));
    let rows = picture.finished[skipped..].iter().map(|row| {
        let style = if row.bad { theme.bad() } else { theme.text() };
        Row::new(vec![
            Line::from(row.name.clone()),
            right(three(row.ops_per_s)),
            right(show_us(row.p50_us)),
            right(show_us_or_none(row.p99_us)),
            right(show_count(row.failed)),
        ])
        .style(style)
    });
    let header = Row::new(vec![
        Line::from("row"),
        right("ops/s".to_owned()),
        right("p50".to_owned()),
        right("p99".to_owned()),
        right("failed".to_owned()),
    ]);
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(6),
    ];
    frame.render_widget(
        Table::new(rows, widths).header(header.style(theme.quiet())),
        area,
    );
}
