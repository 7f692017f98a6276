//! The engine carries an operation out on the spot.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;

use common::*;
use offload::{
    Counters, Engine, Failure, FailureKind, OffloadClient, OffloadError, OpKind, Reason, Refused,
    Request, Response, Submission,
};

/// Odd ids inline, even ones not; id 3 fails.
struct Odd(Arc<Held>);

impl Engine for Odd {
    fn name(&self) -> &str {
        "odd"
    }

    fn supports(&self, op: OpKind) -> bool {
        self.0.supports(op)
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        assert_eq!(submission.request.id % 2, 0, "the others are inline");
        self.0.submit(submission)
    }

    fn runs_inline(&self, request: &Request) -> bool {
        request.id % 2 == 1
    }

    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        match request.id {
            3 => Err(Failure::with_request(
                FailureKind::Device { status: -1 },
                request,
            )),
            _ => flip(request),
        }
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}

#[test]
fn the_job_neither_pauses_nor_is_it_woken() {
    let held = Held::new();
    let client = OffloadClient::new(Arc::new(Odd(held.clone())));
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let ran = start(&ctx, &client, request(1)).finished();
    assert_flipped(ran.expect("it did not pause"), 1);
    assert_flipped(client.run(request(1)), 1);
    assert_eq!(held.counters(), counters(0, 0, 0, 0));
    assert_eq!(wakes.count(), 0);

    // What it declines is submitted, whole.
    let job = start_paused(&ctx, &client, request(2));
    assert_eq!(held.counters(), counters(1, 0, 0, 0));
    held.answer(held.take());
    assert_flipped(finished(job), 2);
    assert_eq!(wakes.count(), 1);
}

#[test]
fn its_failure_is_the_operation_s() {
    let held = Held::new();
    let engine: Arc<dyn Engine> = Arc::new(Odd(held.clone()));
    let client = OffloadClient::new(engine.clone());
    let error = client.run(request(3)).expect_err("it fails");
    assert!(
        matches!(&error, OffloadError::Failed(f) if f.kind == FailureKind::Device { status: -1 })
    );
    assert_untouched(error.into_request(), 3);

    let client = client.with_fallback(at_once());
    assert_flipped(client.run(request(3)), 3);
    assert_eq!(client.stats().fell_back, 1);
    // And the other way round.
    let client = OffloadClient::new(refuses(Reason::Down)).with_fallback(engine);
    assert_flipped(client.run(request(5)), 5);
    assert_eq!(held.counters(), counters(0, 0, 0, 0));
}
