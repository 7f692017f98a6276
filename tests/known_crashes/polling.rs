//! Nobody polls, or nobody has to: who makes completions happen, and when it is worth the way.

use std::rc::Rc;

use async_core::{JobSet, WakeBy, block_pause};
use offload::Engine;

use crate::old::Crash;
use crate::support::{Host, Rig, WAYS, assert_right, request};

/// asynch_mode_nginx #9, #38; QAT_Engine #100, #155, #239. An operation outside a job yields the
/// processor until its flag is set. The only one who would poll the device is the thread that yields.
#[test]
fn a_synchronous_operation_waits_for_a_poller_that_is_itself() {
    const DEVICE: &str = "completions = 'poll'";
    let old = |polled_elsewhere: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let answer = rig.submit(0).expect("there is room");
        for _yield in 0..10_000 {
            if answer.take().is_some() {
                return Ok(());
            }
            // Time passes.
            rig.clock.spend(1_000);
            if polled_elsewhere {
                rig.device.poll(0);
            }
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Hang));

    let rig = Rig::new(DEVICE);
    assert_right(0, rig.client.run(request(0)));
    // Also in a job that must not pause.
    let mut host = Host::new(WakeBy::Callback);
    let client = rig.client.clone();
    host.start(move || {
        let _blocked = block_pause();
        assert_right(1, client.run(request(1)));
    });
    assert_eq!(host.paused(), 0);
    assert_eq!(rig.close().completed, 2);
}

/// QAT_Engine #181. The heuristic: poll when 48 operations are in flight, or as many as there are
/// active connections. One connection waits for its operation, another is active and has none: no
/// counter moves, and nobody polls.
#[test]
fn nobody_polls_because_no_counter_moves() {
    const DEVICE: &str = "completions = 'poll'";
    let old = |active_connections: u64| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let answer = rig.submit(0).expect("there is room");
        let in_flight = 1;
        // The event loop: nothing is readable, so nothing changes from turn to turn.
        for _turn in 0..1_000 {
            if in_flight >= 48 || in_flight >= active_connections {
                rig.device.poll(0);
            }
            if answer.take().is_some() {
                return Ok(());
            }
            rig.clock.spend(10_000);
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(1), Ok(()));
    assert_eq!(old(2), Err(Crash::Hang));

    // Ours: an engine says that it must be polled, and is, whenever the thread would sleep.
    for way in WAYS {
        let rig = Rig::new(DEVICE);
        assert_eq!(rig.device.drive(), offload::Drive::Poll);
        let mut host = Host::new(way);
        let client = rig.client.clone();
        host.start(move || assert_right(0, client.run(request(0))));
        host.run(&rig).expect("one operation is enough");
        assert_eq!(rig.close().completed, 1, "{way:?}");
    }
}

/// QAT_Engine #211, asynch_mode_nginx #18. An application resumes its job until it has finished, and
/// polls the device behind that.
#[test]
fn whoever_polls_is_starved_by_whoever_waits() {
    const DEVICE: &str = "completions = 'poll'";
    let old = |polls_in_between: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let answer = rig.submit(0).expect("there is room");
        for _resume in 0..10_000 {
            if answer.take().is_some() {
                return Ok(());
            }
            rig.clock.spend(1_000);
            if polls_in_between {
                rig.device.poll(0);
            }
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Hang));

    // Ours: a set that is told nothing looks at each of its jobs once, and comes back.
    let rig = Rig::new(DEVICE);
    let mut set = JobSet::new(3, WakeBy::Polling).expect("no fd is needed");
    for id in 0..3 {
        let client = rig.client.clone();
        let started = set.start(id, move || client.run(request(id)));
        assert!(started.expect("a job to spare").is_none(), "it waits");
    }
    let mut turns = 0;
    while !set.is_empty() {
        let resumed = set.turn(None, assert_right).expect("nothing to watch");
        assert!(resumed <= 3, "each once");
        rig.device.poll(0);
        turns += 1;
    }
    assert!(turns < 10, "{turns} turns for three answers");
    drop(set);
    assert_eq!(rig.close().completed, 3);
}

/// QAT_Engine #232: 893 operations in ten seconds. Multi-buffer software waits until eight requests
/// are there, or its timer of 10 ms runs out; with one job in flight it is always the timer.
#[test]
fn one_job_in_flight_waits_for_the_flush_timer_of_the_batch_each_time() {
    const SECOND_NS: u64 = 1_000_000_000;
    // 11.2 ms an operation, as reported: the timer's 10, and 1.2 of work.
    const DEVICE: &str = "engines = 1\n batch = { size = 8, flush_ns = 10_000_000 }\n\
                          service_default = { fixed_ns = 1_200_000 }";
    let old = || {
        let rig = Rig::new(DEVICE);
        let mut id = 0;
        while rig.clock.now_ns() < SECOND_NS {
            let _answer = rig.submit(id).expect("there is room");
            rig.until_ended(id);
            id += 1;
        }
        id
    };
    assert_eq!(old(), 90, "a tenth of 893");

    // Ours: the same device with a batch's worth of jobs.
    let rig = Rig::new(DEVICE);
    let mut host = Host::new(WakeBy::Callback);
    for job in 0..8_u64 {
        let (client, clock) = (rig.client.clone(), rig.clock.clone());
        host.start(move || {
            let ids = (job..).step_by(8);
            for id in ids.take_while(|_| clock.now_ns() < SECOND_NS) {
                assert_right(id, client.run(request(id)));
            }
        });
    }
    host.run(&rig).expect("all come to their end");
    // 1.2 ms for each eight, and no timer.
    assert_eq!(rig.close().completed, 8 * SECOND_NS.div_ceil(1_200_000));
}

/// QAT_Engine #44, #72, #80; openwrt #11182 (software was 23 times faster at 16 bytes), mtk-eip93 #14
/// (the device was 16 times slower). Every request takes the way to the device, however small.
#[test]
fn small_requests_are_slower_than_software() {
    const DEVICE: &str = "link = { fixed_ns = 750 }\n service_default = { fixed_ns = 5_000 }";
    /// What software takes for some bytes, generously.
    const SOFTWARE_NS: u64 = 700;
    let old = || {
        let rig = Rig::new(DEVICE);
        for id in 0..100 {
            let _answer = rig.submit(id).expect("there is room");
            rig.until_ended(id);
        }
        rig.clock.now_ns()
    };
    assert!(old() > 9 * 100 * SOFTWARE_NS, "nine times slower");

    let rig = Rig::new(&format!("inline_below_bytes = 2048\n{DEVICE}"));
    let mut host = Host::new(WakeBy::Callback);
    let (client, clock) = (rig.client.clone(), rig.clock.clone());
    let took = Rc::new(std::cell::Cell::new(0));
    let its = took.clone();
    host.start(move || {
        for id in 0..100 {
            assert_right(id, client.run(request(id)));
            clock.spend(SOFTWARE_NS);
        }
        its.set(clock.now_ns());
    });
    assert_eq!(host.paused(), 0);
    assert_eq!(took.get(), 100 * SOFTWARE_NS);
    assert_eq!(rig.close().submitted, 0);
}
