//! Keys under OpenSSL's own program: what one side makes, with the provider or without, the other takes.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use common::{
    Host, Jobs, count, data, fresh, has_openssl, of_kind, plain, scratch, stderr, stdout, succeed,
};

/// `openssl` without the provider.
#[track_caller]
fn without(args: &[&str]) -> String {
    let mut command = plain("openssl");
    command.args(args).stdin(Stdio::null());
    // Of its own: some systems' configurations ask for a distinguished name.
    command.env("OPENSSL_CONF", Host::new(Jobs::Stock, "activate = 0").conf);
    stdout(&succeed(&mut command))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

/// A key, made once.
fn key(name: &str) -> &'static Path {
    static KEYS: OnceLock<Vec<(&str, PathBuf)>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let make = |name: &'static str, options: &[&str]| {
            let path = scratch().join(format!("{name}.key"));
            let mut args = vec!["genpkey", "-out", text(&path)];
            args.extend(options);
            let mut command = plain("openssl");
            succeed(command.args(args).stdin(Stdio::null()));
            (name, path)
        };
        vec![
            make(
                "rsa2048",
                &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            ),
            make(
                "rsa3072",
                &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            ),
            make(
                "rsa-pss",
                &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
            ),
            make(
                "p256",
                &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            ),
            make(
                "p384",
                &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            ),
            make(
                "p521",
                &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            ),
        ]
    });
    let found = keys.iter().find(|(known, _)| *known == name);
    &found.expect("a key of the list").1
}

/// The public half.
fn public(name: &str) -> PathBuf {
    let path = fresh("public.pem");
    let mut command = plain("openssl");
    command.args([
        "pkey",
        "-in",
        text(key(name)),
        "-pubout",
        "-out",
        text(&path),
    ]);
    succeed(&mut command);
    path
}

/// What the device takes a signature with a key for.
const KINDS: [(&str, Option<&str>); 6] = [
    ("rsa2048", Some("rsa2048-sign")),
    ("rsa3072", Some("rsa3072-sign")),
    ("rsa-pss", Some("rsa2048-sign")),
    ("p256", Some("ecdsa-p256-sign")),
    ("p384", Some("ecdsa-p384-sign")),
    ("p521", None),
];

#[test]
fn a_message_that_is_signed_on_the_device_verifies_without_it() {
    if !has_openssl() {
        return;
    }
    let message = data(10_000);
    for (name, kind) in KINDS {
        for digest in ["-sha256", "-sha384", "-sha512"] {
            let host = Host::new(Jobs::Stock, "offload = sign");
            let signature = fresh("signature");
            host.openssl(&[
                "dgst",
                digest,
                "-sign",
                text(key(name)),
                "-out",
                text(&signature),
                text(&message),
            ]);
            let public = public(name);
            let verify = [
                "dgst",
                digest,
                "-verify",
                text(&public),
                "-signature",
                text(&signature),
                text(&message),
            ];
            assert_eq!(without(&verify), "Verified OK\n", "{name} {digest}");
            assert_eq!(
                stdout(&host.openssl(&verify)),
                "Verified OK\n",
                "{name} {digest}"
            );
            let signed: u64 = (host.all_counts().iter())
                .map(|counts| kind.map_or(0, |kind| of_kind(counts, kind, "waited")))
                .sum();
            assert_eq!(signed, u64::from(kind.is_some()), "{name} {digest}");
        }
    }
}

#[test]
fn the_same_pkcs1_signature_as_without_the_device() {
    if !has_openssl() {
        return;
    }
    let message = data(5000);
    let (ours, theirs) = (fresh("ours"), fresh("theirs"));
    let args = ["dgst", "-sha256", "-sign", text(key("rsa2048")), "-out"];
    let host = Host::new(Jobs::Stock, "");
    host.openssl(&[&args[..], &[text(&ours), text(&message)]].concat());
    without(&[&args[..], &[text(&theirs), text(&message)]].concat());
    assert_eq!(std::fs::read(ours).ok(), std::fs::read(theirs).ok());
}

#[test]
fn every_padding_of_a_signature() {
    if !has_openssl() {
        return;
    }
    let digest = data(32);
    for options in [
        &["-pkeyopt", "digest:sha256"][..],
        &[
            "-pkeyopt",
            "rsa_padding_mode:pss",
            "-pkeyopt",
            "digest:sha256",
        ],
        &[
            "-pkeyopt",
            "digest:sha256",
            "-pkeyopt",
            "rsa_padding_mode:pss",
            "-pkeyopt",
            "rsa_pss_saltlen:20",
            "-pkeyopt",
            "rsa_mgf1_md:sha512",
        ],
        &[
            "-pkeyopt",
            "digest:sha256",
            "-pkeyopt",
            "rsa_padding_mode:x931",
        ],
        &[],
    ] {
        let host = Host::new(Jobs::Stock, "");
        let signature = fresh("signature");
        let common = [
            "pkeyutl",
            "-inkey",
            text(key("rsa2048")),
            "-in",
            text(&digest),
        ];
        host.openssl(&[&common[..], options, &["-sign", "-out", text(&signature)]].concat());
        assert_eq!(
            of_kind(&host.counts(), "rsa2048-sign", "waited"),
            1,
            "{options:?}"
        );
        let verify = [
            &common[..],
            options,
            &["-verify", "-sigfile", text(&signature)],
        ]
        .concat();
        for verified in [without(&verify), stdout(&host.openssl(&verify))] {
            assert_eq!(verified, "Signature Verified Successfully\n", "{options:?}");
        }
    }
}

#[test]
fn a_wrong_signature_does_not_verify() {
    if !has_openssl() {
        return;
    }
    let digest = data(32);
    for name in ["rsa2048", "p256"] {
        // Of a device that gets a bit wrong.
        let host = Host::new(Jobs::Stock, "faults = wrong = 1.0");
        let signature = fresh("signature");
        let common = ["pkeyutl", "-inkey", text(key(name)), "-in", text(&digest)];
        host.openssl(&[&common[..], &["-sign", "-out", text(&signature)]].concat());
        let verify = [&common[..], &["-verify", "-sigfile", text(&signature)]].concat();
        for mut command in [plain("openssl"), host.command("openssl")] {
            let output = command.args(&verify).output().expect("it can be run");
            assert!(!output.status.success(), "{name}: {}", stdout(&output));
        }
    }
}

#[test]
fn what_is_encrypted_without_the_device_is_decrypted_on_it() {
    if !has_openssl() {
        return;
    }
    let secret = data(100);
    for (name, kind) in [
        ("rsa2048", "rsa2048-decrypt"),
        ("rsa3072", "rsa3072-decrypt"),
    ] {
        for options in [
            &[][..],
            &["-pkeyopt", "rsa_padding_mode:oaep"],
            &[
                "-pkeyopt",
                "rsa_padding_mode:oaep",
                "-pkeyopt",
                "rsa_oaep_md:sha256",
            ],
        ] {
            let (sealed, opened) = (fresh("sealed"), fresh("opened"));
            let host = Host::new(Jobs::Stock, "");
            let common = ["pkeyutl", "-inkey", text(key(name))];
            let encrypt = ["-encrypt", "-in", text(&secret), "-out", text(&sealed)];
            let decrypt = ["-decrypt", "-in", text(&sealed), "-out", text(&opened)];
            without(&[&common[..], options, &encrypt].concat());
            host.openssl(&[&common[..], options, &decrypt].concat());
            assert_eq!(std::fs::read(&opened).ok(), std::fs::read(&secret).ok());
            assert_eq!(of_kind(&host.counts(), kind, "waited"), 1);
            // The other way round, where nothing is on the device.
            host.openssl(&[&common[..], options, &encrypt].concat());
            without(&[&common[..], options, &decrypt].concat());
            assert_eq!(std::fs::read(&opened).ok(), std::fs::read(&secret).ok());
        }
    }
}

/// A ciphertext that is none is an error, as it is without the device.
#[test]
fn what_cannot_be_decrypted_is_an_error() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(Jobs::Stock, "");
    let sealed = data(100); // not as long as the key
    let mut command = host.command("openssl");
    command.args([
        "pkeyutl",
        "-decrypt",
        "-inkey",
        text(key("rsa2048")),
        "-in",
        text(&sealed),
    ]);
    let output = command.output().expect("it can be run");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("simaccel"), "{}", stderr(&output));
}

#[test]
fn both_sides_derive_the_same_secret() {
    if !has_openssl() {
        return;
    }
    for (name, kind) in [
        ("p256", Some("p256-derive")),
        ("p384", None),
        ("p521", None),
    ] {
        let host = Host::new(Jobs::Stock, "");
        let other = fresh("other.key");
        let curve = format!("ec_paramgen_curve:P-{}", &name[1..]);
        // Made by the provider.
        host.openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            &curve,
            "-out",
            text(&other),
        ]);
        let others = fresh("other.pem");
        host.openssl(&[
            "pkey",
            "-in",
            text(&other),
            "-pubout",
            "-out",
            text(&others),
        ]);
        let (ours, theirs) = (fresh("ours"), fresh("theirs"));
        host.openssl(&[
            "pkeyutl",
            "-derive",
            "-inkey",
            text(key(name)),
            "-peerkey",
            text(&others),
            "-out",
            text(&ours),
        ]);
        without(&[
            "pkeyutl",
            "-derive",
            "-inkey",
            text(&other),
            "-peerkey",
            text(&public(name)),
            "-out",
            text(&theirs),
        ]);
        assert_eq!(
            std::fs::read(ours).ok(),
            std::fs::read(theirs).ok(),
            "{name}"
        );
        if let Some(kind) = kind {
            assert_eq!(of_kind(&host.counts(), kind, "waited"), 1);
        }
    }
}

#[test]
fn keys_that_it_makes_are_good() {
    if !has_openssl() {
        return;
    }
    for options in [
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
        &[
            "-algorithm",
            "RSA-PSS",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-pkeyopt",
            "rsa_pss_keygen_md:sha256",
        ],
        &["-algorithm", "EC", "-pkeyopt", "group:P-384"],
        &[
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-pkeyopt",
            "ec_param_enc:explicit",
        ],
    ] {
        let host = Host::new(Jobs::Stock, "");
        let made = fresh("made.key");
        host.openssl(&[&["genpkey", "-out", text(&made)], options].concat());
        let check = ["pkey", "-in", text(&made), "-noout", "-check", "-text"];
        let (ours, theirs) = (stdout(&host.openssl(&check)), without(&check));
        assert!(theirs.contains("Key is valid"), "{options:?}: {theirs}");
        assert_eq!(ours, theirs, "{options:?}");
    }
}

#[test]
fn a_certificate_fits_its_key_and_verifies() {
    if !has_openssl() {
        return;
    }
    for (name, options) in [
        ("rsa2048", &[][..]),
        ("rsa2048", &["-sigopt", "rsa_padding_mode:pss"]),
        ("rsa-pss", &[]),
        ("p256", &[]),
        ("p384", &[]),
    ] {
        let host = Host::new(Jobs::Stock, "");
        let certificate = fresh("certificate.pem");
        let mut args = vec![
            "req",
            "-x509",
            "-new",
            "-subj",
            "/CN=localhost",
            "-key",
            text(key(name)),
        ];
        args.extend(["-out", text(&certificate)]);
        args.extend(options);
        host.openssl(&args);
        let verify = ["verify", "-CAfile", text(&certificate), text(&certificate)];
        for verified in [without(&verify), stdout(&host.openssl(&verify))] {
            assert!(verified.ends_with(": OK\n"), "{name}: {verified}");
        }
    }
}

#[test]
fn cms_is_signed_and_opened() {
    if !has_openssl() {
        return;
    }
    let message = data(5000);
    for name in ["rsa2048", "p256"] {
        let host = Host::new(Jobs::Stock, "");
        let certificate = fresh("certificate.pem");
        host.openssl(&[
            "req",
            "-x509",
            "-new",
            "-subj",
            "/CN=me",
            "-key",
            text(key(name)),
            "-out",
            text(&certificate),
        ]);
        let (signed, out) = (fresh("signed"), fresh("out"));
        let inkey = text(key(name));
        let files = |from: &Path, to: &Path| [text(from), "-out", text(to)].map(str::to_owned);
        let run = |ours: bool, first: &[&str], rest: [String; 3]| {
            let rest = rest.each_ref().map(String::as_str);
            let args = [first, &["-binary", "-in"], &rest].concat();
            if ours {
                host.openssl(&args);
            } else {
                without(&args);
            }
        };
        let sign = [
            "cms",
            "-sign",
            "-nodetach",
            "-signer",
            text(&certificate),
            "-inkey",
            inkey,
        ];
        let verify = [
            "cms",
            "-verify",
            "-CAfile",
            text(&certificate),
            "-purpose",
            "any",
        ];
        let seal = [
            "cms",
            "-encrypt",
            "-aes-128-cbc",
            "-recip",
            text(&certificate),
        ];
        let open = [
            "cms",
            "-decrypt",
            "-recip",
            text(&certificate),
            "-inkey",
            inkey,
        ];
        for ours_first in [true, false] {
            run(ours_first, &sign, files(&message, &signed));
            run(!ours_first, &verify, files(&signed, &out));
            assert_eq!(
                std::fs::read(&out).ok(),
                std::fs::read(&message).ok(),
                "{name}"
            );
            run(ours_first, &seal, files(&message, &signed));
            run(!ours_first, &open, files(&signed, &out));
            assert_eq!(
                std::fs::read(&out).ok(),
                std::fs::read(&message).ok(),
                "{name}"
            );
        }
    }
}

/// Each operation is one of the device's, in a job; and the program counts as many as the device.
#[test]
fn speed_pauses_for_each_operation() {
    if !has_openssl() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (algorithm, kind) in [
            ("rsa2048", "rsa2048-sign"),
            ("ecdsap256", "ecdsa-p256-sign"),
            ("ecdsap384", "ecdsa-p384-sign"),
            ("ecdhp256", "p256-derive"),
        ] {
            for in_flight in ["1", "8", "64"] {
                if in_flight != "8" && (algorithm, jobs) != ("rsa2048", Jobs::Stock) {
                    continue;
                }
                let host = Host::new(jobs, "");
                host.openssl(&[
                    "speed",
                    "-elapsed",
                    "-seconds",
                    "1",
                    "-async_jobs",
                    in_flight,
                    algorithm,
                ]);
                let counts = host.counts();
                let (ops, pauses) = (of_kind(&counts, kind, "in_jobs"), count(&counts, "pauses"));
                assert!(ops > 100, "{counts}");
                // An answer that is there before the pause needs none.
                assert!(pauses > 0, "{counts}");
                assert!(pauses <= ops + count(&counts, "resumed_early"), "{counts}");
                assert_eq!(count(&counts, "failed"), 0, "{counts}");
            }
        }
    }
}

/// What the device fails is done in software where it is asked for, and is an error where it is not.
#[test]
fn a_failed_signature_is_an_error_or_falls_back() {
    if !has_openssl() {
        return;
    }
    let digest = data(32);
    for fallback in [false, true] {
        let settings = format!(
            "faults = error = 1.0\nfallback = {}",
            if fallback { "yes" } else { "no" }
        );
        let host = Host::new(Jobs::Stock, &settings);
        let signature = fresh("signature");
        let mut command = host.command("openssl");
        command.args([
            "pkeyutl",
            "-sign",
            "-inkey",
            text(key("p256")),
            "-in",
            text(&digest),
        ]);
        let output = command
            .arg("-out")
            .arg(&signature)
            .output()
            .expect("it can be run");
        assert_eq!(output.status.success(), fallback, "{}", stderr(&output));
        assert_eq!(count(&host.counts(), "fell_back"), u64::from(fallback));
        if !fallback {
            let text = stderr(&output);
            assert!(text.contains("the device answered with status"), "{text}");
        }
    }
}
