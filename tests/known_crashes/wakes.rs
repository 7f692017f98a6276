//! Wakes that mean nothing, that are lost, that are two in one, or that never stop.

use std::sync::{Arc, Mutex};

use async_core::{JobOutcome, WakeBy, current_job, pause_job, start_job};
use offload::{Engine, Pending, Submission};
use waitctx::{Callback, Status, WaitCtx};

use crate::old::{Crash, Descriptors, File};
use crate::support::{Host, Rig, TIMEOUT_NS, WAYS, assert_right, is_right, request};

/// QAT_Engine #16, #40, #48; trafficserver #4024. A job is resumed because its socket is readable, and
/// takes what is in the place of the result.
#[test]
fn a_resume_before_the_result_is_taken_for_it() {
    let old = |early: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let answer = rig.submit(0).expect("there is room");
        if !early {
            rig.until_ended(0);
        }
        // Behind the pause, whoever resumed.
        match answer.take() {
            Some(Ok(response)) if is_right(0, &response) => Ok(()),
            _ => Err(Crash::WrongAnswer),
        }
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::WrongAnswer));

    for way in WAYS {
        let rig = Rig::new("");
        let mut host = Host::new(way);
        let client = rig.client.clone();
        host.start(move || assert_right(0, client.run(request(0))));
        for _ in 0..5 {
            assert!(host.resume(0), "it pauses again");
        }
        host.run(&rig).expect("the answer comes");
        assert!(rig.client.stats().resumed_early >= 5, "{way:?}");
        assert_eq!(rig.close().completed, 1);
    }
}

/// QAT_Engine #40. The job that is resumed for nothing reads its eventfd, which blocks: the thread
/// stands still, and the other jobs' answers with it.
#[test]
fn a_job_resumed_for_nothing_blocks_the_thread_in_a_read_of_its_eventfd() {
    let old = |early: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let _answer = rig.submit(0).expect("there is room");
        if !early {
            rig.until_ended(0);
            fds.write_one(wake)?;
        }
        // Nobody writes while this thread sleeps: it is the one that would poll the device.
        fds.read(wake)?.map(drop).ok_or(Crash::Blocked)
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::Blocked));

    // Ours comes back from the resume at once, and the other job goes on.
    let rig = Rig::new(
        "completions = 'poll'\n[[faults.script]]\n at_op = 0\n fault = 'slow'\n for_ns = 500_000",
    );
    let mut host = Host::new(WakeBy::Fd);
    for id in 0..2 {
        let client = rig.client.clone();
        host.start(move || assert_right(id, client.run(request(id))));
    }
    assert!(host.resume(0) && host.resume(0), "it pauses again");
    host.run(&rig).expect("both answers come");
    assert_eq!(
        host.done.iter().map(|(at, ())| *at).collect::<Vec<_>>(),
        [1, 0]
    );
}

/// From QAT_Engine's source. A job has two operations under way; both wakes go to its one eventfd, which
/// merges them; the job waits for a second one.
#[test]
fn two_operations_of_a_job_share_an_eventfd_and_their_two_wakes_are_one() {
    let old = |device: &str| -> Result<(), Crash> {
        let rig = Rig::new(device);
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let _answers = [rig.submit(0), rig.submit(1)];
        // One wake for each operation, it thinks.
        let mut waits_for = 2;
        while let Some(ended) = rig.step() {
            for _ in ended {
                fds.write_one(wake)?;
            }
            // The event loop: readable, so the job is resumed, and reads.
            if fds.read(wake)?.is_some() {
                waits_for -= 1;
            }
        }
        match waits_for {
            0 => Ok(()),
            _ => Err(Crash::Hang),
        }
    };
    let apart = "[[faults.script]]\n at_op = 1\n fault = 'slow'\n for_ns = 1_000";
    assert_eq!(old(apart), Ok(()));
    assert_eq!(old(""), Err(Crash::Hang));

    for way in WAYS {
        let rig = Rig::new("");
        let device = rig.device.clone();
        let mut host = Host::new(way);
        host.start(move || {
            let ctx = current_job().expect("in a job").wait_ctx();
            let answers = [0, 1].map(|id| {
                let (pending, completion) = Pending::new(ctx.notifier().expect("an fd to spare"));
                let submission = Submission {
                    request: request(id),
                    completion,
                    ticket: None,
                };
                device.submit(submission).expect("there is room");
                pending
            });
            let mut done = 0;
            while done < 2 {
                pause_job().expect("nobody cancels");
                ctx.acknowledge().expect("its own fd");
                done += answers
                    .iter()
                    .filter(|answer| answer.take().is_some())
                    .count();
            }
        });
        host.run(&rig).expect("both answers are seen");
        assert_eq!(rig.close().completed, 2, "{way:?}");
    }
}

/// From QAT_Engine's source; nginx looks each millisecond for that. A write to the eventfd
/// fails, with a warning in a log, and the job waits for it for ever.
#[test]
fn the_wake_is_lost_and_the_answer_is_there_and_nobody_looks() {
    const UNTOLD: &str = "[[faults.script]]\n at_op = 0\n fault = 'untold'";
    let old = |written: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let answer = rig.submit(0).expect("there is room");
        while let Some(ended) = rig.step() {
            if written && !ended.is_empty() {
                fds.write_one(wake)?;
            }
            if fds.read(wake)?.is_some() {
                return answer.take().map(drop).ok_or(Crash::WrongAnswer);
            }
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Hang));

    for way in WAYS {
        let rig = Rig::new(UNTOLD);
        let mut host = Host::new(way);
        let client = rig.client.clone();
        host.start(move || assert_right(0, client.run(request(0))));
        host.run(&rig).expect("it looks when its time is over");
        let looked = rig.clock.now_ns();
        let told = if way == WakeBy::Polling {
            20_000
        } else {
            TIMEOUT_NS
        };
        assert!(
            (told..told + TIMEOUT_NS).contains(&looked),
            "{way:?}: {looked} ns"
        );
        assert_eq!(rig.close().completed, 1);
    }
}

/// QAT_Engine #181, #211; asynch_mode_nginx #18. The loop in the job is `!flag || no wake`: with the
/// answer there, the job pauses again until its own wake token is there to be read. An application
/// that looks at its jobs in turn spins.
#[test]
fn the_answer_is_there_and_the_job_pauses_again_for_want_of_its_token() {
    let old = |token: bool| -> Result<u32, Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let _answer = rig.submit(0).expect("there is room");
        rig.until_ended(0);
        let flag = true;
        if token {
            fds.write_one(wake)?;
        }
        for resumes in 1..10_000 {
            let resumed_unexpectedly = fds.read(wake)?.is_none();
            if flag && !resumed_unexpectedly {
                return Ok(resumes);
            }
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(true), Ok(1));
    assert_eq!(old(false), Err(Crash::Hang));

    let rig = Rig::new("[[faults.script]]\n at_op = 0\n fault = 'untold'");
    let mut host = Host::new(WakeBy::Fd);
    let client = rig.client.clone();
    host.start(move || assert_right(0, client.run(request(0))));
    rig.until_ended(0);
    assert_eq!(host.resume_ready(), 0, "nobody was told");
    assert!(!host.resume(0), "the first look finds the answer");
}

/// openssl PR #7573, reason 3; QAT_Engine #302. With a callback set, an engine whose ring is full sets
/// the status to EAGAIN, pauses the job, and does not call the callback. An application that waits for
/// callbacks hangs on the first full ring.
#[test]
fn a_retry_with_a_callback_set_calls_nobody() {
    const DEVICE: &str = "ring_depth_max = 1";
    let old = |looks_at_status: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let mut waiting: Vec<u64> = (0..3).collect();
        let mut done = 0;
        let mut status = [Status::Ok; 3];
        let mut answers = Vec::new();
        let mut submit = |waiting: &mut Vec<u64>| {
            waiting.retain(|id| match rig.submit(*id) {
                Ok(answer) => {
                    status[*id as usize] = Status::Ok;
                    answers.push(answer);
                    false
                }
                Err(refused) => {
                    refused.submission.completion.withdraw();
                    status[*id as usize] = Status::Again;
                    true
                }
            });
            status
        };
        let mut now = submit(&mut waiting);
        while let Some(ended) = rig.step() {
            done += ended.len();
            let retries = now.contains(&Status::Again);
            // Callbacks have come for those that ended, and for nobody else.
            if looks_at_status && retries {
                now = submit(&mut waiting);
            }
        }
        match done {
            3 => Ok(()),
            _ => Err(Crash::Hang),
        }
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Hang));

    // Ours: an application that does nothing but wait for its callbacks.
    let rig = Rig::new(DEVICE);
    let called = Arc::new(Mutex::new(Vec::new()));
    let mut jobs: Vec<_> = (0..3)
        .map(|id| {
            let (ctx, calls, client) = (WaitCtx::new(), called.clone(), rig.client.clone());
            let callback = Callback::new(move || calls.lock().expect("no panic").push(id));
            ctx.set_callback(callback).expect("no wake yet");
            let started = start_job(&ctx, move || assert_right(id, client.run(request(id))));
            let job = started.expect("a job to spare").paused().expect("it waits");
            (Some(job), ctx)
        })
        .collect();
    let mut told_to_retry = 0;
    while jobs.iter().any(|(job, _)| job.is_some()) {
        let calls = std::mem::take(&mut *called.lock().expect("no panic"));
        if calls.is_empty() {
            rig.step()
                .expect("somebody is called before nothing happens any more");
        }
        for id in calls {
            let (place, ctx) = &mut jobs[id as usize];
            told_to_retry += u32::from(ctx.status() == Status::Again);
            if let Some(job) = place.take()
                && let JobOutcome::Paused(job) = job.resume()
            {
                *place = Some(job);
            }
        }
    }
    assert_eq!(told_to_retry, 2, "one was let in at once");
    drop(jobs);
    assert_eq!(rig.close().completed, 3);
}

/// QAT_Engine #48. With an fd, an engine whose ring is full writes to its own eventfd before it
/// pauses: the event loop resumes the job at once, which finds the ring full, and writes again.
#[test]
fn a_retry_spins_through_its_own_eventfd() {
    /// A turn of the event loop, in nanoseconds.
    const TURN_NS: u64 = 1_000;
    const DEVICE: &str = "ring_depth_max = 1\n service_default = { fixed_ns = 1_000_000 }";
    let old = || -> Result<u64, Crash> {
        let rig = Rig::new(DEVICE);
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        let _first = rig.submit(0).expect("there is room");
        let mut resumes = 0;
        while let Err(refused) = rig.submit(1) {
            refused.submission.completion.withdraw();
            fds.write_one(wake)?;
            rig.clock.spend(TURN_NS);
            // Readable at once.
            fds.read(wake)?.ok_or(Crash::Hang)?;
            resumes += 1;
        }
        Ok(resumes)
    };
    let spins = old().expect("the room comes");
    assert!(spins >= 999, "{spins} resumes in the time of one operation");

    for way in [WakeBy::Callback, WakeBy::SharedFd, WakeBy::Fd] {
        let rig = Rig::new(DEVICE);
        let mut host = Host::new(way);
        for id in 0..4 {
            let client = rig.client.clone();
            host.start(move || assert_right(id, client.run(request(id))));
        }
        host.run(&rig).expect("all get in");
        // One for the room, for those who had none, and one for the answer.
        assert_eq!(host.resumes, 3 + 4, "{way:?}");
    }
}
