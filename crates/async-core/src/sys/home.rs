//! The slots of one thread that were made with the same settings.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::arena::{self, Arena};
use super::control::Control;
use super::stack_source::{StackMemory, StackSource};
use super::thread::Thread;
use crate::config::PoolConfig;
use crate::pool::Guard;
use crate::state::State;

/// Why no slot could be taken.
#[derive(Debug)]
pub(crate) enum TakeError {
    NoJobs,
    InsideJob,
    ThreadExiting,
    Stack(io::Error),
}

/// Slots of one kind, and what they are made of. A thread has one that it takes slots from, and
/// may have *retired* ones, of earlier settings, whose last jobs are still in use.
///
/// It is made by [`Home::new`] on the heap, and freed when it is retired, no slot of it is in use
/// and nobody is at work on it ([`Held`]). So it outlives its slots. The home of a thread that
/// ended with jobs in use is never freed.
pub(super) struct Home {
    /// The slot that was idle last, or null. A list through `Control::next_idle`.
    idle_head: Cell<*const Control>,
    idle: Cell<usize>,
    in_use: Cell<usize>,
    max_jobs: Cell<usize>,
    retired: Cell<bool>,
    /// How many [`Held`] there are.
    holds: Cell<usize>,
    wipe: bool,
    stack_bytes: usize,
    memory: Memory,
}

enum Memory {
    Arena(RefCell<Arena>),
    Source(Arc<dyn StackSource>),
}

/// Somebody at work on a home, for as long as a stack source may be called: that is the user's
/// code, which may start and end jobs and set up pools, so that the home may be retired meanwhile.
/// It stays until the last one at work is done.
pub(super) struct Held(NonNull<Home>);

impl Held {
    /// # Safety
    ///
    /// The home is alive.
    pub(super) unsafe fn new(home: NonNull<Home>) -> Held {
        // SAFETY: the caller's.
        let holds = unsafe { &home.as_ref().holds };
        holds.set(holds.get() + 1);
        Held(home)
    }

    /// Frees up to `count` idle slots, and says how many.
    pub(super) fn trim(&self, count: usize) -> usize {
        for freed in 0..count {
            let Some(control) = self.take_idle() else {
                return freed;
            };
            self.in_use.set(self.in_use.get() - 1);
            // SAFETY: it was just taken out of the list, where slots are idle.
            unsafe { self.free_slot(control) };
        }
        count
    }

    /// Frees a slot.
    ///
    /// # Safety
    ///
    /// It is a slot of this home, idle, in no list, and not used again.
    unsafe fn free_slot(&self, control: NonNull<Control>) {
        // SAFETY: the caller's.
        let memory = unsafe { Control::dismantle(control) };
        // SAFETY: the slot's memory came from here, and the slot is gone.
        unsafe { self.release(memory) };
    }
}

impl Deref for Held {
    type Target = Home;

    fn deref(&self) -> &Home {
        // SAFETY: a home that is held is not freed.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holds.set(self.holds.get() - 1);
        if self.retired.get() && self.in_use.get() == 0 && self.holds.get() == 0 {
            // SAFETY: `new` made it with a box. It is retired, so no thread takes from it; no
            // slot of it is in use, so nobody gives back to it; and nobody else is at work on it.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl Home {
    pub(super) fn new(config: &PoolConfig) -> NonNull<Home> {
        let memory = match &config.stack_source {
            None => Memory::Arena(RefCell::new(Arena::new(
                config.stack_bytes,
                config.allow_unguarded.is_some(),
            ))),
            Some(source) => Memory::Source(Arc::clone(source)),
        };
        let stack_bytes = match &memory {
            Memory::Arena(arena) => arena.borrow().stack_bytes(),
            Memory::Source(_) => config.stack_bytes,
        };
        let home = Home {
            idle_head: Cell::new(ptr::null()),
            idle: Cell::new(0),
            in_use: Cell::new(0),
            max_jobs: Cell::new(usize::MAX),
            retired: Cell::new(false),
            holds: Cell::new(0),
            wipe: config.wipe_stacks,
            stack_bytes,
            memory,
        };
        NonNull::from(Box::leak(Box::new(home)))
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.get()
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.get()
    }

    pub(super) fn stack_bytes(&self) -> usize {
        self.stack_bytes
    }

    pub(super) fn guard(&self) -> Option<Guard> {
        match &self.memory {
            Memory::Arena(arena) => arena.borrow().guard(),
            Memory::Source(_) => Some(Guard::Source),
        }
    }

    /// Whether stacks come from an arena.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self.memory, Memory::Arena(_))
    }

    /// The largest high-water mark of all slots that were ever made here, spare ones included.
    pub(super) fn high_water(&self) -> Option<usize> {
        match &self.memory {
            Memory::Arena(arena) => arena.borrow().high_water(),
            Memory::Source(_) => None,
        }
    }

    /// Whether slots made with `config` would be of the same kind.
    pub(super) fn fits(&self, config: &PoolConfig) -> bool {
        let memory_fits = match &self.memory {
            Memory::Arena(arena) => {
                let page = rustix::param::page_size();
                arena.borrow().allow_unguarded() == config.allow_unguarded.is_some()
                    && self.stack_bytes == config.stack_bytes.next_multiple_of(page)
            }
            Memory::Source(_) => self.stack_bytes == config.stack_bytes,
        };
        self.same_source(config) && self.wipe == config.wipe_stacks && memory_fits
    }

    pub(super) fn same_source(&self, config: &PoolConfig) -> bool {
        match (&self.memory, &config.stack_source) {
            (Memory::Arena(_), None) => true,
            (Memory::Source(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }

    /// Takes the slot that was idle last. The common case of starting a job.
    #[inline(always)]
    pub(super) fn take_idle(&self) -> Option<NonNull<Control>> {
        let control = NonNull::new(self.idle_head.get().cast_mut())?;
        // SAFETY: slots in the list are alive.
        self.idle_head
            .set(unsafe { control.as_ref() }.next_idle.get());
        self.idle.set(self.idle.get() - 1);
        self.in_use.set(self.in_use.get() + 1);
        Some(control)
    }

    /// Makes one more idle slot.
    pub(super) fn make_idle(home: &Held) -> io::Result<()> {
        let memory = match &home.memory {
            Memory::Arena(arena) => arena.borrow_mut().allocate()?,
            Memory::Source(source) => source.allocate(home.stack_bytes)?,
        };
        if home.retired.get() {
            // SAFETY: it was allocated above and nothing was put on it.
            unsafe { home.release(memory) };
            let what = "the stack source has closed the pool that it was asked by";
            return Err(io::Error::other(what));
        }
        let least = PoolConfig::MIN_STACK_BYTES;
        let StackMemory { lowest, bytes } = memory;
        let wraps = lowest.addr().get().checked_add(bytes).is_none();
        let placed = if bytes < least || wraps {
            Err(memory)
        } else {
            // SAFETY: the arena, or the source by its contract, gave memory that is ours until it
            // is released, which `free_slot` does; and a home outlives its slots.
            unsafe { Control::place(memory, home.0) }
        };
        match placed {
            Ok(control) => {
                home.push_idle(control);
                Ok(())
            }
            Err(memory) => {
                // SAFETY: it was allocated above and nothing was put on it.
                unsafe { home.release(memory) };
                let what = if wraps {
                    format!(
                        "the stack source gave {bytes} bytes at {lowest:p}, beyond all addresses"
                    )
                } else {
                    format!("the stack source gave {bytes} bytes; at least {least} are needed")
                };
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    fn push_idle(&self, control: NonNull<Control>) {
        // SAFETY: a slot that is pushed is alive.
        unsafe { control.as_ref() }
            .next_idle
            .set(self.idle_head.get());
        self.idle_head.set(control.as_ptr());
        self.idle.set(self.idle.get() + 1);
    }

    /// Gives back a slot whose job has ended and whose result was taken.
    ///
    /// # Safety
    ///
    /// `control` was taken from its home and is not used by the caller again.
    #[inline(always)]
    pub(super) unsafe fn give_back(thread: &Thread, control: NonNull<Control>) {
        // SAFETY: it was taken, so it is alive.
        let slot = unsafe { control.as_ref() };
        slot.state.set(State::Idle);
        slot.cancelled.set(false);
        slot.blocked.set(0);
        let home = slot.home;
        // SAFETY: a home outlives its slots.
        let this = unsafe { home.as_ref() };
        if this.retired.get() || this.wipe {
            // SAFETY: as for this function.
            return unsafe { Home::give_back_slow(thread, home, control) };
        }
        this.in_use.set(this.in_use.get() - 1);
        this.push_idle(control);
        if thread.total(this) > this.max_jobs.get() {
            // SAFETY: it is in service, so it is alive.
            unsafe { Held::new(home) }.trim(1);
        }
    }

    /// As `give_back`, for a home that is retired or wipes.
    ///
    /// # Safety
    ///
    /// As for `give_back`.
    #[cold]
    unsafe fn give_back_slow(thread: &Thread, home: NonNull<Home>, control: NonNull<Control>) {
        // SAFETY: a home outlives its slots.
        let this = unsafe { Held::new(home) };
        if this.wipe {
            // SAFETY: the slot is idle and in no list, and we are on the owner's stack.
            unsafe {
                control
                    .as_ref()
                    .wipe(|lowest, bytes| this.discard(lowest, bytes))
            };
        }
        this.in_use.set(this.in_use.get() - 1);
        if this.retired.get() {
            thread.one_retired_job_less();
            // SAFETY: the slot is idle and in no list.
            unsafe { this.free_slot(control) };
            return;
        }
        this.push_idle(control);
        if thread.total(&this) > this.max_jobs.get() {
            this.trim(1);
        }
    }

    /// Takes this home out of service: frees its idle slots, and itself unless jobs are in use.
    ///
    /// # Safety
    ///
    /// `home` was made by `new`, was not retired before, and no thread takes from it any more.
    pub(super) unsafe fn retire(home: NonNull<Home>) {
        // SAFETY: it was not retired before, so it is alive.
        let this = unsafe { Held::new(home) };
        this.retired.set(true);
        this.trim(usize::MAX);
    }

    /// Gives the memory of freed slots back to the system. Says how many bytes.
    pub(super) fn give_back_spare(&self) -> usize {
        match &self.memory {
            Memory::Arena(arena) => arena.borrow_mut().give_back_spare(),
            Memory::Source(_) => 0,
        }
    }

    /// Sets the bound. The caller frees the idle slots above it.
    pub(super) fn set_max_jobs(&self, max_jobs: usize) {
        self.max_jobs.set(max_jobs);
    }

    pub(super) fn max_jobs(&self) -> usize {
        self.max_jobs.get()
    }

    /// Gives memory back to where it came from. Called by who holds the home.
    ///
    /// # Safety
    ///
    /// It was allocated from `self.memory` and nothing on it is used again.
    unsafe fn release(&self, memory: StackMemory) {
        match &self.memory {
            // SAFETY: the caller's.
            Memory::Arena(arena) => unsafe { arena.borrow_mut().release(memory) },
            // SAFETY: the caller's.
            Memory::Source(source) => unsafe { source.release(memory) },
        }
    }

    /// Wipes whole pages of a slot by the cheapest way, or says that there is none.
    fn discard(&self, lowest: NonNull<u8>, bytes: usize) -> bool {
        match &self.memory {
            // SAFETY: called by `Control::wipe` with the part of an arena's slot that holds no
            // frame any more.
            Memory::Arena(_) => unsafe { arena::discard(lowest, bytes) },
            Memory::Source(_) => false,
        }
    }
}
