//! Wait contexts: descriptors, callback, status.

mod common;

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use common::{finish, peer, start};
use libcrypto_peer::{JobOutcome, PeerWaitCtx, Status};

/// Whether the other end of the pipe has been closed.
fn is_closed(writer: &mut io::PipeWriter) -> bool {
    match writer.write(b"?") {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn descriptors_are_found_by_key() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    assert!(ctx.fd(1).is_none());
    assert!(ctx.all_fds().is_empty());

    let mut numbers = Vec::new();
    // A key may be null, and may come twice.
    for key in [0, 1, 1] {
        let (reader, _) = io::pipe().expect("a pipe");
        numbers.push(reader.as_raw_fd());
        ctx.set_wait_fd(key, reader.into()).expect("added");
    }
    let number = |key| ctx.fd(key).map(|fd| fd.as_raw_fd());
    assert_eq!(number(0), Some(numbers[0]));
    assert_eq!(number(1), Some(numbers[2]), "the newer one hides the older");
    assert_eq!(number(2), None);
    let all: Vec<_> = ctx.all_fds().iter().map(AsRawFd::as_raw_fd).collect();
    numbers.reverse();
    assert_eq!(all, numbers);
}

#[test]
fn descriptors_are_closed_with_the_context() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let (reader, mut writer) = io::pipe().expect("a pipe");
    ctx.set_wait_fd(1, reader.into()).expect("added");

    let outcome = start(libcrypto, &ctx, move || {
        libcrypto.pause_job().expect("in a job");
        1
    })
    .expect("starts");
    drop(ctx);
    assert!(!is_closed(&mut writer), "the paused job still needs it");
    let JobOutcome::Paused(job) = outcome else {
        panic!("{outcome:?}")
    };
    let ctx = job.wait_ctx().clone();
    assert_eq!(finish(job.resume().expect("resumes")), (1, 0));
    assert!(!is_closed(&mut writer), "one handle is left");
    drop(ctx);
    assert!(is_closed(&mut writer));
}

#[test]
fn descriptors_added_in_the_job_are_seen_by_the_host() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let jobs_ctx = ctx.clone();
    let (reader, _writer) = io::pipe().expect("a pipe");
    let number = reader.as_raw_fd();
    let outcome = start(libcrypto, &ctx, move || {
        let fd = OwnedFd::from(reader);
        jobs_ctx.set_wait_fd(1, fd).expect("added");
        libcrypto.pause_job().expect("in a job");
        1
    })
    .expect("starts");
    assert_eq!(ctx.fd(1).map(|fd| fd.as_raw_fd()), Some(number));
    assert_eq!(finish(outcome), (1, 1));
}

#[test]
fn the_callback_is_called_from_another_thread() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    assert!(ctx.callback().is_none());
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    ctx.set_callback(move || {
        counter.fetch_add(1, SeqCst);
    })
    .expect("set");

    let callback = ctx.callback().expect("set above");
    let completion = callback.clone();
    let called = thread::spawn(move || completion.call());
    assert!(called.join().expect("no panic"));
    assert_eq!(calls.load(SeqCst), 1);

    // Late: after the context is gone.
    drop(ctx);
    assert!(callback.call());
    assert_eq!(calls.load(SeqCst), 2);
    drop(callback);
    assert_eq!(Arc::strong_count(&calls), 1, "the closure is freed");
}

#[test]
fn callbacks_are_freed_once() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let alive = Arc::new(());
    let set = |ctx: &PeerWaitCtx| {
        let captured = Arc::clone(&alive);
        ctx.set_callback(move || drop(Arc::clone(&captured)))
            .expect("set");
    };
    set(&ctx);
    assert_eq!(Arc::strong_count(&alive), 2);
    set(&ctx);
    assert_eq!(Arc::strong_count(&alive), 2, "the last one was replaced");
    ctx.clear_callback().expect("cleared");
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(ctx.callback().is_none());
    set(&ctx);
    drop(ctx);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_in_a_callback_ends_there() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    ctx.set_callback(|| panic!("in a callback")).expect("set");
    assert!(!ctx.callback().expect("set above").call());
}

#[test]
fn any_status_is_kept() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    assert_eq!(ctx.status(), Status::UNSUPPORTED);
    for status in [Status::OK, Status::EAGAIN, Status::ERR, Status(-5)] {
        ctx.set_status(status).expect("any int");
        assert_eq!(ctx.status(), status);
    }
}
