//! The built-in stacks: slots of one size cut from large reservations, a guard page below each.

use std::io;
use std::ptr::{self, NonNull};

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::mm::Advice;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::stack_source::StackMemory;
use crate::pool::Guard;

/// The first reservation has room for this many slots; each further one for twice as many.
const FIRST_SLOTS: usize = 16;
/// The largest has room for this many, since what is reserved is address space, not memory.
const MAX_SLOTS: usize = 1 << 16;

/// Stacks of one size. All of them are unmapped when it is dropped.
pub(super) struct Arena {
    /// Usable bytes of a slot, whole pages.
    stack_bytes: usize,
    page: usize,
    regions: Vec<Region>,
    /// Slots that were released, guard in place. The last one released is the next one used.
    spare: Vec<NonNull<u8>>,
    guard: Option<Guard>,
}

/// One reservation.
struct Region {
    /// Its lowest byte.
    start: NonNull<u8>,
    slots: usize,
    /// Slots below this one were cut, and have their guard.
    cut: usize,
}

impl Arena {
    pub(super) fn new(stack_bytes: usize) -> Arena {
        let page = rustix::param::page_size();
        Arena {
            // At most PoolConfig::MAX_STACK_BYTES, so this does not overflow.
            stack_bytes: stack_bytes.next_multiple_of(page),
            page,
            regions: Vec::new(),
            spare: Vec::new(),
            guard: None,
        }
    }

    pub(super) fn stack_bytes(&self) -> usize {
        self.stack_bytes
    }

    pub(super) fn guard(&self) -> Option<Guard> {
        self.guard
    }

    fn slot_bytes(&self) -> usize {
        self.page + self.stack_bytes
    }

    /// A stack that nobody uses, guard page below.
    pub(super) fn allocate(&mut self) -> io::Result<StackMemory> {
        let lowest = match self.spare.pop() {
            Some(lowest) => lowest,
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
        // SAFETY: the slot's lowest page is mapped, by this arena, and nobody uses it.
        let guard = unsafe { install_guard(slot, self.page, self.guard)? };
        region.cut += 1;
        self.guard = Some(guard);
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
            // At most 2^16 slots of 2^30 bytes and a page: no overflow with 64 bits.
            let bytes = self.slot_bytes().checked_mul(slots);
            match bytes.ok_or(rustix::io::Errno::NOMEM).and_then(map) {
                Ok(start) => {
                    self.regions.push(Region {
                        start,
                        slots,
                        cut: 0,
                    });
                    return Ok(());
                }
                Err(_) if slots > 1 => slots /= 2,
                Err(e) => return Err(e.into()),
            }
        }
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

/// Maps memory that is backed only where it is touched.
fn map(bytes: usize) -> Result<NonNull<u8>, rustix::io::Errno> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new anonymous mapping where the system chooses touches no memory in use.
    let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, access, flags)? };
    // A huge page would back sixteen stacks at once with memory that most of them never touch. A
    // kernel without huge pages refuses the advice, and needs none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the mapping is ours and the advice does not change its contents.
    let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxNoHugepage) };
    NonNull::new(start.cast()).ok_or(rustix::io::Errno::NOMEM)
}

/// Makes the page at `page` end the process when it is touched: by `MADV_GUARD_INSTALL` where the
/// kernel has it, which needs no mapping of its own, else by taking its access rights.
///
/// # Safety
///
/// The page is mapped and nobody uses it.
unsafe fn install_guard(
    page: NonNull<u8>,
    bytes: usize,
    known: Option<Guard>,
) -> io::Result<Guard> {
    #[cfg(target_os = "linux")]
    if known != Some(Guard::Protected) {
        /// Linux 6.13; not in libc's headers of older systems.
        const MADV_GUARD_INSTALL: libc::c_int = 102;
        // SAFETY: the caller says that the page is ours. An older kernel, or one that has the
        // page locked in memory, answers EINVAL and does nothing.
        let done = unsafe { libc::madvise(page.as_ptr().cast(), bytes, MADV_GUARD_INSTALL) };
        if done == 0 {
            return Ok(Guard::Advised);
        }
    }
    let _ = known;
    // SAFETY: as above.
    let done = unsafe { rustix::mm::mprotect(page.as_ptr().cast(), bytes, MprotectFlags::empty()) };
    done.map_err(|e| {
        let why = "a guard page was refused (is vm.max_map_count reached?)";
        io::Error::new(io::Error::from(e).kind(), format!("{why}: {e}"))
    })?;
    Ok(Guard::Protected)
}

/// Wipes the memory of a stack below its topmost page by giving it back to the system, which
/// hands out zeroed pages in its place. Says whether it did.
///
/// # Safety
///
/// `[lowest, lowest + bytes)` are whole pages of an [`Arena`]'s stack and hold nothing that is
/// used again.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn discard(lowest: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's; for a private anonymous mapping this means zeroes from now on.
    unsafe { rustix::mm::madvise(lowest.as_ptr().cast(), bytes, Advice::LinuxDontNeed) }.is_ok()
}

/// Elsewhere nothing promises zeroes: the caller writes them.
///
/// # Safety
///
/// None is needed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn discard(_: NonNull<u8>, _: usize) -> bool {
    false
}
