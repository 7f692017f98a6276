//! A job's operation takes too long.

#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Delivery, Engine, FailureKind, OffloadClient, OffloadError};
use waitctx::{Callback, WaitCtx};

const TIMEOUT: Duration = Duration::from_millis(40);

fn timed_out(n: u64) -> Figures {
    Figures {
        timed_out: n,
        ..Figures::default()
    }
}

#[track_caller]
fn assert_timed_out(ran: Ran) -> Option<offload::Request> {
    match ran.expect_err("no answer came") {
        OffloadError::Failed(failure) => {
            assert_eq!(failure.kind, FailureKind::TimedOut { millis: 40 });
            failure.request
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_job_is_woken_when_its_time_is_over() {
    for wake in [
        WakeBy::Callback,
        WakeBy::SharedFd,
        WakeBy::Fd,
        WakeBy::Polling,
    ] {
        let held = Held::new();
        let client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
        let mut set = JobSet::new(4, wake).expect("descriptors");
        let begun = Instant::now();
        let jobs = (0..4).map(|id| {
            let client = client.clone();
            move || client.run(request(id))
        });
        let mut ended = 0;
        set.run(jobs, |_, ran| {
            assert!(begun.elapsed() >= TIMEOUT);
            assert!(assert_timed_out(ran).is_none());
            ended += 1;
        })
        .expect("it goes on");
        assert_eq!(ended, 4);
        assert_eq!(client.stats().timed_out, 4);
        assert_eq!(held.counters(), counters(4, 0, 0, 0));
        for _ in 0..4 {
            assert_eq!(held.answer(held.take()), Delivery::Orphaned);
        }
        assert_eq!(held.counters(), counters(0, 0, 0, 4));
    }
}

#[test]
fn in_line_it_gets_its_request_back_and_the_fallback_can_have_it() {
    for with_fallback in [false, true] {
        let held = Held::with_room(1);
        let mut client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
        if with_fallback {
            client = client.with_fallback(at_once());
        }
        let patient = OffloadClient::new(held.clone());
        let first = start_paused(&Wakes::default().ctx(), &patient, request(1));
        let mut set = JobSet::new(1, WakeBy::Callback).expect("no descriptor");
        let inside = client.clone();
        set.run([move || inside.run(request(2))], |_, ran| {
            if with_fallback {
                assert_flipped(ran, 2);
            } else {
                assert_untouched(assert_timed_out(ran), 2);
            }
        })
        .expect("it goes on");
        let figures = Figures {
            ring_full: 1,
            fell_back: u64::from(with_fallback),
            ..timed_out(1)
        };
        assert_figures(&client, figures);
        held.answer(held.take());
        assert_flipped(finished(first), 1);
        assert_eq!((held.gate().inside(), held.gate().kept()), (0, 0));
    }
}

#[test]
fn an_answer_that_came_untold_is_found_when_the_time_is_over() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
    let mut set = JobSet::new(1, WakeBy::Callback).expect("no descriptor");
    let inside = client.clone();
    let started = set.start(0, move || inside.run(request(1)));
    assert!(started.expect("there is a slot").is_none());
    let submission = held.take();
    let answer = flip(submission.request);
    submission.completion.complete_untold(answer);
    let mut done = 0;
    while !set.is_empty() {
        set.turn(None, |_, ran| {
            assert_flipped(ran, 1);
            done += 1;
        })
        .expect("it goes on");
    }
    assert_eq!(done, 1);
    assert_figures(&client, Figures::default());
}

/// A context whose callback panics the first `times`, and how often it was called.
fn panicking_ctx(times: u64) -> (WaitCtx, Arc<AtomicU64>) {
    let ctx = WaitCtx::new();
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    let callback = Callback::new(move || {
        let call = count.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(call > times, "on purpose");
    });
    ctx.set_callback(callback).expect("nothing to move");
    (ctx, calls)
}

fn wait_for(calls: &AtomicU64, count: u64) {
    while calls.load(Ordering::SeqCst) < count {
        std::thread::yield_now();
    }
}

#[test]
fn a_wake_that_was_lost_in_a_panic_is_made_good_when_the_time_is_over() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
    let (ctx, calls) = panicking_ctx(1);
    let job = start_paused(&ctx, &client, request(1));
    let answered = catch_unwind(AssertUnwindSafe(|| held.answer(held.take())));
    assert!(answered.is_err(), "the callback's panic");
    wait_for(&calls, 2);
    assert_flipped(finished(job), 1);
}

#[test]
fn the_watchdog_survives_a_callback_s_panic() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
    let (ctx, calls) = panicking_ctx(2);
    let wakes = Wakes::default();
    let job = start_paused(&ctx, &client, request(1));
    let other = start_paused(&wakes.ctx(), &client, request(2));
    wait_for(&calls, 3);
    assert!(assert_timed_out(finished(job)).is_none());
    assert!(
        wakes.count() >= 1,
        "one job's callback costs the other nothing"
    );
    assert!(assert_timed_out(finished(other)).is_none());
    assert_figures(&client, timed_out(2));
}

#[test]
fn dropping_the_client_in_its_own_watchdog_s_wake_is_fine() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone()).with_timeout(Some(TIMEOUT));
    let ctx = WaitCtx::new();
    let wakes = Arc::new(AtomicU64::new(0));
    let count = wakes.clone();
    let last = std::sync::Mutex::new(None);
    let last = Arc::new(last);
    let inside = last.clone();
    let callback = Callback::new(move || {
        drop(inside.lock().expect("no panic").take());
        count.fetch_add(1, Ordering::SeqCst);
    });
    ctx.set_callback(callback).expect("nothing to move");
    let job = start_paused(&ctx, &client, request(1));
    *last.lock().expect("no panic") = Some(client);
    wait_for(&wakes, 1);
    assert!(assert_timed_out(finished(job)).is_none());
}
