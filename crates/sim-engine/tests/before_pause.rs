//! A device that completes before the job pauses, as `dasync` did.

mod common;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, OffloadClient};
use sim_engine::{DeviceConfig, SimDevice};

const WAKES: [WakeBy; 4] = [
    WakeBy::Callback,
    WakeBy::SharedFd,
    WakeBy::Fd,
    WakeBy::Polling,
];

fn dasync() -> std::sync::Arc<SimDevice> {
    let config = DeviceConfig::preset("dasync").expect("it ships");
    SimDevice::open(&config, 1).expect("threads")
}

#[test]
fn no_job_pauses() {
    let _deadline = Deadline::new("before_pause: no job pauses");
    for wake in WAKES {
        let device = dasync();
        let client = OffloadClient::new(device.clone());
        let mut set = JobSet::new(16, wake).expect("descriptors");
        let jobs = (0..300).map(|id| {
            let client = client.clone();
            move || client.run(request(id))
        });
        let mut done = 0;
        set.run(jobs, |id, ran| {
            assert_right(ran, id);
            done += 1;
            assert_eq!(device.counters().completed, done);
        })
        .expect("it goes on");
        assert_eq!((set.stats().pauses, set.stats().resumes), (0, 0));
        let counters = device.shutdown().counters;
        assert_eq!((counters.submitted, counters.completed), (300, 300));
        assert!(counters.balance());
    }
}

#[test]
fn the_wake_that_is_left_over_is_harmless() {
    let _deadline = Deadline::new("before_pause: left over");
    for wake in WAKES {
        let (first, later) = (dasync(), open("[service_default]\nfixed_ns = 10_000"));
        let (at_once, slow) = (
            OffloadClient::new(first.clone()),
            OffloadClient::new(later.clone()),
        );
        let mut set = JobSet::new(8, wake).expect("descriptors");
        let jobs = (0..200).map(|id| {
            let (at_once, slow) = (at_once.clone(), slow.clone());
            move || {
                let one = at_once.run(request(id));
                let two = slow.run(request(id + 1));
                (one, two, at_once.run(request(id + 2)))
            }
        });
        let mut done = 0;
        set.run(jobs, |id, (one, two, three)| {
            assert_right(one, id);
            assert_right(two, id + 1);
            assert_right(three, id + 2);
            done += 1;
        })
        .expect("it goes on");
        assert_eq!(done, 200);
        assert_eq!(first.shutdown().counters.completed, 400);
        assert_eq!(later.shutdown().counters.completed, 200);
    }
}

#[test]
fn outside_a_job_it_is_there_at_once() {
    let device = dasync();
    let client = OffloadClient::new(device.clone());
    for id in 0..50 {
        assert_right(client.run(request(id)), id);
        assert_eq!(device.counters().completed, id + 1);
        assert_eq!(device.counters().in_flight, 0);
    }
}

#[test]
fn what_it_loses_is_lost_all_the_same() {
    let _deadline = Deadline::new("before_pause: lost");
    let device = open("completions = \"before-pause\"\n[faults]\nlost = 1.0");
    let op = submit(&device, request(1)).expect("room");
    assert!(op.take().is_none());
    assert_eq!(device.counters().in_flight, 1);
    drop(op);
    until(|| device.counters().in_flight == 0);
    let counters = device.shutdown().counters;
    assert_eq!((counters.submitted, counters.orphaned), (1, 1));
}
