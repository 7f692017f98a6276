//! Another library's coroutines and jobs, in each other: a job pauses on its own stack only.

#![allow(
    unsafe_code,
    reason = "the other library wants to be promised what a stack is"
)]

mod common;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use async_core::{Cancelled, Pause, current_job, pause_job, start_job};
use common::{assert_pool, on_own_thread, start, start_paused};
use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult};
use waitctx::WaitCtx;

/// A stack for the other library, from the heap.
struct HeapStack(Vec<u128>);

impl HeapStack {
    fn new() -> HeapStack {
        HeapStack(vec![0; 16 * 1024])
    }

    fn at(&self, element: usize) -> StackPointer {
        let address = self.0.as_ptr().addr() + element * size_of::<u128>();
        NonZeroUsize::new(address).expect("memory is not at zero")
    }
}

// SAFETY: the memory is whole, aligned to 16 bytes, and neither moved nor freed while this lives;
// what runs on it is known to be shallow.
unsafe impl Stack for HeapStack {
    fn base(&self) -> StackPointer {
        self.at(self.0.len())
    }

    fn limit(&self) -> StackPointer {
        self.at(0)
    }
}

type Said = Result<Pause, Cancelled>;
/// Pauses, gives way, pauses again, and says what both pauses were.
type Pauser = Coroutine<(), Said, Said, HeapStack>;

fn pauser() -> Pauser {
    Coroutine::with_stack(HeapStack::new(), |yielder, ()| {
        yielder.suspend(pause_job());
        pause_job()
    })
}

fn yielded(outcome: CoroutineResult<Said, Said>) -> Said {
    outcome.as_yield().expect("it gives way once")
}

fn returned(outcome: CoroutineResult<Said, Said>) -> Said {
    outcome.as_return().expect("it gives way once")
}

#[test]
fn a_coroutine_inside_a_job_cannot_pause_it() {
    on_own_thread(|| {
        let job = start_paused(|| {
            assert!(current_job().expect("in a job").can_pause());
            let mut inside = pauser();
            assert_eq!(yielded(inside.resume(())), Ok(Pause::Blocked));
            // Back on its own stack, also with the other one in mid-air.
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            assert_eq!(returned(inside.resume(())), Ok(Pause::Blocked));
            let mut asks = Coroutine::<(), (), bool, _>::with_stack(HeapStack::new(), |_, ()| {
                current_job().expect("in a job").can_pause()
            });
            assert_eq!(asks.resume(()).as_return(), Some(false));
        });
        assert_pool(1, 0);
        assert_eq!(job.resume().finished(), Some(()));
        assert_pool(0, 1);
    });
}

#[test]
fn a_cancelled_job_is_told_so_there_too() {
    on_own_thread(|| {
        let job = start_paused(|| {
            let mut inside = pauser();
            assert_eq!(pause_job(), Err(Cancelled));
            assert_eq!(yielded(inside.resume(())), Err(Cancelled));
            assert_eq!(returned(inside.resume(())), Err(Cancelled));
        });
        job.cancel();
        assert_pool(0, 1);
    });
}

#[test]
fn a_coroutine_that_leaves_its_job_is_in_no_job() {
    on_own_thread(|| {
        let left = start(|| {
            let mut inside = pauser();
            assert_eq!(yielded(inside.resume(())), Ok(Pause::Blocked));
            inside
        });
        let mut left = left.finished().expect("it does not pause");
        assert_eq!(returned(left.resume(())), Ok(Pause::NotInJob));
        assert_pool(0, 1);
    });
}

/// A job's stack is its own, whatever stack it was started on.
#[test]
fn jobs_run_inside_a_coroutine() {
    on_own_thread(|| {
        let mut host =
            Coroutine::<(), (), Said, HeapStack>::with_stack(HeapStack::new(), |yielder, ()| {
                let job = start_paused(pause_job);
                assert!(current_job().is_none());
                yielder.suspend(());
                job.resume().finished().expect("it pauses once")
            });
        assert_eq!(host.resume(()).as_yield(), Some(()));
        assert_pool(1, 0);
        assert_eq!(start(|| 5).finished(), Some(5));
        assert_eq!(host.resume(()).as_return(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 2);
    });
}

/// The worst of both: a job inside a coroutine that gives way while the job runs. Elsewhere it then
/// seems to run, and does not.
#[test]
fn a_coroutine_gives_way_from_within_a_job() {
    type Yielder = corosensei::Yielder<(), ()>;
    on_own_thread(|| {
        let said = Rc::new(RefCell::new(Vec::new()));
        let note = Rc::clone(&said);
        let mut host =
            Coroutine::<(), (), Option<Said>, HeapStack>::with_stack(HeapStack::new(), {
                move |yielder: &Yielder, ()| {
                    let way_out = yielder as *const Yielder;
                    let job = start(move || {
                        // SAFETY: it is in a frame below this job's, which waits for it.
                        unsafe { &*way_out }.suspend(());
                        note.borrow_mut().push(pause_job());
                    });
                    let job = job.paused().expect("it pauses behind the detour");
                    job.resume().finished().map(|()| Ok(Pause::Resumed))
                }
            });
        assert_eq!(host.resume(()).as_yield(), Some(()));
        // The job has not come back. Here is not its stack.
        assert!(current_job().is_some_and(|job| !job.can_pause()));
        assert_eq!(pause_job(), Ok(Pause::Blocked));
        assert!(start_job(&WaitCtx::new(), || ()).is_err());
        assert_pool(1, 0);
        assert_eq!(host.resume(()).as_return(), Some(Some(Ok(Pause::Resumed))));
        assert_eq!(said.borrow()[..], [Ok(Pause::Resumed)]);
        assert!(current_job().is_none());
        assert_pool(0, 1);
    });
}
