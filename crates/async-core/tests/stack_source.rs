//! Stacks from elsewhere: OpenSSL's `ASYNC_set_mem_functions`, per pool.

#![allow(
    unsafe_code,
    reason = "a stack source promises what the compiler cannot check"
)]

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_core::{
    Guard, InitError, Pause, PoolConfig, StackMemory, StackSource, StartError, cleanup_thread,
    init_thread, pause_job, pool_stats, start_job,
};
use common::{Drops, assert_pool, on_own_thread, start, start_paused};
use heap::HeapStacks;
use waitctx::WaitCtx;

const BYTES: usize = 128 * 1024;

fn config(source: &Arc<HeapStacks>) -> PoolConfig {
    PoolConfig {
        stack_bytes: BYTES,
        stack_source: Some(Arc::clone(source) as _),
        ..PoolConfig::default()
    }
}

#[repr(align(64))]
struct Aligned(u8);

/// Runs a job that pauses, and says whether its frames were in the source's memory.
fn runs_on(source: &Arc<HeapStacks>) -> bool {
    let asked = Arc::clone(source);
    let job = start_paused(move || {
        let here = 0_u8;
        let address = (&raw const here).addr();
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        asked.owns(address)
    });
    job.resume().finished().expect("it pauses once")
}

#[test]
fn stacks_come_from_the_source_and_go_back_to_it() {
    on_own_thread(|| {
        let source = HeapStacks::default().shared();
        init_thread(&config(&source)).expect("a sound configuration");
        assert_eq!(source.asked(), [], "none is needed yet");
        assert!(runs_on(&source));
        assert_eq!(source.asked(), [BYTES]);
        assert!(runs_on(&source));
        assert_eq!(source.asked(), [BYTES], "the same one again");
        let stats = pool_stats().expect("a pool");
        assert_eq!(
            (stats.guard, stats.stack_bytes),
            (Some(Guard::Source), BYTES)
        );

        let jobs = [start_paused(pause_job), start_paused(pause_job)];
        assert_eq!((source.out(), source.released()), (2, 0));
        drop(jobs);
        assert_eq!((source.out(), source.released()), (2, 0));
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 2));
        assert_eq!(Arc::strong_count(&source), 1, "no pool holds it");
    });
}

/// The equivalent of the case in OpenSSL's asynctest: one job up front, then cleanup.
#[test]
fn jobs_up_front_come_from_the_source() {
    on_own_thread(|| {
        let source = HeapStacks::default().shared();
        init_thread(&PoolConfig {
            max_jobs: 1.try_into().ok(),
            init_jobs: 1,
            ..config(&source)
        })
        .expect("a sound configuration");
        assert_eq!((source.out(), source.released()), (1, 0));
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!((source.out(), source.released()), (0, 1));
    });
}

#[test]
fn jobs_in_use_keep_their_stacks_through_a_cleanup() {
    on_own_thread(|| {
        let source = HeapStacks::default().shared();
        init_thread(&config(&source)).expect("a sound configuration");
        let jobs = [start_paused(pause_job), start_paused(pause_job)];
        assert_eq!(cleanup_thread(), Ok(2));
        let weak = Arc::downgrade(&source);
        drop(source);
        for (at, job) in jobs.into_iter().enumerate() {
            let source = weak.upgrade().expect("the jobs hold it");
            assert_eq!((source.out(), source.released()), (2 - at, at));
            drop(source);
            assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        }
        assert!(weak.upgrade().is_none(), "and let go of it at last");
    });
}

#[test]
fn a_trimmed_job_gives_its_stack_back() {
    on_own_thread(|| {
        let source = HeapStacks::default().shared();
        let bound = |max_jobs: usize| PoolConfig {
            max_jobs: max_jobs.try_into().ok(),
            ..config(&source)
        };
        init_thread(&bound(4)).expect("a sound configuration");
        drop([(); 4].map(|()| start_paused(pause_job)));
        assert_eq!((source.out(), source.released()), (4, 0));
        init_thread(&bound(1)).expect("a smaller bound");
        assert_eq!((source.out(), source.released()), (1, 3));
        assert_pool(0, 1);
    });
}

#[test]
fn another_size_than_asked_for_is_taken_as_it_is() {
    on_own_thread(|| {
        for bytes in [32 << 10, BYTES + 1, 1 << 20] {
            let source = HeapStacks::default().of_size(bytes).shared();
            init_thread(&config(&source)).expect("a sound configuration");
            assert!(runs_on(&source));
            assert_eq!(source.asked(), [BYTES]);
            assert_eq!(cleanup_thread(), Ok(0));
            assert_eq!(source.released(), 1);
        }
    });
}

#[test]
fn memory_need_not_be_aligned() {
    on_own_thread(|| {
        for (skew, odd) in [(1, 0), (8, 3), (15, 5), (63, 62), (17, 1)] {
            let source = HeapStacks::default().skewed(skew).of_size(BYTES - odd);
            let source = source.shared();
            init_thread(&config(&source)).expect("a sound configuration");
            assert!(runs_on(&source));
            let misaligned = start(|| {
                let value = std::hint::black_box(Aligned(1));
                (&raw const value.0).addr() % 64
            });
            assert_eq!(misaligned.finished(), Some(0));
            assert_eq!(cleanup_thread(), Ok(0));
            assert_eq!((source.out(), source.released()), (0, 1));
        }
    });
}

#[test]
fn memory_that_is_too_small_is_refused_and_released() {
    on_own_thread(|| {
        for bytes in [1, 500, PoolConfig::MIN_STACK_BYTES - 1] {
            let source = HeapStacks::default().of_size(bytes).shared();
            init_thread(&config(&source)).expect("a sound configuration");
            let refused = start_job(&WaitCtx::new(), || 4).expect_err("too small");
            let StartError::Stack { closure, source: e } = refused else {
                panic!("{refused}");
            };
            assert_eq!(e.kind(), io::ErrorKind::InvalidData);
            assert!(e.to_string().contains(&format!("{bytes} bytes")), "{e}");
            assert_eq!(closure(), 4);
            assert_eq!((source.out(), source.released()), (0, 1));
            assert_pool(0, 0);
            assert_eq!(cleanup_thread(), Ok(0));
        }
        let least = HeapStacks::default().of_size(PoolConfig::MIN_STACK_BYTES);
        let least = least.shared();
        init_thread(&PoolConfig {
            init_jobs: 1,
            ..config(&least)
        })
        .expect("the least is enough");
        assert_pool(0, 1);
    });
}

/// A source that hands out what is no memory at all.
#[derive(Debug)]
struct Nonsense {
    lowest: NonZeroUsize,
    bytes: usize,
    out: AtomicUsize,
}

// SAFETY: it breaks its promise, in ways that are to be noticed before the memory is touched.
unsafe impl StackSource for Nonsense {
    fn allocate(&self, _: usize) -> io::Result<StackMemory> {
        self.out.fetch_add(1, Ordering::Relaxed);
        Ok(StackMemory {
            lowest: NonNull::without_provenance(self.lowest),
            bytes: self.bytes,
        })
    }

    unsafe fn release(&self, memory: StackMemory) {
        let given = (memory.lowest.addr(), memory.bytes);
        assert_eq!(given, (self.lowest, self.bytes));
        self.out.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn memory_that_cannot_be_is_refused_and_released() {
    let at = |address| NonZeroUsize::new(address).expect("not 0");
    let page = 4096;
    for (lowest, bytes, says) in [
        (at(1), 0, "gave 0 bytes"),
        (at(usize::MAX), 0, "gave 0 bytes"),
        (at(usize::MAX), 1, "beyond all addresses"),
        (at(page), usize::MAX, "beyond all addresses"),
        (at(page), usize::MAX - page + 1, "beyond all addresses"),
        (at(usize::MAX - page), BYTES, "beyond all addresses"),
    ] {
        on_own_thread(|| {
            let job = start_paused(pause_job);
            assert_eq!(cleanup_thread(), Ok(1));
            let source = Arc::new(Nonsense {
                lowest,
                bytes,
                out: AtomicUsize::new(0),
            });
            let config = PoolConfig {
                stack_source: Some(Arc::clone(&source) as _),
                ..PoolConfig::default()
            };
            init_thread(&config).expect("a sound configuration");
            let refused = start_job(&WaitCtx::new(), || 4).expect_err("no memory");
            let StartError::Stack { closure, source: e } = refused else {
                panic!("{refused}");
            };
            assert_eq!((closure(), e.kind()), (4, io::ErrorKind::InvalidData));
            assert!(e.to_string().contains(says), "{e}");
            let up_front = init_thread(&PoolConfig {
                init_jobs: 1,
                ..config
            });
            assert!(matches!(up_front, Err(InitError::Stack { made: 0, .. })));
            assert_eq!(source.out.load(Ordering::Relaxed), 0);
            assert_pool(1, 0);
            // The thread's other job, and its next one on sound stacks.
            assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
            assert_eq!(cleanup_thread(), Ok(0));
            assert_eq!(start(|| 5).finished(), Some(5));
        });
    }
}

/// A source that has `count` stacks and then no more.
fn limited(count: usize) -> Arc<HeapStacks> {
    let left = AtomicUsize::new(count);
    let ask = move || {
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        taken
            .map(drop)
            .map_err(|_| io::Error::other("the region is full"))
    };
    HeapStacks::default().on_allocate(ask).shared()
}

#[test]
fn a_source_that_refuses_harms_no_job() {
    on_own_thread(|| {
        let source = limited(2);
        init_thread(&config(&source)).expect("a sound configuration");
        let jobs = [start_paused(pause_job), start_paused(pause_job)];
        let drops = Drops::default();
        let token = drops.token();
        let refused = start_job(&WaitCtx::new(), move || drop(token)).expect_err("no stack");
        assert!(matches!(refused, StartError::Stack { .. }));
        assert!(!refused.is_no_jobs());
        assert!(refused.to_string().contains("the region is full"));
        let cause = std::error::Error::source(&refused).expect("it says why");
        assert_eq!(cause.to_string(), "the region is full");
        assert_eq!(drops.count(), 0);
        assert_pool(2, 0);
        let [first, second] = jobs;
        assert_eq!(first.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(1, 1);
        assert_eq!(start(refused.into_closure()).finished(), Some(()));
        assert_eq!(drops.count(), 1);
        assert_eq!(second.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_pool(0, 2);
    });
}

/// OpenSSL makes fewer and reports a success.
#[test]
fn too_few_jobs_up_front_are_reported() {
    on_own_thread(|| {
        let source = limited(3);
        let error = init_thread(&PoolConfig {
            init_jobs: 5,
            ..config(&source)
        });
        let Err(InitError::Stack {
            made: 3,
            init_jobs: 5,
            source: cause,
        }) = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(cause.to_string(), "the region is full");
        assert_pool(0, 3);
        assert!(runs_on(&source), "the pool is set up");
    });
}

#[test]
fn the_source_cannot_change_once_a_stack_was_made() {
    on_own_thread(|| {
        let (ours, theirs) = (
            HeapStacks::default().shared(),
            HeapStacks::default().shared(),
        );
        let built_in = PoolConfig::default();
        init_thread(&config(&ours)).expect("a sound configuration");
        init_thread(&config(&theirs)).expect("no stack was made");
        init_thread(&built_in).expect("no stack was made");
        init_thread(&config(&ours)).expect("no stack was made");
        let job = start_paused(pause_job);
        let before = pool_stats();
        for other in [&config(&theirs), &built_in] {
            assert!(matches!(init_thread(other), Err(InitError::SourceInUse)));
            assert_eq!(pool_stats(), before);
        }
        drop(job);
        assert_pool(0, 1);
        assert!(matches!(
            init_thread(&built_in),
            Err(InitError::SourceInUse)
        ));
        init_thread(&config(&ours)).expect("the same source");
        assert_eq!(cleanup_thread(), Ok(0));
        init_thread(&config(&theirs)).expect("after a cleanup");
        assert!(runs_on(&theirs));
        assert_eq!((ours.out(), ours.released()), (0, 1));
    });
}
