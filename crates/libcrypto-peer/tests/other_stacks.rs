//! Jobs mixed with another kind of stackful job on the same thread.

#![expect(
    unsafe_code,
    reason = "a coroutine's yielder is lent, a job's body owns"
)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{finish, peer};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use libcrypto_peer::{JobOutcome, PauseError, PeerWaitCtx, StartError};

#[test]
fn a_coroutine_inside_a_job_cannot_pause_the_job() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = libcrypto
        .start_job(&ctx, move || {
            let mut inside = Coroutine::new(move |_: &Yielder<(), ()>, ()| libcrypto.pause_job());
            let CoroutineResult::Return(paused) = inside.resume(()) else {
                panic!("it does not yield")
            };
            assert_eq!(paused, Err(PauseError::NotOnJobStack));
            libcrypto.pause_job().expect("on its stack again");
            1
        })
        .expect("starts");
    assert_eq!(finish(outcome), (1, 1));
}

#[test]
fn a_job_inside_a_suspended_coroutine_is_left_alone() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let jobs_ctx = ctx.clone();
    let result = Rc::new(Cell::new(None));
    let from_job = Rc::clone(&result);
    let mut coroutine = Coroutine::new(move |yielder: &Yielder<(), ()>, ()| {
        let yielder: *const _ = yielder;
        let outcome = libcrypto
            .start_job(&jobs_ctx, move || {
                // SAFETY: start_job below has not returned, so the yielder is still lent to us.
                unsafe { &*yielder }.suspend(());
                7
            })
            .expect("starts");
        from_job.set(Some(finish(outcome)));
    });
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));

    // For libcrypto the thread is inside the job; its stack is not ours.
    assert!(libcrypto.current_job_exists());
    assert_eq!(libcrypto.pause_job(), Err(PauseError::NotOnJobStack));
    let refused = libcrypto.start_job(&ctx, || 0);
    assert!(matches!(refused, Err(StartError::InsideJob(_))));

    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    assert_eq!(result.get(), Some((7, 0)));
    let outcome = libcrypto.start_job(&ctx, || 8).expect("outside again");
    assert!(matches!(outcome, JobOutcome::Finished(8)));
}
