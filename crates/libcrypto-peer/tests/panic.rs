//! A panic in a job comes out at the host, and the job is finished.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{finish, peer, start};
use libcrypto_peer::{JobOutcome, PauseError, PeerWaitCtx};

#[test]
fn before_the_first_pause() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(1, 1).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let started = catch_unwind(AssertUnwindSafe(|| {
        // Not panic!(): the message and its backtrace would only clutter the output.
        start(libcrypto, &ctx, || resume_unwind(Box::new("early")))
    }));
    let payload = started.expect_err("the panic comes out of start_job");
    assert_eq!(payload.downcast_ref(), Some(&"early"));

    let outcome = start(libcrypto, &ctx, || 1).expect("the job is free");
    assert_eq!(finish(outcome), (1, 0));
}

#[test]
fn after_a_pause() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(1, 1).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = start(libcrypto, &ctx, move || {
        libcrypto.pause_job().expect("in a job");
        panic!("late")
    })
    .expect("starts");
    let JobOutcome::Paused(job) = outcome else {
        panic!("{outcome:?}")
    };
    let resumed = catch_unwind(AssertUnwindSafe(|| job.resume()));
    let payload = resumed.expect_err("the panic comes out of resume");
    assert_eq!(payload.downcast_ref(), Some(&"late"));
    assert!(!std::thread::panicking());

    let outcome = start(libcrypto, &ctx, || 1).expect("the job is free");
    assert_eq!(finish(outcome), (1, 0));
}

#[test]
fn a_job_cannot_pause_while_unwinding() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");

    struct PausesWhenDropped(libcrypto_peer::Libcrypto);
    impl Drop for PausesWhenDropped {
        fn drop(&mut self) {
            assert_eq!(self.0.pause_job(), Err(PauseError::Unwinding));
        }
    }
    let outcome = start(libcrypto, &ctx, move || {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _pauses = PausesWhenDropped(libcrypto);
            panic!("unwinds through the above");
        }));
        assert!(caught.is_err());
        libcrypto.pause_job().expect("no longer unwinding");
        4
    })
    .expect("starts");
    assert_eq!(finish(outcome), (4, 1));
}
