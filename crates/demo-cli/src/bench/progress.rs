//! The progress bar: on a terminal, on standard error.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::options::Until;

/// How often it moves.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The progress of one row.
pub(crate) struct Progress {
    bar: ProgressBar,
    until: Option<Until>,
    started: Instant,
    done: Cell<u64>,
}

impl Progress {
    /// Of a row in which `lanes` take turns, each until `until`, if that can be seen coming.
    pub(crate) fn new(name: &str, until: Option<Until>, lanes: usize) -> Progress {
        let length = until.map(|until| match until {
            Until::Time(time) => time.as_millis() as u64, // at most a day
            Until::Operations(total) => total,
        });
        let length = length.map(|length| length.saturating_mul(lanes as u64));
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        // Invariant: the template is a constant of ours.
        let style = ProgressStyle::with_template("{prefix:>10} {bar:40} {msg}")
            .expect("a template that parses");
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        Progress {
            bar,
            until,
            started: Instant::now(),
            done: Cell::new(0),
        }
    }

    /// So many operations more are done.
    pub(crate) fn add(&self, more: u64) {
        let done = self.done.get() + more;
        self.done.set(done);
        match self.until {
            Some(Until::Time(_)) => self
                .bar
                .set_position(self.started.elapsed().as_millis() as u64),
            Some(Until::Operations(_)) => self.bar.set_position(done),
            None => self.bar.tick(),
        }
        self.bar.set_message(format!("{done} operations"));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
