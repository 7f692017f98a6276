//! C programs as tests: built with the system's compiler against OpenSSL's headers, linked with its libraries.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use super::{Host, has, root, scratch, stderr, stdout};

pub const LIBCRYPTO: &str = "libcrypto.so.3";
pub const LIBSSL: &str = "libssl.so.3";

/// The linker takes a library by its path: the one that programs run with.
pub fn library(name: &str) -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/lib",
    ];
    places
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists())
}

/// Whether C programs that use OpenSSL 3 can be built; says that the test skips, if not.
pub fn can_build() -> bool {
    if !has("cc") {
        return false;
    }
    for name in [LIBCRYPTO, LIBSSL] {
        if library(name).is_none() {
            println!("skipped: {name} is not installed");
            return false;
        }
    }
    let probe = scratch().join(format!("probe-{:?}.c", std::thread::current().id()));
    let text = "#include <openssl/async.h>\n#include <openssl/core_dispatch.h>\n";
    std::fs::write(&probe, text).expect("the target directory can be written");
    let found = Command::new("cc")
        .args(["-fsyntax-only", "-x", "c"])
        .arg(&probe)
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: OpenSSL's headers (openssl/async.h) are not installed");
    }
    found
}

/// `tests/c/NAME.c` with libcrypto alone, built once for each test program.
#[track_caller]
pub fn build(name: &str) -> PathBuf {
    build_with(name, &[LIBCRYPTO])
}

/// The same with libssl.
#[track_caller]
pub fn build_tls(name: &str) -> PathBuf {
    build_with(name, &[LIBSSL, LIBCRYPTO])
}

#[track_caller]
fn build_with(name: &str, libraries: &[&str]) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = scratch().join(name);
    if path.exists() {
        return path;
    }
    let built = Command::new("cc")
        .args([
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-g",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-deprecated-declarations",
        ])
        .arg(root().join("tests/c").join(format!("{name}.c")))
        .arg("-o")
        .arg(&path)
        .args(libraries.iter().filter_map(|name| library(name)))
        .args(["-lpthread", "-ldl"])
        .output()
        .expect("the compiler can be run");
    assert!(
        built.status.success(),
        "{name} does not build:\n{}",
        stderr(&built)
    );
    path
}

/// Runs it in these surroundings; it says that it is done and ends with status 0.
#[track_caller]
pub fn run(host: &Host, name: &str, args: &[&str]) -> Output {
    done(host.command(build(name)).args(args))
}

/// What valgrind ends a program with when it has found something.
pub const FOUND: i32 = 9;

/// The same under valgrind, which finds nothing. Memory that jobs take with them that are never resumed is not
/// counted: libcrypto's own are lost as well.
#[track_caller]
pub fn run_under_valgrind(host: &Host, name: &str, args: &[&str]) -> Output {
    done(
        host.command("valgrind")
            .args(["-q", "--error-exitcode=9", "--leak-check=no"])
            .args(["--fair-sched=yes", "--max-stackframe=16777216"])
            .arg(build(name))
            .args(args),
    )
}

#[track_caller]
pub fn done(command: &mut Command) -> Output {
    let output = super::succeed(command);
    let said = stdout(&output);
    assert!(
        said.ends_with("done\n"),
        "{command:?}\n{said}{}",
        stderr(&output)
    );
    output
}
