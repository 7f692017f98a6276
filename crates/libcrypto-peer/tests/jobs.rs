//! Many jobs that run one closure.

mod common;

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use common::peer;
use libcrypto_peer::{JOB_STACK_BYTES, PeerJobs, Progress, RunError};

/// Set for the process that overflows a stack.
const OVERFLOW: &str = "OVERFLOW_A_STACK";

/// Touches at least `bytes` of the stack.
#[inline(never)]
fn dig(bytes: usize) -> u8 {
    let frame = black_box([1_u8; 512]);
    match bytes.checked_sub(frame.len()) {
        Some(left) => dig(left).wrapping_add(black_box(&frame)[7]),
        None => 0,
    }
}

#[test]
fn places_are_used_again_and_again() {
    let Some(libcrypto) = peer() else { return };
    let log = Rc::new(RefCell::new(Vec::new()));
    let from_jobs = Rc::clone(&log);
    let mut jobs = PeerJobs::new(libcrypto, 3, move |place| {
        from_jobs.borrow_mut().push((place, "begins"));
        libcrypto.pause_job().expect("we are in a job");
        from_jobs.borrow_mut().push((place, "ends"));
    })
    .expect("a set");
    for _ in 0..100 {
        for place in 0..3 {
            assert!(!jobs.is_paused(place));
            assert_eq!(jobs.run(place).expect("starts"), Progress::Paused);
            assert!(jobs.is_paused(place));
        }
        for place in [1, 0, 2] {
            assert_eq!(jobs.run(place).expect("resumes"), Progress::Finished);
        }
        let round: Vec<_> = log.borrow_mut().drain(..).collect();
        let begins = [(0, "begins"), (1, "begins"), (2, "begins")];
        let ends = [(1, "ends"), (0, "ends"), (2, "ends")];
        assert_eq!(round, [begins, ends].concat());
    }
}

#[test]
fn a_panic_comes_out_of_run_and_the_place_goes_on() {
    let Some(libcrypto) = peer() else { return };
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let mut jobs = PeerJobs::new(libcrypto, 1, move |_| {
        counted.set(counted.get() + 1);
        libcrypto.pause_job().expect("we are in a job");
        if counted.get() == 1 {
            // Not `panic!`: a hook that prints a backtrace needs nearly the whole stack.
            std::panic::resume_unwind(Box::new("the first time"));
        }
    })
    .expect("a set");
    assert_eq!(jobs.run(0).expect("starts"), Progress::Paused);
    let panic = catch_unwind(AssertUnwindSafe(|| jobs.run(0))).expect_err("carried out");
    assert_eq!(panic.downcast_ref(), Some(&"the first time"));
    assert!(!jobs.is_paused(0));
    assert_eq!(jobs.run(0).expect("starts"), Progress::Paused);
    assert_eq!(jobs.run(0).expect("resumes"), Progress::Finished);
    assert_eq!(calls.get(), 2);
}

#[test]
fn a_job_cannot_start_another() {
    let Some(libcrypto) = peer() else { return };
    let inner = PeerJobs::new(libcrypto, 1, |_| ()).expect("a set");
    let inner = Rc::new(RefCell::new(inner));
    let refused = Rc::new(Cell::new(false));
    let (from_job, flag) = (Rc::clone(&inner), Rc::clone(&refused));
    let mut outer = PeerJobs::new(libcrypto, 1, move |_| {
        let answer = from_job.borrow_mut().run(0);
        flag.set(matches!(answer, Err(RunError::InsideJob)));
    })
    .expect("another set");
    assert_eq!(outer.run(0).expect("starts"), Progress::Finished);
    assert!(refused.get());
    assert_eq!(
        inner.borrow_mut().run(0).expect("outside"),
        Progress::Finished
    );
}

#[test]
fn the_bound_of_the_pool_holds() {
    let Some(libcrypto) = peer() else { return };
    let _pool = libcrypto.init_thread(1, 1).expect("a pool");
    let body = move |_| libcrypto.pause_job().expect("we are in a job");
    let mut jobs = PeerJobs::new(libcrypto, 2, body).expect("a set");
    assert_eq!(jobs.run(0).expect("starts"), Progress::Paused);
    assert!(matches!(jobs.run(1), Err(RunError::NoJobs)));
    assert_eq!(jobs.run(0).expect("resumes"), Progress::Finished);
    assert_eq!(jobs.run(1).expect("starts"), Progress::Paused);
    assert_eq!(jobs.run(1).expect("resumes"), Progress::Finished);
}

#[test]
fn a_paused_job_is_lost_with_its_pool() {
    let Some(libcrypto) = peer() else { return };
    let pool = libcrypto.init_thread(4, 0).expect("a pool");
    let body = move |_| libcrypto.pause_job().expect("we are in a job");
    let mut jobs = PeerJobs::new(libcrypto, 2, body).expect("a set");
    assert_eq!(jobs.run(0).expect("starts"), Progress::Paused);
    drop(pool);
    assert!(matches!(jobs.run(0), Err(RunError::CleanedUp)));
    // The other place is served from the new pool.
    assert_eq!(jobs.run(1).expect("starts"), Progress::Paused);
    assert_eq!(jobs.run(1).expect("resumes"), Progress::Finished);
}

/// All of what is promised can be used, many times, and the stacks go back to the heap whole: when
/// the pool is cleaned up, when a thread ends, and when the set was forgotten.
#[test]
fn guarded_stacks_are_returned_whole() {
    let Some(libcrypto) = peer() else { return };
    for forget in [false, true] {
        for _ in 0..4 {
            let thread = std::thread::spawn(move || {
                let pool = libcrypto.init_thread(64, 0).expect("a pool");
                for _ in 0..2 {
                    let mut jobs = PeerJobs::new(libcrypto, 64, move |_| {
                        assert!(dig(PeerJobs::STACK_BYTES / 3) > 0);
                        libcrypto.pause_job().expect("we are in a job");
                    })
                    .expect("a set");
                    for run in 0..4 {
                        for place in 0..64 {
                            jobs.run(place).expect("runs");
                            assert_eq!(jobs.is_paused(place), run % 2 == 0);
                        }
                    }
                    if forget {
                        std::mem::forget(jobs);
                    }
                }
                if forget {
                    std::mem::forget(pool);
                } else {
                    drop(pool);
                }
                // The heap's blocks, written from end to end.
                let blocks: Vec<_> = (0..256).map(|n| vec![n as u8; JOB_STACK_BYTES]).collect();
                assert!(blocks.iter().all(|b| b[0] == b[JOB_STACK_BYTES - 1]));
            });
            thread.join().expect("it did not fail");
            let blocks: Vec<_> = (0..256).map(|n| vec![n as u8; JOB_STACK_BYTES]).collect();
            assert!(blocks.iter().all(|b| b[0] == b[JOB_STACK_BYTES - 1]));
        }
    }
}

#[test]
fn a_job_that_needs_more_than_its_stack_ends_the_process() {
    let Some(libcrypto) = peer() else { return };
    if std::env::var_os(OVERFLOW).is_some() {
        let body = |_| assert_eq!(dig(2 * JOB_STACK_BYTES), 0);
        let mut jobs = PeerJobs::new(libcrypto, 1, body).expect("a set");
        let _ = jobs.run(0);
        // It should not have come this far.
        std::process::exit(0);
    }
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "a_job_that_needs_more_than_its_stack_ends_the_process",
        ])
        .env(OVERFLOW, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it runs");
    let signal = status.signal();
    assert!(signal == Some(11) || signal == Some(7), "{status}"); // SIGSEGV, SIGBUS
}

#[test]
fn a_shared_wait_fd_is_closed_with_its_last_holder() {
    let Some(libcrypto) = peer() else { return };
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let reader = Arc::new(reader);
    let jobs = PeerJobs::new(libcrypto, 1, |_| ()).expect("a set");
    let ctx = jobs.wait_ctx(0);
    ctx.share_wait_fd(1, Arc::clone(&reader)).expect("added");
    assert_eq!(ctx.all_fds().len(), 1);
    assert_eq!(Arc::strong_count(&reader), 2);
    drop(jobs);
    assert_eq!(Arc::strong_count(&reader), 1);
    std::io::Write::write_all(&mut writer, b"?").expect("the reader is open");
}
