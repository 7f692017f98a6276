//! An operation is answered twice.

#![cfg(not(loom))]

mod common;

use common::*;
use offload::{Delivery, Engine, Failure, FailureKind, OffloadClient};

fn wrong() -> Result<offload::Response, Failure> {
    Err(Failure::lost(FailureKind::Device { status: 0 }))
}

#[test]
fn the_second_answer_is_a_duplicate_and_nobody_is_told() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    let twins = [submission.completion.twin(), submission.completion.twin()];
    assert_eq!(held.answer(submission), Delivery::Delivered);
    assert_eq!(wakes.count(), 1);

    // Before the job has picked the first one up, and after.
    let [before, after] = twins;
    assert_eq!(before.complete(wrong()), Delivery::Duplicate);
    assert_flipped(finished(job), 1);
    assert_eq!(after.complete(wrong()), Delivery::Duplicate);
    assert_eq!(wakes.count(), 1);
    assert_eq!(held.counters(), counters(0, 1, 0, 0));
    assert_figures(&client, Figures::default());
}

#[test]
fn the_first_one_counts_whoever_gives_it() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    let twin = submission.completion.twin();
    assert_eq!(twin.complete(flip(request(1))), Delivery::Delivered);
    assert_eq!(submission.completion.complete(wrong()), Delivery::Duplicate);
    assert_eq!(wakes.count(), 1);
    assert_flipped(finished(job), 1);
}

#[test]
fn a_twin_is_not_missed() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    drop(submission.completion.twin());
    assert_eq!(wakes.count(), 0);
    let job = still_paused(job);
    held.answer(submission);
    assert_flipped(finished(job), 1);
}

#[test]
fn the_next_operation_on_the_same_slot_does_not_get_it() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    let twin = submission.completion.twin();
    held.answer(submission);
    assert_flipped(finished(job), 1);

    // A client takes the slot that came back last.
    let job = start_paused(&ctx, &client, request(2));
    assert!(twin.is_abandoned());
    assert_eq!(twin.complete(wrong()), Delivery::Duplicate);
    assert_eq!(wakes.count(), 1);
    let job = still_paused(job);
    assert_eq!(held.counters(), counters(1, 1, 0, 0));
    held.answer(held.take());
    assert_flipped(finished(job), 2);
    assert_eq!(wakes.count(), 2);
}

#[test]
fn an_operation_that_was_given_up_is_orphaned_once() {
    for untold in [false, true] {
        let held = Held::new();
        let client = OffloadClient::new(held.clone());
        let wakes = Wakes::default();
        let ctx = wakes.ctx();
        drop(start_paused(&ctx, &client, request(1)));
        let completion = held.take().completion;
        let twin = completion.twin();
        let first = if untold {
            completion.complete_untold(wrong())
        } else {
            completion.complete(wrong())
        };
        assert_eq!(first, Delivery::Orphaned);
        assert_eq!(twin.complete(wrong()), Delivery::Duplicate);
        assert_eq!(wakes.count(), u64::from(!untold));
    }
}

#[test]
fn an_operation_that_was_refused_is_not_answered_at_all() {
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let (pending, completion) = offload::Pending::new(ctx.notifier().expect("a callback is set"));
    let twin = completion.twin();
    completion.withdraw();
    assert_eq!(twin.complete(wrong()), Delivery::Duplicate);
    assert!(pending.take().is_none());
    assert_eq!(wakes.count(), 0);
}
