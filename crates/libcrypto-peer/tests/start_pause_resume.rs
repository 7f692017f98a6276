//! The ordinary life of jobs.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{finish, peer, start};
use libcrypto_peer::{JobOutcome, Libcrypto, PauseError, PeerWaitCtx};

#[test]
fn one_library_for_all() {
    let Some(libcrypto) = peer() else { return };
    let again = Libcrypto::load().expect("it has been loaded before");
    assert_eq!(again.version(), libcrypto.version());
    assert!(libcrypto.version().starts_with("OpenSSL "));
    assert!(libcrypto.version_num() >= 0x3000_0000);
}

#[test]
fn a_job_that_never_pauses_finishes_at_once() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = start(libcrypto, &ctx, || -7).expect("starts");
    assert_eq!(finish(outcome), (-7, 0));
}

#[test]
fn each_side_runs_in_turn() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let log = Rc::new(RefCell::new(Vec::new()));
    let jobs_log = Rc::clone(&log);
    assert!(!libcrypto.current_job_exists());

    let outcome = start(libcrypto, &ctx, move || {
        for step in ["one", "two"] {
            jobs_log.borrow_mut().push(step);
            assert!(libcrypto.current_job_exists());
            libcrypto.pause_job().expect("in a job");
        }
        jobs_log.borrow_mut().push("three");
        3
    })
    .expect("starts");
    let JobOutcome::Paused(job) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(!libcrypto.current_job_exists());
    assert_eq!(job.wait_ctx().as_ptr(), ctx.as_ptr());
    log.borrow_mut().push("host");
    let outcome = job.resume().expect("resumes");
    assert_eq!(*log.borrow(), ["one", "host", "two"]);
    assert_eq!(finish(outcome), (3, 1));
    assert_eq!(log.borrow().last(), Some(&"three"));
    assert_eq!(Rc::strong_count(&log), 1, "the body is gone");
}

#[test]
fn results_come_back_through_the_frames_that_paused() {
    fn sum_down(libcrypto: Libcrypto, n: i32) -> i32 {
        if n == 0 {
            return 0;
        }
        let below = sum_down(libcrypto, n - 1);
        libcrypto.pause_job().expect("in a job");
        below + n
    }
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = start(libcrypto, &ctx, move || sum_down(libcrypto, 10)).expect("starts");
    assert_eq!(finish(outcome), (55, 10));
}

#[test]
fn paused_jobs_keep_their_results_apart() {
    let Some(libcrypto) = peer() else { return };
    let mut paused = Vec::new();
    for n in 0..20 {
        let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
        let outcome = start(libcrypto, &ctx, move || {
            for _ in 0..n {
                libcrypto.pause_job().expect("in a job");
            }
            n * 100
        })
        .expect("starts");
        match outcome {
            JobOutcome::Finished(result) => assert_eq!((n, result), (0, 0)),
            JobOutcome::Paused(job) => paused.push((n, job)),
        }
    }
    // Last in, first out: not the order in which they started.
    while let Some((n, job)) = paused.pop() {
        let outcome = job.resume().expect("resumes");
        let pauses = u32::try_from(n).expect("small") - 1;
        assert_eq!(finish(outcome), (n * 100, pauses));
    }
}

#[test]
fn a_body_is_called_and_dropped_once() {
    struct CountsDrops(Rc<Cell<u32>>);
    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let drops = Rc::new(Cell::new(0));
    let counted = CountsDrops(Rc::clone(&drops));
    let outcome = start(libcrypto, &ctx, move || {
        libcrypto.pause_job().expect("in a job");
        drop(counted);
        1
    })
    .expect("starts");
    assert_eq!(drops.get(), 0);
    assert_eq!(finish(outcome), (1, 1));
    assert_eq!(drops.get(), 1);
}

#[test]
fn pausing_outside_a_job_is_refused() {
    let Some(libcrypto) = peer() else { return };
    let not_in_job = || assert_eq!(libcrypto.pause_job(), Err(PauseError::NotInJob));
    not_in_job();
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = start(libcrypto, &ctx, move || {
        libcrypto.pause_job().expect("in a job");
        1
    })
    .expect("starts");
    not_in_job();
    assert_eq!(finish(outcome), (1, 1));
    not_in_job();
}
