//! Jobs mixed with another kind of stackful job on the same thread.

#![expect(
    unsafe_code,
    reason = "a stack for the coroutine, and what it lends to a job that must own"
)]

mod common;

use std::cell::Cell;
use std::num::NonZero;
use std::ptr;
use std::rc::Rc;

use common::{finish, peer, start};
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use libcrypto_peer::{JobOutcome, PauseError, PeerWaitCtx, StartError};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

/// Ample for a panic with a backtrace, and for a guard region as large as any page.
const STACK_BYTES: usize = 512 * 1024;
const GUARD_BYTES: usize = 64 * 1024;

/// A mapping with a guard region at its low end. Left to the end of the process.
struct Mapping(usize);

impl Mapping {
    fn new() -> Self {
        let rw = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, placed by the system.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), STACK_BYTES, rw, MapFlags::PRIVATE) }
            .expect("memory for a stack");
        // SAFETY: the low end of that mapping, which nobody has used yet.
        unsafe { mprotect(start, GUARD_BYTES, MprotectFlags::empty()) }.expect("a guard region");
        Self(start.addr())
    }
}

// SAFETY: the mapping is ours alone, is never unmapped, starts and ends at page boundaries, and an
// overflow hits the guard region.
unsafe impl Stack for Mapping {
    fn base(&self) -> StackPointer {
        NonZero::new(self.0 + STACK_BYTES).expect("no mapping ends at 0")
    }

    fn limit(&self) -> StackPointer {
        NonZero::new(self.0).expect("no mapping starts at 0")
    }
}

#[test]
fn a_coroutine_inside_a_job_cannot_pause_the_job() {
    let Some(libcrypto) = peer() else { return };
    let ctx = PeerWaitCtx::new(libcrypto).expect("new ctx");
    let outcome = start(libcrypto, &ctx, move || {
        let body = move |_: &Yielder<(), ()>, ()| libcrypto.pause_job();
        let mut inside = Coroutine::with_stack(Mapping::new(), body);
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
    let body = move |yielder: &Yielder<(), ()>, ()| {
        let yielder: *const _ = yielder;
        let outcome = start(libcrypto, &jobs_ctx, move || {
            // SAFETY: the start around us has not returned, so the yielder is still lent to us.
            unsafe { &*yielder }.suspend(());
            7
        })
        .expect("starts");
        from_job.set(Some(finish(outcome)));
    };
    let mut coroutine = Coroutine::with_stack(Mapping::new(), body);
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));

    // For libcrypto the thread is inside the job; its stack is not ours.
    assert!(libcrypto.current_job_exists());
    assert_eq!(libcrypto.pause_job(), Err(PauseError::NotOnJobStack));
    let refused = start(libcrypto, &ctx, || 0);
    assert!(matches!(refused, Err(StartError::InsideJob(_))));

    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    assert_eq!(result.get(), Some((7, 0)));
    let outcome = start(libcrypto, &ctx, || 8).expect("outside again");
    assert!(matches!(outcome, JobOutcome::Finished(8)));
}
