//! Threads: devices that have one, several owners, their ends, and forks.

mod common;

use common::Link;

/// Runs all cases of `tests/c/NAME.c`.
#[track_caller]
fn all_cases(name: &str, link: Link, cases: usize) {
    if link == Link::Alone || common::has_libcrypto() {
        // The linker would leave a libcrypto out of which the program uses nothing itself.
        let output = common::build(name, link, &["-Wl,--no-as-needed"]).run(&[]);
        let expected = format!("{cases} cases\n");
        assert_eq!(common::stdout(&output), expected, "{name}, {link:?}");
    }
}

#[test]
fn devices_and_owners() {
    all_cases("threads", Link::Alone, 6);
    all_cases("threads", Link::BeforeLibcrypto, 6);
    all_cases("threads", Link::Preloaded, 6);
    all_cases("threads", Link::Libcrypto, 4);
}

#[test]
fn the_end_of_a_thread() {
    all_cases("thread_end", Link::Alone, 3);
    all_cases("thread_end", Link::BeforeLibcrypto, 3);
}

#[test]
fn forks() {
    all_cases("fork", Link::Alone, 4);
    all_cases("fork", Link::BeforeLibcrypto, 4);
}
