//! Models of the races, run by the model checker: every interleaving of the threads' steps, up to
//! the bound on pre-emptions below.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p waitctx --profile optimised --test loom
//! ```
//!
//! The fds are real ones. Each system call on a `WakeFd` is one step to the checker, so they are
//! interleaved with everything else; none of them blocks. A thread that would sleep on an fd joins
//! those that may wake it and then looks whether they did.

#![cfg(loom)]

use std::os::fd::AsFd;
use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use waitctx::{
    Callback, Key, Notified, Notifier, ReadyQueue, Status, WaitCtx, WaitFd, WakeBatch, WakeFd,
};

/// Threads are pre-empted at most this often in one run; switches where a thread blocks or ends
/// are not counted. `LOOM_MAX_PREEMPTIONS` overrides it: with 5 all models take some seconds, with
/// 100, which none of them reaches, a minute.
const PREEMPTIONS: usize = 5;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(f);
}

/// How often something was done: a callback was called, or an engine left a result.
///
/// Relaxed, so that whoever must see it sees it by the order that the library makes, and not by
/// one of this counter's own.
#[derive(Clone)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn new() -> Count {
        Count(Arc::new(AtomicUsize::new(0)))
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn callback(&self) -> Callback {
        let count = self.clone();
        Callback::new(move || count.add())
    }
}

fn readable(fd: &WakeFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("poll") == 1
}

fn notify(notifier: &Notifier) -> Notified {
    notifier.notify(Status::Ok).expect("told")
}

fn set(ctx: &WaitCtx, count: &Count) {
    ctx.set_callback(count.callback()).expect("told");
}

// ---- a wake races with a change of target ----------------------------------------------------

#[test]
fn a_kept_wake_finds_the_callback_that_is_set_meanwhile() {
    model(|| {
        let (ctx, old, new) = (WaitCtx::new(), Count::new(), Count::new());
        set(&ctx, &old);
        let notifier = ctx.notifier().expect("no fd needed");
        ctx.clear_callback().expect("no wake yet");

        let engine = thread::spawn(move || notify(&notifier));
        set(&ctx, &new);
        let notified = engine.join().expect("no panic");
        assert!(matches!(notified, Notified::Kept | Notified::Callback));
        assert_eq!((old.get(), new.get()), (0, 1));
    });
}

#[test]
fn a_wake_finds_the_old_callback_or_is_kept_for_the_next() {
    model(|| {
        let (ctx, old, next) = (WaitCtx::new(), Count::new(), Count::new());
        set(&ctx, &old);
        let notifier = ctx.notifier().expect("no fd needed");

        let engine = thread::spawn(move || notify(&notifier));
        ctx.clear_callback().expect("no wake yet");
        let notified = engine.join().expect("no panic");
        let told = usize::from(notified == Notified::Callback);
        assert_eq!(old.get(), told);
        set(&ctx, &next);
        assert_eq!(next.get(), 1 - told);
    });
}

#[test]
fn two_wakes_find_one_of_two_callbacks_each() {
    model(|| {
        let (ctx, old, new) = (WaitCtx::new(), Count::new(), Count::new());
        set(&ctx, &old);
        let notifier = ctx.notifier().expect("no fd needed");

        let engines =
            [notifier.clone(), notifier].map(|notifier| thread::spawn(move || notify(&notifier)));
        ctx.clear_callback().expect("no wake yet");
        set(&ctx, &new);
        let notified = engines.map(|engine| engine.join().expect("no panic"));
        let kept = notified.iter().filter(|n| **n == Notified::Kept).count();
        // Kept ones are one to the callback.
        assert_eq!(old.get() + new.get(), 2 - kept.saturating_sub(1));
    });
}

#[test]
fn a_wake_on_its_way_to_the_fd_finds_the_callback_that_takes_its_place() {
    model(|| {
        let (ctx, called) = (WaitCtx::new(), Count::new());
        let notifier = ctx.notifier().expect("an fd to spare");

        let engine = thread::spawn(move || notify(&notifier));
        set(&ctx, &called);
        let notified = engine.join().expect("no panic");
        assert!(matches!(notified, Notified::Fd | Notified::Callback));
        assert_eq!(called.get(), 1);
        assert!(!readable(ctx.wake_fd().expect("made")));
    });
}

#[test]
fn a_wake_finds_the_fd_that_takes_the_place_of_the_callback() {
    model(|| {
        let (ctx, called) = (WaitCtx::new(), Count::new());
        let notifier = ctx.notifier().expect("an fd to spare");
        set(&ctx, &called);

        let engine = thread::spawn(move || notify(&notifier));
        ctx.clear_callback().expect("no wake yet");
        let notified = engine.join().expect("no panic");
        let told = notified == Notified::Callback;
        assert_eq!(called.get(), usize::from(told));
        assert_ne!(readable(ctx.wake_fd().expect("made")), told);
    });
}

#[test]
fn a_wake_finds_the_fd_that_is_made_meanwhile() {
    model(|| {
        let ctx = WaitCtx::new();
        ctx.set_silent(true).expect("no wake yet");
        let notifier = ctx.notifier().expect("no fd needed");
        ctx.set_silent(false).expect("no wake yet");

        let engine = thread::spawn(move || notify(&notifier));
        let other = ctx.clone();
        let other = thread::spawn(move || drop(other.notifier().expect("an fd to spare")));
        ctx.notifier().expect("an fd to spare");
        other.join().expect("no panic");
        let notified = engine.join().expect("no panic");
        assert!(matches!(notified, Notified::Kept | Notified::Fd));
        assert_eq!(ctx.all_fds().len(), 1);
        assert!(readable(ctx.wake_fd().expect("made")));
    });
}

#[test]
fn a_wake_before_silence_is_told_after_it() {
    model(|| {
        let (ctx, called) = (WaitCtx::new(), Count::new());
        let notifier = ctx.notifier().expect("an fd to spare");

        let engine = thread::spawn(move || notify(&notifier));
        ctx.set_silent(true).expect("no wake yet");
        assert!(!readable(ctx.wake_fd().expect("made")));
        set(&ctx, &called);
        ctx.set_silent(false).expect("told");
        let notified = engine.join().expect("no panic");
        assert_eq!(called.get(), usize::from(notified != Notified::Silent));
        assert!(!readable(ctx.wake_fd().expect("made")));
    });
}

// ---- a wake races with the owner's loop ------------------------------------------------------

/// The loop of an owner who sleeps on the fd: acknowledge, look for the result, sleep.
#[test]
fn nobody_sleeps_on_an_unreadable_fd_with_a_result() {
    model(|| {
        let (ctx, results) = (WaitCtx::new(), Count::new());
        let notifier = ctx.notifier().expect("an fd to spare");
        let in_engine = results.clone();
        let engine = thread::spawn(move || {
            for _ in 0..2 {
                in_engine.add();
                notify(&notifier);
            }
        });

        let mut seen = 0;
        for _ in 0..2 {
            ctx.acknowledge().expect("read");
            seen = results.get();
        }
        engine.join().expect("no panic");
        if seen < 2 {
            // It would sleep now.
            assert!(readable(ctx.wake_fd().expect("made")));
        }
    });
}

#[test]
fn an_acknowledgement_does_not_lose_a_wake_to_a_change_of_target() {
    model(|| {
        let (ctx, called, results) = (WaitCtx::new(), Count::new(), Count::new());
        let notifier = ctx.notifier().expect("an fd to spare");
        let in_engine = results.clone();
        let engine = thread::spawn(move || {
            in_engine.add();
            notify(&notifier);
        });
        let (changer, new) = (ctx.clone(), called.clone());
        let changer = thread::spawn(move || set(&changer, &new));

        ctx.acknowledge().expect("read");
        let seen = results.get();
        engine.join().expect("no panic");
        changer.join().expect("no panic");
        // Either it was there to be seen, or the callback says so.
        assert!(seen == 1 || called.get() == 1);
        assert!(!readable(ctx.wake_fd().expect("made")));
    });
}

// ---- a wake races with the end of the context ------------------------------------------------

#[test]
fn a_context_is_cleaned_up_once_by_whoever_is_last() {
    model(|| {
        let (ctx, called, cleaned) = (WaitCtx::new(), Count::new(), Count::new());
        set(&ctx, &called);
        let notifier = ctx.notifier().expect("no fd needed");
        let in_cleanup = cleaned.clone();
        let fd = WaitFd::foreign(-1).on_cleanup(move |closing, _, _, _| {
            assert!(closing.callback().is_some());
            in_cleanup.add();
        });
        ctx.push_wait_fd(Key::from_address(0), fd);

        let in_engine = notifier.clone();
        let engine = thread::spawn(move || notify(&in_engine));
        let other = ctx.clone();
        let other = thread::spawn(move || drop(other));
        drop(ctx);
        other.join().expect("no panic");
        assert_eq!(cleaned.get(), 1);
        assert_eq!(notify(&notifier), Notified::Gone);
        let notified = engine.join().expect("no panic");
        assert!(matches!(notified, Notified::Callback | Notified::Gone));
        assert_eq!(called.get(), usize::from(notified == Notified::Callback));
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn nobody_writes_to_the_fd_of_a_context_that_is_gone() {
    model(|| {
        let ctx = WaitCtx::new();
        let notifier = ctx.notifier().expect("an fd to spare");
        // Held, to see what becomes of it: without this it would be closed now.
        let fd = Arc::clone(ctx.wake_fd().expect("made"));

        let engine = thread::spawn(move || notify(&notifier));
        drop(ctx);
        let written = readable(&fd);
        let notified = engine.join().expect("no panic");
        assert_eq!(
            notified,
            [Notified::Gone, Notified::Fd][usize::from(written)]
        );
        assert_eq!(readable(&fd), written);
    });
}

// ---- a wake races with the owner of a ready queue --------------------------------------------

/// Contexts on one queue, with the tokens 0, 1, …, each with an operation that an engine finishes
/// on a thread of its own.
fn engines<const N: usize>(
    queue: &ReadyQueue,
    results: &Count,
) -> ([WaitCtx; N], [thread::JoinHandle<()>; N]) {
    let contexts: [WaitCtx; N] = std::array::from_fn(|_| WaitCtx::new());
    let mut token = 0..;
    let engines = contexts.each_ref().map(|ctx| {
        queue.attach(ctx, token.next().expect("endless"));
        engine(ctx, results)
    });
    (contexts, engines)
}

fn engine(ctx: &WaitCtx, results: &Count) -> thread::JoinHandle<()> {
    let (notifier, results) = (ctx.notifier().expect("no fd needed"), results.clone());
    thread::spawn(move || {
        results.add();
        notify(&notifier);
    })
}

/// Takes what is there, and looks for results if there was a token.
fn drain(queue: &ReadyQueue, results: &Count, seen: &mut usize) {
    if queue.drain(&mut Vec::new()) > 0 {
        *seen = results.get();
    }
}

fn join<const N: usize>(engines: [thread::JoinHandle<()>; N]) {
    for engine in engines {
        engine.join().expect("no panic");
    }
}

#[test]
fn two_contexts_race_with_a_drain() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let (_contexts, engines) = engines::<2>(&queue, &results);
        let mut seen = 0;
        drain(&queue, &results, &mut seen);
        join(engines);
        drain(&queue, &results, &mut seen);
        assert_eq!(seen, 2);
        assert_eq!(queue.drain(&mut Vec::new()), 0);
        assert_eq!(queue.wakes(), 0);
    });
}

/// A wake finds the context queued already and trusts the owner to come: the owner must then see
/// its result.
#[test]
fn two_wakes_of_one_context_race_with_a_drain() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let ctx = WaitCtx::new();
        queue.attach(&ctx, 7);
        let engines = [engine(&ctx, &results), engine(&ctx, &results)];
        let mut seen = 0;
        drain(&queue, &results, &mut seen);
        join(engines);
        let mut tokens = Vec::new();
        queue.drain(&mut tokens);
        assert!(tokens.len() <= 1);
        assert!(seen == 2 || tokens == [7], "a wake was lost");
    });
}

#[test]
fn two_contexts_race_with_a_parked_wait() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let (_contexts, engines) = engines::<2>(&queue, &results);
        let (mut tokens, mut waits) = (Vec::new(), 0);
        while tokens.len() < 2 {
            waits += 1;
            // A lost wake is a deadlock, which the checker reports.
            assert_ne!(queue.wait(&mut tokens, None).expect("parked"), 0);
            assert!(queue.wakes() <= waits);
        }
        tokens.sort_unstable();
        assert_eq!(tokens, [0, 1]);
        assert_eq!(results.get(), 2);
        join(engines);
        assert!(queue.wakes() <= waits);
        assert_eq!(queue.drain(&mut tokens), 0);
    });
}

#[test]
fn two_wakes_of_one_context_race_with_a_parked_wait() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let ctx = WaitCtx::new();
        queue.attach(&ctx, 7);
        let engines = [engine(&ctx, &results), engine(&ctx, &results)];
        let (mut seen, mut waits) = (0, 0);
        while seen < 2 {
            waits += 1;
            assert_eq!(queue.wait(&mut Vec::new(), None).expect("parked"), 1);
            seen = results.get();
            assert!(queue.wakes() <= waits);
        }
        join(engines);
        assert!(queue.wakes() <= waits);
    });
}

/// The loop of an owner who sleeps on the queue's fd: drain, arm, sleep, disarm.
#[test]
fn two_contexts_race_with_arm_and_disarm() {
    model(|| {
        let queue = ReadyQueue::with_fd().expect("an fd to spare");
        let results = Count::new();
        let fd = queue.fd().expect("made with one");
        let (_contexts, engines) = engines::<2>(&queue, &results);

        let (mut seen, mut sleeps) = (0, 0);
        drain(&queue, &results, &mut seen);
        if queue.arm() {
            // Something else ends this sleep.
            sleeps += 1;
            queue.disarm().expect("read");
        }
        drain(&queue, &results, &mut seen);
        if queue.arm() {
            sleeps += 1;
            join(engines);
            // It slept until now, or sleeps for ever.
            assert!(seen == 2 || readable(fd));
            queue.disarm().expect("read");
        } else {
            join(engines);
        }
        drain(&queue, &results, &mut seen);
        assert_eq!(seen, 2);
        assert!(queue.wakes() <= sleeps);

        // A write that came late may end one sleep too early, but not every one after it.
        for _ in 0..2 {
            assert!(queue.arm());
            queue.disarm().expect("read");
        }
        assert!(!readable(fd));
    });
}

/// An engine tells of two results together.
#[test]
fn two_held_wakes_race_with_a_parked_wait() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let contexts: [WaitCtx; 2] = std::array::from_fn(|_| WaitCtx::new());
        let notifiers = contexts.each_ref().map(|ctx| {
            queue.attach(ctx, 7);
            ctx.notifier().expect("no fd needed")
        });
        let in_engine = results.clone();
        let engine = thread::spawn(move || {
            let mut batch = WakeBatch::new();
            for notifier in &notifiers {
                in_engine.add();
                assert!(notifier.hold_in(Status::Ok, &mut batch));
            }
            batch.flush().expect("queued");
        });
        let mut tokens = Vec::new();
        // A lost wake is a deadlock, which the checker reports.
        assert_eq!(queue.wait(&mut tokens, None).expect("parked"), 2);
        assert_eq!((tokens, results.get()), (vec![7, 7], 2));
        assert!(queue.wakes() <= 1);
        engine.join().expect("no panic");
    });
}

#[test]
fn a_held_wake_races_with_a_change_of_target() {
    model(|| {
        let (queue, called) = (ReadyQueue::new(), Count::new());
        let ctx = WaitCtx::new();
        queue.attach(&ctx, 7);
        let notifier = ctx.notifier().expect("no fd needed");
        let engine = thread::spawn(move || {
            let mut batch = WakeBatch::new();
            if !notifier.hold_in(Status::Ok, &mut batch) {
                notify(&notifier);
            }
            batch.flush().expect("queued, or nobody");
        });
        set(&ctx, &called);
        // From now on the owner does not look at the queue.
        drop(queue);
        engine.join().expect("no panic");
        assert_eq!(called.get(), 1);
    });
}

#[test]
fn a_held_wake_races_with_a_change_of_target_and_the_end_of_the_context() {
    model(|| {
        let (queue, called) = (ReadyQueue::new(), Count::new());
        let ctx = WaitCtx::new();
        queue.attach(&ctx, 7);
        let notifier = ctx.notifier().expect("no fd needed");
        let engine = thread::spawn(move || {
            let mut batch = WakeBatch::new();
            if !notifier.hold_in(Status::Ok, &mut batch) {
                notify(&notifier);
            }
            batch.flush().expect("queued");
        });
        set(&ctx, &called);
        drop(ctx);
        engine.join().expect("no panic");
        // Queued, told to the callback, to both, or nobody was there.
        assert!(queue.drain(&mut Vec::new()) <= 1 && called.get() <= 1);
    });
}

#[test]
fn a_wake_races_with_the_end_of_the_queue() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let (contexts, engines) = engines::<2>(&queue, &results);
        drop(queue);
        join(engines);
        // Nothing of the queue is in the way of another.
        let other = ReadyQueue::new();
        other.attach(&contexts[0], 7);
        notify(&contexts[0].notifier().expect("no fd needed"));
        assert_eq!(other.drain(&mut Vec::new()), 1);
    });
}

#[test]
fn a_context_goes_while_its_token_is_queued() {
    model(|| {
        let (queue, results) = (ReadyQueue::new(), Count::new());
        let ([ctx], engines) = engines::<1>(&queue, &results);
        drop(ctx);
        let mut taken = queue.drain(&mut Vec::new());
        join(engines);
        taken += queue.drain(&mut Vec::new());
        assert!(taken <= 1);
    });
}
