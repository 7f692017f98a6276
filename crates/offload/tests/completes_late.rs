//! The answer comes when nobody waits for it any more.

#![cfg(not(loom))]

mod common;

use common::*;
use offload::{Delivery, Engine, OffloadClient, OffloadError, Pending};

#[test]
fn after_a_cancel_it_is_orphaned_and_the_context_is_told_once() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    assert!(!submission.completion.is_abandoned());

    let error = job.cancel().expect_err("no answer came");
    assert!(matches!(error, OffloadError::Cancelled { request: None }));
    assert!(submission.completion.is_abandoned());
    assert_eq!(wakes.count(), 0);
    assert_eq!(held.counters(), counters(1, 0, 0, 0));
    let abandoned = Figures {
        abandoned: 1,
        ..Figures::default()
    };
    assert_figures(&client, abandoned);

    assert_eq!(held.answer(submission), Delivery::Orphaned);
    assert_eq!(wakes.count(), 1);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

#[test]
fn it_is_not_taken_for_the_answer_to_the_next_operation() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    drop(start_paused(&ctx, &client, request(1)));
    let late = held.take();
    let job = start_paused(&ctx, &client, request(2));
    let next = held.take();

    assert_eq!(held.answer(late), Delivery::Orphaned);
    assert_eq!(wakes.count(), 1);
    let job = still_paused(job);
    assert_eq!(held.counters(), counters(1, 0, 0, 1));

    assert_eq!(held.answer(next), Delivery::Delivered);
    assert_eq!(wakes.count(), 2);
    assert_flipped(finished(job), 2);
    assert_eq!(held.counters(), counters(0, 1, 0, 1));
}

#[test]
fn after_the_job_its_context_and_the_client_are_gone_nothing_happens() {
    let held = Held::new();
    let wakes = Wakes::default();
    {
        let client = OffloadClient::new(held.clone());
        let ctx = wakes.ctx();
        drop(start_paused(&ctx, &client, request(1)));
    }
    let submission = held.take();
    submission.completion.nudge();
    assert!(submission.completion.is_abandoned());
    assert_eq!(held.answer(submission), Delivery::Orphaned);
    // There was no context left to be told.
    assert_eq!(wakes.count(), 0);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

#[test]
fn after_its_thread_is_gone_too() {
    let held = Held::new();
    let engine = held.clone();
    std::thread::spawn(move || {
        let client = OffloadClient::new(engine);
        drop(start_paused(&waitctx::WaitCtx::new(), &client, request(1)));
    })
    .join()
    .expect("no panic");
    assert_eq!(held.answer(held.take()), Delivery::Orphaned);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

#[test]
fn whoever_drops_a_pending_operation_has_given_it_up() {
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let (pending, completion) = Pending::new(ctx.notifier().expect("a callback is set"));
    assert!(pending.take().is_none());
    drop(pending);
    assert!(completion.is_abandoned());
    assert_eq!(completion.complete(flip(request(1))), Delivery::Orphaned);
    assert_eq!(wakes.count(), 1);

    // With the answer in it there is nobody left to be told.
    let (pending, completion) = Pending::new(ctx.notifier().expect("a callback is set"));
    let twin = completion.twin();
    assert_eq!(completion.complete(flip(request(2))), Delivery::Delivered);
    drop(pending);
    assert_eq!(twin.complete(flip(request(2))), Delivery::Duplicate);
    assert_eq!(wakes.count(), 2);
}
