//! The life of a job: the operations that it ran, one after the other, over and over.

use std::collections::VecDeque;

use serde::Serialize;

use super::draw::{Doing, Strip, time};
use super::read::{End, Item, Span, Trace};
use super::survey::Row;
use crate::color::Paint;
use crate::error::InputError;
use crate::human::printable;
use crate::units::show_count;

/// Of a longer life so many operations from its beginning and from its end are listed.
const LISTED: usize = 20;

/// A job's life, told. Times are nanoseconds of the row's clock.
#[derive(Debug, Serialize)]
pub(super) struct JobLife {
    pub(super) job: u64,
    pub(super) row: String,
    pub(super) operations: u64,
    pub(super) completed: u64,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    /// On its thread, from when an operation was begun until the device had it.
    pub(super) busy_ns: u64,
    /// Off its thread, until it went on.
    pub(super) paused_ns: u64,
    /// Without an operation.
    pub(super) idle_ns: u64,
    /// The first ones, and the last ones.
    pub(super) listed: Vec<Listed>,
    #[serde(skip)]
    strip: String,
}

/// One of its operations.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// How many there are before it.
    #[serde(skip)]
    at: u64,
    pub(super) op: u64,
    pub(super) thread: u64,
    pub(super) begun_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) paused_ns: u64,
    /// Without an operation, before it.
    pub(super) gap_ns: u64,
    /// Why it was not completed, or not as it should be.
    pub(super) failed: Option<String>,
}

impl JobLife {
    /// Reads a trace for a job of this row, which had operations from one time to another. `all`: each
    /// of them is listed.
    pub(super) fn of(
        trace: &Trace,
        row: &Row,
        job: u64,
        (from, to): (u64, u64),
        all: bool,
        columns: usize,
    ) -> Result<JobLife, InputError> {
        let mut life = JobLife {
            job,
            row: row.head.name.clone(),
            operations: 0,
            completed: 0,
            from_ns: from,
            to_ns: to,
            busy_ns: 0,
            paused_ns: 0,
            idle_ns: 0,
            listed: Vec::new(),
            strip: String::new(),
        };
        let mut strip = Strip::new(from, to, columns);
        let mut last = VecDeque::new();
        let mut free = from;
        trace.scan(&mut |item| {
            let Item::Span(span) = item else { return };
            if span.row != row.head.number || span.job != Some(job) {
                return;
            }
            let listed = life.enter(&span, free, &mut strip);
            free = free.max(span.resumed);
            if all || life.listed.len() < LISTED {
                life.listed.push(listed);
                return;
            }
            if last.len() == LISTED {
                last.pop_front();
            }
            last.push_back(listed);
        })?;
        life.listed.extend(last);
        life.strip = strip.draw();
        Ok(life)
    }

    /// Counts an operation of a job that was free since `free`.
    fn enter(&mut self, span: &Span, free: u64, strip: &mut Strip) -> Listed {
        let refused = span.refused.map(|refused| refused.at);
        let submitted = span.submitted.map(|submitted| submitted.at);
        // What never left its thread was busy all the time.
        let paused = refused.or(submitted).unwrap_or(span.resumed);
        let paused = paused.clamp(span.begun, span.resumed.max(span.begun));
        strip.add(Doing::Busy, span.begun, paused);
        strip.add(Doing::Paused, paused, span.resumed);
        let listed = Listed {
            at: self.operations,
            op: span.id.n,
            thread: span.id.thread,
            begun_ns: span.begun,
            busy_ns: paused - span.begun,
            paused_ns: span.resumed.saturating_sub(paused),
            gap_ns: span.begun.saturating_sub(free),
            failed: match span.end {
                End::Completed => None,
                End::Wrong => Some("the answer is WRONG".to_owned()),
                End::Cancelled => Some("cancelled".to_owned()),
                _ => Some(span.why.clone().unwrap_or_else(|| "failed".to_owned())),
            },
        };
        self.operations += 1;
        self.completed += u64::from(span.end == End::Completed);
        self.busy_ns = self.busy_ns.saturating_add(listed.busy_ns);
        self.paused_ns = self.paused_ns.saturating_add(listed.paused_ns);
        self.idle_ns = self.idle_ns.saturating_add(listed.gap_ns);
        listed
    }

    /// For people.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let whole = self.to_ns - self.from_ns;
        let s = if self.operations == 1 { "" } else { "s" };
        let mut lines = vec![
            paint.heading(format_args!(
                "Job {} of row '{}': {} operation{s} in {}, {} completed",
                self.job,
                printable(&self.row),
                show_count(self.operations),
                time(whole),
                show_count(self.completed)
            )),
            String::new(),
            format!(
                "{:>14} {:>10} {:>10} {:>10} {:>10}",
                "operation", "begun at", "after", "busy", "paused"
            ),
        ];
        let mut next = 0;
        for listed in &self.listed {
            if listed.at > next {
                let left_out = show_count(listed.at - next);
                lines.push(format!("{:>14} {left_out} more; --all lists them", "..."));
            }
            next = listed.at + 1;
            let id = match listed.thread {
                0 => listed.op.to_string(),
                thread => format!("{thread}:{}", listed.op),
            };
            let mut line = format!(
                "{id:>14} {:>10} {:>10} {:>10} {:>10}",
                time(listed.begun_ns - self.from_ns),
                time(listed.gap_ns),
                time(listed.busy_ns),
                time(listed.paused_ns)
            );
            if let Some(why) = &listed.failed {
                line += "  ";
                line += &printable(why);
            }
            lines.push(line);
        }
        lines.push(String::new());
        lines.push(self.strip.clone());
        let parts = [
            (Doing::Busy, "busy", self.busy_ns),
            (Doing::Paused, "paused", self.paused_ns),
            (Doing::Idle, "idle", self.idle_ns),
        ];
        let parts = parts.map(|(doing, name, ns)| {
            let share = match whole {
                0 => 0.0,
                whole => 100.0 * ns as f64 / whole as f64,
            };
            format!("{} {name} {} ({share:.1} %)", doing.glyph(), time(ns))
        });
        lines.push(parts.join("   "));
        lines
    }
}
