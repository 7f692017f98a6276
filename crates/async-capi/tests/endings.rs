//! How a process ends, and what leaves a job in other ways than by a return: `exit`, `longjmp`, exceptions, a stack
//! that is full.

mod common;

use common::Link;

fn links() -> impl Iterator<Item = Link> {
    let libcrypto = common::has_libcrypto();
    [Link::Alone, Link::BeforeLibcrypto]
        .into_iter()
        .filter(move |&link| link == Link::Alone || libcrypto)
}

/// The cases look at the statistics that are printed at the end.
#[test]
fn a_process_with_jobs_ends() {
    for link in links() {
        let program = common::build("endings", link, &["-Wl,--no-as-needed"]);
        let output = common::succeed(program.command().env("ASYNC_CAPI_STATS", "1"));
        assert_eq!(common::stdout(&output), "5 cases\n", "{link:?}");
    }
}

/// glibc's own check of a jump's direction takes a job's stack for what it is.
#[test]
fn a_checked_longjmp() {
    let flags = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"];
    common::build("endings", Link::Alone, &flags).run(&["longjmp_within_a_job"]);
}

/// An exception that leaves its job ends the process; the Rust runtime says so.
#[test]
fn exceptions() {
    if !common::has("c++") {
        return;
    }
    for link in links() {
        let output = common::build("exceptions", link, &["-Wl,--no-as-needed"]).run(&[]);
        assert_eq!(common::stdout(&output), "3 cases\n", "{link:?}");
    }
}
