//! An epoll set that follows what jobs do to the fds of their contexts.

#![cfg(all(not(loom), any(target_os = "linux", target_os = "android")))]

mod common;

use std::io::PipeReader;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setrlimit};
use waitctx::{FdPoller, Key, PollerError, Status, WaitCtx, WaitFd};

use common::{LONG, OtherEnd, watched_fd};

/// The tokens of what is readable now, sorted. (epoll promises no order.)
#[track_caller]
fn check_ready(poller: &mut FdPoller, expected: &[u64]) {
    let mut tokens = Vec::new();
    let count = poller
        .wait(&mut tokens, Some(Duration::ZERO))
        .expect("wait");
    tokens.sort_unstable();
    assert_eq!(tokens, expected);
    assert_eq!(count, tokens.len());
}

fn watched(poller: &FdPoller) -> String {
    format!("{poller:?}")
}

fn set(ctx: &WaitCtx, key: Key) -> OtherEnd {
    let (fd, other_end) = watched_fd();
    ctx.set_wait_fd(key, WaitFd::owned(fd)).expect("free");
    other_end
}

/// Makes room for high numbers.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < 4096) {
        limit.current = Some(4096);
        setrlimit(Resource::Nofile, limit).expect("the hard limit is higher");
    }
}

/// As [`watched_fd`], with this number. Tests that use a number twice have one of their own, so
/// high that nobody else gets it.
fn numbered_fd(number: RawFd) -> (OwnedFd, OtherEnd) {
    raise_limit();
    let (fd, other_end) = watched_fd();
    let fd = fcntl_dupfd_cloexec(&fd, number).expect("a high number");
    assert_eq!(fd.as_raw_fd(), number);
    (fd, other_end)
}

#[test]
fn the_wake_fd_is_followed() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    poller.follow(&ctx, 7).expect("nothing there");
    assert_eq!(watched(&poller), "FdPoller { watched: 0, .. }");

    let notifier = ctx.notifier().expect("an fd to spare");
    poller.follow(&ctx, 7).expect("followed");
    assert_eq!(watched(&poller), "FdPoller { watched: 1, .. }");
    check_ready(&mut poller, &[]);
    notifier.notify(Status::Ok).expect("told");
    // Level-triggered: until it is acknowledged.
    check_ready(&mut poller, &[7]);
    check_ready(&mut poller, &[7]);
    assert!(ctx.acknowledge().expect("read"));
    check_ready(&mut poller, &[]);

    // The next round changes nothing, and the fd is still followed.
    ctx.begin_round();
    ctx.notifier().expect("the same fd");
    poller.follow(&ctx, 7).expect("nothing changed");
    notifier.notify(Status::Ok).expect("told");
    check_ready(&mut poller, &[7]);
}

#[test]
fn a_wake_from_another_thread_ends_a_wait() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let notifier = ctx.notifier().expect("an fd to spare");
    poller.follow(&ctx, 7).expect("followed");
    for timeout in [None, Some(LONG), Some(Duration::MAX)] {
        let mut tokens = vec![1];
        std::thread::scope(|s| {
            s.spawn(|| notifier.notify(Status::Ok).expect("told"));
            assert_eq!(poller.wait(&mut tokens, timeout).expect("wait"), 1);
        });
        assert_eq!(tokens, [1, 7], "what was there stays");
        assert!(ctx.acknowledge().expect("read"));
    }
}

#[test]
fn several_fds_of_several_contexts() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (one, two) = (WaitCtx::new(), WaitCtx::new());
    let mut ends = [Key::new(), Key::new(), Key::new()].map(|key| set(&one, key));
    let mut end_of_two = set(&two, Key::new());
    poller.follow(&one, 1).expect("followed");
    poller.follow(&two, 2).expect("followed");
    assert_eq!(watched(&poller), "FdPoller { watched: 4, .. }");
    check_ready(&mut poller, &[]);

    ends[1].write();
    check_ready(&mut poller, &[1]);
    end_of_two.write();
    check_ready(&mut poller, &[1, 2]);
    // A context with two readable fds comes twice.
    ends[0].write();
    check_ready(&mut poller, &[1, 1, 2]);
}

#[test]
fn at_most_a_batch_comes_from_one_wait() {
    raise_limit();
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let (fd, mut other_end) = watched_fd();
    other_end.write();
    for _ in 0..FdPoller::BATCH + 3 {
        let fd = fd.try_clone().expect("an fd to spare");
        ctx.push_wait_fd(Key::new(), WaitFd::owned(fd));
    }
    poller.follow(&ctx, 7).expect("followed");
    check_ready(&mut poller, &[7; FdPoller::BATCH]);
}

#[test]
fn a_cleared_fd_is_not_followed_any_more() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (ctx, key) = (WaitCtx::new(), Key::new());
    let mut other_end = set(&ctx, key);
    poller.follow(&ctx, 7).expect("followed");
    other_end.write();
    check_ready(&mut poller, &[7]);

    ctx.begin_round();
    drop(ctx.clear_fd(key).expect("there is one"));
    // Not known here yet: the number must stay what it is.
    assert!(!other_end.is_closed());
    check_ready(&mut poller, &[7]);

    poller.follow(&ctx, 7).expect("followed");
    assert!(other_end.is_closed());
    check_ready(&mut poller, &[]);
    assert_eq!(watched(&poller), "FdPoller { watched: 0, .. }");
}

#[test]
fn removed_ones_go_before_added_ones_come() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (ctx, key) = (WaitCtx::new(), Key::new());
    let mut other_end = set(&ctx, key);
    poller.follow(&ctx, 7).expect("followed");

    // The same fd in both lists. The other way round it would be gone.
    ctx.begin_round();
    let fd = ctx.clear_fd(key).expect("there is one");
    let number = fd.raw();
    ctx.set_wait_fd(key, fd).expect("free");
    let changes = ctx.changes();
    assert_eq!(
        (changes.removed, changes.added),
        (vec![number], vec![number])
    );
    poller.follow(&ctx, 7).expect("followed");
    assert_eq!(watched(&poller), "FdPoller { watched: 1, .. }");
    other_end.write();
    check_ready(&mut poller, &[7]);
}

#[test]
fn another_fd_with_the_same_number_takes_its_place() {
    const NUMBER: RawFd = 4000;
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (ctx, key) = (WaitCtx::new(), Key::new());
    let (first, first_end) = numbered_fd(NUMBER);
    ctx.set_wait_fd(key, WaitFd::owned(first)).expect("free");
    // Not followed while it lived: the poller hears of it only now that it is another.
    ctx.begin_round();
    drop(ctx.clear_fd(key).expect("there is one"));
    assert!(first_end.is_closed());
    let (second, mut second_end) = numbered_fd(NUMBER);
    ctx.set_wait_fd(key, WaitFd::owned(second)).expect("free");
    assert_eq!(ctx.changes().removed, ctx.changes().added);
    poller.follow(&ctx, 7).expect("followed");
    check_ready(&mut poller, &[]);
    second_end.write();
    check_ready(&mut poller, &[7]);
}

#[test]
fn following_twice_changes_nothing() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (ctx, early) = (WaitCtx::new(), Key::new());
    let _early_end = set(&ctx, early);
    poller.follow(&ctx, 7).expect("followed");
    poller.follow(&ctx, 7).expect("followed");
    ctx.begin_round();
    drop(ctx.clear_fd(early));
    let mut end = set(&ctx, Key::new());
    for _ in 0..3 {
        poller.follow(&ctx, 7).expect("followed");
        assert_eq!(watched(&poller), "FdPoller { watched: 1, .. }");
    }
    end.write();
    check_ready(&mut poller, &[7]);
}

#[test]
fn another_token_takes_the_place_of_the_first() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let mut end = set(&ctx, Key::new());
    poller.follow(&ctx, 7).expect("followed");
    poller.follow(&ctx, 8).expect("followed");
    end.write();
    check_ready(&mut poller, &[8]);
}

#[test]
fn a_record_that_is_followed_late_does_not_touch_other_contexts() {
    const NUMBER: RawFd = 4010;
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (one, two, key) = (WaitCtx::new(), WaitCtx::new(), Key::new());
    let (fd, _other_end) = numbered_fd(NUMBER);
    one.set_wait_fd(key, WaitFd::owned(fd)).expect("free");
    poller.follow(&one, 1).expect("followed");
    one.begin_round();
    drop(one.clear_fd(key));
    poller.follow(&one, 1).expect("followed");

    // The number is another context's now.
    let (fd, mut end_of_two) = numbered_fd(NUMBER);
    two.set_wait_fd(key, WaitFd::owned(fd)).expect("free");
    poller.follow(&two, 2).expect("followed");
    // The next job on the first context starts, and pauses: still the same round.
    assert_eq!(one.changes().removed, [NUMBER]);
    poller.follow(&one, 1).expect("followed");
    end_of_two.write();
    check_ready(&mut poller, &[2]);

    // Nor does a foreign number of the same value.
    one.push_wait_fd(key, WaitFd::foreign(NUMBER));
    poller.follow(&one, 1).expect_err("foreign");
    poller.leave(&one).expect("left");
    check_ready(&mut poller, &[2]);
}

#[test]
fn a_foreign_fd_is_refused_and_the_others_are_followed() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let mut older = set(&ctx, Key::new());
    ctx.push_wait_fd(Key::new(), WaitFd::foreign(-1));
    let mut newer = set(&ctx, Key::new());

    for _ in 0..2 {
        let error = poller.follow(&ctx, 7).expect_err("foreign");
        assert!(matches!(error, PollerError::Foreign { fd: -1 }));
        assert_eq!(
            error.to_string(),
            "fd -1 of the wait context is not owned by it; watch it in your own event loop"
        );
        assert_eq!(watched(&poller), "FdPoller { watched: 2, .. }");
    }
    older.write();
    check_ready(&mut poller, &[7]);
    newer.write();
    check_ready(&mut poller, &[7, 7]);

    // In the next round it is known to be there.
    ctx.begin_round();
    poller.follow(&ctx, 7).expect("nothing changed");
}

#[test]
fn what_cannot_be_polled_is_refused() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let file = std::fs::File::open("Cargo.toml").expect("of this package");
    ctx.push_wait_fd(Key::new(), WaitFd::owned(file));
    let error = poller
        .follow(&ctx, 7)
        .expect_err("a file is always readable");
    let PollerError::System(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(watched(&poller), "FdPoller { watched: 0, .. }");
}

#[test]
fn left_is_left() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let (one, two) = (WaitCtx::new(), WaitCtx::new());
    let keys = [Key::new(), Key::new()];
    let mut ends = keys.map(|key| set(&one, key));
    let mut end_of_two = set(&two, keys[0]);
    poller.follow(&one, 1).expect("followed");
    poller.follow(&two, 2).expect("followed");
    // Cleared, and not followed since: it goes as well.
    one.begin_round();
    drop(one.clear_fd(keys[1]));
    assert!(!ends[1].is_closed());

    poller.leave(&one).expect("left");
    assert_eq!(watched(&poller), "FdPoller { watched: 1, .. }");
    assert!(ends[1].is_closed());
    ends[0].write();
    end_of_two.write();
    check_ready(&mut poller, &[2]);
    poller.leave(&one).expect("nothing left to leave");

    drop(one);
    assert!(ends[0].is_closed());
    assert!(!end_of_two.is_closed());
}

#[test]
fn a_number_is_not_used_again_while_it_is_watched() {
    const NUMBER: RawFd = 4020;
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let (fd, mut other_end) = numbered_fd(NUMBER);
    ctx.push_wait_fd(Key::new(), WaitFd::owned(fd));
    poller.follow(&ctx, 7).expect("followed");
    // The context goes and was not left.
    drop(ctx);
    assert!(!other_end.is_closed());
    let stranger =
        WaitFd::owned(fcntl_dupfd_cloexec(other_end.as_fd(), NUMBER).expect("a high number"));
    assert_ne!(stranger.raw(), NUMBER);
    other_end.write();
    check_ready(&mut poller, &[7]);

    drop(stranger);
    drop(poller);
    assert!(other_end.is_closed());
}

#[test]
fn a_shared_fd_is_followed_too() {
    let mut poller = FdPoller::new().expect("an fd to spare");
    let ctx = WaitCtx::new();
    let (fd, mut other_end) = watched_fd();
    let shared: Arc<PipeReader> = Arc::new(fd);
    ctx.push_wait_fd(Key::new(), WaitFd::shared(Arc::clone(&shared) as _));
    poller.follow(&ctx, 7).expect("followed");
    other_end.write();
    check_ready(&mut poller, &[7]);
    poller.leave(&ctx).expect("left");
    check_ready(&mut poller, &[]);
}
