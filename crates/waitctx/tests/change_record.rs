//! The record of what changed in a round, case by case: OpenSSL's `ASYNC_WAIT_CTX_set_wait_fd`,
//! `_clear_fd` and `_get_changed_fds`.

#![cfg(not(loom))]

mod common;

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use waitctx::{Changes, Key, Status, WaitCtx, WaitFd, change_epoch};

use common::{Count, watched_fd};

/// Everything that can be seen of the fds, all at once.
#[track_caller]
fn check(ctx: &WaitCtx, all: &[RawFd], added: &[RawFd], removed: &[RawFd]) {
    assert_eq!(ctx.all_fds(), all, "all");
    let changes = Changes {
        added: added.to_vec(),
        removed: removed.to_vec(),
    };
    assert_eq!(ctx.changes(), changes);
    let changed = !added.is_empty() || !removed.is_empty();
    assert_eq!(ctx.has_changes(), changed, "has_changes");
}

fn set(ctx: &WaitCtx, key: Key, number: RawFd) {
    ctx.set_wait_fd(key, WaitFd::foreign(number))
        .expect("the key is free");
}

#[track_caller]
fn clear(ctx: &WaitCtx, key: Key, number: RawFd) {
    let fd = ctx.clear_fd(key).expect("there is one");
    assert_eq!(fd.raw(), number);
}

#[test]
fn a_new_context_is_empty() {
    let ctx = WaitCtx::new();
    check(&ctx, &[], &[], &[]);
    assert_eq!(ctx.fd(Key::new()), None);
    assert!(ctx.clear_fd(Key::new()).is_none());
    check(&ctx, &[], &[], &[]);
}

#[test]
fn a_set_fd_is_added_until_the_round_ends() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 99);
    // Reading the record does not use it up.
    check(&ctx, &[99], &[99], &[]);
    check(&ctx, &[99], &[99], &[]);
    assert_eq!(ctx.fd(key), Some(99));

    ctx.begin_round();
    check(&ctx, &[99], &[], &[]);
    assert_eq!(ctx.fd(key), Some(99));
}

#[test]
fn a_cleared_fd_is_hidden_and_removed_until_the_round_ends() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 99);
    ctx.begin_round();

    clear(&ctx, key, 99);
    check(&ctx, &[], &[], &[99]);
    check(&ctx, &[], &[], &[99]);
    assert_eq!(ctx.fd(key), None);
    // It cannot be cleared twice.
    assert!(ctx.clear_fd(key).is_none());
    check(&ctx, &[], &[], &[99]);

    ctx.begin_round();
    check(&ctx, &[], &[], &[]);
}

#[test]
fn set_and_cleared_in_the_same_round_leaves_no_trace() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 99);
    clear(&ctx, key, 99);
    check(&ctx, &[], &[], &[]);
    ctx.begin_round();
    check(&ctx, &[], &[], &[]);
}

#[test]
fn a_trace_of_another_fd_stays_when_one_leaves_none() {
    let ctx = WaitCtx::new();
    let (early, brief) = (Key::new(), Key::new());
    set(&ctx, early, 5);
    ctx.begin_round();
    clear(&ctx, early, 5);
    set(&ctx, brief, 6);
    check(&ctx, &[6], &[6], &[5]);
    clear(&ctx, brief, 6);
    check(&ctx, &[], &[], &[5]);
}

#[test]
fn cleared_and_set_again_is_one_of_each() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 5);
    ctx.begin_round();

    clear(&ctx, key, 5);
    // The hidden one does not occupy the key.
    set(&ctx, key, 6);
    check(&ctx, &[6], &[6], &[5]);
    assert_eq!(ctx.fd(key), Some(6));

    ctx.begin_round();
    check(&ctx, &[6], &[], &[]);
}

#[test]
fn the_same_number_can_be_in_both_lists() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 99);
    ctx.begin_round();
    clear(&ctx, key, 99);
    set(&ctx, key, 99);
    check(&ctx, &[99], &[99], &[99]);

    // The second one leaves no trace, the first one still does.
    clear(&ctx, key, 99);
    check(&ctx, &[], &[], &[99]);
}

#[test]
fn every_list_is_newest_first_by_when_it_was_set() {
    let ctx = WaitCtx::new();
    let keys = [Key::new(), Key::new(), Key::new()];
    for (number, key) in (1..).zip(keys) {
        set(&ctx, key, number);
    }
    check(&ctx, &[3, 2, 1], &[3, 2, 1], &[]);
    ctx.begin_round();
    // The order of clearing does not matter.
    clear(&ctx, keys[1], 2);
    clear(&ctx, keys[2], 3);
    check(&ctx, &[1], &[], &[3, 2]);
    clear(&ctx, keys[0], 1);
    check(&ctx, &[], &[], &[3, 2, 1]);
}

#[test]
fn only_a_resume_ends_the_round() {
    let (ctx, old, new) = (WaitCtx::new(), Key::new(), Key::new());
    set(&ctx, old, 5);
    ctx.begin_round();
    clear(&ctx, old, 5);
    set(&ctx, new, 6);

    // All that happens to a context when a job starts, pauses and finishes, but for the resume.
    let count = Count::default();
    ctx.set_callback(count.callback()).expect("nothing to tell");
    let notifier = ctx.notifier().expect("there is a callback");
    notifier.notify(Status::Ok).expect("told");
    assert_eq!(count.get(), 1);
    ctx.acknowledge().expect("nothing to read");
    ctx.set_status(Status::Again);
    ctx.clear_callback().expect("nothing to tell");
    let clone = ctx.clone();
    drop(ctx);
    check(&clone, &[6], &[6], &[5]);

    // A job that starts later on the same context still reports it.
    check(&clone, &[6], &[6], &[5]);
    clone.begin_round();
    check(&clone, &[6], &[], &[]);
}

#[test]
fn a_duplicate_is_refused_and_comes_back_whole() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    set(&ctx, key, 5);
    ctx.begin_round();

    let cleaned = Count::default();
    let counted = cleaned.clone();
    let second = WaitFd::foreign(6)
        .with_data(Arc::new("six"))
        .on_cleanup(move |_, _, _, _| counted.add());
    let error = ctx.set_wait_fd(key, second).expect_err("taken");
    assert_eq!(
        error.to_string(),
        "the wait context already has an fd under this key; clear it before setting another"
    );
    check(&ctx, &[5], &[], &[]);

    let second = error.into_fd();
    assert_eq!(second.raw(), 6);
    assert!(second.data().is_some_and(|data| data.is::<&str>()));
    clear(&ctx, key, 5);
    ctx.set_wait_fd(key, second).expect("free now");
    check(&ctx, &[6], &[6], &[5]);
    assert_eq!(cleaned.get(), 0);
    drop(ctx);
    assert_eq!(cleaned.get(), 1);
}

#[test]
fn a_pushed_duplicate_hides_the_older_one() {
    let (ctx, key) = (WaitCtx::new(), Key::from_address(0x1000));
    ctx.push_wait_fd(key, WaitFd::foreign(5));
    ctx.push_wait_fd(key, WaitFd::foreign(6));
    check(&ctx, &[6, 5], &[6, 5], &[]);
    assert_eq!(ctx.fd(key), Some(6));
    assert!(ctx.set_wait_fd(key, WaitFd::foreign(7)).is_err());

    clear(&ctx, key, 6);
    check(&ctx, &[5], &[5], &[]);
    assert_eq!(ctx.fd(key), Some(5));
    clear(&ctx, key, 5);
    check(&ctx, &[], &[], &[]);
    assert!(ctx.clear_fd(key).is_none());
}

#[test]
fn duplicates_of_two_rounds_are_cleared_each_by_its_own_rule() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    ctx.push_wait_fd(key, WaitFd::foreign(5));
    ctx.begin_round();
    ctx.push_wait_fd(key, WaitFd::foreign(6));
    check(&ctx, &[6, 5], &[6], &[]);

    clear(&ctx, key, 6);
    check(&ctx, &[5], &[], &[]);
    clear(&ctx, key, 5);
    check(&ctx, &[], &[], &[5]);
}

#[test]
fn the_null_key_and_the_fd_minus_one_are_like_any_other() {
    let (ctx, null) = (WaitCtx::new(), Key::from_address(0));
    assert_eq!(null.address(), Some(0));
    assert_eq!(Key::new().address(), None);
    set(&ctx, null, -1);
    check(&ctx, &[-1], &[-1], &[]);
    assert_eq!(ctx.fd(null), Some(-1));
    assert_eq!(ctx.fd(Key::from_address(1)), None);
    clear(&ctx, Key::from_address(0), -1);
    check(&ctx, &[], &[], &[]);
}

#[test]
fn made_keys_are_all_different() {
    let keys: std::collections::HashSet<Key> = (0..100).map(|_| Key::new()).collect();
    assert_eq!(keys.len(), 100);
}

#[test]
fn an_owned_fd_is_recorded_by_its_number() {
    let (ctx, key) = (WaitCtx::new(), Key::new());
    let (fd, other_end) = watched_fd();
    let number = fd.as_raw_fd();
    ctx.set_wait_fd(key, WaitFd::owned(fd)).expect("free");
    check(&ctx, &[number], &[number], &[]);
    assert_eq!(ctx.owned_fds().len(), 1);

    ctx.begin_round();
    drop(ctx.clear_fd(key).expect("there is one"));
    // Closed, and still in the record.
    assert!(other_end.is_closed());
    check(&ctx, &[], &[], &[number]);
    assert!(ctx.owned_fds().is_empty());
}

#[test]
fn the_wake_fd_is_added_once_and_stays() {
    let ctx = WaitCtx::new();
    assert!(ctx.wake_fd().is_none());
    let first = ctx.notifier().expect("an fd to spare");
    let number = ctx.wake_fd().expect("made").as_fd().as_raw_fd();
    check(&ctx, &[number], &[number], &[]);

    ctx.begin_round();
    check(&ctx, &[number], &[], &[]);
    let second = ctx.notifier().expect("the same fd");
    check(&ctx, &[number], &[], &[]);
    drop((first, second));
    check(&ctx, &[number], &[], &[]);
}

/// The four rounds of OpenSSL's own test of wait fds (`test_ASYNC_WAIT_CTX_get_all_fds`).
#[test]
fn the_rounds_of_openssls_own_test() {
    let (ctx, key) = (WaitCtx::new(), Key::from_address(0x2000));
    // Start: the job pauses before it sets anything.
    check(&ctx, &[], &[], &[]);
    // Resumed: it sets the fd and pauses.
    ctx.begin_round();
    set(&ctx, key, 99);
    check(&ctx, &[99], &[99], &[]);
    // Resumed: it finds its fd, clears it and pauses.
    ctx.begin_round();
    assert_eq!(ctx.fd(key), Some(99));
    clear(&ctx, key, 99);
    check(&ctx, &[], &[], &[99]);
    // Resumed: it sets and clears and finishes. The record is read after the finish.
    ctx.begin_round();
    set(&ctx, key, 99);
    clear(&ctx, key, 99);
    check(&ctx, &[], &[], &[]);
}

/// Other tests of this process make changes too: so only what must grow is asserted.
#[test]
fn the_epoch_grows_with_each_record_that_begins() {
    let ctx = WaitCtx::new();
    let mut last = change_epoch();
    assert_ne!(last, 0);
    let mut grew = || {
        let now = change_epoch();
        now > std::mem::replace(&mut last, now)
    };
    ctx.push_wait_fd(Key::from_address(1), WaitFd::foreign(-1));
    assert!(grew(), "set");
    ctx.begin_round();
    drop(ctx.clear_fd(Key::from_address(1)).expect("it is set"));
    assert!(grew(), "cleared");
    ctx.begin_round();
    ctx.notifier().expect("an fd to spare");
    assert!(grew(), "a wake fd");
}
