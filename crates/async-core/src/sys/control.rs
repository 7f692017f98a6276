//! The control block: one job, at the top of its own stack.

use std::cell::{Cell, UnsafeCell};
use std::convert::Infallible;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use corosensei::stack::valgrind::ValgrindStackRegistration;
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, Yielder};
use waitctx::WaitCtx;

use super::home::Home;
use super::pages;
use super::stack_source::StackMemory;
use super::store::Store;
use crate::state::State;

/// A slot's coroutine. It takes and gives nothing: everything passes through the control block.
type Fiber = Coroutine<(), (), Infallible, SlotStack>;

/// One job. See the module's documentation for where it lives and who may touch it.
///
/// What a resume and a pause look at fits the first cache line, so that with many paused jobs each
/// costs one here, beside those of its stack; the second line is for starting and finishing.
#[repr(C, align(64))]
pub(super) struct Control {
    pub(super) state: Cell<State>,
    /// Set from outside while Paused; from then on the job does not pause.
    pub(super) cancelled: Cell<bool>,
    /// Whether `outer` holds a job. Meaningful while Running.
    nested: Cell<bool>,
    /// How many block guards of this job are alive. Reset when the job ends.
    pub(super) blocked: Cell<u32>,
    /// [`waitctx::change_epoch`] when this job's context last had its round begun, 0 if it had not:
    /// while that number is the same there is nothing to begin, and the context is not touched.
    pub(super) epoch: Cell<u64>,
    /// The running coroutine's way out. Written once, by the coroutine's first entry; it points
    /// into the coroutine's first frame, which stays for the slot's whole life.
    yielder: Cell<*const Yielder<(), ()>>,
    /// Used by the thread on the owner's side only, for the length of one switch; by nobody while
    /// the coroutine runs (it reaches the outside through `yielder`).
    fiber: UnsafeCell<MaybeUninit<Fiber>>,
    /// The lowest byte of the memory this block and its stack are in.
    lowest: NonNull<u8>,

    /// The context of the job: of `start`'s caller while `start` has not returned, then
    /// `owned_ctx`. Null only while Idle.
    ctx: Cell<*const WaitCtx>,
    /// What the coroutine runs next: takes a closure out of `store`, puts its result in. Set by
    /// `start` together with the closure.
    run: Cell<unsafe fn(&Control)>,
    /// The job that was running when this one was switched in; see `nested`.
    outer: Cell<*const Control>,
    /// The number of the job, different at each start.
    pub(super) id: Cell<u64>,
    /// The next idle slot of the same home. Meaningful while in that list.
    pub(super) next_idle: Cell<*const Control>,
    /// The home that made this slot. It outlives the slot: see [`Home`].
    pub(super) home: NonNull<Home>,
    /// Set when the first pause makes the job outlive `start`. Used by `keep_ctx`, and by
    /// `forget_ctx` when the job has ended.
    owned_ctx: UnsafeCell<Option<WaitCtx>>,
    /// The length of the memory this block and its stack are in.
    bytes: usize,

    /// Where the job will look first when it is resumed, or null: an address to fetch, never followed.
    pub(super) looks_at: Cell<*const ()>,
    valgrind: UnsafeCell<ManuallyDrop<ValgrindStackRegistration>>,
    /// Holds the closure from `start` until `run` takes it, then nothing, then the result from
    /// when `run` puts it until the state Finished is acted upon.
    pub(super) store: Store,
}

/// What a resume and a pause look at is in one line; see [`Control`].
#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::offset_of!(Control, ctx) == 64);

/// The part of a slot below its control block.
#[derive(Clone, Copy)]
struct SlotStack(NonNull<Control>);

impl SlotStack {
    fn control(&self) -> &Control {
        // SAFETY: a coroutine's stack is asked for between `weave` and `unravel`, when the block is
        // there: `place` has written it, and `dismantle` takes the coroutine off it first.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: made by `Control::place` only, which checks that the memory between limit and base is
// whole, aligned at its base and large enough. Its guard is the arena's duty, or the promise of who
// permitted to do without ([`Unguarded::promise`](super::Unguarded::promise)), or the stack source's
// by its contract. The guard is below the limit here; only corosensei's trap handler, which is not
// used, would want it above.
unsafe impl Stack for SlotStack {
    #[inline]
    fn base(&self) -> StackPointer {
        // Addresses of mapped memory are not zero.
        NonZeroUsize::from(self.0.addr())
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        // Rounded up to what the platform wants of a stack pointer.
        let lowest = NonZeroUsize::from(self.control().lowest.addr());
        lowest.checked_add(15).map_or(NonZeroUsize::MAX, |a| {
            NonZeroUsize::new(a.get() & !15).unwrap_or(NonZeroUsize::MAX)
        })
    }
}

impl Control {
    /// Makes a slot of `memory`: a control block at its top, an idle coroutine below. Gives the
    /// memory back if it is too small.
    ///
    /// # Safety
    ///
    /// The memory is writable, nobody else uses it, and it stays so until `dismantle`. `home`
    /// outlives the slot.
    pub(super) unsafe fn place(
        memory: StackMemory,
        home: NonNull<Home>,
    ) -> Result<NonNull<Control>, StackMemory> {
        let lowest = memory.lowest.as_ptr() as usize;
        let Some(control) = (lowest.checked_add(memory.bytes))
            .and_then(|top| top.checked_sub(size_of::<Control>()))
            .map(|at| at & !(align_of::<Control>() - 1))
            .filter(|at| *at >= lowest + corosensei::stack::MIN_STACK_SIZE)
        else {
            return Err(memory);
        };
        // SAFETY: `control` is inside the memory by the filter above.
        let at = unsafe { memory.lowest.add(control - lowest) }.cast::<Control>();
        let valgrind = ValgrindStackRegistration::new(memory.lowest.as_ptr(), memory.bytes);
        let block = Control {
            state: Cell::new(State::Idle),
            cancelled: Cell::new(false),
            blocked: Cell::new(0),
            yielder: Cell::new(std::ptr::null()),
            ctx: Cell::new(std::ptr::null()),
            epoch: Cell::new(0),
            run: Cell::new(nothing),
            looks_at: Cell::new(std::ptr::null()),
            nested: Cell::new(false),
            outer: Cell::new(std::ptr::null()),
            id: Cell::new(0),
            fiber: UnsafeCell::new(MaybeUninit::uninit()),
            next_idle: Cell::new(std::ptr::null()),
            home,
            owned_ctx: UnsafeCell::new(None),
            lowest: memory.lowest,
            bytes: memory.bytes,
            valgrind: UnsafeCell::new(ManuallyDrop::new(valgrind)),
            store: Store::new(),
        };
        // SAFETY: `at` is aligned, inside the memory, and followed by size_of::<Control>() bytes
        // of it.
        unsafe { at.write(block) };
        // SAFETY: the slot was just made: nothing runs on it.
        unsafe { Control::weave(at) };
        Ok(at)
    }

    /// Puts a new coroutine on the slot's stack.
    ///
    /// # Safety
    ///
    /// `at` is a control block made by `place` whose stack holds no frame in use.
    unsafe fn weave(at: NonNull<Control>) {
        // SAFETY: `place` made the block and it has not been dismantled.
        let control = unsafe { at.as_ref() };
        let stack = SlotStack(at);
        let fiber = Fiber::with_stack(stack, move |yielder, ()| {
            // SAFETY: the coroutine lives in the slot of this block and is dismantled with it.
            let control = unsafe { at.as_ref() };
            control.yielder.set(yielder);
            loop {
                let run = control.run.get();
                // SAFETY: `start` has put a closure into the store and the function that takes
                // exactly that into `run`, before switching in here.
                unsafe { run(control) };
                control.state.set(State::Finished);
                yielder.suspend(());
            }
        });
        // SAFETY: nobody else uses the fiber: the coroutine does not run.
        unsafe { (*control.fiber.get()).write(fiber) };
    }

    /// Lets the job run until it pauses or finishes. On the owner's side.
    ///
    /// # Safety
    ///
    /// The job is not running, and either a closure and its `run` are set (state Idle) or it is
    /// Paused. The thread's `CURRENT` is this block.
    #[inline(always)]
    pub(super) unsafe fn switch_in(&self) {
        self.state.set(State::Running);
        // SAFETY: written by `weave`; nobody else uses it, as the coroutine does not run, and
        // while it runs it does not touch this field.
        let fiber = unsafe { (*self.fiber.get()).assume_init_mut() };
        fiber.resume(());
    }

    /// Notes the job that runs around this one, or null.
    #[inline(always)]
    pub(super) fn set_outer(&self, outer: *const Control) {
        self.nested.set(!outer.is_null());
        if !outer.is_null() {
            self.outer.set(outer);
        }
    }

    /// The job that runs around this one, or null.
    pub(super) fn outer(&self) -> *const Control {
        if self.nested.get() {
            self.outer.get()
        } else {
            std::ptr::null()
        }
    }

    /// Whether `stack_pointer` is on this job's stack.
    #[inline(always)]
    pub(super) fn is_on_stack(&self, stack_pointer: usize) -> bool {
        let base = (&raw const *self).addr();
        (self.lowest.as_ptr().addr()..base).contains(&stack_pointer)
    }

    /// Whether `address` is in the page below this job's stack, where its guard is.
    pub(super) fn is_just_below_stack(&self, address: usize, page: usize) -> bool {
        let lowest = self.lowest.addr().get();
        (lowest.saturating_sub(page)..lowest).contains(&address)
    }

    /// The size of the slot, this block included, guard page not.
    pub(super) fn stack_bytes(&self) -> usize {
        self.bytes
    }

    /// How much of the slot was used, in bytes from its top. `None` if it is not a built-in one,
    /// whose contents at first are known.
    pub(super) fn stack_high_water(&self) -> Option<usize> {
        // SAFETY: a home outlives its slots.
        if !unsafe { self.home.as_ref() }.is_built_in() {
            return None;
        }
        // SAFETY: it is an arena's slot, which is there as long as this block.
        unsafe { pages::high_water(self.lowest, self.bytes) }
    }

    /// Gives the thread back to whoever switched this job in. On the job's side.
    ///
    /// # Safety
    ///
    /// Called by the running job itself, whose block this is.
    #[inline(always)]
    pub(super) unsafe fn switch_out(&self) {
        // SAFETY: set at the coroutine's first entry, which has happened since it runs; it points
        // into a frame below which we are.
        let yielder = unsafe { &*self.yielder.get() };
        yielder.suspend(());
    }

    /// Sets what the job runs and the context it runs under.
    ///
    /// # Safety
    ///
    /// The job is Idle, and `ctx` is good until the job ends or `keep_ctx` is called.
    #[inline(always)]
    pub(super) unsafe fn load<F, R>(&self, ctx: &WaitCtx, closure: F)
    where
        F: FnOnce() -> R + 'static,
        R: 'static,
    {
        // SAFETY: an idle job's store is empty and nobody uses it.
        unsafe { self.store.put(closure) };
        self.run.set(run_closure::<F, R>);
        self.ctx.set(ctx);
        self.epoch.set(0);
    }

    /// Makes the job hold its context itself, since it outlives the call of `start`.
    #[inline]
    pub(super) fn keep_ctx(&self) {
        // SAFETY: called by `start` while its caller's context is still borrowed.
        let ctx = unsafe { &*self.ctx.get() }.clone();
        // SAFETY: nobody else uses the field: the job is paused and has no handle yet.
        let kept = unsafe { &mut *self.owned_ctx.get() }.insert(ctx);
        self.ctx.set(kept);
    }

    /// The job's context.
    ///
    /// # Safety
    ///
    /// The job is Running or Paused. The reference is not used beyond the next switch of this job.
    #[inline(always)]
    pub(super) unsafe fn ctx(&self) -> &WaitCtx {
        // SAFETY: set by `load`, and good until the job ends: `start`'s caller lends it until the
        // first pause, and from then on `owned_ctx` keeps it.
        unsafe { &*self.ctx.get() }
    }

    /// Hands over the reference that the job held, for the end of the job.
    #[inline]
    pub(super) fn forget_ctx(&self) -> Option<WaitCtx> {
        self.ctx.set(std::ptr::null());
        // SAFETY: nobody else uses the field: the job has ended.
        unsafe { (*self.owned_ctx.get()).take() }
    }

    /// Wipes what the last job left: in the store, and on the stack, with the memory's own way of
    /// doing so; and puts a new coroutine there.
    ///
    /// # Safety
    ///
    /// The job is Idle and in no list, and this is not called on its stack.
    #[inline(never)] // valgrind.supp names it
    pub(super) unsafe fn wipe(&self, discard: impl FnOnce(NonNull<u8>, usize) -> bool) {
        // SAFETY: the coroutine is suspended in its loop, where it owns nothing that is dropped.
        unsafe { self.unravel() };
        let at = NonNull::from(self);
        let page = rustix::param::page_size();
        let all = at.as_ptr() as usize - self.lowest.as_ptr() as usize;
        let top = (at.as_ptr() as usize) & (page - 1);
        let whole = all.saturating_sub(top);
        let wiped = if discard(self.lowest, whole) {
            whole
        } else {
            0
        };
        // SAFETY: between the lowest byte and the control block there is only the stack, on which
        // no frame is left; and `wiped` is at most `all`.
        let rest = unsafe { self.lowest.add(wiped) };
        // SAFETY: as above.
        unsafe { rest.write_bytes(0, all - wiped) };
        // SAFETY: an idle job's store is empty and nobody uses it.
        unsafe { self.store.wipe() };
        // The compiler may not leave the writes out on the ground that nobody reads them.
        std::hint::black_box((rest, &self.store));
        // SAFETY: `unravel` has taken the only coroutine off the stack. The pointer is good for
        // the whole slot's memory below, as it is only used at its address.
        unsafe { Control::weave(at) };
        // SAFETY: the new coroutine has not run.
        self.yielder.set(std::ptr::null());
    }

    /// Takes the coroutine off the stack without unwinding it.
    ///
    /// # Safety
    ///
    /// The coroutine is suspended in its loop or was never entered, so that nothing on its stack
    /// wants to be dropped; it is not resumed again.
    unsafe fn unravel(&self) {
        // SAFETY: written by `weave`; nobody uses it while the coroutine is suspended.
        let fiber = unsafe { (*self.fiber.get()).assume_init_mut() };
        // SAFETY: the caller's. The loop's frame holds a pointer, a reference and no more.
        unsafe { fiber.force_reset() };
        // SAFETY: it is initialised, and not used again before the next `weave`.
        unsafe { (*self.fiber.get()).assume_init_drop() };
    }

    /// Takes the slot apart and hands its memory over.
    ///
    /// # Safety
    ///
    /// The job is Idle, in no list, and `at` is not used again.
    pub(super) unsafe fn dismantle(at: NonNull<Control>) -> StackMemory {
        // SAFETY: `place` made the block, and this is its end.
        let control = unsafe { at.as_ref() };
        // SAFETY: an idle job's coroutine is suspended in its loop or was never entered.
        unsafe { control.unravel() };
        // SAFETY: initialised by `place`, dropped once.
        unsafe { ManuallyDrop::drop(&mut *control.valgrind.get()) };
        StackMemory {
            lowest: control.lowest,
            bytes: control.bytes,
        }
    }
}

/// Takes the closure out of the store, runs it, and puts its result or its panic in.
///
/// # Safety
///
/// The store holds an `F`, and this is called on the job's own stack.
unsafe fn run_closure<F, R>(control: &Control)
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    // SAFETY: the caller's; `load` puts the two together.
    let closure = unsafe { control.store.take::<F>() };
    // AssertUnwindSafe: the panic goes on in `resume`, where whoever catches it judges.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(closure));
    // SAFETY: the closure was taken out, so the store is empty.
    unsafe { control.store.put::<std::thread::Result<R>>(result) };
}

/// What a slot runs before its first job: never.
///
/// # Safety
///
/// None is needed.
unsafe fn nothing(_: &Control) {}
