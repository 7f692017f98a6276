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

/// The example of an event loop, on ours and on libcrypto.
#[test]
fn the_event_loop() {
    let mut links = vec![Link::Alone];
    if common::has_libcrypto() {
        links.extend([Link::BeforeLibcrypto, Link::Preloaded, Link::Libcrypto]);
    }
    for link in links {
        let program = common::build_in("examples", "poll", link, &[]);
        let output = common::succeed(program.command().env("ASYNC_CAPI_CHECK", "1"));
        let mut lines: Vec<_> = common::stdout(&output).lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["job 0: 40", "job 1: 41"]);
        if link != Link::Libcrypto {
            assert_eq!(
                common::stderr(&output),
                "async-capi check: nothing to report\n"
            );
        }
    }
}

/// The program is right: OpenSSL says the same.
#[test]
fn on_libcrypto_itself() {
    if common::has_libcrypto() {
        prints_the_eight_lines(Link::Libcrypto);
    }
}

/// A setting that is no number is told of, and the usual one is used; also if it cannot be told.
#[test]
fn with_a_bad_stack_size() {
    let program = common::build("manual", Link::Alone, &["-DBAD"]);
    let mut command = program.command();
    let output = common::succeed(command.env("ASYNC_CAPI_STACK_BYTES", "much"));
    assert_eq!(common::stdout(&output), LINES);
    let told = common::stderr(&output);
    assert!(
        told.starts_with("async-capi: ASYNC_CAPI_STACK_BYTES=\"much\" is not a number"),
        "{told}"
    );
    let full = std::fs::File::create("/dev/full").expect("it can be opened");
    let output = common::succeed(command.stderr(full));
    assert_eq!(common::stdout(&output), LINES);
}
