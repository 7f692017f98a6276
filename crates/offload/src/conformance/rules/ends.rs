//! Whoever waits is gone before the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_core::{Job, JobOutcome};
use waitctx::{Key, WaitFd};

use super::jobs::{finish, patient_client, start};
use crate::client::OffloadClient;
use crate::conformance::case::{Case, Ran, Subject, broken, demand, skip};
use crate::conformance::lab::{
    InLine, Stall, UnderWay, Watched, all_right, answered, begin, run, submit,
};
use crate::conformance::requests::Requests;
use crate::watchdog::Ticker;

/// Jobs whose end comes early, in each round.
const JOBS: u64 = 16;

pub(super) fn late_answers_are_orphaned(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let before = engine.counters();
    let stall = Stall::new(case);
    let notifier = stall.notifier();
    let room = u64::from(case.setup.ring_bound.unwrap_or(u32::MAX));
    let count = case.setup.some().min(room);
    case.doing("submitting, with the engine's threads busy in callbacks");
    let mut pending = Vec::new();
    for n in 0..count {
        let (one, completion) = crate::pending::Pending::new(notifier.clone());
        let submission = crate::engine::Submission {
            request: requests.get(n),
            completion,
            ticket: None,
        };
        match engine.submit(submission) {
            Ok(()) => pending.push(one),
            // It is full: these will do.
            Err(refused) => {
                refused.submission.completion.withdraw();
                break;
            }
        }
    }
    let count = pending.len() as u64;
    // Answered on this very thread so far, by an engine that answers in submit.
    let on_the_spot = stall.calls();
    drop(pending);
    stall.release();
    let now = case.at_rest(&*engine.engine)?;
    // A thread of the engine's was held by the first answer that it gave.
    let at_most = on_the_spot + stall.threads() as u64;
    let answered = now.completed + now.failed - before.completed - before.failed;
    let orphaned = now.orphaned - before.orphaned;
    demand(answered + orphaned == count, || {
        format!("{count} operations were submitted and given up; the counters: {now:?}")
    })?;
    demand(answered <= at_most, || {
        format!(
            "of {count} operations that were given up, at most {at_most} had been answered before; \
             the counters say {answered}, and {orphaned} orphaned"
        )
    })?;
    drop(stall);
    still_works(case, &engine, &requests)
}

/// Demands that the engine is none the worse for it.
pub(super) fn still_works(case: &Case, engine: &Subject, requests: &Requests) -> Ran {
    for n in 0..4 {
        let (op, _watched) = begin(case, &*engine.engine, requests, n)?;
        let mut op = [op];
        answered(case, &*engine.engine, &mut op)?;
        all_right(requests, &op)?;
    }
    case.at_rest(&*engine.engine).map(drop)
}

type Judged = Option<String>;

/// Starts jobs, lets `end` make an end of those that pause, and looks what is left.
fn early_ends(case: &Case, end: impl Fn(Job<Judged>, Watched, OffloadClient)) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    let mut paused = Vec::new();
    for n in 0..JOBS {
        let watched = Watched::new();
        case.doing("starting a job");
        match start(&watched, &client, &requests, n)? {
            JobOutcome::Finished(None) => {}
            JobOutcome::Finished(Some(wrong)) => return broken(format!("in a job: {wrong}")),
            JobOutcome::Paused(job) => paused.push((job, watched)),
        }
    }
    case.doing("ending jobs whose operations are in flight");
    for (job, watched) in paused {
        end(job, watched, client.clone());
        case.step();
    }
    drop(client);
    still_works(case, &engine, &requests)
}

pub(super) fn jobs_may_be_cancelled(case: &Case) -> Ran {
    early_ends(case, |job, watched, _client| {
        // Its result is that it was cancelled, or the answer.
        drop(job.cancel());
        drop(watched);
    })
}

pub(super) fn jobs_may_be_dropped(case: &Case) -> Ran {
    early_ends(case, |job, watched, client| {
        drop(job);
        drop(watched);
        drop(client);
    })
}

pub(super) fn contexts_may_be_dropped(case: &Case) -> Ran {
    early_ends(case, |job, watched, client| {
        drop(client);
        drop(watched);
        drop(job);
    })
}

pub(super) fn operations_may_time_out(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let ticker = Ticker::new();
    let client = OffloadClient::new(engine.engine.clone()).with_ticker(&ticker);
    let mut paused = Vec::new();
    for n in 0..JOBS {
        let watched = Watched::new();
        case.doing("starting a job");
        let (client, requests) = (client.clone(), requests.clone());
        let job = move || {
            // The answer, or that it timed out: both are right.
            drop(run(&client, requests.get(n)));
            None
        };
        match async_core::start_job(&watched.ctx, job) {
            Ok(JobOutcome::Paused(job)) => paused.push((job, watched)),
            Ok(JobOutcome::Finished(_)) => {}
            Err(error) => return skip(format!("a job could not be started: {error}")),
        }
    }
    case.doing("letting operations time out");
    for _ in 0..=Ticker::TICKS {
        ticker.tick();
    }
    for (job, watched) in paused {
        finish(case, &engine, &watched, job, 0)?;
    }
    still_works(case, &engine, &requests)
}

pub(super) fn nothing_touched_after_the_end(case: &Case) -> Ran {
    contexts_are_let_go(case)?;
    ended_jobs_are_left_alone(case)?;
    refused_ones_are_left_alone(case)
}

/// Nobody but the application keeps a context, whatever became of its job.
fn contexts_are_let_go(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    let key = Key::new();
    for n in 0..8 {
        let watched = Watched::new();
        let cleaned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cleaned);
        case.doing("starting a job");
        let outcome = start(&watched, &client, &requests, n)?;
        // No fd: a cleanup function, to see when the context goes.
        let mark = WaitFd::foreign(-1);
        let mark = mark.on_cleanup(move |_, _, _, _| flag.store(true, Ordering::SeqCst));
        if watched.ctx.set_wait_fd(key, mark).is_err() {
            return skip("a fresh context has a wait fd under a fresh key");
        }
        match outcome {
            JobOutcome::Finished(_) => {}
            JobOutcome::Paused(job) if n % 2 == 0 => drop(job.cancel()),
            JobOutcome::Paused(job) => finish(case, &engine, &watched, job, 0)?,
        }
        drop(watched);
        demand(cleaned.load(Ordering::SeqCst), || {
            format!("the context of operation {n} is kept alive by somebody, after job and owner")
        })?;
    }
    case.at_rest(&*engine.engine).map(drop)
}

/// No wake after the one that was owed.
fn ended_jobs_are_left_alone(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    let mut ended = Vec::new();
    for n in 0..JOBS {
        let watched = Watched::new();
        case.doing("starting a job");
        let in_line_before = client.stats().ring_full;
        match start(&watched, &client, &requests, n)? {
            JobOutcome::Finished(_) => {}
            JobOutcome::Paused(job) => {
                // A wake for room, and one for the answer.
                finish(case, &engine, &watched, job, 0)?;
            }
        }
        if client.stats().ring_full == in_line_before {
            ended.push((n, watched));
        }
    }
    case.at_rest(&*engine.engine)?;
    // Others use whatever these have left behind.
    for n in JOBS..3 * JOBS {
        let (op, _watched) = begin(case, &*engine.engine, &requests, n)?;
        answered(case, &*engine.engine, &mut [op])?;
    }
    drop(client);
    engine.shut_down(case);
    for (n, watched) in ended {
        let calls = watched.calls();
        demand(calls <= 1, || {
            let again = calls - 1;
            format!("operation {n} had ended, and its context was woken {again} times more")
        })?;
    }
    Ok(())
}

/// No answer to what was refused, and no wake for who has left the line.
fn refused_ones_are_left_alone(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    let filled = stall.fill(case, &engine, &requests)?;
    let Some((op, submission)) = filled.refused else {
        // Nothing was refused.
        return Ok(());
    };
    case.doing("leaving the line, with the engine's threads busy in callbacks");
    let left = InLine::join(&engine, &submission.request, Watched::new())
        .filter(|waiter| !waiter.at_once && !waiter.is_granted());
    let left = left.map(|mut waiter| {
        drop(waiter.ticket.take());
        waiter.watched
    });
    drop(filled.ops);
    stall.release();
    case.at_rest(&*engine.engine)?;
    for n in 0..8 {
        let watched = Watched::new();
        let pending = submit(case, &*engine.engine, requests.get(n), &watched.notifier())?;
        answered(case, &*engine.engine, &mut [UnderWay::new(n, pending)])?;
    }
    engine.shut_down(case);
    demand(op.pending.take().is_none(), || {
        "an operation was refused, and answered later all the same".into()
    })?;
    submission.completion.withdraw();
    let calls = left.map_or(0, |watched| watched.calls());
    demand(calls == 0, || {
        format!("somebody had left the line before its turn, and was woken {calls} times")
    })
}
