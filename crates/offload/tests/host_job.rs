//! Jobs of another runtime: what a paused operation has is kept by the runtime, which may forget the job.

#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use async_core::{Cancelled, Job, JobOutcome, current_job, start_job};
use common::*;
use offload::{
    Buffer, CustomWork, Delivery, Engine, Failure, FailureKind, HostJob, OffloadClient,
    OffloadError, Op, OpKind, Output, Request,
};
use waitctx::{Notifier, WaitCtx};

/// A runtime's record of a job: here it is kept while the job is paused.
type Kept = Rc<RefCell<Option<offload::Held>>>;

/// Our own jobs, as another runtime would have them.
struct Theirs {
    ctx: WaitCtx,
    kept: Kept,
}

impl HostJob for Theirs {
    fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        self.ctx.renew_notifier(kept)
    }

    fn pause(&self, held: &mut offload::Held) -> Result<(), Cancelled> {
        *self.kept.borrow_mut() = Some(held.take());
        let paused = async_core::pause_job();
        if let Some(back) = self.kept.borrow_mut().take() {
            *held = back;
        }
        paused.map(drop)
    }
}

fn start_theirs(ctx: &WaitCtx, client: &OffloadClient, id: u64) -> (Job<Ran>, Kept) {
    start_with(ctx, client, request(id))
}

fn start_with(ctx: &WaitCtx, client: &OffloadClient, request: Request) -> (Job<Ran>, Kept) {
    let kept = Kept::default();
    let theirs = Theirs {
        ctx: ctx.clone(),
        kept: kept.clone(),
    };
    let client = client.clone();
    let started = start_job(ctx, move || {
        assert!(current_job().is_some());
        client.run_in(&theirs, request)
    });
    match started.expect("a job") {
        JobOutcome::Paused(job) => (job, kept),
        JobOutcome::Finished(_) => panic!("it has not paused"),
    }
}

#[test]
fn the_answer_is_picked_up_after_the_resume() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let (job, kept) = start_theirs(&ctx, &client, 1);
    assert!(kept.borrow().is_some());
    let job = still_paused(job);
    assert_eq!(held.answer(held.take()), Delivery::Delivered);
    assert_eq!(wakes.count(), 1);
    assert_flipped(finished(job), 1);
    assert!(kept.borrow().is_none());
    assert_eq!(client.stats().resumed_early, 1);
}

#[test]
fn a_forgotten_job_gives_its_operation_up() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let ctx = Wakes::default().ctx();
    let (job, kept) = start_theirs(&ctx, &client, 1);
    let submission = held.take();
    assert!(!submission.completion.is_abandoned());
    // As OpenSSL does when a connection is freed: the job is paused for good.
    std::mem::forget(job);
    drop(kept.borrow_mut().take());
    assert!(submission.completion.is_abandoned());
    assert_eq!(held.answer(submission), Delivery::Orphaned);
    assert_eq!(held.counters(), counters(0, 0, 0, 1));
}

/// Work that shows how many still have it.
struct Nothing;

impl CustomWork for Nothing {
    fn carry_out(&self, _: &mut Buffer) -> Result<Output, FailureKind> {
        Ok(Output::None)
    }
}

#[test]
fn an_answer_that_nobody_comes_for_is_freed() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let ctx = Wakes::default().ctx();
    let work = Arc::new(Nothing);
    let op = Op::Custom {
        kind: OpKind::Nop,
        work: work.clone(),
    };
    let (job, kept) = start_with(&ctx, &client, Request::new(op, vec![]));
    let submission = held.take();
    // An answer that hands the request back.
    let failure = Failure::with_request(FailureKind::Down, submission.request);
    let delivery = submission.completion.complete(Err(failure));
    assert_eq!(delivery, Delivery::Delivered);
    assert_eq!(Arc::strong_count(&work), 2);
    std::mem::forget(job);
    drop(kept.borrow_mut().take());
    assert_eq!(Arc::strong_count(&work), 1);
}

#[test]
fn a_forgotten_job_leaves_the_line() {
    let held = Held::with_room(1);
    let client = OffloadClient::new(held.clone());
    let ctxs = [(); 3].map(|()| Wakes::default().ctx());
    let (first, _) = start_theirs(&ctxs[0], &client, 0);
    let (second, forgotten) = start_theirs(&ctxs[1], &client, 1);
    let (third, _) = start_theirs(&ctxs[2], &client, 2);
    std::mem::forget(second);
    drop(forgotten.borrow_mut().take());
    assert_flipped(
        {
            held.answer(held.take());
            finished(first)
        },
        0,
    );
    // The room went to the third, not to the one that is gone.
    let third = still_paused(third);
    let submission = held.take();
    assert_eq!(submission.request.id, 2);
    held.answer(submission);
    assert_flipped(finished(third), 2);
    assert_eq!(held.counters().in_flight, 0);
    assert_eq!((held.gate().inside(), held.gate().kept()), (0, 0));
}

/// A runtime that has lost what it kept.
#[test]
fn a_job_without_its_operation_is_cancelled() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let ctx = Wakes::default().ctx();
    let (job, kept) = start_theirs(&ctx, &client, 1);
    drop(kept.borrow_mut().take());
    let ran = finished(job);
    assert!(
        matches!(ran, Err(OffloadError::Cancelled { request: None })),
        "{ran:?}"
    );
    assert_eq!(held.answer(held.take()), Delivery::Orphaned);
}
