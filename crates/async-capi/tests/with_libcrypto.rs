//! libcrypto in the process: its error queue, its default library contexts, and its end.

mod common;

use common::Link;

/// What makes a program load libcrypto for itself, where this library must find it all the same.
const LOCAL: &[&str] = &["-DLOCAL"];

/// Runs a program in every way in which libcrypto can be there; libcrypto's own jobs among them, so that the program
/// is known to be right.
#[track_caller]
fn in_every_way(name: &str) {
    if !common::has_libcrypto() {
        return;
    }
    for link in [Link::Libcrypto, Link::BeforeLibcrypto, Link::Preloaded] {
        common::build(name, link, &[]).run(&[]);
    }
    for link in [Link::Alone, Link::Static] {
        common::build(name, link, LOCAL).run(&[]);
    }
}

#[test]
fn each_job_has_its_own_default_context() {
    in_every_way("libctx");
}

#[test]
fn after_its_cleanup_there_are_no_jobs() {
    in_every_way("cleanup");
}

/// Undefined with libcrypto's own jobs.
#[test]
fn a_job_may_be_what_cleans_it_up() {
    if !common::has_libcrypto() {
        return;
    }
    for link in [Link::BeforeLibcrypto, Link::Preloaded] {
        common::build("cleanup", link, &["-DINSIDE"]).run(&[]);
    }
    common::build("cleanup", Link::Alone, &["-DINSIDE", "-DLOCAL"]).run(&[]);
}

#[test]
fn it_is_found_where_its_names_are_hidden() {
    if !common::has_libcrypto() {
        return;
    }
    for link in [Link::Alone, Link::Static] {
        common::build("local", link, LOCAL).run(&[]);
    }
}
