//! An answer comes at the wrong moment: while the job looks, before it pauses, after it has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_core::{WakeBy, pool_stats, start_job};
use offload::{Counters, Delivery, Engine, OffloadClient, OpKind, Reason, Refused, Submission};
use sim_engine::compute::compute;
use waitctx::{ReadyQueue, WaitCtx, WakeBatch};

use crate::old::{Crash, Heap};
use crate::support::{Host, Rig, WAYS, assert_right, is_right, request};

/// An engine that answers by hand.
#[derive(Default)]
struct ByHand(Mutex<Vec<Submission>>);

impl ByHand {
    fn take(&self) -> Submission {
        let taken = self.0.lock().expect("no panic").pop();
        taken.expect("something was submitted")
    }
}

impl Engine for ByHand {
    fn name(&self) -> &str {
        "by-hand"
    }

    fn supports(&self, _: OpKind) -> bool {
        true
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        self.0.lock().expect("no panic").push(submission);
        Ok(())
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// QAT_Engine #110. The completion record is on the job's stack. The polling thread sets its flag
/// and then reads the job from it, to wake it; in between the job is resumed for another reason, sees
/// the flag, and returns.
#[test]
fn the_poller_reads_a_record_on_the_stack_of_a_job_that_has_returned() {
    struct OpDone {
        flag: bool,
        job: u64,
    }
    let old = |resumed_in_between: bool| -> Result<u64, Crash> {
        let rig = Rig::new("");
        let mut stacks = Heap::new();
        let op_done = stacks.alloc(OpDone {
            flag: false,
            job: 1,
        });
        let _answer = rig.submit(0).expect("there is room");
        rig.until_ended(0);
        stacks.get(op_done)?.flag = true;
        if resumed_in_between && stacks.get(op_done)?.flag {
            stacks.free(op_done)?;
        }
        let woken = stacks.get(op_done)?.job;
        if !resumed_in_between {
            stacks.free(op_done)?;
        }
        Ok(woken)
    };
    assert_eq!(old(false), Ok(1));
    assert_eq!(old(true), Err(Crash::UseAfterFree));

    // Ours: the answer is in place and the wake is not made yet when the job comes by.
    let engine = Arc::new(ByHand::default());
    let client = OffloadClient::new(engine.clone());
    let (queue, ctx) = (ReadyQueue::new(), WaitCtx::new());
    queue.attach(&ctx, 1);
    let running = client.clone();
    let started = start_job(&ctx, move || running.run(request(0)));
    let job = started.expect("a job to spare").paused().expect("it waits");
    let submission = engine.take();
    let mut wakes = WakeBatch::new();
    let answer = compute(submission.request);
    submission.completion.complete_with(answer, &mut wakes);
    assert_eq!(wakes.len(), 1, "the wake is on its way");
    assert_right(0, job.resume().finished().expect("the answer is there"));
    drop((ctx, client, engine));
    wakes
        .flush()
        .expect("nobody is told, and nothing is touched");
}

/// QAT_Engine #110, #143, #287. A job slot goes back to its pool and to the next job; the completion
/// of the operation before, which was given up, still points to it.
#[test]
fn a_late_completion_wakes_the_next_job_on_the_same_slot_which_takes_its_answer() {
    // Operation 0 comes late, and before operation 1, which is slow.
    const DEVICE: &str = "[[faults.script]]\n at_op = 0\n fault = 'late'\n for_ns = 100_000\n\
                          [[faults.script]]\n at_op = 1\n fault = 'slow'\n for_ns = 900_000";
    let old = |given_up: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        // Which operation the job in the pool's only slot runs.
        let mut slot = Some(0);
        let mut answers = HashMap::from([(0, rig.submit(0).expect("there is room"))]);
        if given_up {
            slot = Some(1);
            answers.insert(1, rig.submit(1).expect("there is room"));
        }
        while let Some(ended) = rig.step() {
            // The completion knows the slot, and the job in it takes what has come.
            if let Some(id) = ended.first()
                && let Some(runs) = slot.take()
            {
                let answer = answers[id].take().expect("it has ended");
                let right = is_right(runs, &answer.expect("no error"));
                return if right {
                    Ok(())
                } else {
                    Err(Crash::WrongAnswer)
                };
            }
        }
        Err(Crash::Hang)
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::WrongAnswer));

    let rig = Rig::new(DEVICE);
    // Of a thread of its own: a pool with one slot.
    let queue = ReadyQueue::new();
    let ctx = WaitCtx::new();
    queue.attach(&ctx, 1);
    let start = |id| {
        let client = rig.client.clone();
        let started = start_job(&ctx, move || client.run(request(id)));
        started.expect("a job to spare").paused().expect("it waits")
    };
    let first = start(0);
    rig.clock.spend(30_000);
    first.cancel().expect_err("it was given up");
    let mut second = Some(start(1));
    let pool = pool_stats().expect("there were jobs");
    assert_eq!((pool.in_use, pool.idle), (1, 0), "it is on the same slot");

    let mut tokens = Vec::new();
    while let Some(job) = second.take() {
        queue.drain(&mut tokens);
        if tokens.is_empty() {
            rig.step().expect("it has not ended");
            second = Some(job);
            continue;
        }
        tokens.clear();
        match job.resume() {
            async_core::JobOutcome::Finished(ran) => assert_right(1, ran),
            async_core::JobOutcome::Paused(job) => second = Some(job),
        }
    }
    // Told once of the first one's end, as hosts wait for that.
    assert_eq!(rig.client.stats().resumed_early, 1);
    let counters = rig.close();
    assert_eq!((counters.completed, counters.orphaned), (1, 1));
}

/// OpenSSL's `dasync` wakes the job before it pauses, and so does a fast card. A host that looks its
/// job up among those that are paused, or arms an edge-triggered epoll after the pause, misses it.
#[test]
fn a_wake_before_the_pause_is_missed_and_the_job_never_resumed() {
    let old = |completions: &str| -> Result<(), Crash> {
        let rig = Rig::new(&format!("completions = '{completions}'"));
        let answer = rig.submit(0).expect("there is room");
        let mut paused: Vec<u64> = Vec::new();
        // Wakes come from inside the submission, or later; the table is looked at when they come.
        let mut woken = Vec::new();
        let wake = |paused: &[u64], woken: &mut Vec<u64>, ids: Vec<u64>| {
            woken.extend(ids.into_iter().filter(|id| paused.contains(id)));
        };
        wake(&paused, &mut woken, rig.ended());
        paused.push(0);
        while let Some(ended) = rig.step() {
            wake(&paused, &mut woken, ended);
        }
        match woken[..] {
            [0] => answer.take().map(drop).ok_or(Crash::WrongAnswer),
            _ => Err(Crash::Hang),
        }
    };
    assert_eq!(old("threads"), Ok(()));
    assert_eq!(old("before-pause"), Err(Crash::Hang));

    for way in WAYS {
        for completions in ["threads", "before-pause"] {
            let rig = Rig::new(&format!("completions = '{completions}'"));
            let mut host = Host::new(way);
            for id in 0..3 {
                let client = rig.client.clone();
                host.start(move || {
                    assert_right(id, client.run(request(id)));
                    // What is left of the wake is not taken for the next one's.
                    assert_right(id + 10, client.run(request(id + 10)));
                });
            }
            host.run(&rig).expect("no job waits for ever");
            assert_eq!(rig.close().completed, 6, "{way:?}, {completions}");
        }
    }
}

/// From the sources: no stack handles a second completion of the same operation but by an assertion.
/// Without it the record is used again, or freed, a second time.
#[test]
fn a_second_completion_frees_the_record_of_the_next_operation() {
    const DEVICE: &str = "[[faults.script]]\n at_op = 0\n fault = 'duplicate'";
    let old = |completions: u32| -> Result<(), Crash> {
        let mut records = Heap::new();
        let record = records.alloc("operation 0");
        for n in 0..completions {
            // Each one gives the record back; the next operation gets it in between.
            records.free(record)?;
            if n == 0 {
                records.alloc("operation 1");
            }
        }
        Ok(())
    };
    assert_eq!(old(1), Ok(()));
    assert_eq!(old(2), Err(Crash::UseAfterFree));

    for way in WAYS {
        let rig = Rig::new(DEVICE);
        let mut host = Host::new(way);
        let client = rig.client.clone();
        host.start(move || {
            for id in 0..4 {
                assert_right(id, client.run(request(id)));
            }
        });
        host.run(&rig).expect("no job waits for ever");
        let counters = rig.close();
        assert_eq!((counters.completed, counters.duplicates), (4, 1), "{way:?}");
    }

    // And when it comes as late as that, the next operation is under way in the same place.
    let engine = Arc::new(ByHand::default());
    let client = OffloadClient::new(engine.clone());
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    let started = start_job(&ctx, move || {
        (0..2).for_each(|id| assert_right(id, client.run(request(id))));
    });
    let job = started.expect("a job to spare").paused().expect("it waits");
    let first = engine.take();
    let second_time = first.completion.twin();
    first.completion.complete(compute(first.request));
    let job = job.resume().paused().expect("it waits for the next one");
    let again = second_time.complete(compute(request(0)));
    assert_eq!(again, Delivery::Duplicate);
    let second = engine.take();
    second.completion.complete(compute(second.request));
    job.resume().finished().expect("both were right");
}

/// From QAT_Engine's source. The engine counts an operation in flight after it has submitted it, and its completion counts
/// it out before that: whoever decides by the count when to poll decides by a count below zero.
#[test]
fn the_count_of_what_is_in_flight_goes_below_zero() {
    const DEVICE: &str = "completions = 'before-pause'\n ring_depth_max = 4";
    let old = |counts_first: bool| -> Result<(), Crash> {
        let rig = Rig::new(DEVICE);
        let mut in_flight = 0_i64;
        for id in 0..4 {
            in_flight += i64::from(counts_first);
            let _answer = rig.submit(id).expect("there is room");
            for _ in rig.ended() {
                in_flight -= 1;
                if in_flight < 0 {
                    return Err(Crash::Negative);
                }
            }
            in_flight += i64::from(!counts_first);
        }
        Ok(())
    };
    assert_eq!(old(true), Ok(()));
    assert_eq!(old(false), Err(Crash::Negative));

    // Ours: the count is looked at in the wake, which runs inside the submission.
    let rig = Rig::new(DEVICE);
    let counts = Arc::new(Mutex::new(Vec::new()));
    let ctx = WaitCtx::new();
    let (seen, device) = (counts.clone(), rig.device.clone());
    let look = waitctx::Callback::new(move || {
        seen.lock()
            .expect("no panic")
            .push(device.counters().in_flight);
    });
    ctx.set_callback(look).expect("no wake yet");
    let client = rig.client.clone();
    let started = start_job(&ctx, move || {
        (0..4).for_each(|id| assert_right(id, client.run(request(id))));
    });
    started
        .expect("a job to spare")
        .finished()
        .expect("answered at once");
    let counts = std::mem::take(&mut *counts.lock().expect("no panic"));
    assert_eq!(counts.len(), 4, "each was told");
    assert!(counts.iter().all(|in_flight| *in_flight <= 4), "{counts:?}");
    ctx.clear_callback().expect("nothing to move");
    assert_eq!(rig.close().completed, 4);
}

/// asynch_mode_nginx #72. With more workers than instances a worker has none. The software that was
/// there for such cases was asked only when a submission failed, and there was none to submit to.
#[test]
fn there_is_no_instance_and_the_fallback_is_not_asked() {
    const DEAD: &str = "heartbeat = { period_ns = 1_000, misses = 1 }\n\
                        [[faults.script]]\n at_ns = 1\n fault = 'death'";
    let old = |rig: &Rig| -> Result<(), Crash> {
        let has_instance = rig.device.health(0) == Some(sim_engine::Health::Up);
        if !has_instance {
            return Err(Crash::Failed);
        }
        // Here a refusal would go to software.
        rig.submit(0).map(drop).or(Ok(()))
    };
    assert_eq!(old(&Rig::new("")), Ok(()));
    let rig = Rig::new(DEAD).with_fallback();
    rig.clock.spend(10_000);
    assert_eq!(old(&rig), Err(Crash::Failed));

    let refused = rig.submit(0).expect_err("there is no instance");
    assert_eq!(refused.reason, Reason::Down);
    refused.submission.completion.withdraw();
    let mut host = Host::new(WakeBy::Callback);
    let client = rig.client.clone();
    host.start(move || assert_right(0, client.run(request(0))));
    host.run(&rig).expect("software answers at once");
    assert_eq!(rig.client.stats().fell_back, 1);
    assert_eq!(rig.close().submitted, 0);
}
