//! A long mixed load, watching descriptors and memory:
//! `cargo run --release -p async-tests --example soak -- 600` (seconds).

use std::time::{Duration, Instant};

use async_tests::soak::{MODES, Usage, round};

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    // Everything that is made once is made in the first rounds.
    for (seed, wake) in (1..).zip(MODES) {
        let _ = round(wake, seed, Duration::from_millis(500));
    }
    let Some(before) = Usage::now() else {
        println!("skipped: no /proc to read the process's usage from");
        return;
    };
    let (mut right, mut wrong, mut failed, mut cancelled) = (0, 0, 0, 0);
    let mut most = before;
    let mut seed = 100;
    while Instant::now() < end {
        for wake in MODES {
            seed += 1;
            let done = round(wake, seed, Duration::from_millis(1000));
            right += done.right;
            wrong += done.wrong;
            failed += done.failed;
            cancelled += done.cancelled;
        }
        let now = Usage::now().unwrap_or(before);
        most.fds = most.fds.max(now.fds);
        most.rss_kib = most.rss_kib.max(now.rss_kib);
        println!(
            "seed {seed}: {right} right, {wrong} wrong, {failed} failed, {cancelled} cancelled; \
             {} fds, {} KiB",
            now.fds, now.rss_kib
        );
    }
    println!(
        "before {} fds, {} KiB; most {} fds, {} KiB",
        before.fds, before.rss_kib, most.fds, most.rss_kib
    );
    assert_eq!(most.fds, before.fds, "descriptors grew");
    // A tenth, and 4 MiB for the allocator's ways.
    let allowed = before.rss_kib + before.rss_kib / 10 + 4096;
    assert!(most.rss_kib <= allowed, "memory grew beyond {allowed} KiB");
}
