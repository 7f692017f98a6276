//! HAProxy, unchanged, with its TLS on the simulated device.

mod common;
mod servers;

use std::process::Output;

use common::{Host, Jobs, count, of_kind, plain, stderr, stdout};
use serde_json::Value;
use servers::{Certificate, Clients, Haproxy, Wish, has_haproxy_and_clients};

/// Of all kinds of operations, those that ended in this way.
fn of_all(counts: &Value, how: &str) -> u64 {
    (counts["ops"]
        .as_object()
        .expect("operations by kind")
        .keys())
    .map(|kind| of_kind(counts, kind, how))
    .sum()
}

/// How long the tests that look for growth go on: `SERVER_TEST_SECONDS`.
fn seconds() -> f64 {
    std::env::var("SERVER_TEST_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2.0)
}

/// Kinds of keys, and what they sign with.
const KEYS: [(&str, &str); 3] = [
    ("RSA", "rsa2048-sign"),
    ("P-256", "ecdsa-p256-sign"),
    ("P-384", "ecdsa-p384-sign"),
];

#[test]
fn each_handshake_pauses() {
    if !has_haproxy_and_clients() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (key, sign) in KEYS {
            let certificate = Certificate::new(key);
            let host = Host::new(jobs, "device = hsm-cloud");
            let mut haproxy = Haproxy::start(&host, &certificate, Wish::PAUSING);
            let clients = Clients {
                versions: "both",
                mode: "ask",
                at_once: 2,
                seconds: 0.5,
            };
            let made = clients.run(haproxy.port, &certificate);
            haproxy.is_up();
            haproxy.stop();
            assert!(made.good > 0 && made.bad == 0, "{jobs:?}, {key}: {made:?}");
            let counts = host.counts();
            assert_eq!(of_kind(&counts, sign, "in_jobs"), made.good, "{counts}");
            assert_eq!(of_all(&counts, "waited"), 0, "{counts}");
            // On a busy machine some answers are there before their pause, milliseconds later.
            assert!(2 * count(&counts, "pauses") > made.good, "{counts}");
        }
    }
}

/// Each of HAProxy's threads has jobs, and its own fds.
#[test]
fn two_threads_and_sixteen_clients() {
    if !has_haproxy_and_clients() {
        return;
    }
    for jobs in Jobs::BOTH {
        let certificate = Certificate::new("RSA");
        let host = Host::new(jobs, "device = hsm-cloud");
        let wish = Wish {
            threads: 2,
            ..Wish::PAUSING
        };
        let haproxy = Haproxy::start(&host, &certificate, wish);
        let clients = Clients {
            versions: "both",
            mode: "ask",
            at_once: 16,
            seconds: seconds(),
        };
        let made = clients.run(haproxy.port, &certificate);
        haproxy.stop();
        assert!(made.good > 0 && made.bad == 0, "{jobs:?}: {made:?}");
        let counts = host.counts();
        assert_eq!(of_all(&counts, "in_jobs"), made.good, "{counts}");
    }
}

/// Without the device's answer the server has one of software's: the connections of such handshakes end well, too.
/// (HAProxy ends by a bug check where a connection has an fd that no pause has told it of.)
#[test]
fn what_the_device_refuses_software_does() {
    if !has_haproxy_and_clients() {
        return;
    }
    for jobs in Jobs::BOTH {
        let certificate = Certificate::new("RSA");
        let host = Host::new(
            jobs,
            "device = hsm-cloud\nfaults = throttled = 0.5, error = 0.1\nfallback = yes",
        );
        let mut haproxy = Haproxy::start(&host, &certificate, Wish::PAUSING);
        let clients = Clients {
            versions: "both",
            mode: "ask",
            at_once: 16,
            seconds: 1.0,
        };
        let made = clients.run(haproxy.port, &certificate);
        haproxy.is_up();
        haproxy.stop();
        assert!(made.good > 0 && made.bad == 0, "{jobs:?}: {made:?}");
        let counts = host.counts();
        assert!(count(&counts, "refused") > 0, "{counts}");
        assert!(count(&counts, "fell_back") > 0, "{counts}");
    }
}

/// One operation in twenty fails, one in a hundred is lost, and the device dies once and is reset. Each handshake has
/// one operation: it fails if that does, and only then. Nothing grows.
#[test]
fn faults_fail_their_handshakes_and_nothing_else() {
    if !has_haproxy_and_clients() {
        return;
    }
    for jobs in Jobs::BOTH {
        let certificate = Certificate::new("RSA");
        let host = Host::new(
            jobs,
            "device = hsm-cloud\n\
             faults = error = 0.05, lost = 0.01, script = [{ at_op = 300, fault = \\\"death\\\" }]\n\
             device_with = heartbeat = { period_ns = 50_000_000, misses = 1, restart_ns = 200_000_000 }\n\
             timeout_ms = 300",
        );
        let mut haproxy = Haproxy::start(&host, &certificate, Wish::PAUSING);
        let run = |seconds| {
            let clients = Clients {
                versions: "both",
                mode: "ask",
                at_once: 16,
                seconds,
            };
            clients.run(haproxy.port, &certificate)
        };
        let before = haproxy.fds();
        let (mut good, mut bad) = (0, 0);
        let mut add = |made: servers::Handshakes| {
            good += made.good;
            bad += made.bad;
            made
        };
        // Until the device has died and was reset, and memory is what it will be.
        let mut warm = 0;
        while warm < 600 {
            let made = add(run(1.0));
            assert!(made.all() > 0);
            warm += made.all();
        }
        let memory = haproxy.memory_kib();
        let mut rest = seconds();
        while rest > 0.0 {
            let made = add(run(rest.min(10.0)));
            assert!(made.good > made.bad, "{made:?}");
            rest -= 10.0;
        }
        let after = haproxy.memory_kib();
        println!("{jobs:?}: {good} good, {bad} bad, {memory} KiB, {after} KiB in the end");
        // What a kilobyte lost with each handshake would come to in two minutes.
        assert!(after < memory + 16 * 1024, "{memory} KiB, then {after} KiB");
        haproxy.comes_down_to(before);
        haproxy.is_up();
        haproxy.stop();
        let counts = host.counts();
        assert_eq!(count(&counts, "deaths"), 1, "{counts}");
        assert_eq!(of_all(&counts, "in_jobs"), good + bad, "{counts}");
        assert_eq!(of_all(&counts, "failed"), bad, "{counts}");
        assert!(count(&counts, "timed_out") > 0, "{counts}");
    }
}

/// Clients that hang up while their handshake is on the device, or waits in line for it. With a reset HAProxy frees a
/// connection whose job is paused, and the job's stack is lost, with libcrypto's jobs and with ours. No fd is, no room
/// on the device, and the others are served.
#[test]
fn clients_that_hang_up_leave_no_fd() {
    if !has_haproxy_and_clients() {
        return;
    }
    for jobs in Jobs::BOTH {
        let certificate = Certificate::new("RSA");
        let host = Host::new(
            jobs,
            "device = hsm-cloud\ndevice_with = link = { fixed_ns = 25_000_000 }, ring_depth_max = 8",
        );
        let mut haproxy = Haproxy::start(&host, &certificate, Wish::PAUSING);
        let run = |mode, at_once, seconds| {
            let clients = Clients {
                versions: "both",
                mode,
                at_once,
                seconds,
            };
            let made = clients.run(haproxy.port, &certificate);
            assert_eq!(made.bad, 0, "{mode}");
            made.good
        };
        let mut served = run("ask", 16, 0.5);
        let (fds, before) = (haproxy.fds(), haproxy.memory_kib());
        let closed = run("close", 4, seconds() / 2.0);
        haproxy.comes_down_to(fds);
        // More than the ring holds.
        let mut reset = run("reset", 32, seconds() / 2.0);
        haproxy.comes_down_to(fds);
        served += run("ask", 16, 0.5);
        let middle = haproxy.memory_kib();
        let counted = run("reset", 4, seconds() / 2.0);
        reset += counted;
        haproxy.comes_down_to(fds);
        served += run("ask", 16, 0.5);
        let after = haproxy.memory_kib();
        haproxy.is_up();
        haproxy.stop();
        let counts = host.counts();
        let gone = count(&counts, "submitted") - of_all(&counts, "in_jobs");
        println!(
            "{jobs:?}: {closed} closed, {reset} reset, {gone} of them on the device; {before} KiB, {middle} KiB and after \
             {counted} more resets {after} KiB: {} KiB each",
            after.saturating_sub(middle) as u64 / counted.max(1),
        );
        assert!(closed > 0 && gone > 0, "{counts}");
        assert!(count(&counts, "ring_full") > 0, "{counts}");
        // Those that only close are not noticed: their job goes on to its end.
        assert!(of_all(&counts, "in_jobs") >= served, "{counts}");
        // A stack, and what the handshake has allocated.
        assert!(
            after as u64 <= middle as u64 + 4096 + 64 * counted,
            "{middle} KiB, then {after} KiB after {counted} resets"
        );
    }
}

/// The command of the README, in each of its modes.
#[test]
fn try_haproxy_shows_what_it_says() {
    if !has_haproxy_and_clients() {
        return;
    }
    let provider = common::provider();
    let from = provider.parent().expect("it is in a directory");
    let run = |args: &[&str], setting: Option<(&str, &str)>| -> Output {
        plain(common::root().join("../../examples/hosts/try-haproxy"))
            .arg(format!("--from={}", from.display()))
            .args(args)
            .envs(setting)
            .current_dir("/")
            .output()
            .expect("it can be run")
    };
    let preload = format!("--preload={}", common::async_capi().display());
    let hello = "hello from behind the device";
    let cases: [(&[&str], _, usize, &str); 9] = [
        (&[], None, 2, "2 handshakes went well, 0 failed"),
        (&[&preload], None, 2, "2 handshakes went well, 0 failed"),
        (&["full"], None, 8, "8 handshakes went well, 0 failed"),
        (&["slow"], None, 8, "8 handshakes went well, 0 failed"),
        (&["failed"], None, 2, "2 handshakes went well, 1 failed"),
        (&["lost"], None, 2, "timed out      1"),
        (&["wrong"], None, 2, "2 handshakes went well, 1 failed"),
        (&["dead"], None, 2, "deaths         1"),
        (
            &["dead"],
            Some(("SIMACCEL_FALLBACK", "yes")),
            2,
            "2 handshakes went well, 0 failed",
        ),
    ];
    for (args, setting, served, text) in cases {
        let output = run(args, setting);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(output.status.success(), "{args:?}: {said}");
        assert_eq!(said.matches(hello).count(), served, "{args:?}: {said}");
        assert!(said.contains(text), "{args:?}: {said}");
    }
    for (args, setting, text) in [
        (&["quickly"][..], None, "'quickly' is no mode"),
        (
            &[],
            Some(("SIMACCEL_DEVICE", "no-such")),
            "neither a preset",
        ),
        (
            &[],
            Some(("SIMACCEL_OFFLOAD", "none")),
            "nothing was put on the device",
        ),
        (&["--preload=/nowhere"], None, "there is no /nowhere"),
        (
            &["dead"],
            Some(("SIMACCEL_FAULTS", "error = 1.0")),
            "than were to",
        ),
    ] {
        let output = run(args, setting);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(text),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}
