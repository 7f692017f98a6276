//! What each thread has: the running job, its number, its unused places for jobs, its pool's settings.

use std::cell::Cell;
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use async_core::{InitError, PoolConfig};
use waitctx::WaitCtx;

use crate::error::Fault;
use crate::job::{JOBS, JobSlot};
use crate::slots::Slot;
use crate::{check, mem};

thread_local! {
    /// Constant and without a destructor, so that it can be used to the very end of the thread.
    static THREAD: Thread = const { Thread::new() };
    /// Runs when the thread ends, unless that has gone too far: see [`END_KEY`].
    static EXIT: ExitGuard = const { ExitGuard };
}

/// For a thread whose first job is started by a destructor of a pthread key: those of thread-locals are past then,
/// and a destructor of a key is still called. `None` if the system has no key left: such a thread's idle jobs stay
/// then.
static END_KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Jobs that were paused at the end of such a thread.
static LEAKED_LATE: AtomicU64 = AtomicU64::new(0);

/// How many jobs of this process were paused when their thread ended.
pub(crate) fn leaked_jobs() -> u64 {
    async_core::leaked_jobs() + LEAKED_LATE.load(Ordering::Relaxed)
}

/// Makes [`END_KEY`]. Called at the beginning, under its lock, so that no fork meets it half made.
pub(crate) fn prepare_ends() {
    extern "C" fn late(_: *mut c_void) {
        here().end_late();
    }
    END_KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: the function stays: the library is never unloaded.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(late)) };
        (made == 0).then_some(key)
    });
}

/// Has `end_late` called at the end of this thread.
fn ask_for_late_end() {
    if let Some(Some(key)) = END_KEY.get() {
        // SAFETY: the key was made, and is never deleted. The value only has to differ from null.
        unsafe { libc::pthread_setspecific(*key, ptr::dangling()) };
    }
}

/// The number of the thread that got its number last. Numbers are never used again, so that a thread is never
/// taken for one that has ended.
static THREADS: AtomicU64 = AtomicU64::new(0);
/// Of a thread that had no jobs yet. Not 0, which a place without an owner has: such a thread owns none, not even
/// one that it sees as it was a moment ago.
const NO_NUMBER: u64 = u64::MAX;

pub(crate) struct Thread {
    /// The running job.
    pub(crate) current: Cell<Option<&'static JobSlot>>,
    /// This thread, for its jobs; [`NO_NUMBER`] before the first.
    pub(crate) number: Cell<u64>,
    /// The place that was used last of those that are in no use. A list through `Own::next`.
    idle: Cell<Option<&'static JobSlot>>,
    /// What async-core's jobs are started with: C's contexts are another matter. Made by a box with the
    /// thread's number, dropped at the thread's end.
    ctx: Cell<*const WaitCtx>,
    /// Whether the pool has its settings; until then they are in `max_jobs`.
    opened: Cell<bool>,
    /// 0: no bound.
    max_jobs: Cell<usize>,
    /// The thread is ending: no job starts any more.
    ending: Cell<bool>,
}

struct ExitGuard;

impl Drop for ExitGuard {
    fn drop(&mut self) {
        here().end();
    }
}

/// This thread's data, good for as long as the thread can run anything.
#[inline(always)]
pub(crate) fn here() -> &'static Thread {
    // SAFETY: this library is the one that has the word.
    let thread = match unsafe { async_core::thread_word() }.get().cast::<Thread>() {
        null if null.is_null() => find_here(),
        known => known,
    };
    // SAFETY: the thread-local has no destructor, so it is good until the thread's memory goes, which is after
    // the last of its code. Its cells keep the reference from being Send. Nobody else writes the word, by its
    // contract.
    unsafe { &*thread }
}

/// Rust's own way is a function call in a shared library, so its result is kept.
#[cold]
fn find_here() -> *const Thread {
    let thread = THREAD.with(|thread| &raw const *thread);
    // SAFETY: as in `here`.
    unsafe { async_core::thread_word() }.set(thread.cast());
    thread
}

impl Thread {
    const fn new() -> Thread {
        Thread {
            current: Cell::new(None),
            number: Cell::new(NO_NUMBER),
            idle: Cell::new(None),
            ctx: Cell::new(ptr::null()),
            opened: Cell::new(false),
            max_jobs: Cell::new(0),
            ending: Cell::new(false),
        }
    }

    /// The context for async-core's jobs. There once a place was taken.
    #[inline(always)]
    pub(crate) fn wait_ctx(&self) -> Option<&WaitCtx> {
        // SAFETY: null, or made by `open` and good until `end`, after which nothing asks: `take` refuses
        // then. `&self` is this thread's.
        unsafe { self.ctx.get().as_ref() }
    }

    /// Whether the thread's jobs can run no more.
    #[inline(always)]
    pub(crate) fn ending(&self) -> bool {
        self.ending.get()
    }

    /// A place for a new job, in use. The pool has its settings then.
    #[inline(always)]
    pub(crate) fn take(&self) -> Result<&'static JobSlot, Fault> {
        if let Some(slot) = self.idle.get()
            && self.opened.get()
        {
            // SAFETY: it is in the list of this thread.
            self.idle.set(unsafe { slot.own() }.next.get());
            slot.turn();
            return Ok(slot);
        }
        self.take_slow()
    }

    #[cold]
    fn take_slow(&self) -> Result<&'static JobSlot, Fault> {
        self.open()?;
        if self.idle.get().is_none() {
            // Some at once, since they are taken under a lock.
            for _ in 0..16 {
                let slot = JOBS.take().ok_or(Fault::NoMemory("a job"))?;
                slot.owner.store(self.number.get(), Ordering::Relaxed);
                // SAFETY: it was taken by this thread.
                unsafe { slot.own() }.next.set(self.idle.get());
                self.idle.set(Some(slot));
            }
        }
        self.take()
    }

    /// Takes a place back, at the end of its use.
    #[inline(always)]
    pub(crate) fn give_back(&self, slot: &'static JobSlot) {
        slot.turn();
        // SAFETY: its job was this thread's.
        unsafe { slot.own() }.next.set(self.idle.get());
        self.idle.set(Some(slot));
    }

    /// Prepares the thread for its first job.
    fn open(&self) -> Result<(), Fault> {
        if self.ending.get() {
            return Err(Fault::ThreadEnding);
        }
        if !self.opened.get() {
            self.configure(0)?;
        }
        if self.number.get() == NO_NUMBER {
            self.number.set(THREADS.fetch_add(1, Ordering::Relaxed) + 1);
            self.ctx.set(Box::into_raw(Box::new(WaitCtx::new())));
        }
        Ok(())
    }

    /// Hands the pool its settings, and has it make `init_jobs` jobs.
    fn configure(&self, init_jobs: usize) -> Result<(), Fault> {
        let config = PoolConfig {
            max_jobs: NonZeroUsize::new(self.max_jobs.get()),
            init_jobs,
            ..mem::pool_config()
        };
        match async_core::init_thread(&config) {
            // Fewer jobs than asked for are a success in OpenSSL: the others are made when they are needed,
            // or are refused then.
            Ok(()) | Err(InitError::Stack { .. }) => {}
            Err(InitError::InsideJob(_)) => return Err(Fault::InsideJob),
            Err(InitError::ThreadExiting) => return Err(Fault::ThreadEnding),
            Err(_) => return Err(Fault::NoStack),
        }
        // After async-core has its own, and so called before it: there must be no time at which the jobs run
        // no more and `ending` does not say so.
        if EXIT.try_with(|_| ()).is_err() {
            return Err(Fault::ThreadEnding);
        }
        ask_for_late_end();
        self.opened.set(true);
        Ok(())
    }

    /// `ASYNC_init_thread`.
    pub(crate) fn init(&self, max_jobs: usize, init_jobs: usize) -> Result<(), Fault> {
        if max_jobs != 0 && init_jobs > max_jobs {
            return Err(Fault::PoolSize {
                init: init_jobs,
                max: max_jobs,
            });
        }
        if self.current.get().is_some() {
            return Err(Fault::InsideJob);
        }
        if init_jobs > mem::most_jobs() {
            return Err(Fault::TooManyUpFront { init: init_jobs });
        }
        if self.ending.get() {
            return Err(Fault::ThreadEnding);
        }
        let before = self.max_jobs.replace(max_jobs);
        // Until the first stack is made, where stacks come from can be changed. So nothing is handed to the
        // pool before that.
        if !self.opened.get() && init_jobs == 0 {
            return Ok(());
        }
        self.configure(init_jobs)
            .inspect_err(|_| self.max_jobs.set(before))
    }

    /// `ASYNC_cleanup_thread`.
    pub(crate) fn cleanup(&self) -> Result<(), Fault> {
        // Before, as a program's function that frees stacks may start a job: the pool that is made for it needs
        // its settings.
        let opened = self.opened.replace(false);
        let max_jobs = self.max_jobs.replace(0);
        async_core::cleanup_thread().map(drop).map_err(|_| {
            self.opened.set(opened);
            self.max_jobs.set(max_jobs);
            Fault::InsideJob
        })
    }

    /// The end of a thread whose thread-locals have been destroyed before it had a job.
    fn end_late(&self) {
        // No job starts any more from here on, also where the program's functions for stacks are called.
        if !self.ending.replace(true) {
            let paused = async_core::cleanup_thread().unwrap_or_default();
            LEAKED_LATE.fetch_add(paused as u64, Ordering::Relaxed);
            self.end();
        }
    }

    /// The end of the thread. Its paused jobs stay as they are, for ever.
    fn end(&self) {
        self.ending.set(true);
        if check::on() {
            check::thread_ends(self.number.get());
        }
        while let Some(slot) = self.idle.get() {
            // SAFETY: it is in this thread's list.
            self.idle.set(unsafe { slot.own() }.next.get());
            slot.owner.store(0, Ordering::Relaxed);
            JOBS.give_back(slot);
        }
        let ctx = NonNull::new(self.ctx.replace(ptr::null()).cast_mut());
        // A job runs: it has called exit(), and never comes back. What else runs until the process has ended is
        // on its stack, and must not switch away from there.
        if self.current.take().is_some() {
            return;
        }
        if let Some(ctx) = ctx {
            // SAFETY: made by a box in `open`; nobody asks for it any more. Paused jobs have clones, and no job
            // runs, which might still borrow it.
            drop(unsafe { Box::from_raw(ctx.as_ptr()) });
        }
    }
}
