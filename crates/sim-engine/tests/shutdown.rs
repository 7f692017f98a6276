//! A device ends: it drains, it dies, its last handle goes.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use common::*;
use offload::{Counters, Engine, FailureKind, Reason};
use sim_engine::SimDevice;

/// Each way to complete, with times and without.
const KINDS: [&str; 6] = [
    "workers = 1",
    "workers = 3\ninstances = 2",
    "workers = 2\nengines = 2\n[service_default]\nfixed_ns = 100_000",
    "completions = \"poll\"",
    "completions = \"poll\"\nengines = 2\n[service_default]\nfixed_ns = 100_000",
    "completions = \"before-pause\"",
];

/// An operation takes an hour.
const HOUR: &str = "[service_default]\nfixed_ns = 3_600_000_000_000";

#[test]
fn a_shutdown_finishes_what_is_in_flight() {
    let _deadline = Deadline::new("shutdown: drain");
    for kind in KINDS {
        let device = open(kind);
        let ops = submit_all(&device, 0..40);
        let stats = device.shutdown();
        let expected = Counters {
            submitted: 40,
            completed: 40,
            ..Counters::default()
        };
        assert_eq!(stats.counters, expected, "{kind}");
        for op in &ops {
            let answer = op.take().expect("answered before it returns");
            assert!(same(&answer.expect("computed"), &right(op.id)));
        }
        assert_down(&device);
        assert_eq!(device.poll(0), 0);
        // Again, and death after that: no change but for the refusal.
        let again = Counters {
            refused: 1,
            ..expected
        };
        assert_eq!(device.shutdown().counters, again);
        device.kill();
        assert_eq!(device.shutdown().counters, again);
    }
}

#[test]
fn what_is_lost_fails_at_the_end() {
    let _deadline = Deadline::new("shutdown: lost");
    for kind in [
        "",
        "completions = \"poll\"",
        "completions = \"before-pause\"",
    ] {
        let device = open(&format!("{kind}\n[faults]\nlost = 1.0"));
        let ops = submit_all(&device, 0..10);
        device.poll(0);
        assert_eq!(device.counters().in_flight, 10);
        let counters = device.shutdown().counters;
        assert_eq!((counters.failed, counters.in_flight), (10, 0));
        assert!(counters.balance());
        for op in &ops {
            let back = assert_failed_down(op.take().expect("answered"));
            assert_eq!(back.expect("never computed").data, request(op.id).data);
        }
    }
}

#[test]
fn a_kill_hands_back_what_has_not_been_computed() {
    let _deadline = Deadline::new("shutdown: kill");
    let device = open("completions = \"poll\"");
    let ops = submit_all(&device, 0..10);
    assert_eq!(device.poll(3), 3);
    device.kill();
    for op in &ops {
        let answer = op.take().expect("answered");
        if op.id < 3 {
            assert!(same(&answer.expect("computed"), &right(op.id)));
        } else {
            let back = assert_failed_down(answer).expect("not computed");
            assert_eq!((back.id, back.data), (op.id, request(op.id).data));
        }
    }
    let expected = Counters {
        submitted: 10,
        completed: 3,
        failed: 7,
        ..Counters::default()
    };
    assert_counters(&device, expected);
    assert_down(&device);
}

#[test]
fn a_kill_of_a_busy_worker_fails_all_that_is_queued_behind() {
    let _deadline = Deadline::new("shutdown: busy worker");
    let device = open("");
    let (begun, release) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let barriers = (begun.clone(), release.clone());
    let busy = ctx_with(move || {
        barriers.0.wait();
        barriers.1.wait();
    });
    let first = submit_on(&device, &busy, request(0));
    begun.wait();
    // The worker is in the callback now, until it is released.
    let queued = submit_all(&device, 1..20);
    assert_eq!(device.counters().in_flight, 19);
    std::thread::scope(|scope| {
        scope.spawn(|| device.kill());
        let mut more = Vec::new();
        until(|| match submit(&device, request(1)) {
            Ok(op) => {
                more.push(op);
                false
            }
            Err(refused) => refused.reason == Reason::Down,
        });
        release.wait();
        for op in queued.iter().chain(&more) {
            assert!(assert_failed_down(op.wait()).is_some());
        }
    });
    assert!(first.take().expect("answered").is_ok());
    assert!(device.counters().balance());
    assert_eq!(device.counters().in_flight, 0);
}

#[test]
fn a_kill_does_not_wait_for_what_is_not_due() {
    let _deadline = Deadline::new("shutdown: an hour");
    for kind in ["workers = 2", "completions = \"poll\""] {
        let device = open(&format!("{kind}\n{HOUR}"));
        let ops = submit_all(&device, 0..10);
        device.poll(5);
        device.kill();
        for op in &ops {
            assert_failed_down(op.take().expect("answered"));
        }
        assert_eq!(device.counters().failed, 10);
        assert!(device.counters().balance());
    }
}

#[test]
fn a_kill_cuts_a_shutdown_short() {
    let _deadline = Deadline::new("shutdown: cut short");
    for kind in ["workers = 1", "workers = 3", "completions = \"poll\""] {
        let device = open(&format!("{kind}\n{HOUR}"));
        let ops = submit_all(&device, 0..10);
        std::thread::scope(|scope| {
            let drain = scope.spawn(|| device.shutdown());
            until(|| submit(&device, request(0)).is_err());
            device.kill();
            let stats = drain.join().expect("no panic");
            assert_eq!(stats.counters.in_flight, 0);
        });
        for op in &ops {
            assert_failed_down(op.take().expect("answered"));
        }
        assert!(device.counters().balance());
    }
}

#[test]
fn whoever_else_shuts_down_meanwhile_waits_too() {
    let _deadline = Deadline::new("shutdown: twice at once");
    for kind in KINDS {
        for _ in 0..20 {
            let device = open(kind);
            let ops = submit_all(&device, 0..20);
            let ends: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|_| scope.spawn(|| device.shutdown().counters))
                    .collect();
                let join = |t: std::thread::ScopedJoinHandle<'_, _>| t.join().expect("no panic");
                threads.into_iter().map(join).collect()
            });
            for end in ends {
                assert_eq!((end.submitted, end.completed, end.in_flight), (20, 20, 0));
            }
            assert!(ops.iter().all(|op| op.take().is_some_and(|a| a.is_ok())));
        }
    }
}

#[test]
fn submissions_beside_the_end_are_answered_or_refused() {
    let _deadline = Deadline::new("shutdown: race");
    for kind in KINDS {
        for round in 0..40 {
            let device = open(&format!("ring_depth_max = 64\n{kind}"));
            let begin = Barrier::new(5);
            let ended = AtomicBool::new(false);
            let (taken, refused) = (AtomicU64::new(0), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (device, begin, ended) = (&device, &begin, &ended);
                    let (taken, refused) = (&taken, &refused);
                    scope.spawn(move || {
                        begin.wait();
                        let mut ops = Vec::new();
                        loop {
                            match submit(device, request(thread)) {
                                Ok(op) => ops.push(op),
                                Err(r) => {
                                    refused.fetch_add(1, Ordering::Relaxed);
                                    if r.reason == Reason::Down {
                                        break;
                                    }
                                }
                            }
                            if thread == 0 {
                                device.poll(2);
                            }
                        }
                        until(|| ended.load(Ordering::SeqCst));
                        taken.fetch_add(ops.len() as u64, Ordering::Relaxed);
                        for op in ops {
                            match op.wait() {
                                Ok(response) => assert!(same(&response, &right(op.id))),
                                Err(failure) => assert_eq!(failure.kind, FailureKind::Down),
                            }
                        }
                    });
                }
                begin.wait();
                for _ in 0..round % 4 {
                    std::thread::yield_now();
                }
                if round % 2 == 0 {
                    device.shutdown();
                } else {
                    device.kill();
                }
                ended.store(true, Ordering::SeqCst);
            });
            let counters = device.counters();
            assert_eq!(counters.submitted, taken.into_inner(), "{kind}");
            assert_eq!(counters.refused, refused.into_inner(), "{kind}");
            assert_eq!((counters.in_flight, counters.orphaned), (0, 0), "{kind}");
            assert!(counters.balance(), "{kind}: {counters:?}");
        }
    }
}

#[test]
fn dropping_the_last_handle_answers_what_is_in_flight() {
    let _deadline = Deadline::new("shutdown: last handle");
    for kind in KINDS {
        for kind in [kind.to_owned(), format!("{kind}\n[faults]\nlost = 1.0")] {
            let device = open(&kind);
            let ops = submit_all(&device, 0..20);
            drop(device);
            for op in ops {
                match op.take().expect("answered before it is gone") {
                    Ok(response) => assert!(same(&response, &right(op.id))),
                    Err(failure) => assert_eq!(failure.kind, FailureKind::Down),
                }
            }
        }
    }
}

#[test]
fn a_callback_that_panics_does_not_kill_the_device() {
    let _deadline = Deadline::new("shutdown: panic");
    for kind in KINDS {
        for fault in ["", "[faults]\nspurious = 1.0", "[faults]\nduplicate = 1.0"] {
            let device = open(&format!("{kind}\n{fault}"));
            let ctx = ctx_with(|| panic!("on purpose"));
            let ops: Vec<_> = (0..3)
                .map(|id| submit_on(&device, &ctx, request(id)))
                .collect();
            let after = submit(&device, request(7)).expect("it lives");
            let counters = device.shutdown().counters;
            assert_eq!((counters.completed, counters.in_flight), (4, 0), "{kind}");
            assert!(counters.balance());
            assert!(ops.iter().all(|op| op.take().is_some()));
            assert!(same(
                &after.take().expect("answered").expect("computed"),
                &right(7)
            ));
        }
    }
}

/// Whether a thread of this process is called `name`.
fn thread_lives(name: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks.flatten().any(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim_end() == name)
    })
}

#[test]
fn a_callback_on_a_worker_can_drop_the_last_handle() {
    let _deadline = Deadline::new("shutdown: last handle in a callback");
    for workers in [1, 2] {
        let text = format!("name = \"last{workers}\"\nworkers = {workers}");
        let config = sim_engine::DeviceConfig::from_toml(&text).expect("a device file");
        let device = SimDevice::open(&config, 1).expect("threads");
        let weak = Arc::downgrade(&device);
        let last = Arc::new(Mutex::new(None));
        let (inside, go) = (last.clone(), Arc::new(Barrier::new(2)));
        let begin = go.clone();
        let ctx = ctx_with(move || {
            begin.wait();
            let last: Option<Arc<SimDevice>> = inside.lock().expect("no panic").take();
            drop(last);
        });
        let first = submit_on(&device, &ctx, request(1));
        let others = submit_all(&device, 2..10);
        *last.lock().expect("no panic") = Some(device);
        go.wait();
        // All is answered, and the workers end, though nobody is left to wait for them.
        for op in others {
            let _ = op.wait();
        }
        assert!(first.take().expect("answered").is_ok());
        until(|| weak.upgrade().is_none());
        for n in 0..workers {
            until(|| !thread_lives(&format!("last{workers}-{n}")));
        }
    }
}

#[test]
fn a_callback_can_end_the_device_it_is_called_by() {
    let _deadline = Deadline::new("shutdown: in a callback");
    for kind in KINDS {
        for kill in [false, true] {
            let device = open(kind);
            let weak = Arc::downgrade(&device);
            let ctx = ctx_with(move || {
                let device = weak.upgrade().expect("it is held outside");
                if kill {
                    device.kill();
                } else {
                    device.shutdown();
                }
            });
            // The first may end it before the others are submitted.
            let first = submit_on(&device, &ctx, request(0));
            let others: Vec<_> = (1..10)
                .map_while(|id| submit(&device, request(id)).ok())
                .collect();
            if device.counters().completed == 0 {
                until(|| {
                    device.poll(1);
                    first.take().is_some()
                });
            }
            let counters = device.shutdown().counters;
            assert_eq!(counters.submitted, 1 + others.len() as u64);
            assert_eq!(counters.in_flight, 0, "{kind}");
            assert!(counters.balance(), "{kind}: {counters:?}");
            for op in &others {
                let answer = op.take().expect("answered");
                assert!(kill || answer.is_ok(), "{kind}: drained: {answer:?}");
            }
            assert_down(&device);
        }
    }
}

#[test]
fn room_that_is_kept_for_somebody_at_the_end_is_not_in_flight() {
    let device = open("completions = \"poll\"\nring_depth_max = 2");
    let ops = submit_all(&device, 0..2);
    let (ctx, wakes) = counted_ctx();
    let notifier = ctx.notifier().expect("no fd needed");
    let ticket = device
        .queue_for_room(
            &offload::Request::new(offload::Op::Nop, Vec::new()),
            &notifier,
        )
        .expect("it has a line");
    device.kill();
    assert_eq!(wakes.load(Ordering::SeqCst), 1, "its turn has come");
    let expected = Counters {
        submitted: 2,
        failed: 2,
        ..Counters::default()
    };
    assert_counters(&device, expected);
    let refused = submit_with(&device, request(3), Some(ticket)).err();
    let refused = refused.expect("it is down");
    assert_eq!(refused.reason, Reason::Down);
    assert!(refused.submission.ticket.is_some());
    drop(refused);
    assert_eq!(device.counters().in_flight, 0);
    assert!(ops.iter().all(|op| op.take().is_some()));
}
