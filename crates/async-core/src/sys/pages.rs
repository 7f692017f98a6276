//! Which pages of a stack are in memory.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::ops::ControlFlow;
use std::ptr::NonNull;

/// Pages asked about in one call.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CHUNK: usize = 256;

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

/// How many bytes of these whole pages are in memory; 0 where the system does not say.
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
