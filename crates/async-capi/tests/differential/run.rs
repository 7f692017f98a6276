//! Runs a script on one implementation, and notes everything that can be seen.
//!
//! Pointers are noted as numbers: a job's is the number of its start, a context's the number of its making. What
//! libcrypto leaves undefined is left out, by what the run itself has seen so far; so two runs leave out the
//! same as long as they see the same.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::ptr;

use crate::api::{Api, Ctx, Job, Process};
use crate::ctx_ops::LiveCtx;
use crate::script::{Op, Start, Which};
use crate::trace::{Event, What};

/// At most so many jobs at once, and contexts.
const JOBS: usize = 6;
const CTXS: usize = 4;
/// How much of libcrypto's stacks, which have 32 KiB and no guard page, this test itself may use. The rest is for
/// what is called from there.
const STACK_BYTES: usize = 8 * 1024;
/// Nothing that any of the calls would write.
pub(crate) const UNTOUCHED: c_int = 0x5AA5_5AA5;

/// One run.
pub(crate) struct Run {
    pub(crate) api: &'static Api,
    pub(crate) process: &'static Process,
    trace: RefCell<Vec<Event>>,
    /// Every job that was started, by number.
    pub(crate) jobs: RefCell<Vec<LiveJob>>,
    /// Every context that was made, by number; `None` once freed.
    pub(crate) ctxs: RefCell<Vec<Option<LiveCtx>>>,
    /// The job that is being started and has not begun.
    pub(crate) starting: Cell<Option<usize>>,
    pub(crate) running: Cell<Option<usize>>,
    /// The thread has a pool. Another `ASYNC_init_thread` would lose it, in libcrypto.
    pub(crate) pool: Cell<bool>,
    /// The most that was used of a job's stack.
    deepest: Cell<usize>,
}

#[derive(Clone, Copy)]
pub(crate) struct LiveJob {
    /// Null until it was seen.
    pub(crate) handle: Job,
    pub(crate) ctx: Option<usize>,
    /// What it does. Part of the script, which outlives the run.
    pub(crate) start: *const Start,
    pub(crate) blocked: u32,
    /// The address where its stack begins, about.
    pub(crate) stack_top: usize,
    pub(crate) state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Paused,
    Ended,
}

thread_local! {
    /// The run of this thread, for what the library calls.
    static RUN: Cell<*const Run> = const { Cell::new(ptr::null()) };
}

/// The run of this thread.
pub(crate) fn current() -> &'static Run {
    // SAFETY: set by `run` for as long as jobs, callbacks and cleanups can be called. A job that never ends is
    // never resumed after that.
    unsafe { &*RUN.get() }
}

/// Runs the script; everything is as before at the end.
pub(crate) fn run(api: &'static Api, process: &'static Process, script: &[Op]) -> Vec<Event> {
    let run = Run {
        api,
        process,
        trace: RefCell::new(Vec::with_capacity(512)),
        jobs: RefCell::new(Vec::with_capacity(32)),
        ctxs: RefCell::new(Vec::with_capacity(32)),
        starting: Cell::new(None),
        running: Cell::new(None),
        pool: Cell::new(false),
        deepest: Cell::new(0),
    };
    RUN.set(&raw const run);
    for op in script {
        run.exec(op);
        run.look_around();
    }
    run.end();
    RUN.set(ptr::null());
    let deepest = run.deepest.get();
    assert!(deepest < STACK_BYTES, "{deepest} bytes of a job's stack");
    run.trace.into_inner()
}

impl Run {
    pub(crate) fn note(&self, what: What, values: [i64; 4]) {
        let job = self.running.get().map_or(-1, |job| job as i32);
        if let Some(job) = self.running.get() {
            let here = (&raw const job).addr();
            let depth = self.jobs.borrow()[job].stack_top.saturating_sub(here);
            self.deepest.set(self.deepest.get().max(depth));
        }
        self.trace.borrow_mut().push(Event { what, job, values });
    }

    pub(crate) fn in_job(&self) -> bool {
        self.running.get().is_some()
    }

    /// What can be seen without asking for anything in particular.
    fn look_around(&self) {
        loop {
            match self.process.take_error() {
                0 => break,
                error => self.note(What::Error, [error as i64, 0, 0, 0]),
            }
        }
        self.note(What::LibCtxSeen, [self.process.default(), 0, 0, 0]);
    }

    /// Runs all jobs to their ends, and frees everything.
    fn end(&self) {
        let longest = |job: &LiveJob| {
            // SAFETY: as the field says.
            unsafe { &*job.start }.body.len() + 2
        };
        let mut left: usize = self.jobs.borrow().iter().map(longest).sum();
        while !self.paused().is_empty() {
            self.exec(&Op::Resume {
                which: 0,
                junk: false,
            });
            self.look_around();
            if left == 0 {
                self.note(What::NeverFinished, [0; 4]);
                break;
            }
            left -= 1;
        }
        let made = self.ctxs.borrow().len();
        for number in 0..made {
            self.free_ctx(number);
        }
        // SAFETY: no job is left, or one that is never resumed.
        unsafe { (self.api.cleanup_thread)() };
        self.look_around();
        self.process.set_default(0);
    }

    /// The numbers of the paused jobs.
    pub(crate) fn paused(&self) -> Vec<usize> {
        let jobs = self.jobs.borrow();
        let paused = |&job: &usize| jobs[job].state == State::Paused;
        (0..jobs.len()).filter(paused).collect()
    }

    pub(crate) fn unfinished(&self) -> usize {
        let jobs = self.jobs.borrow();
        jobs.iter().filter(|job| job.state != State::Ended).count()
    }

    /// The numbers of the contexts that are there.
    fn live_ctxs(&self) -> Vec<usize> {
        let ctxs = self.ctxs.borrow();
        (0..ctxs.len()).filter(|&at| ctxs[at].is_some()).collect()
    }

    pub(crate) fn ctx_pointer(&self, number: Option<usize>) -> Ctx {
        let ctxs = self.ctxs.borrow();
        let live = number.and_then(|number| ctxs[number].as_ref());
        live.map_or(ptr::null_mut(), |ctx| ctx.pointer)
    }

    /// The number of a context's pointer; -1 for NULL, -2 for a stranger.
    pub(crate) fn ctx_number(&self, pointer: Ctx) -> i64 {
        if pointer.is_null() {
            return -1;
        }
        let ctxs = self.ctxs.borrow();
        let is = |ctx: &Option<LiveCtx>| ctx.as_ref().is_some_and(|ctx| ctx.pointer == pointer);
        ctxs.iter().position(is).map_or(-2, |at| at as i64)
    }

    /// The number of the job, if this can be its handle: the one that was seen before, or at first one that no
    /// other has. -1 for NULL, -2 for another's, -3 for another than before.
    pub(crate) fn job_number(&self, job: usize, handle: Job) -> i64 {
        let mut jobs = self.jobs.borrow_mut();
        let taken = |other: &LiveJob| other.state != State::Ended && other.handle == handle;
        match jobs[job].handle {
            _ if handle.is_null() => -1,
            known if known == handle => job as i64,
            known if !known.is_null() => -3,
            _ if jobs.iter().any(taken) => -2,
            _ => {
                jobs[job].handle = handle;
                job as i64
            }
        }
    }

    /// One step, of the host or of the running job.
    pub(crate) fn exec(&self, op: &Op) {
        let here = self.running.get();
        match op {
            Op::Init { max, init } => self.init(*max, *init),
            Op::Cleanup if here.is_none() && self.unfinished() == 0 => {
                // SAFETY: no job is left.
                unsafe { (self.api.cleanup_thread)() };
                self.pool.set(false);
                self.note(What::CleanupThread, [0; 4]);
            }
            Op::IsCapable => {
                // SAFETY: may always be called.
                let capable = unsafe { (self.api.is_capable)() };
                self.note(What::IsCapable, [capable.into(), 0, 0, 0]);
            }
            Op::NewCtx if self.live_ctxs().len() < CTXS => self.new_ctx(),
            Op::FreeCtx(which) => {
                if let Some(number) = self.pick_ctx(*which)
                    && self.users_of(number) == 0
                {
                    self.free_ctx(number);
                }
            }
            Op::FreeNull => {
                // SAFETY: NULL is accepted.
                unsafe { (self.api.ctx_free)(ptr::null_mut()) };
                self.note(What::FreeNull, [0; 4]);
            }
            Op::Ctx(which, op) => {
                let number = match (which, here) {
                    (Which::Own, Some(job)) => self.jobs.borrow()[job].ctx,
                    (Which::Own, None) => self.pick_ctx(0),
                    (Which::Nth(which), _) => self.pick_ctx(*which),
                };
                if let Some(number) = number {
                    self.ctx_op(number, *op);
                }
            }
            Op::Pause => self.pause(),
            Op::Block => self.block(),
            Op::Unblock => self.unblock(),
            Op::Current => self.see_current(),
            Op::WaitCtx(which) => self.wait_ctx(*which),
            Op::LibCtx(which) => {
                self.process.set_default(*which);
                let what = match here {
                    Some(_) => What::SetLibCtxInJob,
                    None => What::SetLibCtx,
                };
                self.note(what, [i64::from(*which), 0, 0, 0]);
            }
            Op::Start(start) if here.is_none() && self.unfinished() < JOBS => self.start(start),
            Op::StartTooLarge if here.is_none() && self.unfinished() == 0 => self.start_too_large(),
            Op::Resume { which, junk } if here.is_none() => self.resume(*which, *junk),
            Op::Cleanup | Op::NewCtx | Op::Start(_) | Op::StartTooLarge | Op::Resume { .. } => {}
        }
    }

    fn init(&self, max: usize, init: usize) {
        let refused = init > max;
        if refused && max == 0 {
            return; // ours makes them: in the table of differences
        }
        if !refused && (self.in_job() || self.pool.get()) {
            return; // a second time: in the table
        }
        // SAFETY: outside a job, or refused before anything is done.
        let done = unsafe { (self.api.init_thread)(max, init) };
        self.pool.set(self.pool.get() || !refused);
        let what = match done {
            0 => What::InitRefused,
            _ => What::InitOk,
        };
        self.note(what, [done.into(), max as i64, init as i64, 0]);
    }

    fn new_ctx(&self) {
        // SAFETY: may always be called.
        let pointer = unsafe { (self.api.ctx_new)() };
        let known = self.ctx_number(pointer);
        let mut ctxs = self.ctxs.borrow_mut();
        let number = ctxs.len() as i64;
        ctxs.push(Some(LiveCtx::new(pointer)));
        drop(ctxs);
        self.note(What::NewCtx, [number, known, 0, 0]);
    }

    pub(crate) fn pick_ctx(&self, which: u8) -> Option<usize> {
        let live = self.live_ctxs();
        let at = usize::from(which).checked_rem(live.len())?;
        Some(live[at])
    }

    /// How many unfinished jobs have it.
    pub(crate) fn users_of(&self, number: usize) -> usize {
        let jobs = self.jobs.borrow();
        let uses = |job: &&LiveJob| job.state != State::Ended && job.ctx == Some(number);
        jobs.iter().filter(uses).count()
    }

    fn free_ctx(&self, number: usize) {
        let pointer = self.ctx_pointer(Some(number));
        if pointer.is_null() {
            return;
        }
        // SAFETY: it is there, and no job has it.
        unsafe { (self.api.ctx_free)(pointer) };
        self.ctxs.borrow_mut()[number] = None;
        self.note(What::FreeCtx, [number as i64, 0, 0, 0]);
    }

    fn pause(&self) {
        let Some(job) = self.running.get() else {
            // SAFETY: may always be called.
            let done = unsafe { (self.api.pause_job)() };
            return self.note(What::PauseOutside, [done.into(), 0, 0, 0]);
        };
        let LiveJob { blocked, ctx, .. } = self.jobs.borrow()[job];
        if blocked == 0 && ctx.is_none() {
            return; // libcrypto crashes at the resume
        }
        // SAFETY: on the job's own stack, with a context that stays until it has finished.
        let done = unsafe { (self.api.pause_job)() };
        let what = match blocked {
            0 => What::PauseReturns,
            _ => What::PauseBlocked,
        };
        self.note(what, [done.into(), 0, 0, 0]);
        self.see_current();
        self.note(What::LibCtxSeenInJob, [self.process.default(), 0, 0, 0]);
    }

    fn block(&self) {
        // SAFETY: may always be called.
        unsafe { (self.api.block_pause)() };
        let what = match self.running.get() {
            Some(job) => {
                self.jobs.borrow_mut()[job].blocked += 1;
                What::BlockInJob
            }
            None => What::BlockOutside,
        };
        self.note(what, [0; 4]);
    }

    pub(crate) fn unblock(&self) {
        // SAFETY: may always be called.
        unsafe { (self.api.unblock_pause)() };
        let what = match self.running.get() {
            Some(job) => {
                let blocked = &mut self.jobs.borrow_mut()[job].blocked;
                let before = *blocked;
                *blocked = before.saturating_sub(1);
                match before {
                    0 => What::UnblockAtZero,
                    _ => What::UnblockInJob,
                }
            }
            None => What::UnblockOutside,
        };
        self.note(what, [0; 4]);
    }

    fn see_current(&self) {
        // SAFETY: may always be called.
        let handle = unsafe { (self.api.get_current_job)() };
        match self.running.get() {
            Some(job) => {
                let number = self.job_number(job, handle);
                self.note(What::CurrentInJob, [number, 0, 0, 0]);
            }
            None => {
                let is_null = i64::from(handle.is_null());
                self.note(What::CurrentOutside, [is_null, 0, 0, 0]);
            }
        }
    }

    fn wait_ctx(&self, which: u8) {
        let paused = self.paused();
        let of_paused = usize::from(which).checked_rem(paused.len());
        let (what, job) = match (self.running.get(), of_paused) {
            (Some(job), _) if which < 128 => (What::WaitCtxOfRunning, job),
            (_, Some(at)) => (What::WaitCtxOfPaused, paused[at]),
            _ => return,
        };
        if self.running.get() == Some(job) {
            self.see_current();
        }
        let handle = self.jobs.borrow()[job].handle;
        if handle.is_null() {
            return self.note(What::Impossible, [0; 4]);
        }
        // SAFETY: the handle of a job that has not finished.
        let ctx = unsafe { (self.api.get_wait_ctx)(handle) };
        self.note(what, [job as i64, self.ctx_number(ctx), 0, 0]);
    }
}
