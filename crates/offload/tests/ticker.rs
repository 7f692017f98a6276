//! Time-outs that are counted by hand.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_core::JobOutcome;
use common::*;
use offload::{
    Counters, Drive, Engine, FailureKind, OffloadClient, OffloadError, OpKind, Refused, Submission,
    Ticker,
};

fn assert_timed_out(ran: Ran) {
    match ran {
        Err(OffloadError::Failed(failure)) => {
            assert_eq!(failure.kind, FailureKind::TimedOut { millis: 7 });
        }
        other => panic!("{other:?}"),
    }
}

fn client(engine: Arc<dyn Engine>, ticker: &Ticker) -> OffloadClient {
    OffloadClient::new(engine)
        .with_timeout(Some(Duration::from_millis(7)))
        .with_ticker(ticker)
}

#[test]
fn an_operation_in_a_job_is_over_after_eight_ticks_and_not_before() {
    let ticker = Ticker::new();
    let held = Held::new();
    let client = client(held.clone(), &ticker);
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let mut job = start_paused(&ctx, &client, request(1));
    for _ in 0..Ticker::TICKS {
        ticker.tick();
        match job.resume() {
            JobOutcome::Paused(paused) => job = paused,
            JobOutcome::Finished(ran) => panic!("too early: {ran:?}"),
        }
    }
    // The wall's time is of no account.
    std::thread::sleep(Duration::from_millis(10));
    let before = wakes.count();
    ticker.tick();
    assert_eq!(wakes.count(), before + 1);
    assert_timed_out(job.resume().finished().expect("it is over"));
    held.answer(held.take());
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

/// Loses everything, and ticks when it is polled, as a simulation's clock does.
struct Lost {
    held: Arc<Held>,
    ticker: Ticker,
}

impl Engine for Lost {
    fn name(&self) -> &str {
        "lost"
    }
    fn supports(&self, op: OpKind) -> bool {
        self.held.supports(op)
    }
    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        self.held.submit(submission)
    }
    fn drive(&self) -> Drive {
        Drive::Poll
    }
    fn poll(&self, _: usize) -> usize {
        self.ticker.tick();
        0
    }
    fn counters(&self) -> Counters {
        self.held.counters()
    }
}

#[test]
fn outside_a_job_too() {
    let ticker = Ticker::new();
    let held = Held::new();
    let engine = Arc::new(Lost {
        held: held.clone(),
        ticker: ticker.clone(),
    });
    let client = client(engine, &ticker);
    assert_timed_out(client.run(request(1)));
    assert_eq!(client.stats().timed_out, 1);
}

#[test]
fn a_thread_that_sleeps_outside_a_job_is_woken_by_the_ticks() {
    let ticker = Ticker::new();
    let held = Held::new();
    // Far longer than the test may take: only the ticks can end it.
    let client = OffloadClient::new(held.clone())
        .with_timeout(Some(Duration::from_secs(3600)))
        .with_ticker(&ticker);
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = done.send(client.run(request(1)));
    });
    let mut ran = None;
    // The bound only ends a test that would hang.
    for _ in 0..3_000 {
        ticker.tick();
        ran = ended.recv_timeout(Duration::from_millis(10)).ok();
        if ran.is_some() {
            break;
        }
    }
    let ran = ran.expect("the ticks do not wake it");
    let Err(OffloadError::Failed(failure)) = ran else {
        panic!("{ran:?}");
    };
    let millis = 3_600_000;
    assert_eq!(failure.kind, FailureKind::TimedOut { millis });
}
