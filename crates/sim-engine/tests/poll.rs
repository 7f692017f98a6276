//! A device that the application polls.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, OffloadClient};
use sim_engine::SimDevice;

const POLLED: &str = "completions = \"poll\"\n";

#[test]
fn jobs_go_on_as_the_application_polls() {
    let _deadline = Deadline::new("poll: jobs");
    for wake in [
        WakeBy::Callback,
        WakeBy::SharedFd,
        WakeBy::Fd,
        WakeBy::Polling,
    ] {
        for lines in ["ring_depth_max = 4", "[service_default]\nfixed_ns = 10_000"] {
            let device = open(&format!("{POLLED}{lines}"));
            let client = OffloadClient::new(device.clone());
            let mut set = JobSet::new(16, wake).expect("descriptors");
            let (mut next, mut done) = (0, 0);
            while done < 300 {
                while next < 300 && set.has_room() {
                    let (client, id) = (client.clone(), next);
                    let ran = set.start(id, move || client.run(request(id)));
                    assert!(ran.expect("there is a slot").is_none(), "nobody polled");
                    next += 1;
                }
                device.poll(0);
                set.turn(Some(Duration::ZERO), |id, ran| {
                    assert_right(ran, id);
                    done += 1;
                })
                .expect("it goes on");
            }
            let counters = device.shutdown().counters;
            assert_eq!((counters.completed, counters.submitted), (300, 300));
            assert!(counters.balance());
        }
    }
}

#[test]
fn outside_a_job_the_operation_polls_for_itself() {
    let _deadline = Deadline::new("poll: outside a job");
    let device = open(&format!("{POLLED}[service_default]\nfixed_ns = 10_000"));
    let client = OffloadClient::new(device.clone());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let client = &client;
            scope.spawn(move || {
                for id in thread * 100..thread * 100 + 50 {
                    assert_right(client.run(request(id)), id);
                }
            });
        }
    });
    let counters = device.shutdown().counters;
    assert_eq!(counters.completed, 150);
    assert!(counters.balance());
}

#[test]
fn no_more_is_completed_than_was_asked_for() {
    for lines in ["", "[service_default]\nfixed_ns = 1"] {
        let device = open(&format!("{POLLED}{lines}"));
        let ops = submit_all(&device, 0..10);
        // Taken, and due by the time anything else happens.
        let mut done = 0;
        while done < 10 {
            let polled = device.poll(3);
            assert!(polled <= 3, "{polled}");
            done += polled;
            assert_eq!(device.counters().completed, done as u64);
            assert_eq!(device.counters().in_flight, 10 - done as u64);
        }
        assert_eq!(device.poll(3), 0);
        assert!(ops.iter().all(|op| op.take().is_some()));
    }
}

#[test]
fn a_quota_holds_also_when_many_are_due_at_once() {
    // All due at one moment, and already taken: polling for the first one takes the others too.
    let device = open(&format!(
        "{POLLED}[service_default]\nfixed_ns = 300_000_000"
    ));
    let ops = submit_all(&device, 0..10);
    assert_eq!(device.poll(0), 0, "none is due");
    // The subject is time: nothing but its passing makes them due.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(device.poll(4), 4);
    assert_eq!(device.counters().completed, 4);
    assert_eq!(device.poll(4), 4);
    assert_eq!(device.poll(4), 2);
    assert!(ops.iter().all(|op| op.take().is_some()));
}

#[test]
fn a_callback_that_polls_finds_nothing_to_do() {
    static DEVICE: OnceLock<Arc<SimDevice>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| open(POLLED));
    let polled = Arc::new(AtomicUsize::new(0));
    let count = polled.clone();
    let ctx = ctx_with(move || {
        assert_eq!(DEVICE.get().expect("it is open").poll(0), 0);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let ops: Vec<_> = (0..5)
        .map(|id| submit_on(device, &ctx, request(id)))
        .collect();
    assert_eq!(device.poll(0), 5);
    assert_eq!(polled.load(Ordering::SeqCst), 5);
    assert!(ops.iter().all(|op| op.take().is_some()));
    assert!(device.shutdown().counters.balance());
}

#[test]
fn a_callback_that_submits_is_served() {
    static DEVICE: OnceLock<Arc<SimDevice>> = OnceLock::new();
    static SECOND: OnceLock<Under> = OnceLock::new();
    let device = DEVICE.get_or_init(|| open(&format!("{POLLED}ring_depth_max = 1")));
    let ctx = ctx_with(|| {
        // There is room: the place is given up before the answer is told.
        let device = DEVICE.get().expect("it is open");
        let _ = SECOND.set(submit(device, request(2)).expect("room"));
    });
    let first = submit_on(device, &ctx, request(1));
    let done = device.poll(0) + device.poll(0);
    assert_eq!(done, 2);
    assert!(first.take().is_some());
    let second = SECOND.get().expect("submitted");
    assert!(same(&second.wait().expect("computed"), &right(2)));
}
