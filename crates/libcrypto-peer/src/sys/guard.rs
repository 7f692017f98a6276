//! Guard pages in libcrypto's stacks, for jobs whose depth nobody has promised.
//!
//! ```text
//!  one of libcrypto's stacks: a block of its heap, as a rule not aligned to pages
//!
//!  base                                                    mark        base + 32 KiB
//!   │ ≤ 1 page │ guard: one page, no access │ ≥ 23 KiB to use │ ≤ 1 KiB    │
//!   └──────────┴────────────────────────────┴────────◀────────┴────────────┘
//!                                             grows down
//! ```
//!
//! A job that needs more than there is touches the guard page, since code in Rust touches each page
//! of a frame in turn, and the process ends (SIGSEGV) before it has written to what is not its own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::process;
use std::ptr;

use rustix::mm::{MprotectFlags, mprotect};
use rustix::param::page_size;

use super::job::{JOB_STACK_BYTES, RESERVE_BYTES};
use super::thread;

/// The pages of this thread that are guards. Accessible again (with glibc, which destroys
/// thread-locals before it runs the destructors of pthread keys, of which libcrypto's is one) before libcrypto, whose own clean-up
/// runs later in a thread's end, frees the stacks that they are in.
struct Guards(RefCell<Pages>);

type Pages = HashSet<usize, BuildHasherDefault<PageHasher>>;

thread_local! {
    static GUARDS: Guards = Guards(RefCell::default());
}

/// Sees to it that the stack that the caller runs on has a guard page near its end. `mark` is an
/// address in the caller's frame: always the same one for a stack. The first time costs two system
/// calls, then it is a look into a table.
///
/// # Errors
///
/// What the system says, most likely that the process has too many mappings; and where pages are so
/// large that none fits.
///
/// # Safety
///
/// The caller runs in a job, and `mark` is at most [`RESERVE_BYTES`] below the top of its stack. The
/// stack is not freed before [`lift`] has been called on this thread, or this thread's locals have
/// been destroyed.
pub(super) unsafe fn guard_stack(mark: usize) -> io::Result<()> {
    let page = page_size();
    let start = (mark - (JOB_STACK_BYTES - RESERVE_BYTES)).next_multiple_of(page);
    let guarded = GUARDS.try_with(|guards| {
        let mut pages = guards.0.borrow_mut();
        if pages.contains(&start) {
            return Ok(());
        }
        // Half of it is left, or it is no use.
        if start + page > mark - JOB_STACK_BYTES / 2 {
            let why = "the system's pages are too large for a guard page in a stack of 32 KiB";
            return Err(io::Error::other(why));
        }
        pages.try_reserve(1)?;
        // SAFETY: the stack is the 32 KiB below a top that is at most RESERVE_BYTES above `mark`, so
        // this page is within it, and not one of those in use: they are in its other half. Nobody but
        // the job's frames has any business there.
        unsafe { protect(start, MprotectFlags::empty()) }?;
        pages.insert(start);
        Ok(())
    });
    guarded.unwrap_or_else(|_| Err(io::Error::other("the thread is ending")))
}

/// Makes this thread's guard pages accessible again.
pub(super) fn lift() {
    // Where it is gone already, so are they.
    let _ = GUARDS.try_with(Guards::lift);
}

impl Guards {
    fn lift(&self) {
        for start in self.0.take() {
            // SAFETY: a page of a stack that libcrypto has not freed yet, by the promise made to
            // `guard_stack`, with the access that it had before.
            let lifted = unsafe { protect(start, MprotectFlags::READ | MprotectFlags::WRITE) };
            if let Err(error) = lifted {
                // It was one a moment ago. libcrypto's heap would hand it out as memory.
                eprintln!("libcrypto-peer: a guard page cannot be made accessible again: {error}");
                process::abort();
            }
        }
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        self.lift();
        // What is paused has no guard any more, and must not run again.
        thread::count_cleanup();
    }
}

/// # Safety
///
/// The page at `start` is memory whose owner wants this access to it.
unsafe fn protect(start: usize, access: MprotectFlags) -> io::Result<()> {
    // libcrypto's memory, of which we have no pointer but this address: the system asks for no more.
    let start = ptr::without_provenance_mut(start);
    // SAFETY: the caller's promise; a whole page.
    Ok(unsafe { mprotect(start, page_size(), access) }?)
}

/// For numbers of pages, which nobody chooses to collide.
#[derive(Default)]
struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        // Knuth's multiplier, the golden ratio; the table looks at the upper bits and at the lower.
        let mixed = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
