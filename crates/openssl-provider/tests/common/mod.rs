//! Real OpenSSL programs with the provider that this build has made.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)] // each test uses its part

pub mod c;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Whose `ASYNC_*` functions a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// libcrypto's own.
    Stock,
    /// async-capi's, preloaded.
    Ours,
}

impl Jobs {
    pub const BOTH: [Jobs; 2] = [Jobs::Stock, Jobs::Ours];
}

/// Whether a program is on this machine; says that the test skips, if not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok()
        || Path::new("/usr/sbin").join(program).exists();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Whether OpenSSL 3's program is there; says that the test skips, if not.
pub fn has_openssl() -> bool {
    let Ok(output) = Command::new("openssl").arg("version").output() else {
        println!("skipped: openssl is not installed");
        return false;
    };
    let version = stdout(&output);
    let is_3 = version.starts_with("OpenSSL 3.");
    if !is_3 {
        println!("skipped: {} is not OpenSSL 3", version.trim());
    }
    is_3
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo has put the shared libraries for this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let path = test.parent().expect("it is in a directory").join(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// The provider.
pub fn provider() -> PathBuf {
    built("libsimaccel.so")
}

/// async-capi, to be preloaded.
pub fn async_capi() -> PathBuf {
    built("libasync_capi.so")
}

/// A directory of this test program's own, empty at its start.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        let name = test.file_name().expect("it has a name");
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(&scratch).expect("the target directory can be written");
        scratch
    })
}

/// A path in [`scratch`] that nobody else uses.
pub fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    scratch().join(format!("{}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A program's surroundings: a configuration of OpenSSL's with the provider in it, and a file for its counts.
pub struct Host {
    pub conf: PathBuf,
    pub counts: PathBuf,
    pub jobs: Jobs,
}

impl Host {
    /// With these settings of the provider (`device = ...`), each a line, beside where its counts go.
    pub fn new(jobs: Jobs, settings: &str) -> Host {
        let (conf, counts) = (fresh("openssl.cnf"), fresh("counts.json"));
        let text = format!(
            "openssl_conf = openssl_init\n\
             [openssl_init]\nproviders = providers\nalg_section = algorithms\n\
             [providers]\ndefault = default_provider\nsimaccel = simaccel_provider\n\
             [default_provider]\nactivate = 1\n\
             [simaccel_provider]\nmodule = {}\nactivate = 1\nstats = {}\n{settings}\n\
             [algorithms]\ndefault_properties = ?provider=simaccel\n\
             [req]\ndistinguished_name = name\n[name]\n",
            provider().display(),
            counts.display(),
        );
        std::fs::write(&conf, text).expect("the target directory can be written");
        Host { conf, counts, jobs }
    }

    /// A command in these surroundings, ended if it hangs.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = plain("timeout");
        command
            .args(["-k", "5", "120"])
            .arg(program)
            .env("OPENSSL_CONF", &self.conf);
        if self.jobs == Jobs::Ours {
            command.env("LD_PRELOAD", async_capi());
            command.env("ASYNC_CAPI_STATS", "1");
        }
        command
    }

    /// `openssl` with these arguments, which succeeds.
    #[track_caller]
    pub fn openssl(&self, args: &[&str]) -> Output {
        succeed(
            self.command("openssl")
                .args(args)
                .stdin(std::process::Stdio::null()),
        )
    }

    /// The counts of every process that has used the device and has ended, in the order of their ends.
    pub fn all_counts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.counts).unwrap_or_default();
        (text.lines())
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// The counts of the one process that has used the device. They balance, and nothing is in flight.
    #[track_caller]
    pub fn counts(&self) -> Value {
        let mut all = self.all_counts();
        assert_eq!(all.len(), 1, "{all:?}");
        let counts = all.remove(0);
        balanced(&counts);
        counts
    }
}

/// A number among the counts.
#[track_caller]
pub fn count(counts: &Value, name: &str) -> u64 {
    counts[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {counts}"))
}

/// Operations of one kind, by how they were done: `in_jobs`, `waited`, `failed`, `software`.
pub fn of_kind(counts: &Value, kind: &str, how: &str) -> u64 {
    counts["ops"][kind][how].as_u64().unwrap_or(0)
}

#[track_caller]
pub fn balanced(counts: &Value) {
    let n = |name| count(counts, name);
    assert_eq!(n("in_flight"), 0, "{counts}");
    assert_eq!(
        n("submitted"),
        n("completed") + n("failed") + n("orphaned"),
        "{counts}"
    );
}

/// A command without the settings of whoever runs the tests.
pub fn plain(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("ASYNC_CAPI_")
            || name.starts_with("SIMACCEL_")
            || name == "OPENSSL_CONF"
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// Runs a command, and expects that it ends with status 0.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("it can be run");
    assert!(
        output.status.success(),
        "{command:?}\n{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        stdout(&output),
        stderr(&output)
    );
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of that many bytes that are not all the same.
pub fn data(len: usize) -> PathBuf {
    let path = fresh(&format!("{len}.bin"));
    let bytes: Vec<u8> = (0..len).map(|n| (n * 31 + n / 251) as u8).collect();
    std::fs::write(&path, bytes).expect("the target directory can be written");
    path
}

/// What valgrind is run with: an invalid access ends the program with status 9. Memory that is lost for good does
/// as well, where nothing of the host's own is.
pub fn valgrind(leaks: bool) -> Vec<&'static str> {
    let mut words = vec!["valgrind", "-q", "--error-exitcode=9"];
    if leaks {
        words.extend([
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
        ]);
    }
    words
}

/// `openssl speed` with these options and so many jobs pauses, with libcrypto's jobs and with ours: every operation is
/// of this kind and in a job.
#[track_caller]
pub fn speed_pauses(kind: &str, options: &[&str], in_flight: &str) {
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, "");
        let mut args = vec!["speed", "-elapsed", "-seconds", "1", "-bytes", "4096"];
        args.extend(["-async_jobs", in_flight]);
        args.extend(options);
        host.openssl(&args);
        let counts = host.counts();
        let (ops, pauses) = (of_kind(&counts, kind, "in_jobs"), count(&counts, "pauses"));
        assert!(ops > 100, "{counts}");
        assert_eq!(ops, count(&counts, "submitted"), "{counts}");
        // An answer that is there before the pause needs none.
        assert!(
            pauses > 0 && pauses <= ops + count(&counts, "resumed_early"),
            "{counts}"
        );
    }
}
