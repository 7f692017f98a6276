//! Tables of places that are made as needed, used again and again, and never freed; and the handles that C
//! programs hold for them.
//!
//! ```text
//!   handle   63                32 31                4  3  2..0
//!            ┌───────────────────┬───────────────────┬────┬───┐
//!            │ number of the use │ index + 1         │kind│ 0 │
//!            └───────────────────┴───────────────────┴────┴───┘
//! ```
//!
//! A handle looks like a pointer and is never followed. A place's memory stays for ever, so any value that
//! a program passes can be looked up: what was never a handle, or is one of an earlier use, or of another
//! kind, is recognised. The number is odd while the place is in use. It comes again after 2^31 uses of one
//! place.

use std::array;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("handles need pointers of 64 bits");

/// Places per chunk, and chunks: 2^26 places of a kind, which with a page for each job's stack is 256 GiB.
const CHUNK: usize = 1024;
const CHUNKS: usize = 1 << 16;

/// A place of a [`Slots`].
pub(crate) trait Slot: Sized + Sync + 'static {
    /// Bit 3 of its handles.
    const KIND: usize;

    /// A place that is in no use.
    fn new(index: u32) -> Self;

    /// The number of its present use: odd while it is in use.
    fn uses(&self) -> &AtomicU32;

    fn index(&self) -> u32;

    /// The handle for its present use.
    fn handle(&self) -> usize {
        let uses = self.uses().load(Ordering::Relaxed) as usize;
        uses << 32 | (self.index() as usize + 1) << 4 | Self::KIND << 3
    }

    /// Whether `handle` is the one for its present use. What it reads is new enough for the thread that
    /// uses the place; others must look again under the lock that their access needs anyway.
    #[inline(always)]
    fn is(&self, handle: usize) -> bool {
        let uses = (handle >> 32) as u32;
        self.uses().load(Ordering::Acquire) == uses && uses & 1 == 1
    }

    /// Begins or ends a use. Called by who has taken the place.
    #[inline(always)]
    fn turn(&self) {
        // Only one thread writes it at a time: who has taken the place.
        let uses = self.uses().load(Ordering::Relaxed);
        self.uses().store(uses.wrapping_add(1), Ordering::Release);
    }
}

/// A table of places.
pub(crate) struct Slots<T> {
    chunks: [OnceLock<Box<[T; CHUNK]>>; CHUNKS],
    /// Chunks are made under this lock too, so that a fork that holds it finds none half made.
    spare: Mutex<Spare>,
}

/// Places in no use.
pub(crate) struct Spare {
    free: Vec<u32>,
    /// How many places have been handed out for the first time.
    made: usize,
}

impl<T: Slot> Slots<T> {
    pub(crate) const fn new() -> Slots<T> {
        Slots {
            chunks: [const { OnceLock::new() }; CHUNKS],
            spare: Mutex::new(Spare {
                free: Vec::new(),
                made: 0,
            }),
        }
    }

    /// The place of `handle`, if it is the one for the place's present use.
    #[inline(always)]
    pub(crate) fn find(&'static self, handle: usize) -> Option<&'static T> {
        const LOW: usize = 0xF;
        if handle & LOW != T::KIND << 3 {
            return None;
        }
        let index = ((handle & 0xFFFF_FFF0) >> 4).wrapping_sub(1);
        let slot = &self.chunks.get(index / CHUNK)?.get()?[index % CHUNK];
        slot.is(handle).then_some(slot)
    }

    /// A place that nobody uses. The caller begins its use. `None` when all of them are in use.
    pub(crate) fn take(&'static self) -> Option<&'static T> {
        let mut spare = self.lock();
        if let Some(index) = spare.free.pop() {
            let index = index as usize;
            return Some(&self.chunks.get(index / CHUNK)?.get()?[index % CHUNK]);
        }
        let index = spare.made;
        let chunk = self.chunks.get(index / CHUNK)?.get_or_init(|| {
            let first = index - index % CHUNK;
            // In range: there are 2^26 places.
            let slots: Vec<T> = (first..first + CHUNK)
                .map(|index| T::new(index as u32))
                .collect();
            slots
                .into_boxed_slice()
                .try_into()
                .unwrap_or_else(|_| unreachable!("CHUNK places were collected"))
        });
        spare.made += 1;
        Some(&chunk[index % CHUNK])
    }

    /// Takes back a place whose use has been ended.
    pub(crate) fn give_back(&self, slot: &T) {
        self.lock().free.push(slot.index());
    }

    /// All places that are in use.
    pub(crate) fn in_use(&'static self) -> impl Iterator<Item = &'static T> {
        let made = self.lock().made;
        let chunks = self.chunks.iter().filter_map(|chunk| chunk.get());
        let places = chunks.flat_map(|chunk| chunk.iter()).take(made);
        places.filter(|slot| slot.is(slot.handle()))
    }

    /// Keeps places from being taken and given back: for a fork.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many locks as there are processors to contend for them, more or less: which one guards a place
/// follows from its index. Few enough that a fork can hold all of them.
pub(crate) struct Shards([Mutex<()>; Shards::COUNT]);

impl Shards {
    const COUNT: usize = 64;

    pub(crate) const fn new() -> Shards {
        Shards([const { Mutex::new(()) }; Shards::COUNT])
    }

    pub(crate) fn lock(&self, index: u32) -> MutexGuard<'_, ()> {
        lock(&self.0[index as usize % Shards::COUNT])
    }

    /// All of them, in order.
    pub(crate) fn lock_all(&self) -> AllShards<'_> {
        array::from_fn(|n| lock(&self.0[n]))
    }
}

/// Every lock of a [`Shards`], held.
pub(crate) type AllShards<'a> = [MutexGuard<'a, ()>; Shards::COUNT];

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
