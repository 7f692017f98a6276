//! What a job leaves in its slot when it has finished: its secrets, unless stacks are wiped.

mod common;
#[path = "common/heap.rs"]
mod heap;

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_core::{Pause, PoolConfig, cleanup_thread, init_thread, pause_job};
use common::{assert_pool, on_own_thread, start, start_paused};
use heap::HeapStacks;

/// What is looked for afterwards.
const SECRET: [u8; 24] = *b"the key that opens it...";
/// How often a job writes it to its stack.
const COPIES: usize = 500;

fn secrets_in(memory: &[u8]) -> usize {
    memory
        .windows(SECRET.len())
        .filter(|w| *w == SECRET)
        .count()
}

/// Fills a large local with the secret.
#[inline(never)]
fn spill(secret: [u8; 24]) {
    black_box(&mut black_box([secret; COPIES]));
}

/// A job that has the secret in its closure, on its stack and in its result.
fn secretive() -> impl FnOnce() -> [u8; 24] {
    let secret = black_box(SECRET);
    move || {
        spill(secret);
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        spill(secret);
        black_box(secret)
    }
}

/// Runs `work` on a pool with one job, and says how many secrets were in its memory when the
/// pool released it.
fn left_behind(wipe_stacks: bool, work: fn(&PoolConfig)) -> usize {
    let found = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&found);
    let source = HeapStacks::default()
        .on_release(move |memory| {
            count.fetch_add(secrets_in(memory), Ordering::Relaxed);
        })
        .shared();
    on_own_thread(|| {
        let config = PoolConfig {
            max_jobs: 1.try_into().ok(),
            stack_bytes: 128 << 10,
            wipe_stacks,
            stack_source: Some(Arc::clone(&source) as _),
            ..PoolConfig::default()
        };
        init_thread(&config).expect("a sound configuration");
        work(&config);
        assert_eq!(cleanup_thread(), Ok(0));
    });
    assert_eq!((source.out(), source.released()), (0, 1));
    found.load(Ordering::Relaxed)
}

/// What a job does, and the work.
type Work = (&'static str, fn(&PoolConfig));

/// Ways for a job to end. Each leaves its secrets if nobody wipes, so that the test can fail.
const WORK: [Work; 6] = [
    ("finishes", |_| {
        let job = start_paused(secretive());
        assert_eq!(job.resume().finished(), Some(SECRET));
    }),
    ("is cancelled", |_| {
        let job = start_paused(|| {
            spill(black_box(SECRET));
            let _ = pause_job();
        });
        job.cancel();
    }),
    ("panics", |_| {
        let job = start_paused(|| {
            spill(black_box(SECRET));
            assert_eq!(pause_job(), Ok(Pause::Resumed));
            panic_any("after the pause");
        });
        assert!(catch_unwind(AssertUnwindSafe(|| job.resume())).is_err());
    }),
    ("is followed by one without secrets", |_| {
        let job = start_paused(secretive());
        assert_eq!(job.resume().finished(), Some(SECRET));
        assert_eq!(start(|| 1).finished(), Some(1));
    }),
    ("outlives its pool", |_| {
        let job = start_paused(secretive());
        assert_eq!(cleanup_thread(), Ok(1));
        assert_eq!(job.resume().finished(), Some(SECRET));
    }),
    ("outlives the bound", |config| {
        let job = start_paused(secretive());
        init_thread(&PoolConfig {
            stack_bytes: 160 << 10,
            ..config.clone()
        })
        .expect("another size");
        assert_eq!(job.resume().finished(), Some(SECRET));
    }),
];

#[test]
fn nothing_is_left_in_memory_that_is_released() {
    for (name, work) in WORK {
        let left = left_behind(false, work);
        assert!(
            left >= COPIES / 2,
            "unwiped, a job that {name} leaves {left}"
        );
        assert_eq!(left_behind(true, work), 0, "a job that {name}");
    }
}

/// What is in the pages around `address`, as the system sees them: without a memory access of
/// this program, whose compiler knows nothing of what is in a stack that nobody uses.
#[cfg(target_os = "linux")]
fn peek(address: usize, below: usize, above: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    const PAGE: usize = 4096;
    let own_memory = std::fs::File::open("/proc/self/mem").expect("it is there");
    let first = (address - below) / PAGE * PAGE;
    let mut all = Vec::new();
    for page in (first..address + above).step_by(PAGE) {
        let mut bytes = [0; PAGE];
        // Guard pages cannot be read.
        if own_memory.read_exact_at(&mut bytes, page as u64).is_ok() {
            all.extend_from_slice(&bytes);
        }
    }
    all
}

/// The built-in stacks, while the slot is idle: a wipe does not wait until memory is released.
#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_in_an_idle_slot() {
    for wipe_stacks in [false, true] {
        on_own_thread(|| {
            init_thread(&PoolConfig {
                max_jobs: 1.try_into().ok(),
                stack_bytes: 128 << 10,
                wipe_stacks,
                ..PoolConfig::default()
            })
            .expect("a sound configuration");
            for _ in 0..50 {
                let secretive = secretive();
                let job = start_paused(move || {
                    let here = 0_u8;
                    let address = (&raw const here).addr();
                    (secretive(), address)
                });
                let (secret, address) = job.resume().finished().expect("it pauses once");
                assert_eq!(secret, SECRET);
                assert_pool(0, 1);
                let left = secrets_in(&peek(address, 64 << 10, 8 << 10));
                if wipe_stacks {
                    assert_eq!(left, 0);
                } else {
                    assert!(left >= COPIES / 2, "unwiped, a job leaves {left}");
                }
            }
        });
    }
}

#[test]
fn a_wiped_slot_works_again_and_again() {
    on_own_thread(|| {
        init_thread(&PoolConfig {
            max_jobs: 3.try_into().ok(),
            init_jobs: 3,
            wipe_stacks: true,
            ..PoolConfig::default()
        })
        .expect("a sound configuration");
        for round in 0..300 {
            let jobs = [(); 3].map(|()| start_paused(secretive()));
            assert_pool(3, 0);
            for (at, job) in jobs.into_iter().enumerate() {
                if (round + at) % 7 == 0 {
                    // It expects to be resumed, and panics.
                    assert!(catch_unwind(AssertUnwindSafe(|| job.cancel())).is_err());
                } else {
                    assert_eq!(job.resume().finished(), Some(SECRET));
                }
                assert_pool(2 - at, at + 1);
            }
        }
    });
}
