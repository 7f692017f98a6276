//! A private key leaves nothing behind in the memory that it frees.

#![allow(unsafe_code, reason = "an allocator that looks at what is freed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use offload::{Op, PrivateKey, Request};

/// The system's allocator. It counts the blocks that are freed with the secret in them.
struct Watch;

static LEFT: AtomicUsize = AtomicUsize::new(0);

/// A run of the secret's byte that no other block of this program has.
const SECRET: [u8; 32] = [0xc7; 32];

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

fn left_by(f: impl FnOnce()) -> usize {
    let before = LEFT.load(Ordering::SeqCst);
    f();
    LEFT.load(Ordering::SeqCst) - before
}

/// One test, for other threads free memory too.
#[test]
fn a_key_is_wiped_when_its_last_clone_is_dropped() {
    assert_eq!(left_by(|| drop(SECRET.to_vec())), 1, "the watch sees it");

    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20";
    let mut der = [0; 48];
    der[..16].copy_from_slice(prefix);
    der[16..].copy_from_slice(&SECRET);
    let key = PrivateKey::from_pkcs8(&der).expect("it has the form");
    let request = Request::new(Op::Derive { key: key.clone() }, vec![1; 32]);
    assert_eq!(left_by(|| drop(request)), 0);
    assert_eq!(key.x25519(), Some(&SECRET), "a clone is left");
    assert_eq!(left_by(|| drop(key)), 0);

    // A key that is refused was not copied anywhere.
    der[15] = 31;
    let refused = left_by(|| assert!(PrivateKey::from_pkcs8(&der).is_err()));
    assert_eq!(refused, 0);
}
