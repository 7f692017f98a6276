//! Digests under OpenSSL's own program.

mod common;

use common::{Host, Jobs, data, has_openssl, of_kind, plain, stdout, succeed};

const DIGESTS: [(&str, &str); 3] = [
    ("sha256", "sha256"),
    ("sha384", "sha512"),
    ("sha512", "sha512"),
];

#[test]
fn dgst_says_what_it_says_without_the_provider() {
    if !has_openssl() {
        return;
    }
    for (digest, kind) in DIGESTS {
        for len in [0, 1, 2047, 2048, 100_000] {
            let file = data(len);
            let args = [
                "dgst",
                "-r",
                &format!("-{digest}"),
                &file.display().to_string(),
            ];
            let host = Host::new(Jobs::Stock, "");
            let ours = stdout(&host.openssl(&args));
            assert_eq!(ours, stdout(&succeed(plain("openssl").args(args))));
            let offloaded: u64 = host
                .all_counts()
                .iter()
                .map(|c| of_kind(c, kind, "waited"))
                .sum();
            assert_eq!(offloaded > 0, len >= 2048, "{digest} of {len} bytes");
        }
    }
}

/// One pause or more for each operation, and no operation but in a job.
#[test]
fn speed_pauses_for_each_digest() {
    if !has_openssl() {
        return;
    }
    for in_flight in ["1", "8", "64"] {
        common::speed_pauses("sha256", &["-evp", "sha256"], in_flight);
    }
}
