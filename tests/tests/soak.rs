//! A short run of the long mixed load; the long one is `examples/soak.rs`.

use std::time::Duration;

use async_tests::soak::{MODES, Usage, round};

#[test]
fn nothing_is_left_after_a_mixed_load_with_faults() {
    let _ = round(MODES[2], 1, Duration::from_millis(300));
    let before = Usage::now();
    for (seed, wake) in (2..).zip(MODES) {
        let done = round(wake, seed, Duration::from_millis(700));
        assert!(done.right > 0, "{done:?}");
        assert!(done.failed > 0, "the device is flaky: {done:?}");
        assert!(
            done.counters.orphaned > 0,
            "operations were cancelled in flight: {done:?}"
        );
    }
    if let (Some(before), Some(after)) = (before, Usage::now()) {
        assert_eq!(after.fds, before.fds, "descriptors were left open");
    }
}
