//! The answer comes while the job is paused.

#![cfg(not(loom))]

mod common;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Delivery, Engine, OffloadClient};

#[test]
fn the_application_is_told_once_and_the_job_finds_the_answer() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let job = start_paused(&ctx, &client, request(7));
    assert_eq!(wakes.count(), 0);
    assert_eq!(held.counters(), counters(1, 0, 0, 0));

    let engine = held.clone();
    let answer = std::thread::spawn(move || engine.answer(engine.take()));
    assert_eq!(answer.join().expect("no panic"), Delivery::Delivered);
    assert_eq!(wakes.count(), 1);
    assert_eq!(ctx.status(), waitctx::Status::Ok);
    assert_eq!(held.counters(), counters(0, 1, 0, 0));

    assert_flipped(finished(job), 7);
    assert_eq!(wakes.count(), 1);
    assert_figures(&client, Figures::default());
}

#[test]
fn answers_come_in_any_order() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let contexts: Vec<_> = (0..20).map(|_| wakes.ctx()).collect();
    let mut jobs: Vec<_> = (0..20)
        .map(|id| {
            (
                id,
                start_paused(&contexts[id as usize], &client, request(id)),
            )
        })
        .collect();
    let mut ops: Vec<_> = (0..20).map(|_| held.take()).collect();
    // Every third, until none is left; the jobs from the back.
    let mut at = 0;
    while !ops.is_empty() {
        at = (at + 3) % ops.len();
        assert_eq!(held.answer(ops.remove(at)), Delivery::Delivered);
    }
    assert_eq!(wakes.count(), 20);
    while let Some((id, job)) = jobs.pop() {
        assert_flipped(finished(job), id);
    }
    assert_eq!(held.counters(), counters(0, 20, 0, 0));
    assert_figures(&client, Figures::default());
}

#[test]
fn from_other_threads_whatever_the_application_is_woken_by() {
    for wake in [
        WakeBy::Callback,
        WakeBy::SharedFd,
        WakeBy::Fd,
        WakeBy::Polling,
    ] {
        let engine = Elsewhere::new();
        let client = OffloadClient::new(engine.clone());
        let mut set = JobSet::new(8, wake).expect("descriptors");
        let jobs = (0..200).map(|id| {
            let client = client.clone();
            move || client.run(request(id))
        });
        let mut done = 0;
        set.run(jobs, |id, ran| {
            assert_flipped(ran, id);
            done += 1;
        })
        .expect("it goes on");
        assert_eq!(done, 200);
        engine.assert_delivered(200);
    }
}
