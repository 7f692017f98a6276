//! Each fault, alone and at a share that makes it certain.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, FailureKind, OffloadClient, OffloadError, Output, Reason, Response};

const N: u64 = 50;

/// Runs operations 0 to N in jobs, eight at once, and hands out what they gave.
fn run_jobs(client: &OffloadClient) -> Vec<(u64, Result<Response, OffloadError>)> {
    let mut set = JobSet::new(8, WakeBy::Callback).expect("no descriptor");
    let jobs = (0..N).map(|id| {
        let client = client.clone();
        move || client.run(request(id))
    });
    let mut all = Vec::new();
    set.run(jobs, |id, ran| all.push((id, ran)))
        .expect("it goes on");
    assert_eq!(all.len() as u64, N);
    all
}

#[test]
fn ring_full_is_refused_once_and_then_let_in() {
    let _deadline = Deadline::new("faults: ring full");
    let device = open("[faults]\nring_full = 1.0");
    let client = OffloadClient::new(device.clone());
    for (id, ran) in run_jobs(&client) {
        assert_right(ran, id);
    }
    assert_right(client.run(request(1)), 1); // outside a job
    assert_eq!(client.stats().ring_full, N + 1);
    let counters = device.shutdown().counters;
    assert_eq!((counters.refused, counters.completed), (N + 1, N + 1));
    assert!(counters.balance());

    let device = open("[faults]\nring_full = 1.0");
    let refused = submit(&device, request(1)).err().expect("struck");
    assert_eq!(refused.reason, Reason::RingFull);
}

#[test]
fn slow_takes_longer() {
    let device = open("[faults]\nslow = { share = 1.0, extra_ns = 5_000_000 }");
    let begun = Instant::now();
    for id in 0..4 {
        let op = submit(&device, request(id)).expect("room");
        assert!(same(&op.wait().expect("computed"), &right(id)));
    }
    assert!(begun.elapsed() >= Duration::from_millis(4 * 5));
    assert!(device.shutdown().counters.balance());
}

#[test]
fn lost_is_given_up_when_its_time_is_over() {
    let _deadline = Deadline::new("faults: lost");
    let device = open("ring_depth_max = 64\n[faults]\nlost = 1.0");
    let client = client(&device, 40);
    let mut set = JobSet::new(N as usize, WakeBy::Callback).expect("no descriptor");
    let inside = client.clone();
    let jobs = (0..N).map(|id| {
        let client = inside.clone();
        move || client.run(request(id))
    });
    set.run(jobs, |_, ran| match ran.expect_err("lost") {
        OffloadError::Failed(failure) => {
            assert_eq!(failure.kind, FailureKind::TimedOut { millis: 40 });
            assert!(failure.request.is_none());
        }
        other => panic!("{other}"),
    })
    .expect("it goes on");
    assert_eq!(client.stats().timed_out, N);
    // Each keeps its place in the ring until the device has seen that nobody waits.
    until(|| device.counters().in_flight == 0);
    let counters = device.shutdown().counters;
    assert_eq!((counters.submitted, counters.orphaned), (N, N));
    assert!(counters.balance());
}

#[test]
fn error_hands_the_request_back_unchanged() {
    let _deadline = Deadline::new("faults: error");
    let device = open("[faults]\nerror = 1.0");
    let client = OffloadClient::new(device.clone());
    for (id, ran) in run_jobs(&client) {
        let OffloadError::Failed(failure) = ran.expect_err("struck") else {
            panic!("{id} fails some other way");
        };
        let FailureKind::Device { status } = failure.kind else {
            panic!("{id}: {}", failure.kind);
        };
        assert!((-16..0).contains(&status));
        let back = failure.request.expect("it comes back");
        assert_eq!((back.id, back.data), (id, request(id).data));
    }
    let counters = device.shutdown().counters;
    assert_eq!((counters.failed, counters.completed), (N, 0));
    assert!(counters.balance());

    // And software can have it.
    let device = open("[faults]\nerror = 1.0");
    let software = std::sync::Arc::new(sim_engine::SoftwareEngine::new());
    let client = OffloadClient::new(device).with_fallback(software.clone());
    for (id, ran) in run_jobs(&client) {
        assert_right(ran, id);
    }
    assert_eq!(client.stats().fell_back, N);
    assert_eq!(software.counters().completed, N);
}

/// In how many bits two results differ.
fn bits(a: &Response, b: &Response) -> u32 {
    let differ = |a: &[u8], b: &[u8]| -> u32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
    };
    let beside = match (&a.output, &b.output) {
        (Output::None, Output::None) => 0,
        (Output::Tag(a), Output::Tag(b)) => differ(a, b),
        _ => differ(
            a.digest().expect("a digest"),
            b.digest().expect("one as well"),
        ),
    };
    differ(&a.data, &b.data) + beside
}

#[test]
fn wrong_is_wrong_in_one_bit() {
    let _deadline = Deadline::new("faults: wrong");
    let device = open("[faults]\nwrong = 1.0");
    let client = OffloadClient::new(device.clone());
    for (id, ran) in run_jobs(&client) {
        assert_eq!(bits(&ran.expect("it says so"), &right(id)), 1, "{id}");
    }
    let counters = device.shutdown().counters;
    assert_eq!(
        (counters.completed, counters.failed),
        (N, 0),
        "nobody notices"
    );
}

#[test]
fn duplicate_is_counted_and_nobody_is_told_twice() {
    let _deadline = Deadline::new("faults: duplicate");
    let device = open("completions = \"poll\"\n[faults]\nduplicate = 1.0");
    let (ctx, wakes) = counted_ctx();
    for done in 1..=N {
        let pending = submit_on(&device, &ctx, request(done));
        assert_eq!(device.poll(0), 1);
        assert_eq!(wakes.load(Ordering::SeqCst), done);
        let counters = device.counters();
        assert_eq!((counters.completed, counters.duplicates), (done, done));
        assert!(counters.balance());
        let answer = pending.take().expect("answered");
        assert!(same(&answer.expect("the first one"), &right(done)));
    }
    // In jobs the second answer finds the slot's next operation.
    let device = open("workers = 2\n[faults]\nduplicate = 1.0");
    for (id, ran) in run_jobs(&OffloadClient::new(device.clone())) {
        assert_right(ran, id);
    }
    let counters = device.shutdown().counters;
    assert_eq!((counters.completed, counters.duplicates), (N, N));
    assert!(counters.balance());
}

#[test]
fn untold_is_found_when_the_time_is_over() {
    let _deadline = Deadline::new("faults: untold");
    for lines in [
        "[faults]\nuntold = 1.0",
        "[faults]\nuntold = 1.0\nduplicate = 1.0",
    ] {
        let device = open(lines);
        let client = client(&device, 16);
        for (id, ran) in run_jobs(&client) {
            assert_right(ran, id);
        }
        assert_eq!(client.stats().timed_out, 0);
        let counters = device.shutdown().counters;
        assert_eq!((counters.completed, counters.failed), (N, 0));
        assert!(counters.balance());
    }
}

#[test]
fn untold_and_twice_to_nobody_is_orphaned_once() {
    let device = open(
        "completions = \"poll\"\n[link]\nfixed_ns = 1\n[faults]\nuntold = 1.0\nduplicate = 1.0",
    );
    let op = submit(&device, request(1)).expect("room");
    // Taken, and given up before it is due or just after; never both answers count.
    device.poll(0);
    drop(op);
    until(|| {
        device.poll(0);
        device.counters().in_flight == 0
    });
    let counters = device.shutdown().counters;
    assert_eq!(counters.duplicates, 1);
    assert_eq!(counters.completed + counters.orphaned, 1);
    assert!(counters.balance());
}

#[test]
fn spurious_is_a_wake_without_an_answer() {
    let _deadline = Deadline::new("faults: spurious");
    let device = open("completions = \"poll\"\n[faults]\nspurious = 1.0");
    let (ctx, wakes) = counted_ctx();
    for done in 1..=N {
        let pending = submit_on(&device, &ctx, request(done));
        assert_eq!(device.poll(0), 1);
        assert_eq!(wakes.load(Ordering::SeqCst), 2 * done);
        assert!(pending.take().expect("answered").is_ok());
    }
    let device = open("[faults]\nspurious = 1.0");
    for (id, ran) in run_jobs(&OffloadClient::new(device.clone())) {
        assert_right(ran, id);
    }
    assert!(device.shutdown().counters.balance());
}

// ---- the same seed strikes the same operations -----------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Nothing,
    WrongBits(u32),
    Status(i32),
}

/// What each of these operations meets, whatever the order they come in.
fn victims(lines: &str, seed: u64, ids: impl Iterator<Item = u64>) -> BTreeMap<u64, Met> {
    let faults = "[faults]\nerror = 0.1\nwrong = 0.1\nduplicate = 0.2\nspurious = 0.2";
    let device = open_seeded(&format!("{lines}\n{faults}"), seed);
    let ops = submit_all(&device, ids);
    let counters = device.shutdown().counters;
    assert!(counters.balance());
    let met = |op: &Under| match op.take().expect("drained") {
        Ok(response) if same(&response, &right(op.id)) => Met::Nothing,
        Ok(response) => Met::WrongBits(bits(&response, &right(op.id))),
        Err(failure) => match failure.kind {
            FailureKind::Device { status } => Met::Status(status),
            other => panic!("{other}"),
        },
    };
    ops.iter().map(|op| (op.id, met(op))).collect()
}

#[test]
fn the_same_seed_has_the_same_victims_on_any_threads_in_any_order() {
    let _deadline = Deadline::new("faults: victims");
    let one = victims("workers = 1", 7, 0..500);
    assert!(one.values().any(|met| *met == Met::Nothing));
    assert!(one.values().any(|met| matches!(met, Met::WrongBits(1))));
    assert!(one.values().any(|met| matches!(met, Met::Status(_))));
    assert_eq!(one, victims("workers = 4", 7, (0..500).rev()));
    assert_eq!(
        one,
        victims(
            "workers = 3\ninstances = 4",
            7,
            (0..500).map(|i| i * 7 % 500)
        )
    );
    assert_eq!(one, victims("completions = \"poll\"", 7, 0..500));
    assert_eq!(one, victims("completions = \"before-pause\"", 7, 0..500));
    assert_ne!(one, victims("workers = 1", 8, 0..500));
}
