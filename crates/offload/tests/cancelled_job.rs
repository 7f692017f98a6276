//! The job is cancelled, at each point of its operation.

#![cfg(not(loom))]

mod common;

use async_core::{pause_job, start_job};
use common::*;
use offload::{Delivery, Engine, OffloadClient, OffloadError};

fn abandoned(ring_full: u64, abandoned: u64) -> Figures {
    Figures {
        ring_full,
        abandoned,
        ..Figures::default()
    }
}

#[track_caller]
fn cancelled(ran: Ran) -> Option<offload::Request> {
    match ran.expect_err("it was cancelled") {
        OffloadError::Cancelled { request } => request,
        other => panic!("{other}"),
    }
}

#[test]
fn before_it_submits_nothing_is_submitted() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let inside = client.clone();
    let job = start_job(&Wakes::default().ctx(), move || {
        let _ = pause_job();
        inside.run(request(1))
    });
    let job = job.expect("there is a slot").paused().expect("it pauses");
    assert_untouched(cancelled(job.cancel()), 1);
    assert_eq!(held.counters(), counters(0, 0, 0, 0));
    assert_figures(&client, abandoned(0, 1));
}

#[test]
fn in_line_it_gets_its_request_back_and_leaves_the_line() {
    let held = Held::with_room(1);
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let contexts = [wakes.ctx(), wakes.ctx(), wakes.ctx()];
    let first = start_paused(&contexts[0], &client, request(0));
    let second = start_paused(&contexts[1], &client, request(1));
    let third = start_paused(&contexts[2], &client, request(2));
    assert_untouched(cancelled(second.cancel()), 1);
    assert_figures(&client, abandoned(2, 1));
    assert_eq!((held.gate().inside(), held.gate().kept()), (1, 0));

    held.answer(held.take());
    assert_eq!(wakes.count(), 2, "the first's answer, and the third's room");
    assert_flipped(finished(first), 0);
    let third = still_paused(third);
    let submission = held.take();
    assert_eq!(submission.request.id, 2);
    held.answer(submission);
    assert_flipped(finished(third), 2);
    assert_eq!(held.gate().inside(), 0);
    assert!(held.counters().balance());
}

#[test]
fn with_room_kept_for_it_it_passes_the_room_on() {
    let held = Held::with_room(1);
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let contexts = [wakes.ctx(), wakes.ctx(), wakes.ctx()];
    let first = start_paused(&contexts[0], &client, request(0));
    let second = start_paused(&contexts[1], &client, request(1));
    let third = start_paused(&contexts[2], &client, request(2));
    held.answer(held.take());
    assert_flipped(finished(first), 0);
    assert_eq!((held.gate().inside(), held.gate().kept()), (1, 1));

    assert_untouched(cancelled(second.cancel()), 1);
    assert_eq!((held.gate().inside(), held.gate().kept()), (1, 1));
    assert_eq!(wakes.count(), 3, "the third has been told");
    let third = still_paused(third);
    held.answer(held.take());
    assert_flipped(finished(third), 2);
    assert_eq!((held.gate().inside(), held.gate().kept()), (0, 0));
}

#[test]
fn without_a_line_it_gets_its_request_back_too() {
    let held = Held::with_silent_room(1);
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let contexts = [wakes.ctx(), wakes.ctx()];
    let first = start_paused(&contexts[0], &client, request(0));
    let second = start_paused(&contexts[1], &client, request(1));
    assert_eq!(wakes.count(), 1, "it asked to be resumed");
    assert_untouched(cancelled(second.cancel()), 1);
    held.answer(held.take());
    assert_flipped(finished(first), 0);
    assert_eq!(held.gate().inside(), 0);
}

#[test]
fn in_flight_its_request_stays_on_the_device() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let job = start_paused(&Wakes::default().ctx(), &client, request(1));
    assert!(cancelled(job.cancel()).is_none());
    assert_figures(&client, abandoned(0, 1));
    let submission = held.take();
    assert_eq!(submission.request.data[..], 1u64.to_le_bytes());
    assert_eq!(held.answer(submission), Delivery::Orphaned);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

#[test]
fn with_its_answer_there_it_has_finished() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let job = start_paused(&Wakes::default().ctx(), &client, request(1));
    assert_eq!(held.answer(held.take()), Delivery::Delivered);
    assert_flipped(job.cancel(), 1);
    assert_figures(&client, Figures::default());
    assert_eq!(held.counters(), counters(0, 1, 0, 0));
}

#[test]
fn the_fallback_is_not_asked() {
    let held = Held::with_room(1);
    let fallback = at_once();
    let client = OffloadClient::new(held.clone()).with_fallback(fallback.clone());
    let wakes = Wakes::default();
    let contexts = [wakes.ctx(), wakes.ctx()];
    let first = start_paused(&contexts[0], &client, request(0));
    let second = start_paused(&contexts[1], &client, request(1));
    assert_untouched(cancelled(second.cancel()), 1);
    assert!(cancelled(first.cancel()).is_none());
    assert_figures(&client, abandoned(1, 2));
    assert_eq!(fallback.counters(), counters(0, 0, 0, 0));
    assert_eq!(held.answer(held.take()), Delivery::Orphaned);
    assert_eq!(held.gate().inside(), 0);
}
