//! The panel of a device: its rings, its engines, and what has befallen it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use sim_engine::Health;

use super::feed::REFUSALS;
use super::panels::{LABEL, block_bar, engines_in_words, label, three};
use super::picture::{Device, Engines, Picture, Ring};
use super::theme::Theme;
use crate::units::show_count;

/// What the panel is called.
pub(super) fn title(picture: &Picture) -> &'static str {
    match &picture.device {
        Some(device) if device.rings.len() > 1 => "Rings and engines",
        Some(_) => "Ring and engines",
        None => "Engine",
    }
}

/// Lines of the panel.
pub(super) fn height(picture: &Picture) -> u16 {
    let Some(device) = &picture.device else {
        return 1;
    };
    let engines = match &device.engines {
        Engines::Bounded(endpoints) => endpoints.len(),
        _ => 1,
    };
    (device.rings.len() + engines + 2).min(20) as u16
}

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let Some(device) = &picture.device else {
        let text = "no device: software computes on the jobs' own threads";
        return frame.render_widget(Line::styled(text, theme.quiet()), area);
    };
    let width = usize::from(area.width);
    let engines = engine_lines(device, width, theme);
    // Rings give way first: there may be a thousand.
    let happened = happened(device, theme);
    let room = usize::from(area.height).saturating_sub(engines.len() + happened.len());
    let room = room.max(1);
    let mut lines = ring_lines(device, room, width, theme);
    lines.extend(engines);
    lines.extend(happened);
    frame.render_widget(Paragraph::new(lines), area);
}

/// A line for each ring; where there is no room for all, the last tells of the rest.
fn ring_lines(device: &Device, room: usize, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let rings = &device.rings;
    let shown = match rings.len() <= room {
        true => rings.len(),
        false => room.saturating_sub(1),
    };
    let mut lines: Vec<_> = (rings[..shown].iter())
        .map(|ring| ring_line(ring, width, theme))
        .collect();
    let rest = &rings[shown..];
    if !rest.is_empty() {
        let all = Ring {
            name: match shown {
                0 => "s".to_owned(),
                _ => format!("+{}", rest.len()),
            },
            fill: rest.iter().map(|r| r.fill).sum(),
            depth: rest.iter().map(|r| r.depth).sum(),
            health: rest
                .iter()
                .map(|r| r.health)
                .find(|h| *h != Some(Health::Up))
                .flatten(),
        };
        lines.push(ring_line(&all, width, theme));
    }
    lines
}

fn ring_line(ring: &Ring, width: usize, theme: Theme) -> Line<'static> {
    let (health, style) = match ring.health {
        Some(Health::Up) => (" up", theme.good()),
        Some(Health::Hung) => (" hung", theme.bad()),
        Some(Health::Restarting) => (" restarts", theme.warning()),
        Some(Health::Down) => (" down", theme.bad()),
        _ => ("", theme.quiet()),
    };
    let depth = show_count(ring.depth);
    let numbers = format!(" {:>w$} / {depth}", show_count(ring.fill), w = depth.len());
    let part = ring.fill as f64 / ring.depth.max(1) as f64;
    let mut spans = vec![label(&format!("ring {}", ring.name), theme)];
    let bar = width.saturating_sub(LABEL + numbers.len() + 9);
    spans.extend(block_bar(part, bar, theme.rings(), theme));
    spans.push(Span::raw(numbers));
    spans.push(Span::styled(health, style));
    Line::from(spans)
}

/// A line for each endpoint: a cell for each engine, as high as it is busy.
fn engine_lines(device: &Device, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let Engines::Bounded(endpoints) = &device.engines else {
        let words = engines_in_words(&device.engines);
        return vec![Line::from(vec![label("engines", theme), Span::raw(words)])];
    };
    let several = endpoints.len() > 1;
    let line = |(at, busy): (usize, &Vec<f64>)| {
        let sum: f64 = busy.iter().sum();
        let name = if several {
            format!("engines {at}")
        } else {
            "engines".to_owned()
        };
        let mut spans = vec![label(&name, theme)];
        let numbers = format!(" {sum:.1} of {} busy", busy.len());
        let room = width.saturating_sub(LABEL + numbers.len() + 9);
        match room {
            room if busy.len() * 3 <= room => {
                for part in busy {
                    spans.push(Span::styled(
                        level(*part).to_string().repeat(2),
                        theme.engines(),
                    ));
                    spans.push(Span::raw(" "));
                }
                spans.push(Span::raw(" ".repeat(room - busy.len() * 3)));
            }
            room if busy.len() <= room => {
                let cells: String = busy.iter().map(|part| level(*part)).collect();
                spans.push(Span::styled(cells, theme.engines()));
                spans.push(Span::raw(" ".repeat(room - busy.len())));
            }
            room => {
                let part = sum / busy.len().max(1) as f64;
                spans.extend(block_bar(part, room, theme.engines(), theme));
            }
        }
        spans.push(Span::raw(numbers));
        let part = 100.0 * sum / busy.len().max(1) as f64;
        spans.push(Span::styled(format!("  {part:.0} %"), theme.quiet()));
        Line::from(spans)
    };
    endpoints.iter().enumerate().map(line).collect()
}

/// A cell of an engine that is busy for this part of the time.
fn level(part: f64) -> char {
    const LEVELS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let at = (part.clamp(0.0, 1.0) * 8.0).ceil() as usize;
    LEVELS[at.min(8)]
}

/// What has befallen the device, in numbers.
fn happened(device: &Device, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if device.deaths > 0 {
        let restarts = format!("restarted {}", show_count(device.restarts));
        lines.push(Line::from(vec![
            Span::styled(format!("died {}", show_count(device.deaths)), theme.bad()),
            Span::styled(", ", theme.quiet()),
            Span::styled(restarts, theme.good()),
        ]));
    }
    // Those that met a full ring are the retries.
    let others = device.refused.iter().filter(|(why, _)| *why != REFUSALS[0]);
    let refused: Vec<_> = others
        .map(|(why, times)| format!("{why} {}", three(*times as f64)))
        .collect();
    if !refused.is_empty() {
        lines.push(Line::from(vec![
            Span::styled("refused: ", theme.quiet()),
            Span::styled(refused.join(", "), theme.warning()),
        ]));
    }
    if lines.is_empty() {
        let text = "up all the time, and nothing was refused";
        lines.push(Line::styled(text, theme.quiet()));
    }
    lines
}
