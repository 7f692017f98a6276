//! Jobs that run one closure, on guarded stacks.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;

use super::job::{JobState, address_in_frame, count_leaked, inconsistent, switch};
use super::library::Libcrypto;
use super::wait_ctx::PeerWaitCtx;
use super::{guard, thread};
use crate::raw::{ASYNC_ERR, ASYNC_FINISH, ASYNC_NO_JOBS, ASYNC_PAUSE, AsyncJob};
use crate::{PeerError, RunError};

/// Jobs of libcrypto's that run one closure, over and over: what a server with so many connections
/// does, and all of it safe.
///
/// Each job has a place: a number, a wait context that is used again for the next job there, and the
/// closure's argument. Where [`Libcrypto::start_job`] leaves it to its caller that a job fits on its
/// stack, each stack here gets a guard page when it is first used: a job that needs more than
/// [`STACK_BYTES`](PeerJobs::STACK_BYTES) or somewhat more ends the process (SIGSEGV). They are
/// libcrypto's own stacks in libcrypto's own pool all the same. Nothing is allocated per job but what
/// libcrypto allocates; beside its work, a start costs a look into a table, a start or resume some
/// checks.
///
/// ```
/// use libcrypto_peer::{Libcrypto, PeerJobs, Progress};
///
/// let Ok(libcrypto) = Libcrypto::load() else {
///     return Ok(()); // not on this machine
/// };
/// let mut jobs = PeerJobs::new(libcrypto, 2, move |_place| {
///     libcrypto.pause_job().expect("we are inside a job");
/// })?;
/// assert_eq!(jobs.run(0)?, Progress::Paused);
/// assert_eq!(jobs.run(1)?, Progress::Paused);
/// assert_eq!(jobs.run(0)?, Progress::Finished);
/// assert_eq!(jobs.run(1)?, Progress::Finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The guards stay in libcrypto's pool of stacks for this thread until it is cleaned up: whoever else
/// runs jobs of libcrypto's on this thread then has 23 to 27 KiB in place of 32, with a guard.
///
/// Bound to its thread. Dropping it leaks what is paused, as dropping a [`PeerJob`](crate::PeerJob)
/// does.
///
/// # Why it is safe
///
/// The stack is guarded; panics are caught below C's frames and carried out by [`run`](PeerJobs::run);
/// a paused job owns its context and the closure, which are leaked with it; libcrypto's rules (no
/// nesting, one thread, no clean-up under a paused job, no pause from another stack) are checked.
/// What C code in a job may do without asking (see [the crate](crate#what-this-crate-cannot-mend)) is
/// for whoever wraps that code to promise.
pub struct PeerJobs {
    slots: Vec<Slot>,
    libcrypto: Libcrypto,
}

struct Slot {
    /// A paused job, or null.
    job: *mut AsyncJob,
    state: Rc<SlotState>,
}

/// What host and jobs of a place share. It outlives the frames of each: freed when none is paused,
/// else leaked.
struct SlotState {
    job: JobState,
    place: usize,
    body: Rc<dyn Fn(usize)>,
    /// Why the body was not called: the stack has no guard.
    unguarded: Cell<Option<io::Error>>,
}

/// How far a job got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It paused; run its place again when what it waits for has happened.
    #[doc(alias = "ASYNC_PAUSE")]
    Paused,
    /// The closure returned. The next run of its place starts a new job.
    #[doc(alias = "ASYNC_FINISH")]
    Finished,
}

impl PeerJobs {
    /// What a job has of its stack at least, where pages have 4 KiB. (A panic with a backtrace takes
    /// up to 22 KiB.)
    pub const STACK_BYTES: usize = 23 * 1024;

    /// A set of `count` places, whose jobs run `body` with the number of their place.
    ///
    /// Uses the thread's pool, which [`Libcrypto::init_thread`] can set up before.
    ///
    /// # Errors
    ///
    /// [`PeerError`] if there is no memory for the wait contexts.
    pub fn new(
        libcrypto: Libcrypto,
        count: usize,
        body: impl Fn(usize) + 'static,
    ) -> Result<PeerJobs, PeerError> {
        let body: Rc<dyn Fn(usize)> = Rc::new(body);
        let slot = |place| {
            Ok(Slot {
                job: ptr::null_mut(),
                state: Rc::new(SlotState {
                    job: JobState::new(PeerWaitCtx::new(libcrypto)?),
                    place,
                    body: Rc::clone(&body),
                    unguarded: Cell::new(None),
                }),
            })
        };
        let slots = (0..count).map(slot).collect::<Result<_, _>>()?;
        Ok(PeerJobs { slots, libcrypto })
    }

    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// The wait context of a place.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    #[doc(alias = "ASYNC_get_wait_ctx")]
    #[must_use]
    pub fn wait_ctx(&self, place: usize) -> &PeerWaitCtx {
        &self.slots[place].state.job.ctx
    }

    /// Whether there is a paused job in a place.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    #[must_use]
    pub fn is_paused(&self, place: usize) -> bool {
        !self.slots[place].job.is_null()
    }

    /// Goes on with the job that is paused in a place, or starts one there, and returns when it has
    /// paused or finished.
    ///
    /// # Errors
    ///
    /// [`RunError`]; the closure was not called, and a job that was paused still is.
    ///
    /// # Panics
    ///
    /// If there is no such place. If the closure panics before it pauses, with the same payload; the
    /// job is finished then.
    #[doc(alias = "ASYNC_start_job")]
    pub fn run(&mut self, place: usize) -> Result<Progress, RunError> {
        let slot = &mut self.slots[place];
        if self.libcrypto.current_job_exists() {
            return Err(RunError::InsideJob);
        }
        let state = &*slot.state;
        if slot.job.is_null() {
            state.job.cleanups.set(thread::cleanups());
        } else if state.job.cleanups.get() != thread::cleanups() {
            return Err(RunError::CleanedUp);
        }
        let mut argument: *const SlotState = state;
        let mut ret = 0;
        // SAFETY: no job is current (checked). The entry is null, or what the last PAUSE stored on
        // this thread (PeerJobs is not Send) for a job not finished since, with no clean-up in
        // between (checked). `run_body` gets a copy of a pointer to the state, which lives, and the
        // context with it, as long as the job can run: we own it, and leak it where the job is left
        // paused. It does not unwind. It stays within its stack, or dies at the guard page: it calls
        // the closure only when there is one, and there is until the pool is cleaned up (checked).
        let code = unsafe {
            switch(
                self.libcrypto,
                &mut slot.job,
                &state.job,
                &mut ret,
                Some(run_body),
                (&raw mut argument).cast(),
                size_of::<*const SlotState>(),
            )
        };
        match (code, slot.job.is_null()) {
            (ASYNC_PAUSE, false) => Ok(Progress::Paused),
            (ASYNC_FINISH, true) => finished(state),
            (ASYNC_NO_JOBS, true) => Err(RunError::NoJobs),
            (ASYNC_ERR, _) => Err(self.libcrypto.api.failure("ASYNC_start_job").into()),
            (_, _) => inconsistent("run", code),
        }
    }
}

fn finished(state: &SlotState) -> Result<Progress, RunError> {
    if let Some(payload) = state.job.panic.take() {
        resume_unwind(payload);
    }
    match state.unguarded.take() {
        Some(error) => Err(RunError::NoGuard(error)),
        None => Ok(Progress::Finished),
    }
}

/// What libcrypto runs on the job's stack.
///
/// # Safety
///
/// `args` points to a pointer to a [`SlotState`] that lives until this returns, if it ever does.
unsafe extern "C" fn run_body(args: *mut c_void) -> c_int {
    // SAFETY: the caller's promise; libcrypto's copy comes from its malloc, aligned for pointers.
    let state = unsafe { args.cast::<*const SlotState>().read() };
    // SAFETY: valid until we return. Shared with the host, on this same thread; its cells need no more.
    let state = unsafe { &*state };
    let mark = address_in_frame();
    // SAFETY: we are in a job, and above this small frame (the closure is behind a pointer, so not
    // part of it) there are but those of libcrypto's entry and of the C library's. The stack is freed
    // by a clean-up, before which ThreadGuard lifts the guards, or when the thread ends, after its
    // locals are destroyed.
    if let Err(error) = unsafe { guard::guard_stack(mark) } {
        state.unguarded.set(Some(error));
        return 0;
    }
    state.job.stack_mark.set(mark);
    thread::set_stack_mark(mark);
    // Unwind safe: the host learns of the panic, and what the closure captured is its own affair.
    match catch_unwind(AssertUnwindSafe(|| (state.body)(state.place))) {
        Ok(()) => 1,
        Err(payload) => {
            state.job.panic.set(Some(payload));
            0
        }
    }
}

impl Drop for PeerJobs {
    fn drop(&mut self) {
        for slot in self.slots.drain(..) {
            if !slot.job.is_null() {
                count_leaked();
                // With it the wait context, which libcrypto's job still points to, and the closure.
                mem::forget(slot.state);
            }
        }
    }
}

impl fmt::Debug for PeerJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paused = self.slots.iter().filter(|s| !s.job.is_null()).count();
        f.debug_struct("PeerJobs")
            .field("places", &self.slots.len())
            .field("paused", &paused)
            .finish_non_exhaustive()
    }
}
