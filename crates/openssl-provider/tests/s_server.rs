//! `openssl s_server -async` on the simulated device, and `openssl s_client`.

mod common;
mod servers;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use common::{Host, Jobs, count, has_openssl, of_kind, plain, stderr, stdout};
use servers::Certificate;

/// A tenth of a second for each operation: no answer is there before the pause.
const DEVICE: &str = "device = hsm-cloud\ndevice_with = link = { fixed_ns = 50_000_000 }";

/// Kinds of keys, and what they sign with.
const KEYS: [(&str, &str); 3] = [
    ("RSA", "rsa2048-sign"),
    ("P-256", "ecdsa-p256-sign"),
    ("P-384", "ecdsa-p384-sign"),
];

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// A server that ends after so many connections.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(host: &Host, certificate: &Certificate, connections: usize, args: &[&str]) -> Server {
        let mut child = host
            .command("openssl")
            .args(["s_server", "-async", "-accept", "127.0.0.1:0", "-naccept"])
            .arg(connections.to_string())
            .arg("-cert")
            .arg(&certificate.certificate)
            .arg("-key")
            .arg(&certificate.key)
            .args(args)
            // At the end of its input it would end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = said.read_line(&mut line).expect("it prints text");
            assert!(read > 0, "it has ended");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().to_owned();
            }
        };
        // Or it would stop when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Server { child, address }
    }

    /// Waits for its end.
    #[track_caller]
    fn ends(mut self) {
        // Its input is still open, and is closed after it.
        let input = self.child.stdin.take();
        let status = self.child.wait().expect("it is our child");
        drop(input);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A full handshake, without the provider; whether it succeeds.
#[track_caller]
fn handshake(server: &Server, version: &str, trusted: &Certificate, args: &[&str]) -> bool {
    let output = plain("timeout")
        .args([
            "-k",
            "5",
            "120",
            "openssl",
            "s_client",
            "-connect",
            &server.address,
            version,
        ])
        .args(["-brief", "-verify_return_error", "-CAfile"])
        .arg(&trusted.certificate)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("it can be run");
    assert_ne!(output.status.code(), Some(124), "it hangs");
    let said = format!("{}{}", stdout(&output), stderr(&output));
    output.status.success() && said.contains("CONNECTION ESTABLISHED")
}

#[test]
fn each_handshake_pauses() {
    if !has_openssl() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (key, sign) in KEYS {
            let certificate = Certificate::new(key);
            let host = Host::new(jobs, DEVICE);
            let server = Server::start(&host, &certificate, VERSIONS.len(), &[]);
            for version in VERSIONS {
                let done = handshake(&server, version, &certificate, &[]);
                assert!(done, "{jobs:?} {key} {version}");
            }
            server.ends();
            let (counts, made) = (host.counts(), VERSIONS.len() as u64);
            assert_eq!(of_kind(&counts, sign, "in_jobs"), made, "{counts}");
            assert!(count(&counts, "pauses") >= made, "{counts}");
        }
    }
}

/// The server verifies the client's signature, which is done in software; one without a certificate is refused.
#[test]
fn clients_with_certificates() {
    if !has_openssl() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (key, sign) in KEYS {
            let certificate = Certificate::new("RSA");
            let client = Certificate::new(key);
            let host = Host::new(jobs, DEVICE);
            let trusted = client.certificate.display().to_string();
            let server = Server::start(
                &host,
                &certificate,
                VERSIONS.len() + 1,
                &["-Verify", "1", "-verify_return_error", "-CAfile", &trusted],
            );
            let key_file = client.key.display().to_string();
            for version in VERSIONS {
                let done = handshake(
                    &server,
                    version,
                    &certificate,
                    &["-cert", &trusted, "-key", &key_file],
                );
                assert!(done, "{jobs:?} {key} {version}");
            }
            assert!(!handshake(&server, "-tls1_2", &certificate, &[]));
            server.ends();
            let counts = host.counts();
            // The refused one was signed for too, in TLS 1.2.
            let made = VERSIONS.len() as u64 + 1;
            assert_eq!(
                of_kind(&counts, "rsa2048-sign", "in_jobs"),
                made,
                "{counts}"
            );
            assert!(count(&counts, "pauses") >= made, "{counts}");
            if sign != "rsa2048-sign" {
                assert_eq!(of_kind(&counts, sign, "in_jobs"), 0, "{counts}");
            }
        }
    }
}

/// The client's own key on the device: `s_client -async`.
#[test]
fn a_client_pauses_too() {
    if !has_openssl() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (key, sign) in KEYS {
            let (certificate, client) = (Certificate::new("RSA"), Certificate::new(key));
            let trusted = client.certificate.display().to_string();
            // The server is a plain one: settings that put nothing on the device.
            let nothing = Host::new(Jobs::Stock, "offload = none");
            let server = Server::start(
                &nothing,
                &certificate,
                VERSIONS.len(),
                &["-Verify", "1", "-verify_return_error", "-CAfile", &trusted],
            );
            for version in VERSIONS {
                let host = Host::new(jobs, DEVICE);
                let output = host
                    .command("openssl")
                    .args(["s_client", "-async", "-brief", "-verify_return_error"])
                    .args([
                        "-connect",
                        &server.address,
                        version,
                        "-cert",
                        &trusted,
                        "-key",
                    ])
                    .arg(&client.key)
                    .arg("-CAfile")
                    .arg(&certificate.certificate)
                    .stdin(Stdio::null())
                    .output()
                    .expect("it can be run");
                assert!(output.status.success(), "{key}: {}", stderr(&output));
                let counts = host.counts();
                assert_eq!(of_kind(&counts, sign, "in_jobs"), 1, "{counts}");
                assert!(count(&counts, "pauses") >= 1, "{counts}");
            }
            server.ends();
        }
    }
}
