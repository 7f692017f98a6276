//! The life of an operation, from when it was due until its job went on.

use serde::Serialize;

use super::draw::{Bar, time, timeline};
use super::peers::Peers;
use super::read::{End, OpId};
use super::survey::{Found, Row};
use super::teller::{SILENT, Teller};
use crate::color::Paint;
use crate::human::printable;
use crate::report::size_with_unit;

/// An operation's life, told. Times are nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct Life {
    pub(super) op: u64,
    pub(super) thread: u64,
    /// None of one that was under way when the run was over.
    pub(super) job: Option<u64>,
    pub(super) row: String,
    pub(super) kind: String,
    pub(super) bytes: u64,
    pub(super) device: Option<String>,
    pub(super) endpoint: Option<u32>,
    pub(super) instance: Option<u32>,
    pub(super) engine: Option<u32>,
    /// completed, wrong, failed, cancelled or cut off.
    pub(super) end: &'static str,
    pub(super) why: Option<String>,
    /// When it was due, by the row's clock.
    pub(super) due_ns: u64,
    pub(super) took_ns: u64,
    pub(super) steps: Vec<Step>,
    pub(super) stages: Vec<Stage>,
    pub(super) compared: Compared,
}

/// Something that happened to it.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// Since it was due.
    pub(super) at_ns: u64,
    /// How long until the next one of its own.
    pub(super) took_ns: Option<u64>,
    pub(super) said: String,
}

/// Where its time went, one after the other.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
}

/// Beside the others of its row.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) others: u64,
    pub(super) shorter: u64,
    pub(super) longer: u64,
    pub(super) said: String,
}

impl Life {
    /// Tells what was found.
    pub(super) fn tell(id: OpId, row: &Row, found: &Found, peers: &Peers) -> Life {
        let teller = Teller { row, found, peers };
        let points = teller.points();
        let silent = points.windows(2).filter(|two| two[0].stage == SILENT);
        let silent = silent.map(|two| two[1].at - two[0].at).sum();
        let due = points.first().map_or(0, |point| point.at);
        let resumed = points.last().map_or(0, |point| point.at);
        let stages = points.windows(2).filter(|two| two[0].at < two[1].at);
        let stages = stages.map(|two| Stage {
            name: two[0].stage,
            from_ns: two[0].at - due,
            to_ns: two[1].at - due,
        });
        let stages = stages.collect();
        let own = (0..points.len()).map(|at| Step {
            at_ns: points[at].at - due,
            took_ns: points.get(at + 1).map(|next| next.at - points[at].at),
            said: points[at].said.clone(),
        });
        // At the same time first what happens to its endpoint, then what comes of it, then what is
        // too late.
        let mut steps = teller.events(due);
        steps.extend(own);
        steps.extend(teller.too_late(due));
        steps.sort_by_key(|step| step.at_ns); // stable
        let span = found.span.as_ref();
        let record = found.record.as_ref();
        let submitted = span.and_then(|span| span.submitted);
        Life {
            op: id.n,
            thread: id.thread,
            job: span.and_then(|span| span.job),
            row: row.head.name.clone(),
            kind: row.head.kind.clone(),
            bytes: record.map_or(row.head.bytes, |record| record.bytes),
            device: row.head.device.clone(),
            endpoint: (submitted.map(|s| s.endpoint)).or(record.map(|record| record.endpoint)),
            instance: submitted.map(|s| s.instance),
            engine: record.and_then(|record| record.engine),
            end: match teller.end() {
                End::Completed => "completed",
                End::Wrong => "wrong",
                End::Failed => "failed",
                End::Cancelled => "cancelled",
                End::Orphaned | End::CutOff => "cut off",
            },
            why: span.and_then(|span| span.why.clone()),
            due_ns: due,
            took_ns: resumed - due,
            steps,
            stages,
            compared: teller.compared(silent),
        }
    }

    /// For people, in so many columns.
    pub(super) fn lines(&self, columns: usize, paint: Paint) -> Vec<String> {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let job = match self.job {
            Some(job) => format!(", in job {job}"),
            None => String::new(),
        };
        let device = match &self.device {
            Some(device) => format!(" on {}", printable(device)),
            None => String::new(),
        };
        let mut lines = vec![
            paint.heading(format_args!(
                "Operation {} of thread {}{job}: {} of {}{device}, in row '{}'",
                self.op,
                self.thread,
                printable(&self.kind),
                size_with_unit(bytes),
                printable(&self.row)
            )),
            match self.end {
                "completed" => self.verdict(),
                _ => paint.bad(self.verdict()),
            },
            String::new(),
            "        at       took".to_owned(),
        ];
        for step in &self.steps {
            let took = match step.took_ns {
                Some(ns) if ns > 0 => time(ns),
                _ => String::new(),
            };
            let said = printable(&step.said);
            lines.push(format!("{:>10} {took:>10}  {said}", time(step.at_ns)));
        }
        if !self.stages.is_empty() {
            lines.push(String::new());
            let bars = self.stages.iter().map(|stage| Bar {
                label: stage.name,
                from: stage.from_ns,
                to: stage.to_ns,
            });
            lines.extend(timeline(&bars.collect::<Vec<_>>(), columns));
        }
        lines
    }

    fn verdict(&self) -> String {
        let took = time(self.took_ns);
        let ended = match self.end {
            "completed" => format!("completed in {took}"),
            "wrong" => format!("answered WRONGLY in {took}"),
            "cut off" => "cut off: the run was over before its job went on".to_owned(),
            end => format!("{end} after {took}"),
        };
        match self.compared.said.as_str() {
            "" => ended,
            said => format!("{ended}; {said}"),
        }
    }
}
