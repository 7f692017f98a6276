//! What each thread has: the running job, the pool, and what happens when the thread ends.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::control::Control;
use super::home::{Held, Home, TakeError};
use super::known;
use super::overflow;
use crate::config::PoolConfig;
use crate::error::{InitError, InsideJob};
use crate::job::JobId;
use crate::pool::{PoolStats, Trimmed};

thread_local! {
    /// Constant and without a destructor, so that reading it is one instruction and works to the
    /// very end of the thread.
    static THREAD: Thread = const { Thread::new() };
    /// Runs when the thread ends.
    static EXIT: ExitGuard = const { ExitGuard };
}

/// Jobs that were paused when their thread ended.
static LEAKED: AtomicU64 = AtomicU64::new(0);
/// The number of the thread that got its number last.
static THREADS: AtomicU64 = AtomicU64::new(0);

/// Bits of a job's number that count the jobs of its thread: 2^40 of them, an hour and a half of
/// nothing but starts at 200 million a second. Beyond, numbers repeat, which shows in traces and
/// matters nowhere else: only jobs of one thread that are alive at once are told apart by it.
const JOB_BITS: u32 = 40;

pub(super) struct Thread {
    /// The running job, or null.
    pub(super) current: Cell<*const Control>,
    /// The home that slots are taken from, or null.
    home: Cell<*const Home>,
    /// Jobs in use in homes that are retired. They count against the bound.
    retired_in_use: Cell<usize>,
    /// The thread is ending: the pool is gone and no new one is made.
    exiting: Cell<bool>,
    next_id: Cell<u64>,
    first_id: Cell<u64>,
    /// See [`thread_word`].
    word: Cell<*const ()>,
}

/// A word of this thread, null at first, for the one runtime in the process that is built on this crate
/// and has data of its own for each thread: it is beside what every switch reads anyway. Works to the very
/// end of the thread.
///
/// # Safety
///
/// Called by that one runtime only, which follows what it finds there: async-capi.
#[inline(always)]
pub unsafe fn thread_word() -> &'static Cell<*const ()> {
    &here().word
}

/// A job's number, as thread and job.
pub(crate) fn split_id(id: u64) -> (u64, u64) {
    (id >> JOB_BITS, id & ((1 << JOB_BITS) - 1))
}

struct ExitGuard;

impl Drop for ExitGuard {
    fn drop(&mut self) {
        THREAD.with(Thread::exit);
    }
}

/// This thread's data, good for as long as the thread can run anything. Not handed to a closure, which
/// is not always inlined: a switch below a call costs two wrong guesses of where it returns to.
#[inline(always)]
pub(super) fn here() -> &'static Thread {
    let thread = known::here(&THREAD);
    // SAFETY: the thread-local has no destructor, so it is good until the thread's memory goes, which
    // is after the last of its code. The reference stays on the thread, since its cells keep it from
    // being Send. All access is through shared references.
    unsafe { &*thread }
}

impl Thread {
    const fn new() -> Thread {
        Thread {
            current: Cell::new(ptr::null()),
            home: Cell::new(ptr::null()),
            retired_in_use: Cell::new(0),
            exiting: Cell::new(false),
            next_id: Cell::new(0),
            first_id: Cell::new(0),
            word: Cell::new(ptr::null()),
        }
    }

    /// The home that slots are taken from.
    #[inline(always)]
    fn home(&self) -> Option<&Home> {
        // SAFETY: non-null while it is in service, and then not freed; `&self` does not outlive
        // the call that could retire it, as those take it from here first.
        unsafe { self.home.get().as_ref() }
    }

    /// Takes a slot for a new job.
    #[inline(always)]
    pub(super) fn take(&self) -> Result<NonNull<Control>, TakeError> {
        if !self.current.get().is_null() {
            return Err(TakeError::InsideJob);
        }
        let control = match self.home().and_then(Home::take_idle) {
            Some(control) => control,
            None => self.take_slow()?,
        };
        let id = self.next_id.get() + 1;
        self.next_id.set(id);
        // SAFETY: it was just taken, so it is alive.
        unsafe { control.as_ref() }.id.set(id);
        Ok(control)
    }

    #[cold]
    fn take_slow(&self) -> Result<NonNull<Control>, TakeError> {
        let home = match NonNull::new(self.home.get().cast_mut()) {
            Some(home) => home,
            None => self
                .open(&PoolConfig::default())
                .ok_or(TakeError::ThreadExiting)?,
        };
        // SAFETY: the thread's home is alive.
        let home = unsafe { Held::new(home) };
        if self.total(&home) >= home.max_jobs() {
            return Err(TakeError::NoJobs);
        }
        Home::make_idle(&home).map_err(TakeError::Stack)?;
        home.take_idle().ok_or(TakeError::NoJobs)
    }

    /// Whether the pool is gone for good: no job of this thread runs any more.
    #[inline(always)]
    pub(super) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }

    /// Jobs that count against the bound.
    #[inline(always)]
    pub(super) fn total(&self, home: &Home) -> usize {
        home.idle() + home.in_use() + self.retired_in_use.get()
    }

    /// Makes the thread's home. `None` when the thread is ending.
    fn open(&self, config: &PoolConfig) -> Option<NonNull<Home>> {
        if !self.ends_later() {
            return None;
        }
        overflow::equip_if_on();
        if self.first_id.get() == 0 {
            let number = THREADS.fetch_add(1, Ordering::Relaxed) + 1;
            self.first_id.set(number << JOB_BITS);
            self.next_id.set(number << JOB_BITS);
        }
        let home = Home::new(config);
        self.home.set(home.as_ptr());
        Some(home)
    }

    /// Has `exit` called at the end of the thread, unless that is past.
    fn ends_later(&self) -> bool {
        !self.exiting.get() && EXIT.try_with(|_| ()).is_ok()
    }

    /// Takes the home out of service.
    fn close(&self) {
        if let Some(home) = NonNull::new(self.home.replace(ptr::null()).cast_mut()) {
            // SAFETY: it was in service, so it is alive.
            let in_use = unsafe { home.as_ref() }.in_use();
            self.retired_in_use.set(self.retired_in_use.get() + in_use);
            // SAFETY: it was in service, so it was not retired, and nobody takes from it now.
            unsafe { Home::retire(home) };
        }
    }

    /// The end of the thread. No job of it runs again, so those in use now are leaked.
    fn exit(&self) {
        let in_use = self.home().map_or(0, Home::in_use) + self.retired_in_use.get();
        LEAKED.fetch_add(in_use as u64, Ordering::Relaxed);
        self.exiting.set(true);
        self.close();
        overflow::unequip();
    }

    pub(super) fn one_retired_job_less(&self) {
        self.retired_in_use.set(self.retired_in_use.get() - 1);
    }
}

/// Whether this thread's end is still to come, and will be noticed.
pub(super) fn ends_later() -> bool {
    here().ends_later()
}

/// The running job and the size of its stack, if `address` is in the page below that stack. For
/// signal handlers: it reads three words.
pub(super) fn overflown(address: usize, page: usize) -> Option<(JobId, usize)> {
    let current = here().current.get();
    // SAFETY: the running job's slot is alive.
    let slot = unsafe { current.as_ref() }?;
    slot.is_just_below_stack(address, page)
        .then(|| (JobId(slot.id.get()), slot.stack_bytes()))
}

pub(crate) fn thread_is_exiting() -> bool {
    here().is_exiting()
}

pub(crate) fn leaked_jobs() -> u64 {
    LEAKED.load(Ordering::Relaxed)
}

pub(crate) fn init_thread(config: &PoolConfig) -> Result<(), InitError> {
    let thread = here();
    if !thread.current.get().is_null() {
        return Err(InitError::InsideJob(InsideJob));
    }
    if let Some(home) = thread.home() {
        let made_any = home.idle() + home.in_use() > 0;
        if made_any && !home.same_source(config) {
            return Err(InitError::SourceInUse);
        }
        if !home.fits(config) {
            thread.close();
        }
    }
    let home = match NonNull::new(thread.home.get().cast_mut()) {
        Some(home) => home,
        None => thread.open(config).ok_or(InitError::ThreadExiting)?,
    };
    // SAFETY: the thread's home is alive.
    let home = unsafe { Held::new(home) };
    home.set_max_jobs(config.max_jobs.map_or(usize::MAX, NonZeroUsize::get));
    home.trim(thread.total(&home).saturating_sub(home.max_jobs()));
    while home.idle() < config.init_jobs && thread.total(&home) < home.max_jobs() {
        Home::make_idle(&home).map_err(|source| InitError::Stack {
            made: home.idle(),
            init_jobs: config.init_jobs,
            source,
        })?;
    }
    Ok(())
}

pub(crate) fn cleanup_thread() -> Result<usize, InsideJob> {
    let thread = here();
    if !thread.current.get().is_null() {
        return Err(InsideJob);
    }
    thread.close();
    Ok(thread.retired_in_use.get())
}

pub(crate) fn trim_thread(keep_idle: usize) -> Result<Trimmed, InsideJob> {
    let thread = here();
    if !thread.current.get().is_null() {
        return Err(InsideJob);
    }
    let Some(home) = NonNull::new(thread.home.get().cast_mut()) else {
        return Ok(Trimmed::default());
    };
    // SAFETY: the thread's home is alive.
    let home = unsafe { Held::new(home) };
    let jobs = home.trim(home.idle().saturating_sub(keep_idle));
    let bytes = home.give_back_spare();
    Ok(Trimmed { jobs, bytes })
}

pub(crate) fn scan_high_water() -> Option<usize> {
    here().home()?.high_water()
}

pub(crate) fn pool_stats() -> Option<PoolStats> {
    let thread = here();
    let home = thread.home()?;
    let bound = Some(home.max_jobs()).filter(|max| *max != usize::MAX);
    Some(PoolStats {
        max_jobs: bound.and_then(NonZeroUsize::new),
        in_use: home.in_use() + thread.retired_in_use.get(),
        idle: home.idle(),
        started: thread.next_id.get() - thread.first_id.get(),
        stack_bytes: home.stack_bytes(),
        guard: home.guard(),
    })
}
