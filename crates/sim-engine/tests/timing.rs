//! Modelled time. Lower bounds only: how much longer it takes is the host's affair.

mod common;

use std::time::{Duration, Instant};

use common::*;
use offload::{Op, Request};
use sim_engine::SimDevice;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Submits `n` operations at once and waits for all.
fn run(device: &SimDevice, n: u64) -> Duration {
    let begun = Instant::now();
    for op in submit_all(device, 0..n) {
        let answer = op.wait().expect("computed");
        assert!(same(&answer, &right(op.id)));
    }
    begun.elapsed()
}

#[test]
fn one_engine_does_one_thing_at_a_time() {
    let device = open("engines = 1\n[service_default]\nfixed_ns = 1_000_000");
    assert!(run(&device, 20) >= ms(20));
    let stats = device.shutdown();
    assert_eq!(stats.counters.completed, 20);
    assert!((0.0..=1.0).contains(&stats.engine_utilisation));
}

#[test]
fn four_engines_are_four_times_as_fast_and_no_faster() {
    let opened = Instant::now();
    let device = open("engines = 4\n[service_default]\nfixed_ns = 5_000_000");
    let took = run(&device, 40);
    assert!(took >= ms(5 * 40 / 4));
    // What the engines have done is as much as four of them can have done by now, and is all of
    // the operations' time.
    let busy = device.stats().engine_utilisation * 4.0 * opened.elapsed().as_secs_f64();
    assert!(busy >= 0.2 * 0.99, "{busy} s of 40 times 5 ms");
    assert!(device.shutdown().counters.balance());
}

#[test]
fn more_engines_than_operations_do_not_make_one_faster() {
    let device = open("engines = 64\n[service_default]\nfixed_ns = 5_000_000");
    for _ in 0..3 {
        assert!(run(&device, 4) >= ms(5));
    }
}

#[test]
fn without_a_bound_each_has_an_engine() {
    let device = open("engines = 0\n[service_default]\nfixed_ns = 5_000_000");
    assert!(run(&device, 100) >= ms(5));
    assert_eq!(device.shutdown().engine_utilisation, 0.0);
}

#[test]
fn the_link_takes_its_time_both_ways() {
    let device = open("[link]\nfixed_ns = 2_000_000\nper_byte_ns = 1000.0");
    let begun = Instant::now();
    let op = Request::new(Op::Nop, vec![0; 3000]);
    let op = submit(&device, op).expect("room");
    assert!(op.wait().is_ok());
    assert!(begun.elapsed() >= ms(2 * (2 + 3)));
}

#[test]
fn service_is_by_operation_and_by_byte() {
    let lines = "engines = 1\n[service.nop]\nfixed_ns = 1_000_000\nper_byte_ns = 1000.0";
    let device = open(lines);
    let begun = Instant::now();
    let op = Request::new(Op::Nop, vec![0; 9000]);
    let op = submit(&device, op).expect("room");
    assert!(op.wait().is_ok());
    assert!(begun.elapsed() >= ms(1 + 9));
    // Others are not listed and take none.
    let busy = device.stats().engine_utilisation;
    let other = submit(&device, request(0)).expect("room");
    assert!(other.wait().is_ok());
    assert!(device.stats().engine_utilisation <= busy);
}

#[test]
fn an_answer_that_is_due_first_comes_first() {
    let device = open(
        "engines = 2\n[service.sha256]\nfixed_ns = 50_000_000\n[service.nop]\nfixed_ns = 1_000_000",
    );
    let begun = Instant::now();
    let slow = submit(&device, request(0)).expect("room");
    let quick = submit(&device, nop(1)).expect("room");
    assert!(quick.wait().is_ok());
    // The slow one is not there yet, unless this thread slept through it.
    assert!(slow.take().is_none() || begun.elapsed() >= ms(50));
    assert_eq!(device.shutdown().counters.completed, 2);
}
