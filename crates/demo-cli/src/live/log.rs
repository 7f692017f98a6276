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
    /// It has happened so many times more.
    fn add(&mut self, at: Duration, kind: Kind, what: String, times: u64) {
        let same =
            |entry: &&mut Entry| entry.what == what && at >= entry.at && at - entry.at < TOGETHER;
        // Another row is another matter.
        let of_row = |entry: &&mut Entry| entry.kind != Kind::Mark;
        let latest = self.entries.iter_mut().rev().take(20);
        if let Some(entry) = latest.take_while(of_row).find(same) {
            entry.times += times;
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry {
            at,
            kind,
            what,
            times,
        });
    }

    /// Where the run has come to.
    pub(super) fn mark(&mut self, what: String) {
        self.add(Duration::ZERO, Kind::Mark, what, 1);
    }

    pub(super) fn befell(&mut self, at: Duration, event: Event) {
        let (kind, what) = match event.what {
            Befell::Died => (Kind::Bad, "died"),
            Befell::FoundDead => (Kind::Warning, "was found dead"),
            Befell::Restarted => (Kind::Good, "restarted"),
        };
        self.add(at, kind, format!("endpoint {} {what}", event.endpoint), 1);
    }

    /// So many operations more failed of this.
    pub(super) fn failed(&mut self, at: Duration, name: &str, times: u64) {
        if times > 0 {
            self.add(
                at,
                Kind::Bad,
                format!("operation failed: {}", words(name)),
                times,
            );
        }
    }

    /// So many more were refused for each reason. A full ring is daily business.
    pub(super) fn refused(&mut self, at: Duration, times: [u64; REFUSALS.len()]) {
        for (reason, times) in REFUSALS.iter().zip(times).skip(1) {
            if times > 0 {
                self.add(at, Kind::Warning, format!("refused: {reason}"), times);
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
        log.befell(2 * second, died);
        log.mark("row 2".to_owned());
        log.befell(3 * second, died);
        let said: Vec<_> = (log.latest(9).iter())
            .map(|e| (e.what.clone(), e.times))
            .collect();
        let dead = || "endpoint 3 died".to_owned();
        let failed = "operation failed: timed out".to_owned();
        let row = "row 2".to_owned();
        assert_eq!(said, [(dead(), 2), (failed, 4), (row, 1), (dead(), 1)]);
        for at in 0..1000 {
            log.befell(at * 10 * second, died);
        }
        assert_eq!(log.entries.len(), ENTRIES_MAX);
        assert_eq!(log.latest(2).len(), 2);
    }
}
