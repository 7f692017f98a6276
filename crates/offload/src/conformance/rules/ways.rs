//! The ways to be told.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy};
use waitctx::{ReadyQueue, WaitCtx};

use crate::client::OffloadClient;
use crate::conformance::case::{Case, Ran, Subject, broken, skip};
use crate::conformance::lab::{Watched, judge, run, submit};
use crate::conformance::requests::Requests;
use crate::pending::Pending;

/// Jobs in flight at once.
const LIMIT: usize = 32;

pub(super) fn no_lost_wake(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    told_by_callback(case, &engine, &requests)?;
    told_by_queue(case, &engine, &requests)?;
    told_by_fd(case, &engine, &requests)
}

fn told_by_callback(case: &Case, engine: &Subject, requests: &Requests) -> Ran {
    let what = "calls of callbacks for operations that were submitted";
    // One after the other: each is the last one in an idle engine.
    for n in 0..8 {
        let watched = Watched::new();
        let pending = submit(case, &**engine, requests.get(n), &watched.notifier())?;
        case.until(&**engine, what, || usize::from(watched.calls() == 0))?;
        drop(pending);
    }
    let mut waiting: Vec<(Watched, Pending)> = Vec::new();
    for n in 0..2 * case.setup.some() {
        let watched = Watched::new();
        let pending = submit(case, &**engine, requests.get(n), &watched.notifier())?;
        waiting.push((watched, pending));
    }
    case.until(&**engine, what, || {
        waiting.iter().filter(|(w, _)| w.calls() == 0).count()
    })?;
    match waiting.iter().position(|(_, p)| p.take().is_none()) {
        None => Ok(()),
        Some(n) => broken(format!("operation {n} was told of and is not answered")),
    }
}

fn told_by_queue(case: &Case, engine: &Subject, requests: &Requests) -> Ran {
    let queue = ReadyQueue::new();
    let mut waiting = Vec::new();
    for n in 0..case.setup.some() {
        let ctx = WaitCtx::new();
        queue.attach(&ctx, n);
        let Ok(notifier) = ctx.notifier() else {
            return skip("no wake handle for a context with a callback");
        };
        let pending = submit(case, &**engine, requests.get(n), &notifier)?;
        waiting.push((ctx, pending));
    }
    let (mut tokens, mut told) = (Vec::new(), HashSet::new());
    case.until(&**engine, "contexts in their ready queue", || {
        queue.drain(&mut tokens);
        told.extend(tokens.drain(..));
        waiting.len() - told.len()
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn told_by_fd(case: &Case, engine: &Subject, requests: &Requests) -> Ran {
    let mut poller = match waitctx::FdPoller::new() {
        Ok(poller) => poller,
        Err(error) => return skip(format!("no descriptor for it: {error}")),
    };
    let mut waiting = Vec::new();
    for n in 0..LIMIT as u64 {
        let ctx = WaitCtx::new();
        let notifier = match ctx.notifier() {
            Ok(notifier) => notifier,
            Err(error) => return skip(format!("no descriptor for it: {error}")),
        };
        if let Err(error) = poller.follow(&ctx, n) {
            return skip(format!("the wake fd cannot be watched: {error}"));
        }
        let pending = submit(case, &**engine, requests.get(n), &notifier)?;
        waiting.push((ctx, pending));
    }
    let (mut tokens, mut told) = (Vec::new(), HashSet::new());
    case.until(&**engine, "fds that are readable", || {
        // What the system refuses shows as what is missing.
        let _ = poller.wait(&mut tokens, Some(Duration::ZERO));
        told.extend(tokens.drain(..));
        waiting.len() - told.len()
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn told_by_fd(_: &Case, _: &Subject, _: &Requests) -> Ran {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn jobs_by_fd(case: &Case) -> Ran {
    jobs(case, WakeBy::Fd)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn jobs_by_fd(_: &Case) -> Ran {
    skip("there is no epoll here")
}

pub(super) fn jobs_by_shared_fd(case: &Case) -> Ran {
    jobs(case, WakeBy::SharedFd)
}

pub(super) fn jobs_by_callback(case: &Case) -> Ran {
    jobs(case, WakeBy::Callback)
}

pub(super) fn jobs_polling(case: &Case) -> Ran {
    jobs(case, WakeBy::Polling)
}

fn jobs(case: &Case, wake: WakeBy) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    // Without a time-out: its watchdog would make up for a wake that is lost.
    let client = OffloadClient::new(engine.engine.clone()).with_timeout(None);
    run_jobs(
        case,
        &engine,
        &requests,
        &client,
        wake,
        2 * case.setup.some(),
    )
}

/// Runs one job for each of the first `count` requests, two operations each.
pub(super) fn run_jobs(
    case: &Case,
    engine: &Subject,
    requests: &Requests,
    client: &OffloadClient,
    wake: WakeBy,
    count: u64,
) -> Ran {
    let mut set = match JobSet::new(LIMIT, wake) {
        Ok(set) => set,
        Err(error) => return skip(format!("no descriptor for it: {error}")),
    };
    let (polled, patience) = (engine.is_polled(), case.setup.patience);
    let timeout = match polled {
        true => Duration::ZERO,
        false => Duration::from_millis(5),
    };
    let (mut next, mut done) = (0, 0);
    let mut moved = Instant::now();
    let mut wrong = None;
    case.doing("running jobs");
    while done < count {
        let before = done;
        let mut each = |_n: u64, ran: [Option<String>; 2]| {
            wrong = wrong.take().or(ran.into_iter().flatten().next());
            done += 1;
        };
        while next < count && set.has_room() {
            let (client, requests, n) = (client.clone(), requests.clone(), next);
            let job =
                move || [n, n + count].map(|n| judge(&requests, n, run(&client, requests.get(n))));
            match set.start(n, job) {
                Ok(Some(ran)) => each(n, ran),
                Ok(None) => {}
                Err(error) => return skip(format!("a job could not be started: {error}")),
            }
            next += 1;
        }
        if polled {
            engine.poll(0);
        }
        if let Err(error) = set.turn(Some(timeout), &mut each) {
            return skip(format!("the jobs could not be waited for: {error}"));
        }
        if let Some(wrong) = wrong {
            return broken(format!("in a job: {wrong}"));
        }
        if done > before {
            moved = Instant::now();
            case.step();
        } else if moved.elapsed() > patience {
            let stuck = set.in_flight();
            return broken(format!(
                "{stuck} jobs are paused, and none went on for {patience:?}"
            ));
        }
    }
    drop(set);
    case.at_rest(&**engine).map(drop)
}
