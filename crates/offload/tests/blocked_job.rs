//! The job must not pause.

#![cfg(not(loom))]

mod common;

use async_core::{block_pause, start_job};
use common::*;
use offload::{Engine, OffloadClient};

#[test]
fn its_operation_is_waited_for_on_the_spot() {
    let engine = Elsewhere::new();
    let client = OffloadClient::new(engine.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let inside = client.clone();
    let ran = start_job(&ctx, move || {
        let _blocked = block_pause();
        inside.run(request(1))
    });
    let ran = ran.expect("there is a slot").finished();
    assert_flipped(ran.expect("it did not pause"), 1);
    engine.assert_delivered(1);
    // The thread's own context was woken, not the job's.
    assert_eq!(wakes.count(), 0);
    assert_figures(&client, Figures::default());
}

#[test]
fn an_engine_that_must_be_polled_is_polled_by_it() {
    let held = Held::polled(None);
    let client = OffloadClient::new(held.clone());
    let ran = start_job(&Wakes::default().ctx(), move || {
        let blocked = block_pause();
        let first = client.run(request(1));
        drop(blocked);
        (first, client.run(request(2)))
    });
    let job = ran.expect("there is a slot").paused();
    let job = job.expect("unblocked it pauses");
    assert_eq!(held.counters(), counters(1, 1, 0, 0));
    assert_eq!(held.poll(0), 1);
    let (first, second) = job.resume().finished().expect("answered");
    assert_flipped(first, 1);
    assert_flipped(second, 2);
    assert_eq!(held.counters(), counters(0, 2, 0, 0));
}
