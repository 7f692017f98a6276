//! Every function as the manual page and OpenSSL have it: one C program per group of them, with its cases. The
//! same programs run on libcrypto, which shows that they are right.

mod common;

use common::Link;

/// Runs all cases of `tests/c/NAME.c`, and expects that there were so many.
#[track_caller]
fn all_cases(name: &str, link: Link, cases: usize) {
    if link != Link::Alone && !common::has_libcrypto() {
        return;
    }
    // The linker would leave a libcrypto out of which the program uses nothing itself.
    let output = common::build(name, link, &["-Wl,--no-as-needed"]).run(&[]);
    assert_eq!(
        common::stdout(&output),
        format!("{cases} cases\n"),
        "{name}"
    );
}

/// A test for each way of linking; on libcrypto itself fewer cases are defined.
macro_rules! functions {
    ($($name:ident: $ours:literal, $libcryptos:literal;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn alone() {
                all_cases(stringify!($name), Link::Alone, $ours);
            }

            #[test]
            fn before_libcrypto() {
                all_cases(stringify!($name), Link::BeforeLibcrypto, $ours);
            }

            #[test]
            fn preloaded() {
                all_cases(stringify!($name), Link::Preloaded, $ours);
            }

            #[test]
            fn on_libcrypto_itself() {
                all_cases(stringify!($name), Link::Libcrypto, $libcryptos);
            }
        }
    )*};
}

functions! {
    jobs: 17, 14;
    shared: 2, 1;
    pool: 10, 5;
    contexts: 16, 16;
    upstream: 8, 8;
}

/// The eight cases one after the other on one thread: each leaves it as the next needs it.
#[test]
fn upstreams_cases_in_one_process() {
    for link in [Link::Alone, Link::Preloaded, Link::Libcrypto] {
        if link == Link::Alone || common::has_libcrypto() {
            // The flag is for another name than the other tests have for it.
            common::build("upstream", link, &["-DTOGETHER"]).run(&["all"]);
        }
    }
}

/// Not in libcrypto 3.0, so that a program for it cannot be linked against it.
#[test]
fn stacks_of_the_programs_own() {
    all_cases("stacks", Link::Alone, 14);
    all_cases("stacks", Link::BeforeLibcrypto, 14);
}
