//! Wakes that are held back and told together.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use waitctx::{Callback, Notifier, ReadyQueue, Status, WaitCtx, WakeBatch};

use common::readable;

fn attached(queue: &ReadyQueue, token: u64) -> (WaitCtx, Notifier) {
    let ctx = WaitCtx::new();
    queue.attach(&ctx, token);
    let notifier = ctx.notifier().expect("no fd needed");
    (ctx, notifier)
}

#[track_caller]
fn check(queue: &ReadyQueue, expected: &[u64]) {
    let mut tokens = Vec::new();
    queue.drain(&mut tokens);
    assert_eq!(tokens, expected);
}

#[test]
fn a_held_wake_is_told_at_the_flush() {
    let queue = ReadyQueue::new();
    let (ctx, notifier) = attached(&queue, 7);
    let mut batch = WakeBatch::new();
    assert!(notifier.hold_in(Status::Again, &mut batch));
    assert_eq!((batch.len(), batch.is_empty()), (1, false));
    assert_eq!(ctx.status(), Status::Again);
    check(&queue, &[]);
    batch.flush().expect("queued");
    assert_eq!((batch.len(), batch.is_empty()), (0, true));
    check(&queue, &[7]);
    batch.flush().expect("nothing to queue");
    check(&queue, &[]);
}

#[test]
fn a_batch_that_is_dropped_is_flushed() {
    let queue = ReadyQueue::new();
    let (_ctx, notifier) = attached(&queue, 7);
    let mut batch = WakeBatch::new();
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    drop(batch);
    check(&queue, &[7]);
}

#[test]
fn a_context_that_is_held_twice_is_queued_once() {
    let queue = ReadyQueue::new();
    let (_ctx, notifier) = attached(&queue, 7);
    let mut batch = WakeBatch::new();
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    notifier.notify(Status::Ok).expect("queued");
    batch.flush().expect("queued");
    check(&queue, &[7]);
}

#[test]
fn a_batch_for_several_queues_finds_each() {
    let queues = [ReadyQueue::new(), ReadyQueue::new(), ReadyQueue::new()];
    let contexts: Vec<_> = (0..9)
        .map(|n| attached(&queues[n as usize % 3], n))
        .collect();
    let mut batch = WakeBatch::new();
    for (_, notifier) in &contexts {
        assert!(notifier.hold_in(Status::Ok, &mut batch));
    }
    batch.flush().expect("queued");
    check(&queues[0], &[0, 3, 6]);
    check(&queues[1], &[1, 4, 7]);
    check(&queues[2], &[2, 5, 8]);
}

#[test]
fn wakes_that_go_elsewhere_are_not_held() {
    let mut batch = WakeBatch::new();
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    assert!(!notifier.hold_in(Status::Ok, &mut batch), "to the fd");
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let callback = Callback::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    ctx.set_callback(callback).expect("no wake to move");
    assert!(!notifier.hold_in(Status::Ok, &mut batch), "to a function");
    ctx.clear_callback().expect("no wake to move");
    ctx.set_silent(true).expect("no wake to move");
    assert!(!notifier.hold_in(Status::Ok, &mut batch), "to nobody");
    // It said no, so nothing was done.
    assert_eq!(ctx.status(), Status::Unsupported);
    assert_eq!(called.load(Ordering::Relaxed), 0);
    assert!(!readable(ctx.wake_fd().expect("made above")));
    drop(ctx);
    assert!(!notifier.hold_in(Status::Ok, &mut batch), "it is gone");
    assert!(batch.is_empty());
}

#[test]
fn a_flush_wakes_a_sleeper_once() {
    for queue in [
        ReadyQueue::new(),
        ReadyQueue::with_fd().expect("an fd to spare"),
    ] {
        let contexts: Vec<_> = (0..100).map(|n| attached(&queue, n)).collect();
        let notifiers: Vec<Notifier> = contexts.iter().map(|(_, n)| n.clone()).collect();
        let engine = std::thread::spawn(move || {
            let mut batch = WakeBatch::new();
            for notifier in &notifiers {
                assert!(notifier.hold_in(Status::Ok, &mut batch));
            }
            batch.flush().expect("queued");
        });
        let mut tokens = Vec::new();
        queue.wait(&mut tokens, None).expect("woken");
        assert!(tokens.iter().copied().eq(0..100), "all at once");
        assert!(queue.wakes() <= 1);
        engine.join().expect("no panic");
    }
}

#[test]
fn a_context_that_goes_while_its_wake_is_held_leaves_a_token_and_no_place() {
    let queue = ReadyQueue::new();
    let mut batch = WakeBatch::new();
    let (ctx, notifier) = attached(&queue, 1);
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    drop((ctx, notifier));
    // Its place in the queue is not the next one's while the wake is held.
    let (_next, notifier) = attached(&queue, 2);
    batch.flush().expect("queued");
    notifier.notify(Status::Ok).expect("queued");
    check(&queue, &[1, 2]);
    // Now it is free, and a context that takes it starts afresh.
    let (_third, third) = attached(&queue, 3);
    third.notify(Status::Ok).expect("queued");
    check(&queue, &[3]);
}

#[test]
fn a_place_that_is_used_again_in_the_same_round_is_not_taken_for_queued() {
    let queue = ReadyQueue::new();
    let (ctx, notifier) = attached(&queue, 1);
    notifier.notify(Status::Ok).expect("queued");
    drop((ctx, notifier));
    let (_next, next) = attached(&queue, 2);
    next.notify(Status::Ok).expect("queued");
    check(&queue, &[1, 2]);
}

#[test]
fn an_owner_that_has_seen_many_wakes_still_sleeps_and_wakes() {
    for queue in [
        ReadyQueue::new(),
        ReadyQueue::with_fd().expect("an fd to spare"),
    ] {
        let contexts: Vec<_> = (0..16).map(|n| attached(&queue, n)).collect();
        let mut tokens = Vec::new();
        for round in 0..50 {
            for (_, notifier) in &contexts {
                notifier.notify(Status::Ok).expect("queued");
            }
            // Many at once, so that the next wait spins first: in vain, and for one that comes.
            tokens.clear();
            assert_eq!(queue.wait(&mut tokens, None).expect("there"), 16);
            if round % 2 == 0 {
                let none = queue.wait(&mut tokens, Some(Duration::from_millis(1)));
                assert_eq!(none.expect("time-out"), 0);
            } else {
                let notifier = contexts[0].1.clone();
                let engine = std::thread::spawn(move || notifier.notify(Status::Ok));
                assert_eq!(queue.wait(&mut tokens, None).expect("woken"), 1);
                engine.join().expect("no panic").expect("queued");
            }
        }
    }
}

#[test]
fn a_held_wake_is_told_to_the_queue_that_takes_its_queue_s_place() {
    let (old, new) = (ReadyQueue::new(), ReadyQueue::new());
    let (ctx, notifier) = attached(&old, 1);
    let mut batch = WakeBatch::new();
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    new.attach(&ctx, 2);
    check(&new, &[2]);
    drop(old);
    batch.flush().expect("nobody");
    check(&new, &[]);
    // Once: it is not owed any more.
    let third = ReadyQueue::new();
    third.attach(&ctx, 3);
    check(&third, &[]);
}

#[test]
fn a_held_wake_is_told_to_the_fd_that_takes_its_queue_s_place() {
    let queue = ReadyQueue::new();
    let (ctx, notifier) = attached(&queue, 1);
    let mut batch = WakeBatch::new();
    assert!(notifier.hold_in(Status::Ok, &mut batch));
    ctx.clear_callback().expect("no fd yet");
    drop(queue);
    batch.flush().expect("nobody");
    ctx.notifier().expect("an fd to spare");
    assert!(readable(ctx.wake_fd().expect("made")));
}
