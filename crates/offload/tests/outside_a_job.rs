//! There is no job to pause.

#![cfg(not(loom))]

mod common;

use std::time::{Duration, Instant};

use common::*;
use offload::{Delivery, Engine, Failure, FailureKind, OffloadClient, OffloadError, Reason};

#[test]
fn the_thread_sleeps_until_the_answer_comes() {
    let engine = Elsewhere::new();
    for timeout in [Some(OffloadClient::DEFAULT_TIMEOUT), None] {
        let client = OffloadClient::new(engine.clone()).with_timeout(timeout);
        for id in 0..50 {
            assert_flipped(client.run(request(id)), id);
            assert_figures(&client, Figures::default());
        }
        engine.assert_delivered(50);
    }
}

#[test]
fn many_threads_share_a_client() {
    let engine = Elsewhere::new();
    let client = OffloadClient::new(engine.clone());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for id in thread * 1000..thread * 1000 + 50 {
                    assert_flipped(client.run(request(id)), id);
                }
            });
        }
    });
    engine.assert_delivered(200);
    assert_figures(&client, Figures::default());
}

#[test]
fn an_engine_that_must_be_polled_is_polled_here() {
    let held = Held::polled(None);
    let client = OffloadClient::new(held.clone());
    for id in 1..=50 {
        assert_flipped(client.run(request(id)), id);
        assert_eq!(held.counters(), counters(0, id, 0, 0));
    }
    assert_figures(&client, Figures::default());
}

#[test]
fn an_engine_that_never_answers_costs_the_time_out_and_the_request() {
    let held = Held::new();
    let timeout = Duration::from_millis(50);
    let client = OffloadClient::new(held.clone()).with_timeout(Some(timeout));
    let begun = Instant::now();
    let error = client.run(request(1)).expect_err("no answer");
    assert!(begun.elapsed() >= timeout);
    assert!(matches!(
        error,
        OffloadError::Failed(Failure {
            kind: FailureKind::TimedOut { millis: 50 },
            request: None
        })
    ));
    let figures = Figures {
        timed_out: 1,
        ..Figures::default()
    };
    assert_figures(&client, figures);
    let submission = held.take();
    assert!(submission.completion.is_abandoned());
    assert_eq!(held.answer(submission), Delivery::Orphaned);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

#[test]
fn an_answer_that_came_untold_is_found_when_the_time_is_over() {
    let engine = Does::new(|submission: offload::Submission| {
        let answer = flip(submission.request);
        // Not in `submit` itself, where it would be found at once.
        std::thread::spawn(move || submission.completion.complete_untold(answer));
        Ok(None)
    });
    let timeout = Some(Duration::from_millis(100));
    let client = OffloadClient::new(engine).with_timeout(timeout);
    assert_flipped(client.run(request(1)), 1);
    assert_figures(&client, Figures::default());
}

#[test]
fn a_refusal_hands_the_request_back() {
    let reasons = [Reason::Down, Reason::Throttled];
    for reason in reasons {
        let engine = refuses(reason);
        let client = OffloadClient::new(engine.clone());
        let error = client.run(request(1)).expect_err("refused");
        assert!(matches!(error, OffloadError::Refused { reason: r, .. } if r == reason));
        assert_untouched(error.into_request(), 1);
        assert_eq!(engine.counters().refused, 1);
        assert_eq!(engine.counters().submitted, 0);
    }
}
