//! The life of many jobs, watched by valgrind's memcheck: no access to memory that is not there,
//! no use of what was never written, nothing lost.

mod common;

use std::hint::black_box;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::rc::Rc;

use async_core::{
    Job, JobSet, Pause, PoolConfig, WakeBy, block_pause, cleanup_thread, current_job, init_thread,
    pause_job, scan_high_water, start_job, trim_thread,
};
use common::{Drops, assert_pool, on_own_thread, start, start_paused};
use waitctx::{Key, WaitCtx, WaitFd};

/// Memcheck found something. A number that the test harness does not end with.
const FOUND: i32 = 77;

/// What a job has on its heap and stack, of two sizes: in its slot, and beside it.
fn work<const N: usize>(seed: u64) -> impl FnOnce() -> (Vec<u64>, [u64; N]) {
    let captured = (vec![seed; 10], [seed; N]);
    move || {
        let text = format!("job {seed}");
        let held = black_box([seed; 64]);
        let _ = pause_job();
        assert_eq!(text, format!("job {}", black_box(held)[63]));
        captured
    }
}

fn finish_cancel_drop<const N: usize>() {
    let jobs: Vec<Job<_>> = (0..9).map(|seed| start_paused(work::<N>(seed))).collect();
    for (seed, job) in (0_u64..).zip(jobs) {
        assert!(job.stack_high_water() > Some(0));
        match seed % 3 {
            0 => {
                let (heap, block) = job.resume().finished().expect("it pauses once");
                assert_eq!((heap, block), (vec![seed; 10], [seed; N]));
            }
            1 => assert_eq!(job.cancel().1, [seed; N]),
            _ => drop(job),
        }
    }
}

fn panics() {
    for pauses in [false, true] {
        let panicking = AssertUnwindSafe(|| {
            let mut outcome = start(move || {
                let _held = Rc::new([7_u64; 30]);
                if pauses {
                    assert_eq!(pause_job(), Ok(Pause::Resumed));
                }
                panic_any(vec![1_u8; 100]);
            });
            while let Some(job) = outcome.paused() {
                outcome = job.resume();
            }
        });
        let payload = catch_unwind(panicking).expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&vec![1_u8; 100]));
    }
    let swallowed = start_paused(|| {
        let _ = pause_job();
        panic_any("dropped");
    });
    drop(swallowed);
}

fn nested() {
    let drops = Drops::default();
    let token = drops.token();
    let inner = start_paused(move || (pause_job(), token));
    let forgets = start_paused(|| {
        assert_eq!(pause_job(), Ok(Pause::Resumed));
        std::mem::forget(block_pause());
        current_job().map(|job| job.wait_ctx().all_fds())
    });
    assert_eq!(forgets.resume().finished(), Some(Some(vec![])));
    let outer = start_paused(move || {
        let _ = pause_job();
        drop(inner);
        start_job(&WaitCtx::new(), || ()).is_err()
    });
    assert_eq!(outer.resume().finished(), Some(true));
    assert_eq!(drops.count(), 1);
}

fn contexts() {
    let ctx = WaitCtx::new();
    let cleaned = std::sync::Arc::new(());
    let told = std::sync::Arc::clone(&cleaned);
    let fd = WaitFd::foreign(99).on_cleanup(move |_, _, _, _| drop(told));
    ctx.set_wait_fd(Key::new(), fd).expect("a new key");
    let job = start_job(&ctx, pause_job).expect("a slot").paused();
    drop(ctx);
    assert_eq!(std::sync::Arc::strong_count(&cleaned), 2);
    drop(job);
    assert_eq!(std::sync::Arc::strong_count(&cleaned), 1);
}

fn sets() {
    let mut set = JobSet::new(4, WakeBy::Polling).expect("no fd is needed");
    let jobs = (0..12).map(work::<40>);
    let mut sum = 0;
    set.run(jobs, |_, (heap, _)| sum += heap[0])
        .expect("nothing fails");
    assert_eq!(sum, 66);
    assert!(matches!(set.start(1, work::<40>(1)), Ok(None)));
}

/// Everything that jobs go through, on one thread, with stacks wiped and not.
#[test]
fn lives_of_jobs() {
    for wipe_stacks in [false, true] {
        on_own_thread(|| {
            let config = PoolConfig {
                wipe_stacks,
                init_jobs: 2,
                ..PoolConfig::default()
            };
            for _ in 0..2 {
                init_thread(&config).expect("a sound configuration");
                finish_cancel_drop::<1>();
                finish_cancel_drop::<50>();
                panics();
                nested();
                contexts();
                sets();
                assert_pool(0, 9);
                assert!(scan_high_water() > Some(0));
                assert_eq!(trim_thread(3).map(|trimmed| trimmed.jobs), Ok(6));
                assert_eq!(start(|| 4).finished(), Some(4));
                // Jobs outlive their pool, and then another size of stacks.
                let first = start_paused(work::<3>(3));
                assert_eq!(cleanup_thread(), Ok(1));
                let second = start_paused(work::<4>(4));
                init_thread(&PoolConfig {
                    max_jobs: 3.try_into().ok(),
                    stack_bytes: 512 << 10,
                    ..config.clone()
                })
                .expect("another size");
                drop((first, second));
                assert_eq!(start(|| 5).finished(), Some(5));
                assert_eq!(cleanup_thread(), Ok(0));
            }
            // And one with idle jobs ends with its thread.
            assert_eq!(start(|| 6).finished(), Some(6));
        });
    }
}

#[test]
fn memcheck_finds_nothing() {
    let version = Command::new("valgrind").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        // Written past the harness, which hides what a test that passes prints.
        let line = "memcheck_finds_nothing: skipped, there is no valgrind here\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    let output = Command::new("valgrind")
        .arg(format!("--error-exitcode={FOUND}"))
        .args(["--leak-check=full", "--errors-for-leak-kinds=definite"])
        .arg(concat!(
            "--suppressions=",
            env!("CARGO_MANIFEST_DIR"),
            "/valgrind.supp"
        ))
        .arg(std::env::current_exe().expect("it runs"))
        .args(["--exact", "lives_of_jobs", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("it was there a moment ago");
    let report = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}\n{report}",
        output.status
    );
    assert!(said.contains("1 passed"), "{said}");
    assert!(report.contains("ERROR SUMMARY: 0 errors"), "{report}");
}
