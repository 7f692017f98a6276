//! Handshakes whose servers sign in jobs, and connections that are freed while their operation is on the device.

mod common;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use common::{
    Host, Jobs, balanced, c, count, has, has_openssl, of_kind, plain, scratch, stdout, succeed,
};

/// A key and its certificate, made once.
fn identity(name: &str) -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<HashMap<&str, (PathBuf, PathBuf)>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let make = |(name, options): (&'static str, &[&str])| {
            let [certificate, key] =
                ["crt", "key"].map(|end| scratch().join(format!("{name}.{end}")));
            let mut openssl = plain("openssl");
            openssl
                .args([
                    "req",
                    "-x509",
                    "-nodes",
                    "-subj",
                    "/CN=localhost",
                    "-newkey",
                ])
                .args(options);
            succeed(
                openssl
                    .arg("-out")
                    .arg(&certificate)
                    .arg("-keyout")
                    .arg(&key),
            );
            (name, (certificate, key))
        };
        let p = |curve| ["ec", "-pkeyopt", curve];
        [
            ("rsa", &["rsa:2048"][..]),
            ("p256", &p("ec_paramgen_curve:P-256")),
            ("p384", &p("ec_paramgen_curve:P-384")),
        ]
        .map(make)
        .into_iter()
        .collect()
    });
    &made[name]
}

/// What the program prints.
fn handshakes(
    host: &Host,
    under: &[&str],
    name: &str,
    version: &str,
    how: &str,
    many: u64,
) -> HashMap<String, u64> {
    let (certificate, key) = identity(name);
    let program = c::build_tls("handshakes");
    let many = many.to_string();
    let mut words: Vec<&OsStr> = under.iter().map(OsStr::new).collect();
    words.extend([
        program.as_os_str(),
        certificate.as_os_str(),
        key.as_os_str(),
    ]);
    words.extend([version, how, &many].map(OsStr::new));
    let mut command = host.command(words[0]);
    let printed = stdout(&succeed(command.args(&words[1..])));
    let pairs = printed.split_whitespace().map(|word| {
        let (name, number) = word.split_once('=').expect("name=number");
        (name.to_owned(), number.parse().expect("a number"))
    });
    pairs.collect()
}

const KINDS: [(&str, &str); 3] = [
    ("rsa", "rsa2048-sign"),
    ("p256", "ecdsa-p256-sign"),
    ("p384", "ecdsa-p384-sign"),
];

/// Slow enough that every job has paused before its answer is there.
const SLOW: &str = "offload = sign\ndevice_with = service_default = { fixed_ns = 20_000_000 }";

#[test]
fn every_handshake_pauses_once_for_its_signature() {
    if !has_openssl() || !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for version in ["1.2", "1.3"] {
            for (name, kind) in KINDS {
                let host = Host::new(jobs, SLOW);
                let printed = handshakes(&host, &[], name, version, "finish", 10);
                assert_eq!(
                    (printed["finished"], printed["pauses"]),
                    (10, 10),
                    "{name} {version}"
                );
                let counts = host.counts();
                assert_eq!(of_kind(&counts, kind, "in_jobs"), 10, "{counts}");
                assert_eq!(count(&counts, "pauses"), 10, "{counts}");
                assert_eq!(count(&counts, "completed"), 10, "{counts}");
            }
        }
    }
}

/// Records of both sides go through the device, in jobs, and every byte is as it was.
#[test]
fn data_goes_both_ways_through_the_device() {
    if !has_openssl() || !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for version in ["1.2", "1.3"] {
            let host = Host::new(
                jobs,
                "cipher_threshold = 0\ndigest_threshold = 0\nmac_threshold = 0\n\
                 device_with = service_default = { fixed_ns = 500_000 }",
            );
            let printed = handshakes(&host, &[], "p256", version, "data", 1);
            assert!(printed["pauses"] > 50, "{printed:?}");
            let counts = host.counts();
            assert!(of_kind(&counts, "aes-256-gcm", "in_jobs") > 400, "{counts}");
        }
    }
}

#[test]
fn a_connection_may_be_freed_while_its_operation_is_on_the_device() {
    if !has_openssl() || !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for version in ["1.2", "1.3"] {
            let host = Host::new(jobs, SLOW);
            let printed = handshakes(&host, &[], "rsa", version, "both", 40);
            assert_eq!(
                (printed["finished"], printed["freed"]),
                (21, 20),
                "{version}"
            );
            let counts = host.counts();
            // Nobody has given an operation up: the job that would is never resumed.
            assert_eq!(count(&counts, "submitted"), 41, "{counts}");
        }
    }
}

/// The device and the host touch nothing that was freed.
#[test]
fn under_valgrind() {
    if !has_openssl() || !c::can_build() || !has("valgrind") {
        return;
    }
    for (jobs, version) in [(Jobs::Stock, "1.2"), (Jobs::Ours, "1.2")] {
        // libcrypto loses the jobs of freed connections itself.
        for (how, leaks) in [
            ("finish", jobs == Jobs::Stock),
            ("free", false),
            ("both", false),
        ] {
            let host = Host::new(jobs, SLOW);
            let printed = handshakes(&host, &common::valgrind(leaks), "rsa", version, how, 6);
            assert_eq!(
                printed["finished"] + printed["freed"],
                if how == "finish" { 6 } else { 7 }
            );
            host.all_counts().iter().for_each(balanced);
        }
    }
}

#[test]
fn speed_under_valgrind() {
    if !has_openssl() || !has("valgrind") {
        return;
    }
    for (options, kind, leaks) in [
        (&["-bytes", "4096", "-evp", "sha256"][..], "sha256", true),
        (&["rsa2048"], "rsa2048-sign", true),
        // It loses a key of its own.
        (&["ecdsap256"], "ecdsa-p256-sign", false),
        (&["ecdhp256"], "p256-derive", true),
    ] {
        let host = Host::new(Jobs::Stock, "");
        let mut command = host.command("valgrind");
        command.args(&common::valgrind(leaks)[1..]);
        command.args([
            "openssl",
            "speed",
            "-elapsed",
            "-seconds",
            "1",
            "-async_jobs",
            "4",
        ]);
        succeed(command.args(options).stdin(std::process::Stdio::null()));
        assert!(of_kind(&host.counts(), kind, "in_jobs") > 0);
    }
}
