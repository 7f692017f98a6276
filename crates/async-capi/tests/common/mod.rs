//! C programs as tests: built with the system's compiler, linked with this library in the ways that programs
//! link it, and run.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)] // each test uses its part

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// How a program gets its `ASYNC_*` functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From `libasync_capi.so`, with no OpenSSL in the process.
    Alone,
    /// From `libasync_capi.a`, with no OpenSSL in the process.
    Static,
    /// From `libasync_capi.so`, which stands before `-lcrypto`.
    BeforeLibcrypto,
    /// Built against libcrypto only: `LD_PRELOAD` puts this library in.
    Preloaded,
    /// From libcrypto itself, to compare with.
    Libcrypto,
}

/// A program that has been built.
pub struct Program {
    pub path: PathBuf,
    pub link: Link,
}

/// Whether a program is on this machine; says that the test skips, if not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Whether programs can be linked with libcrypto 3; says that the test skips, if not.
pub fn has_libcrypto() -> bool {
    let found = libcrypto().is_some();
    if !found {
        println!("skipped: libcrypto.so.3 is not installed");
    }
    found
}

/// The linker takes the library by its path, so that no development package is needed.
fn libcrypto() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/lib",
    ];
    places
        .iter()
        .map(|place| Path::new(place).join("libcrypto.so.3"))
        .find(|path| path.exists())
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo has put `libasync_capi.so` and `.a` for this test.
pub fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.parent().expect("it is in a directory").to_path_buf()
}

/// A directory of this test program's own, with the shared library under the name that programs look for.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        let name = test.file_name().expect("it has a name");
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(&scratch).expect("the target directory can be written");
        for name in ["libasync_capi.so", "libasync_capi.so.0"] {
            symlink(shared_library(), scratch.join(name)).expect("a link can be made");
        }
        scratch
    })
}

/// `libasync_capi.so`.
pub fn shared_library() -> PathBuf {
    built().join("libasync_capi.so")
}

/// What the static library needs of the system.
const SYSTEM_LIBRARIES: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lgcc_s"];

/// Builds `tests/c/NAME.c`, or `NAME.cc` with the C++ compiler. `flags` are added.
pub fn build(name: &str, link: Link, flags: &[&str]) -> Program {
    build_in("tests/c", name, link, flags)
}

/// The same for a program in another directory of this crate.
pub fn build_in(directory: &str, name: &str, link: Link, flags: &[&str]) -> Program {
    let c = root().join(directory).join(format!("{name}.c"));
    let (compiler, standard, source) = match c.exists() {
        true => ("cc", "-std=gnu11", c),
        false => ("c++", "-std=gnu++17", c.with_extension("cc")),
    };
    let flavour = flags
        .concat()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let path = scratch().join(format!("{name}-{link:?}-{flavour}"));
    let mut cc = Command::new(compiler);
    cc.args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-I")
        .arg(root().join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&path);
    let shared = || {
        let here = scratch().display();
        [
            format!("-L{here}"),
            "-lasync_capi".into(),
            format!("-Wl,-rpath,{here}"),
        ]
    };
    match link {
        Link::Alone => cc.args(shared()),
        Link::Static => cc
            .arg(built().join("libasync_capi.a"))
            .args(SYSTEM_LIBRARIES),
        Link::BeforeLibcrypto => cc.args(shared()).args(libcrypto()),
        Link::Preloaded | Link::Libcrypto => cc.args(libcrypto()),
    };
    let built = cc
        .arg("-lpthread")
        .output()
        .expect("the compiler can be run");
    assert!(
        built.status.success(),
        "{name} does not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Program { path, link }
}

impl Program {
    /// A command that runs it, and ends it if it hangs.
    pub fn command(&self) -> Command {
        self.command_under(&[])
    }

    /// The same, under another program such as valgrind.
    pub fn command_under(&self, wrapper: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg("120").args(wrapper).arg(&self.path);
        for (name, _) in std::env::vars() {
            if name.starts_with("ASYNC_CAPI_") {
                command.env_remove(name);
            }
        }
        if self.link == Link::Preloaded {
            command.env("LD_PRELOAD", shared_library());
        }
        command
    }

    /// Runs it with these arguments, and expects that it ends with status 0.
    pub fn run(&self, args: &[&str]) -> Output {
        succeed(self.command().args(args))
    }
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
