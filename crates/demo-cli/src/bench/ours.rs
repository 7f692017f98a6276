//! This repository's jobs.

use std::rc::Rc;
use std::time::Duration;

use async_core::JobSet;
use offload::OffloadClient;

use super::desk::Desk;
use super::tally::Tally;
use super::worker::{Jobs, Work};
use crate::engine::next_finished;
use crate::error::{RunError, as_typed};

/// A [`JobSet`] whose jobs go through an [`OffloadClient`].
pub(crate) struct OurJobs {
    set: JobSet<()>,
    shared: Rc<Shared>,
    limit: usize,
    /// Of the client's counts, which are those of all threads, the first one tells.
    tells_retries: bool,
}

struct Shared {
    client: OffloadClient,
    desk: Rc<Desk>,
}

impl OurJobs {
    pub(crate) fn new(work: &Work, desk: Rc<Desk>) -> Result<OurJobs, RunError> {
        let set = JobSet::new(work.jobs, work.notify.wake_by()).map_err(RunError::WakeSource)?;
        let client = work.client.clone();
        Ok(OurJobs {
            set,
            shared: Rc::new(Shared { client, desk }),
            limit: work.jobs,
            tells_retries: work.thread == 0,
        })
    }
}

impl Jobs for OurJobs {
    fn start(&mut self, place: usize) -> Result<bool, RunError> {
        let shared = Rc::clone(&self.shared);
        let job = move || {
            let client = &shared.client;
            shared.desk.serve(place, |request| client.run(request));
        };
        let at_once = self.set.start(place as u64, job).map_err(|e| {
            let started = self.set.in_flight();
            RunError::Start {
                started,
                wanted: self.limit,
                reason: as_typed(&e.to_string()),
            }
        })?;
        Ok(at_once.is_some())
    }

    fn next_finished(&mut self, patience: Duration) -> Result<Option<usize>, RunError> {
        let finished = next_finished(&mut self.set, &self.shared.client, patience)?;
        // An index of ours.
        Ok(finished.map(|(place, ())| place as usize))
    }

    fn next_ready(&mut self, patience: Duration) -> Result<Option<usize>, RunError> {
        let finished = self.set.next_finished(Some(patience))?;
        Ok(finished.map(|(place, ())| place as usize))
    }

    fn in_flight(&self) -> usize {
        self.set.in_flight()
    }

    fn give_up(&mut self) {
        self.set.cancel_all(|_, ()| {});
    }

    fn retries(&self) -> u64 {
        match self.tells_retries {
            true => self.shared.client.stats().ring_full,
            false => 0,
        }
    }

    fn account(&self, tally: &mut Tally) {
        // Retries and the like are counted by the client, for all threads.
        tally.set = self.set.stats();
    }
}
