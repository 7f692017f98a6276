//! The engine has no room.

#![cfg(not(loom))]

mod common;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Engine, Gate, OffloadClient};

const JOBS: u64 = 50;

fn set_of_jobs(client: &OffloadClient, wake: WakeBy) -> JobSet<Ran> {
    let mut set = JobSet::new(JOBS as usize, wake).expect("descriptors");
    for id in 0..JOBS {
        let client = client.clone();
        let ran = set.start(id, move || client.run(request(id)));
        assert!(ran.expect("there is a slot").is_none());
    }
    set
}

#[test]
fn with_a_line_the_jobs_get_in_first_come_first_served() {
    for wake in [
        WakeBy::Callback,
        WakeBy::SharedFd,
        WakeBy::Fd,
        WakeBy::Polling,
    ] {
        let held = Held::with_room(1);
        let client = OffloadClient::new(held.clone());
        let mut set = set_of_jobs(&client, wake);
        assert_eq!((held.gate().inside(), held.gate().kept()), (1, 0));
        assert_eq!(held.counters().refused, JOBS - 1);

        let mut finished = Vec::new();
        for id in 0..JOBS {
            let submission = held.take();
            assert_eq!(submission.request.id, id, "in line since the beginning");
            assert!(held.try_take().is_none(), "room for one");
            held.answer(submission);
            // The room was passed on at once.
            let next = u32::from(id + 1 < JOBS);
            assert_eq!((held.gate().inside(), held.gate().kept()), (next, next));
            // The turn resumes the one that was answered and the one that has room.
            while held.counters().in_flight < u64::from(next) || finished.len() <= id as usize {
                set.turn(None, |id, ran| {
                    assert_flipped(ran, id);
                    finished.push(id);
                })
                .expect("it goes on");
            }
            assert_eq!((held.gate().inside(), held.gate().kept()), (next, 0));
        }
        assert_eq!(finished, (0..JOBS).collect::<Vec<_>>());
        // Each was refused once, but for the first: nobody gets in beside the line.
        assert_eq!(client.stats().ring_full, JOBS - 1);
        assert_eq!(held.counters().refused, JOBS - 1);
        assert_eq!(held.counters().completed, JOBS);
        assert!(held.counters().balance());
        assert_eq!(held.gate().inside(), 0);
    }
}

#[test]
fn without_a_line_the_jobs_ask_again_until_all_are_done() {
    for wake in [WakeBy::Callback, WakeBy::Fd, WakeBy::Polling] {
        let held = Held::with_silent_room(1);
        let client = OffloadClient::new(held.clone());
        let mut set = set_of_jobs(&client, wake);
        let mut done = 0;
        while !set.is_empty() {
            if let Some(submission) = held.try_take() {
                held.answer(submission);
            }
            set.turn(None, |id, ran| {
                assert_flipped(ran, id);
                done += 1;
            })
            .expect("it goes on");
            assert!(held.gate().inside() <= 1);
        }
        assert_eq!(done, JOBS);
        assert!(client.stats().ring_full >= JOBS - 1);
        assert_eq!(client.stats().ring_full, held.counters().refused);
        assert_eq!(held.counters().completed, JOBS);
        assert!(held.counters().balance());
        assert_eq!(held.gate().inside(), 0);
    }
}

#[test]
fn a_resume_in_line_gets_nobody_in() {
    let held = Held::with_room(1);
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let (first, second) = (wakes.ctx(), wakes.ctx());
    let inside = start_paused(&first, &client, request(1));
    let mut waits = start_paused(&second, &client, request(2));
    for _ in 0..100 {
        waits = still_paused(waits);
    }
    // In line it did not even ask again.
    assert_eq!(held.counters().refused, 1);
    assert_eq!(wakes.count(), 0);

    held.answer(held.take());
    assert_eq!(wakes.count(), 2, "one for the answer, one for the room");
    assert_flipped(finished(inside), 1);
    let waits = still_paused(waits);
    held.answer(held.take());
    assert_flipped(finished(waits), 2);
    assert_eq!(held.gate().inside(), 0);
    let figures = Figures {
        ring_full: 1,
        ..Figures::default()
    };
    assert_figures(&client, figures);
}

#[test]
fn outside_a_job_it_is_waited_for_too() {
    let held = Held::with_room(1);
    let client = OffloadClient::new(held.clone());
    let job = start_paused(&Wakes::default().ctx(), &client, request(1));
    let first = held.take();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| client.run(request(2)));
        while held.counters().refused == 0 {
            std::thread::yield_now();
        }
        held.answer(first);
        let second = loop {
            match held.try_take() {
                Some(submission) => break submission,
                None => std::thread::yield_now(),
            }
        };
        held.answer(second);
        assert_flipped(waits.join().expect("no panic"), 2);
    });
    assert_flipped(finished(job), 1);
    assert_eq!(client.stats().ring_full, 1);
    assert_eq!(held.gate().inside(), 0);
}

#[test]
fn outside_a_job_a_polled_engine_makes_its_own_room() {
    let gate = Gate::new(1);
    let held = Held::polled(Some(gate.clone()));
    let client = OffloadClient::new(held.clone());
    let job = start_paused(&Wakes::default().ctx(), &client, request(1));
    assert_flipped(client.run(request(2)), 2);
    assert_flipped(finished(job), 1);
    assert_eq!(client.stats().ring_full, 1);
    assert_eq!((gate.inside(), gate.kept()), (0, 0));
}

/// Room that is kept for paused jobs of the thread that blocks would be kept for ever.
#[test]
fn an_operation_on_the_spot_takes_over_room_that_its_own_jobs_cannot_come_for() {
    let held = Held::with_room(2);
    let client = OffloadClient::new(held.clone());
    let mut set = set_of_jobs(&client, WakeBy::Callback);
    assert_eq!(held.counters().in_flight, 2);
    // The device answers as requests come, on a thread of its own, which tells nobody here to go
    // on: the jobs stay paused until the set's next turn.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let device = held.clone();
    let answering = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            match device.try_take() {
                Some(submission) => drop(device.answer(submission)),
                None => std::thread::yield_now(),
            }
        }
    });
    assert_flipped(client.run(request(1000)), 1000);
    let mut finished = 0;
    while !set.is_empty() {
        set.turn(None, |id, ran| {
            assert_flipped(ran, id);
            finished += 1;
        })
        .expect("it goes on");
    }
    assert_eq!(finished, JOBS);
    stop.send(()).expect("it runs");
    answering.join().expect("it does not panic");
    assert!(held.counters().balance());
    assert_eq!((held.gate().inside(), held.gate().kept()), (0, 0));
}
