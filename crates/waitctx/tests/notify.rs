//! Being told: where a wake goes, and that none is lost when the target changes.

#![cfg(not(loom))]

mod common;

use std::sync::{Arc, Barrier, mpsc};

use rustix::event::{PollFd, PollFlags, poll};
use waitctx::{Callback, Notified, Notifier, Status, WaitCtx, WakeFd};

use common::{Count, readable};

/// A notifier of a context that has no wake fd: as an engine gets one while a callback is set.
fn notifier_without_fd(ctx: &WaitCtx) -> Notifier {
    ctx.set_callback(Callback::new(|| ())).expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    ctx.clear_callback().expect("no wake yet");
    assert!(ctx.wake_fd().is_none());
    notifier
}

#[track_caller]
fn notify(notifier: &Notifier) -> Notified {
    notifier.notify(Status::Ok).expect("told")
}

#[test]
fn the_fd_is_made_readable() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let fd = ctx.wake_fd().expect("made");
    assert!(!readable(fd));
    assert!(!ctx.acknowledge().expect("read"));

    assert_eq!(notify(&notifier), Notified::Fd);
    assert_eq!(notify(&notifier), Notified::Fd);
    assert!(readable(fd));
    // Both wakes are one to the owner.
    assert!(ctx.acknowledge().expect("read"));
    assert!(!readable(fd));
    assert!(!ctx.acknowledge().expect("read"));
}

#[test]
fn the_callback_is_preferred_over_the_fd() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = ctx.notifier().expect("an fd to spare");
    let fd = ctx.wake_fd().expect("made");
    let old = ctx.set_callback(called.callback()).expect("no wake yet");
    assert!(old.is_none());
    assert_eq!(called.get(), 0);

    for calls in 1..=3 {
        assert_eq!(notify(&notifier), Notified::Callback);
        assert_eq!(called.get(), calls);
        assert!(!readable(fd));
        assert!(!ctx.acknowledge().expect("nothing to read"));
    }

    let old = ctx.clear_callback().expect("no wake left");
    assert!(old.is_some());
    assert!(!readable(fd), "a wake that was told is not told again");
    assert_eq!(notify(&notifier), Notified::Fd);
    assert!(readable(fd));
    assert_eq!(called.get(), 3);
}

#[test]
fn with_a_callback_no_fd_is_made() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    ctx.set_callback(called.callback()).expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    assert!(ctx.wake_fd().is_none());
    assert_eq!(ctx.all_fds(), []);
    assert_eq!(notify(&notifier), Notified::Callback);
    assert_eq!(called.get(), 1);
}

#[test]
fn only_the_newest_callback_is_called() {
    let (ctx, first, second) = (WaitCtx::new(), Count::default(), Count::default());
    ctx.set_callback(first.callback()).expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    let old = ctx.set_callback(second.callback()).expect("no wake yet");
    assert_eq!(notify(&notifier), Notified::Callback);
    assert_eq!((first.get(), second.get()), (0, 1));

    // What comes back is the first one, in working order.
    old.expect("there was one").call().expect("no queue");
    ctx.callback().expect("set").call().expect("no queue");
    assert_eq!((first.get(), second.get()), (1, 2));
}

#[test]
fn a_kept_wake_is_told_to_the_callback_that_is_set_first() {
    let (ctx, first, second) = (WaitCtx::new(), Count::default(), Count::default());
    let notifier = notifier_without_fd(&ctx);
    assert_eq!(notify(&notifier), Notified::Kept);
    assert_eq!(notify(&notifier), Notified::Kept);

    ctx.set_callback(first.callback()).expect("told");
    assert_eq!(first.get(), 1);
    ctx.set_callback(second.callback()).expect("no wake left");
    assert_eq!((first.get(), second.get()), (1, 0));
    ctx.notifier().expect("no fd needed");
    assert!(ctx.wake_fd().is_none());
}

#[test]
fn a_kept_wake_is_told_to_the_fd_when_that_is_made_first() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = notifier_without_fd(&ctx);
    assert_eq!(notify(&notifier), Notified::Kept);

    ctx.notifier().expect("an fd to spare");
    assert!(readable(ctx.wake_fd().expect("made")));
    assert!(ctx.acknowledge().expect("read"));
    ctx.set_callback(called.callback()).expect("no wake left");
    assert_eq!(called.get(), 0);
}

#[test]
fn an_unread_wake_in_the_fd_moves_on_to_a_callback() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = ctx.notifier().expect("an fd to spare");
    assert_eq!(notify(&notifier), Notified::Fd);
    let fd = ctx.wake_fd().expect("made");
    assert!(readable(fd));

    ctx.set_callback(called.callback()).expect("told");
    assert_eq!(called.get(), 1);
    assert!(!readable(fd));
    // And it does not come back.
    ctx.clear_callback().expect("no wake left");
    assert!(!readable(fd));
    ctx.set_callback(called.callback()).expect("no wake left");
    assert_eq!(called.get(), 1);
}

#[test]
fn an_acknowledged_wake_does_not_move() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = ctx.notifier().expect("an fd to spare");
    notify(&notifier);
    assert!(ctx.acknowledge().expect("read"));
    ctx.set_callback(called.callback()).expect("no wake left");
    assert_eq!(called.get(), 0);
}

#[test]
fn the_silent_are_not_told() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    ctx.set_silent(true).expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    assert!(ctx.wake_fd().is_none());
    assert_eq!(
        notifier.notify(Status::Again).expect("stored"),
        Notified::Silent
    );
    assert_eq!(ctx.status(), Status::Again);

    ctx.set_callback(called.callback()).expect("not told");
    assert_eq!(notify(&notifier), Notified::Silent);
    ctx.set_silent(false).expect("nothing is owed");
    assert_eq!(called.get(), 0);
    assert_eq!(notify(&notifier), Notified::Callback);
    assert_eq!(called.get(), 1);
}

#[test]
fn a_kept_wake_outlives_silence() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = notifier_without_fd(&ctx);
    assert_eq!(notify(&notifier), Notified::Kept);
    ctx.set_silent(true).expect("not told");
    ctx.set_callback(called.callback()).expect("not told");
    assert_eq!(called.get(), 0);
    ctx.set_silent(false).expect("told");
    assert_eq!(called.get(), 1);
}

#[test]
fn an_unread_wake_in_the_fd_is_hidden_by_silence() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let fd = ctx.wake_fd().expect("made");
    notify(&notifier);
    // An event loop that has the fd in it must not spin for as long as the owner polls.
    ctx.set_silent(true).expect("taken back");
    assert!(!readable(fd));
    assert!(!ctx.acknowledge().expect("nothing to read"));
    ctx.set_silent(false).expect("told again");
    assert!(readable(fd));
    assert!(ctx.acknowledge().expect("read"));
}

#[test]
fn the_status_is_stored_before_the_wake() {
    let ctx = WaitCtx::new();
    assert_eq!(ctx.status(), Status::Unsupported);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen_too, owner) = (Arc::clone(&seen), ctx.clone());
    ctx.set_callback(Callback::new(move || {
        seen_too.lock().expect("seen").push(owner.status());
    }))
    .expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    let statuses = [
        Status::Err,
        Status::Ok,
        Status::Again,
        Status::Other(99),
        Status::Unsupported,
    ];
    for status in statuses {
        // Also when it is not Ok, the owner is told.
        assert_eq!(notifier.notify(status).expect("told"), Notified::Callback);
    }
    assert_eq!(*seen.lock().expect("seen"), statuses);
    // The callback and the context hold each other.
    ctx.clear_callback().expect("no wake left");
}

#[test]
fn a_status_alone_tells_nobody() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    notifier.set_status(Status::Err);
    assert_eq!(ctx.status(), Status::Err);
    ctx.set_status(Status::Other(-5));
    assert_eq!(ctx.status().to_raw(), -5);
    assert!(!readable(ctx.wake_fd().expect("made")));
    assert!(format!("{notifier:?}").contains("Other(-5)"));
}

#[test]
fn every_number_is_a_status() {
    for raw in (-3..8).chain([i32::MIN, i32::MAX, 99]) {
        assert_eq!(Status::from_raw(raw).to_raw(), raw);
    }
    let known = [Status::Unsupported, Status::Err, Status::Ok, Status::Again];
    assert_eq!(known.map(Status::to_raw), [0, 1, 2, 3]);
}

#[test]
fn gone_is_gone_for_every_notifier() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    ctx.set_callback(called.callback()).expect("no wake yet");
    let first = ctx.notifier().expect("no fd needed");
    let second = first.clone();
    ctx.set_status(Status::Again);
    drop(ctx);
    for notifier in [&first, &second, &first] {
        assert_eq!(notify(notifier), Notified::Gone);
        // Nor is the status of a context that is no more overwritten.
        assert_eq!(format!("{notifier:?}"), "Notifier { status: Again, .. }");
    }
    assert_eq!(called.get(), 0);
}

#[test]
fn a_callback_may_use_the_context() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let (owner, called) = (ctx.clone(), Count::default());
    let called_too = called.clone();
    ctx.set_callback(Callback::new(move || {
        called_too.add();
        // No lock is held here, or these would hang.
        assert!(owner.callback().is_some());
        owner.clear_callback().expect("no wake left");
        owner.notifier().expect("there is an fd");
        assert_eq!(owner.all_fds().len(), 1);
    }))
    .expect("no wake yet");
    assert_eq!(notify(&notifier), Notified::Callback);
    assert_eq!(called.get(), 1);
    assert!(ctx.callback().is_none());
}

#[test]
fn a_panic_in_the_callback_leaves_the_context_in_order() {
    let (ctx, called) = (WaitCtx::new(), Count::default());
    ctx.set_callback(Callback::new(|| panic!("in callback")))
        .expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    let in_thread = notifier.clone();
    let thread = std::thread::spawn(move || in_thread.notify(Status::Ok));
    thread.join().expect_err("the engine's thread sees it");
    ctx.set_callback(called.callback()).expect("no wake left");
    assert_eq!(notify(&notifier), Notified::Callback);
    assert_eq!(called.get(), 1);
}

#[test]
fn a_wake_from_another_thread_ends_a_poll() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let fd = ctx.wake_fd().expect("made");
    for _ in 0..100 {
        std::thread::scope(|s| {
            s.spawn(|| notify(&notifier));
            let mut fds = [PollFd::new(fd, PollFlags::IN)];
            assert_eq!(poll(&mut fds, None).expect("poll"), 1);
        });
        assert!(ctx.acknowledge().expect("read"));
        assert!(!readable(fd));
    }
}

#[test]
fn many_threads_notify_one_context() {
    const THREADS: usize = 8;
    const WAKES: usize = 1000;
    let (ctx, called) = (WaitCtx::new(), Count::default());
    let notifier = ctx.notifier().expect("an fd to spare");
    for callback in [true, false] {
        if callback {
            ctx.set_callback(called.callback()).expect("no wake yet");
        } else {
            ctx.clear_callback().expect("no wake left");
        }
        let start = Barrier::new(THREADS);
        std::thread::scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| {
                    start.wait();
                    for _ in 0..WAKES {
                        let expected = [Notified::Fd, Notified::Callback][usize::from(callback)];
                        assert_eq!(notify(&notifier), expected);
                    }
                });
            }
        });
        assert_eq!(called.get(), THREADS * WAKES);
        assert_eq!(ctx.acknowledge().expect("read"), !callback);
    }
}

#[test]
fn no_wake_is_lost_while_the_target_changes() {
    const ROUNDS: usize = 2000;
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let (go, rounds) = mpsc::sync_channel(0);
    let (done, when_done) = mpsc::sync_channel(0);
    std::thread::scope(|s| {
        s.spawn(|| {
            for () in rounds {
                notify(&notifier);
                done.send(()).expect("received");
            }
        });
        // Owned here, so that a failure ends the thread.
        let (go, when_done) = (go, when_done);
        for _ in 0..ROUNDS {
            let called = Count::default();
            go.send(()).expect("received");
            ctx.set_callback(called.callback()).expect("told");
            when_done.recv().expect("sent");
            // Whichever came first, the callback is the one that was told.
            assert_eq!(called.get(), 1);
            assert!(!readable(ctx.wake_fd().expect("made")));
            ctx.clear_callback().expect("no wake left");
        }
    });
}

#[test]
fn a_context_may_go_in_the_middle_of_a_wake() {
    const ROUNDS: usize = 2000;
    let (go, notifiers) = mpsc::sync_channel::<Notifier>(0);
    let (done, when_done) = mpsc::sync_channel(0);
    std::thread::scope(|s| {
        s.spawn(|| {
            for notifier in notifiers {
                done.send(notify(&notifier)).expect("received");
            }
        });
        // Owned here, so that a failure ends the thread.
        let (go, when_done) = (go, when_done);
        for _ in 0..ROUNDS {
            let ctx = WaitCtx::new();
            let notifier = ctx.notifier().expect("an fd to spare");
            let wake_fd = Arc::downgrade(ctx.wake_fd().expect("made"));
            go.send(notifier).expect("received");
            drop(ctx);
            // Closed at once, wherever the notifier is: the number is free for a stranger, who is
            // not woken.
            assert!(wake_fd.upgrade().is_none());
            let stranger = WakeFd::new().expect("an fd to spare");
            let notified = when_done.recv().expect("sent");
            assert!(matches!(notified, Notified::Fd | Notified::Gone));
            assert!(!readable(&stranger));
        }
    });
}

#[test]
fn two_threads_make_one_wake_fd() {
    for _ in 0..200 {
        let (ctx, start) = (WaitCtx::new(), Barrier::new(2));
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    start.wait();
                    assert_eq!(
                        notify(&ctx.notifier().expect("an fd to spare")),
                        Notified::Fd
                    );
                });
            }
        });
        assert_eq!(ctx.all_fds().len(), 1);
        assert!(ctx.acknowledge().expect("read"));
    }
}

#[test]
fn a_kept_notifier_is_renewed_for_another_context_only() {
    let (first, second) = (WaitCtx::new(), WaitCtx::new());
    let mut kept = None;
    assert!(first.renew_notifier(&mut kept).expect("an fd to spare"));
    assert!(!first.renew_notifier(&mut kept).expect("nothing to do"));
    let notifier = kept.clone().expect("made");
    assert!(notifier.is_of(&first) && !notifier.is_of(&second));
    assert!(second.renew_notifier(&mut kept).expect("an fd to spare"));
    assert!(kept.as_ref().expect("made").is_of(&second));
    notifier.notify(Status::Ok).expect("told");
    assert!(readable(first.wake_fd().expect("made")));
    assert!(!readable(second.wake_fd().expect("made")));

    // One of a context that has nowhere to send wakes to is made anew: it makes the fd.
    let ctx = WaitCtx::new();
    ctx.set_silent(true).expect("no wake yet");
    assert!(ctx.renew_notifier(&mut kept).expect("no fd needed"));
    assert!(ctx.wake_fd().is_none());
    ctx.set_silent(false).expect("no wake yet");
    assert!(ctx.renew_notifier(&mut kept).expect("an fd to spare"));
    assert!(ctx.wake_fd().is_some());
}
