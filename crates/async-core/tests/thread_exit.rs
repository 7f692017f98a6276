//! A thread ends with jobs in its pool.
//!
//! The count of leaked jobs is the process's, so that these tests take turns.

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_core::{
    Cancelled, InitError, Job, Pause, PoolConfig, StartError, cleanup_thread, init_thread,
    leaked_jobs, pause_job, pool_stats, start_job,
};
use common::{assert_pool, on_own_thread, start_paused};
use heap::HeapStacks;
use waitctx::WaitCtx;

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a job is left with when it is dropped, seen from outside its thread.
type Fate = Option<Result<Pause, Cancelled>>;
type Held = Job<()>;

/// A paused job that says what its pause returned, if it ever does.
fn witness() -> (Arc<Mutex<Fate>>, impl FnOnce() + 'static) {
    let fate = Arc::new(Mutex::new(None));
    let told = Arc::clone(&fate);
    let closure = move || {
        let said = pause_job();
        *told.lock().expect("not poisoned") = Some(said);
    };
    (fate, closure)
}

/// A place in a thread-local for something to do when the thread-local is destroyed.
struct AtExit(RefCell<Option<Box<dyn FnOnce()>>>);

impl AtExit {
    const fn new() -> AtExit {
        AtExit(RefCell::new(None))
    }

    fn set(&self, f: impl FnOnce() + 'static) {
        *self.0.borrow_mut() = Some(Box::new(f));
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local! {
    static FIRST: AtExit = const { AtExit::new() };
    static LAST: AtExit = const { AtExit::new() };
}

fn pool_is_gone() -> bool {
    let refused = start_job(&WaitCtx::new(), || ());
    matches!(refused, Err(StartError::ThreadExiting(_)))
}

/// Runs `setup` between the registration of two thread-locals, one of which is destroyed before
/// the pool and the other after it, in an order that is the platform's. It gets a function to
/// call with what is to be done at the end, which is told whether the pool is gone by then.
fn on_a_dying_thread<F>(setup: impl FnOnce() -> [F; 2] + Send)
where
    F: FnOnce(bool) + 'static,
{
    on_own_thread(|| {
        FIRST.with(|_| ());
        let [first, last] = setup();
        FIRST.with(|at_exit| at_exit.set(move || first(pool_is_gone())));
        LAST.with(|at_exit| at_exit.set(move || last(pool_is_gone())));
    });
}

#[test]
fn a_job_that_outlives_its_pool_is_leaked_and_not_resumed() {
    let _turn = turn();
    let before = leaked_jobs();
    let (send, fates) = channel();
    on_a_dying_thread(|| {
        let hold = |send: Sender<_>| {
            let (fate, closure) = witness();
            let job: Held = start_paused(closure);
            move |gone: bool| {
                drop(job);
                send.send((gone, fate)).expect("the test waits");
            }
        };
        let holders = [hold(send.clone()), hold(send)];
        assert_pool(2, 0);
        holders
    });
    let mut fates: Vec<_> = fates.iter().collect();
    fates.sort_by_key(|(gone, _)| *gone);
    let [(false, cancelled), (true, leaked)] = &fates[..] else {
        panic!("one is destroyed before the pool, one after it");
    };
    assert_eq!(*cancelled.lock().expect("free"), Some(Err(Cancelled)));
    assert_eq!(*leaked.lock().expect("free"), None, "not resumed");
    assert_eq!(Arc::strong_count(leaked), 2, "its stack is as it was");
    assert_eq!(leaked_jobs() - before, 1);
}

/// Runs `end` on a paused job before its pool is gone, and on another one after. For each: what
/// it said, how many jobs were counted as leaked then, and what the job was told.
fn at_both_ends(end: fn(Held) -> bool) -> [(bool, u64, Fate); 2] {
    let before = leaked_jobs();
    let (send, reports) = channel();
    on_a_dying_thread(|| {
        let hold = |send: Sender<_>| {
            let (fate, closure) = witness();
            let job = start_paused(closure);
            move |gone: bool| {
                let ended = end(job);
                let fate = fate.lock().expect("free").take();
                let report = (ended, leaked_jobs() - before, fate);
                send.send((gone, report)).expect("the test waits");
            }
        };
        [hold(send.clone()), hold(send)]
    });
    let mut reports: Vec<_> = reports.iter().collect();
    reports.sort_by_key(|(gone, _)| *gone);
    let [(false, with_pool), (true, without)] = reports[..] else {
        panic!("one is destroyed before the pool, one after it");
    };
    assert_eq!(leaked_jobs() - before, 1);
    [with_pool, without]
}

/// It may hold thread-locals that are gone.
#[test]
fn a_job_that_outlives_its_pool_does_not_run_again_when_it_is_resumed() {
    let _turn = turn();
    let reports = at_both_ends(|job| job.resume().finished().is_some());
    let resumed = Some(Ok(Pause::Resumed));
    assert_eq!(reports, [(true, 0, resumed), (false, 1, None)]);
}

#[test]
fn a_job_that_outlives_its_pool_does_not_run_again_when_it_is_cancelled() {
    let _turn = turn();
    let reports = at_both_ends(|job| {
        let cancel = std::panic::AssertUnwindSafe(|| job.cancel());
        std::panic::catch_unwind(cancel).is_ok()
    });
    let cancelled = Some(Err(Cancelled));
    assert_eq!(reports, [(true, 0, cancelled), (false, 1, None)]);
}

#[test]
fn no_pool_is_made_on_a_thread_that_has_lost_its_own() {
    let _turn = turn();
    let gone = Arc::new(AtomicUsize::new(0));
    on_a_dying_thread(|| {
        init_thread(&PoolConfig::default()).expect("a sound configuration");
        let try_again = |count: Arc<AtomicUsize>| {
            move |gone: bool| {
                if gone {
                    let refused = init_thread(&PoolConfig::default());
                    assert!(matches!(refused, Err(InitError::ThreadExiting)));
                    let closure = start_job(&WaitCtx::new(), || 8).expect_err("no pool");
                    assert_eq!(closure.into_closure()(), 8);
                    assert_eq!((pool_stats(), cleanup_thread()), (None, Ok(0)));
                    assert_eq!(pause_job(), Ok(Pause::NotInJob));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        [try_again(Arc::clone(&gone)), try_again(Arc::clone(&gone))]
    });
    assert_eq!(gone.load(Ordering::Relaxed), 1);
}

#[test]
fn forgotten_jobs_are_counted_when_their_thread_ends() {
    let _turn = turn();
    let before = leaked_jobs();
    let stacks = HeapStacks::default().shared();
    on_own_thread(|| {
        init_thread(&PoolConfig {
            init_jobs: 5,
            stack_source: Some(Arc::clone(&stacks) as _),
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        for _ in 0..3 {
            std::mem::forget(start_paused(pause_job));
        }
        assert_pool(3, 2);
        assert_eq!(leaked_jobs(), before, "not before the end");
    });
    assert_eq!(leaked_jobs() - before, 3);
    assert_eq!((stacks.out(), stacks.released()), (3, 2));
}

#[test]
fn a_thread_with_idle_jobs_leaves_nothing() {
    let _turn = turn();
    let before = leaked_jobs();
    let stacks = HeapStacks::default().shared();
    for threads in 1..=3 {
        on_own_thread(|| {
            init_thread(&PoolConfig {
                init_jobs: 4,
                stack_source: Some(Arc::clone(&stacks) as _),
                ..PoolConfig::default()
            })
            .expect("a sound configuration");
            let jobs: Vec<_> = (0..6).map(|_| start_paused(pause_job)).collect();
            drop(jobs);
            assert_pool(0, 6);
            assert_eq!(stacks.out(), 6);
        });
        assert_eq!((stacks.out(), stacks.released()), (0, 6 * threads));
    }
    assert_eq!(Arc::strong_count(&stacks), 1, "no pool holds it");
    assert_eq!(leaked_jobs(), before);
}

/// The built-in stacks: the address space is given back.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_with_idle_jobs_gives_its_mappings_back() {
    fn mapped_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
        let line = status.lines().find(|l| l.starts_with("VmSize:"));
        let number = line.and_then(|l| l.split_whitespace().nth(1));
        number.expect("a size").parse().expect("a number")
    }
    let _turn = turn();
    let before = mapped_kib();
    on_own_thread(|| {
        init_thread(&PoolConfig {
            init_jobs: 64,
            stack_bytes: 64 << 20,
            ..PoolConfig::default()
        })
        .expect("address space is plenty");
        assert!(mapped_kib() > before + (4 << 20), "4 GiB are reserved");
    });
    assert!(mapped_kib() < before + (1 << 20));
}
