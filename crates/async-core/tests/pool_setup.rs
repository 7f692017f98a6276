//! A thread's pool is set up a second time.

mod common;

use async_core::{
    Job, Pause, PoolConfig, cleanup_thread, init_thread, pause_job, pool_stats, start_job,
};
use common::{assert_pool, on_own_thread, start_paused};
use waitctx::WaitCtx;

type Paused = Job<Result<Pause, async_core::Cancelled>>;

fn config(max_jobs: usize) -> PoolConfig {
    PoolConfig {
        max_jobs: max_jobs.try_into().ok(),
        ..PoolConfig::default()
    }
}

fn pause_some(count: usize) -> Vec<Paused> {
    (0..count).map(|_| start_paused(pause_job)).collect()
}

fn finish(job: Paused) {
    assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
}

#[track_caller]
fn assert_full() {
    let refused = start_job(&WaitCtx::new(), || ()).expect_err("the pool is full");
    assert!(refused.is_no_jobs());
}

#[test]
fn a_larger_bound_counts_at_once() {
    on_own_thread(|| {
        init_thread(&config(1)).expect("a sound configuration");
        let mut jobs = pause_some(1);
        assert_full();
        init_thread(&config(3)).expect("a larger bound");
        assert_pool(1, 0);
        jobs.extend(pause_some(2));
        assert_pool(3, 0);
        assert_full();
        init_thread(&config(0)).expect("no bound");
        jobs.extend(pause_some(5));
        assert_pool(8, 0);
        drop(jobs);
        assert_pool(0, 8);
    });
}

#[test]
fn a_smaller_bound_frees_idle_jobs() {
    on_own_thread(|| {
        init_thread(&config(8)).expect("a sound configuration");
        let mut jobs = pause_some(6);
        let rest = jobs.split_off(2);
        drop(rest);
        assert_pool(2, 4);
        init_thread(&config(3)).expect("a smaller bound");
        assert_pool(2, 1);
        init_thread(&config(1)).expect("smaller than what is in use");
        assert_pool(2, 0);
        assert_full();
        finish(jobs.remove(0));
        assert_pool(1, 0);
        assert_full();
        finish(jobs.remove(0));
        assert_pool(0, 1);
        let job = pause_some(1);
        assert_full();
        drop(job);
        assert_pool(0, 1);
    });
}

#[test]
fn a_smaller_bound_holds_for_stacks_that_are_wiped() {
    on_own_thread(|| {
        let wiped = |max_jobs| PoolConfig {
            wipe_stacks: true,
            ..config(max_jobs)
        };
        init_thread(&wiped(3)).expect("a sound configuration");
        let jobs = pause_some(3);
        init_thread(&wiped(1)).expect("a smaller bound");
        for (at, job) in jobs.into_iter().enumerate() {
            finish(job);
            assert_pool(2 - at, usize::from(at == 2));
        }
    });
}

#[test]
fn the_same_again_changes_nothing() {
    on_own_thread(|| {
        let config = PoolConfig {
            init_jobs: 2,
            ..config(4)
        };
        init_thread(&config).expect("a sound configuration");
        let job = pause_some(1);
        assert_pool(1, 1);
        init_thread(&config).expect("the same");
        assert_pool(1, 2);
        init_thread(&config).expect("the same");
        assert_pool(1, 2);
        drop(job);
        assert_pool(0, 3);
    });
}

/// Jobs up front stop at the bound, which jobs in use count against.
#[test]
fn jobs_up_front_do_not_exceed_the_bound() {
    on_own_thread(|| {
        init_thread(&config(3)).expect("a sound configuration");
        let jobs = pause_some(2);
        init_thread(&PoolConfig {
            init_jobs: 3,
            ..config(3)
        })
        .expect("as many as there is room for");
        assert_pool(2, 1);
        drop(jobs);
        assert_pool(0, 3);
    });
}

#[test]
fn another_stack_size_leaves_jobs_in_use_on_theirs() {
    on_own_thread(|| {
        let sized = |max_jobs, kib: usize| PoolConfig {
            stack_bytes: kib * 1024,
            ..config(max_jobs)
        };
        let size = || pool_stats().expect("a pool").stack_bytes;
        init_thread(&sized(3, 128)).expect("a sound configuration");
        let mut old = pause_some(2);
        drop(pause_some(1));
        assert_pool(2, 1);
        assert_eq!(size(), 128 << 10);

        init_thread(&sized(3, 192)).expect("another size");
        assert_eq!(size(), 192 << 10);
        assert_pool(2, 0);
        let mut new = pause_some(1);
        assert_pool(3, 0);
        assert_full();

        finish(old.remove(0));
        assert_pool(2, 0);
        new.extend(pause_some(1));
        assert_pool(3, 0);
        assert_full();

        // A third kind, while the first two are in use.
        init_thread(&sized(3, 256)).expect("a third size");
        assert_pool(3, 0);
        assert_full();
        finish(new.remove(0));
        assert_pool(2, 0);
        let newest = pause_some(1);
        assert_full();
        finish(old.remove(0));
        finish(new.remove(0));
        assert_pool(1, 0);
        drop(newest);
        assert_pool(0, 1);
        assert_eq!(cleanup_thread(), Ok(0));
    });
}

/// Idle jobs make room for the bound while jobs on other stacks are in use: otherwise they could
/// be started, and more would be in use than the bound allows.
#[test]
fn the_bound_counts_jobs_on_earlier_stacks() {
    on_own_thread(|| {
        let sized = |max_jobs, kib: usize| PoolConfig {
            stack_bytes: kib * 1024,
            ..config(max_jobs)
        };
        init_thread(&sized(3, 128)).expect("a sound configuration");
        let old = pause_some(3);
        init_thread(&sized(5, 192)).expect("another size, a larger bound");
        drop(pause_some(2));
        assert_pool(3, 2);
        init_thread(&sized(3, 192)).expect("the old bound");
        assert_pool(3, 0);
        assert_full();

        // The same when the bound is lowered while the new ones are in use.
        init_thread(&sized(5, 192)).expect("the larger bound");
        let new = pause_some(2);
        init_thread(&sized(4, 192)).expect("a smaller bound");
        assert_pool(5, 0);
        drop(new);
        assert_pool(3, 1);
        drop(old);
        assert_pool(0, 1);
    });
}

#[test]
fn wiping_can_be_switched_on_while_jobs_are_in_use() {
    on_own_thread(|| {
        init_thread(&config(4)).expect("a sound configuration");
        let old = pause_some(2);
        init_thread(&PoolConfig {
            wipe_stacks: true,
            ..config(4)
        })
        .expect("wiped from now on");
        let new = pause_some(2);
        assert_pool(4, 0);
        assert_full();
        old.into_iter().for_each(finish);
        assert_pool(2, 0);
        new.into_iter().for_each(finish);
        assert_pool(0, 2);
    });
}

#[test]
fn a_size_is_rounded_up_to_pages() {
    on_own_thread(|| {
        let config = PoolConfig {
            stack_bytes: 100_001,
            init_jobs: 1,
            ..PoolConfig::default()
        };
        init_thread(&config).expect("a sound configuration");
        let stats = pool_stats().expect("a pool");
        assert!(stats.stack_bytes >= 100_001);
        assert_eq!(stats.stack_bytes % 4096, 0);
        let job = pause_some(1);
        init_thread(&config).expect("the same");
        assert_eq!(pool_stats().expect("a pool").stack_bytes, stats.stack_bytes);
        assert_pool(1, 1);
        drop(job);
        assert_pool(0, 2);
    });
}
