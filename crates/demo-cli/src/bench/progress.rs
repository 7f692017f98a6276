//! The progress bar: on a terminal, on standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::options::Until;

/// How often it moves.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The progress of one row.
pub(crate) struct Progress {
    bar: ProgressBar,
    until: Until,
    started: Instant,
}

impl Progress {
    pub(crate) fn new(name: &str, until: Until) -> Progress {
        let length = match until {
            Until::Time(time) => time.as_millis() as u64, // at most a day
            Until::Operations(total) => total,
        };
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        // Invariant: the template is a constant of ours.
        let style = ProgressStyle::with_template("{prefix:>10} {bar:40} {msg}")
            .expect("a template that parses");
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        Progress {
            bar,
            until,
            started: Instant::now(),
        }
    }

    pub(crate) fn update(&self, done: u64) {
        match self.until {
            Until::Time(_) => self
                .bar
                .set_position(self.started.elapsed().as_millis() as u64),
            Until::Operations(_) => self.bar.set_position(done),
        }
        self.bar.set_message(format!("{done} operations"));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
