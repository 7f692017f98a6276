//! The bound on a thread's jobs, and what the pool counts.

mod common;

use async_core::{
    InitError, Job, Pause, PoolConfig, PoolStats, StartError, cleanup_thread, init_thread,
    pause_job, pool_stats, start_job,
};
use common::{Drops, assert_pool, on_own_thread, start, start_paused};
use waitctx::WaitCtx;

fn bound(max_jobs: usize, init_jobs: usize) -> PoolConfig {
    PoolConfig {
        max_jobs: max_jobs.try_into().ok(),
        init_jobs,
        ..PoolConfig::default()
    }
}

fn stats() -> PoolStats {
    pool_stats().expect("the thread has a pool")
}

/// A job that says on which stack it ran, by the address of a local.
fn start_on_a_stack() -> (Job<usize>, impl FnOnce(Job<usize>) -> usize) {
    let job = start_paused(|| {
        let here = 0_u8;
        let address = (&raw const here).addr();
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        address
    });
    (job, |job| job.resume().finished().expect("it pauses once"))
}

#[test]
fn at_the_bound_there_are_no_jobs_until_one_finishes() {
    on_own_thread(|| {
        init_thread(&bound(2, 0)).expect("a sound configuration");
        assert_pool(0, 0);
        let first = start_paused(pause_job);
        assert_pool(1, 0);
        let second = start_paused(pause_job);
        assert_pool(2, 0);

        let drops = Drops::default();
        let token = drops.token();
        let mut closure = Some(move || drop(token));
        for _ in 0..3 {
            let again = closure.take().expect("it came back");
            let refused = start_job(&WaitCtx::new(), again).expect_err("the pool is full");
            assert!(matches!(refused, StartError::NoJobs(_)));
            assert!(refused.is_no_jobs());
            assert!(refused.to_string().contains("max_jobs"), "{refused}");
            closure = Some(refused.into_closure());
            assert_eq!(drops.count(), 0);
            assert_pool(2, 0);
        }
        assert_eq!(stats().started, 2, "a refused start does not count");

        assert_eq!(first.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(1, 1);
        let again = closure.take().expect("it came back");
        assert_eq!(start(again).finished(), Some(()));
        assert_eq!(drops.count(), 1);
        assert_pool(1, 1);
        drop(second);
        assert_pool(0, 2);
        assert_eq!(stats().started, 3);
    });
}

#[test]
fn jobs_are_made_up_front() {
    on_own_thread(|| {
        init_thread(&bound(5, 3)).expect("a sound configuration");
        assert_pool(0, 3);
        let stats = stats();
        assert_eq!((stats.max_jobs, stats.started), (5.try_into().ok(), 0));
        assert_eq!(
            stats.stack_bytes,
            PoolConfig::default().stack_bytes,
            "a multiple of the page"
        );
        assert!(stats.guard.is_some(), "a stack was made");
        let job = start_paused(pause_job);
        assert_pool(1, 2);
        drop(job);
        assert_pool(0, 3);
    });
}

#[test]
fn more_jobs_up_front_than_the_bound_are_refused() {
    on_own_thread(|| {
        let error = init_thread(&bound(2, 3)).expect_err("3 is more than 2");
        let InitError::InvalidPoolSize {
            init_jobs: 3,
            max_jobs: 2,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(pool_stats(), None);
        init_thread(&bound(2, 1)).expect("a sound configuration");
        let before = pool_stats();
        init_thread(&bound(2, 3)).expect_err("3 is still more than 2");
        assert_eq!(pool_stats(), before, "nothing has changed");
    });
}

/// OpenSSL takes a bound of 0 as none, but refuses it together with jobs made up front.
#[test]
fn no_bound_goes_with_jobs_up_front() {
    on_own_thread(|| {
        init_thread(&bound(0, 4)).expect("a sound configuration");
        assert_pool(0, 4);
        assert_eq!(stats().max_jobs, None);
        let jobs: Vec<_> = (0..40).map(|_| start_paused(pause_job)).collect();
        assert_pool(40, 0);
        drop(jobs);
        assert_pool(0, 40);
    });
}

#[test]
fn without_a_call_the_pool_is_lazy_and_unbounded() {
    on_own_thread(|| {
        assert_eq!(pool_stats(), None);
        let jobs: Vec<_> = (0..100).map(|_| start_paused(pause_job)).collect();
        assert_pool(100, 0);
        let stats = stats();
        assert_eq!((stats.max_jobs, stats.started), (None, 100));
        assert_eq!(stats.stack_bytes, PoolConfig::default().stack_bytes);
        drop(jobs);
        assert_pool(0, 100);
    });
}

#[test]
fn a_stack_size_out_of_range_is_refused() {
    on_own_thread(|| {
        for stack_bytes in [
            0,
            PoolConfig::MIN_STACK_BYTES - 1,
            (1 << 30) + 1,
            usize::MAX,
        ] {
            let error = init_thread(&PoolConfig {
                stack_bytes,
                ..PoolConfig::default()
            });
            let Err(InitError::InvalidStackSize {
                stack_bytes: named, ..
            }) = error
            else {
                panic!("{stack_bytes}: {error:?}");
            };
            assert_eq!(named, stack_bytes);
        }
        assert_eq!(pool_stats(), None);
        for stack_bytes in [PoolConfig::MIN_STACK_BYTES, PoolConfig::MAX_STACK_BYTES] {
            init_thread(&PoolConfig {
                stack_bytes,
                init_jobs: 1,
                ..PoolConfig::default()
            })
            .expect("the ends of the range are in it");
            assert_eq!(stats().stack_bytes, stack_bytes);
            assert_eq!(start(|| 1).finished(), Some(1));
            assert_pool(0, 1);
        }
    });
}

#[test]
fn the_slot_that_was_freed_last_is_used_next() {
    on_own_thread(|| {
        let (first, finish_first) = start_on_a_stack();
        let (second, finish_second) = start_on_a_stack();
        let (third, finish_third) = start_on_a_stack();
        let second_at = finish_second(second);
        assert_pool(2, 1);
        let third_at = finish_third(third);
        let first_at = finish_first(first);
        assert_pool(0, 3);
        assert!(first_at != second_at && second_at != third_at && first_at != third_at);
        let mut reused = Vec::new();
        let mut held = Vec::new();
        for expected in [first_at, third_at, second_at] {
            let (job, finish) = start_on_a_stack();
            held.push((job, finish, expected));
        }
        assert_pool(3, 0);
        for (job, finish, expected) in held {
            reused.push(finish(job) == expected);
        }
        assert_eq!(reused, [true; 3]);
        assert_pool(0, 3);
    });
}

#[test]
fn each_thread_has_a_pool_of_its_own() {
    on_own_thread(|| {
        init_thread(&bound(1, 1)).expect("a sound configuration");
        let mine = start_paused(pause_job);
        assert_pool(1, 0);
        let theirs = on_own_thread(|| {
            assert_eq!(pool_stats(), None);
            let jobs = [start_paused(pause_job), start_paused(pause_job)];
            assert_pool(2, 0);
            let ids = [jobs[0].id(), jobs[1].id()];
            drop(jobs);
            assert_eq!(cleanup_thread(), Ok(0));
            ids
        });
        assert!(!theirs.contains(&mine.id()), "numbers are the process's");
        let names = theirs.map(|id| id.to_string());
        assert!(names[0].ends_with(".1") && names[1].ends_with(".2"));
        assert_pool(1, 0);
        let refused = start_job(&WaitCtx::new(), || ()).expect_err("this one is still full");
        assert!(refused.is_no_jobs());
        drop(mine);
        assert_pool(0, 1);
    });
}

#[test]
fn cleanup_frees_what_is_idle_and_counts_what_is_paused() {
    on_own_thread(|| {
        assert_eq!(cleanup_thread(), Ok(0), "with nothing to clean up");
        init_thread(&bound(4, 4)).expect("a sound configuration");
        let first = start_paused(pause_job);
        let second = start_paused(pause_job);
        assert_pool(2, 2);
        assert_eq!(cleanup_thread(), Ok(2));
        assert_eq!(pool_stats(), None, "the settings are forgotten");
        assert_eq!(cleanup_thread(), Ok(2), "twice");

        let first = first.resume();
        assert_eq!(first.finished(), Some(Ok(Pause::Resumed)));
        assert_eq!(cleanup_thread(), Ok(1));
        // A new pool, without a bound; the old job counts as in use.
        let third = start_paused(pause_job);
        assert_pool(2, 0);
        assert_eq!(stats().max_jobs, None);
        assert_eq!(stats().started, 3, "the thread's, not the pool's");
        drop(second);
        assert_pool(1, 0);
        drop(third);
        assert_pool(0, 1);
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!(pool_stats(), None);
    });
}
