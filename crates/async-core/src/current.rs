//! What code can ask about the job it runs in.

use std::fmt;
use std::io;

use waitctx::{Notifier, WaitCtx};

use crate::job::JobId;
use crate::sys;

/// The job that is running on this thread, if any: the test for "may I pause?".
///
/// It is there also while pausing is blocked, as in OpenSSL.
#[inline]
#[must_use]
#[doc(alias = "ASYNC_get_current_job")]
pub fn current_job() -> Option<CurrentJob> {
    sys::current().map(CurrentJob)
}

/// The running job, seen from inside. Good until that job finishes, in that job only.
///
/// Neither `Send` nor `Sync`, as [`Job`](crate::Job).
#[derive(Clone, Copy)]
pub struct CurrentJob(sys::Current);

impl CurrentJob {
    /// The job's number.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.0.id()
    }

    /// The context the job was started with.
    ///
    /// # Panics
    ///
    /// If this job is not the one that is running: it finished, or another runs now.
    #[must_use]
    #[doc(alias = "ASYNC_get_wait_ctx")]
    #[track_caller]
    pub fn wait_ctx(&self) -> WaitCtx {
        self.0.wait_ctx()
    }

    /// [`WaitCtx::notifier`] of the job's context, without counting a reference to it.
    ///
    /// # Errors
    ///
    /// As for that one.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[inline]
    #[track_caller]
    pub fn notifier(&self) -> io::Result<Notifier> {
        self.0.notifier()
    }

    /// [`WaitCtx::renew_notifier`] of the job's context, without counting a reference to it.
    ///
    /// # Errors
    ///
    /// As for that one.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[inline]
    #[track_caller]
    pub fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        self.0.renew_notifier(kept)
    }

    /// [`WaitCtx::acknowledge`] of the job's context, without counting a reference to it.
    ///
    /// # Errors
    ///
    /// As for that one.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[inline]
    #[track_caller]
    pub fn acknowledge(&self) -> io::Result<bool> {
        self.0.acknowledge()
    }

    /// Says what the job will look at first when it is resumed, which another thread writes until
    /// then: [`JobSet`](crate::JobSet) has it fetched while it resumes the jobs before. A hint, until
    /// the next one; the value may be gone by then.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[inline]
    #[track_caller]
    pub fn looks_at<T>(&self, value: &T) {
        self.0.looks_at(std::ptr::from_ref(value).cast());
    }

    /// Whether a pause would pause now: the job is not cancelled, pausing is not blocked, the thread
    /// is not unwinding, and we are on the job's own stack.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn can_pause(&self) -> bool {
        self.0.can_pause()
    }

    /// Whether the job is being cancelled.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// [`Job::stack_high_water`](crate::Job::stack_high_water), from inside.
    ///
    /// # Panics
    ///
    /// As for [`wait_ctx`](CurrentJob::wait_ctx).
    #[must_use]
    #[track_caller]
    pub fn stack_high_water(&self) -> Option<usize> {
        self.0.stack_high_water()
    }
}

impl fmt::Debug for CurrentJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurrentJob({})", self.id())
    }
}

/// Keeps the running job from pausing until the guard is dropped: [`pause_job`](crate::pause_job)
/// then says [`Pause::Blocked`](crate::Pause::Blocked). For code that holds a lock that another
/// job of this thread may want. Nests. Outside a job it does nothing.
///
/// The count is the job's and ends with it, so that a forgotten guard blocks no later job. (In
/// OpenSSL it is the thread's, and does.)
#[must_use = "pausing is blocked only while the guard lives"]
#[doc(alias = "ASYNC_block_pause")]
pub fn block_pause() -> BlockGuard {
    let job = sys::current();
    if let Some(job) = &job {
        job.block();
    }
    BlockGuard(job)
}

/// Pausing is blocked while this lives; see [`block_pause`].
#[must_use = "pausing is blocked only while the guard lives"]
pub struct BlockGuard(Option<sys::Current>);

impl Drop for BlockGuard {
    #[doc(alias = "ASYNC_unblock_pause")]
    fn drop(&mut self) {
        if let Some(job) = &self.0 {
            job.unblock();
        }
    }
}

impl fmt::Debug for BlockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(job) => write!(f, "BlockGuard({})", job.id()),
            None => f.write_str("BlockGuard(no job)"),
        }
    }
}
