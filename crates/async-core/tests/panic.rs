//! A job panics.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;

use async_core::{Pause, current_job, pause_job, start_job};
use common::{Drops, assert_pool, on_own_thread, start, start_paused};
use waitctx::WaitCtx;

/// What the job panics with, to be told from anything else.
#[derive(Debug, PartialEq)]
struct Payload(u64, String);

fn payload_of<R>(f: impl FnOnce() -> R) -> Payload {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        panic!("no panic came out");
    };
    *payload.downcast().expect("the payload is the job's")
}

/// The slot is in order: the next job runs on it, pauses and ends.
fn assert_reusable() {
    assert!(current_job().is_none());
    assert!(!std::thread::panicking());
    assert_pool(0, 1);
    let job = start_paused(pause_job);
    assert_pool(1, 0);
    assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    assert_pool(0, 1);
}

#[test]
fn a_panic_before_the_first_pause_comes_out_of_start_job() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let inside = drops.clone();
        let payload = payload_of(|| {
            start(move || {
                let (_token, _local) = (token, inside.token());
                panic_any(Payload(1, "first".to_owned()));
            })
        });
        assert_eq!(payload, Payload(1, "first".to_owned()));
        assert_eq!(drops.count(), 2);
        assert_reusable();
    });
}

#[test]
fn a_panic_after_a_pause_comes_out_of_resume() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let job = start_paused(move || {
            let _token = token;
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            panic_any(Payload(2, "second".to_owned()));
        });
        let job = job.resume().paused().expect("it pauses twice");
        assert_eq!(drops.count(), 0);
        let payload = payload_of(|| job.resume());
        assert_eq!(payload, Payload(2, "second".to_owned()));
        assert_eq!(drops.count(), 1);
        assert_reusable();
    });
}

#[test]
fn a_panic_of_one_job_leaves_the_others_alone() {
    on_own_thread(|| {
        let others: Vec<_> = (0..4)
            .map(|n| start_paused(move || (n, pause_job())))
            .collect();
        for n in 0..10 {
            let payload = payload_of(|| start(move || panic_any(Payload(n, String::new()))));
            assert_eq!(payload.0, n);
            assert_pool(4, 1);
        }
        for (n, job) in others.into_iter().enumerate() {
            assert_eq!(job.resume().finished(), Some((n, Ok(Pause::Resumed))));
        }
        assert_pool(0, 5);
    });
}

#[test]
fn a_panic_that_the_job_catches_is_its_own_affair() {
    on_own_thread(|| {
        let job = start_paused(|| {
            let caught = payload_of(|| panic_any(Payload(3, String::new())));
            assert!(!std::thread::panicking());
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            let later = payload_of(|| {
                // A pause between the panic and what catches it, on the way in.
                assert_eq!(pause_job(), Ok(Pause::Resumed));
                panic_any(Payload(4, String::new()));
            });
            (caught.0, later.0)
        });
        let job = job.resume().paused().expect("it pauses twice");
        assert_eq!(job.resume().finished(), Some((3, 4)));
        assert_reusable();
    });
}

/// A pause here would let other code run on a thread that says it is panicking.
#[test]
fn a_pause_while_unwinding_is_refused() {
    struct PauseOnDrop(Rc<Cell<Option<Pause>>>);
    impl Drop for PauseOnDrop {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            self.0.set(pause_job().ok());
        }
    }
    on_own_thread(|| {
        let said = Rc::new(Cell::new(None));
        let inside = Rc::clone(&said);
        let payload = payload_of(|| {
            start(move || {
                let _pause = PauseOnDrop(inside);
                panic_any(Payload(5, String::new()));
            })
        });
        assert_eq!(payload.0, 5);
        assert_eq!(said.get(), Some(Pause::Blocked));
        assert_reusable();

        // The same after a pause, and the job can pause again once it has caught the panic.
        let inside = Rc::clone(&said);
        said.set(None);
        let job = start_paused(move || {
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            let caught = payload_of(|| {
                let _pause = PauseOnDrop(inside);
                panic_any(Payload(6, String::new()));
            });
            (caught.0, pause_job())
        });
        let job = job.resume().paused().expect("it pauses behind the panic");
        assert_eq!(said.get(), Some(Pause::Blocked));
        assert!(!std::thread::panicking());
        assert_eq!(job.resume().finished(), Some((6, Ok(Pause::Resumed))));
        assert_reusable();
    });
}

#[test]
fn jobs_work_in_a_destructor_of_a_host_that_unwinds() {
    struct RunJobs(Rc<Cell<u32>>);
    impl Drop for RunJobs {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let inside = start(|| (std::thread::panicking(), pause_job()));
            // As in any function that is called here: it sees the panic, and may not pause.
            assert_eq!(inside.finished(), Some((true, Ok(Pause::Blocked))));
            let caught = payload_of(|| start(|| panic_any(Payload(7, String::new()))));
            assert_eq!(caught.0, 7);
            self.0.set(self.0.get() + 1);
        }
    }
    on_own_thread(|| {
        let runs = Rc::new(Cell::new(0));
        let guard = RunJobs(Rc::clone(&runs));
        let payload = payload_of(move || {
            let _guard = guard;
            panic_any(Payload(8, String::new()));
        });
        assert_eq!((payload.0, runs.get()), (8, 1));
        assert_reusable();
    });
}

#[test]
fn a_panic_in_a_cleanup_of_the_context_comes_out_of_resume() {
    on_own_thread(|| {
        let drops = Drops::default();
        let token = drops.token();
        let ctx = WaitCtx::new();
        let fd = waitctx::WaitFd::foreign(99)
            .on_cleanup(|_, _, _, _| panic_any(Payload(9, String::new())));
        ctx.set_wait_fd(waitctx::Key::new(), fd).expect("a new key");
        let job = start_job(&ctx, move || (pause_job(), token));
        let job = job.expect("a slot").paused().expect("it pauses");
        drop(ctx);
        assert_eq!(payload_of(|| job.resume()).0, 9);
        assert_eq!(drops.count(), 1);
        assert_reusable();
    });
}
