//! How far something has come and how long it will take yet: a bar on a terminal, a line now and then
//! where standard error goes elsewhere. Nothing is said of what takes two seconds or less.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::human::show_time_left;
use crate::out::say;

/// What is over by then needs no progress.
const SHORT: Duration = Duration::from_secs(2);
/// The time to the first line where there is no terminal. To each next one it takes as long again as
/// all has taken, up to the second of the two: a log of an hour stays short.
const LINES_FROM: Duration = Duration::from_secs(10);
const LINES_APART: Duration = Duration::from_secs(60);
/// Of a bar: how much is done, in so many parts.
const PARTS: u64 = 10_000;

/// The progress of one command.
pub(crate) struct Progress {
    started: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next: Duration },
    Nothing,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress::showing(match std::io::stderr().is_terminal() {
            true => Progress::bar(),
            false => Shown::Lines { next: LINES_FROM },
        })
    }

    /// Of a filter: on a terminal that nothing else is printed on, and nowhere else.
    pub(crate) fn of_filter() -> Progress {
        let alone = std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
        Progress::showing(if alone {
            Progress::bar()
        } else {
            Shown::Nothing
        })
    }

    fn bar() -> Shown {
        let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr());
        // Invariant: the template is a constant of ours.
        let style =
            ProgressStyle::with_template("{bar:24} {wide_msg}").expect("a template that parses");
        bar.set_style(style);
        Shown::Bar(bar)
    }

    fn showing(shown: Shown) -> Progress {
        Progress {
            started: Instant::now(),
            shown,
        }
    }

    /// This part of all is done, from 0 to 1, if that can be told; `what` says what is going on.
    pub(crate) fn at(&mut self, part: Option<f64>, what: impl FnOnce() -> String) {
        let elapsed = self.started.elapsed();
        match &mut self.shown {
            _ if elapsed < SHORT => {}
            Shown::Bar(bar) => {
                bar.set_position((part.unwrap_or(0.0) * PARTS as f64) as u64);
                bar.set_message(message(elapsed, part, &what()));
            }
            Shown::Lines { next } if elapsed >= *next => {
                *next = elapsed + elapsed.min(LINES_APART);
                let _ = say(message(elapsed, part, &what()));
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    /// Takes the bar away: something else is about to be printed.
    pub(crate) fn clear(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// What is going on and the time that is left, if what was done allows a guess.
fn message(elapsed: Duration, part: Option<f64>, what: &str) -> String {
    match part.and_then(|part| left(elapsed, part)) {
        Some(left) => format!("{what}, {} left", show_time_left(left)),
        None => what.to_owned(),
    }
}

/// The rest takes as long as what was done did.
fn left(elapsed: Duration, part: f64) -> Option<Duration> {
    let seconds = elapsed.as_secs_f64() * (1.0 - part) / part;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_done() {
        let second = Duration::from_secs(1);
        assert_eq!(left(6 * second, 0.75), Some(2 * second));
        assert_eq!(left(6 * second, 0.0), None);
        assert_eq!(
            message(6 * second, Some(0.5), "row 1 of 2"),
            "row 1 of 2, 6 s left"
        );
        assert_eq!(message(6 * second, None, "row 1 of 2"), "row 1 of 2");
    }
}
