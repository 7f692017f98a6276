//! No room.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use async_core::WakeBy;

use super::contract::handed_back;
use super::jobs::patient_client;
use super::ways::run_jobs;
use crate::conformance::case::{Case, Ran, Subject, broken, demand, lock, skip};
use crate::conformance::lab::{
    Filled, InLine, Stall, UnderWay, Watched, all_right, answered, drive, submit, unanswered,
};
use crate::conformance::requests::Requests;
use crate::engine::{Reason, Refused, Submission};
use crate::pending::Pending;

fn never_full<T>(filled: &Filled) -> Ran<T> {
    let taken = filled.ops.len();
    skip(format!(
        "the engine took {taken} operations on and was not full; if it has a bound, give it to \
         Setup::ring_bound"
    ))
}

/// Waits until `op` is answered or refused no more, submitting it anew.
fn insist(case: &Case, subject: &Subject, submission: Submission) -> Ran {
    let mut next = Some(submission);
    let mut last = Reason::RingFull;
    let taken = case.until(&**subject, "room for what was refused before", || {
        let Some(submission) = next.take() else {
            return 0;
        };
        match subject.submit(submission) {
            Ok(()) => 0,
            Err(Refused { reason, submission }) => {
                last = reason;
                next = Some(submission);
                1
            }
        }
    });
    match taken {
        Ok(()) => Ok(()),
        Err(_) => broken(format!("what was refused was never taken on: {last}")),
    }
}

pub(super) fn full_ring_hands_back(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    let mut filled = stall.fill(case, &engine, &requests)?;
    let Some((op, submission)) = filled.refused.take() else {
        return never_full(&filled);
    };
    case.doing("looking at what was refused");
    handed_back(&submission, &requests.get(op.n), &op.pending)?;
    // Of the others nobody wants to know: the engine may be slow.
    let kept = filled.ops.len().min(8);
    filled.ops.truncate(kept);
    stall.release();
    insist(case, &engine, submission)?;
    filled.ops.push(op);
    answered(case, &*engine.engine, &mut filled.ops)?;
    all_right(&requests, &filled.ops)?;
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn ring_bound_holds(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    let mut filled = stall.fill(case, &engine, &requests)?;
    if filled.refused.is_none() && case.setup.ring_bound.is_none() {
        return never_full(&filled);
    }
    case.doing("counting what is in flight, with the engine's threads busy in callbacks");
    let taken = filled.ops.len();
    let bound = case.setup.ring_bound.map_or(taken, |bound| bound as usize);
    let mut open = 0;
    let mut counted = 0;
    // An engine gives the place up before it answers, so its threads may be between the two; and it
    // knows what became of an answer, and can count it, only when it has told of it.
    let threads = stall.threads();
    let over = holds_soon(case, &engine, || {
        open = unanswered(&mut filled.ops);
        counted = usize::try_from(engine.counters().in_flight).unwrap_or(usize::MAX);
        open.saturating_sub(bound) + counted.saturating_sub(bound + threads)
    });
    demand(over, || {
        format!("{open} operations are in flight, {counted} by the counters, with room for {bound}")
    })?;
    // Those that are told of just now may count as either.
    let told = holds_soon(case, &engine, || {
        open = unanswered(&mut filled.ops);
        counted = usize::try_from(engine.counters().in_flight).unwrap_or(usize::MAX);
        usize::from(counted < open || counted > open + threads)
    });
    demand(told, || {
        format!("{open} operations are not answered, and in_flight is {counted}")
    })
}

/// Whether nothing is left over within the patience, without driving the engine.
fn holds_soon(case: &Case, engine: &Subject, mut over: impl FnMut() -> usize) -> bool {
    if engine.is_polled() {
        return over() == 0;
    }
    case.until(&**engine, "operations too many in flight", over)
        .is_ok()
}

/// A full ring with a line before it, one of whom is gone again.
struct Queue {
    engine: Subject,
    requests: Requests,
    line: Vec<InLine>,
    order: Order,
}

/// Who was woken, one after the other, and on which thread.
type Order = Arc<Mutex<Vec<(usize, ThreadId)>>>;

fn queue(case: &Case) -> Ran<Queue> {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    let filled = stall.fill(case, &engine, &requests)?;
    if filled.refused.is_none() {
        return never_full(&filled);
    }
    case.doing("getting in line, with the engine's threads busy in callbacks");
    let order = Order::default();
    let mut line = Vec::new();
    for at in 0..9 {
        let order = Arc::clone(&order);
        let watched = Watched::with(move || lock(&order).push((at, thread::current().id())));
        match InLine::join(&engine, &requests.get(at as u64), watched) {
            Some(waiter) => line.push(waiter),
            None => return skip("the engine has no line: queue_for_room gives no ticket"),
        }
    }
    // Who leaves the line is passed over.
    drop(line.remove(2));
    if let Some((_, submission)) = filled.refused {
        submission.completion.withdraw();
    }
    // The engine may be slow: nobody wants to know of those.
    drop(filled.ops);
    stall.release();
    Ok(Queue {
        engine,
        requests,
        line,
        order,
    })
}

impl Queue {
    /// Everybody in line goes in, when it is their turn and they were told so.
    fn all_go_in(&mut self, case: &Case) -> Ran {
        let engine = Arc::clone(&self.engine.engine);
        for n in 0..self.line.len() as u64 {
            let mut turn = None;
            case.until(&*engine, "turns of those in line", || {
                turn = self.line.iter().position(InLine::is_granted);
                usize::from(turn.is_none())
            })?;
            let Some(turn) = turn else {
                return Ok(());
            };
            let waiter = self.line.remove(turn);
            case.until(&*engine, "wakes for those who have room now", || {
                usize::from(!waiter.at_once && waiter.watched.calls() == 0)
            })?;
            self.goes_in(case, n, waiter)?;
        }
        case.at_rest(&*engine).map(drop)
    }

    fn goes_in(&self, case: &Case, n: u64, mut waiter: InLine) -> Ran {
        // Told of its answer elsewhere: the first context is for room.
        let watched = Watched::new();
        let (pending, completion) = Pending::new(watched.notifier());
        let mut submission = Submission {
            request: self.requests.get(n),
            completion,
            ticket: waiter.ticket.take(),
        };
        case.doing("submitting with a ticket whose turn it is");
        while let Err(refused) = self.engine.submit(submission) {
            demand(refused.reason == Reason::Throttled, || {
                format!("a ticket was granted, and then refused: {refused}")
            })?;
            submission = refused.submission;
            drive(&*self.engine.engine);
        }
        let mut op = [UnderWay::new(n, pending)];
        answered(case, &*self.engine.engine, &mut op)?;
        all_right(&self.requests, &op)
    }
}

pub(super) fn room_wakes_each_waiter(case: &Case) -> Ran {
    queue(case)?.all_go_in(case)
}

pub(super) fn line_is_fair(case: &Case) -> Ran {
    if case.setup.rings > 1 {
        return skip("there are several rings, each with a line of its own");
    }
    let mut queue = queue(case)?;
    queue.all_go_in(case)?;
    let order = lock(&queue.order).clone();
    // Threads that give places up at one moment may overtake each other on their way to tell.
    let threads: HashSet<_> = order.iter().map(|(_, thread)| thread).collect();
    let order: Vec<_> = order.iter().map(|(at, _)| *at).collect();
    let mut rest = order.iter();
    while let Some(at) = rest.next() {
        let overtaken = rest.clone().filter(|later| *later < at).count();
        demand(overtaken < threads.len(), || {
            format!("those in line were woken in the order {order:?}")
        })?;
    }
    Ok(())
}

pub(super) fn everybody_gets_in(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    let filled = stall.fill(case, &engine, &requests)?;
    let Some((op, submission)) = filled.refused else {
        return never_full(&filled);
    };
    submission.completion.withdraw();
    drop((op, filled.ops));
    // The jobs come while it is full, and it is full again and again with a small ring.
    let client = patient_client(&engine);
    let releases = {
        let case = case.clone();
        let seen = client.clone();
        thread::spawn(move || {
            let began = std::time::Instant::now();
            while seen.stats().ring_full == 0 && began.elapsed() < case.setup.patience / 4 {
                thread::sleep(std::time::Duration::from_millis(1));
            }
            stall.release();
        })
    };
    let ran = run_jobs(
        case,
        &engine,
        &requests,
        &client,
        WakeBy::Callback,
        case.setup.some(),
    );
    drop(releases.join());
    ran?;
    // Beside them, one outside a job.
    let watched = Watched::new();
    let pending = submit(case, &*engine.engine, requests.get(0), &watched.notifier())?;
    let mut last = [UnderWay::new(0, pending)];
    answered(case, &*engine.engine, &mut last)?;
    all_right(&requests, &last)
}
