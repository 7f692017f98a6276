//! Answers whose wakes are told together.

#![cfg(not(loom))]

mod common;

use common::*;
use offload::{Delivery, OffloadClient, Pending};
use waitctx::{ReadyQueue, WaitCtx, WakeBatch};

fn drained(queue: &ReadyQueue) -> Vec<u64> {
    let mut tokens = Vec::new();
    queue.drain(&mut tokens);
    tokens
}

#[test]
fn jobs_are_told_at_the_flush_and_find_their_answers() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let queue = ReadyQueue::new();
    let contexts: Vec<WaitCtx> = (0..3).map(|_| WaitCtx::new()).collect();
    let mut jobs: Vec<_> = (contexts.iter().zip(0..))
        .map(|(ctx, id)| {
            queue.attach(ctx, id);
            start_paused(ctx, &client, request(id))
        })
        .collect();

    let mut batch = WakeBatch::new();
    for _ in 0..3 {
        let submission = held.take();
        let answer = flip(submission.request);
        let delivery = submission.completion.complete_with(answer, &mut batch);
        assert_eq!(delivery, Delivery::Delivered);
    }
    assert_eq!(batch.len(), 3);
    assert_eq!(drained(&queue), []);
    // One that looks before it is told finds its answer, and is told all the same.
    assert_flipped(finished(jobs.remove(0)), 0);
    batch.flush().expect("queued");
    assert_eq!(drained(&queue), [0, 1, 2]);
    assert_flipped(finished(jobs.remove(0)), 1);
    assert_flipped(finished(jobs.remove(0)), 2);
    assert_figures(&client, Figures::default());
}

#[test]
fn a_function_is_called_at_once() {
    let held = Held::new();
    let client = OffloadClient::new(held.clone());
    let wakes = Wakes::default();
    let job = start_paused(&wakes.ctx(), &client, request(1));
    let mut batch = WakeBatch::new();
    let submission = held.take();
    let answer = flip(submission.request);
    submission.completion.complete_with(answer, &mut batch);
    assert!(batch.is_empty());
    assert_eq!(wakes.count(), 1);
    assert_flipped(finished(job), 1);
}

#[test]
fn an_orphan_s_context_is_told_once_with_the_others() {
    let queue = ReadyQueue::new();
    let ctx = WaitCtx::new();
    queue.attach(&ctx, 7);
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
    let twin = completion.twin();
    drop(pending);
    let mut batch = WakeBatch::new();
    let delivery = completion.complete_with(flip(request(1)), &mut batch);
    assert_eq!(delivery, Delivery::Orphaned);
    let delivery = twin.complete_with(flip(request(1)), &mut batch);
    assert_eq!(delivery, Delivery::Duplicate);
    assert_eq!(batch.len(), 1);
    batch.flush().expect("queued");
    assert_eq!(drained(&queue), [7]);
}

#[test]
fn operations_one_after_the_other_in_one_place() {
    let queue = ReadyQueue::new();
    let contexts = [WaitCtx::new(), WaitCtx::new()];
    for (ctx, token) in contexts.iter().zip(0..) {
        queue.attach(ctx, token);
    }
    let (mut pending, first) = Pending::new(contexts[0].notifier().expect("no fd needed"));
    first.complete(flip(request(1)));
    assert_eq!(drained(&queue), [0]);
    assert!(pending.take().expect("answered").is_ok());
    // The same context, then another one.
    pending.again(None).complete(flip(request(2)));
    assert_eq!(drained(&queue), [0]);
    assert!(pending.take().expect("answered").is_ok());
    let notifier = contexts[1].notifier().expect("no fd needed");
    let third = pending.again(Some(notifier));
    third.complete(flip(request(3)));
    assert_eq!(drained(&queue), [1]);

    // An answer that was not taken is given up with its operation, and so is one that is under way.
    let fourth = pending.again(None);
    assert!(pending.take().is_none());
    let fifth = pending.again(None);
    assert_eq!(fourth.complete(flip(request(4))), Delivery::Orphaned);
    assert!(pending.take().is_none(), "that was the fourth's");
    assert_eq!(fifth.complete(flip(request(5))), Delivery::Delivered);
    let answer = pending.take().expect("answered").expect("a success");
    assert_eq!(answer.data[..], (!5_u64).to_le_bytes());
    assert_eq!(
        drained(&queue),
        [1],
        "the fourth's and the fifth's, of one context"
    );
}

/// An answer that nobody was told of and that was found all the same: nobody is owed a wake for it.
#[test]
fn a_wake_is_not_owed_for_an_answer_that_was_taken() {
    let wakes = Wakes::default();
    let ctx = wakes.ctx();
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
    let twin = completion.twin();
    completion.complete_untold(flip(request(1)));
    twin.nudge();
    assert_eq!(wakes.count(), 1, "it was owed");
    assert!(pending.take().expect("answered").is_ok());
    twin.nudge();
    assert_eq!(wakes.count(), 1);
}
