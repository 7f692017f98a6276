//! The operations on jobs, with handles that make them safe to call.

use std::marker::PhantomData;
use std::ptr::NonNull;

use waitctx::{Notifier, WaitCtx};

use super::control::Control;
use super::home::{Home, TakeError};
use super::thread::{self, Thread};
use crate::error::Cancelled;
use crate::job::{JobId, Pause};
use crate::state::State;

/// A paused job: the only handle to it. Without one, nobody resumes it and its slot stays as it is.
///
/// Neither `Send` nor `Sync`, by its pointers. `R` is the type of the job's result, which
/// only `start` and this handle know.
pub(crate) struct Paused<R> {
    /// Of a job in state Paused, and good until this handle is used up: invariant 2.
    control: NonNull<Control>,
    result: PhantomData<fn() -> R>,
}

impl<R> Paused<R> {
    pub(crate) fn id(&self) -> JobId {
        // SAFETY: a paused job's slot is alive.
        JobId(unsafe { self.control.as_ref() }.id.get())
    }

    pub(crate) fn wait_ctx(&self) -> &WaitCtx {
        // SAFETY: a paused job's slot is alive.
        let slot = unsafe { self.control.as_ref() };
        // SAFETY: the job is paused, and cannot be resumed while its handle is borrowed.
        unsafe { slot.ctx() }
    }

    pub(crate) fn stack_high_water(&self) -> Option<usize> {
        // SAFETY: a paused job's slot is alive.
        unsafe { self.control.as_ref() }.stack_high_water()
    }
}

impl<R> Paused<R> {
    /// Asks the processor to fetch what a resume reads first: the control block, and the frames
    /// right below it, where a job that has not gone deep is suspended.
    #[inline]
    pub(crate) fn prefetch(&self) {
        const LINE: usize = 64;
        let control = self.control.as_ptr().cast::<u8>();
        for line in 0..3 {
            fetch(control.wrapping_add(line * LINE));
        }
        for line in 1..=5 {
            fetch(control.wrapping_sub(line * LINE));
        }
    }

    /// The same for what the job said it will look at, some resumes later: the address is in the
    /// block.
    #[inline]
    pub(crate) fn prefetch_next(&self) {
        // SAFETY: a paused job's slot is alive.
        let at = unsafe { self.control.as_ref() }.looks_at.get();
        fetch_to_write(at.cast());
    }
}

/// Asks the processor for memory that this thread will write soon, in its own cache: the first two
/// lines of a value that another thread has written last. A hint, which costs an instruction per line
/// and does nothing else.
#[inline(always)]
pub fn prefetch_for_write<T>(value: &T) {
    const LINE: usize = 64;
    let start = std::ptr::from_ref(value).cast::<u8>();
    for line in 0..size_of::<T>().div_ceil(LINE).min(2) {
        fetch_to_write(start.wrapping_add(line * LINE));
    }
}

/// Brings a line of memory into this processor's cache alone. A hint: any address will do.
#[inline(always)]
fn fetch_to_write(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads and writes nothing. Processors that do not know it take it for a no-op; those
    // of 2004 that did not are not supported by anything that runs this.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it reads and writes nothing.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

/// Brings a line of memory nearer. A hint: any address will do.
#[inline(always)]
fn fetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of an address that cannot be read does nothing. Every x86-64 has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch of an address that cannot be read does nothing.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

/// How far a job has come.
pub(crate) enum Step<R> {
    Paused(Paused<R>),
    Finished(std::thread::Result<R>),
}

/// Starts a job, and hands the closure back if there is no slot for it.
#[inline(always)]
pub(crate) fn start<F, R>(ctx: &WaitCtx, closure: F) -> Result<Step<R>, (F, TakeError)>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    let thread = thread::here();
    let control = match thread.take() {
        Ok(control) => control,
        Err(error) => return Err((closure, error)),
    };
    // SAFETY: it was just taken, so it is alive until it is given back.
    let slot = unsafe { control.as_ref() };
    // SAFETY: a slot that was taken is idle. `ctx` is borrowed until this function returns; if the
    // job is not over by then, `keep_ctx` has been called.
    unsafe { slot.load(ctx, closure) };
    // SAFETY: `load` has set what it runs.
    unsafe { run(thread, slot) };
    if slot.state.get() == State::Paused {
        slot.keep_ctx();
    }
    // SAFETY: the job was started with a closure that returns an R, and has no handle yet.
    Ok(unsafe { step(thread, control) })
}

/// Goes on behind the pause. Gives the job back if its thread is ending.
#[inline(always)]
pub(crate) fn resume<R>(paused: Paused<R>) -> Result<Step<R>, Paused<R>> {
    let thread = thread::here();
    if thread.is_exiting() {
        return Err(paused);
    }
    // SAFETY: a paused job's slot is alive.
    let slot = unsafe { paused.control.as_ref() };
    // SAFETY: the handle says that it is paused.
    unsafe { run(thread, slot) };
    // SAFETY: the handle, which is used up, says that its result is an R.
    Ok(unsafe { step(thread, paused.control) })
}

/// Marks the job cancelled and runs it to its end. Not while its thread is ending.
pub(crate) fn cancel<R>(paused: Paused<R>) -> std::thread::Result<R> {
    // SAFETY: a paused job's slot is alive.
    unsafe { paused.control.as_ref() }.cancelled.set(true);
    match resume(paused) {
        Ok(Step::Finished(result)) => result,
        Ok(Step::Paused(_)) => unreachable!("a cancelled job does not pause"),
        Err(_) => unreachable!("no job is cancelled while its thread is ending"),
    }
}

/// Leaves the job paused for ever.
pub(crate) fn leak<R>(paused: Paused<R>) {
    // Already counted when its thread began to end: see `Thread::exit`.
    let Paused { .. } = paused;
}

/// Switches into a job, as the running one.
///
/// # Safety
///
/// The job is loaded or paused, on this thread.
#[inline(always)]
unsafe fn run(thread: &Thread, slot: &Control) {
    let outer = thread.current.replace(slot);
    slot.set_outer(outer);
    // SAFETY: the caller's; and it is current now.
    unsafe { slot.switch_in() };
    thread.current.set(outer);
}

/// Looks how far a job has come; if to its end, takes its result and gives its slot back.
///
/// # Safety
///
/// The job was switched in and out again just now, has no handle, and its result is an `R`.
#[inline(always)]
unsafe fn step<R>(thread: &Thread, control: NonNull<Control>) -> Step<R> {
    // SAFETY: not given back yet, so alive.
    let slot = unsafe { control.as_ref() };
    if slot.state.get() == State::Paused {
        return Step::Paused(Paused {
            control,
            result: PhantomData,
        });
    }
    debug_assert_eq!(slot.state.get(), State::Finished);
    // SAFETY: a finished job's store holds its result, put there as exactly this type.
    let result = unsafe { slot.store.take::<std::thread::Result<R>>() };
    let ctx = slot.forget_ctx();
    // SAFETY: the job has ended, its result was taken, and the slot is not used below.
    unsafe { Home::give_back(thread, control) };
    // Last, with everything in order: it may be the last reference to the context, and then runs
    // the user's cleanup functions.
    drop(ctx);
    Step::Finished(result)
}

/// Pauses the running job, if there is one and it may.
#[inline(always)]
pub(crate) fn pause() -> Result<Pause, Cancelled> {
    let current = thread::here().current.get();
    // SAFETY: the running job's slot is alive, and we are the running job.
    let Some(slot) = (unsafe { current.as_ref() }) else {
        return Ok(Pause::NotInJob);
    };
    if slot.cancelled.get() {
        return Err(Cancelled);
    }
    if !may_switch(slot) {
        return Ok(Pause::Blocked);
    }
    slot.state.set(State::Paused);
    // SAFETY: we are that job.
    unsafe { slot.switch_out() };
    let epoch = waitctx::change_epoch();
    if slot.epoch.replace(epoch) != epoch {
        // SAFETY: we are running, and the reference goes no further than this line.
        unsafe { slot.ctx() }.begin_round();
    }
    if slot.cancelled.get() {
        return Err(Cancelled);
    }
    Ok(Pause::Resumed)
}

/// Whether the running job may be switched out here and now.
///
/// - Not while a block guard lives.
/// - Not while the thread unwinds: other code would believe that it panicked itself.
/// - Not on any stack but the job's. Another library's coroutine inside the job may have been
///   suspended to code outside it, so that the job only seems to run; switching it out from there
///   would leave the wrong stack.
#[inline(always)]
fn may_switch(slot: &Control) -> bool {
    slot.blocked.get() == 0 && !std::thread::panicking() && slot.is_on_stack(stack_pointer())
}

/// Where this thread's stack ends now, more or less.
#[inline(always)]
fn stack_pointer() -> usize {
    let here: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register and touches nothing else.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register and touches nothing else.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // A local's address. (Not above, as it must then be in memory.)
        let local = 0_u8;
        here = (&raw const local).addr();
    }
    here
}

/// The running job, as seen from inside: a pointer and the number that tells whether what it
/// points to is still that job. Neither `Send` nor `Sync`, by its pointer.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    /// Followed only when it was met among the thread's running jobs, whose slots are alive.
    control: NonNull<Control>,
    id: u64,
}

#[inline(always)]
pub(crate) fn current() -> Option<Current> {
    let control = NonNull::new(thread::here().current.get().cast_mut())?;
    // SAFETY: the running job's slot is alive.
    let id = unsafe { control.as_ref() }.id.get();
    Some(Current { control, id })
}

impl Current {
    pub(crate) fn id(&self) -> JobId {
        JobId(self.id)
    }

    /// The slot, if this job is the one that runs now.
    #[inline(always)]
    fn running(&self) -> Option<&Control> {
        let current = thread::here().current.get();
        // SAFETY: the running job's slot is alive.
        let slot = unsafe { current.as_ref() }?;
        (current == self.control.as_ptr().cast_const() && slot.id.get() == self.id).then_some(slot)
    }

    /// The slot, if this job is running, or waits for one that it resumed.
    fn on_the_way(&self) -> Option<&Control> {
        let mut at = thread::here().current.get();
        // SAFETY: the running job's slot is alive, and so is that of each that waits for it:
        // they are Running too.
        while let Some(slot) = unsafe { at.as_ref() } {
            if at == self.control.as_ptr().cast_const() {
                return (slot.id.get() == self.id).then_some(slot);
            }
            at = slot.outer();
        }
        None
    }

    #[inline(always)]
    #[track_caller]
    fn expect_running(&self) -> &Control {
        match self.running() {
            Some(slot) => slot,
            None => self.not_running(),
        }
    }

    #[cold]
    #[track_caller]
    fn not_running(&self) -> ! {
        panic!(
            "a CurrentJob was used outside its job ({}); ask for it again with current_job()",
            self.id()
        )
    }

    #[track_caller]
    pub(crate) fn wait_ctx(&self) -> WaitCtx {
        let slot = self.expect_running();
        // SAFETY: the job is running, and the reference goes no further than this line.
        unsafe { slot.ctx() }.clone()
    }

    /// A handle to wake the job's context with, without counting a reference to it.
    #[track_caller]
    pub(crate) fn notifier(&self) -> std::io::Result<Notifier> {
        let slot = self.expect_running();
        // SAFETY: the job is running, and nothing that this calls switches or is the user's.
        unsafe { slot.ctx() }.notifier()
    }

    /// The same, kept from call to call.
    #[inline]
    #[track_caller]
    pub(crate) fn renew_notifier(&self, kept: &mut Option<Notifier>) -> std::io::Result<bool> {
        let slot = self.expect_running();
        // SAFETY: the job is running, and nothing that this calls switches or is the user's.
        unsafe { slot.ctx() }.renew_notifier(kept)
    }

    /// Notes an address that is worth fetching before the job is resumed.
    #[inline]
    #[track_caller]
    pub(crate) fn looks_at(&self, address: *const ()) {
        self.expect_running().looks_at.set(address);
    }

    /// Takes note of a wake of the job's context.
    #[inline]
    #[track_caller]
    pub(crate) fn acknowledge(&self) -> std::io::Result<bool> {
        let slot = self.expect_running();
        // SAFETY: the job is running, and nothing that this calls switches or is the user's.
        unsafe { slot.ctx() }.acknowledge()
    }

    #[inline]
    #[track_caller]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.expect_running().cancelled.get()
    }

    #[inline]
    #[track_caller]
    pub(crate) fn can_pause(&self) -> bool {
        let slot = self.expect_running();
        !slot.cancelled.get() && may_switch(slot)
    }

    #[track_caller]
    pub(crate) fn stack_high_water(&self) -> Option<usize> {
        self.expect_running().stack_high_water()
    }

    pub(crate) fn block(&self) {
        let slot = self.expect_running();
        slot.blocked.set(slot.blocked.get().saturating_add(1));
    }

    pub(crate) fn unblock(&self) {
        if let Some(slot) = self.on_the_way() {
            slot.blocked.set(slot.blocked.get().saturating_sub(1));
        }
    }
}
