//! What libcrypto cannot do inside a job is refused, and the job goes on.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{finish, peer, start};
use libcrypto_peer::{InitError, JobOutcome, PeerWaitCtx, ResumeError, StartError};

#[test]
fn a_job_cannot_start_a_job() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let inner_ctx = ctx.clone();
    let outcome = start(libcrypto, &ctx, move || {
        let refused = start(libcrypto, &inner_ctx, || 20).expect_err("libcrypto cannot nest");
        assert!(matches!(refused, StartError::InsideJob(_)), "{refused:?}");
        let inline = refused.into_body()();
        libcrypto.pause_job().expect("in a job still");
        inline + 1
    })
    .expect("starts");
    assert_eq!(finish(outcome), (21, 1));
}

#[test]
fn a_job_cannot_resume_a_job() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let pauses_once = move || {
        libcrypto.pause_job().expect("in a job");
        5
    };
    let outcome = start(libcrypto, &ctx, pauses_once).expect("starts");
    let JobOutcome::Paused(other) = outcome else {
        panic!("{outcome:?}")
    };
    let handed_back = Rc::new(Cell::new(None));
    let to_host = Rc::clone(&handed_back);
    let outcome = start(libcrypto, &ctx, move || match other.resume() {
        Err(ResumeError::InsideJob(other)) => {
            to_host.set(Some(other));
            6
        }
        unexpected => panic!("{unexpected:?}"),
    })
    .expect("starts");
    assert_eq!(finish(outcome), (6, 0));
    let other = handed_back.take().expect("not lost");
    let outcome = other.resume().expect("outside jobs now");
    assert_eq!(finish(outcome), (5, 0));
}

#[test]
fn a_job_cannot_touch_its_pool() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let inits = start(libcrypto, &ctx, move || match libcrypto.init_thread(1, 1) {
        Err(InitError::InsideJob) => 1,
        unexpected => panic!("{unexpected:?}"),
    })
    .expect("starts");
    assert_eq!(finish(inits), (1, 0));

    let pool = libcrypto.init_thread(2, 1).expect("no guard yet");
    let cleans_up = start(libcrypto, &ctx, move || {
        drop(pool);
        libcrypto.pause_job().expect("still in a job");
        2
    })
    .expect("starts");
    assert_eq!(finish(cleans_up), (2, 1));
}
