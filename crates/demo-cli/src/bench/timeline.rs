//! How a row goes over time, in slots that are as fine as its length allows.

use std::time::Duration;

/// Slots at most; then each two become one.
const SLOTS_MAX: usize = 256;
/// The shortest slot: 2 to the power of this, in nanoseconds. About a millisecond.
const SLOT_BITS: u32 = 20;

/// What happened in each slot of a row's time.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    /// The length of a slot is 2 to the power of this, so that finding one takes no division.
    bits: u32,
    slots: Vec<Slot>,
}

/// What happened in one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    /// Submissions that met a full ring.
    pub(crate) retries: u64,
    /// Summed over the completed operations.
    pub(crate) latency_ns: u64,
}

impl Timeline {
    pub(crate) fn new() -> Timeline {
        Timeline {
            bits: SLOT_BITS,
            slots: Vec::new(),
        }
    }

    /// The slot of a time, in nanoseconds since the row began. Says whether it is a new one.
    #[inline]
    pub(crate) fn at(&mut self, at_ns: u64) -> (&mut Slot, bool) {
        let at = (at_ns >> self.bits) as usize;
        let new = at >= self.slots.len();
        let at = if new { self.grow(at_ns) } else { at };
        (&mut self.slots[at], new)
    }

    /// Counts an operation that was completed.
    #[inline]
    pub(crate) fn completed(&mut self, at_ns: u64, latency: Duration) -> bool {
        let (slot, new) = self.at(at_ns);
        slot.completed += 1;
        slot.latency_ns = slot.latency_ns.saturating_add(latency.as_nanos() as u64);
        new
    }

    #[cold]
    fn grow(&mut self, at_ns: u64) -> usize {
        while at_ns >> self.bits >= SLOTS_MAX as u64 {
            self.widen();
        }
        let at = (at_ns >> self.bits) as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Slot::default());
        }
        at
    }

    /// Each two slots become one.
    fn widen(&mut self) {
        let halves = self.slots.chunks(2);
        self.slots = halves
            .map(|two| {
                let mut slot = two[0];
                if let Some(second) = two.get(1) {
                    slot.add(second);
                }
                slot
            })
            .collect();
        self.bits += 1;
    }

    /// Adds what another thread has seen.
    pub(crate) fn add(&mut self, mut other: Timeline) {
        while self.bits < other.bits {
            self.widen();
        }
        while other.bits < self.bits {
            other.widen();
        }
        if self.slots.len() < other.slots.len() {
            self.slots.resize(other.slots.len(), Slot::default());
        }
        for (slot, more) in self.slots.iter_mut().zip(&other.slots) {
            slot.add(more);
        }
    }

    /// There were so many retries in all: those that nobody had entered any more are of the end.
    pub(crate) fn enter_rest_of_retries(&mut self, total: u64) {
        let entered: u64 = self.slots.iter().map(|slot| slot.retries).sum();
        if let Some(last) = self.slots.last_mut() {
            last.retries += total.saturating_sub(entered);
        }
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How long a slot is.
    pub(crate) fn slot_ns(&self) -> u64 {
        1 << self.bits
    }
}

impl Slot {
    fn add(&mut self, more: &Slot) {
        self.completed += more.completed;
        self.failed += more.failed;
        self.retries += more.retries;
        self.latency_ns = self.latency_ns.saturating_add(more.latency_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1 << SLOT_BITS;

    #[test]
    fn slots_double_and_lose_nothing() {
        let mut timeline = Timeline::new();
        let us = Duration::from_micros;
        for at in 0..1000 {
            timeline.completed(at * MS, us(2));
        }
        assert_eq!(timeline.slot_ns(), 4 * MS);
        assert_eq!(timeline.slots().len(), 250);
        assert!(timeline.slots().iter().all(|slot| slot.completed == 4));
        assert!(timeline.slots().iter().all(|slot| slot.latency_ns == 8000));
        // A year later; the number of slots stays bounded.
        timeline.at(1 << 55).0.failed += 1;
        assert!(timeline.slots().len() <= SLOTS_MAX);
        let sum: u64 = timeline.slots().iter().map(|slot| slot.completed).sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn no_retry_is_left_out() {
        let mut timeline = Timeline::new();
        timeline.enter_rest_of_retries(5);
        assert!(timeline.slots().is_empty());
        timeline.at(0).0.retries = 3;
        timeline.at(MS);
        timeline.enter_rest_of_retries(5);
        let retries: Vec<_> = timeline.slots().iter().map(|slot| slot.retries).collect();
        assert_eq!(retries, [3, 2]);
    }

    #[test]
    fn threads_add_up_whatever_their_slots() {
        let mut long = Timeline::new();
        long.completed(1000 * MS, Duration::ZERO);
        let mut short = Timeline::new();
        short.completed(5 * MS, Duration::ZERO);
        let (mut a, b) = (long.clone(), short.clone());
        a.add(b);
        let (mut b, a2) = (short, long);
        b.add(a2);
        assert_eq!(a.slots(), b.slots());
        assert_eq!((a.slots()[1].completed, a.slots()[250].completed), (1, 1));
    }
}
