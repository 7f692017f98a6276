//! What a device takes on, how much of it at once, and how it counts.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Counters, Drive, Engine, OffloadClient, OpKind, Reason};
use sim_engine::{DeviceConfig, SimDevice};

/// A device that does nothing unless it is polled, so that each step can be looked at.
const POLLED: &str = "completions = \"poll\"\n";

#[test]
fn each_step_is_counted() {
    let device = open(&format!("{POLLED}ring_depth_max = 2"));
    let mut expected = Counters::default();
    assert_counters(&device, expected);
    assert_eq!(device.drive(), Drive::Poll);

    let first = submit(&device, request(0)).expect("room");
    (expected.submitted, expected.in_flight) = (1, 1);
    assert_counters(&device, expected);

    let second = submit(&device, request(1)).expect("room");
    (expected.submitted, expected.in_flight) = (2, 2);
    assert_counters(&device, expected);

    let refused = submit(&device, request(2)).err().expect("full");
    assert_eq!(refused.reason, Reason::RingFull);
    assert_eq!(refused.submission.request.id, 2);
    assert_eq!(refused.submission.request.data, request(2).data);
    expected.refused = 1;
    assert_counters(&device, expected);
    refused.submission.completion.withdraw();

    assert!(first.take().is_none());
    assert_eq!(device.poll(1), 1);
    (expected.completed, expected.in_flight) = (1, 1);
    assert_counters(&device, expected);
    assert!(same(&first.wait().expect("computed"), &right(0)));
    assert!(second.take().is_none());

    // Given up before it was computed: it is not computed.
    drop(second);
    assert_eq!(device.poll(0), 1);
    (expected.orphaned, expected.in_flight) = (1, 0);
    assert_counters(&device, expected);
    assert_eq!(device.poll(0), 0);

    let bad = offload::Op::CbcDecrypt {
        key: offload::AesKey::from([0; 16]),
        iv: [0; 16],
        padding: offload::Padding::Pkcs7,
    };
    let bad = submit(&device, offload::Request::new(bad, vec![1, 2, 3])).expect("room");
    assert_eq!(device.poll(0), 1);
    (expected.submitted, expected.failed) = (3, 1);
    assert_counters(&device, expected);
    let failure = bad.wait().expect_err("not whole blocks");
    assert_eq!(failure.request.expect("it comes back").data[..], [1, 2, 3]);

    let stats = device.shutdown();
    assert_eq!(stats.counters, expected);
    assert_eq!(stats.engine_utilisation, 0.0, "no bound, no utilisation");
}

#[test]
fn it_does_what_it_says() {
    let device = open("");
    for kind in OpKind::ALL {
        assert!(device.supports(kind), "{kind}");
    }
    assert_eq!(device.name(), "sim");
    assert_eq!(device.drive(), Drive::Threads);
    assert_eq!(device.poll(0), 0, "its threads do that");
    let client = OffloadClient::new(device.clone());
    for id in 0..60 {
        assert_right(client.run(request(id)), id);
    }
    let counters = device.shutdown().counters;
    assert_eq!((counters.submitted, counters.completed), (60, 60));
    assert!(counters.balance());
}

#[test]
fn operations_are_done_in_the_order_in_which_they_came() {
    let device = open(POLLED);
    let ops = submit_all(&device, 0..20);
    for (at, _) in ops.iter().enumerate() {
        assert_eq!(device.poll(1), 1);
        for (other, op) in ops.iter().enumerate().skip(at) {
            assert_eq!(op.take().is_some(), other == at, "{other} after {at}");
        }
        assert_eq!(device.counters().completed, at as u64 + 1);
    }
}

#[test]
fn several_rings_are_filled_in_turn_and_each_has_its_line() {
    let device = open(&format!("{POLLED}instances = 3\nring_depth_max = 2"));
    let ops = submit_all(&device, 0..6);
    let refused = submit(&device, request(6)).err().expect("all are full");
    assert_eq!(refused.reason, Reason::RingFull);
    let (ctx, wakes) = counted_ctx();
    let notifier = ctx.notifier().expect("no fd needed");
    let tickets: Vec<_> = (0..3)
        .map(|_| {
            device
                .queue_for_room(
                    &offload::Request::new(offload::Op::Nop, Vec::new()),
                    &notifier,
                )
                .expect("it has a line")
        })
        .collect();
    assert!(tickets.iter().all(|ticket| !ticket.is_granted()));

    // The rings were filled in turn: three operations make room in three rings.
    for done in 1..=3 {
        assert_eq!(device.poll(1), 1);
        let granted = tickets.iter().filter(|t| t.is_granted()).count();
        assert_eq!(granted as u64, done);
        assert_eq!(wakes.load(Ordering::SeqCst), done);
        // Room that is kept is not in flight.
        assert_eq!(device.counters().in_flight, 6 - done);
        assert!(device.counters().balance());
    }
    // It is kept: nobody else gets in.
    let beside = submit(&device, request(7)).err().expect("kept for others");
    assert_eq!(beside.reason, Reason::RingFull);
    let more: Vec<_> = tickets
        .into_iter()
        .map(|ticket| submit_with(&device, request(8), Some(ticket)).expect("its turn"))
        .collect();
    assert_eq!(device.counters().in_flight, 6);
    assert_eq!(device.poll(0), 6);
    assert!(ops.iter().chain(&more).all(|op| op.take().is_some()));
    assert_eq!(device.counters().completed, 9);
    assert!(device.shutdown().counters.balance());
}

#[test]
fn a_ticket_of_another_device_is_worth_nothing() {
    let (device, other) = (open(POLLED), open(POLLED));
    let (ctx, _) = counted_ctx();
    let notifier = ctx.notifier().expect("no fd needed");
    let ticket = other
        .queue_for_room(
            &offload::Request::new(offload::Op::Nop, Vec::new()),
            &notifier,
        )
        .expect("it has a line");
    assert!(ticket.is_granted());
    let refused = submit_with(&device, request(1), Some(ticket));
    let refused = refused.err().expect("another device's");
    assert_eq!(refused.reason, Reason::RingFull);
    assert!(refused.submission.ticket.is_some());
    assert_eq!(device.counters().in_flight, 0);
    drop(refused);
    assert_eq!(other.shutdown().counters, Counters::default());
}

#[test]
fn no_more_is_in_flight_than_the_rings_hold() {
    let _deadline = Deadline::new("device: 200 jobs");
    for (instances, depth) in [(1, 1), (1, 4), (3, 2)] {
        let lines = format!("workers = 2\ninstances = {instances}\nring_depth_max = {depth}");
        let device = open(&lines);
        let client = OffloadClient::new(device.clone());
        let most = Arc::new(AtomicU64::new(0));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(device.counters().in_flight, Ordering::Relaxed);
                }
            });
            let mut set = JobSet::new(200, WakeBy::Callback).expect("no descriptor");
            let jobs = (0..200).map(|id| {
                let client = client.clone();
                move || {
                    for round in 0..5 {
                        assert_right(client.run(request(id + round)), id + round);
                    }
                }
            });
            let mut done = 0;
            set.run(jobs, |_, ()| done += 1).expect("it goes on");
            assert_eq!(done, 200);
            stop.store(true, Ordering::Relaxed);
        });
        let most = most.load(Ordering::Relaxed);
        assert!(most <= instances * depth, "{most} in flight");
        let counters = device.shutdown().counters;
        assert_eq!((counters.submitted, counters.completed), (1000, 1000));
        assert_eq!(counters.refused, client.stats().ring_full);
        assert!(counters.refused > 0, "the bound was reached");
        assert!(counters.balance());
    }
}

#[test]
fn small_requests_never_reach_the_device() {
    let device = open("inline_below_bytes = 40");
    let client = OffloadClient::new(device.clone());
    assert_right(client.run(request(5)), 5); // 5 bytes
    assert_eq!(device.counters(), Counters::default());
    assert_right(client.run(request(6)), 6); // 48 bytes
    assert_eq!(device.counters().submitted, 1);
}

#[test]
fn a_configuration_that_is_not_one_is_not_opened() {
    let mut config = DeviceConfig::preset("ideal").expect("it ships");
    config.workers = 0;
    let error = SimDevice::open(&config, 1).expect_err("no workers");
    assert_eq!(
        error.to_string(),
        "the device cannot be opened: workers is 0; give 1 to 256"
    );
}
