//! What happened, the latest of it; what happens again and again is one entry.

use std::collections::VecDeque;
use std::time::Duration;

use super::feed::{Befell, Event, REFUSALS};
use super::picture::{Entry, Kind};

/// Entries that are kept.
const ENTRIES_MAX: usize = 200;
/// The same thing is one entry for so long.
const TOGETHER: Duration = Duration::from_secs(5);

/// The log of a run.
#[derive(Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
}

impl Log {
    /// It has happened to `whom` so many times more.
    fn add(&mut self, at: Duration, kind: Kind, whom: &str, what: &str, times: u64) {
        let same =
            |entry: &&mut Entry| entry.whom == whom && at >= entry.at && at - entry.at < TOGETHER;
        // Another row is another matter.
        let of_row = |entry: &&mut Entry| entry.kind != Kind::Mark;
        let mut latest = self.entries.iter_mut().rev().take_while(of_row);
        if let Some(entry) = latest.find(same) {
            entry.kind = kind;
            match entry.what.iter_mut().find(|(known, _)| known == what) {
                Some((_, so_far)) => *so_far += times,
                None => entry.what.push((what.to_owned(), times)),
            }
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            at,
            kind,
            whom: whom.to_owned(),
            what: vec![(what.to_owned(), times)],
        });
    }

    /// Where the run has come to.
    pub(super) fn mark(&mut self, what: &str) {
        self.add(Duration::ZERO, Kind::Mark, what, "", 1);
    }

    pub(super) fn befell(&mut self, at: Duration, event: Event) {
        let (kind, what) = match event.what {
            Befell::Died => (Kind::Bad, "died"),
            Befell::FoundDead => (Kind::Warning, "found dead"),
            Befell::Restarted => (Kind::Good, "restarted"),
        };
        self.add(at, kind, &format!("endpoint {}", event.endpoint), what, 1);
    }

    /// So many operations more failed of this.
    pub(super) fn failed(&mut self, at: Duration, name: &str, times: u64) {
        if times > 0 {
            self.add(at, Kind::Bad, "operations failed", &words(name), times);
        }
    }

    /// So many more were refused for each reason. A full ring is daily business.
    pub(super) fn refused(&mut self, at: Duration, times: [u64; REFUSALS.len()]) {
        for (reason, times) in REFUSALS.iter().zip(times).skip(1) {
            if times > 0 {
                self.add(at, Kind::Warning, "device refused", reason, times);
            }
        }
    }

    /// The latest of it, the last one last.
    pub(super) fn latest(&self, most: usize) -> Vec<Entry> {
        let skipped = self.entries.len().saturating_sub(most);
        self.entries.iter().skip(skipped).cloned().collect()
    }
}

/// A field's name as words.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_is_one_entry_for_a_while() {
        let mut log = Log::default();
        let second = Duration::from_secs(1);
        let died = Event {
            what: Befell::Died,
            endpoint: 3,
        };
        log.befell(second, died);
        log.failed(second, "timed_out", 4);
        log.failed(second, "down", 0);
        log.befell(2 * second, died);
        let restarted = Event {
            what: Befell::Restarted,
            ..died
        };
        log.befell(2 * second, restarted);
        log.mark("row 2");
        log.befell(3 * second, died);
        log.befell(9 * second, died);
        let said: Vec<_> = (log.latest(9).iter())
            .map(|e| format!("{:?} {} {:?}", e.kind, e.whom, e.what))
            .collect();
        let expected = [
            "Good endpoint 3 [(\"died\", 2), (\"restarted\", 1)]",
            "Bad operations failed [(\"timed out\", 4)]",
            "Mark row 2 [(\"\", 1)]",
            "Bad endpoint 3 [(\"died\", 1)]",
            "Bad endpoint 3 [(\"died\", 1)]",
        ];
        assert_eq!(said, expected);
        for at in 0..1000 {
            log.befell(at * 10 * second, died);
        }
        assert_eq!(log.entries.len(), ENTRIES_MAX);
        assert_eq!(log.latest(2).len(), 2);
    }
}
