//! A process without a descriptor to spare. One test in a process of its own: it lowers the limit
//! for all threads.

#![cfg(not(loom))]

mod common;

use std::fs::File;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waitctx::{Notified, ReadyQueue, Status, WaitCtx, WakeFd};

use common::{Count, readable};

/// Opens files until there is no descriptor left.
fn fill(files: &mut Vec<File>) {
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(e) => return check_emfile(e),
        }
    }
}

#[track_caller]
fn check_emfile(error: io::Error) {
    let emfile = rustix::io::Errno::MFILE.raw_os_error();
    assert_eq!(error.raw_os_error(), Some(emfile), "{error}");
}

#[test]
fn without_descriptors_what_needs_one_says_so_and_nothing_else_fails() {
    let limit = getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(64),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, low).expect("a lower limit");

    let mut files = Vec::new();
    fill(&mut files);
    assert!(!files.is_empty());

    // What needs one.
    check_emfile(WakeFd::new().expect_err("none left"));
    check_emfile(ReadyQueue::with_fd().expect_err("none left"));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    check_emfile(waitctx::FdPoller::new().expect_err("none left"));
    let ctx = WaitCtx::new();
    for _ in 0..2 {
        check_emfile(ctx.notifier().expect_err("none left"));
        // Nothing was changed.
        assert!(ctx.wake_fd().is_none());
        assert_eq!(ctx.all_fds(), []);
        assert!(!ctx.has_changes());
        assert_eq!(ctx.status(), Status::Unsupported);
        assert!(!ctx.acknowledge().expect("nothing to read"));
    }

    // What needs none: a callback, a queue that parks, polling.
    let called = Count::default();
    ctx.set_callback(called.callback()).expect("no wake yet");
    let notifier = ctx.notifier().expect("no fd needed");
    assert_eq!(
        notifier.notify(Status::Ok).expect("told"),
        Notified::Callback
    );
    assert_eq!(called.get(), 1);

    let queue = ReadyQueue::new();
    queue.attach(&ctx, 7);
    assert_eq!(
        notifier.notify(Status::Ok).expect("told"),
        Notified::Callback
    );
    let mut tokens = Vec::new();
    assert_eq!(queue.wait(&mut tokens, None).expect("wait"), 1);
    assert_eq!(tokens, [7]);

    ctx.clear_callback().expect("no wake left");
    ctx.set_silent(true).expect("no wake left");
    ctx.notifier().expect("no fd needed");
    assert_eq!(
        notifier.notify(Status::Ok).expect("stored"),
        Notified::Silent
    );
    ctx.set_silent(false).expect("no wake left");

    // A wake that finds no target is kept, and none of the failures loses it.
    assert_eq!(notifier.notify(Status::Ok).expect("kept"), Notified::Kept);
    check_emfile(ctx.notifier().expect_err("none left"));
    check_emfile(WakeFd::new().expect_err("none left"));

    // Two descriptors are enough for any of them, on any system.
    files.truncate(files.len() - 2);
    let notifier = ctx.notifier().expect("an fd to spare");
    assert!(ctx.wake_fd().is_some_and(readable), "the kept wake");
    assert_eq!(ctx.all_fds().len(), 1);
    assert_eq!(ctx.changes().added, ctx.all_fds());
    fill(&mut files);

    // One that is there already needs no other.
    ctx.notifier().expect("the same fd");
    assert!(ctx.acknowledge().expect("read"));
    assert_eq!(notifier.notify(Status::Ok).expect("told"), Notified::Fd);
    assert!(ctx.acknowledge().expect("read"));

    // And it is given back, with nothing left open by the failures.
    drop(ctx);
    let wake_fd = WakeFd::new().expect("those of the context");
    fill(&mut files);
    drop(wake_fd);
    let queue = ReadyQueue::with_fd().expect("those of the wake fd");
    fill(&mut files);
    drop(queue);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut poller = waitctx::FdPoller::new().expect("that of the queue");
        fill(&mut files);
        drop(poller.wait(&mut tokens, Some(std::time::Duration::ZERO)));
    }
    drop(files);
    setrlimit(Resource::Nofile, limit).expect("the old limit");
}
