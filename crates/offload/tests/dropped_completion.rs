//! An engine drops the duty to answer.

#![cfg(not(loom))]

mod common;

use common::*;
use offload::{Engine, Failure, FailureKind, OffloadClient, OffloadError};
use waitctx::Status;

#[track_caller]
fn assert_dropped(ran: Ran) {
    let error = ran.expect_err("nobody answered");
    assert!(
        matches!(
            &error,
            OffloadError::Failed(Failure {
                kind: FailureKind::Dropped,
                request: None
            })
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("report it to the engine's author")
    );
}

#[test]
fn while_the_job_is_paused_it_fails_and_the_context_is_told() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    drop(held.take());
    assert_eq!(wakes.count(), 1);
    assert_eq!(ctx.status(), Status::Err);
    assert_dropped(finished(job));
    assert_figures(&client, Figures::default());
}

#[test]
fn in_submit_it_fails_at_once() {
    let engine = Does::new(|submission| {
        drop(submission);
        Ok(None)
    });
    let client = OffloadClient::new(engine.clone());
    let wakes = Wakes::default();
    let ran = start(&wakes.ctx(), &client, request(1)).finished();
    assert_dropped(ran.expect("it did not pause"));
    assert_eq!(wakes.count(), 1);
    assert_dropped(client.run(request(2)));
    assert_eq!(engine.counters().submitted, 2);
}

#[test]
fn by_a_panic_of_the_engine_s_thread() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let job = start_paused(&wakes.ctx(), &client, request(1));
    let engine = held.clone();
    let thread = std::thread::Builder::new().name("a panic on purpose".into());
    let thread = thread.spawn(move || {
        let _submission = engine.take();
        panic!("on purpose");
    });
    assert!(thread.expect("a thread").join().is_err());
    assert_eq!(wakes.count(), 1);
    assert_dropped(finished(job));
}

#[test]
fn after_the_operation_was_given_up_the_context_is_told_once_all_the_same() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    drop(start_paused(&ctx, &client, request(1)));
    assert_eq!(wakes.count(), 0);
    drop(held.take());
    assert_eq!(wakes.count(), 1);
}

#[test]
fn it_is_not_tried_elsewhere_since_the_request_is_lost() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone()).with_fallback(at_once());
    let wakes = Wakes::default();
    let job = start_paused(&wakes.ctx(), &client, request(1));
    drop(held.take());
    assert_dropped(finished(job));
    assert_figures(&client, Figures::default());
}
