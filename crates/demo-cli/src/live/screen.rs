//! The screen: where what goes. Draws a [`Picture`] on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};

use super::picture::Picture;
use super::theme::Theme;
use super::{device, panels};

/// From this width on panels stand side by side.
const WIDE: u16 = 96;
/// With fewer lines there are no frames.
const FRAMED: u16 = 17;
/// With fewer the panels stand in one column.
const TALL: u16 = 22;

/// How the picture is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) theme: Theme,
    /// It stands still.
    pub(super) frozen: bool,
    pub(super) help: bool,
    /// Whether keys are read.
    pub(super) keys: bool,
}

/// The keys and what they do.
const KEYS: [(&str, &str, &str); 4] = [
    (
        "q",
        "end",
        "end the run; what was measured so far is reported",
    ),
    ("n", "next row", "end this row and begin the next"),
    (
        "p",
        "freeze",
        "freeze the picture, the run goes on; again: thaw it",
    ),
    ("?", "help", "show or hide this"),
];

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, look: Look) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    match area.height < FRAMED || area.width < 44 {
        true => plain(frame, area, picture, look),
        false => framed(frame, area, picture, look),
    }
    if look.help {
        help(frame, area, look);
    }
}

/// A few lines, for a small terminal.
fn plain(frame: &mut Frame<'_>, area: Rect, picture: &Picture, look: Look) {
    let [body, keys] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    let theme = look.theme;
    let mut lines = vec![panels::short_position(picture, theme)];
    lines.extend(panels::short(picture, theme));
    lines.truncate(body.height.into());
    let used = lines.len() as u16; // no more than the height
    frame.render_widget(Paragraph::new(lines), body);
    let rest = Rect {
        y: body.y + used,
        height: body.height - used,
        ..body
    };
    panels::bars(frame, rest, picture, theme);
    draw_keys(frame, keys, picture, look);
}

/// Panels.
fn framed(frame: &mut Frame<'_>, area: Rect, picture: &Picture, look: Look) {
    let [head, position, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let theme = look.theme;
    panels::head(frame, head, picture, theme);
    panels::position(frame, position, picture, theme);
    if area.width >= WIDE && area.height >= TALL {
        wide(frame, body, picture, theme);
    } else {
        narrow(frame, body, picture, theme);
    }
    draw_keys(frame, keys, picture, look);
}

fn wide(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let middle_height = device::height(picture).max(panels::counts_height(picture)) + 2;
    let middle_height = middle_height.min(area.height / 2).max(6);
    let rest = area.height - middle_height;
    let log = (rest / 3).clamp(4, 12);
    let [charts, middle, bottom] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(middle_height),
        Constraint::Length(log),
    ])
    .areas(area);
    let columns = Layout::horizontal([Constraint::Fill(11), Constraint::Fill(9)]);
    let [throughput, latency] = columns.areas(charts);
    panel(frame, throughput, "Throughput", theme, |frame, area| {
        panels::throughput(frame, area, picture, theme);
    });
    panel(frame, latency, "Latency", theme, |frame, area| {
        panels::latency(frame, area, picture, theme);
    });
    let [of_device, counts] = columns.areas(middle);
    panel(
        frame,
        of_device,
        device::title(picture),
        theme,
        |frame, area| {
            device::draw(frame, area, picture, theme);
        },
    );
    panel(frame, counts, "Operations", theme, |frame, area| {
        panels::counts(frame, area, picture, theme);
    });
    let (log, rows) = match picture.at.rows > 1 {
        true => {
            let [log, rows] = columns.areas(bottom);
            (log, Some(rows))
        }
        false => (bottom, None),
    };
    panel(frame, log, "Log", theme, |frame, area| {
        panels::log(frame, area, picture, theme);
    });
    if let Some(rows) = rows {
        panel(frame, rows, "Rows done", theme, |frame, area| {
            panels::rows(frame, area, picture, theme);
        });
    }
}

/// One column: what matters most comes first, and the rest where there is room.
fn narrow(frame: &mut Frame<'_>, area: Rect, picture: &Picture, theme: Theme) {
    let of_device = (device::height(picture) + 2).min(8);
    let counts = panels::counts_height(picture) + 2;
    let mut left = area.height;
    let mut take = |least: u16, wanted: u16| {
        let height = if left < least { 0 } else { wanted.min(left) };
        left -= height;
        height
    };
    let throughput = take(4, 6);
    let of_device = take(4, of_device);
    let counts = take(4, counts);
    let latency = take(5, 8);
    let rows = take(4, if picture.at.rows > 1 { 6 } else { 0 });
    let log = take(4, u16::MAX);
    let [a, b, c, d, e, f] = Layout::vertical([
        Constraint::Min(throughput),
        Constraint::Length(latency),
        Constraint::Length(of_device),
        Constraint::Length(counts),
        Constraint::Length(rows),
        Constraint::Length(log),
    ])
    .areas(area);
    let title = match latency {
        0 => "Throughput and latency",
        _ => "Throughput",
    };
    panel(frame, a, title, theme, |frame, area| match latency {
        0 => panels::throughput_and_latency(frame, area, picture, theme),
        _ => panels::throughput(frame, area, picture, theme),
    });
    panel(frame, b, "Latency", theme, |frame, area| {
        panels::latency(frame, area, picture, theme);
    });
    panel(frame, c, device::title(picture), theme, |frame, area| {
        device::draw(frame, area, picture, theme);
    });
    panel(frame, d, "Operations", theme, |frame, area| {
        panels::counts(frame, area, picture, theme);
    });
    panel(frame, e, "Rows done", theme, |frame, area| {
        panels::rows(frame, area, picture, theme);
    });
    panel(frame, f, "Log", theme, |frame, area| {
        panels::log(frame, area, picture, theme);
    });
}

/// A frame with a title, and what is in it.
fn panel(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    theme: Theme,
    inside: impl FnOnce(&mut Frame<'_>, Rect),
) {
    if area.height < 3 {
        return;
    }
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.quiet())
        .title(Span::styled(format!(" {title} "), theme.title()))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if !inner.is_empty() {
        inside(frame, inner);
    }
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, picture: &Picture, look: Look) {
    let theme = look.theme;
    let mut spans = vec![Span::raw(" ")];
    if look.frozen {
        spans.push(Span::styled(" frozen ", theme.alert()));
        spans.push(Span::raw("  "));
    }
    if picture.at.ending {
        spans.push(Span::styled(" ending the row ", theme.alert()));
        spans.push(Span::raw("  "));
    }
    match look.keys {
        true => {
            for (key, what, _) in KEYS {
                let what = if key == "p" && look.frozen {
                    "thaw"
                } else {
                    what
                };
                spans.push(Span::styled(key, theme.throughput().patch(theme.strong())));
                spans.push(Span::styled(format!(" {what}   "), theme.quiet()));
            }
            spans.push(Span::styled(
                "Ctrl-C",
                theme.throughput().patch(theme.strong()),
            ));
            spans.push(Span::styled(" quit at once", theme.quiet()));
        }
        false => spans.push(Span::styled("Ctrl-C quits at once", theme.quiet())),
    }
    frame.render_widget(Line::from(spans), area);
}

/// What the keys do, over the rest.
fn help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    let theme = look.theme;
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, _, what)| {
            let name = match *key {
                "q" => "q, Esc",
                "p" => "p, space",
                key => key,
            };
            Line::from(vec![
                Span::styled(
                    format!("{name:<10}"),
                    theme.throughput().patch(theme.strong()),
                ),
                Span::raw(*what),
            ])
        })
        .collect();
    lines.push(Line::from(vec![
        Span::styled(
            format!("{:<10}", "Ctrl-C"),
            theme.throughput().patch(theme.strong()),
        ),
        Span::raw("quit at once, without a report"),
    ]));
    lines.push(Line::raw(""));
    lines.push(Line::styled(
        "Latencies are those of the last 3 seconds, right to about",
        theme.quiet(),
    ));
    lines.push(Line::styled(
        "3 %; engines those of the last second. The report is exact.",
        theme.quiet(),
    ));
    let (width, height) = (
        67.min(area.width),
        (lines.len() as u16 + 2).min(area.height),
    );
    let over = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, over);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.throughput())
        .title(Span::styled(" Keys ", theme.title()));
    frame.render_widget(block, over);
    let inner = over.inner(Margin::new(2, 1));
    if !inner.is_empty() {
        frame.render_widget(Paragraph::new(lines), inner);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use sim_engine::Health;

    use super::super::picture::{
        Counts, Device, Engines, Entry, Finished, Kind, Latency, Model, Position, Ring, Throughput,
    };
    use super::*;

    /// A run in which everything happens.
    fn picture() -> Picture {
        let latency = Latency {
            p50: 37_000.0,
            p99: 90_000.0,
            max: 1.5e6,
        };
        let ring = |name: &str, fill, health| Ring {
            name: name.to_owned(),
            fill,
            depth: 64,
            health: Some(health),
        };
        Picture {
            op: "sha256 of 1KiB".to_owned(),
            on: "card".to_owned(),
            at: Position {
                row: "callback, 8 jobs".to_owned(),
                number: 3,
                rows: 12,
                part: Some(0.5),
                elapsed: Duration::from_millis(2500),
                length: "5 s".to_owned(),
                left: Some(Duration::from_secs(47)),
                ending: false,
            },
            runtime: Some("libcrypto"),
            model: Some(Model {
                now_s: 1.5,
                speed: 2.0,
            }),
            throughput: Throughput {
                now: 1_234_567.0,
                mean: 1e6,
                peak: 2e6,
                over_time: vec![0.0, 1e6, 2e6],
            },
            row_lasts: Some(5.0),
            latency: Some(latency),
            latencies: vec![Some(latency), None, Some(latency), Some(latency)],
            counts: Counts {
                in_flight: 7,
                jobs: 8,
                completed: 123_456,
                failed: 42,
                failed_by: vec![("timed_out", 40), ("down", 2)],
                cancelled: 1,
                retries: 99,
            },
            device: Some(Device {
                rings: vec![ring("0", 5, Health::Up), ring("1", 64, Health::Hung)],
                engines: Engines::Bounded(vec![vec![1.0, 0.5], vec![0.0, 0.0]]),
                deaths: 3,
                restarts: 2,
                refused: vec![("throttled", 11)],
            }),
            log: vec![Entry {
                at: Duration::from_millis(1250),
                kind: Kind::Bad,
                whom: "endpoint 1".to_owned(),
                what: vec![("died".to_owned(), 3), ("restarted".to_owned(), 1)],
            }],
            finished: vec![Finished {
                name: "fd, 8 jobs".to_owned(),
                ops_per_s: 9876.0,
                p50_us: 12.0,
                p99_us: None,
                failed: 5,
                bad: true,
            }],
        }
    }

    const LOOK: Look = Look {
        theme: Theme::new(true),
        frozen: false,
        help: false,
        keys: true,
    };

    fn drawn(picture: &Picture, look: Look, width: u16, height: u16) -> String {
        let backend = TestBackend::new(width, height);
        let mut terminal = Terminal::new(backend).expect("a terminal");
        let frame = terminal.draw(|frame| draw(frame, picture, look));
        let buffer = frame.expect("drawn").buffer.clone();
        let rows = buffer.content.chunks(width.max(1).into());
        let line = |row: &[ratatui::buffer::Cell]| -> String {
            row.iter().map(ratatui::buffer::Cell::symbol).collect()
        };
        rows.map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn everything_has_a_place() {
        let shown = drawn(&picture(), LOOK, 120, 40);
        for text in [
            "sha256 of 1KiB  on  card  jobs of  libcrypto",
            "model time 1.500 s, 2× as fast",
            "row 3 of 12  callback, 8 jobs  2.5 s of 5 s",
            "47 s left",
            "1.23 M ops/s   mean 1 M ops/s   peak 2 M ops/s",
            "p50 37 µs   ━ p99 90 µs   max 1.50 ms",
            " 5 / 64 up",
            "64 / 64 hung",
            "engines 0 ██ ▄▄",
            "1.5 of 2 busy  75 %",
            "died 3, restarted 2 ",
            "refused: throttled 11",
            " 7 / 8 ",
            "123,456",
            "42   0.03 %",
            "40   timed out",
            "1.25 s  ✖ endpoint 1  died ×3, restarted",
            "fd, 8 jobs",
            "9.88 k",
        ] {
            assert!(shown.contains(text), "{text}\n{shown}");
        }
    }

    #[test]
    fn a_narrow_screen_has_what_matters() {
        for (width, height) in [(80, 50), (60, 30), (44, 17)] {
            let shown = drawn(&picture(), LOOK, width, height);
            let all: &[_] = &["ops/s", "p50 37 µs", "q end", "64 / 64 hung", "123,456"];
            let shown_here = if height > 17 { all } else { &all[..3] };
            for text in shown_here {
                assert!(shown.contains(text), "{text}, {width}\n{shown}");
            }
        }
        let shown = drawn(&picture(), LOOK, 20, 5);
        for text in ["row 3/12", "ops/s     1.23 M", "37 µs", "q end"] {
            assert!(shown.contains(text), "{text}\n{shown}");
        }
    }

    #[test]
    fn no_size_is_too_small_and_no_picture_too_bare() {
        let none = Picture::default();
        let mut many = picture();
        if let Some(device) = &mut many.device {
            device.rings = vec![device.rings[1].clone(); 1024];
            device.engines = Engines::Bounded(vec![vec![0.3; 400]; 16]);
        }
        for picture in [&none, &picture(), &many] {
            for width in (0..150).step_by(29).chain([1, 2, 3, 44, 95, 96]) {
                for height in (0..60).step_by(11).chain([1, 2, 4, 16, 17]) {
                    for help in [false, true] {
                        drawn(picture, Look { help, ..LOOK }, width, height);
                    }
                }
            }
        }
        let shown = drawn(&many, LOOK, 120, 40);
        assert!(shown.contains("busy"), "{shown}");
    }

    #[test]
    fn what_is_asked_of_it_is_seen() {
        let shown = |look| drawn(&picture(), look, 120, 40);
        let frozen = true;
        assert!(shown(Look { frozen, ..LOOK }).contains("frozen"));
        let help = true;
        assert!(shown(Look { help, ..LOOK }).contains("quit at once, without a report"));
        let keys = false;
        let without = shown(Look { keys, ..LOOK });
        assert!(!without.contains("q end") && without.contains("Ctrl-C"));
    }
}
