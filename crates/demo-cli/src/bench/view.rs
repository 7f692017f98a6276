//! Who is shown how a run goes, and may end it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::options::{BenchOptions, Case, Runtime, Until};
use super::row::RowResult;
use crate::live::feed::Feed;
use crate::progress::Progress;
use crate::units::show_count;

/// How often a view is asked to look.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What a view is told of a row that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowBegins<'a> {
    /// The way of being woken, and what else differs between rows.
    pub(crate) name: &'a str,
    /// Counted from 0.
    pub(crate) number: usize,
    /// Of the whole run.
    pub(crate) rows: usize,
    /// How long each lane runs, if that can be seen coming.
    pub(crate) until: Option<Until>,
    /// Runtimes that take turns.
    pub(crate) lanes: usize,
}

/// How a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flow {
    /// As it was to.
    GoesOn,
    /// The row ends now, and the next one begins.
    EndRow,
    /// The row ends now, and it is the last.
    EndRun,
}

/// Sees a run go by, on the main thread.
pub(crate) trait View {
    /// A row begins.
    fn begin(&mut self, row: RowBegins<'_>);

    /// One of its lanes is about to be opened. Where it is to tell what happens on it, if anybody wants to
    /// know.
    fn lane(
        &mut self,
        _options: &BenchOptions,
        _case: Case,
        _runtime: Runtime,
    ) -> Option<Arc<Feed>> {
        None
    }

    /// It is the turn of this lane, counted from 0 in the order in which they were opened.
    fn turn(&mut self, _lane: usize) {}

    /// Each [`TICK`] while it runs: so many of its operations are done. Says how it goes on.
    fn tick(&mut self, done: u64) -> Flow;

    /// It is over.
    fn end(&mut self);

    /// What came of it, of one runtime.
    fn finished(&mut self, _row: &RowResult) {}
}

/// A progress bar, or lines, with the time that is left of the run.
pub(crate) struct Bar {
    progress: Progress,
    row: String,
    number: usize,
    rows: usize,
    until: Option<Until>,
    lanes: usize,
    began: Instant,
}

impl Bar {
    pub(crate) fn new() -> Bar {
        Bar {
            progress: Progress::new(),
            row: String::new(),
            number: 0,
            rows: 1,
            until: None,
            lanes: 1,
            began: Instant::now(),
        }
    }

    /// Of the row, from 0 to 1; none is known before its end of rows whose length is not known.
    fn part_of_row(&self, done: u64) -> f64 {
        let (length, so_far) = match self.until {
            None => return 0.0,
            Some(Until::Time(time)) => (time.as_secs_f64(), self.began.elapsed().as_secs_f64()),
            Some(Until::Operations(total)) => (total as f64, done as f64),
        };
        (so_far / (length * self.lanes as f64)).min(1.0)
    }
}

impl View for Bar {
    fn begin(&mut self, row: RowBegins<'_>) {
        self.row = row.name.to_owned();
        self.number = row.number;
        self.rows = row.rows;
        self.until = row.until;
        self.lanes = row.lanes;
        self.began = Instant::now();
    }

    fn tick(&mut self, done: u64) -> Flow {
        let part = (self.number as f64 + self.part_of_row(done)) / self.rows as f64;
        let part = (part > 0.0).then_some(part);
        let (number, rows, row) = (self.number + 1, self.rows, &self.row);
        self.progress.at(part, || {
            format!(
                "row {number} of {rows} ({row}): {} operations",
                show_count(done)
            )
        });
        Flow::GoesOn
    }

    fn end(&mut self) {
        if self.number + 1 == self.rows {
            self.progress.clear();
        }
    }
}
