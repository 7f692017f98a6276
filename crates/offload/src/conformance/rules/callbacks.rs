//! Calls into the engine that must not wait: from callbacks, with its threads busy, for a poll.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::conformance::case::{Case, Ran, demand, lock, skip};
use crate::conformance::lab::{Stall, UnderWay, Watched, answered, begin, submit, unanswered};
use crate::conformance::requests::Requests;
use crate::engine::{Engine, Submission};
use crate::pending::Pending;

pub(super) fn submit_does_not_block(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let stall = Stall::new(case);
    // It returns: the suite would give up otherwise.
    let filled = stall.fill(case, &engine, &requests)?;
    case.doing("submitting to a full ring, with the engine's threads busy in callbacks");
    let mut more = Vec::new();
    for n in 0..8 {
        let (pending, completion) = Pending::new(stall.notifier());
        let submission = Submission {
            request: requests.get(n),
            completion,
            ticket: None,
        };
        // Either will do.
        match engine.submit(submission) {
            Ok(()) => more.push(pending),
            Err(refused) => refused.submission.completion.withdraw(),
        }
        case.step();
    }
    case.doing("asking for counters, with the engine's threads busy in callbacks");
    let _ = engine.counters();
    // Nobody waits for them: the engine may be slow.
    drop((filled, more));
    stall.release();
    case.at_rest(&*engine.engine).map(drop)
}

/// What a callback needs to go on submitting.
struct Chain {
    engine: Arc<dyn Engine>,
    requests: Requests,
    left: AtomicU64,
    ops: Mutex<Vec<UnderWay>>,
    contexts: Mutex<Vec<Watched>>,
    /// Not everything was taken on, which is the engine's right: the chain ends there.
    refused: AtomicBool,
}

impl Chain {
    /// Submits one more, whose callback does the same.
    fn go_on(self: &Arc<Chain>) {
        let left = &self.left;
        let Ok(n) = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        else {
            return;
        };
        // Not the chain itself, which holds the context.
        let chain = Arc::downgrade(self);
        let watched = Watched::with(move || {
            if let Some(chain) = chain.upgrade() {
                chain.from_callback();
            }
        });
        let (pending, completion) = Pending::new(watched.notifier());
        let submission = Submission {
            request: self.requests.get(n),
            completion,
            ticket: None,
        };
        // Before the submission, which may call back at once.
        lock(&self.ops).push(UnderWay::new(n, pending));
        lock(&self.contexts).push(watched);
        if let Err(refused) = self.engine.submit(submission) {
            self.refused.store(true, Ordering::SeqCst);
            lock(&self.ops).retain(|op| op.n != n);
            // Nobody will call this one.
            lock(&self.contexts).pop();
            refused.submission.completion.withdraw();
        }
    }

    fn from_callback(self: &Arc<Chain>) {
        let request = self.requests.get(0);
        let _ = self.engine.supports(request.op.kind());
        let _ = self.engine.counters();
        let notifier = Watched::new().notifier();
        drop(self.engine.queue_for_room(&request, &notifier));
        self.engine.poll(1);
        self.go_on();
    }
}

pub(super) fn callback_may_use_the_engine(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let chain = Arc::new(Chain {
        engine: engine.engine.clone(),
        requests: requests.clone(),
        left: AtomicU64::new(24),
        ops: Mutex::default(),
        contexts: Mutex::default(),
        refused: AtomicBool::new(false),
    });
    case.doing("submitting, with a callback that submits in turn: it does not come back");
    chain.go_on();
    case.until(
        &*engine.engine,
        "operations that callbacks submitted",
        || {
            let open = unanswered(&mut lock(&chain.ops));
            // Counted when the callback has returned.
            let calls = lock(&chain.contexts)
                .iter()
                .filter(|w| w.calls() == 0)
                .count();
            let over =
                chain.refused.load(Ordering::SeqCst) || chain.left.load(Ordering::SeqCst) == 0;
            open + calls + usize::from(!over)
        },
    )?;
    case.at_rest(&*engine.engine).map(drop)
}

pub(super) fn poll_honours_its_quota(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    if !engine.is_polled() {
        let (op, _watched) = begin(case, &*engine.engine, &requests, 0)?;
        demand(engine.poll(0) == 0, || {
            "drive() says that the engine completes by itself, and poll() completed something"
                .into()
        })?;
        answered(case, &*engine.engine, &mut [op])?;
        return skip("the engine completes by itself; its poll() does nothing, as it should");
    }
    case.doing("polling with nothing to do");
    demand(engine.poll(0) == 0, || {
        "poll() says that it completed something, and nothing was submitted".into()
    })?;
    let room = u64::from(case.setup.ring_bound.unwrap_or(u32::MAX));
    let mut contexts = Vec::new();
    let mut ops = Vec::new();
    for n in 0..10.min(room) {
        let watched = Watched::new();
        // With room for all of them nobody polls here.
        let pending = submit(case, &*engine.engine, requests.get(n), &watched.notifier())?;
        ops.push(UnderWay::new(n, pending));
        contexts.push(watched);
    }
    let mut open = unanswered(&mut ops);
    let patience = case.setup.patience;
    let mut moved = std::time::Instant::now();
    case.doing("polling with a quota");
    while open > 0 {
        let said = engine.poll(3);
        let left = unanswered(&mut ops);
        let done = open - left;
        demand(said <= 3 && done <= 3, || {
            format!("poll(3) answered {done} operations and says {said}")
        })?;
        demand(said == done, || {
            format!("poll(3) says {said}, and {done} operations were answered")
        })?;
        if done > 0 {
            moved = std::time::Instant::now();
            case.step();
        }
        demand(moved.elapsed() <= patience, || {
            format!("{left} operations are not answered after polling for {patience:?}")
        })?;
        open = left;
    }
    Ok(())
}
