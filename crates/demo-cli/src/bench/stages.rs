//! Where an operation's time goes: what the device saw of it, joined with what its job saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use sim_engine::{DeviceEvent, Observer, OpEnd, OpRecord};

use super::tally::{ID_BITS, new_histogram, record};
use super::trace::RowTrace;
use crate::live::feed::Feed;
use crate::report::DeviceNote;

/// The stages, one after the other: together they are an operation's latency.
///
/// ```text
///  intended start ─submit─▶ taken on ─queue─▶ on an engine ─service─▶ done ─answer─▶ answered ─notify─▶ job resumed
/// ```
pub(crate) const STAGES: usize = 5;

/// Places of the table for each job of a thread. An entry lives from when one side has seen the end of
/// an operation until the other has.
const TABLE_PER_JOB: usize = 4;

/// What the operations of a row spent in each stage.
pub(crate) struct StageTally {
    pub(crate) ns: [Histogram<u64>; STAGES],
    pub(crate) sums: [u64; STAGES],
}

/// The stages of a row's operations. Device and jobs tell it from threads of their own.
pub(crate) struct Stages {
    /// One for each thread that runs jobs.
    tables: Vec<Mutex<Table>>,
}

/// By operation id, without allocating for any.
struct Table {
    entries: Vec<Option<Entry>>,
    /// Those whose place a later operation has taken: of few operations, and of the slowest ones, which
    /// would be missed most. No more than there are places.
    overtaken: BTreeMap<u64, Half>,
    tally: StageTally,
}

/// What is known of an operation whose other half is not yet.
struct Entry {
    id: u64,
    half: Half,
}

enum Half {
    Device(Seen),
    Job(Waited),
}

/// The device's half, in nanoseconds of the row's clock.
#[derive(Clone, Copy)]
struct Seen {
    submitted: u64,
    started: u64,
    done: u64,
    answered: u64,
}

/// The job's half.
#[derive(Clone, Copy)]
pub(crate) struct Waited {
    pub(crate) intended: u64,
    pub(crate) resumed: u64,
}

impl Stages {
    /// For `threads` threads of at most `jobs` jobs each.
    pub(crate) fn new(threads: usize, jobs: usize) -> Stages {
        let places = (jobs * TABLE_PER_JOB).next_power_of_two().max(64);
        let table = |_| {
            Mutex::new(Table {
                entries: std::iter::repeat_with(|| None).take(places).collect(),
                overtaken: BTreeMap::new(),
                tally: StageTally::new(),
            })
        };
        Stages {
            tables: (0..threads).map(table).collect(),
        }
    }

    /// The job of operation `id` has its result.
    pub(crate) fn resumed(&self, id: u64, waited: Waited) {
        self.join(id, Half::Job(waited));
    }

    fn ended(&self, record: &OpRecord) {
        let seen = Seen {
            submitted: record.submitted_ns,
            started: record.started_ns,
            done: record.done_ns,
            answered: record.answered_ns,
        };
        self.join(record.id, Half::Device(seen));
    }

    /// Whoever comes second finds the other half.
    fn join(&self, id: u64, half: Half) {
        let Some(table) = self.tables.get((id >> ID_BITS) as usize) else {
            return;
        };
        let mut table = lock(table);
        let at = id as usize & (table.entries.len() - 1); // a power of two
        let other = table.entries[at].take_if(|entry| entry.id == id);
        let other = match other {
            Some(entry) => Some(entry.half),
            None => table.overtaken.remove(&id),
        };
        match (half, other) {
            (Half::Job(waited), Some(Half::Device(seen)))
            | (Half::Device(seen), Some(Half::Job(waited))) => table.tally.add(seen, waited),
            (half, _) => table.keep(at, Entry { id, half }),
        }
    }

    /// What was counted on all threads; `None` if nothing was.
    pub(crate) fn total(&self) -> Option<StageTally> {
        let mut total = StageTally::new();
        for table in &self.tables {
            let table = lock(table);
            for stage in 0..STAGES {
                let added = total.ns[stage].add(&table.tally.ns[stage]);
                // Invariant: they grow as they must, so nothing is out of range.
                added.expect("histograms that resize take any value");
                total.sums[stage] += table.tally.sums[stage];
            }
        }
        (!total.ns[0].is_empty()).then_some(total)
    }
}

impl Table {
    fn keep(&mut self, at: usize, entry: Entry) {
        let Some(older) = self.entries[at].replace(entry) else {
            return;
        };
        self.overtaken.insert(older.id, older.half);
        if self.overtaken.len() > self.entries.len() {
            // Nobody will ask for it: of all that wait, it has waited longest.
            self.overtaken.pop_first();
        }
    }
}

impl StageTally {
    fn new() -> StageTally {
        StageTally {
            ns: std::array::from_fn(|_| new_histogram()),
            sums: [0; STAGES],
        }
    }

    fn add(&mut self, seen: Seen, waited: Waited) {
        let times = [
            waited.intended,
            seen.submitted,
            seen.started,
            seen.done,
            seen.answered,
            waited.resumed,
        ];
        for (stage, ends) in times.windows(2).enumerate() {
            let ns = ends[1].saturating_sub(ends[0]);
            record(&mut self.ns[stage], ns);
            // Years of virtual time fill it.
            self.sums[stage] = self.sums[stage].saturating_add(ns);
        }
    }
}

/// What befell a device, the first of it.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<DeviceNote>>);

/// Of all that befalls a device, so much is kept.
const NOTES_MAX: usize = 1000;

impl Notes {
    fn add(&self, at_ns: u64, what: &'static str, endpoint: u32) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES_MAX {
            notes.push(DeviceNote {
                at_s: at_ns as f64 / 1e9,
                what: what.into(),
                endpoint,
            });
        }
    }

    pub(crate) fn take(&self) -> Vec<DeviceNote> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a device tells a bench.
pub(crate) struct Watch {
    pub(crate) stages: Option<Arc<Stages>>,
    pub(crate) trace: Option<Arc<RowTrace>>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) live: Option<Arc<Feed>>,
}

impl Observer for Watch {
    fn observe(&self, event: &DeviceEvent) {
        if let Some(live) = &self.live {
            live.observe(event);
        }
        match event {
            DeviceEvent::Ended(record) if record.end == OpEnd::Completed => {
                if let Some(stages) = &self.stages {
                    stages.ended(record);
                }
            }
            DeviceEvent::Died { at_ns, endpoint } => self.notes.add(*at_ns, "died", *endpoint),
            DeviceEvent::FoundDead { at_ns, endpoint } => {
                self.notes.add(*at_ns, "found dead", *endpoint);
            }
            DeviceEvent::Restarted { at_ns, endpoint } => {
                self.notes.add(*at_ns, "restarted", *endpoint);
            }
            _ => {}
        }
        if let Some(trace) = &self.trace {
            trace.on_device(event);
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Whole at each step.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen {
        submitted: 13,
        started: 20,
        done: 120,
        answered: 150,
    };
    const WAITED: Waited = Waited {
        intended: 10,
        resumed: 151,
    };

    #[test]
    fn whoever_comes_second_joins() {
        let stages = Stages::new(2, 1);
        let id = 1 << ID_BITS | 7;
        stages.join(id, Half::Device(SEEN));
        assert!(stages.total().is_none());
        stages.resumed(id, WAITED);
        stages.resumed(8, WAITED);
        stages.join(8, Half::Device(SEEN));
        let total = stages.total().expect("two");
        assert_eq!(total.sums, [6, 14, 200, 60, 2]);
        assert_eq!(total.ns[2].len(), 2);
        assert_eq!(total.sums.iter().sum::<u64>(), 2 * (151 - 10));
    }

    #[test]
    fn halves_that_nobody_asks_for_do_not_pile_up_and_match_nobody_else() {
        let stages = Stages::new(1, 16);
        for id in 0..10_000 {
            stages.join(id, Half::Device(SEEN));
        }
        // In the place of a later one.
        stages.resumed(3, WAITED);
        assert!(stages.total().is_none());
        stages.resumed(9_999, WAITED);
        assert_eq!(stages.total().expect("one").ns[0].len(), 1);
        let table = lock(&stages.tables[0]);
        assert!(table.overtaken.len() <= table.entries.len());
    }

    #[test]
    fn an_operation_that_many_others_overtake_is_counted_too() {
        let stages = Stages::new(1, 16);
        stages.resumed(0, WAITED);
        for id in 1..10_000 {
            stages.join(id, Half::Device(SEEN));
            stages.resumed(id, WAITED);
        }
        stages.join(0, Half::Device(SEEN));
        assert_eq!(stages.total().expect("all").ns[0].len(), 10_000);
        assert!(lock(&stages.tables[0]).overtaken.is_empty());
    }
}
