//! The manual page's example, in every way of linking.

mod common;

use common::Link;

const LINES: &str = "Starting...
Executing within a job
Passed in message is: Hello world!
Job was paused
Waiting for the job to be woken up
Resumed the job after a pause
Job finished with return value 1
Finishing
";

fn prints_the_eight_lines(link: Link) {
    let output = common::build("manual", link, &[]).run(&[]);
    assert_eq!(common::stdout(&output), LINES);
}

#[test]
fn alone() {
    prints_the_eight_lines(Link::Alone);
}

#[test]
fn linked_statically() {
    prints_the_eight_lines(Link::Static);
}

#[test]
fn before_libcrypto() {
    if common::has_libcrypto() {
        prints_the_eight_lines(Link::BeforeLibcrypto);
    }
}

#[test]
fn preloaded() {
    if common::has_libcrypto() {
        prints_the_eight_lines(Link::Preloaded);
    }
}

/// The program is right: OpenSSL says the same.
#[test]
fn on_libcrypto_itself() {
    if common::has_libcrypto() {
        prints_the_eight_lines(Link::Libcrypto);
    }
}
