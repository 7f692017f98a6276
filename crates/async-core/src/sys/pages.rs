//! Which pages of a stack are in memory, and how far down it was used.
//!
//! Nothing is painted: that would touch every page of every stack. Pages of the built-in stacks are
//! zero until they are written, so the lowest byte that is not zero is the end of what was used:
//!
//! ```text
//!   high  │ used, not zero      │
//!         │ used, not zero      │◀─ the mark
//!         │ 0 0 0 0             │  the rest of that page
//!         ├─────────────────────┤
//!   low   │ not in memory       │  never touched: the system is asked, it is not read
//! ```

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::ops::ControlFlow;
use std::ptr::NonNull;

/// Pages asked about in one call.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CHUNK: usize = 512;

/// Calls `f` with each page that is in memory, from the lowest, until it has enough. Says whether
/// the system answered.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn each_resident(
    lowest: NonNull<u8>,
    bytes: usize,
    mut f: impl FnMut(NonNull<u8>) -> ControlFlow<()>,
) -> bool {
    let page = rustix::param::page_size();
    let pages = bytes / page;
    for first in (0..pages).step_by(CHUNK) {
        let count = CHUNK.min(pages - first);
        let start = lowest.as_ptr().wrapping_add(first * page);
        let mut resident = [0_u8; CHUNK];
        // SAFETY: it writes a byte for each of `count` pages, at most `CHUNK`; it does not touch
        // the pages, and answers with an error if they are not mapped.
        let done = unsafe { libc::mincore(start.cast(), count * page, resident.as_mut_ptr()) };
        if done != 0 {
            return false;
        }
        for at in (0..count).filter(|at| resident[*at] & 1 != 0) {
            let Some(page_at) = NonNull::new(start.wrapping_add(at * page)) else {
                continue;
            };
            if f(page_at).is_break() {
                return true;
            }
        }
    }
    true
}

/// How many bytes of these whole pages are in memory; 0 where the system does not say. Guards are
/// not.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn resident_bytes(lowest: NonNull<u8>, bytes: usize) -> usize {
    let page = rustix::param::page_size();
    let mut resident = 0;
    each_resident(lowest, bytes, |_| {
        resident += page;
        ControlFlow::Continue(())
    });
    resident
}

/// Elsewhere nobody says.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn resident_bytes(_: NonNull<u8>, _: usize) -> usize {
    0
}

/// How many bytes, from the top, of a built-in stack were used, its control block included: down to
/// the lowest that is not zero. `None` where the system does not say which pages to look at.
///
/// # Safety
///
/// `[lowest, lowest + bytes)` are whole pages of an arena's slot, which stays. (Whoever writes there
/// meanwhile, another thread that the job has lent its stack to, does no harm: see `peek`.)
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(never)] // valgrind.supp names it
pub(super) unsafe fn high_water(lowest: NonNull<u8>, bytes: usize) -> Option<usize> {
    let words = rustix::param::page_size() / size_of::<usize>();
    let top = lowest.addr().get() + bytes;
    let mut mark = 0;
    let answered = each_resident(lowest, bytes, |page| {
        let page = page.cast::<usize>();
        for at in 0..words {
            // SAFETY: inside the page, which is mapped and aligned.
            let word = unsafe { page.add(at) };
            // SAFETY: as above.
            if unsafe { peek(word) } != 0 {
                mark = top - word.addr().get();
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    answered.then_some(mark)
}

/// Reads a word as the machine does: of memory that belongs to somebody else, whatever it holds and
/// whoever writes it meanwhile. To the compiler that is no access to any value.
///
/// # Safety
///
/// The word is aligned and can be read.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline(always)]
unsafe fn peek(word: NonNull<usize>) -> usize {
    let found: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's; nothing is written but the register.
    unsafe {
        std::arch::asm!("mov {}, [{}]", out(reg) found, in(reg) word.as_ptr(), options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's; nothing is written but the register.
    unsafe {
        std::arch::asm!("ldr {}, [{}]", out(reg) found, in(reg) word.as_ptr(), options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // SAFETY: the caller's. The next best: the compiler makes no use of what it knows.
        found = unsafe { word.as_ptr().read_volatile() };
    }
    found
}

/// Elsewhere nobody says.
///
/// # Safety
///
/// None is needed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn high_water(_: NonNull<u8>, _: usize) -> Option<usize> {
    None
}
