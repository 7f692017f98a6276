//! The first reading: which rows there are, and what is asked for.

use std::collections::BTreeMap;

use super::read::{End, Item, OpId, Record, RowHead, Span, Trace};
use crate::error::InputError;
use crate::human::{printable, printable_start};
use crate::suggest::did_you_mean;

/// Rows that are listed in a sentence, at most: a sweep may have thousands.
const LISTED_MAX: usize = 20;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Op(OpId),
    Job(u64),
    /// The operation that took longest.
    Slowest,
}

/// A trace at a glance.
pub(super) struct Survey {
    /// What was run, in a line.
    pub(super) options: String,
    /// By number.
    pub(super) rows: BTreeMap<u32, Row>,
}

/// A row at a glance.
pub(super) struct Row {
    pub(super) head: RowHead,
    pub(super) operations: u64,
    /// For each thread the last operation's number.
    threads: BTreeMap<u64, u64>,
    /// The last job's number.
    last_job: Option<u64>,
    /// The operation that took longest, and how long.
    slowest: Option<(u64, OpId)>,
    /// Of the operation that is looked for.
    pub(super) found: Found,
    /// From when to when the job that is looked for had operations.
    pub(super) job: Option<(u64, u64)>,
}

/// What a trace holds of one operation.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) span: Option<Span>,
    pub(super) record: Option<Record>,
}

impl Found {
    pub(super) fn any(&self) -> bool {
        self.span.is_some() || self.record.is_some()
    }
}

impl Row {
    fn new(head: RowHead) -> Row {
        Row {
            head,
            operations: 0,
            threads: BTreeMap::new(),
            last_job: None,
            slowest: None,
            found: Found::default(),
            job: None,
        }
    }

    fn see_span(&mut self, span: Span, wanted: Wanted) {
        self.operations += 1;
        let last = self.threads.entry(span.id.thread).or_insert(span.id.n);
        *last = (*last).max(span.id.n);
        self.last_job = self.last_job.max(span.job);
        let took = span.resumed.saturating_sub(span.due);
        // The first of those that took as long.
        if span.end != End::CutOff && self.slowest.is_none_or(|(most, _)| took > most) {
            self.slowest = Some((took, span.id));
        }
        match wanted {
            Wanted::Job(job) if span.job == Some(job) => {
                let (from, to) = self.job.unwrap_or((span.begun, span.resumed));
                self.job = Some((from.min(span.begun), to.max(span.resumed)));
            }
            Wanted::Op(id) if span.id == id => self.found.span = Some(span),
            _ => {}
        }
    }

    /// Which operations and jobs there are, in words.
    fn range(&self) -> String {
        let threads: Vec<_> = self.threads.iter().collect();
        match threads[..] {
            [] => "none".to_owned(),
            [(thread, last)] => format!("0 to {last} of thread {thread}"),
            [.., (thread, _)] => {
                let most = threads.iter().map(|(_, last)| **last).max();
                format!("0 to {} of threads 0 to {thread}", most.unwrap_or(0))
            }
        }
    }
}

impl Survey {
    /// Reads a trace for what is wanted.
    pub(super) fn of(trace: &Trace, wanted: Wanted) -> Result<Survey, InputError> {
        let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
        let options = trace.scan(&mut |item| match item {
            Item::Row(head) => {
                rows.entry(head.number).or_insert_with(|| Row::new(head));
            }
            Item::Span(span) => {
                if let Some(row) = rows.get_mut(&span.row) {
                    row.see_span(span, wanted);
                }
            }
            Item::Record(record) => {
                if let Some(row) = rows.get_mut(&record.row)
                    && wanted == Wanted::Op(record.id)
                {
                    row.found.record = Some(record);
                }
            }
            Item::Event(_) => {}
        })?;
        Ok(Survey { options, rows })
    }

    /// The rows' names.
    pub(super) fn names(&self) -> Vec<&str> {
        let heads = self.rows.values().map(|row| &row.head);
        heads.map(|head| head.name.as_str()).collect()
    }

    /// The row that is meant: by its number or its name, and if neither is given the first that has
    /// what is wanted.
    pub(super) fn row(&self, asked: Option<&str>, wanted: Wanted) -> Result<&Row, InputError> {
        let has = |row: &&Row| match wanted {
            Wanted::Op(_) => row.found.any(),
            Wanted::Job(_) => row.job.is_some(),
            Wanted::Slowest => row.slowest.is_some(),
        };
        let Some(asked) = asked else {
            let found = self.rows.values().find(has);
            return found.ok_or_else(|| self.nothing(self.rows.values(), wanted));
        };
        let number = asked.parse().ok();
        let by_number = number.and_then(|number: u32| self.rows.get(&number));
        let row = by_number.or_else(|| self.rows.values().find(|row| row.head.name == asked));
        match row {
            None => Err(InputError::NoSuchRow {
                row: printable_start(asked),
                rows: self.in_words(),
                meant: printable(&did_you_mean(asked, self.names())),
            }),
            Some(row) if has(&row) => Ok(row),
            Some(row) => Err(self.nothing([row], wanted)),
        }
    }

    /// The slowest operation of a row that has one.
    pub(super) fn slowest(row: &Row) -> Option<OpId> {
        row.slowest.map(|(_, id)| id)
    }

    /// The rows, with their numbers, for a terminal.
    pub(super) fn in_words(&self) -> String {
        let rows = self.rows.iter();
        let name = |row: &Row| printable_start(&row.head.name);
        in_a_list(rows.map(|(number, row)| format!("{number} ({})", name(row))))
    }

    fn nothing<'a>(
        &self,
        rows: impl IntoIterator<Item = &'a Row> + Clone,
        wanted: Wanted,
    ) -> InputError {
        let one = self.rows.len() == 1;
        let ranges = rows.into_iter().map(|row| {
            let range = match wanted {
                Wanted::Job(_) => match row.last_job {
                    None => "none".to_owned(),
                    Some(last) => format!("0 to {last}"),
                },
                _ => row.range(),
            };
            match one {
                true => range,
                false => format!("{range} in row {}", row.head.number),
            }
        });
        let there = in_a_list(ranges);
        let (what, kind) = match wanted {
            Wanted::Op(OpId { thread, n }) => {
                (format!("operation {n} of thread {thread}"), "operations")
            }
            Wanted::Job(job) => (format!("job {job}"), "jobs"),
            Wanted::Slowest => ("operation".to_owned(), "operations"),
        };
        InputError::NotInTrace { what, kind, there }
    }
}

/// The first of them, and how many more there are; `none` of none.
fn in_a_list(mut things: impl Iterator<Item = String>) -> String {
    let first: Vec<_> = things.by_ref().take(LISTED_MAX).collect();
    match (first.len(), things.count()) {
        (0, _) => "none".to_owned(),
        (_, 0) => first.join(", "),
        (_, more) => format!("{} and {more} more", first.join(", ")),
    }
}
