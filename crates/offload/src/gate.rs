//! Bounded room, first come, first served.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crossbeam_utils::CachePadded;
use waitctx::{Notifier, Status};

use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, lock};

/// A bound on what is in flight, with a line of those who wait for room: for engines to build
/// their rings on.
///
/// While anybody is in line, nobody gets in beside it, but for who asked at the very moment when the
/// line began. Room that is left goes to the first in line, is kept for it, and it is woken. Cloning gives another handle to the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

/// Those who go in and those who leave are on different threads, so each side counts on cache lines
/// of its own: inside are those who went in less those who left. Who goes in looks at the other
/// side's count only when there seems to be no room.
struct Shared {
    /// How many may be inside.
    capacity: u32,
    entry: CachePadded<Entry>,
    /// How many have left so far.
    left: CachePadded<AtomicU64>,
    /// How many are in line. Changes under the lock of `line` only. Who leaves counts itself first
    /// and then looks here; who gets in line is counted here first and then looks for room; so one of
    /// the two sees the other.
    in_line: CachePadded<AtomicU32>,
    line: Mutex<Line>,
}

struct Entry {
    /// How many went in so far, those who have room kept for them included.
    entered: AtomicU64,
    /// What `left` was when somebody looked: never more than it is.
    left_seen: AtomicU64,
}

#[derive(Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    next: u64,
    /// Those that have room kept for them.
    granted: VecDeque<Waiter>,
}

#[derive(Clone)]
struct Waiter {
    number: u64,
    notifier: Notifier,
}

impl Gate {
    /// A gate with room for `capacity`; 0 is taken as 1, since a gate that nobody passes would
    /// keep its line waiting for ever.
    #[must_use]
    pub fn new(capacity: u32) -> Gate {
        Gate {
            shared: Arc::new(Shared {
                capacity: capacity.max(1),
                entry: CachePadded::new(Entry {
                    entered: AtomicU64::new(0),
                    left_seen: AtomicU64::new(0),
                }),
                left: CachePadded::new(AtomicU64::new(0)),
                in_line: CachePadded::new(AtomicU32::new(0)),
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
        self.shared.inside()
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
    ///
    /// # Panics
    ///
    /// If the callback of somebody else in line, who is woken here, panics.
    pub fn wait(&self, notifier: &Notifier) -> Ticket {
        let mut line = lock(&self.shared.line);
        let number = line.next;
        line.next += 1;
        line.waiters.push_back(Waiter {
            number,
            notifier: notifier.clone(),
        });
        // From here on nobody gets in beside the line, and who leaves looks at it.
        self.shared.in_line.fetch_add(1, Ordering::SeqCst);
        dekker();
        // Room may have been left since the refusal. It goes to the first in line, who may be
        // somebody else: who left the room has not come to it yet.
        let first = self.shared.admit(&mut line);
        drop(line);
        // Made before the other one is told, whose callback may panic: it would leave the line then.
        let ticket = Ticket {
            shared: Arc::clone(&self.shared),
            number,
            redeemed: false,
        };
        tell(first.filter(|first| first.number != number));
        ticket
    }
}

/// Keeps what is counted before it and what is looked at after it in that order, for all threads. On
/// the machine the counting itself does, being `SeqCst` like the looking; the model checker takes
/// both for less and wants a fence.
fn dekker() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

impl Shared {
    fn inside(&self) -> u32 {
        // In this order: never more than there is room for. Read while others pass, it may be too few.
        let entered = self.entry.entered.load(Ordering::Acquire);
        let left = self.left.load(Ordering::Acquire);
        u32::try_from(entered.saturating_sub(left)).unwrap_or(u32::MAX)
    }

    fn try_enter(&self) -> bool {
        self.in_line.load(Ordering::Acquire) == 0 && self.occupy()
    }

    /// Takes room, if there is any.
    fn occupy(&self) -> bool {
        let entry = &*self.entry;
        let capacity = u64::from(self.capacity);
        let mut entered = entry.entered.load(Ordering::Relaxed);
        loop {
            let mut left = entry.left_seen.load(Ordering::Acquire);
            if entered >= left + capacity {
                left = self.left.load(Ordering::SeqCst);
                if entered >= left + capacity {
                    return false;
                }
                entry.left_seen.store(left, Ordering::Release);
            }
            // What was left before is done with: whoever left it put it in order first.
            match entry.entered.compare_exchange_weak(
                entered,
                entered + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => entered = now,
            }
        }
    }

    fn leave(&self) {
        let left = self.left.fetch_add(1, Ordering::SeqCst);
        debug_assert!(
            left < self.entry.entered.load(Ordering::Relaxed),
            "leave without enter"
        );
        dekker();
        if self.in_line.load(Ordering::SeqCst) == 0 {
            return;
        }
        let next = self.admit(&mut lock(&self.line));
        tell(next);
    }

    /// Keeps room for the first in line, if there is any of either. Under the lock.
    fn admit(&self, line: &mut Line) -> Option<Waiter> {
        if line.waiters.is_empty() || !self.occupy() {
            return None;
        }
        let first = line.waiters.pop_front()?;
        line.granted.push_back(first.clone());
        self.in_line.fetch_sub(1, Ordering::SeqCst);
        Some(first)
    }
}

fn tell(waiter: Option<Waiter>) {
    if let Some(Waiter { notifier, .. }) = waiter {
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
                    self.shared.in_line.fetch_sub(1, Ordering::SeqCst);
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
        f.debug_struct("Gate")
            .field("capacity", &self.shared.capacity)
            .field("inside", &self.shared.inside())
            .field("in_line", &self.shared.in_line.load(Ordering::Relaxed))
            .finish()
    }
}
