//! The example with a million jobs, with fewer of them.

#![cfg(target_os = "linux")]

use async_core::pool_stats;
use async_tests::million::{MillionError, Runtime, run};
use libcrypto_peer::Libcrypto;

const JOBS: usize = 3_000;

#[test]
fn all_jobs_pause_at_once_and_finish() {
    let report = run(JOBS, Runtime::Ours).expect("there is room for so few");
    assert_eq!(report.jobs, JOBS);
    assert!(report.guard.is_some(), "{report:?}");
    assert!(report.mappings > 0, "{report:?}");
    let pool = pool_stats().expect("it is the test's thread");
    assert_eq!((pool.in_use, pool.started), (0, JOBS as u64));
    assert_eq!(pool.idle, JOBS);
}

#[test]
fn libcryptos_jobs_do_the_same() {
    if let Err(e) = Libcrypto::load() {
        println!("skipped: {e}");
        return;
    }
    let report = run(JOBS, Runtime::Libcrypto).expect("there is room for so few");
    assert_eq!(report.jobs, JOBS);
    assert_eq!(report.guard, None);
}

#[test]
fn too_many_for_the_memory_are_refused_before_any_starts() {
    let refused = run(usize::MAX, Runtime::Ours).expect_err("no machine has so much");
    assert!(matches!(refused, MillionError::Memory { .. }), "{refused}");
    assert_eq!(pool_stats(), None);
    assert!(refused.to_string().contains("--jobs"), "{refused}");
}
