//! Bounded room, first come, first served.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use waitctx::{Notifier, Status};

use crate::sync::Mutex;
use crate::sync::{AtomicU64, Ordering, lock};

/// A bound on what is in flight, with a line of those who wait for room: for engines to build
/// their rings on.
///
/// While anybody is in line, nobody gets in beside it. Room that is left goes to the first in
/// line, is kept for it, and it is woken. Cloning gives another handle to the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    /// How many may be inside.
    capacity: u32,
    /// Inside (low half; those who have room kept for them are) and in line (high half). The
    /// high half changes under the lock of `line` only.
    counts: AtomicU64,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next: u64,
    /// Those that have room kept for them.
    granted: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    notifier: Notifier,
}

const ONE_INSIDE: u64 = 1;
const ONE_IN_LINE: u64 = 1 << 32;

fn inside(counts: u64) -> u32 {
    counts as u32 // the low half
}

fn in_line(counts: u64) -> u32 {
    (counts >> 32) as u32
}

impl Gate {
    /// A gate with room for `capacity`; 0 is taken as 1, since a gate that nobody passes would
    /// keep its line waiting for ever.
    #[must_use]
    pub fn new(capacity: u32) -> Gate {
        Gate {
            shared: Arc::new(Shared {
                capacity: capacity.max(1),
                counts: AtomicU64::new(0),
                line: Mutex::new(Line::default()),
            }),
        }
    }

    /// How many have room.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.shared.capacity
    }

    /// How many are inside now, those for whom room is kept included.
    #[must_use]
    pub fn inside(&self) -> u32 {
        inside(self.shared.counts.load(Ordering::Relaxed))
    }

    /// For how many room is kept that have not gone in yet.
    #[must_use]
    pub fn kept(&self) -> u32 {
        // As many as have room, at most.
        lock(&self.shared.line).granted.len() as u32
    }

    /// Goes in, if there is room and nobody waits for it, or with a ticket whose turn it is. Who
    /// goes in must [`leave`](Gate::leave) once.
    ///
    /// # Errors
    ///
    /// The ticket, if there was one: it keeps its place in line.
    pub fn enter(&self, ticket: Option<Ticket>) -> Result<(), Option<Ticket>> {
        match ticket {
            // A ticket of another gate buys nothing here.
            Some(ticket) if self.issued(&ticket) => ticket.redeem().map_err(Some),
            other => {
                if self.shared.try_enter() {
                    Ok(())
                } else {
                    Err(other)
                }
            }
        }
    }

    /// Whether `ticket` is for this gate.
    #[must_use]
    pub fn issued(&self, ticket: &Ticket) -> bool {
        Arc::ptr_eq(&ticket.shared, &self.shared)
    }

    /// Gives the room up; the first in line gets it.
    ///
    /// # Panics
    ///
    /// If the callback of the one that is woken panics.
    pub fn leave(&self) {
        self.shared.leave();
    }

    /// Gets in line. `notifier` is woken when there is room for this ticket; it may have room at
    /// once ([`Ticket::is_granted`]).
    pub fn wait(&self, notifier: &Notifier) -> Ticket {
        let mut line = lock(&self.shared.line);
        let number = line.next;
        line.next += 1;
        // Room may have been left since the refusal. Nobody can get in line meanwhile.
        if self.shared.try_enter() {
            line.granted.push_back(Waiter {
                number,
                notifier: notifier.clone(),
            });
        } else {
            line.waiters.push_back(Waiter {
                number,
                notifier: notifier.clone(),
            });
            let before = self.shared.counts.fetch_add(ONE_IN_LINE, Ordering::AcqRel);
            // The last one inside may have left between the two, when the line looked empty, and
            // nobody else would let this one in.
            if in_line(before) == 0 && inside(before) < self.shared.capacity {
                self.shared.admit(&mut line);
            }
        }
        Ticket {
            shared: Arc::clone(&self.shared),
            number,
            redeemed: false,
        }
    }
}

impl Shared {
    fn try_enter(&self) -> bool {
        self.counts
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |counts| {
                let room = in_line(counts) == 0 && inside(counts) < self.capacity;
                room.then_some(counts + ONE_INSIDE)
            })
            .is_ok()
    }

    fn leave(&self) {
        let alone = self
            .counts
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |counts| {
                debug_assert!(inside(counts) > 0, "leave without enter");
                (in_line(counts) == 0).then_some(counts - ONE_INSIDE)
            });
        if alone.is_ok() {
            return;
        }
        let next = {
            let mut line = lock(&self.line);
            self.counts.fetch_sub(ONE_INSIDE, Ordering::AcqRel);
            self.admit(&mut line)
        };
        tell(next);
    }

    /// Keeps room for the first in line, if there is any of either. Under the lock.
    fn admit(&self, line: &mut Line) -> Option<Notifier> {
        if inside(self.counts.load(Ordering::Acquire)) >= self.capacity {
            return None;
        }
        let first = line.waiters.pop_front()?;
        let notifier = first.notifier.clone();
        line.granted.push_back(first);
        // One fewer in line, one more inside.
        self.counts
            .fetch_sub(ONE_IN_LINE - ONE_INSIDE, Ordering::AcqRel);
        Some(notifier)
    }
}

fn tell(notifier: Option<Notifier>) {
    if let Some(notifier) = notifier {
        // A failed write: the client's watchdog resumes the job, which finds its turn.
        let _ = notifier.notify(Status::Again);
    }
}

/// A place in line at a [`Gate`]. Dropping it leaves the line, and passes on the room that was kept
/// for it.
#[must_use = "dropping a ticket leaves the line"]
pub struct Ticket {
    shared: Arc<Shared>,
    number: u64,
    redeemed: bool,
}

impl Ticket {
    /// Whether it is this one's turn.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        lock(&self.shared.line)
            .granted
            .iter()
            .any(|w| w.number == self.number)
    }

    /// Takes over room that is kept for another ticket and has not been used yet, if there is any;
    /// that one goes to the head of the line. Says whether this one has room now.
    ///
    /// For who blocks its thread while it waits: room may be kept for a job of that very thread,
    /// which cannot come for it.
    pub fn insist(&self) -> bool {
        let mut line = lock(&self.shared.line);
        let mine = line.waiters.iter().position(|w| w.number == self.number);
        // Not in line any more: it has room.
        let Some(mine) = mine else {
            return true;
        };
        let Some(other) = line.granted.pop_front() else {
            return false;
        };
        if let Some(own) = line.waiters.remove(mine) {
            line.granted.push_back(own);
        }
        line.waiters.push_front(other);
        true
    }

    /// Goes in on the room that was kept.
    fn redeem(mut self) -> Result<(), Ticket> {
        let granted = {
            let mut line = lock(&self.shared.line);
            let at = line.granted.iter().position(|w| w.number == self.number);
            at.and_then(|at| line.granted.remove(at)).is_some()
        };
        if !granted {
            return Err(self);
        }
        self.redeemed = true;
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.redeemed {
            return;
        }
        let had_room = {
            let mut line = lock(&self.shared.line);
            if let Some(at) = line.granted.iter().position(|w| w.number == self.number) {
                line.granted.remove(at);
                true
            } else {
                if let Some(at) = line.waiters.iter().position(|w| w.number == self.number) {
                    line.waiters.remove(at);
                    self.shared.counts.fetch_sub(ONE_IN_LINE, Ordering::AcqRel);
                }
                false
            }
        };
        if had_room {
            self.shared.leave();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("number", &self.number)
            .field("granted", &self.is_granted())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.shared.counts.load(Ordering::Relaxed);
        f.debug_struct("Gate")
            .field("capacity", &self.shared.capacity)
            .field("inside", &inside(counts))
            .field("in_line", &in_line(counts))
            .finish()
    }
}
