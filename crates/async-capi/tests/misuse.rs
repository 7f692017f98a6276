//! What a program does wrong is told, and everything works afterwards. (OpenSSL crashes in most of these cases.)

mod common;

use common::Link;

/// Runs all cases of `tests/c/NAME.c`, alone and with an error queue to look at.
#[track_caller]
fn is_told(name: &str, cases: usize) {
    for link in [Link::Alone, Link::BeforeLibcrypto] {
        if link == Link::Alone || common::has_libcrypto() {
            // The linker would leave a libcrypto out of which the program uses nothing itself.
            let output = common::build(name, link, &["-Wl,--no-as-needed"]).run(&[]);
            let expected = format!("{cases} cases\n");
            assert_eq!(common::stdout(&output), expected, "{name}, {link:?}");
        }
    }
}

#[test]
fn wrong_arguments() {
    is_told("misuse_arguments", 7);
}

#[test]
fn jobs_used_wrongly() {
    is_told("misuse_jobs", 9);
}

#[test]
fn contexts_used_wrongly() {
    is_told("misuse_contexts", 9);
}
