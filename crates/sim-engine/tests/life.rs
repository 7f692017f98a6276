//! Endpoints that die, are found dead and are reset; throttled devices; pinned instances.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_core::{JobSet, WakeBy};
use offload::{
    Engine, FailureKind, OffloadClient, OffloadError, Op, Pending, Reason, Request, Submission,
};
use sim_engine::{
    DeviceConfig, DeviceEvent, Health, Observer, SimClock, SimDevice, SoftwareEngine, Step, Strike,
    VirtualClock,
};
use waitctx::WaitCtx;

#[derive(Default)]
struct Events(Mutex<Vec<DeviceEvent>>);

impl Observer for Events {
    fn observe(&self, event: &DeviceEvent) {
        self.0.lock().expect("no panic").push(event.clone());
    }
}

impl Events {
    fn all(&self) -> Vec<DeviceEvent> {
        self.0.lock().expect("no panic").clone()
    }
}

fn config(lines: &str) -> DeviceConfig {
    DeviceConfig::from_toml(&format!("name = 'test'\n{lines}")).expect("a device file")
}

fn virtual_device(lines: &str) -> (Arc<SimDevice>, Arc<Events>) {
    let events = Arc::new(Events::default());
    let device = SimDevice::builder(&config(lines))
        .clock(&SimClock::virtual_time())
        .observer(events.clone())
        .open()
        .expect("it opens");
    (device, events)
}

fn step(device: &SimDevice) -> Step {
    device.clock().as_virtual().expect("it is").step()
}

fn until(clock: &VirtualClock, ns: u64) {
    while clock.step_until(ns) != Step::Limit {}
}

/// Submits an operation that nobody waits for in a job.
fn submit(device: &SimDevice, id: u64) -> Result<Pending, Reason> {
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
    let submission = Submission {
        request: Request::new(Op::Sha256, vec![7; 100]).with_id(id),
        completion,
        ticket: None,
    };
    match device.submit(submission) {
        Ok(()) => Ok(pending),
        Err(refused) => {
            refused.submission.completion.withdraw();
            Err(refused.reason)
        }
    }
}

const TWO_ENDPOINTS: &str = "endpoints = 2\nengines = 2\nring_depth_max = 8\n\
    [service_default]\nfixed_ns = 1_000_000\n\
    [heartbeat]\nperiod_ns = 10_000_000\nmisses = 3\nrestart_ns = 5_000_000";

#[test]
fn an_endpoint_dies_is_found_dead_and_works_again() {
    let (device, events) = virtual_device(TWO_ENDPOINTS);
    let clock = device.clock().as_virtual().expect("it is").clone();
    // Two on each endpoint, in turn.
    let under_way: Vec<_> = (0..4)
        .map(|id| submit(&device, id).expect("room"))
        .collect();
    until(&clock, 500_000);
    assert!(device.strike(1, Strike::Death));
    assert!(!device.strike(2, Strike::Death), "there is none");
    assert_eq!(device.health(1), Some(Health::Hung));
    assert_eq!(device.health(2), None);
    // Those of the other one come.
    until(&clock, 2_000_000);
    for (id, pending) in under_way.iter().enumerate() {
        let answered = pending.take().is_some_and(|answer| answer.is_ok());
        assert_eq!(answered, id % 2 == 0, "{id}");
    }
    // Nobody knows yet: it is given more, and keeps it.
    let more: Vec<_> = (4..8)
        .map(|id| submit(&device, id).expect("room"))
        .collect();
    assert_eq!(device.counters().in_flight, 6);

    // Ten milliseconds in there was progress since the last look; after three more there was none.
    while device.health(1) == Some(Health::Hung) {
        assert_ne!(step(&device), Step::Idle);
    }
    assert_eq!(clock.now_ns(), 40_000_000);
    assert_eq!(device.health(1), Some(Health::Restarting));
    for (id, pending) in (0..).zip(under_way.iter().chain(&more)) {
        match (id % 2, pending.take()) {
            (1, Some(Err(failure))) => {
                assert_eq!(failure.kind, FailureKind::Down);
                let request = failure.request.expect("it comes back");
                assert_eq!((request.id, &request.data[..]), (id, &[7; 100][..]));
            }
            (0, Some(Ok(_))) if id >= 4 => {}
            (0, None) if id < 4 => {}
            (_, other) => panic!("{id}: {other:?}"),
        }
    }

    // New ones go to the other endpoint only.
    for id in 8..12 {
        assert!(submit(&device, id).is_ok());
    }
    let on_first = events.all().into_iter().all(|event| match event {
        DeviceEvent::Submitted { id, endpoint, .. } if id >= 8 => endpoint == 0,
        _ => true,
    });
    assert!(on_first);
    while device.health(1) == Some(Health::Restarting) {
        assert_ne!(step(&device), Step::Idle);
    }
    assert_eq!(clock.now_ns(), 45_000_000);
    assert_eq!(device.health(1), Some(Health::Up));
    let again = [submit(&device, 12), submit(&device, 13)].map(|s| s.expect("room"));
    while step(&device) != Step::Idle {}
    for pending in again {
        assert!(pending.take().expect("answered").is_ok());
    }
    let stats = device.shutdown();
    assert_eq!((stats.deaths, stats.restarts), (1, 1));
    assert!(stats.counters.balance());
    assert_eq!(stats.counters.in_flight, 0);
    let names: Vec<_> = (events.all().into_iter())
        .filter_map(|event| match event {
            DeviceEvent::Died { at_ns, endpoint } => Some(("died", at_ns, endpoint)),
            DeviceEvent::FoundDead { at_ns, endpoint } => Some(("found", at_ns, endpoint)),
            DeviceEvent::Restarted { at_ns, endpoint } => Some(("restarted", at_ns, endpoint)),
            _ => None,
        })
        .collect();
    let expected = [
        ("died", 500_000, 1),
        ("found", 40_000_000, 1),
        ("restarted", 45_000_000, 1),
    ];
    assert_eq!(names, expected);
}

/// Jobs in flight and in line when the only endpoint dies for good: with a fallback they do not
/// notice, without one each fails, and none hangs.
#[test]
fn who_is_in_flight_or_in_line_at_the_end_fails_or_falls_back() {
    for fallback in [false, true] {
        let (device, _) = virtual_device(
            "engines = 1\nring_depth_max = 2\n[service_default]\nfixed_ns = 1_000_000\n\
             [heartbeat]\nperiod_ns = 1_000_000\n\
             [[faults.script]]\nat_op = 3\nfault = 'death'",
        );
        let mut client = OffloadClient::new(device.clone());
        if fallback {
            client = client.with_fallback(Arc::new(SoftwareEngine::new()));
        }
        let mut set = JobSet::new(8, WakeBy::Callback).expect("no descriptor");
        let mut ends = Vec::new();
        for id in 0..8 {
            let client = client.clone();
            let job = move || client.run(Request::new(Op::Nop, vec![1]).with_id(id));
            let at_once = set.start(id, job);
            assert!(at_once.expect("there is room").is_none());
        }
        while !set.is_empty() {
            while let Some((id, ran)) = set.next_finished(Some(Duration::ZERO)).expect("it runs") {
                ends.push((id, ran));
            }
            if !set.is_empty() {
                assert_ne!(step(&device), Step::Idle, "they hang");
            }
        }
        ends.sort_by_key(|(id, _)| *id);
        for (id, ran) in ends {
            match ran {
                Ok(_) => assert!(id < 3 || fallback, "{id}"),
                Err(OffloadError::Failed(failure)) => {
                    assert_eq!(failure.kind, FailureKind::Down);
                    assert!(id >= 3 && !fallback && failure.request.is_some(), "{id}");
                }
                Err(OffloadError::Refused { reason, request }) => {
                    assert_eq!((reason, request.id), (Reason::Down, id));
                    assert!(id > 4 && !fallback, "{id}");
                }
                Err(other) => panic!("{id}: {other}"),
            }
        }
        assert_eq!(client.stats().fell_back, if fallback { 5 } else { 0 });
        assert_eq!(device.health(0), Some(Health::Down));
        let counters = device.shutdown().counters;
        assert!(counters.balance() && counters.in_flight == 0);
    }
}

/// The same in real time, where a worker sleeps until the heartbeat comes round.
#[test]
fn in_real_time_too_with_a_worker_that_sleeps() {
    // With times and without: there nothing but the strike makes the worker look.
    for service in ["[service_default]\nfixed_ns = 2_000_000\n", ""] {
        let config = config(&format!(
            "engines = 1\nworkers = 2\n{service}\
             [heartbeat]\nperiod_ns = 5_000_000\nmisses = 1\nrestart_ns = 5_000_000"
        ));
        let device = SimDevice::open(&config, 1).expect("threads");
        let client = OffloadClient::new(device.clone());
        assert!(client.run(Request::new(Op::Nop, vec![1])).is_ok());
        assert!(device.strike(0, Strike::Death));
        match client.run(Request::new(Op::Nop, vec![2])) {
            Err(OffloadError::Failed(failure)) => {
                assert_eq!(failure.kind, FailureKind::Down);
                assert_eq!(*failure.request.expect("it comes back").data, [2]);
            }
            other => panic!("{other:?}"),
        }
        // Refused while it is reset, and then it works.
        let mut tries = 0;
        let response = loop {
            match client.run(Request::new(Op::Nop, vec![3])) {
                Ok(response) => break response,
                Err(OffloadError::Refused { reason, .. }) => assert_eq!(reason, Reason::Down),
                Err(other) => panic!("{other}"),
            }
            tries += 1;
            assert!(tries < 10_000, "it is not reset");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(*response.data, [3]);
        let stats = device.shutdown();
        assert_eq!((stats.deaths, stats.restarts), (1, 1));
        assert!(stats.counters.balance() && stats.counters.in_flight == 0);
    }
}

#[test]
fn a_throttled_device_refuses_beyond_its_rate() {
    let (device, _) = virtual_device("[throttle]\nops_per_s = 1000\nburst = 3");
    let clock = device.clock().as_virtual().expect("it is").clone();
    let taken = |first: u64| {
        (first..first + 10)
            .filter(|id| match submit(&device, *id) {
                Ok(_) => true,
                Err(reason) => {
                    assert_eq!(reason, Reason::Throttled);
                    false
                }
            })
            .count()
    };
    assert_eq!(taken(0), 3);
    until(&clock, 2_500_000);
    assert_eq!(taken(10), 2);
    until(&clock, 3_000_000);
    assert_eq!(taken(20), 1);
    let counters = device.shutdown().counters;
    assert_eq!((counters.submitted, counters.refused), (6, 24));
}

/// Each thread has an instance of its own, also when that one is full and others are not.
#[test]
fn a_thread_that_is_pinned_stays_with_its_instance() {
    let (device, events) = virtual_device(
        "instances = 4\nring_depth_max = 2\ninstance_choice = 'thread'\n\
         [service_default]\nfixed_ns = 1_000",
    );
    let of_a_thread = || {
        let submitted: Vec<_> = (0..4).map(|id| submit(&device, id).err()).collect();
        assert_eq!(
            submitted,
            [None, None, Some(Reason::RingFull), Some(Reason::RingFull)]
        );
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // One after the other: threads are numbered as they come.
            scope.spawn(of_a_thread).join().expect("no panic");
        }
    });
    let mut instances: Vec<_> = (events.all().into_iter())
        .filter_map(|event| match event {
            DeviceEvent::Submitted { instance, .. } => Some(instance),
            _ => None,
        })
        .collect();
    assert!(instances.chunks(2).all(|pair| pair[0] == pair[1]));
    instances.dedup();
    assert_eq!(instances.len(), 3, "three threads, three instances");
}

/// An operation that was given up before it started leaves the ring at once.
#[test]
fn who_gives_up_makes_room() {
    let (device, _) =
        virtual_device("engines = 1\nring_depth_max = 2\n[service_default]\nfixed_ns = 1_000_000");
    let client = OffloadClient::new(device.clone());
    let start = |id: u64| {
        let client = client.clone();
        let ctx = WaitCtx::new();
        ctx.set_silent(true).expect("no wake yet");
        let run = move || {
            client
                .run(Request::new(Op::Nop, vec![1]).with_id(id))
                .is_ok()
        };
        let outcome = async_core::start_job(&ctx, run);
        outcome.expect("a job").paused().expect("it waits")
    };
    let (first, second) = (start(1), start(2));
    let clock = device.clock().as_virtual().expect("it is").clone();
    until(&clock, 10);
    assert_eq!(submit(&device, 3).err(), Some(Reason::RingFull));
    second.cancel();
    assert_eq!(device.counters().in_flight, 1);
    let third = submit(&device, 4).expect("there is room now");
    // The one that has started runs to its end, and its answer is thrown away.
    first.cancel();
    assert_eq!(device.counters().in_flight, 2);
    while step(&device) != Step::Idle {}
    assert!(third.take().expect("answered").is_ok());
    assert_eq!(clock.now_ns(), 2_000_000);
    let stats = device.shutdown();
    assert_eq!(stats.not_started, 1);
    assert_eq!(stats.counters.orphaned, 2);
    assert!(stats.counters.balance());
}

#[test]
fn a_shutdown_in_virtual_time_finishes_what_is_in_flight_and_a_kill_does_not() {
    for kill in [false, true] {
        for completions in ["threads", "poll"] {
            let (device, _) = virtual_device(&format!(
                "engines = 1\ncompletions = '{completions}'\n\
                 [service_default]\nfixed_ns = 1_000_000"
            ));
            let under_way: Vec<_> = (0..3)
                .map(|id| submit(&device, id).expect("room"))
                .collect();
            let now = if kill {
                device.kill();
                0
            } else {
                device.shutdown();
                3_000_000
            };
            assert_eq!(device.clock().now_ns(), now);
            for pending in under_way {
                assert_eq!(pending.take().expect("answered").is_ok(), !kill);
            }
            let counters = device.counters();
            assert!(counters.balance() && counters.in_flight == 0);
        }
    }
}
