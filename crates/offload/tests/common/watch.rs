//! An allocator that finds secrets in what is freed.

#![allow(unsafe_code, reason = "an allocator that looks at what is freed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator. It counts the blocks that are freed with the secret in them.
struct Watch;

static LEFT: AtomicUsize = AtomicUsize::new(0);

/// A run of the secret's byte that no other block of this program has.
pub(crate) const SECRET: [u8; 32] = [0xc7; 32];

// SAFETY: the system's allocator does the work; a block is read while it is still allocated.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on. Zeroed: what is read below was written.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's, of this size, and was zeroed when it was allocated.
        let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
        if bytes.windows(SECRET.len()).any(|window| window == SECRET) {
            LEFT.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static WATCH: Watch = Watch;

/// How many blocks `f` frees with the secret in them. Other threads must not free any meanwhile.
pub(crate) fn left_by(f: impl FnOnce()) -> usize {
    let before = LEFT.load(Ordering::SeqCst);
    f();
    LEFT.load(Ordering::SeqCst) - before
}
