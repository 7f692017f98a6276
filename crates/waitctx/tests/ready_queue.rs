//! Many contexts and one place to wait: every test runs on a queue that parks and on one with an
//! fd.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use waitctx::{Notified, Notifier, ReadyQueue, Status, WaitCtx};

use common::{LONG, readable};

/// Contexts on one queue, with the tokens 0, 1, 2, …
fn attached(queue: &ReadyQueue, count: u64) -> Vec<(WaitCtx, Notifier)> {
    let attach = |token| {
        let ctx = WaitCtx::new();
        queue.attach(&ctx, token);
        let notifier = ctx.notifier().expect("no fd needed");
        assert!(ctx.wake_fd().is_none());
        (ctx, notifier)
    };
    (0..count).map(attach).collect()
}

#[track_caller]
fn notify(notifier: &Notifier) {
    let notified = notifier.notify(Status::Ok).expect("queued");
    assert_eq!(notified, Notified::Callback);
}

#[track_caller]
fn check_drain(queue: &ReadyQueue, expected: &[u64]) {
    let mut tokens = vec![u64::MAX];
    assert_eq!(queue.drain(&mut tokens), expected.len());
    assert_eq!(tokens[0], u64::MAX, "what was there stays");
    assert_eq!(&tokens[1..], expected);
}

#[track_caller]
fn check_wait(queue: &ReadyQueue, timeout: Option<Duration>, expected: &[u64]) {
    let mut tokens = Vec::new();
    assert_eq!(
        queue.wait(&mut tokens, timeout).expect("wait"),
        expected.len()
    );
    assert_eq!(tokens, expected);
}

macro_rules! for_both_kinds {
    ($(fn $name:ident($queue:ident) $body:block)*) => {
        $(fn $name($queue: ReadyQueue) $body)*

        mod parked {
            use super::*;
            $(#[test] fn $name() { super::$name(ReadyQueue::new()); })*
        }

        mod with_fd {
            use super::*;
            $(#[test] fn $name() {
                super::$name(ReadyQueue::with_fd().expect("an fd to spare"));
            })*
        }
    };
}

for_both_kinds! {
    fn tokens_come_oldest_first(queue) {
        let contexts = attached(&queue, 3);
        check_drain(&queue, &[]);
        for at in [2, 0, 1] {
            notify(&contexts[at].1);
        }
        check_drain(&queue, &[2, 0, 1]);
        check_drain(&queue, &[]);
        assert_eq!(queue.wakes(), 0, "nobody slept");
    }

    fn a_context_is_in_it_at_most_once(queue) {
        let contexts = attached(&queue, 3);
        for _ in 0..100 {
            for (_, notifier) in &contexts {
                notify(notifier);
                notify(&notifier.clone());
            }
        }
        // As many as there are contexts: that is the bound.
        check_drain(&queue, &[0, 1, 2]);
        check_drain(&queue, &[]);
    }

    fn a_wake_after_the_token_was_taken_queues_it_again(queue) {
        let contexts = attached(&queue, 1);
        for _ in 0..3 {
            notify(&contexts[0].1);
            check_drain(&queue, &[0]);
            // The owner looks for the result now; a wake that comes meanwhile is for the next.
            notify(&contexts[0].1);
            check_wait(&queue, Some(Duration::ZERO), &[0]);
            check_drain(&queue, &[]);
        }
        assert_eq!(queue.wakes(), 0);
    }

    fn two_contexts_may_share_a_token(queue) {
        let (first, second) = (WaitCtx::new(), WaitCtx::new());
        for ctx in [&first, &second] {
            queue.attach(ctx, 7);
            notify(&ctx.notifier().expect("no fd needed"));
        }
        check_drain(&queue, &[7, 7]);
    }

    fn the_status_is_there_with_the_token(queue) {
        let contexts = attached(&queue, 1);
        contexts[0].1.notify(Status::Again).expect("queued");
        check_drain(&queue, &[0]);
        assert_eq!(contexts[0].0.status(), Status::Again);
    }

    fn a_timeout_returns_nothing(queue) {
        let contexts = attached(&queue, 1);
        for timeout in [Duration::ZERO, Duration::from_millis(1)] {
            check_wait(&queue, Some(timeout), &[]);
        }
        assert_eq!(queue.wakes(), 0);
        // And leaves nothing armed: a wake finds nobody asleep.
        notify(&contexts[0].1);
        assert_eq!(queue.wakes(), 0);
        check_wait(&queue, Some(Duration::ZERO), &[0]);
    }

    fn a_timeout_may_be_for_ever(queue) {
        let contexts = attached(&queue, 1);
        notify(&contexts[0].1);
        check_wait(&queue, Some(Duration::MAX), &[0]);
        std::thread::scope(|s| {
            s.spawn(|| notify(&contexts[0].1));
            check_wait(&queue, Some(Duration::MAX), &[0]);
        });
    }

    fn tokens_that_are_there_are_taken_without_sleeping(queue) {
        let contexts = attached(&queue, 2);
        notify(&contexts[1].1);
        notify(&contexts[0].1);
        check_wait(&queue, None, &[1, 0]);
        assert_eq!(queue.wakes(), 0);
    }

    fn one_wake_a_sleep(queue) {
        let contexts = attached(&queue, 3);
        for sleeps in 1..=3 {
            assert!(queue.arm());
            assert_eq!(queue.wakes(), sleeps - 1);
            for (_, notifier) in &contexts {
                notify(notifier);
                assert_eq!(queue.wakes(), sleeps);
                assert!(queue.fd().is_none_or(readable));
            }
            queue.disarm().expect("read");
            assert!(!queue.fd().is_some_and(readable));
            check_drain(&queue, &[0, 1, 2]);
        }
    }

    fn no_wake_for_those_who_do_not_sleep(queue) {
        let contexts = attached(&queue, 2);
        notify(&contexts[0].1);
        // There is a token to take: no sleep.
        assert!(!queue.arm());
        notify(&contexts[1].1);
        assert_eq!(queue.wakes(), 0);
        assert!(!queue.fd().is_some_and(readable));
        check_drain(&queue, &[0, 1]);

        // Armed and disarmed again: something else ended the sleep.
        assert!(queue.arm());
        queue.disarm().expect("read");
        notify(&contexts[0].1);
        assert_eq!(queue.wakes(), 0);
        assert!(!queue.fd().is_some_and(readable));
        check_drain(&queue, &[0]);
    }

    fn a_wake_from_another_thread_ends_a_wait(queue) {
        let contexts = attached(&queue, 1);
        for rounds in 1..=500 {
            std::thread::scope(|s| {
                s.spawn(|| notify(&contexts[0].1));
                check_wait(&queue, [None, Some(LONG)][rounds as usize % 2], &[0]);
            });
            assert!(queue.wakes() <= rounds);
        }
    }

    fn no_wake_is_lost_between_many_threads(queue) {
        const THREADS: u64 = 4;
        const OPERATIONS: u64 = 2000;
        let contexts = attached(&queue, THREADS);
        let done: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        let start = Barrier::new(THREADS as usize);
        std::thread::scope(|s| {
            for ((_, notifier), done) in contexts.iter().zip(&done) {
                s.spawn(|| {
                    start.wait();
                    for _ in 0..OPERATIONS {
                        done.fetch_add(1, Ordering::Relaxed);
                        notify(notifier);
                    }
                });
            }
            let mut seen = [0; THREADS as usize];
            let (mut tokens, mut waits) = (Vec::new(), 0);
            while seen.iter().sum::<u64>() < THREADS * OPERATIONS {
                tokens.clear();
                waits += 1;
                let count = queue.wait(&mut tokens, Some(LONG)).expect("wait");
                assert_ne!(count, 0, "a wake was lost: {seen:?}");
                assert!(count <= THREADS as usize, "more tokens than contexts");
                for token in &tokens {
                    let at = *token as usize;
                    seen[at] = done[at].load(Ordering::Relaxed);
                }
                assert!(queue.wakes() <= waits);
            }
        });
        // The last wakes may be for what was seen already.
        let left = queue.drain(&mut Vec::new());
        assert!(left <= THREADS as usize);
        check_drain(&queue, &[]);
    }

    fn two_threads_hand_a_turn_to_and_fro(queue) {
        const TURNS: u64 = 1000;
        let contexts = attached(&queue, 1);
        let (go, turns) = mpsc::channel();
        std::thread::scope(|s| {
            s.spawn(|| {
                for () in turns {
                    notify(&contexts[0].1);
                }
            });
            for _ in 0..TURNS {
                go.send(()).expect("received");
                check_wait(&queue, Some(LONG), &[0]);
            }
            drop(go);
        });
        assert!(queue.wakes() <= TURNS);
        check_drain(&queue, &[]);
    }

    fn a_dropped_context_leaves_its_token(queue) {
        let mut contexts = attached(&queue, 2);
        notify(&contexts[0].1);
        let (ctx, notifier) = contexts.remove(0);
        drop(ctx);
        assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
        notify(&contexts[0].1);
        check_drain(&queue, &[0, 1]);
    }

    fn attaching_tells_what_was_not_seen(queue) {
        let ctx = WaitCtx::new();
        let notifier = ctx.notifier().expect("an fd to spare");
        assert_eq!(notifier.notify(Status::Ok).expect("told"), Notified::Fd);
        queue.attach(&ctx, 7);
        assert!(!ctx.wake_fd().is_some_and(readable));
        check_wait(&queue, Some(Duration::ZERO), &[7]);
    }

    fn a_detached_context_goes_elsewhere(queue) {
        let contexts = attached(&queue, 1);
        let (ctx, notifier) = &contexts[0];
        let other = ReadyQueue::new();
        other.attach(ctx, 8);
        notify(notifier);
        check_drain(&queue, &[]);
        check_drain(&other, &[8]);
        ctx.clear_callback().expect("no wake left");
        assert_eq!(notifier.notify(Status::Ok).expect("kept"), Notified::Kept);
        check_drain(&other, &[]);
        queue.attach(ctx, 9);
        check_drain(&queue, &[9]);
    }

    fn a_queued_token_outlives_another_attach(queue) {
        let contexts = attached(&queue, 1);
        let (ctx, notifier) = &contexts[0];
        notify(notifier);
        queue.attach(ctx, 9);
        notify(notifier);
        notify(notifier);
        check_drain(&queue, &[0, 9]);
        notify(notifier);
        check_drain(&queue, &[9]);
    }

    fn wakes_of_a_dropped_queue_go_nowhere(queue) {
        let contexts = attached(&queue, 2);
        notify(&contexts[0].1);
        drop(queue);
        for (_, notifier) in &contexts {
            notify(notifier);
            notify(notifier);
        }
        // The contexts can be attached to another one.
        let other = ReadyQueue::new();
        for (token, (ctx, notifier)) in (10..).zip(&contexts) {
            other.attach(ctx, token);
            notify(notifier);
        }
        check_drain(&other, &[10, 11]);
    }

    fn a_queue_may_go_in_the_middle_of_a_wake(queue) {
        const WAKES: usize = 1000;
        let contexts = attached(&queue, 2);
        let start = Barrier::new(3);
        std::thread::scope(|s| {
            for (_, notifier) in &contexts {
                s.spawn(|| {
                    start.wait();
                    for _ in 0..WAKES {
                        notify(notifier);
                    }
                });
            }
            start.wait();
            queue.drain(&mut Vec::new());
            drop(queue);
        });
    }

    fn its_state_can_be_printed(queue) {
        let contexts = attached(&queue, 1);
        assert!(queue.arm());
        notify(&contexts[0].1);
        assert_eq!(
            format!("{queue:?}"),
            "ReadyQueue { ready: 1, armed: false, wakes: 1, .. }"
        );
    }
}

/// As an event loop uses it: the fd is watched among others.
#[test]
fn an_event_loop_sleeps_on_the_fd() {
    use rustix::event::{PollFd, PollFlags, poll};

    const OPERATIONS: usize = 500;
    let queue = ReadyQueue::with_fd().expect("an fd to spare");
    let contexts = attached(&queue, 2);
    let fd = queue.fd().expect("made with one");
    let (go, turns) = mpsc::channel();
    let contexts = Arc::new(contexts);
    let in_thread = Arc::clone(&contexts);
    let thread = std::thread::spawn(move || {
        for at in turns {
            let (_, notifier): &(WaitCtx, Notifier) = &in_thread[at];
            notify(notifier);
        }
    });
    let (mut tokens, mut sleeps) = (Vec::new(), 0);
    for operation in 0..OPERATIONS {
        go.send(operation % 2).expect("received");
        tokens.clear();
        while queue.drain(&mut tokens) == 0 {
            if queue.arm() {
                sleeps += 1;
                let mut fds = [PollFd::new(fd, PollFlags::IN)];
                assert_eq!(poll(&mut fds, None).expect("poll"), 1);
                queue.disarm().expect("read");
            }
        }
        assert_eq!(tokens, [operation as u64 % 2]);
        assert!(queue.wakes() <= sleeps);
    }
    drop(go);
    thread.join().expect("no panic");
    assert!(!queue.arm() || !readable(fd));
}
