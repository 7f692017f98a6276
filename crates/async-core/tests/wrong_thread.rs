//! A job cannot leave its thread: that is decided by the compiler.

mod common;

use async_core::{
    BlockGuard, CurrentJob, Job, JobId, JobOutcome, JobSet, PoolConfig, SetStats, current_job,
    pause_job,
};
use common::{on_own_thread, start_paused};
use static_assertions::{assert_impl_all, assert_not_impl_any};

// Whatever the result is: the stack is what may not move.
assert_not_impl_any!(Job<()>: Send, Sync, Clone);
assert_not_impl_any!(JobOutcome<u64>: Send, Sync);
assert_not_impl_any!(Option<Job<Vec<u8>>>: Send, Sync);
assert_not_impl_any!(JobSet<()>: Send, Sync);
assert_not_impl_any!(CurrentJob: Send, Sync);
assert_not_impl_any!(BlockGuard: Send, Sync, Clone);
// What is only data goes anywhere.
assert_impl_all!(JobId: Send, Sync);
assert_impl_all!(PoolConfig: Send, Sync);
assert_impl_all!(SetStats: Send, Sync);

#[test]
fn every_leg_of_a_job_runs_on_the_thread_that_started_it() {
    on_own_thread(|| {
        let here = std::thread::current().id();
        let mut job = start_paused(move || {
            for _ in 0..10 {
                assert_eq!(std::thread::current().id(), here);
                if pause_job().is_err() {
                    return;
                }
            }
        });
        for _ in 0..5 {
            assert!(on_own_thread(current_job_is_none));
            job = job.resume().paused().expect("it pauses ten times");
        }
        job.cancel();
    });
}

fn current_job_is_none() -> bool {
    current_job().is_none()
}

/// The running job is the thread's own affair too.
#[test]
fn another_thread_is_in_no_job() {
    on_own_thread(|| {
        let job = start_paused(|| {
            assert!(current_job().is_some());
            let elsewhere = on_own_thread(|| (current_job_is_none(), pause_job()));
            assert_eq!(elsewhere, (true, Ok(async_core::Pause::NotInJob)));
            pause_job()
        });
        assert!(job.resume().finished().is_some());
    });
}
