//! Something goes away while an operation is on the device: the biggest family.

use std::sync::Arc;

use async_core::WakeBy;
use offload::{Engine, FailureKind, OffloadError};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::AsRawFd;
use waitctx::WakeFd;

use crate::old::{Crash, Descriptors, File, Handle, Heap};
use crate::support::{Host, Ran, Rig, TIMEOUT_NS, WAYS, assert_right, request};

/// What goes away, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    Job,
    Ctx,
    Client,
    /// The device finishes what it has.
    Shutdown,
    /// The device dies.
    Kill,
}

const ORDERS: [&[Goes]; 7] = [
    &[Goes::Job, Goes::Ctx],
    &[Goes::Ctx, Goes::Job],
    &[Goes::Client, Goes::Job, Goes::Ctx],
    &[Goes::Job, Goes::Shutdown],
    &[Goes::Job, Goes::Kill],
    &[Goes::Shutdown, Goes::Job, Goes::Ctx],
    &[Goes::Kill, Goes::Ctx, Goes::Job],
];

/// QAT_Engine #16, #143, #178, #292, #344, #349; openssl #16514; haproxy #3453. A connection is freed
/// while its job is paused, and its wait context with it; the polling thread then asks the job for its
/// context: `qat_wake_job`, `ASYNC_get_wait_ctx`, crash.
#[test]
fn the_poller_wakes_a_context_that_was_freed_under_a_paused_job() {
    let old = |goes: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut contexts = Heap::new();
        let ctx = contexts.alloc("woken");
        // The device has the job's address, and the job its context's.
        let _answer = rig.submit(0).expect("there is room");
        if goes {
            contexts.free(ctx)?;
        }
        rig.until_ended(0);
        contexts.get(ctx).map(drop)
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::UseAfterFree));

    for way in WAYS {
        for order in ORDERS {
            let mut rig = Rig::new("engines = 1");
            let mut host: Host<Ran> = Host::new(way);
            // The first is on the engine, the second behind it.
            for id in 0..2 {
                let client = rig.client.clone();
                host.start(move || client.run(request(id)));
            }
            rig.clock.spend(5_000);
            let (mut jobs, mut contexts): (Vec<_>, Vec<_>) = (0..2).map(|at| host.take(at)).unzip();
            for goes in order {
                match goes {
                    Goes::Job => jobs.clear(),
                    Goes::Ctx => contexts.clear(),
                    Goes::Client => rig.drop_client(),
                    Goes::Shutdown => drop(rig.device.shutdown()),
                    Goes::Kill => rig.device.kill(),
                }
            }
            drop((jobs, contexts));
            while rig.step().is_some() {}
            let answered = matches!(order[0], Goes::Shutdown | Goes::Kill);
            let counters = rig.close();
            let orphaned = if answered { 0 } else { 2 };
            assert_eq!(counters.submitted, 2, "{way:?}, {order:?}");
            assert_eq!(counters.orphaned, orphaned, "{way:?}, {order:?}");
        }
    }
    assert_eq!(async_core::pool_stats().expect("jobs ran").in_use, 0);
}

/// OpenSSL's jobs and QAT_Engine. Jobs belong to their thread, whose
/// pool frees their stacks when it ends. Completions for them still come.
#[test]
fn a_thread_ends_with_paused_jobs_and_their_completions_come_later() {
    let old = || -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut stacks = Heap::new();
        let jobs: Vec<Handle> = (0..3).map(|id| stacks.alloc(id)).collect();
        let _answers: Vec<_> = (0..3).map(|id| rig.submit(id)).collect();
        for job in &jobs {
            stacks.free(*job)?;
        }
        rig.until_ended(2);
        jobs.iter().try_for_each(|job| stacks.get(*job).map(drop))
    };
    assert_eq!(old(), Err(Crash::UseAfterFree));

    for way in WAYS {
        let rig = Rig::new("");
        let client = rig.client.clone();
        let thread = std::thread::spawn(move || {
            let mut host: Host<Ran> = Host::new(way);
            for id in 0..3 {
                let client = client.clone();
                host.start(move || client.run(request(id)));
            }
            host.paused()
        });
        assert_eq!(thread.join().expect("no panic"), 3);
        while rig.step().is_some() {}
        assert_eq!(rig.close().orphaned, 3, "{way:?}");
    }
}

/// asynch_mode_nginx #11, and seen with a prototype of ours under a real server. The context of a
/// connection that timed out closes its eventfd; the number goes to another client's socket; the late
/// completion writes its eight bytes there, and that client sees WRONG_VERSION_NUMBER.
#[test]
fn a_late_wake_is_written_into_the_connection_that_got_the_fd_number() {
    let old = |closed: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let _answer = rig.submit(0).expect("there is room");
        if closed {
            fds.close(wake)?;
        }
        let socket = fds.open(File::Socket(0));
        rig.until_ended(0);
        fds.write_one(wake)?;
        match fds.get(socket) {
            Some(File::Socket(0)) => Ok(()),
            _ => Err(Crash::WroteIntoAnother),
        }
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::WroteIntoAnother));

    // The number may go to another test's descriptor first: until it is ours.
    for _ in 0..1000 {
        let rig = Rig::new("");
        let mut host: Host<Ran> = Host::new(WakeBy::Fd);
        let client = rig.client.clone();
        host.start(move || client.run(request(0)));
        let (job, ctx) = host.take(0);
        let number = ctx.all_fds()[0];
        job.cancel().expect_err("it was given up");
        drop((ctx, host));
        // A descriptor of another connection's: its count stands for what was written into it.
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let mut others = Vec::new();
        while others.len() < 64 && others.last().is_none_or(|fd| raw(fd) < number) {
            others.push(eventfd(0, flags).expect("an fd to spare"));
        }
        rig.until_ended(0);
        assert_eq!(rig.close().orphaned, 1);
        for fd in &others {
            let read = rustix::io::read(fd, &mut [0; 8]);
            assert_eq!(read, Err(rustix::io::Errno::AGAIN), "it was written into");
        }
        if others.iter().any(|fd| raw(fd) == number) {
            return;
        }
    }
    panic!("the number was never free again");
}

fn raw(fd: &rustix::fd::OwnedFd) -> i32 {
    fd.as_raw_fd()
}

/// asynch_mode_nginx #39, openssl #15494. The eventfd of a connection that is freed with its job
/// paused is never closed: the cleanup was left to the job, which never runs again.
#[test]
fn the_eventfd_of_a_connection_that_went_away_stays_open() {
    let old = |goes: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Heap::new();
        for id in 0..100 {
            let fd = fds.alloc("eventfd");
            let _answer = rig.submit(id).expect("there is room");
            rig.until_ended(id);
            // By the job, at its end.
            if !goes {
                fds.free(fd)?;
            }
        }
        match fds.live() {
            0 => Ok(()),
            _ => Err(Crash::Leaked),
        }
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::Leaked));

    let rig = Rig::new("");
    for id in 0..100 {
        let mut host: Host<Ran> = Host::new(WakeBy::Fd);
        let client = rig.client.clone();
        host.start(move || client.run(request(id)));
        let (job, ctx) = host.take(0);
        let fd = ctx.wake_fd().map(Arc::downgrade).expect("woken by one");
        drop((job, ctx));
        let open = |fd: &std::sync::Weak<WakeFd>| fd.upgrade().is_some();
        assert!(!open(&fd), "closed with the context, before the completion");
        rig.until_ended(id);
    }
    assert_eq!(rig.close().orphaned, 100);
}

/// asynch_mode_nginx #11. A connection that is being closed waits for its job, and looks again each
/// ten seconds; the device has lost the operation, and the worker never shuts down.
#[test]
fn a_cancelled_connection_waits_for_its_job_by_a_timer_for_ever() {
    const TEN_SECONDS: u64 = 10_000_000_000;
    let old = |device: &str| -> Result<u64, Crash> {
        let rig = Rig::new(device);
        let answer = rig.submit(0).expect("there is room");
        // A day of it is for ever.
        for looks in 1..=8_640 {
            rig.clock.spend(TEN_SECONDS);
            if answer.take().is_some() {
                return Ok(looks);
            }
        }
        Err(Crash::Hang)
    };
    const LOST: &str = "[[faults.script]]\n at_op = 0\n fault = 'lost'";
    assert_eq!(old(""), Ok(1));
    assert_eq!(old(LOST), Err(Crash::Hang));

    for way in WAYS {
        // Cancelled: over at once.
        let rig = Rig::new(LOST);
        let mut host: Host<Ran> = Host::new(way);
        let client = rig.client.clone();
        host.start(move || client.run(request(0)));
        rig.clock.spend(1_000);
        let (job, _ctx) = host.take(0);
        let error = job.cancel().expect_err("it was given up");
        assert!(matches!(error, OffloadError::Cancelled { .. }), "{error}");
        assert_eq!(rig.clock.now_ns(), 1_000);
        assert_eq!(rig.close().orphaned, 1, "{way:?}");

        // Not cancelled: over when its time is.
        let rig = Rig::new(LOST);
        let mut host: Host<Ran> = Host::new(way);
        let client = rig.client.clone();
        host.start(move || client.run(request(0)));
        host.run(&rig).expect("its time is over one day");
        let (_, ran) = host.done.pop().expect("it has ended");
        let Err(OffloadError::Failed(failure)) = ran else {
            panic!("it was lost: {ran:?}");
        };
        assert!(matches!(failure.kind, FailureKind::TimedOut { .. }));
        let now = rig.clock.now_ns();
        assert!((TIMEOUT_NS..=2 * TIMEOUT_NS).contains(&now), "{now} ns");
        assert_eq!(rig.close().orphaned, 1, "{way:?}");
    }
}

/// QAT_Engine #334. The device dies with operations queued and running. The
/// asynchronous path has no time-out, and what was in flight is waited for for ever.
#[test]
fn the_device_dies_and_what_was_queued_on_it_is_waited_for() {
    const DEVICE: &str = "engines = 1\n\
         heartbeat = { period_ns = 1_000_000, misses = 3, restart_ns = 2_000_000 }\n\
         [[faults.script]]\n at_ns = 30_000\n fault = 'death'";
    // The old driver does not look at the device's heart.
    let old = |device: &str| -> Result<(), Crash> {
        let rig = Rig::new(device);
        let answers: Vec<_> = (0..4).map(|id| rig.submit(id)).collect();
        // As long as anything happens but a driver's noticing, which comes after 3 ms.
        while rig.clock.now_ns() < 2_000_000 && rig.step().is_some() {}
        let mut answers = answers.iter().flatten();
        match answers.all(|answer| answer.take().is_some()) {
            true => Ok(()),
            false => Err(Crash::Hang),
        }
    };
    assert_eq!(old("engines = 1"), Ok(()));
    assert_eq!(old(DEVICE), Err(Crash::Hang));

    for way in WAYS {
        for fallback in [false, true] {
            let mut rig = Rig::new(DEVICE);
            if fallback {
                rig = rig.with_fallback();
            }
            let mut host: Host<Ran> = Host::new(way);
            for id in 0..4 {
                let client = rig.client.clone();
                host.start(move || client.run(request(id)));
            }
            host.run(&rig).expect("the heartbeat finds it dead");
            let mut down = 0;
            for (id, ran) in host.done.drain(..) {
                match ran {
                    Err(error) if !fallback => {
                        assert!(error.to_string().contains("went down"), "{error}");
                        let back = error.into_request().expect("it was not carried out");
                        assert_eq!(
                            (back.id, &back.data[..]),
                            (id as u64, &request(id as u64).data[..])
                        );
                        down += 1;
                    }
                    other => assert_right(id as u64, other),
                }
            }
            // One was done before.
            assert_eq!(down, if fallback { 0 } else { 3 }, "{way:?}");
            // It is reset, and works again.
            rig.clock.spend(10_000_000);
            let client = rig.client.clone();
            host.start(move || client.run(request(9)));
            host.run(&rig).expect("it works again");
            assert_right(9, host.done.pop().expect("it has ended").1);
            assert_eq!(rig.device.counters().in_flight, 0);
            assert_eq!(rig.close().failed, 3, "{way:?}");
        }
    }
}

/// Seen by valgrind with a prototype of ours under a real server. The caller's
/// signature buffer goes with its connection, or with the stack frame of a call that could not pause;
/// the device writes into it when it is done.
#[test]
fn the_device_writes_into_a_buffer_that_went_with_its_caller() {
    let old = |returns_early: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut memory = Heap::new();
        let buffer = memory.alloc(vec![0; 8]);
        let answer = rig.submit(0).expect("there is room");
        if returns_early {
            memory.free(buffer)?;
        }
        rig.until_ended(0);
        let response = answer.take().ok_or(Crash::Hang)?.expect("no error");
        memory.get(buffer)?.copy_from_slice(&response.data);
        Ok(())
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::UseAfterFree));

    for way in WAYS {
        let rig = Rig::new("");
        let mut host: Host<Ran> = Host::new(way);
        let client = rig.client.clone();
        // The buffer goes into the request, and the request to the device.
        host.start(move || client.run(request(0)));
        rig.clock.spend(5_000);
        let (job, _ctx) = host.take(0);
        let error = job.cancel().expect_err("it was given up");
        let back = error.into_request();
        assert!(back.is_none(), "the device has it: {back:?}");
        rig.until_ended(0);
        assert_eq!(rig.close().orphaned, 1, "{way:?}");

        // A job that cannot pause does not return before the device is done.
        let rig = Rig::new("");
        let mut host: Host<Ran> = Host::new(way);
        let client = rig.client.clone();
        host.start(move || {
            let _blocked = async_core::block_pause();
            client.run(request(0))
        });
        assert_right(0, host.done.pop().expect("it did not pause").1);
        assert_eq!(rig.clock.now_ns(), 20_000);
        assert_eq!(rig.close().completed, 1, "{way:?}");
    }
}

/// haproxy #3453, #856. HAProxy frees a
/// connection whose job is paused when its fd is readable. An engine that drops an abandoned operation
/// silently leaks the connection.
#[test]
fn an_operation_that_was_given_up_never_signals_and_its_connection_is_never_freed() {
    let old = |signals: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let answer = rig.submit(0).expect("there is room");
        drop(answer);
        while let Some(ended) = rig.step() {
            for _ in ended {
                if signals {
                    fds.write_one(wake)?;
                }
            }
            if fds.read(wake)?.is_some() {
                return fds.close(wake).map(drop);
            }
        }
        Err(Crash::Leaked)
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Leaked));

    // One on the engine and one behind it; one that is answered twice; one that takes long.
    for device in [
        "engines = 1",
        "engines = 1\n[[faults.script]]\n at_op = 1\n fault = 'duplicate'",
        "engines = 1\n[[faults.script]]\n at_op = 0\n fault = 'slow'\n for_ns = 1_000_000",
    ] {
        let rig = Rig::new(device);
        let mut host: Host<Ran> = Host::new(WakeBy::Fd);
        for id in 0..2 {
            let client = rig.client.clone();
            host.start(move || client.run(request(id)));
        }
        rig.clock.spend(1_000);
        let contexts = [0, 1].map(|place| {
            let (job, ctx) = host.take(place);
            job.cancel().expect_err("it was given up");
            ctx
        });
        let mut signals = [0; 2];
        loop {
            for (ctx, signals) in contexts.iter().zip(&mut signals) {
                *signals += u32::from(ctx.acknowledge().expect("its own fd"));
            }
            if rig.step().is_none() {
                break;
            }
        }
        assert_eq!(signals, [1, 1], "once each: {device}");
        assert_eq!(rig.close().orphaned, 2);
    }
}
