//! From the first job to the last: running all of a sequence, and ending all at once.

use super::{JobSet, RunError};
use crate::error::StartError;

impl<R: 'static> JobSet<R> {
    /// Runs `jobs` to their ends, at most the set's limit at once, and hands each result to
    /// `each` with the job's index. Jobs that were in the set before are run too, under their
    /// own keys.
    ///
    /// When the thread's pool is at its bound the next job waits until another has finished.
    ///
    /// # Errors
    ///
    /// [`RunError`]; jobs that were started stay in the set.
    ///
    /// # Panics
    ///
    /// As for [`turn`](JobSet::turn).
    pub fn run<F>(
        &mut self,
        jobs: impl IntoIterator<Item = F>,
        mut each: impl FnMut(u64, R),
    ) -> Result<(), RunError<F>>
    where
        F: FnOnce() -> R + 'static,
    {
        let mut jobs = (0..).zip(jobs);
        // A job that found no slot, to be tried again.
        let mut refused = None;
        loop {
            // One job at a time, so that none is taken and lost when a turn fails.
            while self.has_room()
                && let Some((key, closure)) = refused.take().or_else(|| jobs.next())
            {
                match self.start(key, closure) {
                    Ok(Some(result)) => each(key, result),
                    Ok(None) => {}
                    // Whatever is short now may be there when a job has finished.
                    Err(StartError::NoJobs(f) | StartError::Stack { closure: f, .. })
                        if !self.is_empty() =>
                    {
                        refused = Some((key, f));
                        break;
                    }
                    Err(error) => return Err(RunError::Start(error)),
                }
            }
            // It has room then, so the jobs have come to their end.
            if self.is_empty() {
                return Ok(());
            }
            self.turn(None, &mut each).map_err(RunError::Set)?;
        }
    }

    /// Cancels every job of the set and hands over what they return.
    ///
    /// # Panics
    ///
    /// If a job panics, with its panic; the others stay in the set.
    pub fn cancel_all(&mut self, mut each: impl FnMut(u64, R)) {
        for at in 0..self.slots.len() {
            if let Some(job) = self.slots[at].job.take() {
                self.free.push(at);
                let result = job.cancel();
                self.stats.finished += 1;
                each(self.slots[at].key, result);
            }
        }
        // Only now: if a job panics, the wakes of those that stay must not be lost.
        self.ready.clear();
        self.watch_error = None;
    }
}
