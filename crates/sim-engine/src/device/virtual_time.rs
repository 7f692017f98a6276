//! A device on a virtual clock: no threads; it is moved.

use std::sync::atomic::Ordering;

use offload::FailureKind;
use waitctx::WakeBatch;

use super::endpoint::Endpoint;
use super::shared::Shared;
use crate::clock::{Step, Timed, VirtualClock};
use crate::work::{Job, Work, fail};

impl Shared {
    /// Sets a request on its way in virtual time, where it is computed when it is answered.
    pub(super) fn set_on_its_way(&self, work: Work) {
        let (at, course) = (work.route.submitted, self.course(&work));
        let endpoint = self.endpoint_of(work.route.ring);
        if let Err(job) = endpoint.admit(at, course, Job::Asked(work)) {
            let work = job.into_work();
            fail(self, work, FailureKind::Down, &mut WakeBatch::new());
        }
    }

    /// Moves the virtual clock, and completes at most `quota` requests of this device.
    pub(super) fn step(&self, clock: &VirtualClock, quota: usize) -> Step {
        let quota = if quota == 0 { usize::MAX } else { quota };
        self.quota.store(quota, Ordering::Relaxed);
        let step = clock.step();
        self.quota.store(usize::MAX, Ordering::Relaxed);
        step
    }

    /// Moves the virtual clock, if it is one, until nothing is inside any more, the device is killed,
    /// or the clock cannot be moved from here.
    pub(super) fn drain_in_virtual_time(&self) {
        let Some(clock) = self.clock.as_virtual() else {
            return;
        };
        let is_empty = |endpoint: &Endpoint| endpoint.lock().model.is_empty();
        while !self.is_dead()
            && !self.endpoints().iter().all(is_empty)
            && matches!(clock.step(), Step::Happened { .. })
        {}
    }
}

/// In virtual time: the clock lets happen what happens.
impl Timed for Shared {
    fn next_at(&self) -> Option<u64> {
        if self.left_over.load(Ordering::Relaxed) {
            return Some(0);
        }
        Shared::next_at(self)
    }

    fn run(&self, _now: u64) -> Option<usize> {
        let poller = self.try_poller()?;
        let polled = self.is_polled();
        let done = self.with_poller(poller, |poller| {
            poller.look(self);
            let done = if polled {
                poller.deal_without_answers(self);
                0
            } else {
                let done = poller.deal(self, self.quota.load(Ordering::Relaxed));
                let left = poller.has_happenings();
                self.left_over.store(left, Ordering::Relaxed);
                done
            };
            poller.clear_limbo(self);
            poller.tell();
            self.catch_up(poller);
            done
        });
        Some(done)
    }
}
