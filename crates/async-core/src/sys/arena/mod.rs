//! The built-in stacks: slots of one size cut from large reservations, a guard page below each.
//!
//! ```text
//!   one reservation
//!   ┌──────┬──────┬──────┬──────┬─ ─ ─ ─ ─ ─ ─┐
//!   │g slot│g slot│g slot│g slot│              │
//!   └──────┴──────┴──────┴──────┴─ ─ ─ ─ ─ ─ ─┘
//!    cut, handed out  ▲      ▲ guarded, so that the next slots need no system call
//! ```

use std::io;
use std::ptr::NonNull;

use rustix::io::Errno;

use super::pages;
use super::stack_source::StackMemory;
use crate::pool::Guard;

mod calls;
mod guard;
#[cfg(all(test, target_os = "linux"))]
mod tests;

pub(super) use calls::discard;
#[cfg(all(test, target_os = "linux"))]
use calls::fake;
use guard::Guards;
pub use guard::Unguarded;

/// The first reservation has room for this many slots; each further one for twice as many.
const FIRST_SLOTS: usize = 16;
/// The largest has room for this many, since what is reserved is address space, not memory. A
/// million jobs of 64 KiB need 27 reservations, of at most 4.3 GiB.
const MAX_SLOTS: usize = 1 << 16;
/// Guards are installed for this many slots at once, or for as many as there are already: a guard
/// costs a place in a page table (4 KiB for 30 slots of 64 KiB), which a small pool should not pay
/// for slots that it never uses.
const MIN_BATCH: usize = 16;
/// And for at most this many, which is what the system takes in one call.
const MAX_BATCH: usize = 1024;

/// Stacks of one size. All of them are unmapped when it is dropped.
pub(super) struct Arena {
    /// Usable bytes of a slot, whole pages.
    stack_bytes: usize,
    page: usize,
    regions: Vec<Region>,
    /// Slots in all regions.
    slots: usize,
    /// Slots that were cut, in all regions.
    cut: usize,
    /// Slots that were released, guard in place. The last one released is the next one used. It
    /// has room for all slots, so that a release needs no memory.
    spare: Vec<NonNull<u8>>,
    /// So many of them, from the first on, have no memory: it was given back.
    bare: usize,
    guards: Guards,
}

/// One reservation.
struct Region {
    /// Its lowest byte.
    start: NonNull<u8>,
    slots: usize,
    /// Slots below this one were cut.
    cut: usize,
    /// Slots below this one have their guard, or go without. At least `cut`.
    guarded: usize,
}

impl Arena {
    pub(super) fn new(stack_bytes: usize, allow_unguarded: bool) -> Arena {
        let page = rustix::param::page_size();
        Arena {
            // At most PoolConfig::MAX_STACK_BYTES, so this does not overflow.
            stack_bytes: stack_bytes.next_multiple_of(page),
            page,
            regions: Vec::new(),
            slots: 0,
            cut: 0,
            spare: Vec::new(),
            bare: 0,
            guards: Guards::new(allow_unguarded),
        }
    }

    pub(super) fn stack_bytes(&self) -> usize {
        self.stack_bytes
    }

    pub(super) fn guard(&self) -> Option<Guard> {
        self.guards.weakest()
    }

    pub(super) fn allow_unguarded(&self) -> bool {
        self.guards.allow_unguarded()
    }

    fn slot_bytes(&self) -> usize {
        self.page + self.stack_bytes
    }

    /// A stack that nobody uses, guard page below.
    pub(super) fn allocate(&mut self) -> io::Result<StackMemory> {
        let lowest = match self.spare.pop() {
            Some(lowest) => {
                self.bare = self.bare.min(self.spare.len());
                lowest
            }
            None => self.cut()?,
        };
        Ok(StackMemory {
            lowest,
            bytes: self.stack_bytes,
        })
    }

    /// Takes a stack back, to be used again.
    ///
    /// # Safety
    ///
    /// It came from `allocate` of this arena, was not released before, and nothing on it will be
    /// used again.
    pub(super) unsafe fn release(&mut self, memory: StackMemory) {
        self.spare.push(memory.lowest);
    }

    /// Gives the memory of spare slots back to the system. Says how many bytes that was. Guards
    /// stay.
    pub(super) fn give_back_spare(&mut self) -> usize {
        let slot_bytes = self.slot_bytes();
        let mut bytes = 0;
        while let Some(&first) = self.spare.get(self.bare) {
            // Slots are mostly freed in the order in which they lie: all neighbours in one call.
            let spare = &self.spare[self.bare..];
            let run = |step: isize| {
                let next = |at: usize| first.as_ptr().wrapping_offset(step * at as isize);
                (1..spare.len())
                    .find(|&at| spare[at].as_ptr() != next(at))
                    .unwrap_or(spare.len())
            };
            let (up, down) = (run(slot_bytes as isize), run(-(slot_bytes as isize)));
            let count = up.max(down);
            let lowest = if up >= down { first } else { spare[count - 1] };
            // From the lowest byte of the lowest stack to the highest of the highest, with the
            // guards between them.
            let length = count * slot_bytes - self.page;
            let resident = pages::resident_bytes(lowest, length);
            // SAFETY: nobody uses these stacks. Guards have no memory and no contents.
            if !unsafe { discard(lowest, length) } {
                // Locked memory: the system will not take any.
                break;
            }
            bytes += resident;
            self.bare += count;
        }
        bytes
    }

    /// How much of the stack that was used most was used, in bytes from its top.
    pub(super) fn high_water(&self) -> Option<usize> {
        let mut most = 0;
        for region in &self.regions {
            for at in 0..region.cut {
                // SAFETY: a slot below `cut` is inside the region, its stack a page above its
                // start.
                let lowest = unsafe { region.start.add(at * self.slot_bytes() + self.page) };
                // SAFETY: these are the pages of a slot's stack, mapped as long as this arena; read as
                // `high_water` reads.
                most = most.max(unsafe { pages::high_water(lowest, self.stack_bytes)? });
            }
        }
        Some(most)
    }

    /// Cuts the next slot off the last region, or off a new one.
    fn cut(&mut self) -> io::Result<NonNull<u8>> {
        let slot_bytes = self.slot_bytes();
        if self.regions.last().is_none_or(|r| r.cut == r.slots) {
            self.reserve()?;
        }
        let Some(region) = self.regions.last_mut() else {
            unreachable!("reserve pushed a region");
        };
        // SAFETY: `cut < slots`, so the slot is inside the region, which is `slots * slot_bytes`
        // long.
        let slot = unsafe { region.start.add(region.cut * slot_bytes) };
        if region.cut == region.guarded {
            let batch = self.cut.clamp(MIN_BATCH, MAX_BATCH);
            let count = batch.min(region.slots - region.guarded);
            // SAFETY: `guarded + count <= slots`, so these slots are mapped, by this arena; and
            // none of them was handed out, as `cut` is the first.
            let done = unsafe { self.guards.install(slot, slot_bytes, count, self.page)? };
            region.guarded += done;
        }
        region.cut += 1;
        self.cut += 1;
        // SAFETY: a slot is a page longer than its stack.
        Ok(unsafe { slot.add(self.page) })
    }

    /// Reserves a region twice as large as the last one; a smaller one if the system refuses.
    fn reserve(&mut self) -> io::Result<()> {
        let mut slots = self
            .regions
            .last()
            .map_or(FIRST_SLOTS, |r| (r.slots * 2).min(MAX_SLOTS));
        loop {
            match self.reserve_slots(slots) {
                Ok(()) => return Ok(()),
                Err(_) if slots > 1 => slots /= 2,
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn reserve_slots(&mut self, slots: usize) -> Result<(), Errno> {
        // At most 2^16 slots of 2^30 bytes and a page: no overflow with 64 bits.
        let bytes = self.slot_bytes().checked_mul(slots).ok_or(Errno::NOMEM)?;
        let room = (self.slots + slots) - self.spare.len();
        let no_memory = |_| Errno::NOMEM;
        self.spare.try_reserve_exact(room).map_err(no_memory)?;
        self.regions.try_reserve(1).map_err(no_memory)?;
        let start = calls::map(bytes)?;
        self.regions.push(Region {
            start,
            slots,
            cut: 0,
            guarded: 0,
        });
        self.slots += slots;
        Ok(())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for region in &self.regions {
            let bytes = self.slot_bytes() * region.slots;
            // SAFETY: the region was mapped by `map` with this length and is unmapped once. Who
            // drops an arena vouches that no stack of it is in use: `Home` owns it and outlives
            // every slot made of it.
            let unmapped = unsafe { rustix::mm::munmap(region.start.as_ptr().cast(), bytes) };
            debug_assert_eq!(unmapped, Ok(()), "munmap of a mapped region");
        }
    }
}
