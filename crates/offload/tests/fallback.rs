//! Another engine is asked when the first one cannot.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;

use common::*;
use offload::{
    Engine, Failure, FailureKind, OffloadClient, OffloadError, OpKind, Reason, Submission,
};

fn fails(kind: FailureKind) -> Arc<dyn Engine> {
    Does::new(move |submission: Submission| {
        let failure = Failure::with_request(kind.clone(), submission.request);
        Ok(Some(submission.completion.complete(Err(failure))))
    })
}

/// Runs `request(id)` inside a job and outside one.
fn run_both_ways(client: &OffloadClient, id: u64, check: impl Fn(Ran)) {
    check(client.run(request(id)));
    let ran = start(&Wakes::default().ctx(), client, request(id)).finished();
    check(ran.expect("none of these engines makes it pause"));
}

#[test]
fn for_what_the_first_one_refuses() {
    for reason in [
        Reason::Unsupported(OpKind::Nop),
        Reason::Down,
        Reason::Throttled,
    ] {
        let (engine, fallback) = (refuses(reason), at_once());
        let client = OffloadClient::new(engine.clone()).with_fallback(fallback.clone());
        run_both_ways(&client, 5, |ran| assert_flipped(ran, 5));
        assert_eq!(
            (engine.counters().refused, engine.counters().submitted),
            (2, 0)
        );
        assert_eq!(fallback.counters(), counters(0, 2, 0, 0));
        let figures = Figures {
            fell_back: 2,
            ..Figures::default()
        };
        assert_figures(&client, figures);
    }
}

#[test]
fn for_what_the_first_one_fails_and_hands_back() {
    for kind in [
        FailureKind::Device { status: -3 },
        FailureKind::Down,
        FailureKind::Dropped,
    ] {
        let fallback = at_once();
        let client = OffloadClient::new(fails(kind)).with_fallback(fallback.clone());
        run_both_ways(&client, 6, |ran| assert_flipped(ran, 6));
        assert_eq!(fallback.counters(), counters(0, 2, 0, 0));
        assert_eq!(client.stats().fell_back, 2);
    }
}

#[test]
fn not_for_what_would_fail_anywhere() {
    for kind in [
        FailureKind::Verify,
        FailureKind::BadRequest { reason: "odd" },
        FailureKind::Cancelled,
    ] {
        let fallback = at_once();
        let client = OffloadClient::new(fails(kind.clone())).with_fallback(fallback.clone());
        run_both_ways(&client, 7, |ran| match ran.expect_err("it fails") {
            OffloadError::Failed(failure) => {
                assert_eq!(failure.kind, kind);
                assert_untouched(failure.request, 7);
            }
            other => panic!("{other}"),
        });
        assert_eq!(fallback.counters(), counters(0, 0, 0, 0));
        assert_figures(&client, Figures::default());
    }
}

#[test]
fn not_for_what_is_lost() {
    let lost = Does::new(|submission: Submission| {
        let failure = Failure::lost(FailureKind::Down);
        Ok(Some(submission.completion.complete(Err(failure))))
    });
    let fallback = at_once();
    let client = OffloadClient::new(lost).with_fallback(fallback.clone());
    run_both_ways(&client, 8, |ran| {
        let error = ran.expect_err("it fails");
        assert!(error.into_request().is_none());
    });
    assert_eq!(fallback.counters(), counters(0, 0, 0, 0));
}

#[test]
fn the_fallback_s_error_is_what_is_left() {
    let client =
        OffloadClient::new(refuses(Reason::Down)).with_fallback(refuses(Reason::Throttled));
    run_both_ways(&client, 9, |ran| {
        let error = ran.expect_err("both refuse");
        assert!(matches!(
            error,
            OffloadError::Refused {
                reason: Reason::Throttled,
                ..
            }
        ));
        assert_untouched(error.into_request(), 9);
    });
}

#[test]
fn a_fallback_can_be_slow_too() {
    let held = Held::new();
    let client = OffloadClient::new(refuses(Reason::Down)).with_fallback(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    assert_eq!(held.counters(), counters(1, 0, 0, 0));
    held.answer(held.take());
    assert_eq!(wakes.count(), 1);
    assert_flipped(finished(job), 1);
}
