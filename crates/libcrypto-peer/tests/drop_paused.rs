//! Giving up paused jobs. One test only: it counts for the whole process.

mod common;

use std::io::{self, Write};
use std::mem;
use std::rc::Rc;

use common::{finish, peer, start};
use libcrypto_peer::{JobOutcome, PeerJobs, PeerWaitCtx, Progress, StartError, leaked_jobs};

#[test]
fn a_dropped_job_is_leaked_with_all_it_owns() {
    let Some(libcrypto) = peer() else { return };
    let pool = libcrypto.init_thread(2, 2).expect("first guard");
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let (reader, mut writer) = io::pipe().expect("a pipe");
    ctx.set_wait_fd(1, reader.into()).expect("added");
    let owned = Rc::new(());
    let captured = Rc::clone(&owned);
    let outcome = start(libcrypto, &ctx, move || {
        libcrypto.pause_job().expect("in a job");
        drop(captured);
        unreachable!("never resumed")
    })
    .expect("starts");
    assert!(matches!(outcome, JobOutcome::Paused(_)));
    assert_eq!(leaked_jobs(), 0);

    drop(ctx);
    drop(outcome);
    assert_eq!(leaked_jobs(), 1);
    assert_eq!(Rc::strong_count(&owned), 2, "its frames were not unwound");
    writer.write_all(b"?").expect("its wait descriptor is open");

    // Its place is gone, the others are not affected.
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let pauses_once = move || {
        libcrypto.pause_job().expect("in a job");
        1
    };
    let second = start(libcrypto, &ctx, pauses_once).expect("room");
    let third = start(libcrypto, &ctx, pauses_once);
    assert!(matches!(third, Err(StartError::NoJobs(_))));
    assert_eq!(finish(second), (1, 1));
    assert_eq!(leaked_jobs(), 1);

    // A job that its pool was cleaned up under is given up too.
    let outcome = start(libcrypto, &ctx, pauses_once).expect("room");
    let JobOutcome::Paused(job) = outcome else {
        panic!("{outcome:?}")
    };
    drop(pool);
    assert!(job.resume().is_err());
    assert_eq!(leaked_jobs(), 2);

    // One that is forgotten is not counted.
    let outcome = start(libcrypto, &ctx, pauses_once).expect("new pool");
    mem::forget(outcome);
    assert_eq!(leaked_jobs(), 2);

    // Of a set of jobs, those that are paused, with the closure.
    let owned = Rc::new(());
    let captured = Rc::clone(&owned);
    let mut jobs = PeerJobs::new(libcrypto, 3, move |place| {
        let _captured = &captured;
        if place > 0 {
            libcrypto.pause_job().expect("in a job");
        }
    })
    .expect("a set");
    for place in 0..3 {
        let progress = jobs.run(place).expect("starts");
        assert_eq!(progress == Progress::Paused, place > 0);
    }
    drop(jobs);
    assert_eq!(leaked_jobs(), 4);
    assert_eq!(Rc::strong_count(&owned), 2);
}
