//! Many jobs, run to their ends by one thread: what most programs want.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

#[cfg(any(target_os = "linux", target_os = "android"))]
use waitctx::FdPoller;
use waitctx::{ReadyQueue, WaitCtx};

use crate::error::StartError;
use crate::job::{Job, JobOutcome, start_job};

mod errors;
mod run;
mod stats;

pub use errors::{JobSetError, RunError};
pub use stats::{SetStats, WakeBy};

/// Runs many jobs to their ends, on one thread, at most `limit` at once.
///
/// Each job gets a wait context of the set's, which is used again for the next job.
///
/// ```
/// use async_core::{JobSet, WakeBy, current_job, pause_job};
/// use waitctx::Status;
///
/// let mut set = JobSet::new(8, WakeBy::Callback)?;
/// let mut sum = 0;
/// let jobs = (1..=100).map(|n| {
///     move || {
///         // Hand the work to another thread, pause, and take the answer.
///         let (send, answer) = std::sync::mpsc::channel();
///         let ctx = current_job().expect("we are in a job").wait_ctx();
///         let notifier = ctx.notifier().expect("no fd is needed");
///         std::thread::spawn(move || {
///             send.send(n * n).expect("the job waits");
///             notifier.notify(Status::Ok)
///         });
///         loop {
///             if let Ok(square) = answer.try_recv() {
///                 return square;
///             }
///             pause_job().expect("nobody cancels");
///         }
///     }
/// });
/// set.run(jobs, |_index, square| sum += square)?;
/// assert_eq!(sum, 338_350);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it cancels the jobs that are in it. Bound to its thread, as its jobs are.
pub struct JobSet<R> {
    source: Source,
    slots: Vec<Slot<R>>,
    /// Indices of `slots` without a job; the last one freed is the next one used.
    free: Vec<usize>,
    limit: usize,
    /// Slots to resume. Kept between turns, so that a job's panic loses none of them.
    ready: VecDeque<u64>,
    tokens: Vec<u64>,
    /// Slots that are resumed at every turn, because not all of their fds could be watched.
    unwatched: Vec<u64>,
    watch_error: Option<JobSetError>,
    stats: SetStats,
}

struct Slot<R> {
    ctx: WaitCtx,
    /// `false` if the slot is unwatched. Then its next job gets another context.
    watched: bool,
    key: u64,
    job: Option<Job<R>>,
}

/// A turn resumes so many jobs at most: then the caller starts others in the place of those that
/// have finished, and the engine does not run dry while the rest is resumed.
const TURN_MAX: usize = 64;

/// What became of a resume.
enum Resumed<R> {
    /// There was no job to resume.
    Late,
    Paused,
    Finished(u64, R),
}

enum Source {
    Queue(ReadyQueue),
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Fds(FdPoller),
    Polling,
}

impl<R: 'static> JobSet<R> {
    /// An empty set for at most `limit` jobs at once; a limit of 0 is taken as 1.
    ///
    /// # Errors
    ///
    /// `EMFILE` and its like, for the ways that need a descriptor of the set's own.
    pub fn new(limit: usize, wake: WakeBy) -> io::Result<JobSet<R>> {
        let source = match wake {
            WakeBy::Callback => Source::Queue(ReadyQueue::new()),
            WakeBy::SharedFd => Source::Queue(ReadyQueue::with_fd()?),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            WakeBy::Fd => Source::Fds(FdPoller::new()?),
            WakeBy::Polling => Source::Polling,
        };
        Ok(JobSet {
            source,
            slots: Vec::new(),
            free: Vec::new(),
            limit: limit.max(1),
            ready: VecDeque::new(),
            tokens: Vec::new(),
            unwatched: Vec::new(),
            watch_error: None,
            stats: SetStats::default(),
        })
    }

    /// How many jobs are paused in the set.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no job is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight() == 0
    }

    /// Whether another job may be started.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.limit
    }

    /// What the set has done so far.
    #[must_use]
    pub fn stats(&self) -> SetStats {
        let mut stats = self.stats;
        if let Source::Queue(queue) = &self.source {
            stats.wakes = queue.wakes();
        }
        stats
    }

    /// Starts a job. `Some` if it finished at once; otherwise [`turn`](JobSet::turn) hands its
    /// result over, with `key`.
    ///
    /// # Errors
    ///
    /// [`StartError::NoJobs`] when the set, or the thread's pool, is at its bound: let a turn
    /// pass and try again. Else as for [`start_job`].
    ///
    /// # Panics
    ///
    /// If the job panics before it pauses, with its panic. The set is as it was, but for the count
    /// of jobs started.
    pub fn start<F>(&mut self, key: u64, closure: F) -> Result<Option<R>, StartError<F>>
    where
        F: FnOnce() -> R + 'static,
    {
        if !self.has_room() {
            return Err(StartError::NoJobs(closure));
        }
        let at = match self.free.last() {
            Some(&at) => at,
            None => self.add_slot(),
        };
        if !self.slots[at].watched {
            self.renew(at);
        }
        self.stats.started += 1;
        match start_job(&self.slots[at].ctx, closure) {
            Ok(JobOutcome::Finished(result)) => {
                self.stats.finished += 1;
                Ok(Some(result))
            }
            Ok(JobOutcome::Paused(job)) => {
                self.free.pop();
                self.slots[at].key = key;
                self.paused(at, job);
                self.stats.in_flight_max = self.stats.in_flight_max.max(self.in_flight());
                Ok(None)
            }
            Err(e) => {
                self.stats.started -= 1;
                Err(e)
            }
        }
    }

    /// Makes a slot without a job.
    fn add_slot(&mut self) -> usize {
        let at = self.slots.len();
        self.slots.push(Slot {
            ctx: self.new_ctx(at),
            watched: true,
            key: 0,
            job: None,
        });
        self.free.push(at);
        at
    }

    fn new_ctx(&self, at: usize) -> WaitCtx {
        let ctx = WaitCtx::new();
        match &self.source {
            Source::Queue(queue) => queue.attach(&ctx, at as u64),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Source::Fds(_) => {}
            // Nothing was kept in a new context, so there is nothing that could fail to be told.
            Source::Polling => drop(ctx.set_silent(true)),
        }
        ctx
    }

    /// Gives a slot without a job another context, when what was left in the old one is in the way.
    #[cold]
    fn renew(&mut self, at: usize) {
        let new = self.new_ctx(at);
        let slot = &mut self.slots[at];
        slot.watched = true;
        self.unwatched.retain(|token| *token != at as u64);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Source::Fds(poller) = &mut self.source {
            // First those that were cleared since the last pause. What cannot be watched is not.
            let _ = poller.follow(&slot.ctx, at as u64);
            let _ = poller.leave(&slot.ctx);
        }
        // Last, since it may run the cleanup functions of engines.
        slot.ctx = new;
    }

    /// Waits until some job can go on, or until `timeout` has passed, and resumes those that can, up
    /// to 64; the next turn goes on with the others at once. Hands the result of each that finishes
    /// to `each`, with its key. Says how many were resumed: 0 after the time-out, with no job in the
    /// set, and when a wake came for a job that had ended already.
    ///
    /// # Errors
    ///
    /// [`JobSetError`]; the jobs stay in the set, and the next turn goes on.
    ///
    /// # Panics
    ///
    /// If a job panics, with its panic; that job is gone, and the next turn goes on with the
    /// others. If `each` panics.
    pub fn turn(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(u64, R),
    ) -> Result<usize, JobSetError> {
        if let Some(error) = self.watch_error.take() {
            return Err(error);
        }
        if self.is_empty() {
            return Ok(0);
        }
        if self.ready.is_empty() {
            self.wait(timeout)?;
        }
        let (mut resumed, mut finished) = (0, 0);
        for _ in 0..TURN_MAX {
            let Some(token) = self.ready.pop_front() else {
                break;
            };
            match self.resume(token) {
                Resumed::Late => {}
                Resumed::Paused => resumed += 1,
                Resumed::Finished(key, result) => {
                    resumed += 1;
                    finished += 1;
                    each(key, result);
                }
            }
        }
        if finished == 0 {
            self.give_way();
        }
        Ok(resumed)
    }

    /// Waits until a job finishes and hands its key and its result over: for a loop that starts
    /// another in its place at once, where [`turn`](JobSet::turn) first resumes all that can go on.
    /// `None` after `timeout`, and with no job in the set.
    ///
    /// # Errors
    ///
    /// As for [`turn`](JobSet::turn).
    ///
    /// # Panics
    ///
    /// If a job panics, with its panic; that job is gone, and the others stay in the set.
    pub fn next_finished(
        &mut self,
        timeout: Option<Duration>,
    ) -> Result<Option<(u64, R)>, JobSetError> {
        let mut deadline = None;
        let mut waited = false;
        loop {
            if let Some(error) = self.watch_error.take() {
                return Err(error);
            }
            while let Some(token) = self.ready.pop_front() {
                if let Resumed::Finished(key, result) = self.resume(token) {
                    return Ok(Some((key, result)));
                }
            }
            if self.is_empty() {
                return Ok(None);
            }
            let left = match timeout {
                None => None,
                Some(timeout) => {
                    let now = Instant::now();
                    let deadline = *deadline.get_or_insert_with(|| now.checked_add(timeout));
                    let left = deadline.map(|d| d.saturating_duration_since(now));
                    // A time-out of zero waits too, once, and so sees what has come.
                    if left == Some(Duration::ZERO) && waited {
                        return Ok(None);
                    }
                    left
                }
            };
            self.give_way();
            self.wait(left)?;
            waited = true;
        }
    }

    /// When jobs are looked at in turn and none has come further: whoever we wait for may want
    /// this processor.
    fn give_way(&self) {
        if matches!(self.source, Source::Polling) || !self.unwatched.is_empty() {
            std::thread::yield_now();
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), JobSetError> {
        match &mut self.source {
            Source::Queue(queue) => {
                queue.wait(&mut self.tokens, timeout)?;
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Source::Fds(poller) => {
                let slots = &self.slots;
                self.unwatched
                    .retain(|token| slots[*token as usize].job.is_some());
                let timeout = match &self.unwatched[..] {
                    [] => timeout,
                    _ => Some(Duration::ZERO),
                };
                self.stats.wakes += poller.wait(&mut self.tokens, timeout)? as u64;
                self.tokens.extend(&self.unwatched);
            }
            Source::Polling => {
                let busy = self
                    .slots
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| s.job.is_some());
                self.tokens.extend(busy.map(|(at, _)| at as u64));
            }
        }
        self.ready.extend(self.tokens.drain(..));
        Ok(())
    }

    /// Resumes the job in slot `token`, if there is one: a wake may come late.
    fn resume(&mut self, token: u64) -> Resumed<R> {
        // Far enough ahead to be there in time, and not so far that it is gone again.
        const AHEAD: usize = 4;
        if let Some(job) = self.waiting(AHEAD) {
            job.prefetch();
        }
        if let Some(job) = self.waiting(AHEAD / 2) {
            job.prefetch_next();
        }
        let at = token as usize; // one of our own tokens, an index
        let Some(job) = self.slots[at].job.take() else {
            self.late(at);
            return Resumed::Late;
        };
        // Free now: if the job panics, its slot is in order.
        self.free.push(at);
        self.stats.resumes += 1;
        match job.resume() {
            JobOutcome::Finished(result) => {
                self.stats.finished += 1;
                Resumed::Finished(self.slots[at].key, result)
            }
            JobOutcome::Paused(job) => {
                self.free.pop();
                self.paused(at, job);
                Resumed::Paused
            }
        }
    }

    /// The job that comes `ahead` resumes after this one.
    fn waiting(&self, ahead: usize) -> Option<&Job<R>> {
        let token = self.ready.get(ahead - 1)?;
        self.slots[*token as usize].job.as_ref()
    }

    /// A wake came for a slot without a job: the job took its answer before, or was cancelled.
    /// Nobody else will read the fd now, and one that stays readable would be reported for ever.
    #[cold]
    fn late(&mut self, at: usize) {
        let drained = matches!(self.slots[at].ctx.acknowledge(), Ok(true));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !drained && matches!(self.source, Source::Fds(_)) {
            // It was an fd of an engine's own.
            self.renew(at);
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = drained;
    }

    fn paused(&mut self, at: usize, job: Job<R>) {
        self.stats.pauses += 1;
        let slot = &mut self.slots[at];
        slot.job = Some(job);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Source::Fds(poller) = &mut self.source
            && let Err(error) = poller.follow(&slot.ctx, at as u64)
            && slot.watched
        {
            slot.watched = false;
            self.unwatched.push(at as u64);
            self.watch_error = Some(error.into());
        }
    }
}

impl<R> fmt::Debug for JobSet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSet")
            .field("limit", &self.limit)
            .field("in_flight", &(self.slots.len() - self.free.len()))
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
