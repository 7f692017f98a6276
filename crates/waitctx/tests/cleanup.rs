//! The end of a context: which fds are cleaned up, by whom, in which order, and what is closed.

#![cfg(not(loom))]

mod common;

use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};

use waitctx::{Key, Notified, Status, WaitCtx, WaitFd};

use common::{Count, watched_fd};

/// A foreign fd that counts its cleanups.
fn counted(number: i32, count: &Count) -> WaitFd {
    let count = count.clone();
    WaitFd::foreign(number).on_cleanup(move |_, _, _, _| count.add())
}

#[test]
fn newest_first_each_with_its_own_key_number_and_data() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ctx = WaitCtx::new();
    let keys = [Key::new(), Key::from_address(0), Key::new()];
    for (number, key) in (10..).zip(keys) {
        let seen = Arc::clone(&seen);
        let fd = WaitFd::foreign(number)
            .with_data(Arc::new(f64::from(number) / 2.0))
            .on_cleanup(move |_, key, number, data| {
                let data = data.and_then(|data| data.downcast_ref::<f64>().copied());
                seen.lock().expect("seen").push((key, number, data));
            });
        ctx.push_wait_fd(key, fd);
        // One without a function in between: it is skipped.
        ctx.push_wait_fd(key, WaitFd::foreign(-1));
    }
    assert_eq!(*seen.lock().expect("seen"), []);
    drop(ctx);
    assert_eq!(
        *seen.lock().expect("seen"),
        [
            (keys[2], 12, Some(6.0)),
            (keys[1], 11, Some(5.5)),
            (keys[0], 10, Some(5.0)),
        ]
    );
}

#[test]
fn only_when_the_last_handle_goes_and_on_its_thread() {
    let (told, where_run) = mpsc::channel();
    let ctx = WaitCtx::new();
    let fd = WaitFd::foreign(5).on_cleanup(move |_, _, _, _| {
        told.send(std::thread::current().id()).expect("received");
    });
    ctx.set_wait_fd(Key::new(), fd).expect("free");

    let clone = ctx.clone();
    assert_eq!(clone, ctx);
    assert_ne!(clone, WaitCtx::new());
    drop(ctx);
    assert_eq!(where_run.try_recv(), Err(mpsc::TryRecvError::Empty));

    let thread = std::thread::spawn(move || drop(clone));
    let expected = thread.thread().id();
    thread.join().expect("no panic");
    assert_eq!(where_run.try_recv(), Ok(expected));
    assert_eq!(where_run.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn not_for_an_fd_that_was_cleared() {
    let count = Count::default();
    let (ctx, early, brief) = (WaitCtx::new(), Key::new(), Key::new());
    ctx.set_wait_fd(early, counted(5, &count)).expect("free");
    ctx.begin_round();
    ctx.set_wait_fd(brief, counted(6, &count)).expect("free");

    let cleared = (ctx.clear_fd(early), ctx.clear_fd(brief));
    assert_eq!(count.get(), 0);
    drop(cleared);
    assert_eq!(count.get(), 0);
    // The context goes in the round in which the first was cleared: it is still in the record.
    assert_eq!(ctx.changes().removed, [5]);
    drop(ctx);
    assert_eq!(count.get(), 0);
}

#[test]
fn not_for_an_fd_that_was_refused() {
    let (kept, refused) = (Count::default(), Count::default());
    let (ctx, key) = (WaitCtx::new(), Key::new());
    ctx.set_wait_fd(key, counted(5, &kept)).expect("free");
    drop(ctx.set_wait_fd(key, counted(6, &refused)));
    assert_eq!((kept.get(), refused.get()), (0, 0));
    drop(ctx);
    assert_eq!((kept.get(), refused.get()), (1, 0));
}

#[test]
fn the_context_can_be_read_meanwhile() {
    let ctx = WaitCtx::new();
    let called = Count::default();
    ctx.set_callback(called.callback())
        .expect("nothing to tell");
    ctx.set_status(Status::Other(-5));

    let ran = Count::default();
    let keys = [Key::new(), Key::new(), Key::new()];
    let ran_too = ran.clone();
    let middle = WaitFd::foreign(6).on_cleanup(move |closing, key, number, _| {
        assert_eq!((key, number), (keys[1], 6));
        let callback = closing.callback().expect("still set");
        callback.call().expect("no queue");
        assert_eq!(closing.status(), Status::Other(-5));
        // Older ones are still there; this one and newer ones are not.
        assert_eq!(closing.fd(keys[0]), Some(5));
        assert_eq!(closing.fd(keys[1]), None);
        assert_eq!(closing.fd(keys[2]), None);
        assert!(format!("{closing:?}").contains("Other(-5)"));
        ran_too.add();
    });
    ctx.push_wait_fd(keys[0], WaitFd::foreign(5));
    ctx.push_wait_fd(keys[1], middle);
    ctx.push_wait_fd(keys[2], WaitFd::foreign(7));
    drop(ctx);
    assert_eq!((ran.get(), called.get()), (1, 1));
}

#[test]
fn a_notifier_can_fire_meanwhile() {
    let ctx = WaitCtx::new();
    let called = Count::default();
    ctx.set_callback(called.callback())
        .expect("nothing to tell");
    let notifier = ctx.notifier().expect("no fd needed");
    let in_cleanup = notifier.clone();
    let fd = WaitFd::foreign(5).on_cleanup(move |closing, _, _, _| {
        let notified = in_cleanup.notify(Status::Err).expect("told");
        assert_eq!(notified, Notified::Callback);
        assert_eq!(closing.status(), Status::Err);
    });
    ctx.push_wait_fd(Key::new(), fd);
    drop(ctx);
    assert_eq!(called.get(), 1);
    assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
    assert_eq!(called.get(), 1);
}

#[test]
fn a_panic_in_one_does_not_stop_the_others() {
    let (ctx, count) = (WaitCtx::new(), Count::default());
    let (owned, other_end) = watched_fd();
    ctx.push_wait_fd(Key::new(), WaitFd::owned(owned));
    ctx.push_wait_fd(Key::new(), counted(5, &count));
    let fd = WaitFd::foreign(6).on_cleanup(|_, _, _, _| panic!("in cleanup"));
    ctx.push_wait_fd(Key::new(), fd);
    ctx.push_wait_fd(Key::new(), counted(7, &count));
    let notifier = ctx.notifier().expect("an fd to spare");

    let panic = catch_unwind(AssertUnwindSafe(|| drop(ctx))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref(), Some(&"in cleanup"));
    assert_eq!(count.get(), 2);
    assert!(other_end.is_closed());
    assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
}

#[test]
fn a_panic_in_the_data_does_not_stop_the_others() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("in data");
        }
    }

    let (ctx, count) = (WaitCtx::new(), Count::default());
    ctx.push_wait_fd(Key::new(), counted(5, &count));
    let fd = WaitFd::foreign(6).with_data(Arc::new(PanicsWhenDropped));
    ctx.push_wait_fd(Key::new(), fd);
    ctx.push_wait_fd(Key::new(), counted(7, &count));
    let notifier = ctx.notifier().expect("an fd to spare");

    let panic = catch_unwind(AssertUnwindSafe(|| drop(ctx))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref(), Some(&"in data"));
    assert_eq!(count.get(), 2);
    assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
}

#[test]
fn a_panic_in_one_does_not_abort_a_thread_that_unwinds() {
    let (ctx, count) = (WaitCtx::new(), Count::default());
    ctx.push_wait_fd(Key::new(), counted(5, &count));
    let fd = WaitFd::foreign(6).on_cleanup(|_, _, _, _| panic!("in cleanup"));
    ctx.push_wait_fd(Key::new(), fd);

    let unwind = AssertUnwindSafe(|| {
        let _ctx = ctx;
        panic!("of the job");
    });
    let panic = catch_unwind(unwind).expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"of the job"));
    assert_eq!(count.get(), 1);
}

#[test]
fn an_owned_fd_is_closed_with_its_context() {
    let ctx = WaitCtx::new();
    let (fd, other_end) = watched_fd();
    ctx.push_wait_fd(Key::new(), WaitFd::owned(fd));
    ctx.begin_round();
    assert!(!other_end.is_closed());
    drop(ctx);
    assert!(other_end.is_closed());
}

#[test]
fn an_owned_fd_is_still_open_in_its_cleanup() {
    let (ctx, ran) = (WaitCtx::new(), Count::default());
    let (fd, other_end) = watched_fd();
    let (other_end, ran_too) = (Arc::new(other_end), ran.clone());
    let number = fd.as_raw_fd();
    let other_end_too = Arc::clone(&other_end);
    let fd = WaitFd::owned(fd).on_cleanup(move |_, _, raw, _| {
        assert_eq!(raw, number);
        assert!(!other_end_too.is_closed());
        ran_too.add();
    });
    ctx.push_wait_fd(Key::new(), fd);
    drop(ctx);
    assert_eq!(ran.get(), 1);
    assert!(other_end.is_closed());
}

#[test]
fn an_owned_fd_is_closed_when_the_last_holder_lets_go() {
    // Held by whoever cleared it.
    let (ctx, key) = (WaitCtx::new(), Key::new());
    let (fd, other_end) = watched_fd();
    ctx.push_wait_fd(key, WaitFd::owned(fd));
    let cleared = ctx.clear_fd(key);
    drop(ctx);
    assert!(!other_end.is_closed());
    drop(cleared);
    assert!(other_end.is_closed());

    // Held by the engine that shared it.
    let ctx = WaitCtx::new();
    let (fd, other_end) = watched_fd();
    let shared = Arc::new(fd);
    ctx.push_wait_fd(key, WaitFd::shared(Arc::clone(&shared) as _));
    drop(ctx);
    assert!(!other_end.is_closed());
    drop(shared);
    assert!(other_end.is_closed());

    // Held by an application that watches it.
    let ctx = WaitCtx::new();
    let (fd, other_end) = watched_fd();
    ctx.push_wait_fd(key, WaitFd::owned(fd));
    let watched = ctx.owned_fds();
    drop(ctx);
    assert_eq!(watched.len(), 1);
    assert!(!other_end.is_closed());
    drop(watched);
    assert!(other_end.is_closed());
}

#[test]
fn a_notifier_keeps_nothing_of_the_context_alive() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let wake_fd = Arc::downgrade(ctx.wake_fd().expect("made"));
    let (fd, other_end) = watched_fd();
    ctx.push_wait_fd(Key::new(), WaitFd::owned(fd));
    let captured = Arc::new(());
    let in_callback = Arc::downgrade(&captured);
    ctx.set_callback(waitctx::Callback::new(move || {
        let _ = &captured;
    }))
    .expect("nothing to tell");
    assert!(in_callback.upgrade().is_some());

    drop(ctx);
    assert!(other_end.is_closed());
    assert!(wake_fd.upgrade().is_none());
    assert!(in_callback.upgrade().is_none());
    assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
}

#[test]
fn the_wake_fd_is_closed_when_the_last_holder_lets_go() {
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    let held = Arc::clone(ctx.wake_fd().expect("made"));
    notifier.notify(Status::Ok).expect("told");
    drop(ctx);
    assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
    // The holder can still read what came before.
    assert!(held.drain().expect("read"));
    assert!(!common::readable(held.as_fd()));
    assert_eq!(Arc::strong_count(&held), 1);
}
