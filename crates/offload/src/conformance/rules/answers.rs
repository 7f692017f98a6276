//! Each operation has one answer and one wake.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::conformance::case::{Case, Ran, broken, demand, lock};
use crate::conformance::lab::{UnderWay, Watched, all_right, answered, begin, submit_with};
use crate::pending::Pending;

pub(super) fn every_operation_is_answered(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    // One after the other: each is the last one in an idle engine.
    for n in 0..8 {
        let (op, _watched) = begin(case, &*engine.engine, &requests, n)?;
        answered(case, &*engine.engine, &mut [op])?;
    }
    // Many at once.
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    for n in 8..8 + 2 * case.setup.some() {
        let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
        ops.push(op);
        contexts.push(watched);
    }
    answered(case, &*engine.engine, &mut ops)
}

pub(super) fn answered_once(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let before = engine.counters();
    let count = case.setup.some();
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    for n in 0..count {
        let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
        ops.push(op);
        contexts.push(watched);
    }
    answered(case, &*engine.engine, &mut ops)?;
    let now = case.at_rest(&*engine.engine)?;
    demand(now.submitted - before.submitted == count, || {
        format!("{count} operations were submitted; the counters: {now:?}")
    })?;
    let answered = now.completed + now.failed - before.completed - before.failed;
    demand(answered == count && now.orphaned == before.orphaned, || {
        format!("{count} operations were answered, each to somebody; the counters: {now:?}")
    })?;
    demand(now.duplicates == before.duplicates, || {
        let again = now.duplicates - before.duplicates;
        format!("{again} of {count} operations were answered a second time")
    })?;
    all_right(&requests, &ops)
}

pub(super) fn one_wake_per_operation(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    for n in 0..case.setup.some() {
        let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
        ops.push(op);
        contexts.push(watched);
    }
    answered(case, &*engine.engine, &mut ops)?;
    case.at_rest(&*engine.engine)?;
    // What it still has to tell, it tells before its end.
    engine.shut_down(case);
    let too_many: Vec<_> = (0..)
        .zip(&contexts)
        .filter(|(_, w)| w.calls() > 1)
        .collect();
    match too_many.first() {
        None => Ok(()),
        Some((n, first)) => broken(format!(
            "{} of {} operations were told more than once, operation {n} {} times",
            too_many.len(),
            contexts.len(),
            first.calls()
        )),
    }
}

pub(super) fn answer_before_wake(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let early = Arc::new(AtomicU64::new(0));
    let told = Arc::new(AtomicU64::new(0));
    let count = case.setup.some();
    let mut contexts = Vec::new();
    for n in 0..count {
        let waiting: Arc<Mutex<Option<UnderWay>>> = Arc::default();
        let (its, early, told) = (Arc::clone(&waiting), Arc::clone(&early), Arc::clone(&told));
        let watched = Watched::with(move || {
            if let Some(op) = &mut *lock(&its)
                && !op.look()
            {
                early.fetch_add(1, Ordering::SeqCst);
            }
            told.fetch_add(1, Ordering::SeqCst);
        });
        let (pending, completion) = Pending::new(watched.notifier());
        *lock(&waiting) = Some(UnderWay::new(n, pending));
        submit_with(case, &*engine.engine, requests.get(n), completion)?;
        contexts.push((watched, waiting));
    }
    case.until(&*engine.engine, "wakes", || {
        (count.saturating_sub(told.load(Ordering::SeqCst))) as usize
    })?;
    let early = early.load(Ordering::SeqCst);
    demand(early == 0, || {
        format!("{early} wakes came when there was no answer yet")
    })
}
