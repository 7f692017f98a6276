//! Plain software, behind the same contract: the bound to measure against, and the fallback.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use offload::{Counters, Engine, Failure, OpKind, Refused, Request, Response, Submission};

use crate::compute;

/// Computes on the thread that asks, at once. No job ever pauses for it.
#[derive(Default)]
pub struct SoftwareEngine {
    completed: AtomicU64,
    failed: AtomicU64,
    orphaned: AtomicU64,
}

impl SoftwareEngine {
    /// A software engine.
    #[must_use]
    pub fn new() -> SoftwareEngine {
        SoftwareEngine::default()
    }

    fn compute(&self, request: Request) -> Result<Response, Failure> {
        let answer = compute::compute(request);
        let counter = if answer.is_ok() {
            &self.completed
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

impl Engine for SoftwareEngine {
    fn name(&self) -> &str {
        "software"
    }

    fn supports(&self, op: OpKind) -> bool {
        compute::supports(op)
    }

    fn runs_inline(&self, _: &Request) -> bool {
        true
    }

    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        self.compute(request)
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let answer = compute::compute(submission.request);
        let success = answer.is_ok();
        let counter = match submission.completion.complete(answer) {
            offload::Delivery::Delivered if success => &self.completed,
            offload::Delivery::Delivered => &self.failed,
            _ => &self.orphaned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn counters(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (completed, failed, orphaned) =
            (get(&self.completed), get(&self.failed), get(&self.orphaned));
        Counters {
            submitted: completed + failed + orphaned,
            completed,
            failed,
            orphaned,
            ..Counters::default()
        }
    }
}

impl fmt::Debug for SoftwareEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SoftwareEngine")
            .field(&self.counters())
            .finish()
    }
}
