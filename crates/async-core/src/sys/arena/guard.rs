//! Guard pages: by the best way that the system has.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::calls;
use crate::pool::Guard;

/// The promise that makes stacks without guard pages sound: for
/// [`PoolConfig::allow_unguarded`](crate::PoolConfig::allow_unguarded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unguarded(());

impl Unguarded {
    /// Promises it.
    ///
    /// # Safety
    ///
    /// No job of a pool that is set up with this uses more than its stack, whatever it is given:
    /// without a guard page it would go on into the memory of another job.
    #[must_use]
    pub const unsafe fn promise() -> Unguarded {
        Unguarded(())
    }
}

/// Guards by access rights that there are in this process. Relaxed: a bound that is kept roughly.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);
/// Mappings that are left to the rest of the program, for its heap, its threads and its libraries:
/// with none left `malloc` fails.
const LEFT_MAPPINGS: usize = 4096;

/// Whether there may be one more of them: each splits a mapping in two, and is one.
fn may_protect() -> bool {
    PROTECTED.load(Ordering::Relaxed) * 2 + LEFT_MAPPINGS < calls::max_mappings()
}

/// The guards of one arena. It goes down these ways and never up: what a kernel has refused once
/// for good it will refuse again, and asking costs as much as guarding.
///
/// ```text
///   a batch of pages per call ──▶ a page per call ──▶ access rights ──▶ none
///     no such call                  no such advice,     refused, and the
///                                   or locked memory    user permits it
/// ```
pub(super) struct Guards {
    way: Way,
    allow_unguarded: bool,
    /// How the slot that was guarded last is: the weakest of all, as it only goes down.
    weakest: Option<Guard>,
    /// Of `PROTECTED`, those of this arena.
    protected: usize,
}

impl Drop for Guards {
    /// The mappings go with the arena.
    fn drop(&mut self) {
        PROTECTED.fetch_sub(self.protected, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Batch,
    Each,
    Protect,
    Unguarded,
}

impl Guards {
    pub(super) fn new(allow_unguarded: bool) -> Guards {
        Guards {
            way: Way::Batch,
            allow_unguarded,
            weakest: None,
            protected: 0,
        }
    }

    pub(super) fn allow_unguarded(&self) -> bool {
        self.allow_unguarded
    }

    /// The weakest guard that was installed, or `None` before the first.
    pub(super) fn weakest(&self) -> Option<Guard> {
        self.weakest
    }

    /// Guards the first page of up to `count` slots. Says how many it did, from the first on, at
    /// least one. Where each has a price of its own, it does just one.
    ///
    /// # Safety
    ///
    /// `count` slots, not 0, of `slot_bytes` begin at `first`. They are mapped, and nobody uses the
    /// first `page` bytes of any.
    pub(super) unsafe fn install(
        &mut self,
        first: NonNull<u8>,
        slot_bytes: usize,
        count: usize,
        page: usize,
    ) -> io::Result<usize> {
        if self.way == Way::Batch {
            // SAFETY: the caller's.
            match unsafe { calls::advise_guards(first, slot_bytes, count, page) } {
                Ok(done) => {
                    self.weakest = Some(Guard::Advised);
                    return Ok(done);
                }
                // This slot alone; the next ones may be a batch again.
                Err(e) if passes(e) => {}
                Err(_) => self.way = Way::Each,
            }
        }
        if self.way <= Way::Each {
            // SAFETY: the caller's, of the first slot.
            match unsafe { calls::advise_guard(first, page) } {
                Ok(()) => {
                    self.weakest = Some(Guard::Advised);
                    return Ok(1);
                }
                Err(e) if passes(e) => return Err(refused(e, "free some memory")),
                Err(_) => self.way = Way::Protect,
            }
        }
        if self.way == Way::Protect {
            let protected = if may_protect() {
                // SAFETY: as above.
                unsafe { calls::protect(first, page) }
            } else {
                Err(Errno::NOMEM)
            };
            match protected {
                Ok(()) => {
                    self.protected += 1;
                    PROTECTED.fetch_add(1, Ordering::Relaxed);
                    self.weakest = Some(Guard::Protected);
                    return Ok(1);
                }
                Err(e) if !self.allow_unguarded => {
                    let advice = "raise vm.max_map_count, use Linux 6.13 or later without mlock, \
                                  or set allow_unguarded";
                    return Err(refused(e, advice));
                }
                Err(_) => self.way = Way::Unguarded,
            }
        }
        self.weakest = Some(Guard::Unguarded);
        Ok(1)
    }
}

/// Whether the same call may succeed later.
fn passes(error: Errno) -> bool {
    use Errno as E;
    matches!(error, E::NOMEM | E::AGAIN | E::INTR | E::MFILE | E::NFILE)
}

fn refused(error: Errno, advice: &str) -> io::Error {
    let kind = io::Error::from(error).kind();
    io::Error::new(kind, format!("a guard page was refused: {error}; {advice}"))
}
