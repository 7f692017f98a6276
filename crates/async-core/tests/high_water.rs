//! How deep jobs went: the mark of a stack.

#![cfg(target_os = "linux")]

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::hint::black_box;
use std::sync::Arc;

use async_core::{
    Job, PoolConfig, cleanup_thread, current_job, init_thread, pause_job, scan_high_water,
    trim_thread,
};
use common::{assert_pool, on_own_thread, start, start_paused};
use heap::HeapStacks;

const STACK: usize = 512 << 10;
const PAGE: usize = 4096;

fn config() -> PoolConfig {
    PoolConfig {
        stack_bytes: STACK,
        ..PoolConfig::default()
    }
}

/// Calls itself until it has used so much of the stack. Says the lowest address that it used, as
/// far as it can see.
#[inline(never)]
fn recurse(bytes: usize) -> usize {
    #[inline(never)]
    fn down(top: usize, bytes: usize) -> usize {
        let frame = black_box([1_usize; 32]);
        let here = (&raw const frame).addr();
        let lowest = if top - here >= bytes {
            here
        } else {
            down(top, bytes)
        };
        lowest * black_box(frame)[31]
    }
    let here = 0_u8;
    down((&raw const here).addr(), bytes)
}

/// A job that goes down so far, and pauses. Its result is how far that was, as an address.
fn deep(bytes: usize) -> Job<usize> {
    start_paused(move || {
        let lowest = recurse(bytes);
        let _ = pause_job();
        lowest
    })
}

fn finish(job: Job<usize>) -> usize {
    job.resume().finished().expect("it pauses once")
}

#[track_caller]
fn mark(job: &Job<usize>) -> usize {
    job.stack_high_water().expect("a built-in stack")
}

/// The top of a stack is not known out here, but two jobs on the same stack have the same: the
/// difference of their marks is the difference of their depths.
#[test]
fn the_mark_is_where_the_deepest_frame_was() {
    for wipe_stacks in [false, true] {
        on_own_thread(|| {
            init_thread(&PoolConfig {
                wipe_stacks,
                ..config()
            })
            .expect("a sound configuration");
            let shallow = deep(10_000);
            let shallow_mark = mark(&shallow);
            assert!(
                (10_000..10_000 + 4 * PAGE).contains(&shallow_mark),
                "{shallow_mark}"
            );
            let shallow_end = finish(shallow);
            for bytes in [20_000, 50_000, 100_000, 300_000] {
                let job = deep(bytes);
                let mark = mark(&job);
                assert_eq!(
                    job.stack_high_water(),
                    Some(mark),
                    "looking does not change it"
                );
                let end = finish(job);
                let (grown, deeper) = (mark - shallow_mark, shallow_end - end);
                // But for what the lowest frame of all left unwritten.
                assert!(grown.abs_diff(deeper) <= 64, "{grown}, {deeper}");
                assert_pool(0, 1);
            }
        });
    }
}

#[test]
fn the_mark_is_of_the_stack_unless_it_is_wiped() {
    for wipe_stacks in [false, true] {
        on_own_thread(|| {
            init_thread(&PoolConfig {
                wipe_stacks,
                ..config()
            })
            .expect("a sound configuration");
            let far = deep(200_000);
            assert!(mark(&far) >= 200_000);
            finish(far);
            let near = deep(1000);
            assert_eq!(mark(&near) < 30_000, wipe_stacks, "{}", mark(&near));
            finish(near);
        });
    }
}

#[test]
fn a_trim_resets_the_mark() {
    on_own_thread(|| {
        init_thread(&config()).expect("a sound configuration");
        finish(deep(200_000));
        assert!(scan_high_water() >= Some(200_000));
        assert_eq!(trim_thread(0).map(|trimmed| trimmed.jobs), Ok(1));
        assert_eq!(scan_high_water(), Some(0));
        let near = deep(1000);
        assert!(mark(&near) < 30_000);
        finish(near);
    });
}

#[test]
fn a_running_job_sees_its_own() {
    on_own_thread(|| {
        init_thread(&config()).expect("a sound configuration");
        let marks = start(|| {
            let job = current_job().expect("inside a job");
            let before = job.stack_high_water();
            recurse(100_000);
            (before, job.stack_high_water())
        });
        let (before, after) = marks.finished().expect("it does not pause");
        assert!(before > Some(0) && before < Some(30_000), "{before:?}");
        assert!(after >= Some(100_000) && after < Some(130_000), "{after:?}");
    });
}

/// The pool's is the largest, of jobs in use, idle ones, and stacks that are spare.
#[test]
fn the_pools_is_the_largest() {
    on_own_thread(|| {
        assert_eq!(scan_high_water(), None, "there is no pool");
        init_thread(&config()).expect("a sound configuration");
        assert_eq!(scan_high_water(), Some(0), "there is no stack");
        let jobs = [10_000, 150_000, 50_000].map(deep);
        let largest = mark(&jobs[1]);
        assert!(mark(&jobs[0]) < largest && mark(&jobs[2]) < largest);
        assert_eq!(scan_high_water(), Some(largest));
        for job in jobs {
            finish(job);
        }
        assert_eq!(scan_high_water(), Some(largest));
        let bounded = PoolConfig {
            max_jobs: 1.try_into().ok(),
            ..config()
        };
        init_thread(&bounded).expect("a smaller bound");
        assert_pool(0, 1);
        assert_eq!(scan_high_water(), Some(largest));
        assert_eq!(cleanup_thread(), Ok(0));
        assert_eq!(scan_high_water(), None);
    });
}

#[test]
fn a_source_of_stacks_has_none() {
    on_own_thread(|| {
        // One of them begins at a page, so that the system would say what is in memory.
        for skew in (0..PAGE).step_by(64) {
            let source = HeapStacks::default().skewed(skew).shared();
            init_thread(&PoolConfig {
                stack_source: Some(Arc::clone(&source) as _),
                ..config()
            })
            .expect("a sound configuration");
            let job = deep(10_000);
            assert_eq!((job.stack_high_water(), scan_high_water()), (None, None));
            finish(job);
            let inside = start(|| current_job().and_then(|job| job.stack_high_water()));
            assert_eq!(inside.finished(), Some(None));
            assert_eq!(cleanup_thread(), Ok(0));
        }
    });
}
