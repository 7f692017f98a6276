//! What a ready queue holds, and how a wake puts a token into it.

use std::io;
use std::sync::Arc;

use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, lock};
use crate::wake_fd::WakeFd;

/// What the owner of a queue shares with the contexts that are attached to it.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) unpark: Condvar,
    pub(super) fd: Option<WakeFd>,
    /// There may be tokens: what an owner looks at while it spins, so that it does not fight for the
    /// lock with those who put tokens in. Written under the lock.
    pub(super) some: OwnLine<AtomicBool>,
    /// As `armed` of the queue, for who only wants to know whether a wake would cost much. Written
    /// under the lock.
    asleep: OwnLine<AtomicBool>,
}

/// On a cache line that is nobody else's, and not fetched along with its neighbour.
#[repr(align(128))]
pub(super) struct OwnLine<T>(pub(super) T);

#[derive(Default)]
pub(super) struct Queue {
    /// Oldest first.
    ready: Vec<u64>,
    /// For each attached context, the round in which it was last queued. It is in `ready` if that
    /// is the round that runs now: so taking all tokens is one step, however many there are.
    queued_in: Vec<u64>,
    /// Places in `queued_in` whose context was attached elsewhere, or is gone.
    free: Vec<usize>,
    /// Counts how often the tokens were taken. Not 0, which is the round of a context that was
    /// never queued.
    round: u64,
    /// The owner sleeps, or is about to: the next wake must wake it. Taken by that wake, so that
    /// there is at most one per sleep.
    armed: bool,
    /// The owner is gone: nobody will ever take a token.
    closed: bool,
    pub(super) wakes: u64,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            round: 1,
            ..Queue::default()
        }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// A place for one more context.
    fn place(&mut self) -> usize {
        if let Some(at) = self.free.pop() {
            self.queued_in[at] = 0;
            return at;
        }
        self.queued_in.push(0);
        self.queued_in.len() - 1
    }

    /// Queues a context's token, unless it is in the queue.
    fn push(&mut self, slot: &ReadySlot) {
        let queued_in = &mut self.queued_in[slot.place];
        if *queued_in != self.round && !self.closed {
            *queued_in = self.round;
            self.ready.push(slot.token);
        }
    }

    /// Takes all tokens. A wake that comes after this queues its context again: its result may
    /// have come after the owner looked.
    fn take(&mut self, tokens: &mut Vec<u64>) -> usize {
        let count = self.ready.len();
        if count == 0 {
            return 0;
        }
        self.round += 1;
        if tokens.is_empty() {
            // The two buffers go round.
            std::mem::swap(&mut self.ready, tokens);
        } else {
            tokens.append(&mut self.ready);
        }
        count
    }

    fn close(&mut self) {
        self.closed = true;
        self.ready = Vec::new();
    }
}

impl Shared {
    pub(super) fn new(fd: Option<WakeFd>) -> Arc<Shared> {
        Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            unpark: Condvar::new(),
            fd,
            some: OwnLine(AtomicBool::new(false)),
            asleep: OwnLine(AtomicBool::new(false)),
        })
    }

    /// Takes all tokens.
    pub(super) fn take(&self, queue: &mut Queue, tokens: &mut Vec<u64>) -> usize {
        let count = queue.take(tokens);
        if count > 0 {
            self.some.0.store(false, Ordering::Relaxed);
        }
        count
    }

    /// Queues the tokens of `slots`, all of this queue, and wakes its owner if it sleeps.
    pub(super) fn push<'a>(&self, slots: impl Iterator<Item = &'a ReadySlot>) -> io::Result<()> {
        let asleep = {
            let mut queue = lock(&self.queue);
            for slot in slots {
                queue.push(slot);
            }
            if queue.is_empty() {
                return Ok(());
            }
            if !self.some.0.load(Ordering::Relaxed) {
                self.some.0.store(true, Ordering::Relaxed);
            }
            let asleep = queue.armed;
            self.arm(&mut queue, false);
            queue.wakes += u64::from(asleep);
            asleep
        };
        if !asleep {
            return Ok(());
        }
        match &self.fd {
            None => {
                self.unpark.notify_one();
                Ok(())
            }
            Some(fd) => fd.wake().inspect_err(|_| {
                // It sleeps on: the next wake tries again.
                self.arm(&mut lock(&self.queue), true);
            }),
        }
    }

    /// Says whether the next wake must wake the owner.
    pub(super) fn arm(&self, queue: &mut Queue, armed: bool) {
        if queue.armed != armed {
            queue.armed = armed;
            self.asleep.0.store(armed, Ordering::Relaxed);
        }
    }

    pub(super) fn close(&self) {
        lock(&self.queue).close();
    }
}

/// One attached context. Never written after it was made, so that the engine's thread and the
/// owner's do not fight for it.
pub(crate) struct ReadySlot {
    shared: Arc<Shared>,
    token: u64,
    /// Where the queue keeps what it knows of this context. Its own until it is dropped.
    place: usize,
}

impl ReadySlot {
    pub(super) fn new(shared: &Arc<Shared>, token: u64) -> ReadySlot {
        ReadySlot {
            shared: Arc::clone(shared),
            token,
            place: lock(&shared.queue).place(),
        }
    }

    /// Queues the token and wakes the owner if it sleeps.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.shared.push(std::iter::once(self))
    }

    pub(crate) fn owner_sleeps(&self) -> bool {
        self.shared.asleep.0.load(Ordering::Relaxed)
    }

    fn same_queue(&self, other: &ReadySlot) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Drop for ReadySlot {
    fn drop(&mut self) {
        lock(&self.shared.queue).free.push(self.place);
    }
}

/// Queues the tokens of `slots`, those of one queue at a time, and empties it.
pub(crate) fn wake_all(slots: &mut Vec<Arc<ReadySlot>>) -> io::Result<()> {
    let mut result = Ok(());
    // Nearly always all of them are of one queue.
    while let Some(first) = slots.first().map(Arc::clone) {
        let same = |slot: &&Arc<ReadySlot>| slot.same_queue(&first);
        let pushed = (first.shared).push(slots.iter().filter(same).map(|slot| &**slot));
        result = result.and(pushed);
        // Outside the queue's lock, which the end of a slot takes.
        slots.retain(|slot| !slot.same_queue(&first));
    }
    result
}
