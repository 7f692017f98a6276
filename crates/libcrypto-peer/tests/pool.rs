//! A thread's pool: its bound, and its end.

mod common;

use common::{finish, peer, start};
use libcrypto_peer::{InitError, JobOutcome, PeerJob, PeerWaitCtx, ResumeError, StartError};

fn paused(outcome: JobOutcome) -> PeerJob {
    match outcome {
        JobOutcome::Paused(job) => job,
        JobOutcome::Finished(result) => panic!("finished with {result}"),
    }
}

#[test]
fn the_bound_counts_paused_jobs() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(2, 0).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let pauses_once = move || {
        libcrypto.pause_job().expect("in a job");
        1
    };
    let first = paused(start(libcrypto, &ctx, pauses_once).expect("room"));
    let second = paused(start(libcrypto, &ctx, pauses_once).expect("room"));

    let refused = start(libcrypto, &ctx, pauses_once).expect_err("two of two in use");
    assert!(matches!(refused, StartError::NoJobs(_)), "{refused:?}");

    let outcome = first.resume().expect("resumes");
    assert_eq!(finish(outcome), (1, 0));
    let outcome = start(libcrypto, &ctx, refused.into_body()).expect("room again");
    assert_eq!(finish(outcome), (1, 1));
    assert_eq!(finish(second.resume().expect("resumes")), (1, 0));
}

#[test]
fn a_pool_without_a_bound() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(0, 0).expect("no bound");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let start = |n| {
        let outcome = start(libcrypto, &ctx, move || {
            libcrypto.pause_job().expect("in a job");
            n
        });
        paused(outcome.expect("no bound"))
    };
    let jobs: Vec<_> = (0..100).map(start).collect();
    for (n, job) in (0..).zip(jobs) {
        assert_eq!(finish(job.resume().expect("resumes")), (n, 0));
    }
}

#[test]
fn more_jobs_now_than_ever_is_refused() {
    let Some(libcrypto) = peer() else { return };
    for (max, init) in [(1, 2), (0, 1)] {
        let refused = libcrypto.init_thread(max, init).expect_err("init > max");
        let InitError::Peer(error) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.function, "ASYNC_init_thread");
        let reason = error.reason.expect("libcrypto says why");
        assert!(reason.contains("invalid pool size"), "{reason:?}");
    }
}

#[test]
fn one_guard_at_a_time() {
    let Some(libcrypto) = peer() else { return };
    let pool = libcrypto.init_thread(1, 1).expect("first guard");
    assert!(matches!(
        libcrypto.init_thread(1, 1),
        Err(InitError::AlreadyInitialised)
    ));
    drop(pool);
    let _pool = libcrypto.init_thread(1, 1).expect("the first is gone");
}

#[test]
fn a_job_does_not_survive_its_pool() {
    let Some(libcrypto) = peer() else { return };
    let pool = libcrypto.init_thread(1, 0).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let start = move || {
        let outcome = start(libcrypto, &ctx, move || {
            libcrypto.pause_job().expect("in a job");
            9
        });
        paused(outcome.expect("starts"))
    };
    let lost = start();
    drop(pool);
    let refused = lost.resume().expect_err("its pool is gone");
    assert!(matches!(refused, ResumeError::CleanedUp), "{refused:?}");

    let next = start();
    assert_eq!(finish(next.resume().expect("a new pool")), (9, 0));
}
