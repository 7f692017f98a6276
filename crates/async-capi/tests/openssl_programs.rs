//! OpenSSL's own program, as it is installed, with this library preloaded.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use common::{scratch, stderr, stdout, succeed};

/// Only ends a test that hangs.
const HANG: Duration = Duration::from_secs(60);

/// Whether OpenSSL 3's program is there; says that the test skips, if not.
fn has_openssl() -> bool {
    if !common::has("openssl") {
        return false;
    }
    let version = stdout(&succeed(Command::new("openssl").arg("version")));
    let is_3 = version.starts_with("OpenSSL 3.");
    if !is_3 {
        println!("skipped: {} is not OpenSSL 3", version.trim());
    }
    is_3
}

/// With OpenSSL's own jobs, or with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    Theirs,
    Ours,
}

/// A command that prints our counts at its end if ours are the jobs.
fn openssl(jobs: Jobs) -> Command {
    let mut command = Command::new("openssl");
    for (name, _) in std::env::vars() {
        if name.starts_with("ASYNC_CAPI_") {
            command.env_remove(name);
        }
    }
    command.env("ASYNC_CAPI_STATS", "1");
    if jobs == Jobs::Ours {
        command.env("LD_PRELOAD", common::shared_library());
    }
    command
}

/// What one process has counted.
type Counts = HashMap<String, u64>;

/// The counts in what programs have printed, one for each process.
fn counts(printed: &str) -> Vec<Counts> {
    let lines = printed
        .lines()
        .filter_map(|line| line.strip_prefix("async-capi: "));
    lines
        .map(|line| {
            let words = line.split(' ').map(|word| {
                let (name, number) = word.split_once('=').expect("name=number");
                (name.to_string(), number.parse().expect("a number"))
            });
            words.collect()
        })
        .collect()
}

/// The counts of a program with one process that has used jobs.
#[track_caller]
fn the_counts(printed: &str) -> Counts {
    let mut all = counts(printed);
    assert_eq!(all.len(), 1, "{printed}");
    all.remove(0)
}

#[track_caller]
fn all_finished(counts: &Counts) {
    assert!(counts["starts"] > 0, "{counts:?}");
    assert_eq!(counts["starts"], counts["finishes"], "{counts:?}");
    assert_eq!(counts["pauses"], counts["resumes"], "{counts:?}");
    assert_eq!(counts["abandoned"], 0, "{counts:?}");
    assert_eq!(counts["leaked"], 0, "{counts:?}");
}

/// `openssl speed` for one second, with these options. What it printed.
fn speed(jobs: Jobs, options: &[&str]) -> (String, String) {
    let mut command = openssl(jobs);
    command
        .args(["speed", "-elapsed", "-evp", "aes-128-cbc"])
        .args(["-seconds", "1", "-bytes", "1024"])
        .args(options)
        // Without an engine there is no fd to wait for, and it would wait for this one.
        .stdin(Stdio::null());
    let output = succeed(&mut command);
    (stdout(&output), stderr(&output))
}

/// The last line of what it prints: kilobytes a second.
#[track_caller]
fn has_a_result(printed: &str) {
    let line = printed
        .lines()
        .find(|line| line.starts_with("AES-128-CBC"))
        .expect("a line with the result");
    let result = line.split_whitespace().nth(1).expect("a number");
    let result: f64 = result.trim_end_matches('k').parse().expect("a number");
    assert!(result > 0.0, "{line}");
}

#[test]
fn speed_runs_its_jobs() {
    if !has_openssl() {
        return;
    }
    let (out, err) = speed(Jobs::Ours, &["-async_jobs", "8"]);
    has_a_result(&out);
    let counts = the_counts(&err);
    all_finished(&counts);
    assert_eq!(counts["starts"], 8);
}

/// Each of its processes has its own pool.
#[test]
fn speed_runs_its_jobs_in_two_processes() {
    if !has_openssl() {
        return;
    }
    let (out, err) = speed(Jobs::Ours, &["-multi", "2", "-async_jobs", "4"]);
    has_a_result(&out);
    let mut starts: Vec<u64> = counts(&err).iter().map(|counts| counts["starts"]).collect();
    starts.sort();
    assert_eq!(starts, [0, 4, 4], "the parent starts none: {err}");
    for counts in counts(&err).iter().filter(|counts| counts["starts"] > 0) {
        all_finished(counts);
    }
}

#[test]
fn speed_does_the_same_on_its_own() {
    if !has_openssl() {
        return;
    }
    for options in [
        &["-async_jobs", "8"][..],
        &["-multi", "2", "-async_jobs", "4"],
    ] {
        let (out, err) = speed(Jobs::Theirs, options);
        has_a_result(&out);
        assert!(counts(&err).is_empty(), "{err}");
    }
}

/// A key and a certificate of its own for localhost.
fn certificate() -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    MADE.get_or_init(|| {
        let (key, certificate) = (scratch().join("key.pem"), scratch().join("cert.pem"));
        succeed(
            Command::new("openssl")
                .args([
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                ])
                .args(["-subj", "/CN=localhost", "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
        );
        (key, certificate)
    })
}

/// A program that runs beside the test. Killed and reaped whatever happens.
struct Peer {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: String,
    errors: Option<JoinHandle<String>>,
}

impl Peer {
    fn spawn(name: &'static str, command: &mut Command) -> Peer {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let out = child.stdout.take().expect("a pipe");
        let mut err = child.stderr.take().expect("a pipe");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let _ = send.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Peer {
            name,
            stdin: child.stdin.take(),
            child,
            lines,
            seen: String::new(),
            errors: Some(errors),
        }
    }

    /// The next line, or `None` at the end.
    #[track_caller]
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(HANG) {
            Ok(line) => {
                self.seen += &line;
                self.seen.push('\n');
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the {} hangs; it has printed\n{}", self.name, self.seen)
            }
        }
    }

    /// Waits for a line that begins so.
    #[track_caller]
    fn wait_for(&mut self, beginning: &str) -> String {
        while let Some(line) = self.line() {
            if line.starts_with(beginning) {
                return line;
            }
        }
        let _ = self.child.kill();
        let errors = self.errors.take().map(JoinHandle::join);
        panic!(
            "the {} has ended before {beginning:?}:\n{}\n--- stderr\n{errors:?}",
            self.name, self.seen
        );
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{line}").expect("it reads its input");
    }

    /// Lets it come to its end. What it printed on stderr.
    #[track_caller]
    fn end(&mut self) -> String {
        self.stdin = None;
        while self.line().is_some() {}
        let status = self.child.wait().expect("it can be waited for");
        let errors = self.errors.take().expect("ended once").join();
        let errors = errors.expect("reading does not panic");
        assert!(status.success(), "{}: {status}\n{errors}", self.name);
        errors
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection with a word each way.
fn connection(jobs: Jobs, version: &str, protocol: &str) {
    if !has_openssl() {
        return;
    }
    let (key, certificate) = certificate();
    let mut server = Peer::spawn(
        "server",
        openssl(jobs)
            .args(["s_server", "-async", version, "-naccept", "1"])
            .args(["-accept", "127.0.0.1:0", "-key"])
            .arg(key)
            .arg("-cert")
            .arg(certificate),
    );
    // It says which port it was given.
    let accept = server.wait_for("ACCEPT ");
    let address = accept.trim_start_matches("ACCEPT ").to_string();
    let mut client = Peer::spawn(
        "client",
        openssl(jobs)
            .args(["s_client", "-async", version, "-connect", &address])
            .args(["-verify_return_error", "-CAfile"])
            .arg(certificate),
    );
    client.say("how do you do");
    server.wait_for("how do you do");
    server.say("fine, thank you");
    client.wait_for("fine, thank you");
    let clients = client.end();
    let servers = server.end();
    assert!(client.seen.contains(protocol), "{}", client.seen);
    assert!(
        client.seen.contains("Verify return code: 0 (ok)"),
        "{}",
        client.seen
    );
    match jobs {
        Jobs::Ours => {
            all_finished(&the_counts(&clients));
            all_finished(&the_counts(&servers));
        }
        Jobs::Theirs => assert!(counts(&(clients + &servers)).is_empty()),
    }
}

#[test]
fn a_tls_1_2_connection_runs_in_jobs() {
    connection(Jobs::Ours, "-tls1_2", "New, TLSv1.2, ");
}

#[test]
fn a_tls_1_3_connection_runs_in_jobs() {
    connection(Jobs::Ours, "-tls1_3", "New, TLSv1.3, ");
}

#[test]
fn a_connection_does_the_same_on_its_own() {
    connection(Jobs::Theirs, "-tls1_2", "New, TLSv1.2, ");
    connection(Jobs::Theirs, "-tls1_3", "New, TLSv1.3, ");
}

/// The loader's own account: no `ASYNC_*` reference of any library in the process goes to libcrypto. Some to us and
/// some to it would be worse than none, since each would take the other's handles for its own.
#[test]
fn every_reference_is_bound_to_this_library() {
    if !has_openssl() {
        return;
    }
    let output = succeed(
        openssl(Jobs::Ours)
            .arg("version")
            .env("LD_DEBUG", "bindings")
            .env("LD_BIND_NOW", "1"),
    );
    let printed = stderr(&output);
    let mut bound = HashMap::<String, Vec<String>>::new();
    for line in printed
        .lines()
        .filter(|line| line.contains("symbol `ASYNC_"))
    {
        // "binding file FROM [0] to TO [0]: normal symbol `NAME' [VERSION]"
        let (_, line) = line.split_once("binding file ").expect("the loader's form");
        let (from, line) = line.split_once(" [0] to ").expect("the loader's form");
        let (to, line) = line.split_once(" [0]: ").expect("the loader's form");
        let name = line.split(['`', '\'']).nth(1).expect("the loader's form");
        assert_eq!(Path::new(to), common::shared_library(), "{name} of {from}");
        let from = Path::new(from).file_name().expect("a file");
        let from = from.to_string_lossy().into_owned();
        bound.entry(from).or_default().push(name.to_string());
    }
    for from in ["openssl", "libssl.so.3"] {
        let names = bound.get(from).map(Vec::as_slice).unwrap_or_default();
        for name in [
            "ASYNC_start_job",
            "ASYNC_WAIT_CTX_new",
            "ASYNC_WAIT_CTX_free",
        ] {
            assert!(names.iter().any(|bound| bound == name), "{from}: {names:?}");
        }
    }
}
