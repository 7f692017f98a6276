//! A job ends the process, from its own stack.

mod common;

use std::cell::RefCell;
use std::process::Command;

use async_core::{Job, pause_job};
use common::{Drops, assert_pool, start, start_paused};

/// Set in the child process.
const CHILD: &str = "ASYNC_CORE_TEST_EXIT";

thread_local! {
    static HELD: RefCell<Vec<Job<()>>> = const { RefCell::new(Vec::new()) };
}

/// Does nothing unless it is in a child process.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let drops = Drops::default();
    let jobs = (0..3).map(|_| {
        let token = drops.token();
        start_paused(move || {
            let _token = token;
            let _ = pause_job();
        })
    });
    HELD.with(|held| held.borrow_mut().extend(jobs));
    assert_eq!(start(|| 1).finished(), Some(1));
    assert_pool(3, 1);
    // Thread-locals may be destroyed on the way out, the pool's own among them.
    let _ = start(|| std::process::exit(23));
}

#[test]
fn a_job_may_end_the_process() {
    let binary = std::env::current_exe().expect("it runs");
    // On the main thread, whose thread-locals are destroyed by an exit, and on another.
    for threads in ["--test-threads=1", "--test-threads=2"] {
        let output = Command::new(&binary)
            .args(["--exact", "child", threads])
            .env(CHILD, "1")
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(23), "{}: {said}", output.status);
    }
}
