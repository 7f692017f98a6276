//! Starting and resuming, and what jobs do.

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::api::{ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, Job, JobFn, TOO_LARGE};
use crate::run::{LiveJob, Run, State, UNTOUCHED, current};
use crate::script::Start;
use crate::trace::What;

impl Run {
    pub(crate) fn start(&self, start: &Start) {
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
            stack_top: 0,
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

    pub(crate) fn start_too_large(&self) {
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

    pub(crate) fn resume(&self, which: u8, junk: bool) {
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
        let (ctx, func, args, size): (_, Option<JobFn>, _, _) = match junk {
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
        self.jobs.borrow_mut()[me].stack_top = (&raw const me).addr();
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
