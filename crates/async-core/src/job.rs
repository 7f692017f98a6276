//! Starting, pausing, resuming and cancelling.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use waitctx::WaitCtx;

use crate::error::{Cancelled, StartError};
use crate::sys::{self, Paused, Step, TakeError};

/// The number of a job: no two jobs of a process have the same, until a thread has started 2^40
/// jobs or 2^24 threads have had some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub(crate) u64);

impl fmt::Display for JobId {
    /// `thread.job`, both counted from 1: `1.42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (thread, job) = sys::split_id(self.0);
        write!(f, "{thread}.{job}")
    }
}

/// How far a job has come.
#[derive(Debug)]
#[must_use = "a paused job is in here, and dropping it cancels it"]
pub enum JobOutcome<R> {
    /// It paused: resume it when its wait context says so. OpenSSL's `ASYNC_PAUSE`.
    #[doc(alias = "ASYNC_PAUSE")]
    Paused(Job<R>),
    /// It returned this. OpenSSL's `ASYNC_FINISH`.
    #[doc(alias = "ASYNC_FINISH")]
    Finished(R),
}

impl<R> JobOutcome<R> {
    /// The result, if the job has finished.
    pub fn finished(self) -> Option<R> {
        match self {
            JobOutcome::Finished(result) => Some(result),
            JobOutcome::Paused(_) => None,
        }
    }

    /// The job, if it has paused.
    pub fn paused(self) -> Option<Job<R>> {
        match self {
            JobOutcome::Paused(job) => Some(job),
            JobOutcome::Finished(_) => None,
        }
    }
}

/// What a pause was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pause {
    /// The job paused and was resumed, by a wake or for no reason: look whether what was waited
    /// for is there, and pause again if it is not.
    Resumed,
    /// Not inside a job: nothing happened. Wait some other way.
    NotInJob,
    /// Inside a job that must not pause now, by [`block_pause`](crate::block_pause), because the
    /// thread is unwinding from a panic, or because this is not the job's own stack: nothing
    /// happened. Wait some other way.
    Blocked,
}

/// Whether jobs work on this platform: always, where this crate compiles.
#[must_use]
#[doc(alias = "ASYNC_is_capable")]
pub const fn is_capable() -> bool {
    true
}

/// Starts a job on this thread and runs it until it pauses or finishes.
///
/// `ctx` is the context that the job is waited for with; the job keeps it alive.
///
/// # Memory
///
/// The closure and the result are stored in the job's slot up to 128 bytes each, in a box beyond.
///
/// # Errors
///
/// [`StartError`], with the closure. The thread's other jobs are not affected.
///
/// # Panics
///
/// If the job panics before it pauses, with its panic. The slot goes back to the pool.
#[inline(always)]
#[doc(alias = "ASYNC_start_job")]
pub fn start_job<F, R>(ctx: &WaitCtx, closure: F) -> Result<JobOutcome<R>, StartError<F>>
where
    F: FnOnce() -> R + 'static,
    R: 'static,
{
    match sys::start(ctx, closure) {
        Ok(step) => Ok(outcome(step)),
        Err((closure, error)) => Err(start_error(closure, error)),
    }
}

#[cold]
fn start_error<F>(closure: F, error: TakeError) -> StartError<F> {
    match error {
        TakeError::NoJobs => StartError::NoJobs(closure),
        TakeError::InsideJob => StartError::InsideJob(closure),
        TakeError::ThreadExiting => StartError::ThreadExiting(closure),
        TakeError::Stack(source) => StartError::Stack { closure, source },
    }
}

#[inline(always)]
fn outcome<R>(step: Step<R>) -> JobOutcome<R> {
    match step {
        Step::Paused(paused) => JobOutcome::Paused(Job {
            paused: Some(paused),
        }),
        Step::Finished(Ok(result)) => JobOutcome::Finished(result),
        Step::Finished(Err(panic)) => resume_unwind(panic),
    }
}

/// Pauses the running job: [`start_job`] or [`Job::resume`] returns [`JobOutcome::Paused`] to its
/// caller, and this returns when the job is resumed. Outside a job, and where pausing is blocked,
/// it returns at once and says so.
///
/// A resume promises nothing: pause in a loop until what is waited for is there. When this
/// returns [`Pause::Resumed`], the context's record of changed fds has been reset.
///
/// A loop that waits by pausing spins where pausing is blocked: ask
/// [`CurrentJob::can_pause`](crate::CurrentJob::can_pause) first, or wait some other way.
///
/// It pauses only on the job's own stack: in a coroutine of another library inside the job it says
/// [`Pause::Blocked`].
///
/// # Errors
///
/// [`Cancelled`] if the job is being cancelled: at once if it was before the pause, else when it
/// is resumed for the last time.
#[inline(always)]
#[doc(alias = "ASYNC_pause_job")]
pub fn pause_job() -> Result<Pause, Cancelled> {
    sys::pause()
}

/// A paused job: the right to resume it, and the duty to.
///
/// One word. Bound to its thread: a job has borrows, guards and thread-local addresses on its
/// stack that are good only there, so this is neither `Send` nor `Sync`.
///
/// Dropping it cancels the job, as [`cancel`](Job::cancel) does; a panic that comes out of the job
/// then is swallowed, as there is nobody to take it. Forgetting it keeps its stack and everything
/// on it for ever, and its place in the pool. A paused job that is dropped while its thread is
/// being destroyed is not resumed: it is forgotten, and counted in
/// [`leaked_jobs`](crate::leaked_jobs).
///
/// Do not keep jobs in thread-locals: those that are destroyed before the thread's pool still
/// cancel theirs, and a job that paused inside [`LocalKey::with`](std::thread::LocalKey::with) then
/// goes on with a reference to what may have been destroyed first. Nothing can detect that.
#[must_use = "dropping a paused job cancels it; keep it and resume it when its wait context says so"]
pub struct Job<R> {
    /// `None` only inside the methods that take `self`.
    paused: Option<Paused<R>>,
}

impl<R> Job<R> {
    /// Goes on behind the pause, until the job pauses again or finishes.
    ///
    /// Inside another job it works too, as a call: that job waits until this returns.
    ///
    /// In a destructor of a thread-local, once the thread's pool is gone, the job comes back as it
    /// was: it may hold thread-locals that are gone too.
    ///
    /// # Panics
    ///
    /// If the job panics, with its panic. The slot goes back to the pool.
    #[inline(always)]
    #[doc(alias = "ASYNC_start_job")]
    pub fn resume(mut self) -> JobOutcome<R> {
        match sys::resume(self.take()) {
            Ok(step) => outcome(step),
            Err(paused) => JobOutcome::Paused(Job {
                paused: Some(paused),
            }),
        }
    }

    /// Cancels the job: resumes it, and from now on every pause of it returns [`Cancelled`] at
    /// once, so that it runs to its end before this returns. Its result is handed over: a job
    /// may have finished its work all the same.
    ///
    /// An operation that the job has in flight is abandoned, not stopped: the engine keeps the
    /// buffers until it is done, and its answer is thrown away.
    ///
    /// # Panics
    ///
    /// If the job panics, with its panic. In a destructor of a thread-local, once the thread's pool
    /// is gone: the job cannot run any more, and is leaked as when it is dropped there.
    pub fn cancel(mut self) -> R {
        assert!(
            !sys::thread_is_exiting(),
            "a job was cancelled after its thread's end; cancel it before, or drop it"
        );
        match sys::cancel(self.take()) {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The job's number.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.paused().id()
    }

    /// The context the job was started with.
    #[must_use]
    #[doc(alias = "ASYNC_get_wait_ctx")]
    pub fn wait_ctx(&self) -> &WaitCtx {
        self.paused().wait_ctx()
    }

    /// Brings what a resume reads nearer to the processor: for a loop that knows which jobs come
    /// next. [`JobSet`](crate::JobSet) does it by itself.
    ///
    /// Worth it from about a thousand paused jobs on, some 4 resumes ahead: with a million, a resume
    /// that finishes its job took 0.32 µs with it and 0.58 µs without.
    #[inline]
    pub fn prefetch(&self) {
        self.paused().prefetch();
    }

    /// How much of its stack was used, in bytes from the top, control block included: to compare
    /// with [`PoolConfig::stack_bytes`](crate::PoolConfig::stack_bytes).
    ///
    /// It is the mark **of the stack** since that was made, wiped or
    /// [trimmed](crate::trim_thread). With [`wipe_stacks`](crate::PoolConfig::wipe_stacks) that is
    /// this job's own; without it, the most that any job on that stack has used so far.
    ///
    /// Nothing is painted, so it costs jobs nothing: it is the lowest byte that is not zero. So it
    /// leaves out zeroes at the very end of what was used, and pages that the system has swapped
    /// out. It costs a system call and a look at the lowest page in memory, 1 to 2 µs.
    ///
    /// `None` for a stack of a [`StackSource`](crate::StackSource), which may have held anything
    /// before, and elsewhere than on Linux.
    #[must_use]
    pub fn stack_high_water(&self) -> Option<usize> {
        self.paused().stack_high_water()
    }

    #[inline]
    pub(crate) fn prefetch_next(&self) {
        self.paused().prefetch_next();
    }

    fn paused(&self) -> &Paused<R> {
        // Some: see the field.
        self.paused.as_ref().expect("a Job holds a paused job")
    }

    #[inline(always)]
    fn take(&mut self) -> Paused<R> {
        self.paused.take().expect("a Job holds a paused job")
    }
}

impl<R> Drop for Job<R> {
    #[inline]
    fn drop(&mut self) {
        if let Some(paused) = self.paused.take() {
            drop_paused(paused);
        }
    }
}

#[cold]
fn drop_paused<R>(paused: Paused<R>) {
    if sys::thread_is_exiting() {
        sys::leak(paused);
        return;
    }
    // The drops of the result, of the job's panic and of the context are user code too: their
    // panics go the way of the job's.
    let swallowed = catch_unwind(AssertUnwindSafe(|| drop(sys::cancel(paused))));
    // Such a panic's own drop could panic in turn, and so on: it is left alone.
    std::mem::forget(swallowed);
}

impl<R> fmt::Debug for Job<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({}, paused)", self.id())
    }
}
