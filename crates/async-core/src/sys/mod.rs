//! The unsafe part: stacks, the switch between them, and closures stored in place.
//!
//! # The memory of one job
//!
//! ```text
//!   high  ┌──────────────────────┐
//!         │ Control              │  the job itself: state, links, closure, result, coroutine
//!         ├──────────────────────┤◀─ base of the stack
//!         │ frames of the        │
//!         │ coroutine's loop     │  they stay for the slot's whole life
//!         ├──────────────────────┤◀─ stack pointer of an idle job
//!         │ frames of the        │
//!         │ closure and below    │  while it runs or is paused
//!         │         ▼            │
//!         │                      │
//!         ├──────────────────────┤
//!   low   │ guard page           │  touching it ends the process
//!         └──────────────────────┘
//! ```
//!
//! The control block sits in the stack's top page, which is touched anyway, so that a paused job
//! costs one page.
//!
//! # The switch
//!
//! Each slot has one coroutine for its whole life. It runs a loop: run what the control block says,
//! mark the job finished, switch out. So starting a job makes no stack, no coroutine and (up to a
//! size) no allocation: it writes the closure into the control block and switches in.
//!
//! ```text
//!   owner's stack                                    job's stack
//!   ─────────────                                    ───────────
//!   start: write closure, CURRENT = job ── switch ─▶ loop: take closure, call it
//!                                                      pause: state = Paused
//!   returns Paused ◀────────────────────── switch ──── (suspended in pause)
//!   resume: CURRENT = job ──────────────── switch ─▶   pause returns
//!                                                      closure returns: write result
//!   take result, slot to the pool ◀─────── switch ──── state = Finished (suspended in the loop)
//! ```
//!
//! `CURRENT` is a thread-local pointer to the running job's control block, null outside jobs. It
//! is set around each switch in and holds what it held before after it, so that a job can resume
//! another. All that is live across a switch out is on the suspended stack or in the control
//! block; nothing of the owner's is borrowed meanwhile except what `start` documents.
//!
//! # Invariants
//!
//! 1. A control block, its slot and its coroutine are used by one thread only: the handles
//!    ([`Paused`], [`Current`]) are neither `Send` nor `Sync`, and everything else is reached
//!    through that thread's [`Thread`].
//! 2. A control block lives until [`Held::free_slot`], which is called only for slots that are
//!    idle and in no list. So a pointer to one is good while its job is Running, Paused or
//!    Finished, and while it is in its home's list of idle slots.
//! 3. There is never a `&mut Control`. Everything in it is a `Cell`, or an `UnsafeCell` with one
//!    user at a time, named at the field.
//! 4. The user's code is called only when everything is in order, since it may use all of this
//!    crate again: a stack source while the home is [`Held`]; the cleanup functions of a context,
//!    and the drops of a stack source, last of all.
//!
//! [`Thread`]: thread::Thread
//! [`Held`]: home::Held
//! [`Held::free_slot`]: home::Held::free_slot

mod arena;
mod control;
mod handle;
mod home;
mod known;
mod overflow;
mod pages;
mod stack_source;
mod store;
mod thread;

pub use arena::Unguarded;
pub use handle::prefetch_for_write;
pub(crate) use handle::{Current, Paused, Step, cancel, current, leak, pause, resume, start};
pub(crate) use home::TakeError;
pub(crate) use overflow::report_stack_overflow;
pub use stack_source::{StackMemory, StackSource};
pub use thread::thread_word;
pub(crate) use thread::{
    cleanup_thread, init_thread, leaked_jobs, pool_stats, scan_high_water, split_id,
    thread_is_exiting, trim_thread,
};
