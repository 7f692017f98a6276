//! A client's slots, used again and again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use waitctx::Notifier;

use crate::completion::{Completion, OpSlot};
use crate::sync::{Mutex, lock};

/// A slot in the hands of one client, for one operation after another.
pub(crate) struct Seat {
    pub(crate) slot: Arc<OpSlot>,
    /// The notifier that the slot holds too, unless it is the first time. Operations that follow one
    /// another in a slot are mostly of the same context, as that job's successor takes both.
    notifier: Option<Notifier>,
}

impl Seat {
    /// Begins an operation. `renew` makes the kept notifier one of the operation's context, and says
    /// whether it is another one now.
    pub(crate) fn begin(
        &mut self,
        renew: impl FnOnce(&mut Option<Notifier>) -> io::Result<bool>,
    ) -> io::Result<Completion> {
        let other = renew(&mut self.notifier)?;
        let notifier = if other { self.notifier.clone() } else { None };
        Ok(OpSlot::begin(&self.slot, notifier))
    }

    /// Who is told of the operation.
    pub(crate) fn notifier(&self) -> Option<&Notifier> {
        self.notifier.as_ref()
    }
}

/// As many slots as operations were ever under way at once.
pub(crate) struct Slots {
    free: Mutex<Vec<Seat>>,
    /// All of them, for the watchdog; those that were abandoned and answered since are dead, and
    /// go when the watchdog finds them or when there is no room for another.
    all: Mutex<Vec<Weak<OpSlot>>>,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots {
            free: Mutex::new(Vec::new()),
            all: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn take(&self) -> Seat {
        if let Some(seat) = lock(&self.free).pop() {
            return seat;
        }
        let slot = Arc::new(OpSlot::new());
        let mut all = lock(&self.all);
        if all.len() == all.capacity() {
            all.retain(|slot| slot.strong_count() > 0);
            // So that the next round of this comes after as many more.
            let live = all.len();
            all.reserve(live.max(8));
        }
        all.push(Arc::downgrade(&slot));
        drop(all);
        Seat {
            slot,
            notifier: None,
        }
    }

    /// Takes back a slot whose answer was picked up.
    pub(crate) fn give(&self, seat: Seat) {
        seat.slot.set_since(0);
        lock(&self.free).push(seat);
    }

    /// Wakes whoever has waited since before `tick`.
    pub(crate) fn nudge_older_than(&self, tick: u64) {
        let mut old = Vec::new();
        lock(&self.all).retain(|slot| {
            let Some(slot) = slot.upgrade() else {
                return false;
            };
            if (1..tick).contains(&slot.since()) {
                old.push(slot);
            }
            true
        });
        // Outside the lock: a nudge may run an application's callback. The panic hook has reported
        // its panic, and the others are still to be woken.
        for slot in old {
            let nudged = catch_unwind(AssertUnwindSafe(|| slot.nudge()));
            // A payload's own drop could panic in turn: it is left alone.
            std::mem::forget(nudged);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_that_were_abandoned_do_not_pile_up() {
        let slots = Slots::new();
        let kept: Vec<_> = (0..10).map(|_| slots.take()).collect();
        for _ in 0..10_000 {
            // Given up, and answered since: nobody holds it any more.
            drop(slots.take());
        }
        assert!(lock(&slots.all).len() <= 64);
        drop(kept);
        slots.nudge_older_than(1);
        assert_eq!(lock(&slots.all).len(), 0);
    }

    #[test]
    fn the_slot_that_came_back_last_is_used_next() {
        let slots = Slots::new();
        let seats = [slots.take(), slots.take()];
        let [a, b] = seats.each_ref().map(|seat| Arc::clone(&seat.slot));
        for seat in seats {
            slots.give(seat);
        }
        assert!(Arc::ptr_eq(&slots.take().slot, &b));
        assert!(Arc::ptr_eq(&slots.take().slot, &a));
        assert_eq!(lock(&slots.all).len(), 2);
    }
}
