//! The answer is there before the job could pause.

#![cfg(not(loom))]

mod common;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, OffloadClient};
use waitctx::WaitCtx;

#[test]
fn the_job_does_not_pause_and_is_woken_once_all_the_same() {
    let engine = at_once();
    let client = OffloadClient::new(engine.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    for id in 1..=10 {
        let ran = start(&ctx, &client, request(id)).finished();
        assert_flipped(ran.expect("it did not pause"), id);
        assert_eq!(wakes.count(), id);
        assert_eq!(engine.counters(), counters(0, id, 0, 0));
        assert_figures(&client, Figures::default());
    }
}

#[test]
fn the_wake_that_is_left_over_in_the_fd_costs_the_next_operation_one_resume() {
    let held = Held::new();
    let (first, next) = (
        OffloadClient::new(at_once()),
        OffloadClient::new(held.clone()),
    );
    let ctx = WaitCtx::new();
    let ran = start(&ctx, &first, request(1)).finished();
    assert_flipped(ran.expect("it did not pause"), 1);
    let fd = ctx.wake_fd().expect("it was made for the operation");

    // An application that watches the fd resumes the job at once, for the wake of the last one.
    let job = start_paused(&ctx, &next, request(2));
    assert!(fd.drain().expect("readable or not"), "left over");
    let job = still_paused(job);
    assert_figures(
        &next,
        Figures {
            resumed_early: 1,
            ..Figures::default()
        },
    );
    held.answer(held.take());
    assert_flipped(finished(job), 2);
    assert_eq!(held.counters(), counters(0, 1, 0, 0));
    assert!(!fd.drain().expect("readable or not"), "taken note of");
}

#[test]
fn whatever_the_application_is_woken_by() {
    for wake in [
        WakeBy::Callback,
        WakeBy::SharedFd,
        WakeBy::Fd,
        WakeBy::Polling,
    ] {
        let engine = at_once();
        let client = OffloadClient::new(engine.clone());
        let mut set = JobSet::new(8, wake).expect("descriptors");
        let jobs = (0..100).map(|id| {
            let client = client.clone();
            move || client.run(request(id))
        });
        let mut done = 0;
        set.run(jobs, |id, ran| {
            assert_flipped(ran, id);
            done += 1;
        })
        .expect("it goes on");
        assert_eq!(done, 100);
        assert_eq!(set.stats().pauses, 0);
        assert_eq!(engine.counters(), counters(0, 100, 0, 0));
        assert_figures(&client, Figures::default());
    }
}
