//! Jobs: starting, pausing, resuming, cancelling.

use std::cell::{Cell, OnceCell};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use async_core::{Job, JobOutcome, Pause, StartError};

use crate::abi::{ASYNC_JOB, ASYNC_WAIT_CTX, JobFn};
use crate::args::{Args, Boxed, Inline, None as NoArgs};
use crate::ctx::{self, CtxSlot};
use crate::error::Fault;
use crate::libcrypto::{self, LibCtx};
use crate::slots::{Slot, Slots};
use crate::thread::{self, Thread};
use crate::{asan, check, mode, stats};

/// All jobs of the process.
pub(crate) static JOBS: Slots<JobSlot> = Slots::new();

/// In place of a job's default library context: that of whoever starts it. Not the address of anything.
const INHERIT: LibCtx = ptr::without_provenance_mut(usize::MAX);

/// What a job's function returned; `None` if it panicked.
pub(crate) type Answer = Option<c_int>;

/// One job.
pub(crate) struct JobSlot {
    index: u32,
    uses: AtomicU32,
    /// The context it was started with, as C gave it. Read by any thread: engines ask for it.
    pub(crate) ctx: AtomicUsize,
    /// The thread that started it; 0 while no thread has the place.
    pub(crate) owner: AtomicU64,
    own: Own,
}

// SAFETY: all but `own` is Sync by itself, and `own` is used by the owner only: see `JobSlot::own`.
unsafe impl Sync for JobSlot {}
// SAFETY: a place is made on one thread and used on others, one after the other. It never moves and is never
// dropped, and while it goes from one to the next, it holds no job.
unsafe impl Send for JobSlot {}

/// The part of a job that its thread alone uses.
pub(crate) struct Own {
    /// Some while it is paused.
    job: Cell<Option<Job<Answer>>>,
    /// How often pausing is blocked. The job's own count, so that one left behind blocks nobody else.
    pub(crate) blocked: Cell<u32>,
    /// Whether it has paused, so that its context knows of it.
    paused_once: Cell<bool>,
    /// The place of its context. Set at the start; its use may have ended since.
    ctx: Cell<Option<&'static CtxSlot>>,
    /// The default library context it had when it was switched out; [`INHERIT`] before that.
    libctx: Cell<LibCtx>,
    /// For AddressSanitizer; made when it is there.
    stacks: OnceCell<Box<asan::Stacks>>,
    /// The next in the thread's list of places in no use.
    pub(crate) next: Cell<Option<&'static JobSlot>>,
}

impl Own {
    /// Where the job's switches go, for AddressSanitizer.
    #[cold]
    fn stacks(&self) -> &asan::Stacks {
        self.stacks.get_or_init(|| Box::new(asan::Stacks::new()))
    }
}

impl Slot for JobSlot {
    const KIND: usize = 0;

    fn new(index: u32) -> JobSlot {
        JobSlot {
            index,
            uses: AtomicU32::new(0),
            ctx: AtomicUsize::new(0),
            owner: AtomicU64::new(0),
            own: Own {
                job: Cell::new(None),
                blocked: Cell::new(0),
                paused_once: Cell::new(false),
                ctx: Cell::new(None),
                libctx: Cell::new(INHERIT),
                stacks: OnceCell::new(),
                next: Cell::new(None),
            },
        }
    }

    fn uses(&self) -> &AtomicU32 {
        &self.uses
    }

    fn index(&self) -> u32 {
        self.index
    }
}

impl JobSlot {
    /// The owner's part.
    ///
    /// # Safety
    ///
    /// Called on the thread that has taken the place.
    #[inline(always)]
    pub(crate) unsafe fn own(&self) -> &Own {
        &self.own
    }

    /// The handle that C programs have for it.
    #[inline(always)]
    pub(crate) fn pointer(&self) -> *mut ASYNC_JOB {
        ptr::without_provenance_mut(self.handle())
    }
}

/// How far a job has come.
pub(crate) enum Step {
    /// It has paused; the handle to resume it with.
    Paused(*mut ASYNC_JOB),
    /// It has finished, with this.
    Finished(c_int),
    /// There is no job to be had; `Some` if it is for want of memory.
    NoJobs(Option<Fault>),
}

/// What a new job runs.
pub(crate) struct Work {
    pub(crate) ctx: *mut ASYNC_WAIT_CTX,
    pub(crate) func: Option<JobFn>,
    pub(crate) args: *const c_void,
    pub(crate) size: usize,
}

/// Starts a job.
///
/// # Safety
///
/// The arguments are `size` bytes that can be read, or null; and the function can be called with a copy of them.
#[inline(always)]
pub(crate) unsafe fn start(work: &Work) -> Result<Step, Fault> {
    let thread = thread::here();
    let mut mode = mode::now();
    if mode & mode::SLOW != 0 {
        mode = slow_start()?;
    }
    if thread.current.get().is_some() {
        return Err(Fault::NestedStart);
    }
    let func = work.func.ok_or(Fault::Null("func"))?;
    let ctx = match work.ctx.is_null() {
        true => None,
        false => Some(ctx::find(work.ctx)?),
    };
    let slot = thread.take()?;
    // Release, for ASYNC_get_wait_ctx: who sees this sees that the use before it has ended.
    slot.ctx.store(work.ctx.addr(), Ordering::Release);
    // SAFETY: this thread has just taken it.
    let own = unsafe { slot.own() };
    own.ctx.set(ctx);
    own.blocked.set(0);
    own.paused_once.set(false);
    own.libctx.set(INHERIT);
    let (args, size) = (work.args.cast::<u8>(), work.size);
    if args.is_null() || size == 0 {
        begin(thread, slot, mode, func, NoArgs)
    } else if size <= Inline::ROOM {
        // SAFETY: the caller's.
        let args = unsafe { Inline::copy(args, size) };
        begin(thread, slot, mode, func, args)
    } else {
        // SAFETY: the caller's.
        match unsafe { Boxed::copy(args, size) } {
            Some(args) => begin(thread, slot, mode, func, args),
            None => {
                thread.give_back(slot);
                Err(Fault::NoMemory("the job's arguments"))
            }
        }
    }
}

/// Whether jobs may run, where it is not plain that they may; and what holds.
#[cold]
pub(crate) fn slow_start() -> Result<u32, Fault> {
    let mode = mode::ready();
    if mode & mode::GONE != 0 {
        return Err(Fault::LibraryGone);
    }
    Ok(mode)
}

#[inline(always)]
fn begin<A: Args + 'static>(
    thread: &Thread,
    slot: &'static JobSlot,
    mode: u32,
    func: JobFn,
    mut args: A,
) -> Result<Step, Fault> {
    let body = move || -> Answer {
        if mode::now() & mode::ASAN != 0 {
            // SAFETY: this thread has the place: it runs its job.
            unsafe { slot.own() }.stacks().job_begins();
        }
        // AssertUnwindSafe: what a panic leaves behind is the function's own.
        let call = std::panic::AssertUnwindSafe(|| {
            // SAFETY: `start`'s caller says that it can be called with its arguments.
            unsafe { func(args.pointer()) }
        });
        let answer = std::panic::catch_unwind(call);
        if mode::now() & mode::SLOW != 0 {
            check::job_returns(slot, func);
        }
        answer.ok()
    };
    let Some(wait_ctx) = thread.wait_ctx() else {
        thread.give_back(slot);
        return Err(Fault::ThreadEnding);
    };
    if mode & mode::SLOW != 0 {
        // Before it runs: it may end the process.
        stats::count(&stats::STARTS);
        check::job_starts(slot, func);
    }
    let caller = enter(slot, mode);
    let outer = thread.current.replace(Some(slot));
    let outcome = async_core::start_job(wait_ctx, body);
    if let Ok(outcome) = &outcome {
        stopped(slot, mode, matches!(outcome, JobOutcome::Finished(_)));
    }
    thread.current.set(outer);
    let now = mode::now();
    leave(slot, now, caller);
    match outcome {
        Ok(outcome) => step(thread, slot, now, outcome),
        Err(error) => {
            if mode & mode::SLOW != 0 {
                stats::take_back(&stats::STARTS);
                check::job_refused(slot);
            }
            // SAFETY: this thread has the place.
            leave_ctx(slot, unsafe { slot.own() });
            thread.give_back(slot);
            refused(&error)
        }
    }
}

#[cold]
fn refused<F>(error: &StartError<F>) -> Result<Step, Fault> {
    match error {
        StartError::NoJobs(_) => Ok(Step::NoJobs(None)),
        StartError::InsideJob(_) => Err(Fault::NestedStart),
        StartError::ThreadExiting(_) => Err(Fault::ThreadEnding),
        _ => Ok(Step::NoJobs(Some(Fault::NoStack))),
    }
}

/// The job of a handle, if this thread may resume it.
#[inline(always)]
fn mine(thread: &Thread, handle: *mut ASYNC_JOB) -> Result<&'static JobSlot, Fault> {
    let slot = JOBS
        .find(handle.addr())
        .ok_or(Fault::StaleJob(handle.addr()))?;
    if slot.owner.load(Ordering::Relaxed) != thread.number.get() {
        return Err(Fault::WrongThread(handle.addr()));
    }
    Ok(slot)
}

/// Whether the job's context was freed. A paused job without it is never resumed.
#[inline(always)]
fn context_gone(slot: &JobSlot, own: &Own) -> bool {
    let is_there = |ctx: &CtxSlot| ctx.is(slot.ctx.load(Ordering::Relaxed));
    !own.ctx.get().is_none_or(is_there)
}

/// Takes the paused job out of its place, to be switched to.
#[inline(always)]
fn wake(thread: &Thread, slot: &'static JobSlot) -> Result<Job<Answer>, Fault> {
    // SAFETY: this thread has the place.
    let own = unsafe { slot.own() };
    if thread.ending() {
        return Err(Fault::ThreadEnding);
    }
    if context_gone(slot, own) {
        return Err(Fault::ContextGone(slot.handle()));
    }
    own.job
        .take()
        .ok_or_else(|| Fault::JobRunning(slot.handle()))
}

/// Resumes a job.
#[inline(always)]
pub(crate) fn resume(handle: *mut ASYNC_JOB) -> Result<Step, Fault> {
    go_on(handle, &stats::RESUMES, Job::resume)
}

/// Cancels a paused job: from now on its pauses return 0 at once, and it runs to its end.
pub(crate) fn cancel(handle: *mut ASYNC_JOB) -> Result<Step, Fault> {
    go_on(handle, &stats::CANCELS, |job| {
        JobOutcome::Finished(job.cancel())
    })
}

#[inline(always)]
fn go_on(
    handle: *mut ASYNC_JOB,
    counter: &'static AtomicU64,
    switch: impl FnOnce(Job<Answer>) -> JobOutcome<Answer>,
) -> Result<Step, Fault> {
    let thread = thread::here();
    let mode = mode::now();
    if mode & mode::SLOW != 0 {
        slow_start()?;
    }
    let slot = mine(thread, handle)?;
    let job = wake(thread, slot)?;
    if mode & mode::SLOW != 0 {
        stats::count(counter);
        check::job_resumes(slot);
    }
    let caller = enter(slot, mode);
    let outer = thread.current.replace(Some(slot));
    let outcome = switch(job);
    stopped(slot, mode, matches!(outcome, JobOutcome::Finished(_)));
    thread.current.set(outer);
    let mode = mode::now();
    leave(slot, mode, caller);
    step(thread, slot, mode, outcome)
}

/// Puts a paused job back into its place, or ends the use of it.
#[inline(always)]
fn step(
    thread: &Thread,
    slot: &'static JobSlot,
    mode: u32,
    outcome: JobOutcome<Answer>,
) -> Result<Step, Fault> {
    // SAFETY: this thread has the place.
    let own = unsafe { slot.own() };
    match outcome {
        JobOutcome::Paused(job) => {
            own.job.set(Some(job));
            if mode & mode::SLOW != 0 {
                stats::count(&stats::PAUSES);
            }
            Ok(Step::Paused(slot.pointer()))
        }
        JobOutcome::Finished(answer) => {
            leave_ctx(slot, own);
            if mode & mode::SLOW != 0 {
                stats::count(&stats::FINISHES);
                check::job_finished(slot);
            }
            thread.give_back(slot);
            answer.map(Step::Finished).ok_or(Fault::Panicked)
        }
    }
}

/// After a switch back, first of all.
#[inline(always)]
fn stopped(slot: &'static JobSlot, mode: u32, finished: bool) {
    if mode & mode::ASAN != 0 {
        // SAFETY: this thread has the place: its job has just been switched out, and nothing was given back.
        unsafe { slot.own() }.stacks().job_stops(finished);
    }
}

/// Ends the hold that the job took on its context, if it has tried to pause. (A job that was refused may have, too:
/// in a program's function for stacks.)
#[inline(always)]
fn leave_ctx(slot: &JobSlot, own: &Own) {
    if own.paused_once.get()
        && let Some(ctx) = own.ctx.get()
    {
        ctx.let_go(slot.ctx.load(Ordering::Relaxed));
    }
}

/// Before a switch into a job: notes the caller's default library context and installs the job's.
#[inline(always)]
fn enter(slot: &'static JobSlot, mode: u32) -> LibCtx {
    if mode & mode::LIBCTX == 0 {
        return INHERIT;
    }
    let caller = libcrypto::current();
    // SAFETY: this thread has the place.
    let jobs = unsafe { slot.own() }.libctx.get();
    if jobs != caller && jobs != INHERIT {
        libcrypto::install(jobs);
    }
    caller
}

/// After the switch back: remembers the job's, and puts the caller's back.
#[inline(always)]
fn leave(slot: &'static JobSlot, mode: u32, caller: LibCtx) {
    // Not if it was found, or cleaned up, in the meantime.
    if caller == INHERIT || mode & mode::LIBCTX == 0 {
        return;
    }
    let jobs = libcrypto::current();
    // SAFETY: this thread has the place: its job has just been switched out, and nothing was given back.
    unsafe { slot.own() }.libctx.set(jobs);
    if jobs != caller {
        libcrypto::install(caller);
    }
}

/// Pauses the running job, if there is one and it may. 1, or 0 if it is being cancelled.
#[inline(always)]
pub(crate) fn pause() -> Result<c_int, Fault> {
    let Some(slot) = thread::here().current.get() else {
        return Ok(1);
    };
    // SAFETY: the running job is this thread's.
    let own = unsafe { slot.own() };
    if own.blocked.get() > 0 {
        return Ok(1);
    }
    if !own.paused_once.get() {
        first_pause(slot)?;
    } else if context_gone(slot, own) {
        return Err(Fault::ContextGone(slot.handle()));
    }
    if mode::now() & mode::SLOW != 0 {
        check::job_pauses(slot);
    }
    let paused = async_core::pause_job();
    if let Ok(Pause::NotInJob | Pause::Blocked) = paused {
        return Ok(1);
    }
    if mode::now() & mode::ASAN != 0 {
        own.stacks().job_goes_on();
    }
    if let Some(ctx) = own.ctx.get() {
        ctx.begin_round();
    }
    Ok(c_int::from(paused.is_ok()))
}

/// Tells the context of the job, which outlives its start from now on.
#[cold]
fn first_pause(slot: &'static JobSlot) -> Result<(), Fault> {
    // SAFETY: the running job is this thread's.
    let own = unsafe { slot.own() };
    if let Some(ctx) = own.ctx.get() {
        ctx.hold(slot.ctx.load(Ordering::Relaxed))
            .map_err(|_| Fault::ContextGone(slot.handle()))?;
    }
    own.paused_once.set(true);
    Ok(())
}
