//! Rings and queues that are full, and what goes through them in another order.

use std::collections::VecDeque;

use async_core::WakeBy;
use offload::Engine;

use crate::old::Crash;
use crate::support::{Host, Ran, Rig, WAYS, assert_right, is_right, request};

/// SPDK #2907. `enqueue_burst` says how many it took; the caller takes it for all, and waits for as
/// many completions as it had requests.
#[test]
fn a_burst_that_was_taken_in_part_is_waited_for_as_a_whole() {
    const BURST: u64 = 8;
    let old = |ring_depth: u64| -> Result<(), Crash> {
        let rig = Rig::new(&format!("ring_depth_max = {ring_depth}"));
        let mut taken = Vec::new();
        for id in 0..BURST {
            match rig.submit(id) {
                Ok(answer) => taken.push(answer),
                Err(refused) => {
                    refused.submission.completion.withdraw();
                    break;
                }
            }
        }
        let mut waits_for = if taken.is_empty() { 0 } else { BURST };
        while let Some(ended) = rig.step() {
            waits_for -= ended.len() as u64;
        }
        match waits_for {
            0 => Ok(()),
            _ => Err(Crash::Hang),
        }
    };
    assert_eq!(old(8), Ok(()));
    assert_eq!(old(5), Err(Crash::Hang));

    for way in WAYS {
        let rig = Rig::new("ring_depth_max = 5");
        let mut host = Host::new(way);
        for id in 0..BURST {
            let client = rig.client.clone();
            host.start(move || assert_right(id, client.run(request(id))));
        }
        host.run(&rig)
            .expect("those that were not taken wait in line");
        assert_eq!(rig.client.stats().ring_full, 3, "{way:?}");
        assert_eq!(rig.close().completed, BURST);
    }
}

/// odp-dpdk #269. The mirror: the queue of completions is full, and what does not fit is forgotten.
#[test]
fn a_completion_is_forgotten_when_its_queue_is_full() {
    // All answers are seen together.
    const DEVICE: &str = "detection = { every_ns = 1_000_000 }";
    let old = |operations: u64| -> Result<(), Crash> {
        const QUEUE_MAX: usize = 16;
        let rig = Rig::new(DEVICE);
        let _answers: Vec<_> = (0..operations).map(|id| rig.submit(id)).collect();
        let mut queue = VecDeque::new();
        let mut done = 0;
        while let Some(ended) = rig.step() {
            for id in ended {
                if queue.len() < QUEUE_MAX {
                    queue.push_back(id);
                }
            }
            done += queue.drain(..).count() as u64;
        }
        if done == operations {
            Ok(())
        } else {
            Err(Crash::Hang)
        }
    };
    assert_eq!(old(16), Ok(()));
    assert_eq!(old(17), Err(Crash::Hang));

    for way in WAYS {
        let rig = Rig::new(DEVICE);
        let mut host = Host::new(way);
        for id in 0..300 {
            let client = rig.client.clone();
            host.start(move || assert_right(id, client.run(request(id))));
        }
        host.run(&rig).expect("each is told");
        assert_eq!(rig.clock.now_ns(), 1_000_000, "they came together");
        assert_eq!(rig.close().completed, 300, "{way:?}");
    }
}

/// Any card with several engines: completions come in another order than submissions. Who hands
/// the next completion to whoever waits longest mixes them up.
#[test]
fn completions_come_in_another_order_and_are_handed_out_in_the_first() {
    const FIRST_IS_SLOW: &str = "[[faults.script]]\n at_op = 0\n fault = 'slow'\n for_ns = 100_000";
    let old = |device: &str| -> Result<(), Crash> {
        let rig = Rig::new(device);
        let answers: Vec<_> = (0..3).map(|id| rig.submit(id)).collect();
        let mut longest = 0..3;
        while let Some(ended) = rig.step() {
            for id in ended {
                let waits = longest.next().ok_or(Crash::WrongAnswer)?;
                let answer = answers[id as usize].as_ref().expect("there was room");
                let answer = answer.take().expect("it has ended").expect("no error");
                if !is_right(waits, &answer) {
                    return Err(Crash::WrongAnswer);
                }
            }
        }
        Ok(())
    };
    assert_eq!(old(""), Ok(()));
    assert_eq!(old(FIRST_IS_SLOW), Err(Crash::WrongAnswer));

    for way in WAYS {
        let rig = Rig::new(FIRST_IS_SLOW);
        let mut host: Host<Ran> = Host::new(way);
        for id in 0..3 {
            let client = rig.client.clone();
            host.start(move || client.run(request(id)));
        }
        host.run(&rig).expect("all are answered");
        let order: Vec<_> = host.done.iter().map(|(place, _)| *place).collect();
        assert_eq!(order, [1, 2, 0], "{way:?}");
        for (place, ran) in host.done {
            assert_right(place as u64, ran);
        }
    }
}

/// From QAT_Engine's source. Outside a job a full ring is tried again five times,
/// after a sleep of the poll interval, which is kept in nanoseconds and given to `usleep`: 10 µs become
/// 10 ms, and after 50 ms there is an error, though the device works.
#[test]
fn outside_a_job_a_full_ring_is_an_error_after_fifty_milliseconds() {
    const POLL_INTERVAL_NS: u64 = 10_000;
    // Says when it got in.
    let old = |unit_ns: u64, first_takes_ns: u64| -> Result<u64, Crash> {
        let rig = Rig::new(&busy_for(first_takes_ns));
        let _first = rig.submit(0).expect("there is room");
        for retries in 0..=5 {
            match rig.submit(1) {
                Ok(_answer) => return Ok(rig.clock.now_ns()),
                Err(refused) => refused.submission.completion.withdraw(),
            }
            if retries < 5 {
                rig.clock.spend((POLL_INTERVAL_NS + retries % 8) * unit_ns);
            }
        }
        assert_eq!(rig.clock.now_ns() / 1_000_000, 50 * unit_ns / 1_000);
        Err(Crash::Failed)
    };
    // What was meant, what it is, and where it ends.
    assert_eq!(old(1, 15_000), Ok(20_001));
    assert_eq!(old(1_000, 15_000), Ok(10_000_000));
    assert_eq!(old(1_000, 60_000_000), Err(Crash::Failed));

    for first_takes_ns in [15_000, 60_000_000] {
        let rig = Rig::new(&busy_for(first_takes_ns));
        let client = rig.client.with_timeout(None);
        let first = rig.submit(0).expect("there is room");
        assert_right(1, client.run(request(1)));
        // In at the very moment when there was room.
        assert_eq!(rig.clock.now_ns(), first_takes_ns + 10_000);
        assert!(first.take().is_some());
        assert_eq!(rig.device.counters().completed, 2);
    }
}

/// A ring with one place, on which the first operation takes so long and others 10 µs.
fn busy_for(first_takes_ns: u64) -> String {
    format!(
        "ring_depth_max = 1\n service_default = {{ fixed_ns = 10_000 }}\n\
         [[faults.script]]\n at_op = 0\n fault = 'slow'\n for_ns = {}",
        first_takes_ns - 10_000
    )
}

/// From QAT_Engine's source: nobody promises an order to those who try again. Who is there when the
/// place is free gets it, and one that was unlucky stays unlucky.
#[test]
fn who_tries_again_later_never_gets_in() {
    const DEVICE: &str = "ring_depth_max = 1";
    // The unlucky one looks each 50 µs; another, quicker one takes each place that is free.
    let old = |others: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let mut id = 1;
        for _look in 0..1_000 {
            if others {
                while let Ok(_answer) = rig.submit(id) {
                    id += 1;
                }
                rig.ended();
            }
            match rig.submit(0) {
                Ok(_answer) => return Ok(()),
                Err(refused) => refused.submission.completion.withdraw(),
            }
            rig.clock.spend(50_000);
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::Hang));

    // Ours: a line. Each of the others comes again at once, and waits behind the one.
    let rig = Rig::new(DEVICE);
    let mut host: Host<u64> = Host::new(WakeBy::Callback);
    for job in 0..3_u64 {
        let (client, clock) = (rig.client.clone(), rig.clock.clone());
        host.start(move || {
            // The last comes once, the others a hundred times.
            for n in 0..if job == 2 { 1 } else { 100 } {
                let id = job + n * 10;
                assert_right(id, client.run(request(id)));
            }
            clock.now_ns()
        });
    }
    host.run(&rig).expect("all get in");
    assert_eq!(host.done[0], (2, 60_000), "third in line");
    assert_eq!(rig.close().completed, 201);
}

/// From QAT_Engine's source, which has no time-out on this path. A lost operation keeps its place in the ring, and those that
/// come after it wait for that place for ever: no stack has a time-out for who is not in yet.
#[test]
fn a_lost_operation_keeps_its_place_and_all_that_come_wait_for_it() {
    const DEVICE: &str = "ring_depth_max = 1\n[[faults.script]]\n at_op = 0\n fault = 'lost'";
    let old = |device: &str| -> Result<u64, Crash> {
        let rig = Rig::new(device);
        let _lost = rig.submit(0);
        for tries in 0..10_000 {
            match rig.submit(1) {
                Ok(_answer) => return Ok(tries),
                Err(refused) => refused.submission.completion.withdraw(),
            }
            rig.clock.spend(20_000);
        }
        Err(Crash::Hang)
    };
    assert_eq!(old("ring_depth_max = 1"), Ok(1));
    assert_eq!(old(DEVICE), Err(Crash::Hang));

    for way in WAYS {
        // Given up when its time is over; then its place is another's.
        let rig = Rig::new(DEVICE);
        let mut host: Host<Ran> = Host::new(way);
        for id in 0..8 {
            let client = rig.client.clone();
            host.start(move || client.run(request(id)));
        }
        host.run(&rig).expect("its time is over one day");
        let right = host.done.iter().filter(|(_, ran)| ran.is_ok()).count();
        let timed_out = rig.client.stats().timed_out as usize;
        assert_eq!(right + timed_out, 8, "{way:?}");
        let counters = rig.close();
        assert_eq!(counters.submitted, counters.completed + 1);
        assert_eq!(counters.orphaned, 1, "{way:?}");

        // Never given up: those in line are, one after the other, and get their requests back.
        let rig = Rig::new(DEVICE);
        let _held = rig.submit(0);
        let mut host: Host<Vec<Ran>> = Host::new(way);
        let client = rig.client.clone();
        host.start(move || (1..10).map(|id| client.run(request(id))).collect());
        host.run(&rig).expect("each one's time is over one day");
        let (_, ran) = host.done.pop().expect("it has ended");
        for (id, ran) in (1..).zip(ran) {
            let error = ran.expect_err("there is no room");
            assert!(error.to_string().contains("no answer"), "{error}");
            let back = error.into_request().map(|request| request.id);
            assert_eq!(back, Some(id), "{way:?}");
        }
        assert_eq!(rig.client.stats().timed_out, 9);
        assert_eq!(rig.close().submitted, 1);
    }
}
