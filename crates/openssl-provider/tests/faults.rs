//! What goes wrong on the device, as programs come to see it: each operation ends, with OpenSSL's errors or without,
//! and the counts balance.

mod common;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use common::{Host, Jobs, c, count, data, has, has_openssl, plain, stderr, stdout, succeed};

/// Pieces of 8 KiB in the file that is hashed; what is left is too small for the device.
const PIECES: u64 = 12;

fn input() -> std::path::PathBuf {
    data(100_000)
}

fn dgst(host: &Host, file: &Path) -> Output {
    let mut command = host.command("openssl");
    command.args(["dgst", "-r", "-sha256"]).arg(file);
    command.output().expect("openssl can be run")
}

/// The digest fails, with a text in the errors, and not with a crash.
#[track_caller]
fn fails(settings: &str, text: &str) -> Value {
    let host = Host::new(Jobs::Stock, settings);
    let output = dgst(&host, &input());
    assert_eq!(output.status.code(), Some(1), "{settings}\n{output:?}");
    let errors = stderr(&output);
    assert!(
        errors.contains("error:") && errors.contains(text),
        "{settings}\n{errors}"
    );
    assert_eq!(stdout(&output), "", "{settings}");
    host.counts()
}

/// The digest is the default provider's.
#[track_caller]
fn succeeds(settings: &str) -> Value {
    let host = Host::new(Jobs::Stock, settings);
    let file = input();
    let output = dgst(&host, &file);
    assert!(output.status.success(), "{settings}\n{output:?}");
    let expected = succeed(plain("openssl").args(["dgst", "-r", "-sha256"]).arg(&file));
    assert_eq!(stdout(&output), stdout(&expected), "{settings}");
    host.counts()
}

const SHORT_HEARTBEAT: &str = "device_with = heartbeat = { period_ns = 1000000, misses = 2 }";
const RESET: &str =
    "device_with = heartbeat = { period_ns = 1000000, misses = 2, restart_ns = 2000000 }";

#[test]
fn an_error_is_an_error_with_its_status() {
    if !has_openssl() {
        return;
    }
    let counts = fails(
        "faults = error = 1.0",
        "simaccel: the device answered with status -",
    );
    assert_eq!(count(&counts, "failed"), 1, "{counts}");
}

#[test]
fn a_lost_answer_ends_by_the_time_out() {
    if !has_openssl() {
        return;
    }
    let counts = fails(
        "faults = lost = 1.0\ntimeout_ms = 50",
        "simaccel: no answer from the device within 50 ms",
    );
    assert_eq!(count(&counts, "timed_out"), 1, "{counts}");
    // The piece is lost with the state of the digest: there is nothing to fall back with.
    fails(
        "faults = lost = 1.0\ntimeout_ms = 50\nfallback = yes",
        "no answer from the device",
    );
}

#[test]
fn the_death_of_the_device_is_an_error_or_the_fallback_s() {
    if !has_openssl() {
        return;
    }
    let killed = "faults = script = [{ at_op = 3, fault = death }]";
    for heartbeat in [SHORT_HEARTBEAT, RESET] {
        let settings = format!("{killed}\n{heartbeat}");
        let counts = fails(&settings, "simaccel: the device is down");
        assert_eq!(count(&counts, "deaths"), 1, "{counts}");
    }
    let counts = succeeds(&format!("{killed}\n{SHORT_HEARTBEAT}\nfallback = yes"));
    assert_eq!(count(&counts, "deaths"), 1, "{counts}");
    assert_eq!(count(&counts, "fell_back"), PIECES - 3, "{counts}");
}

#[test]
fn refusals() {
    if !has_openssl() {
        return;
    }
    fails("faults = throttled = 1.0", "simaccel: the device throttles");
    fails("faults = no_descriptor = 1.0", "simaccel: ");
    for fault in ["error", "throttled", "no_descriptor"] {
        let counts = succeeds(&format!("faults = {fault} = 1.0\nfallback = yes"));
        assert_eq!(count(&counts, "fell_back"), PIECES, "{fault} {counts}");
    }
    let counts = succeeds("faults = ring_full = 1.0");
    assert_eq!(count(&counts, "ring_full"), PIECES, "{counts}");
}

/// What no program needs to know of.
#[test]
fn nuisances_change_nothing() {
    if !has_openssl() {
        return;
    }
    for settings in [
        "faults = duplicate = 1.0",
        "faults = untold = 1.0\ntimeout_ms = 80",
        "faults = spurious = 1.0",
        "faults = slow = { share = 1.0, extra_ns = 2000000 }",
        "faults = late = { share = 1.0, extra_ns = 2000000 }",
        "faults = stall = { share = 1.0, for_ns = 2000000 }",
    ] {
        let counts = succeeds(settings);
        assert_eq!(count(&counts, "submitted"), PIECES, "{settings} {counts}");
        if settings.contains("duplicate") {
            assert_eq!(count(&counts, "duplicates"), PIECES, "{counts}");
        }
    }
}

#[test]
fn a_wrong_answer_is_a_wrong_digest() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(
        Jobs::Stock,
        "faults = script = [{ at_op = 3, fault = wrong }]",
    );
    let file = input();
    let output = dgst(&host, &file);
    let right = succeed(plain("openssl").args(["dgst", "-r", "-sha256"]).arg(&file));
    assert!(output.status.success());
    assert_ne!(stdout(&output)[..64], stdout(&right)[..64]);
    host.counts();
}

/// 200 operations in jobs, 8 at a time: so many have failed, each with an error of the provider's.
#[track_caller]
fn in_jobs(jobs: Jobs, settings: &str, valgrind: bool) -> (u64, Value) {
    let host = Host::new(jobs, settings);
    let output = if valgrind {
        c::run_under_valgrind(&host, "faulty", &["40"])
    } else {
        c::run(&host, "faulty", &["200"])
    };
    let said = stdout(&output);
    let failed = said
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    (failed.unwrap_or_else(|| panic!("{said}")), host.counts())
}

/// Each fault strikes operations in jobs: those end too, and the others are right.
#[test]
fn jobs_end_whatever_goes_wrong() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (settings, expected) in [
            ("faults = error = 1.0", Some(200)),
            ("faults = error = 1.0\nfallback = yes", Some(0)),
            ("faults = lost = 1.0\ntimeout_ms = 40", Some(200)),
            ("faults = error = 0.1, lost = 0.02\ntimeout_ms = 40", None),
            ("faults = ring_full = 0.5", Some(0)),
            (
                "device_with = ring_depth_max = 2, service_default = { fixed_ns = 100000 }",
                Some(0),
            ),
            ("faults = throttled = 1.0", Some(200)),
            ("faults = no_descriptor = 1.0", Some(200)),
            ("faults = duplicate = 1.0", Some(0)),
            ("faults = spurious = 1.0", Some(0)),
            ("faults = untold = 1.0\ntimeout_ms = 40", Some(0)),
            (
                "faults = slow = { share = 1.0, extra_ns = 500000 }",
                Some(0),
            ),
            (
                "faults = late = { share = 0.5, extra_ns = 500000 }",
                Some(0),
            ),
            ("device = flaky\nfaults = wrong = 0\ntimeout_ms = 100", None),
            (
                "device = flaky\nfaults = wrong = 0\ntimeout_ms = 100\nfallback = yes",
                None,
            ),
            (
                "faults = death = 0.02\ndevice_with = heartbeat = { period_ns = 1000000, misses = 2, restart_ns = 2000000 }",
                None,
            ),
        ] {
            let (failed, counts) = in_jobs(jobs, settings, false);
            if let Some(expected) = expected {
                assert_eq!(failed, expected, "{jobs:?} {settings} {counts}");
            }
        }
        let dead = "faults = script = [{ at_op = 20, fault = death }]";
        let (failed, counts) = in_jobs(jobs, &format!("{dead}\n{SHORT_HEARTBEAT}"), false);
        // Some of those that were under way may have been done.
        assert!(failed >= 200 - 20 - 8, "{failed} {counts}");
        let settings = format!("{dead}\n{SHORT_HEARTBEAT}\nfallback = yes");
        assert_eq!(in_jobs(jobs, &settings, false).0, 0);
    }
}

#[test]
fn faults_are_clean_under_valgrind() {
    if !c::can_build() || !has("valgrind") {
        return;
    }
    for jobs in Jobs::BOTH {
        in_jobs(
            jobs,
            "device = flaky\nfaults = wrong = 0\ntimeout_ms = 200",
            true,
        );
        in_jobs(
            jobs,
            "faults = lost = 0.5, error = 0.2, duplicate = 0.5\ntimeout_ms = 100",
            true,
        );
        in_jobs(
            jobs,
            "faults = script = [{ at_op = 20, fault = death }]\nfallback = yes",
            true,
        );
    }
}
