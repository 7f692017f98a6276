//! Bars of text, to scale.

use std::io::{self, IsTerminal};

use rustix::termios::tcgetwinsize;

use crate::human::show_us;

/// Where nobody says how wide the page is.
const COLUMNS: usize = 80;
/// Wider bars are no clearer.
const COLUMNS_MAX: usize = 140;
/// Narrower ones are no bars.
const BAR_MIN: usize = 10;

/// Parts of a cell, by eighths.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Columns of the page.
pub(super) fn columns() -> usize {
    let stdout = io::stdout();
    let wide = match stdout.is_terminal() {
        true => tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col)),
        false => 0,
    };
    match wide {
        0 => COLUMNS,
        wide => wide.min(COLUMNS_MAX),
    }
}

/// A line as it is printed: on a terminal that is narrower it goes on below, further in.
pub(super) fn folded(line: &str) -> String {
    if !io::stdout().is_terminal() {
        return line.to_owned();
    }
    let options = textwrap::Options::new(columns()).subsequent_indent("  ");
    textwrap::fill(line, options)
}

/// Nanoseconds in a unit that people read.
pub(super) fn time(ns: u64) -> String {
    show_us(ns as f64 / 1000.0)
}

/// A line of a timeline.
pub(super) struct Bar<'a> {
    pub(super) label: &'a str,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Draws bars one below the other, on a scale that begins at the first and ends with the last, with
/// their lengths in words.
pub(super) fn timeline(bars: &[Bar<'_>], columns: usize) -> Vec<String> {
    let start = bars.iter().map(|bar| bar.from).min().unwrap_or(0);
    let end = bars.iter().map(|bar| bar.to).max().unwrap_or(0);
    let labels = bars.iter().map(|bar| bar.label.chars().count()).max();
    let labels = labels.unwrap_or(0);
    let times: Vec<_> = bars.iter().map(|bar| time(bar.to - bar.from)).collect();
    let right = times.iter().map(|time| time.chars().count()).max();
    let taken = labels + right.unwrap_or(0) + 4;
    let width = columns.saturating_sub(taken).max(BAR_MIN);
    let line = |(bar, time): (&Bar<'_>, &String)| {
        let drawn = draw(bar.from - start, bar.to - start, end - start, width);
        format!(
            "{:labels$}  {drawn}  {time:>right$}",
            bar.label,
            right = right.unwrap_or(0)
        )
    };
    bars.iter().zip(&times).map(line).collect()
}

/// One bar: `width` columns stand for `total`. Whatever there is can be seen.
fn draw(from: u64, to: u64, total: u64, width: usize) -> String {
    let eighths = width as u128 * 8;
    let at = |ns: u64| match total {
        0 => 0,
        // At most `eighths`.
        total => (u128::from(ns) * eighths / u128::from(total)) as usize,
    };
    // It begins at the left of its cell: there are no cells that are filled from the right. So it is
    // drawn up to a cell too far to the left, and as long as it is.
    let first = (at(from) / 8).min(width - 1);
    let filled = at(to).saturating_sub(at(from)).max(1);
    let (whole, part) = (filled / 8, filled % 8);
    let mut bar = " ".repeat(first) + &"█".repeat(whole);
    if part > 0 {
        bar.push(PARTS[part]);
    }
    let drawn = first + whole + usize::from(part > 0);
    bar + &" ".repeat(width.saturating_sub(drawn))
}

/// What a job does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Busy,
    Paused,
    Idle,
}

impl Doing {
    pub(super) fn glyph(self) -> char {
        match self {
            Doing::Busy => '█',
            Doing::Paused => '░',
            Doing::Idle => '·',
        }
    }
}

/// A bar in which each cell shows what filled most of its time.
pub(super) struct Strip {
    start: u64,
    end: u64,
    /// Of each cell the time that was busy and the time that was paused.
    cells: Vec<(u64, u64)>,
}

impl Strip {
    pub(super) fn new(start: u64, end: u64, width: usize) -> Strip {
        Strip {
            start,
            end: end.max(start + 1),
            cells: vec![(0, 0); width.max(BAR_MIN)],
        }
    }

    /// Adds a time in which the job was busy or paused.
    pub(super) fn add(&mut self, doing: Doing, from: u64, to: u64) {
        let (from, to) = (from.max(self.start), to.min(self.end));
        if from >= to {
            return;
        }
        let first = self.cell_of(from);
        let last = self.cell_of(to - 1);
        for cell in first..=last {
            let begins = self.begin_of(cell).max(from);
            let ends = self.begin_of(cell + 1).min(to);
            let length = ends.saturating_sub(begins);
            match doing {
                Doing::Busy => self.cells[cell].0 += length,
                Doing::Paused => self.cells[cell].1 += length,
                Doing::Idle => {}
            }
        }
    }

    pub(super) fn draw(&self) -> String {
        let glyph = |(cell, &(busy, paused)): (usize, &(u64, u64))| {
            let length = self.begin_of(cell + 1) - self.begin_of(cell);
            let idle = length.saturating_sub(busy + paused);
            let doing = if busy >= paused && busy >= idle && busy > 0 {
                Doing::Busy
            } else if paused >= idle && paused > 0 {
                Doing::Paused
            } else {
                Doing::Idle
            };
            doing.glyph()
        };
        self.cells.iter().enumerate().map(glyph).collect()
    }

    fn cell_of(&self, at: u64) -> usize {
        let (passed, total) = (at - self.start, self.end - self.start);
        let cells = self.cells.len() as u128;
        let mut cell = (u128::from(passed) * cells / u128::from(total)) as usize;
        // Rounded down, a cell may begin a little late.
        if cell + 1 < self.cells.len() && self.begin_of(cell + 1) <= at {
            cell += 1;
        }
        cell
    }

    fn begin_of(&self, cell: usize) -> u64 {
        let total = u128::from(self.end - self.start);
        self.start + (total * cell as u128 / self.cells.len() as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_scale_and_as_wide_as_the_page() {
        let bars = [
            Bar {
                label: "first",
                from: 1000,
                to: 1500,
            },
            Bar {
                label: "2nd",
                from: 1500,
                to: 3000,
            },
            Bar {
                label: "3rd",
                from: 3000,
                to: 3001,
            },
        ];
        // 16 columns are left for 2001 ns: an eighth of one is 15.6 ns.
        let expected = [
            "first  ███▉               500 ns",
            "2nd       ████████████   1.50 µs",
            "3rd                   ▏     1 ns",
        ];
        assert_eq!(timeline(&bars, 32), expected);
        let wide = timeline(&bars, 80);
        assert!(wide.iter().all(|line| line.chars().count() == 80));
    }

    #[test]
    fn what_took_no_time_at_all_is_drawn() {
        let bar = |at| Bar {
            label: "x",
            from: at,
            to: at,
        };
        for columns in [0, 1, 20, 80] {
            for line in timeline(&[bar(0), bar(0)], columns) {
                assert!(line.contains('▏'), "{line}");
            }
        }
        assert!(timeline(&[], 80).is_empty());
        let far = Bar {
            label: "all",
            from: 0,
            to: u64::MAX,
        };
        assert!(timeline(&[far, bar(u64::MAX)], 80)[1].contains('▏'));
    }

    #[test]
    fn a_strip_shows_what_fills_most_of_a_cell() {
        let mut strip = Strip::new(100, 200, 10);
        strip.add(Doing::Busy, 100, 106);
        strip.add(Doing::Paused, 106, 130);
        strip.add(Doing::Paused, 150, 154);
        strip.add(Doing::Busy, 190, 500);
        assert_eq!(strip.draw(), "█░░······█");
        // More cells than nanoseconds.
        let mut strip = Strip::new(0, 3, 12);
        strip.add(Doing::Busy, 0, 3);
        assert!(strip.draw().contains('█'));
        assert_eq!(strip.draw().chars().count(), 12);
    }
}
