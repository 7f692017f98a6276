//! Runs a script on one implementation, and notes everything that can be seen.
//!
//! Pointers are noted as numbers: a job's is the number of its start, a context's the number of its making. What
//! libcrypto leaves undefined is left out, by what the run itself has seen so far; so two runs leave out the
//! same as long as they see the same.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use crate::api::{
    ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, Api, Ctx, Job, Process, TOO_LARGE,
};
use crate::ctx_ops::LiveCtx;
use crate::script::{Op, Start, Which};
use crate::trace::{Event, What};

/// At most so many jobs at once, and contexts.
const JOBS: usize = 6;
const CTXS: usize = 4;
/// Nothing that any of the calls would write.
pub(crate) const UNTOUCHED: c_int = 0x5AA5_5AA5;

/// One run.
pub(crate) struct Run {
    pub(crate) api: &'static Api,
    pub(crate) process: &'static Process,
    trace: RefCell<Vec<Event>>,
    /// Every job that was started, by number.
    jobs: RefCell<Vec<LiveJob>>,
    /// Every context that was made, by number; `None` once freed.
    pub(crate) ctxs: RefCell<Vec<Option<LiveCtx>>>,
    /// The job that is being started and has not begun.
    starting: Cell<Option<usize>>,
    running: Cell<Option<usize>>,
    /// The thread has a pool. Another `ASYNC_init_thread` would lose it, in libcrypto.
    pool: Cell<bool>,
}

#[derive(Clone, Copy)]
struct LiveJob {
    /// Null until it was seen.
    handle: Job,
    ctx: Option<usize>,
    /// What it does. Part of the script, which outlives the run.
    start: *const Start,
    blocked: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
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
    };
    RUN.set(&raw const run);
    for op in script {
        run.exec(op);
        run.look_around();
    }
    run.end();
    RUN.set(ptr::null());
    run.trace.into_inner()
}

impl Run {
    pub(crate) fn note(&self, what: What, values: [i64; 4]) {
        let job = self.running.get().map_or(-1, |job| job as i32);
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
    fn paused(&self) -> Vec<usize> {
        let jobs = self.jobs.borrow();
        let paused = |&job: &usize| jobs[job].state == State::Paused;
        (0..jobs.len()).filter(paused).collect()
    }

    fn unfinished(&self) -> usize {
        let jobs = self.jobs.borrow();
        jobs.iter().filter(|job| job.state != State::Ended).count()
    }

    /// The numbers of the contexts that are there.
    fn live_ctxs(&self) -> Vec<usize> {
        let ctxs = self.ctxs.borrow();
        (0..ctxs.len()).filter(|&at| ctxs[at].is_some()).collect()
    }

    fn ctx_pointer(&self, number: Option<usize>) -> Ctx {
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
    fn job_number(&self, job: usize, handle: Job) -> i64 {
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
    fn exec(&self, op: &Op) {
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

    fn pick_ctx(&self, which: u8) -> Option<usize> {
        let live = self.live_ctxs();
        let at = usize::from(which).checked_rem(live.len())?;
        Some(live[at])
    }

    /// How many unfinished jobs have it.
    fn users_of(&self, number: usize) -> usize {
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

    fn unblock(&self) {
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

    fn start(&self, start: &Start) {
        let ctx = start.ctx.and_then(|which| self.pick_ctx(which));
        self.note_kind(ctx);
        let mut bytes = start.bytes();
        let args = match bytes.as_mut_slice() {
            _ if start.args.is_none() => (ptr::null_mut(), usize::from(start.size_of_null)),
            [] if !self.process.size_zero_works => (ptr::null_mut(), 0),
            bytes => (bytes.as_mut_ptr().cast(), bytes.len()),
        };
        let number = self.jobs.borrow().len();
        self.jobs.borrow_mut().push(LiveJob {
            handle: ptr::null_mut(),
            ctx,
            start,
            blocked: 0,
            state: State::Running,
        });
        self.starting.set(Some(number));
        self.pool.set(true);
        let (mut job, mut ret) = (ptr::null_mut(), UNTOUCHED);
        let ctx = self.ctx_pointer(ctx);
        // SAFETY: not in a job; the context stays until the job has finished, `job_main` keeps to its stack, and
        // the arguments are that many bytes.
        let code = unsafe {
            (self.api.start_job)(&mut job, ctx, &mut ret, Some(job_main), args.0, args.1)
        };
        let what = match code {
            ASYNC_PAUSE => What::StartPause,
            ASYNC_FINISH => What::StartFinish,
            ASYNC_NO_JOBS => What::StartNoJobs,
            _ => What::StartErr,
        };
        self.came_back(number, what, code, job, ret);
        // A job that was refused has not run.
        let ran = self.starting.replace(None).is_none();
        let kept = bytes == start.bytes();
        bytes.fill(0xEE); // the job has its own copy
        if ran == (code == ASYNC_NO_JOBS) || !kept {
            self.note(What::Impossible, [i64::from(ran), i64::from(kept), 0, 0]);
        }
    }

    /// What is rare and should happen.
    fn note_kind(&self, ctx: Option<usize>) {
        if self.unfinished() >= 3 {
            self.note(What::FourAtOnce, [0; 4]);
        }
        let Some(ctx) = ctx else {
            return self.note(What::WithoutCtx, [0; 4]);
        };
        if self.users_of(ctx) > 0 {
            self.note(What::SharedCtx, [0; 4]);
        } else if self.jobs.borrow().iter().any(|job| job.ctx == Some(ctx)) {
            self.note(What::UsedCtx, [0; 4]);
        }
    }

    fn start_too_large(&self) {
        let (mut job, mut ret, mut byte) = (ptr::null_mut(), UNTOUCHED, 0_u8);
        self.pool.set(true);
        // SAFETY: nothing is read: there is no memory for a copy. The job would leave a mark.
        let code = unsafe {
            (self.api.start_job)(
                &mut job,
                ptr::null_mut(),
                &mut ret,
                Some(wrong_function),
                (&raw mut byte).cast(),
                TOO_LARGE,
            )
        };
        let what = match code {
            ASYNC_ERR => What::StartErr,
            _ => What::Impossible,
        };
        let is_null = i64::from(job.is_null());
        self.note(what, [code.into(), ret.into(), is_null, 0]);
        if !self.process.malloc_failure_is_async {
            while self.process.take_error() != 0 {}
        }
    }

    fn resume(&self, which: u8, junk: bool) {
        let paused = self.paused();
        let Some(at) = usize::from(which).checked_rem(paused.len()) else {
            return;
        };
        let number = paused[at];
        let (mut job, mut ret) = (self.jobs.borrow()[number].handle, UNTOUCHED);
        self.jobs.borrow_mut()[number].state = State::Running;
        self.running.set(Some(number));
        let other = self.ctx_pointer(self.pick_ctx(which.wrapping_add(1)));
        let mut bytes = [0_u8; 4];
        let (ctx, func, args, size): (_, Option<crate::api::JobFn>, _, _) = match junk {
            true => (
                other,
                Some(wrong_function),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
            ),
            false => (ptr::null_mut(), None, ptr::null_mut(), 0),
        };
        // SAFETY: a paused job of this thread; the rest is ignored.
        let code = unsafe { (self.api.start_job)(&mut job, ctx, &mut ret, func, args, size) };
        self.running.set(None);
        let what = match code {
            ASYNC_PAUSE => What::ResumePause,
            ASYNC_FINISH => What::ResumeFinish,
            ASYNC_NO_JOBS => What::ResumeNoJobs,
            _ => What::ResumeErr,
        };
        self.came_back(number, what, code, job, ret);
    }

    /// `ASYNC_start_job` has returned.
    fn came_back(&self, number: usize, what: What, code: c_int, job: Job, ret: c_int) {
        self.running.set(None);
        let handle = self.job_number(number, job);
        self.note(what, [number as i64, code.into(), ret.into(), handle]);
        self.jobs.borrow_mut()[number].state = match code {
            ASYNC_PAUSE if handle >= 0 => State::Paused,
            _ => State::Ended,
        };
    }

    /// A job, from its function's begin to its end.
    fn job(&self, args: *mut c_void) -> c_int {
        let Some(me) = self.starting.take() else {
            self.note(What::WrongFunction, [0; 4]);
            return 0;
        };
        self.running.set(Some(me));
        let start = self.jobs.borrow()[me].start;
        // SAFETY: as the field says.
        let start = unsafe { &*start };
        let size = start.size();
        let what = match size {
            _ if args.is_null() => What::ArgsNull,
            ..=64 => What::ArgsInPlace,
            _ => What::ArgsOnHeap,
        };
        let bytes: &mut [u8] = match args.is_null() {
            true => &mut [],
            // SAFETY: the library's copy of that many bytes, which nobody else has.
            false => unsafe { std::slice::from_raw_parts_mut(args.cast(), size) },
        };
        self.note(
            what,
            [
                bytes.len() as i64,
                hash(bytes),
                (args.addr() % 16) as i64,
                0,
            ],
        );
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        self.note(What::LibCtxSeenInJob, [self.process.default(), 0, 0, 0]);
        for op in &start.body {
            self.exec(op);
        }
        // What is left behind would be the next job's, in libcrypto.
        while self.jobs.borrow()[me].blocked > 0 {
            self.unblock();
        }
        if !bytes.is_empty() {
            self.note(What::ArgsAtEnd, [hash(bytes), 0, 0, 0]);
        }
        self.note(What::JobReturns, [start.ret.into(), 0, 0, 0]);
        start.ret
    }
}

/// The function of all jobs.
unsafe extern "C" fn job_main(args: *mut c_void) -> c_int {
    current().job(args)
}

/// The function that no resume may run.
unsafe extern "C" fn wrong_function(_: *mut c_void) -> c_int {
    current().note(What::WrongFunction, [0; 4]);
    -1
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> i64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) as i64
}

impl Start {
    fn size(&self) -> usize {
        self.args.map_or(0, |(size, _)| usize::from(size))
    }

    fn bytes(&self) -> Vec<u8> {
        let Some((size, from)) = self.args else {
            return Vec::new();
        };
        let byte = |at: u16| (at as u8).wrapping_mul(31).wrapping_add(from);
        (0..size).map(byte).collect()
    }
}
