//! A virtual clock goes on for as long as a time-out may run, and then stands still.

use std::time::Duration;

use async_core::{JobOutcome, start_job};
use offload::{Engine, Response};
use offload::{FailureKind, OffloadClient, OffloadError, Op, Pending, Request, Submission, Ticker};
use sim_engine::{DeviceConfig, SimClock, SimDevice, Step, VirtualClock};
use waitctx::WaitCtx;

/// A device with one place in its ring, which an operation keeps that is lost and never given up.
fn occupied(clock: &SimClock) -> (std::sync::Arc<SimDevice>, Pending) {
    let text = "name = 'occupied'\n ring_depth_max = 1\n[faults]\n lost = 1.0";
    let config = DeviceConfig::from_toml(text).expect("a device file");
    let device = SimDevice::builder(&config).clock(clock).open();
    let device = device.expect("it opens");
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd is needed"));
    let submission = Submission {
        request: Request::new(Op::Nop, Vec::new()),
        completion,
        ticket: None,
    };
    device.submit(submission).expect("there is room");
    (device, pending)
}

/// Runs an operation in a job that is resumed whenever the clock has moved, until it stands still.
fn run_in_job(client: &OffloadClient, clock: &VirtualClock) -> Option<FailureKind> {
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    let client = client.clone();
    let run = move || -> Result<Response, OffloadError> {
        client.run(Request::new(Op::Nop, Vec::new()).with_id(1))
    };
    let mut outcome = start_job(&ctx, run).expect("a job to spare");
    loop {
        match outcome {
            JobOutcome::Finished(Err(OffloadError::Failed(failure))) => return Some(failure.kind),
            JobOutcome::Finished(other) => panic!("there is no room: {other:?}"),
            JobOutcome::Paused(job) => {
                let stands_still = clock.step() == Step::Idle;
                outcome = job.resume();
                if stands_still && matches!(outcome, JobOutcome::Paused(_)) {
                    return None;
                }
            }
        }
    }
}

#[test]
fn whoever_is_refused_has_the_time_of_a_time_out() {
    let clock = SimClock::virtual_time();
    let (device, _pending) = occupied(&clock);
    let clock = clock.as_virtual().expect("it is");
    let ticker = Ticker::new();
    clock.tick(&ticker, 1_000);
    let client = OffloadClient::new(device).with_ticker(&ticker);
    let millis = 10_000;
    for n in 0..20 {
        let failed = run_in_job(&client, clock);
        assert_eq!(failed, Some(FailureKind::TimedOut { millis }), "the {n}th");
    }
    // Nobody waits any more.
    let mut ticks = 0;
    while clock.step() != Step::Idle {
        ticks += 1;
        assert!(ticks < 1_000, "it does not go on for ever");
    }
}

#[test]
fn a_slow_time_out_is_not_cut_short_by_a_fast_one() {
    let clock = SimClock::virtual_time();
    let (device, _pending) = occupied(&clock);
    let clock = clock.as_virtual().expect("it is");
    let (fast, slow) = (Ticker::new(), Ticker::new());
    clock.tick(&fast, 1_000);
    clock.tick(&slow, 100_000);
    let client = OffloadClient::new(device)
        .with_timeout(Some(Duration::from_millis(1)))
        .with_ticker(&slow);
    let failed = run_in_job(&client, clock);
    assert_eq!(failed, Some(FailureKind::TimedOut { millis: 1 }));
    assert!(clock.now_ns() >= 800_000);
}
