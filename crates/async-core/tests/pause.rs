//! A job pauses and is resumed.

mod common;

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use async_core::{Job, JobOutcome, Pause, current_job, pause_job, pool_stats};
use common::{Drops, Steps, assert_pool, on_own_thread, start, start_paused};

#[test]
fn a_resume_goes_on_behind_the_pause() {
    on_own_thread(|| {
        assert_eq!(pool_stats(), None);
        let steps = Steps::default();
        let seen = steps.clone();
        let job = start_paused(move || {
            seen.next();
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            seen.next();
            "done"
        });
        assert_eq!(steps.count(), 1);
        assert_pool(1, 0);
        assert!(current_job().is_none(), "the thread was given back");
        assert_eq!(job.resume().finished(), Some("done"));
        assert_eq!(steps.count(), 2);
        assert_pool(0, 1);
        assert_eq!(pool_stats().map(|s| s.started), Some(1));
    });
}

#[test]
fn a_job_need_not_pause() {
    on_own_thread(|| {
        assert_eq!(start(|| 7).finished(), Some(7));
        assert_pool(0, 1);
    });
}

#[test]
fn outside_a_job_a_pause_does_nothing() {
    on_own_thread(|| {
        assert_eq!(pause_job(), Ok(Pause::NotInJob));
        assert_eq!(pool_stats(), None, "and makes no pool");
        let job = start_paused(pause_job);
        assert_eq!(pause_job(), Ok(Pause::NotInJob));
        assert_pool(1, 0);
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
        assert_eq!(pause_job(), Ok(Pause::NotInJob));
    });
}

#[test]
fn a_job_pauses_ten_thousand_times() {
    on_own_thread(|| {
        const PAUSES: u64 = 10_000;
        let steps = Steps::default();
        let seen = steps.clone();
        let mut job = start_paused(move || {
            for _ in 0..PAUSES {
                seen.next();
                assert_eq!(pause_job(), Ok(Pause::Resumed));
            }
            seen.count()
        });
        let id = job.id();
        for round in 1..PAUSES {
            assert_eq!(steps.count(), round);
            job = job.resume().paused().expect("it pauses again");
            assert_eq!(job.id(), id);
        }
        assert_eq!(job.resume().finished(), Some(PAUSES));
        assert_pool(0, 1);
    });
}

/// Pauses at the bottom and on the way back up. Says the sum of what every frame held.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let held = black_box([depth; 16]);
    if depth == 0 {
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        return 0;
    }
    let below = descend(depth - 1);
    assert_eq!(pause_job(), Ok(Pause::Resumed));
    below + black_box(held).iter().sum::<u64>() / 16
}

#[test]
fn a_pause_deep_below_keeps_every_frame() {
    on_own_thread(|| {
        const DEPTH: u64 = 60;
        let mut job = start_paused(|| descend(DEPTH));
        for _ in 0..DEPTH {
            job = job.resume().paused().expect("it pauses in each frame");
        }
        assert_eq!(job.resume().finished(), Some(DEPTH * (DEPTH + 1) / 2));
        assert_pool(0, 1);
    });
}

#[test]
fn jobs_interleave_in_any_order() {
    on_own_thread(|| {
        const JOBS: usize = 16;
        let log = Rc::new(RefCell::new(Vec::new()));
        let mut paused: Vec<Option<Job<usize>>> = (0..JOBS)
            .map(|n| {
                let log = Rc::clone(&log);
                Some(start_paused(move || {
                    for round in 0..3 {
                        log.borrow_mut().push((n, round));
                        assert_eq!(pause_job(), Ok(Pause::Resumed));
                    }
                    n
                }))
            })
            .collect();
        assert_pool(JOBS, 0);
        let mut expected: Vec<_> = (0..JOBS).map(|n| (n, 0)).collect();
        // 7 and 11 are prime to 16: each order meets every job once.
        for (round, step) in [(1, 7), (2, 11)] {
            for at in (0..JOBS).map(|i| i * step % JOBS) {
                let job = paused[at].take().expect("it is paused");
                paused[at] = job.resume().paused();
                expected.push((at, round));
            }
        }
        assert_eq!(*log.borrow(), expected);
        for at in (0..JOBS).rev() {
            let job = paused[at].take().expect("it is paused");
            assert_eq!(job.resume().finished(), Some(at));
            assert_pool(at, JOBS - at);
        }
    });
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

/// Moves `value` in with the closure and out with the result, with and without a pause.
fn there_and_back<T: Copy + 'static>(value: T, same: impl Fn(&T) -> bool + Copy + 'static) {
    for pauses in [false, true] {
        let mut outcome = start(move || {
            let value = black_box(value);
            assert_eq!((&raw const value).addr() % align_of::<T>(), 0);
            if pauses {
                assert_eq!(pause_job(), Ok(Pause::Resumed));
            }
            assert!(same(&value), "after the pause");
            value
        });
        if let JobOutcome::Paused(job) = outcome {
            assert!(pauses);
            outcome = job.resume();
        }
        let value = outcome.finished().expect("it pauses at most once");
        assert!(same(&value), "as a result of {} bytes", size_of::<T>());
    }
    assert_pool(0, 1);
}

#[test]
fn closures_and_results_of_every_size_and_alignment() {
    fn bytes<const N: usize>() {
        let value: [u8; N] = std::array::from_fn(|i| i as u8 ^ 0x5a);
        there_and_back(value, move |v| *v == value);
        there_and_back(Aligned(value), move |v| v.0 == value);
    }
    on_own_thread(|| {
        there_and_back((), |()| true);
        bytes::<0>();
        bytes::<1>();
        // On both sides of what is stored in place: 128 bytes, of which a result's tag may take one.
        bytes::<119>();
        bytes::<120>();
        bytes::<127>();
        bytes::<128>();
        bytes::<129>();
        bytes::<1024>();
        bytes::<5000>();
    });
}

#[test]
fn closure_locals_and_result_are_dropped_once() {
    /// `N` decides whether closure and result are kept in place.
    fn once<const N: usize>(pauses: u64) {
        let drops = Drops::default();
        let captured = (drops.token(), [1_u8; N]);
        let inside = drops.clone();
        let mut outcome = start(move || {
            let _captured = captured;
            let _local = inside.token();
            let result = (inside.token(), [2_u8; N]);
            for _ in 0..pauses {
                assert_eq!(pause_job(), Ok(Pause::Resumed));
            }
            result
        });
        for _ in 0..pauses {
            assert_eq!(drops.count(), 0, "while it is paused");
            let job = outcome.paused().expect("it pauses");
            outcome = job.resume();
        }
        assert_eq!(drops.count(), 2, "captured and local");
        let result = outcome.finished().expect("it has finished");
        assert_eq!(drops.count(), 2);
        assert_eq!(result.1, [2; N]);
        drop(result);
        assert_eq!(drops.count(), 3);
    }
    on_own_thread(|| {
        for pauses in 0..3 {
            once::<0>(pauses);
            once::<100>(pauses);
            once::<200>(pauses);
            once::<2000>(pauses);
        }
        assert_pool(0, 1);
    });
}

#[test]
fn ten_thousand_jobs_are_paused_at_once() {
    on_own_thread(|| {
        const JOBS: usize = 10_000;
        let drops = Drops::default();
        let jobs: Vec<Job<usize>> = (0..JOBS)
            .map(|n| {
                let token = drops.token();
                start_paused(move || {
                    let _token = token;
                    let held = black_box([n; 8]);
                    assert_eq!(pause_job(), Ok(Pause::Resumed));
                    black_box(held)[n % 8]
                })
            })
            .collect();
        assert_pool(JOBS, 0);
        assert_eq!(drops.count(), 0);
        for (n, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.resume().finished(), Some(n));
        }
        assert_eq!(drops.count(), JOBS);
        assert_pool(0, JOBS);
        // Again, on the same stacks.
        let again: Vec<_> = (0..JOBS).map(|_| start_paused(pause_job)).collect();
        assert_pool(JOBS, 0);
        drop(again);
        assert_pool(0, JOBS);
    });
}
