//! Wait contexts: `ASYNC_WAIT_CTX`.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use waitctx::{FdTable, Key};

use crate::abi::{ASYNC_STATUS_UNSUPPORTED, ASYNC_WAIT_CTX, ASYNC_callback_fn, CleanupFn};
use crate::error::Fault;
use crate::slots::{Shards, Slot, Slots};

/// All contexts of the process.
pub(crate) static CONTEXTS: Slots<CtxSlot> = Slots::new();
/// Guards what is in them.
pub(crate) static CTX_LOCKS: Shards = Shards::new();

/// Jobs that were paused when their context was freed, and have not finished.
static ABANDONED: AtomicU64 = AtomicU64::new(0);

/// How many jobs can never be resumed, because their context was freed under them.
pub(crate) fn abandoned_jobs() -> u64 {
    ABANDONED.load(Ordering::Relaxed)
}

/// One context.
pub(crate) struct CtxSlot {
    index: u32,
    uses: AtomicU32,
    /// Whether the record of changes holds anything. Written under the lock; read without, at each resume.
    changed: AtomicBool,
    /// Read and written under the lock of this place in [`CTX_LOCKS`] only: by [`CtxSlot::locked`].
    state: UnsafeCell<State>,
}

// SAFETY: all but `state` is Sync by itself, and `state` is used under a lock. What it holds are numbers, and
// pointers that are C's: C's rules for them are that they may be handed from thread to thread.
unsafe impl Sync for CtxSlot {}
// SAFETY: as above. (A place is made on one thread and used on others; it never moves, and is never dropped.)
unsafe impl Send for CtxSlot {}

/// What is in a context.
pub(crate) struct State {
    pub(crate) fds: FdTable<CFd>,
    pub(crate) callback: ASYNC_callback_fn,
    pub(crate) callback_arg: *mut c_void,
    pub(crate) status: c_int,
    /// Jobs that have paused under this use of the place and have not finished. While there are any, the
    /// place is not used again.
    jobs: u32,
    /// It is being freed: no fd can be set any more.
    closing: bool,
}

/// What is kept with an fd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CFd {
    pub(crate) data: *mut c_void,
    pub(crate) cleanup: Option<CleanupFn>,
}

impl Slot for CtxSlot {
    const KIND: usize = 1;

    fn new(index: u32) -> CtxSlot {
        CtxSlot {
            index,
            uses: AtomicU32::new(0),
            changed: AtomicBool::new(false),
            state: UnsafeCell::new(State {
                fds: FdTable::new(),
                callback: None,
                callback_arg: ptr::null_mut(),
                status: ASYNC_STATUS_UNSUPPORTED,
                jobs: 0,
                closing: false,
            }),
        }
    }

    fn uses(&self) -> &AtomicU32 {
        &self.uses
    }

    fn index(&self) -> u32 {
        self.index
    }
}

impl CtxSlot {
    /// Calls `f` with what is in the context, under its lock. `f` must not call C: that could come back here.
    fn locked<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let _guard = CTX_LOCKS.lock(self.index);
        // SAFETY: only used here, under the lock that belongs to this place; and not twice on one thread,
        // since the closures of this module call nothing that could come here.
        f(unsafe { &mut *self.state.get() })
    }

    /// The same, if `handle` is the one for the present use.
    fn locked_if<R>(&self, handle: usize, f: impl FnOnce(&mut State) -> R) -> Result<R, Fault> {
        self.locked(|state| self.is(handle).then(|| f(state)))
            .ok_or(Fault::StaleCtx(handle))
    }

    /// Ends the round of changes: a pause returns after a resume.
    #[inline(always)]
    pub(crate) fn begin_round(&self) {
        if self.changed.load(Ordering::Acquire) {
            self.begin_round_slow();
        }
    }

    #[cold]
    fn begin_round_slow(&self) {
        self.locked(|state| {
            state.fds.begin_round();
            self.changed.store(false, Ordering::Release);
        });
    }

    /// One more job that has paused under `handle`.
    pub(crate) fn hold(&self, handle: usize) -> Result<(), Fault> {
        self.locked_if(handle, |state| state.jobs += 1)
    }

    /// A job that held it under `handle` has finished.
    pub(crate) fn let_go(&self, handle: usize) {
        let spare = self.locked(|state| {
            state.jobs -= 1;
            let freed = !self.is(handle);
            if freed {
                // It was running when the context went, and counted with those that were paused.
                ABANDONED.fetch_sub(1, Ordering::Relaxed);
            }
            freed && state.jobs == 0
        });
        if spare {
            CONTEXTS.give_back(self);
        }
    }
}

/// The context of a C pointer.
#[inline(always)]
pub(crate) fn find(ctx: *const ASYNC_WAIT_CTX) -> Result<&'static CtxSlot, Fault> {
    CONTEXTS.find(ctx.addr()).ok_or_else(|| unknown(ctx))
}

#[cold]
fn unknown(ctx: *const ASYNC_WAIT_CTX) -> Fault {
    if ctx.is_null() {
        Fault::Null("ctx")
    } else {
        Fault::StaleCtx(ctx.addr())
    }
}

/// Calls `f` with what is in the context of a C pointer, under its lock. `f` must not call C.
pub(crate) fn with<R>(
    ctx: *const ASYNC_WAIT_CTX,
    f: impl FnOnce(&mut State) -> R,
) -> Result<R, Fault> {
    find(ctx)?.locked_if(ctx.addr(), f)
}

/// As [`with`], for what changes the fds.
fn with_fds<R>(
    ctx: *const ASYNC_WAIT_CTX,
    f: impl FnOnce(&mut State) -> Result<R, Fault>,
) -> Result<R, Fault> {
    let slot = find(ctx)?;
    slot.locked_if(ctx.addr(), |state| {
        let done = f(state);
        slot.changed.store(state.fds.changed(), Ordering::Release);
        done
    })?
}

/// A new context.
pub(crate) fn new() -> Result<*mut ASYNC_WAIT_CTX, Fault> {
    let slot = CONTEXTS.take().ok_or(Fault::NoMemory("a wait context"))?;
    slot.turn();
    Ok(ptr::without_provenance_mut(slot.handle()))
}

pub(crate) fn set_wait_fd(
    ctx: *mut ASYNC_WAIT_CTX,
    key: Key,
    fd: RawFd,
    kept: CFd,
) -> Result<(), Fault> {
    with_fds(ctx, |state| {
        if state.closing {
            return Err(Fault::CtxClosing(ctx.addr()));
        }
        state.fds.push(key, fd, kept);
        Ok(())
    })
}

/// Takes out the newest fd under `key`, and says its number.
pub(crate) fn clear_fd(ctx: *mut ASYNC_WAIT_CTX, key: Key) -> Result<Option<RawFd>, Fault> {
    with_fds(ctx, |state| Ok(state.fds.clear(key).map(|(fd, _)| fd)))
}

/// Cleans the fds up, newest first, and ends the use of the place.
///
/// # Safety
///
/// The cleanup functions can be called, each with what was set beside it.
pub(crate) unsafe fn free(ctx: *mut ASYNC_WAIT_CTX) -> Result<(), Fault> {
    let slot = find(ctx)?;
    let handle = ctx.addr();
    let first = slot.locked_if(handle, |state| !std::mem::replace(&mut state.closing, true))?;
    if !first {
        return Err(Fault::CtxClosing(ctx.addr()));
    }
    while let Some((key, fd, kept)) = slot.locked(|state| state.fds.pop()) {
        if let Some(cleanup) = kept.cleanup {
            let key = ptr::without_provenance(key.address().unwrap_or_default());
            // SAFETY: the caller's. No lock is held, and the context can be read meanwhile.
            unsafe { cleanup(ctx, key, fd, kept.data) };
        }
    }
    let spare = slot.locked(|state| {
        slot.changed.store(false, Ordering::Release);
        state.fds = FdTable::new();
        state.callback = None;
        state.callback_arg = ptr::null_mut();
        state.status = ASYNC_STATUS_UNSUPPORTED;
        state.closing = false;
        slot.turn();
        ABANDONED.fetch_add(u64::from(state.jobs), Ordering::Relaxed);
        state.jobs == 0
    });
    if spare {
        CONTEXTS.give_back(slot);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handle is good from `new` to `free`, and only that one: also when its place is used again.
    #[test]
    fn a_handle_is_good_for_one_use() {
        let first = new().expect("a context");
        assert!(find(first).is_ok());
        // SAFETY: there are no cleanup functions.
        unsafe { free(first) }.expect("it is there");
        assert!(matches!(find(first), Err(Fault::StaleCtx(_))));
        let second = new().expect("a context");
        assert_ne!(first, second);
        // SAFETY: as above.
        assert!(matches!(unsafe { free(first) }, Err(Fault::StaleCtx(_))));
        // SAFETY: as above.
        unsafe { free(second) }.expect("it is there");
    }

    /// Nothing that a program can pass as a pointer is taken for a context.
    #[test]
    fn whatever_is_passed_is_looked_up() {
        let on_stack = 0_u64;
        let strangers = [
            1,
            8,
            0x18,
            usize::MAX,
            usize::MAX - 7,
            1 << 32,
            (1 << 32) | 0x18,
            (&raw const on_stack).addr(),
        ];
        for stranger in strangers {
            let found = find(ptr::without_provenance(stranger));
            assert!(found.is_err(), "{stranger:#x}");
        }
        assert!(matches!(find(ptr::null()), Err(Fault::Null("ctx"))));
    }
}
