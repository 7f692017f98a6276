//! Operations in one job, around its pauses, and outside.

use async_core::{Job, JobOutcome, Pause, block_pause, pause_job, start_job};

use crate::client::OffloadClient;
use crate::conformance::case::{Case, Ran, Subject, broken, demand, skip};
use crate::conformance::lab::{
    UnderWay, Watched, all_right, answered, begin, judge, run, submit, submit_with,
};
use crate::conformance::requests::Requests;
use crate::pending::Pending;
use crate::request::{Failure, FailureKind};

/// What became of an operation in a job: what is wrong, if anything.
type Judged = Option<String>;

/// Starts a job that runs request `n` by `client`.
pub(super) fn start(
    watched: &Watched,
    client: &OffloadClient,
    requests: &Requests,
    n: u64,
) -> Ran<JobOutcome<Judged>> {
    let (client, requests) = (client.clone(), requests.clone());
    let job = move || judge(&requests, n, run(&client, requests.get(n)));
    start_job(&watched.ctx, job)
        .or_else(|error| skip(format!("a job could not be started: {error}")))
}

/// Resumes `job` each time that it is woken until it finishes. `wakes` were seen already.
pub(super) fn finish(
    case: &Case,
    engine: &Subject,
    watched: &Watched,
    job: Job<Judged>,
    wakes: u64,
) -> Ran {
    let (mut job, mut seen) = (job, wakes);
    loop {
        case.until(&**engine, "wake for a paused job", || {
            usize::from(watched.calls() == seen)
        })?;
        seen = watched.calls();
        match job.resume() {
            JobOutcome::Finished(judged) => return no_complaint(judged),
            JobOutcome::Paused(again) => job = again,
        }
    }
}

fn no_complaint(judged: Judged) -> Ran {
    match judged {
        None => Ok(()),
        Some(wrong) => broken(format!("in a job: {wrong}")),
    }
}

/// Without a time-out: its watchdog would make up for a wake that is lost.
pub(super) fn patient_client(engine: &Subject) -> OffloadClient {
    OffloadClient::new(engine.engine.clone()).with_timeout(None)
}

pub(super) fn completes_before_the_pause(case: &Case) -> Ran {
    for pauses in [false, true] {
        let engine = case.engine();
        let requests = case.requests(&*engine.engine)?;
        for n in 0..8 {
            let watched = Watched::new();
            let notifier = watched.notifier();
            let pending = submit(case, &*engine.engine, requests.get(n), &notifier)?;
            // It runs on with the operation on its way, until the wake has come.
            case.until(&*engine.engine, "wake while the job runs", || {
                usize::from(watched.calls() == 0)
            })?;
            let job = move || {
                let paused = pauses.then(pause_job);
                (paused, pending.take())
            };
            let outcome = start_job(&watched.ctx, job)
                .or_else(|error| skip(format!("a job could not be started: {error}")))?;
            let answer = match outcome {
                JobOutcome::Finished((_, answer)) => answer,
                JobOutcome::Paused(job) => {
                    // It was woken before it paused, so it may go on at once.
                    let Some((paused, answer)) = job.resume().finished() else {
                        return broken("a job paused twice".to_owned());
                    };
                    demand(matches!(paused, Some(Ok(Pause::Resumed))), || {
                        "the pause did not end with the resume".into()
                    })?;
                    answer
                }
            };
            let mut op = UnderWay::new(n, gone());
            op.answer = answer;
            all_right(&requests, &[op])?;
        }
    }
    Ok(())
}

/// A place for an operation whose answer was taken elsewhere.
fn gone() -> Pending {
    let (pending, completion) = Pending::new(Watched::new().notifier());
    completion.withdraw();
    pending
}

pub(super) fn completes_after_the_pause(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    for n in 0..16 {
        let watched = Watched::new();
        case.doing("starting a job");
        match start(&watched, &client, &requests, n)? {
            JobOutcome::Finished(judged) => no_complaint(judged)?,
            JobOutcome::Paused(job) => finish(case, &engine, &watched, job, 0)?,
        }
    }
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn answer_for_another_thread(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    // Submitted on several threads, each of which ends before anything is awaited.
    for thread in 0..4 {
        let (case, shared, requests) = (case.clone(), engine.engine.clone(), requests.clone());
        let submitter = std::thread::spawn(move || -> Ran<Vec<_>> {
            (thread * 16..thread * 16 + 16)
                .map(|n| begin(&case, &*shared, &requests, n))
                .collect()
        });
        let Ok(begun) = submitter.join() else {
            return broken("submit panicked on a thread of its own");
        };
        for (op, watched) in begun? {
            ops.push(op);
            contexts.push(watched);
        }
    }
    answered(case, &*engine.engine, &mut ops)?;
    all_right(&requests, &ops)
}

pub(super) fn outside_a_job(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    case.doing("waiting for operations outside jobs");
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let (case, client, requests) = (case.clone(), client.clone(), requests.clone());
            std::thread::spawn(move || {
                let mut ns = thread * 16..thread * 16 + 16;
                ns.find_map(|n| {
                    case.step();
                    judge(&requests, n, run(&client, requests.get(n)))
                })
            })
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(None) => {}
            Ok(Some(wrong)) => return broken(format!("outside a job: {wrong}")),
            Err(_) => return broken("an operation outside a job panicked"),
        }
    }
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn in_a_blocked_job(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    for n in 0..8 {
        let watched = Watched::new();
        let (client, requests) = (client.clone(), requests.clone());
        case.doing("waiting for an operation in a job that must not pause");
        let job = move || {
            let _blocked = block_pause();
            judge(&requests, n, run(&client, requests.get(n)))
        };
        let outcome = start_job(&watched.ctx, job)
            .or_else(|error| skip(format!("a job could not be started: {error}")))?;
        match outcome {
            JobOutcome::Finished(judged) => no_complaint(judged)?,
            JobOutcome::Paused(_) => return broken("a job that must not pause has paused"),
        }
    }
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn spurious_resumes_are_harmless(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    'next: for n in 0..16 {
        let watched = Watched::new();
        case.doing("starting a job");
        let mut job = match start(&watched, &client, &requests, n)? {
            JobOutcome::Finished(judged) => {
                no_complaint(judged)?;
                continue;
            }
            JobOutcome::Paused(job) => job,
        };
        let mut seen = watched.calls();
        for _ in 0..5 {
            // Its wake may be among these.
            seen = watched.calls();
            match job.resume() {
                JobOutcome::Finished(judged) => {
                    no_complaint(judged)?;
                    continue 'next;
                }
                JobOutcome::Paused(again) => job = again,
            }
        }
        finish(case, &engine, &watched, job, seen)?;
    }
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn double_answers_are_harmless(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let before = engine.counters();
    for n in 0..8 {
        let watched = Watched::new();
        let (pending, completion) = Pending::new(watched.notifier());
        // What a device does that answers again later: after its own engine has.
        let again = completion.twin();
        submit_with(case, &*engine.engine, requests.get(n), completion)?;
        case.until(&*engine.engine, "wakes", || {
            usize::from(watched.calls() == 0)
        })?;
        let _ = again.complete(Err(Failure::lost(FailureKind::Device { status: 1 })));
        for _ in 0..3 {
            // A wake after the end: nobody waits, and nobody is hurt.
            let _ = watched.notifier().notify(waitctx::Status::Again);
        }
        let mut op = UnderWay::new(n, pending);
        op.look();
        all_right(&requests, &[op])?;
    }
    let now = case.at_rest(&*engine.engine)?;
    demand(
        now.completed + now.failed - before.completed - before.failed == 8,
        || format!("8 operations were answered, each a second time by somebody else: {now:?}"),
    )
}
