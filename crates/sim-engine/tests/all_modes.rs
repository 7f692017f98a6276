//! The same jobs on every kind of device, woken in every way. One test in a process of its own: it
//! counts the process's descriptors.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, FailureKind, OffloadClient, OffloadError, Reason};
use sim_engine::{DeviceConfig, SimDevice};

const OPERATIONS: u64 = 2000;

const WAKES: [WakeBy; 4] = [
    WakeBy::Callback,
    WakeBy::SharedFd,
    WakeBy::Fd,
    WakeBy::Polling,
];

/// How an operation ended. What the seed decides, it decides in every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Right,
    Wrong,
    Status(i32),
    TimedOut,
    Refused,
}

fn run(preset: &str, wake: WakeBy) -> BTreeMap<u64, End> {
    let mut config = DeviceConfig::preset(preset).expect("it ships");
    // Whom a death strikes beside its cause depends on the time.
    config.faults.death = 0.0;
    let device = SimDevice::open(&config, 11).expect("threads");
    let client = match preset {
        "flaky" => client(&device, 200),
        _ => OffloadClient::new(device.clone()),
    };
    let mut set = JobSet::new(64, wake).expect("descriptors");
    let inside = client.clone();
    let jobs = (0..OPERATIONS).map(|id| {
        let client = inside.clone();
        move || client.run(request(id))
    });
    let mut ends = BTreeMap::new();
    set.run(jobs, |id, ran| {
        let end = match ran {
            Ok(response) if same(&response, &right(id)) => End::Right,
            Ok(_) => End::Wrong,
            Err(OffloadError::Failed(failure)) => match failure.kind {
                FailureKind::Device { status } => {
                    let back = failure.request.expect("it comes back");
                    assert_eq!(back.data, request(id).data);
                    End::Status(status)
                }
                FailureKind::TimedOut { .. } => End::TimedOut,
                other => panic!("{preset}, {wake:?}: {id}: {other}"),
            },
            Err(OffloadError::Refused { reason, request }) => {
                assert_ne!(reason, Reason::RingFull);
                assert_eq!(request.id, id);
                End::Refused
            }
            Err(other) => panic!("{preset}, {wake:?}: {id}: {other}"),
        };
        assert!(ends.insert(id, end).is_none(), "{id} ended twice");
    })
    .expect("it goes on");
    assert_eq!(ends.len() as u64, OPERATIONS);
    let stats = set.stats();
    assert_eq!((stats.started, stats.finished), (OPERATIONS, OPERATIONS));
    assert!(set.is_empty());

    let counters = device.shutdown().counters;
    assert!(counters.balance(), "{preset}, {wake:?}: {counters:?}");
    assert_eq!(counters.in_flight, 0);
    let count = |kind: fn(&End) -> bool| ends.values().filter(|end| kind(end)).count() as u64;
    let completed = count(|end| matches!(end, End::Right | End::Wrong));
    assert_eq!(counters.completed, completed);
    assert_eq!(counters.failed, count(|end| matches!(end, End::Status(_))));
    let refused = client.stats().ring_full + count(|end| *end == End::Refused);
    assert_eq!(counters.refused, refused);
    assert_eq!(client.stats().timed_out, count(|end| *end == End::TimedOut));
    assert!(counters.orphaned <= client.stats().timed_out);
    assert_eq!(device.counters(), counters, "final");
    ends
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Asserts that no descriptor is left. A client's watchdog is not waited for: it may still be in
/// the middle of a wake, and holds what that needs.
#[track_caller]
fn assert_descriptors(before: usize, what: &str) {
    let begun = Instant::now();
    while descriptors() != before && begun.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    assert_eq!(descriptors(), before, "{what}");
}

#[test]
fn every_operation_ends_the_same_way_on_every_way() {
    let _deadline = Deadline::new("all_modes");
    let before = descriptors();
    for preset in ["ideal", "dasync", "qat-c62x-1"] {
        for wake in WAKES {
            let ends = run(preset, wake);
            assert!(ends.values().all(|end| *end == End::Right), "{preset}");
            assert_descriptors(before, preset);
        }
    }
    let mut all: BTreeMap<u64, End> = BTreeMap::new();
    for wake in WAKES {
        for (id, end) in run("flaky", wake) {
            // How many are late is the host's affair; what the others met is the seed's.
            if end != End::TimedOut {
                assert_eq!(*all.entry(id).or_insert(end), end, "{id}, {wake:?}");
            }
        }
        assert_descriptors(before, "flaky");
    }
    for end in [End::Right, End::Wrong] {
        assert!(all.values().any(|other| *other == end), "{end:?}");
    }
    assert!(all.values().any(|end| matches!(end, End::Status(_))));
}
