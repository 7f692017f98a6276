//! The job is resumed before there is an answer.

#![cfg(not(loom))]

mod common;

use common::*;
use offload::{Delivery, Engine, OffloadClient};

#[test]
fn it_pauses_again_as_often_as_it_takes() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let mut job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    for early in 1..=1000 {
        // Every other time somebody says so, the other times nobody does.
        if early % 2 == 0 {
            submission.completion.nudge();
        }
        job = still_paused(job);
        assert_eq!(wakes.count(), early / 2);
        let figures = Figures {
            resumed_early: early,
            ..Figures::default()
        };
        assert_figures(&client, figures);
        assert_eq!(held.counters(), counters(1, 0, 0, 0));
    }
    assert_eq!(held.answer(submission), Delivery::Delivered);
    assert_flipped(finished(job), 1);
    assert_eq!(wakes.count(), 501);
    assert_eq!(client.stats().resumed_early, 1000);
    assert_eq!(held.counters(), counters(0, 1, 0, 0));
}

#[test]
fn an_answer_that_came_untold_is_found() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(1));
    let submission = held.take();
    let answer = flip(submission.request);
    let delivery = submission.completion.complete_untold(answer);
    assert_eq!(delivery, Delivery::Delivered);
    assert_eq!(wakes.count(), 0);
    assert_flipped(finished(job), 1);
    assert_figures(&client, Figures::default());

    // The slot's next operation wakes its own context only.
    let other = Wakes::default();
    let job = start_paused(&other.ctx(), &client, request(2));
    held.answer(held.take());
    assert_eq!((wakes.count(), other.count()), (0, 1));
    assert_flipped(finished(job), 2);
}
