//! The engine ends, or a thread does.

use async_core::JobOutcome;

use super::ends::still_works;
use super::jobs::{patient_client, start};
use crate::conformance::case::{Case, Ran, Subject, broken, demand, skip};
use crate::conformance::lab::{UnderWay, Watched, unanswered};
use crate::conformance::requests::Requests;
use crate::engine::{Reason, Refused, Submission};
use crate::pending::Pending;
use crate::request::FailureKind;

pub(super) fn shutdown_ends_everything(case: &Case) -> Ran {
    // Several times: how far the engine has come is chance.
    for round in 0..4 {
        let engine = case.engine();
        let requests = case.requests(&*engine.engine)?;
        let (ops, _contexts) = in_flight(case, &engine, &requests, 1 + round * 21)?;
        ended(case, engine, &requests, ops)?;
    }
    if case.engine().has_shutdown() {
        jobs_end_too(case)?;
    }
    Ok(())
}

/// Submits `count` operations, or as many as there is room for.
fn in_flight(
    case: &Case,
    engine: &Subject,
    requests: &Requests,
    count: u64,
) -> Ran<(Vec<UnderWay>, Vec<Watched>)> {
    case.doing("submitting");
    let (mut ops, mut contexts) = (Vec::new(), Vec::new());
    for n in 0..count {
        let watched = Watched::new();
        let (pending, completion) = Pending::new(watched.notifier());
        let submission = Submission {
            request: requests.get(n),
            completion,
            ticket: None,
        };
        match engine.submit(submission) {
            Ok(()) => ops.push(UnderWay::new(n, pending)),
            Err(Refused {
                reason: Reason::RingFull | Reason::Throttled,
                submission,
            }) => {
                submission.completion.withdraw();
                break;
            }
            Err(refused) => return broken(format!("operation {n} was refused: {refused}")),
        }
        contexts.push(watched);
    }
    Ok((ops, contexts))
}

fn ended(case: &Case, engine: Subject, requests: &Requests, mut ops: Vec<UnderWay>) -> Ran {
    let in_flight = unanswered(&mut ops);
    // Dropping is the default, so nobody else may hold it.
    engine.shut_down(case);
    let waited = case.until(&Nothing, "operations that the engine ended with", || {
        unanswered(&mut ops)
    });
    if waited.is_err() {
        let left = unanswered(&mut ops);
        let all = ops.len();
        return broken(format!(
            "{left} of {all} operations were never answered; {in_flight} were in flight at the \
             shutdown"
        ));
    }
    for op in &ops {
        match &op.answer {
            Some(Ok(_)) | None => {}
            Some(Err(failure)) => match failure.kind {
                FailureKind::Down | FailureKind::Dropped | FailureKind::Cancelled => continue,
                _ => {}
            },
        }
        if let Some(answer) = &op.answer
            && let Some(wrong) = requests.judge(op.n, answer)
        {
            return broken(format!("at the shutdown: {wrong}"));
        }
    }
    Ok(())
}

/// With jobs that wait, and others that hold the engine.
fn jobs_end_too(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    let still_there = engine.engine.clone();
    let mut jobs = Vec::new();
    for n in 0..16 {
        let watched = Watched::new();
        case.doing("starting a job");
        if let JobOutcome::Paused(job) = start(&watched, &client, &requests, n)? {
            jobs.push((Some(job), watched, 0));
        }
    }
    engine.shut_down(case);
    let (_, completion) = Pending::new(Watched::new().notifier());
    let late = Submission {
        request: requests.get(0),
        completion,
        ticket: None,
    };
    case.doing("submitting to an engine that was shut down");
    if let Err(refused) = still_there.submit(late) {
        demand(refused.reason == Reason::Down, || {
            format!("after the shutdown submit refuses because: {refused}")
        })?;
        refused.submission.completion.withdraw();
    }
    // All of them together: one that waits for room has it from the one before it.
    case.until(&Nothing, "jobs that the engine ended with", || {
        for (slot, watched, seen) in &mut jobs {
            let calls = watched.calls();
            if calls == *seen {
                continue;
            }
            *seen = calls;
            // An answer or a failure: both are an end.
            *slot = slot.take().and_then(|job| job.resume().paused());
        }
        jobs.iter().filter(|(job, ..)| job.is_some()).count()
    })
}

/// In the place of an engine that is gone: it needs no polling.
struct Nothing;

impl crate::engine::Engine for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn supports(&self, _: crate::request::OpKind) -> bool {
        false
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let reason = Reason::Down;
        Err(Refused { reason, submission })
    }

    fn counters(&self) -> crate::engine::Counters {
        crate::engine::Counters::default()
    }
}

pub(super) fn threads_may_end(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    for forget in [false, true] {
        let client = patient_client(&engine);
        let (case_there, there) = (case.clone(), requests.clone());
        let thread = std::thread::spawn(move || -> Ran {
            let mut paused = Vec::new();
            for n in 0..8 {
                let watched = Watched::new();
                case_there.doing("starting a job on a thread that ends");
                let refused = client.stats().ring_full;
                let outcome = start(&watched, &client, &there, n)?;
                let in_line = client.stats().ring_full > refused;
                match outcome {
                    // Nobody comes back for it: its stack stays, with what is on it. Not from the
                    // line: the room that is kept for it would stay too.
                    JobOutcome::Paused(job) if forget && !in_line => std::mem::forget(job),
                    JobOutcome::Paused(job) => paused.push(job),
                    JobOutcome::Finished(_) => {}
                }
            }
            // Dropped here, as the thread ends.
            drop(paused);
            Ok(())
        });
        case.doing("ending a thread whose jobs are paused");
        match thread.join() {
            Ok(ran) => ran?,
            Err(_) => return broken("a thread panicked as it ended with paused jobs"),
        }
        still_works(case, &engine, &requests)?;
    }
    match engine.counters().balance() {
        true => Ok(()),
        false => skip("the counters were at rest, and have moved since"),
    }
}
