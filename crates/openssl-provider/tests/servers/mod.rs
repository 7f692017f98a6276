//! Real servers, and clients for them.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)] // each test uses its part

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common::{
    Host, Jobs, async_capi, c, fresh, has, has_openssl, plain, root, stdout, succeed,
};

/// Only what hangs takes longer.
const HANGS: Duration = Duration::from_secs(120);

/// What HAProxy answers in `examples/hosts/haproxy.cfg`.
pub const ANSWER: &str = "hello from behind the device";

/// A certificate for localhost, signed by itself, and its key.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both.
    pub pem: PathBuf,
}

impl Certificate {
    /// With such a key, as `openssl genpkey` is told: `RSA`, `P-256`, `P-384`.
    pub fn new(kind: &str) -> Certificate {
        let (certificate, key, pem) = (fresh("cert.pem"), fresh("key.pem"), fresh("both.pem"));
        let key_args: &[&str] = match kind {
            "RSA" => &["-newkey", "rsa:2048"],
            curve => &[
                "-newkey",
                "ec",
                "-pkeyopt",
                &format!("ec_paramgen_curve:{curve}"),
            ],
        };
        let (cert_path, key_path) = (certificate.display().to_string(), key.display().to_string());
        succeed(
            plain("openssl")
                .args([
                    "req",
                    "-x509",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=localhost",
                ])
                .args(key_args)
                .args(["-keyout", &key_path, "-out", &cert_path]),
        );
        let both: String = [&certificate, &key]
            .map(|file| std::fs::read_to_string(file).expect("openssl has written it"))
            .concat();
        std::fs::write(&pem, both).expect("the target directory can be written");
        Certificate {
            certificate,
            key,
            pem,
        }
    }
}

/// Whether HAProxy, openssl and what builds the clients are there; says that the test skips, if not.
pub fn has_haproxy_and_clients() -> bool {
    has_openssl() && has("haproxy") && c::can_build()
}

/// How HAProxy is to be.
#[derive(Clone, Copy)]
pub struct Wish {
    /// With `ssl-mode-async`.
    pub pausing: bool,
    pub threads: u32,
}

impl Wish {
    pub const PAUSING: Wish = Wish {
        pausing: true,
        threads: 1,
    };
}

/// A HAProxy of `examples/hosts/haproxy.cfg` that answers.
pub struct Haproxy {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl Haproxy {
    #[track_caller]
    pub fn start(host: &Host, certificate: &Certificate, wish: Wish) -> Haproxy {
        let example = root().join("../../examples/hosts/haproxy.cfg");
        let mut text = std::fs::read_to_string(example).expect("it is there");
        assert!(text.contains("    ssl-mode-async\n") && text.contains("    nbthread 1\n"));
        if !wish.pausing {
            text = text.replace("    ssl-mode-async\n", "");
        }
        text = text.replace("nbthread 1", &format!("nbthread {}", wish.threads));
        let (config, log) = (fresh("haproxy.cfg"), fresh("haproxy.log"));
        std::fs::write(&config, text).expect("the target directory can be written");
        // Between the question for a free port and HAProxy's bind somebody else may take it.
        for _ in 0..10 {
            let port = free_port();
            let to_log = || File::create(&log).expect("the target directory can be written");
            let mut command = plain(program());
            command
                .arg("-f")
                .arg(&config)
                .arg("-db")
                .env("OPENSSL_CONF", &host.conf)
                .env("SIM_BIND", format!("127.0.0.1:{port}"))
                .env("SIM_PEM", &certificate.pem)
                .stdout(to_log())
                .stderr(to_log());
            if host.jobs == Jobs::Ours {
                command.env("LD_PRELOAD", async_capi());
            }
            let child = command.spawn().expect("it can be run");
            let mut haproxy = Haproxy {
                child,
                port,
                log: log.clone(),
            };
            if haproxy.answers() {
                return haproxy;
            }
            let said = haproxy.said();
            assert!(said.contains("cannot bind"), "{said}");
        }
        panic!("no port is free");
    }

    /// Waits until somebody who connects is dealt with: it listens before it has all of its descriptors. Not if it has
    /// ended.
    fn answers(&mut self) -> bool {
        let start = Instant::now();
        let deals = |port| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(HANGS))?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new())
        };
        while deals(self.port).is_err() {
            if self.child.try_wait().expect("it is our child").is_some() {
                return false;
            }
            assert!(start.elapsed() < HANGS, "{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub fn is_up(&mut self) {
        let ended = self.child.try_wait().expect("it is our child");
        assert!(ended.is_none(), "{ended:?}\n{}", self.said());
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(file)
    }

    /// How many descriptors it has.
    pub fn fds(&self) -> usize {
        std::fs::read_dir(self.proc("fd"))
            .expect("it is there")
            .count()
    }

    /// Waits until it has no more descriptors than these: the connections of clients that are gone are closed in time.
    #[track_caller]
    pub fn comes_down_to(&self, fds: usize) {
        let start = Instant::now();
        while self.fds() > fds {
            assert!(
                start.elapsed() < HANGS,
                "{} fds, and {fds} before",
                self.fds()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The memory that it uses, in KiB: not the files that are mapped.
    pub fn memory_kib(&self) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).expect("it is there");
        (status.lines())
            .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse().ok())
            .expect("the kernel says so")
    }

    /// A soft stop, after which the counts are told.
    #[track_caller]
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        succeed(Command::new("sh").args(["-c", "kill -USR1 \"$0\"", &pid]));
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                assert!(status.success(), "{status}\n{}", self.said());
                return;
            }
            assert!(start.elapsed() < HANGS, "{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> &'static str {
    match Command::new("haproxy").arg("-v").output() {
        Ok(_) => "haproxy",
        Err(_) => "/usr/sbin/haproxy",
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("there is a free port")
        .port()
}

/// What `tests/c/clients.c` has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    pub good: u64,
    pub bad: u64,
}

impl Handshakes {
    pub fn all(self) -> u64 {
        self.good + self.bad
    }
}

/// What clients do, as `tests/c/clients.c` has it.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    pub versions: &'a str,
    pub mode: &'a str,
    pub at_once: u32,
    pub seconds: f64,
}

impl Clients<'_> {
    /// Runs them, without the provider, until they are done.
    #[track_caller]
    pub fn run(self, port: u16, certificate: &Certificate) -> Handshakes {
        let output = succeed(
            plain(c::build_tls("clients"))
                .arg(port.to_string())
                .arg(&certificate.certificate)
                .args([self.versions, self.mode])
                .args([self.at_once.to_string(), self.seconds.to_string()])
                .arg(ANSWER),
        );
        let line = stdout(&output);
        let number = |name: &str| {
            (line.split_whitespace())
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{name} in {line}"))
        };
        Handshakes {
            good: number("good"),
            bad: number("bad"),
        }
    }
}
