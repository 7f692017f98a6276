//! Digests under OpenSSL's own program.

mod common;

use common::{Host, Jobs, count, data, has_openssl, of_kind, plain, stdout, succeed};

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
    for jobs in Jobs::BOTH {
        for in_flight in ["1", "8", "64"] {
            let host = Host::new(jobs, "");
            host.openssl(&[
                "speed",
                "-elapsed",
                "-seconds",
                "1",
                "-bytes",
                "4096",
                "-async_jobs",
                in_flight,
                "-evp",
                "sha256",
            ]);
            let counts = host.counts();
            let (ops, pauses) = (
                of_kind(&counts, "sha256", "in_jobs"),
                count(&counts, "pauses"),
            );
            assert!(ops > 100, "{counts}");
            assert_eq!(ops, count(&counts, "submitted"), "{counts}");
            // An answer that is there before the pause needs none.
            assert!(
                pauses > 0 && pauses <= ops + count(&counts, "resumed_early"),
                "{counts}"
            );
        }
    }
}
