//! Hints to the processor: they change nothing, whatever they are given.

mod common;

use async_core::{JobSet, WakeBy, current_job, pause_job, prefetch_for_write, start_job};
use common::on_own_thread;
use waitctx::WaitCtx;

#[test]
fn a_job_is_as_it_was_after_it_was_fetched() {
    on_own_thread(|| {
        let outcome = start_job(&WaitCtx::new(), || {
            let on_stack = [7_u64; 100];
            pause_job().expect("not cancelled");
            on_stack.iter().sum::<u64>()
        });
        let job = outcome.expect("a slot").paused().expect("it pauses");
        for _ in 0..3 {
            job.prefetch();
        }
        assert_eq!(job.resume().finished(), Some(700));
    });
}

#[test]
fn values_of_any_size_may_be_fetched_to_write() {
    let (none, small, large) = ((), 7_u8, [7_u8; 1000]);
    prefetch_for_write(&none);
    prefetch_for_write(&small);
    prefetch_for_write(&large);
    // Of memory that may not be written.
    prefetch_for_write("text".as_bytes().first().expect("not empty"));
    assert_eq!((small, large), (7, [7; 1000]));
}

/// What a job said it will look at is gone when the set has it fetched: freed, and unmapped with the
/// stack that it was on.
#[test]
fn what_a_job_will_look_at_may_be_gone() {
    on_own_thread(|| {
        let mut set = JobSet::new(100, WakeBy::Polling).expect("no fd is needed");
        for n in 0..100_u64 {
            let started = set.start(n, move || {
                let job = current_job().expect("in a job");
                job.looks_at(&Box::new([n; 1000]));
                std::thread::spawn(move || n).join().expect("no panic");
                pause_job().expect("not cancelled");
                job.looks_at(&n);
                pause_job().expect("not cancelled");
                n
            });
            assert!(matches!(started, Ok(None)), "it pauses");
        }
        let mut sum = 0;
        while !set.is_empty() {
            set.turn(None, |_, n| sum += n).expect("nothing fails");
        }
        assert_eq!(sum, 4950);
    });
}
