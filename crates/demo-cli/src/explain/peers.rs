//! The second reading: how an operation fared beside the others of its row.

use std::collections::HashMap;

use hdrhistogram::Histogram;

use super::read::{End, Event, Item, OpId, Record, Span, Trace};
use super::survey::Found;
use crate::error::InputError;

/// Digits of a median.
const DIGITS: u8 = 3;
/// An operation's time is not full of more than so many deaths worth telling.
const EVENTS_MAX: usize = 20;

/// What is compared, in the order of an operation's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Turn,
    Room,
    Way,
    Queue,
    Service,
    Back,
    Resume,
}

pub(super) const PARTS: [Part; 7] = [
    Part::Turn,
    Part::Room,
    Part::Way,
    Part::Queue,
    Part::Service,
    Part::Back,
    Part::Resume,
];

/// What one side knows of what takes both.
#[derive(Clone, Copy)]
enum Half {
    /// When it was taken on, and when its job went on.
    Job(u64, u64),
    /// When it was at the endpoint, and when it was answered.
    Device(u64, u64),
}

/// The others of a row, seen from one of its operations.
pub(super) struct Peers {
    /// Those that took less time, the same and more.
    pub(super) shorter: u64,
    pub(super) same: u64,
    pub(super) longer: u64,
    parts: [Histogram<u64>; 7],
    /// What is known of others whose other half is yet to come: there it stands near by.
    halves: HashMap<OpId, Half>,
    /// When it came to its endpoint: those that were before it in the queue, and on engines.
    pub(super) ahead: u64,
    pub(super) served: u64,
    /// Its batch, without itself.
    pub(super) batch: u64,
    /// On the endpoint when the device refused it.
    pub(super) inside: u64,
    /// What happened to its endpoint meanwhile.
    pub(super) events: Vec<Event>,
}

impl Peers {
    /// Reads a trace again for the others of this operation's row.
    pub(super) fn of(trace: &Trace, row: u32, found: &Found) -> Result<Peers, InputError> {
        let mut peers = Peers {
            shorter: 0,
            same: 0,
            longer: 0,
            // Invariant: 1 to 5 digits are what the crate takes.
            parts: std::array::from_fn(|_| Histogram::new(DIGITS).expect("3 digits are supported")),
            halves: HashMap::new(),
            ahead: 0,
            served: 0,
            batch: 0,
            inside: 0,
            events: Vec::new(),
        };
        trace.scan(&mut |item| match item {
            Item::Span(span) if span.row == row => peers.see_span(&span, found),
            Item::Record(record) if record.row == row => peers.see_record(&record, found),
            Item::Event(event) if event.row == row => peers.see_event(event, found),
            _ => {}
        })?;
        peers.halves.clear();
        peers.events.sort_by_key(|event| event.at);
        Ok(peers)
    }

    /// All others whose job has ended.
    pub(super) fn others(&self) -> u64 {
        self.shorter + self.same + self.longer
    }

    /// What half of the others took at most for a part.
    pub(super) fn median(&self, part: Part) -> Option<u64> {
        let histogram = &self.parts[part as usize];
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(0.5))
    }

    fn enter(&mut self, part: Part, ns: u64) {
        // Invariant: the histogram grows as it must.
        let recorded = self.parts[part as usize].record(ns);
        recorded.expect("a histogram that resizes takes any value");
    }

    fn see_span(&mut self, span: &Span, found: &Found) {
        let Some(own) = &found.span else { return };
        if span.id == own.id || span.end == End::CutOff {
            return;
        }
        let took = |span: &Span| span.resumed.saturating_sub(span.due);
        match took(span).cmp(&took(own)) {
            std::cmp::Ordering::Less => self.shorter += 1,
            std::cmp::Ordering::Equal => self.same += 1,
            std::cmp::Ordering::Greater => self.longer += 1,
        }
        self.enter(Part::Turn, span.begun.saturating_sub(span.due));
        let refused = span.refused.zip(span.submitted);
        let room = refused.map_or(0, |(refused, in_at)| in_at.at.saturating_sub(refused.at));
        self.enter(Part::Room, room);
        if let (Some(submitted), End::Completed | End::Wrong) = (span.submitted, span.end) {
            self.join(span.id, Half::Job(submitted.at, span.resumed));
        }
    }

    /// Whoever comes second finds the other half.
    fn join(&mut self, id: OpId, half: Half) {
        let other = self.halves.remove(&id);
        match (half, other) {
            (Half::Job(submitted, resumed), Some(Half::Device(arrived, answered)))
            | (Half::Device(arrived, answered), Some(Half::Job(submitted, resumed))) => {
                self.enter(Part::Way, arrived.saturating_sub(submitted));
                self.enter(Part::Resume, resumed.saturating_sub(answered));
            }
            (half, _) => {
                self.halves.insert(id, half);
            }
        }
    }

    fn see_record(&mut self, record: &Record, found: &Found) {
        if found.span.as_ref().is_some_and(|own| own.id == record.id)
            || found.record.as_ref().is_some_and(|own| own.id == record.id)
        {
            return;
        }
        if let (Some(arrived), Some((started, done))) = (record.arrived, record.served) {
            self.enter(Part::Queue, started.saturating_sub(arrived));
            self.enter(Part::Service, done.saturating_sub(started));
            self.enter(Part::Back, record.answered.saturating_sub(done));
            if record.end == End::Completed {
                self.join(record.id, Half::Device(arrived, record.answered));
            }
        }
        let submitted = found.span.as_ref().and_then(|own| own.submitted);
        let endpoint = match (&found.record, submitted) {
            (Some(own), _) => own.endpoint,
            (None, Some(submitted)) => submitted.endpoint,
            (None, None) => return,
        };
        if record.endpoint != endpoint {
            return;
        }
        if let Some(refused) = found.span.as_ref().and_then(|own| own.refused)
            && let Some(arrived) = record.arrived
            && (arrived..record.answered).contains(&refused.at)
        {
            self.inside += 1;
        }
        let Some(own) = &found.record else { return };
        if let (Some(own_arrived), Some(arrived), Some((started, done))) =
            (own.arrived, record.arrived, record.served)
        {
            // Of those that came at the same time the order is that of the engines.
            let own_started = own.served.map_or(u64::MAX, |(started, _)| started);
            let before = arrived < own_arrived || arrived == own_arrived && started < own_started;
            self.ahead += u64::from(before && started > own_arrived);
            self.served += u64::from((started..done).contains(&own_arrived) && before);
            let together = own.engine.is_some() && record.engine == own.engine;
            self.batch += u64::from(together && record.served == own.served && own_started < done);
        }
    }

    fn see_event(&mut self, event: Event, found: &Found) {
        let Some(own) = &found.span else { return };
        let endpoint = own.submitted.map(|submitted| submitted.endpoint);
        // Of one that was never taken on any endpoint's may be why.
        let its = endpoint.is_none_or(|endpoint| endpoint == event.endpoint);
        let meanwhile = (own.due..=own.resumed).contains(&event.at);
        if its && meanwhile && self.events.len() < EVENTS_MAX {
            self.events.push(event);
        }
    }
}
