//! The view where there is no terminal: a line each second.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::picture::Picture;
use crate::human::{show_rate, show_us_or_none};
use crate::units::show_count;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Lines on standard error.
pub(super) struct Lines {
    next: Instant,
}

impl Lines {
    pub(super) fn new() -> Lines {
        Lines {
            next: Instant::now() + EVERY,
        }
    }

    /// Whether the next line is due.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Writes a line. An error says that nobody reads them any more.
    pub(super) fn write(&mut self, picture: &Picture) -> io::Result<()> {
        self.next = Instant::now() + EVERY;
        io::stderr().write_all(line(picture).as_bytes())
    }
}

fn line(picture: &Picture) -> String {
    let (at, counts) = (&picture.at, &picture.counts);
    let runtime = picture.runtime.map(|name| format!(", {name}"));
    let us = |ns: Option<f64>| show_us_or_none(ns.map(|ns| ns / 1e3));
    let mut line = format!(
        "{:.1} s  row {} of {} ({}{})  {}  p50 {}  p99 {}  {} in flight  {} failed",
        at.elapsed.as_secs_f64(),
        at.number,
        at.rows,
        at.row,
        runtime.unwrap_or_default(),
        show_rate(picture.throughput.now),
        us(picture.latency.map(|l| l.p50)),
        us(picture.latency.map(|l| l.p99)),
        show_count(counts.in_flight),
        show_count(counts.failed),
    );
    if let Some(model) = picture.model {
        let _ = write!(line, "  model time {:.3} s", model.now_s);
    }
    // Names come from device files: nothing in them is obeyed by a terminal.
    line.retain(|c| !c.is_control());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_plain_text() {
        let mut picture = Picture::default();
        picture.at.row = "call\x1b[2Jback\n".to_owned();
        picture.at.number = 3;
        picture.at.rows = 12;
        picture.counts.failed = 1234;
        let line = line(&picture);
        assert!(line.contains("row 3 of 12 (call[2Jback)"), "{line}");
        assert!(
            line.contains("p50 -  p99 -  0 in flight  1,234 failed"),
            "{line}"
        );
        assert_eq!(line.find(char::is_control), Some(line.len() - 1));
    }
}
