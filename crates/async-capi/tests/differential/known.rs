//! Where ours differs from libcrypto on purpose, and libcrypto's side can be run: a fixed script for each, with what
//! both do. What cannot be run, since libcrypto crashes or overwrites memory, is in `docs/semantics.md` only.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use crate::api::{
    ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, Api, Both, Ctx, Job, JobFn, Process,
    TOO_LARGE,
};

/// One difference.
struct Row {
    /// As in the table of `docs/semantics.md`.
    name: &'static str,
    run: fn(&Fixed),
    libcrypto: &'static [i64],
    ours: &'static [i64],
}

const INTERNAL_ERROR: i64 = 0x198c_0103;
const PASSED_NULL: i64 = 0x198c_0102;
const MALLOC_FAILURE: i64 = 0x198c_0100;
const POOL_SIZE: i64 = 0x1980_0067;

const ERR: i64 = ASYNC_ERR as i64;
const NO_JOBS: i64 = ASYNC_NO_JOBS as i64;
const PAUSE: i64 = ASYNC_PAUSE as i64;
const FINISH: i64 = ASYNC_FINISH as i64;

const ROWS: &[Row] = &[
    Row {
        name: "jobs up front without a bound",
        run: |on| on.see(on.init(0, 2)),
        libcrypto: &[0, POOL_SIZE],
        ours: &[1],
    },
    Row {
        name: "a block left behind",
        run: |on| {
            on.see(on.start(blocks_and_returns).code);
            let second = on.start(pauses);
            on.see(second.code);
            on.to_the_end(second);
        },
        libcrypto: &[FINISH, FINISH],
        ours: &[FINISH, PAUSE],
    },
    Row {
        name: "a second pool, jobs in flight",
        run: |on| {
            on.init(1, 0);
            let first = on.start(pauses);
            on.see(on.init(1, 0));
            let second = on.start(pauses);
            on.see(second.code);
            on.to_the_end(first);
            on.to_the_end(second);
        },
        libcrypto: &[1, PAUSE],
        ours: &[1, NO_JOBS],
    },
    Row {
        name: "a second pool, jobs that come back to it",
        run: |on| {
            on.init(1, 0);
            let first = on.start(pauses);
            on.init(1, 0);
            on.to_the_end(first);
            let (second, third) = (on.start(pauses), on.start(pauses));
            on.see(second.code);
            on.see(third.code);
            on.to_the_end(second);
            on.to_the_end(third);
        },
        libcrypto: &[PAUSE, PAUSE],
        ours: &[PAUSE, NO_JOBS],
    },
    Row {
        name: "a second pool, made inside a job",
        run: |on| on.see(on.start(makes_a_pool).code),
        libcrypto: &[1, FINISH],
        ours: &[0, FINISH, INTERNAL_ERROR],
    },
    Row {
        name: "paused jobs after the cleanup of their thread",
        run: |on| {
            on.init(1, 0);
            on.see(on.start(pauses).code);
            // SAFETY: the job is never resumed.
            unsafe { (on.api.cleanup_thread)() };
            on.init(1, 0);
            on.see(on.start(returns).code);
        },
        libcrypto: &[PAUSE, FINISH],
        ours: &[PAUSE, NO_JOBS],
    },
    Row {
        name: "a start inside a job that was resumed before",
        run: |on| {
            let job = on.start(pauses_then_starts);
            on.see(job.code);
            on.to_the_end(job);
        },
        libcrypto: &[PAUSE, ERR],
        ours: &[PAUSE, ERR, INTERNAL_ERROR],
    },
    Row {
        name: "the context of a job that has ended",
        run: |on| {
            let job = on.start(pauses);
            let handle = job.handle;
            on.to_the_end(job);
            // SAFETY: libcrypto keeps the job in its pool.
            let ctx = unsafe { (on.api.get_wait_ctx)(handle) };
            on.see(c_int::from(ctx.is_null()));
        },
        libcrypto: &[1],
        ours: &[1, INTERNAL_ERROR],
    },
    Row {
        name: "a callback for no context",
        run: |on| {
            // SAFETY: NULL is the one thing that libcrypto checks here.
            let done = unsafe { (on.api.set_callback)(ptr::null_mut(), None, ptr::null_mut()) };
            on.see(done);
        },
        libcrypto: &[0],
        ours: &[0, PASSED_NULL],
    },
    Row {
        name: "an fd in its own cleanup",
        run: |on| {
            // SAFETY: the context is new, and freed once; `looks` reads it.
            unsafe {
                let ctx = (on.api.ctx_new)();
                (on.api.set_wait_fd)(ctx, ptr::null(), 99, ptr::null_mut(), Some(looks));
                (on.api.ctx_free)(ctx);
            }
        },
        libcrypto: &[1, 1],
        ours: &[0, 0],
    },
    Row {
        name: "arguments too large, and no job",
        run: |on| {
            on.init(1, 0);
            let first = on.start(pauses);
            let (mut job, mut byte) = (ptr::null_mut(), 0_u8);
            // SAFETY: nothing is read: there is no job, or no memory for a copy.
            let code = unsafe {
                let args = (&raw mut byte).cast();
                let func: Option<JobFn> = Some(returns);
                (on.api.start_job)(&mut job, on.ctx, &mut 0, func, args, TOO_LARGE)
            };
            on.see(code);
            on.to_the_end(first);
        },
        libcrypto: &[NO_JOBS],
        ours: &[ERR, MALLOC_FAILURE],
    },
    Row {
        name: "the signal mask in a job",
        run: |on| {
            on.init(1, 1);
            let before = block_signal();
            on.start(sees_signal_mask);
            restore_signals(&before);
        },
        libcrypto: &[0],
        ours: &[1],
    },
];

/// Runs each row on both, each on a new thread; all of them have to be as they are described.
pub(crate) fn check(both: &'static Both) {
    let page = include_str!("../../../../docs/semantics.md");
    let mut wrong = Vec::new();
    for row in ROWS {
        let name = row.name;
        assert_ne!(row.libcrypto, row.ours, "{name}: no difference");
        let libcrypto = seen(row, &both.libcrypto, &both.process);
        let ours = seen(row, &both.ours, &both.process);
        println!("{name}: libcrypto {libcrypto:x?}, ours {ours:x?}");
        if libcrypto != row.libcrypto || ours != row.ours {
            wrong.push(name);
        }
        assert!(
            page.contains(&format!("| {name} |")),
            "{name}: not in docs/semantics.md"
        );
    }
    assert!(wrong.is_empty(), "not as described: {wrong:?}");
}

fn seen(row: &Row, api: &'static Api, process: &'static Process) -> Vec<i64> {
    let on_thread = move || {
        API.set(Some(api));
        // SAFETY: may always be called.
        let ctx = unsafe { (api.ctx_new)() };
        (row.run)(&Fixed { api, ctx });
        loop {
            match process.take_error() {
                0 => break,
                error => note(error as i64),
            }
        }
        SEEN.take()
    };
    std::thread::scope(|scope| scope.spawn(on_thread).join()).expect("a row does not panic")
}

thread_local! {
    static API: Cell<Option<&'static Api>> = const { Cell::new(None) };
    static SEEN: RefCell<Vec<i64>> = const { RefCell::new(Vec::new()) };
}

fn api() -> &'static Api {
    API.get().expect("set before the row runs")
}

fn note(value: i64) {
    SEEN.with_borrow_mut(|seen| seen.push(value));
}

/// What rows are made of. The context stays for as long as the process: some jobs never end.
struct Fixed {
    api: &'static Api,
    ctx: Ctx,
}

/// A job that was started, or refused.
struct Started {
    handle: Job,
    code: c_int,
}

impl Fixed {
    fn see(&self, value: c_int) {
        note(value.into());
    }

    fn init(&self, max: usize, init: usize) -> c_int {
        // SAFETY: not in a job.
        unsafe { (self.api.init_thread)(max, init) }
    }

    fn start(&self, func: JobFn) -> Started {
        let (mut handle, mut ret) = (ptr::null_mut(), 0);
        // SAFETY: the functions below keep to their stacks; the context stays.
        let code = unsafe {
            let (args, size) = (ptr::null_mut(), 0);
            (self.api.start_job)(&mut handle, self.ctx, &mut ret, Some(func), args, size)
        };
        Started { handle, code }
    }

    fn to_the_end(&self, mut job: Started) {
        while job.code == ASYNC_PAUSE {
            let mut ret = 0;
            // SAFETY: the job is paused, and this thread's.
            job.code = unsafe {
                let (ctx, args) = (ptr::null_mut(), ptr::null_mut());
                (self.api.start_job)(&mut job.handle, ctx, &mut ret, None, args, 0)
            };
        }
    }
}

unsafe extern "C" fn returns(_: *mut c_void) -> c_int {
    1
}

unsafe extern "C" fn pauses(_: *mut c_void) -> c_int {
    // SAFETY: in a job with a context.
    unsafe { (api().pause_job)() }
}

unsafe extern "C" fn blocks_and_returns(_: *mut c_void) -> c_int {
    // SAFETY: in a job.
    unsafe { (api().block_pause)() };
    1
}

unsafe extern "C" fn makes_a_pool(_: *mut c_void) -> c_int {
    // SAFETY: libcrypto loses the old pool, which leaks.
    note(unsafe { (api().init_thread)(1, 0) }.into());
    1
}

unsafe extern "C" fn pauses_then_starts(_: *mut c_void) -> c_int {
    let (mut job, mut ret) = (ptr::null_mut(), 0);
    // SAFETY: in a job with a context, which has been resumed: then libcrypto does nothing.
    let code = unsafe {
        (api().pause_job)();
        let (ctx, args) = (ptr::null_mut(), ptr::null_mut());
        (api().start_job)(&mut job, ctx, &mut ret, Some(returns), args, 0)
    };
    note(code.into());
    1
}

unsafe extern "C" fn sees_signal_mask(_: *mut c_void) -> c_int {
    note(is_signal_blocked());
    1
}

/// A cleanup that looks its own fd up, and counts all.
unsafe extern "C" fn looks(ctx: Ctx, key: *const c_void, _: c_int, _: *mut c_void) {
    let (mut fd, mut data, mut count) = (0, ptr::null_mut(), 0);
    // SAFETY: the context can be read in the cleanup of its newest fd.
    unsafe {
        note((api().get_fd)(ctx, key, &mut fd, &mut data).into());
        (api().get_all_fds)(ctx, ptr::null_mut(), &mut count);
    }
    note(count as i64);
}

/// Blocks SIGUSR1 on this thread; says what was blocked before.
fn block_signal() -> libc::sigset_t {
    // SAFETY: the sets are this function's, and filled by the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
        before
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: a set that the call gave.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

fn is_signal_blocked() -> i64 {
    // SAFETY: as above; null changes nothing.
    unsafe {
        let mut now = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut now);
        libc::sigismember(&now, libc::SIGUSR1).into()
    }
}
