//! A virtual clock goes on for as long as a time-out may run, and then stands still.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_core::{JobOutcome, start_job};
use offload::{Engine, Response};
use offload::{FailureKind, OffloadClient, OffloadError, Op, Pending, Request, Submission, Ticker};
use sim_engine::{DeviceConfig, DeviceEvent, Observer, SimClock, SimDevice, Step, VirtualClock};
use waitctx::{Callback, WaitCtx};

/// A device with one place in its ring, which an operation keeps that is lost and never given up.
fn occupied(clock: &SimClock) -> (Arc<SimDevice>, Pending) {
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

/// A device that is polled, with an operation of 1 µs.
fn polled(clock: &SimClock, observer: Option<Arc<dyn Observer>>) -> Arc<SimDevice> {
    let text = "name = 'polled'\n completions = 'poll'\n ring_depth_max = 8\n
        [service_default]\n fixed_ns = 1000";
    let config = DeviceConfig::from_toml(text).expect("a device file");
    let mut builder = SimDevice::builder(&config).clock(clock);
    if let Some(observer) = observer {
        builder = builder.observer(observer);
    }
    builder.open().expect("it opens")
}

fn submit(device: &SimDevice, ctx: &WaitCtx) -> Pending {
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd is needed"));
    let submission = Submission {
        request: Request::new(Op::Nop, Vec::new()),
        completion,
        ticket: None,
    };
    device.submit(submission).expect("there is room");
    pending
}

#[test]
fn a_callback_of_a_poll_that_moves_the_clock_comes_to_an_end() {
    let clock = SimClock::virtual_time();
    let device = polled(&clock, None);
    let virtual_clock = clock.as_virtual().expect("it is").clone();
    let ctx = WaitCtx::new();
    let (its_clock, its_device) = (virtual_clock.clone(), Arc::downgrade(&device));
    let spent = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&spent);
    let silent = WaitCtx::new();
    silent.set_silent(true).expect("no wake yet");
    let callback = Callback::new(move || {
        // The device has something to do that nobody can let happen now.
        let device = its_device.upgrade().expect("it is polled");
        drop(submit(&device, &silent));
        its_clock.spend(1_000_000);
        seen.store(true, Ordering::SeqCst);
    });
    ctx.set_callback(callback).expect("no wake yet");
    let pending = submit(&device, &ctx);
    while virtual_clock.step() != Step::Idle {}
    assert_eq!(device.poll_at_rest(0), 1);
    assert!(spent.load(Ordering::SeqCst));
    drop(pending);
}

/// Panics once.
struct Fragile(AtomicBool);

impl Observer for Fragile {
    fn observe(&self, event: &DeviceEvent) {
        if matches!(event, DeviceEvent::Ended(_)) && self.0.swap(false, Ordering::SeqCst) {
            panic!("planned");
        }
    }
}

#[test]
fn a_panic_of_an_observer_does_not_stop_the_device() {
    let clock = SimClock::virtual_time();
    let device = polled(&clock, Some(Arc::new(Fragile(AtomicBool::new(true)))));
    let virtual_clock = clock.as_virtual().expect("it is");
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    let _first = submit(&device, &ctx);
    while virtual_clock.step() != Step::Idle {}
    let panicked = catch_unwind(AssertUnwindSafe(|| device.poll_at_rest(0)));
    assert!(panicked.is_err());
    let second = submit(&device, &ctx);
    while virtual_clock.step() != Step::Idle {}
    assert_eq!(device.poll_at_rest(0), 1);
    assert!(second.take().is_some_and(|answer| answer.is_ok()));
    // Waits for what is inside, and is not taken for a call from inside a poll.
    let _third = submit(&device, &ctx);
    assert_eq!(device.shutdown().counters.in_flight, 0);
}

/// Notes the instance of each request.
#[derive(Default)]
struct Instances(Mutex<Vec<u32>>);

impl Observer for Instances {
    fn observe(&self, event: &DeviceEvent) {
        if let DeviceEvent::Submitted { instance, .. } = event {
            self.0.lock().expect("no panic").push(*instance);
        }
    }
}

#[test]
fn a_run_is_the_same_on_whatever_thread() {
    let text = "name = 'two'\n instances = 2\n instance_choice = 'thread'";
    let config = DeviceConfig::from_toml(text).expect("a device file");
    let run = || {
        let seen = Arc::new(Instances::default());
        let device = SimDevice::builder(&config).clock(&SimClock::virtual_time());
        let device = device.observer(seen.clone()).open().expect("it opens");
        let ctx = WaitCtx::new();
        ctx.set_silent(true).expect("no wake yet");
        let _pending = submit(&device, &ctx);
        seen.0.lock().expect("no panic").clone()
    };
    for _ in 0..4 {
        let seen = std::thread::scope(|scope| scope.spawn(run).join());
        assert_eq!(seen.expect("no panic"), [0]);
    }
}
