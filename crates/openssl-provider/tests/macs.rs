//! MACs under OpenSSL's own program.

mod common;

use common::{Host, Jobs, count, data, has_openssl, of_kind, plain, stderr, stdout, succeed};

const KIND: &str = "hmac-sha256";

#[test]
fn mac_and_dgst_say_what_they_say_without_the_provider() {
    if !has_openssl() {
        return;
    }
    for digest in ["sha1", "sha256", "sha384", "sha512", "sha3-256"] {
        for len in [0, 1, 2047, 2048, 100_000] {
            let file = data(len);
            let file = file.display().to_string();
            for args in [
                &[
                    "mac",
                    "-digest",
                    digest,
                    "-macopt",
                    "key:a key",
                    "-in",
                    &file,
                    "HMAC",
                ][..],
                &[
                    "dgst",
                    "-mac",
                    "HMAC",
                    "-macopt",
                    "key:a key",
                    &format!("-{digest}"),
                    &file,
                ],
            ] {
                let host = Host::new(Jobs::Stock, "offload = mac");
                let ours = stdout(&host.openssl(args));
                assert_eq!(ours, stdout(&succeed(plain("openssl").args(args))));
                let offloaded: u64 = (host.all_counts().iter())
                    .map(|counts| of_kind(counts, KIND, "waited"))
                    .sum();
                assert_eq!(offloaded > 0, len >= 2048, "{digest} of {len} bytes");
            }
        }
    }
}

/// The digest is the default provider's, whatever the program would have.
#[test]
fn properties_of_the_program_do_not_reach_the_digest() {
    if !has_openssl() {
        return;
    }
    let file = data(10_000).display().to_string();
    let args = ["mac", "-digest", "sha256", "-macopt", "key:a key"];
    let properties = ["-macopt", "properties:provider=simaccel"];
    let host = Host::new(Jobs::Stock, "");
    let end = ["-in", &file, "HMAC"];
    let ours = host.openssl(&[&args[..], &properties, &end].concat());
    let theirs = succeed(plain("openssl").args(args).args(end));
    assert_eq!(stdout(&ours), stdout(&theirs));
}

/// One pause or more for each operation, and no operation but in a job.
#[test]
fn speed_pauses_for_hmac() {
    if !has_openssl() {
        return;
    }
    for in_flight in ["1", "8", "64"] {
        common::speed_pauses(KIND, &["-hmac", "sha256"], in_flight);
    }
}

#[test]
fn faults_reach_the_program() {
    if !has_openssl() {
        return;
    }
    let file = data(100_000).display().to_string();
    let args = [
        "mac",
        "-digest",
        "sha256",
        "-macopt",
        "key:a key",
        "-in",
        &file,
        "HMAC",
    ];
    let right = stdout(&succeed(plain("openssl").args(args)));
    let run = |settings: &str| {
        let host = Host::new(Jobs::Stock, settings);
        let mut command = host.command("openssl");
        let output = command.args(args).output().expect("it can be run");
        (output, host.counts())
    };
    for (settings, text) in [
        ("faults = error = 1.0", "the device answered with status"),
        (
            "faults = lost = 1.0\ntimeout_ms = 200",
            "no answer from the device within 200 ms",
        ),
    ] {
        let (failed, counts) = run(settings);
        assert_eq!(failed.status.code(), Some(1));
        assert!(stderr(&failed).contains(text), "{}", stderr(&failed));
        assert_eq!(of_kind(&counts, KIND, "failed"), 1, "{counts}");
    }
    let (wrong, _) = run("faults = wrong = 1.0");
    assert!(wrong.status.success());
    assert_eq!(stdout(&wrong).len(), right.len());
    assert_ne!(stdout(&wrong), right);

    let (fallen_back, counts) = run("faults = error = 1.0\nfallback = yes");
    assert!(fallen_back.status.success());
    assert_eq!(stdout(&fallen_back), right);
    assert!(count(&counts, "fell_back") > 0, "{counts}");
}
