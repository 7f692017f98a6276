//! The `install` script: a C program finds what it has installed.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{scratch, stderr, stdout, succeed};

fn script() -> Command {
    let mut command = Command::new(common::root().join("install"));
    command.env_remove("PREFIX").env_remove("DESTDIR");
    command
}

/// A directory under which the libraries of this build are installed.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = scratch().join("prefix");
        let listed = succeed(
            script()
                .arg(format!("--prefix={}", prefix.display()))
                .arg(format!("--from={}", common::built().display())),
        );
        // What it says it has written is there.
        for line in stdout(&listed).lines() {
            assert!(Path::new(line).exists(), "{line}");
        }
        prefix
    })
}

/// The manual page's example, which must print its lines.
fn source() -> PathBuf {
    common::root().join("tests/c/manual.c")
}

/// OpenSSL's own `openssl/async.h` may be on the machine and would do; this header nobody else has.
const OURS: [&str; 2] = ["-include", "async_capi.h"];

/// Runs a program that has been built; what it prints.
#[track_caller]
fn run(program: &Path) -> String {
    let output = succeed(
        Command::new("timeout")
            .arg("120")
            .arg(program)
            .env("LD_LIBRARY_PATH", prefix().join("lib")),
    );
    stdout(&output)
}

#[track_caller]
fn prints_its_lines(program: &Path) {
    let lines = run(program);
    assert!(
        lines.starts_with("Starting...\n") && lines.ends_with("value 1\nFinishing\n"),
        "{lines}"
    );
}

/// What pkg-config says to these arguments, as words for a compiler.
fn pkg_config(args: &[&str]) -> Vec<String> {
    let output = succeed(
        Command::new("pkg-config")
            .args(args)
            .arg("async_capi")
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")),
    );
    stdout(&output)
        .split_whitespace()
        .map(String::from)
        .collect()
}

/// Whether the program needs the shared library when it starts.
fn needs_the_shared_library(program: &Path) -> bool {
    let bytes = std::fs::read(program).expect("it was built");
    let name = b"libasync_capi.so.0";
    bytes.windows(name.len()).any(|window| window == name)
}

#[test]
fn a_program_finds_it_by_pkg_config() {
    if !common::has("pkg-config") {
        return;
    }
    let program = scratch().join("by-pkg-config");
    let mut cc = Command::new("cc");
    cc.args(OURS)
        .arg(source())
        .args(pkg_config(&["--cflags", "--libs"]))
        .arg("-o")
        .arg(&program);
    succeed(&mut cc);
    assert!(needs_the_shared_library(&program));
    prints_its_lines(&program);
}

#[test]
fn a_static_program_finds_it_by_pkg_config() {
    if !common::has("pkg-config") || !has_static_libc() {
        return;
    }
    let program = scratch().join("static-by-pkg-config");
    let mut cc = Command::new("cc");
    cc.arg("-static")
        .args(OURS)
        .arg(source())
        .args(pkg_config(&["--static", "--cflags", "--libs"]))
        .arg("-o")
        .arg(&program);
    succeed(&mut cc);
    prints_its_lines(&program);
}

/// Not every system installs the C library's archive.
fn has_static_libc() -> bool {
    let empty = scratch().join("empty.c");
    std::fs::write(&empty, "int main(void) { return 0; }\n").expect("it can be written");
    let linked = Command::new("cc")
        .arg("-static")
        .arg(&empty)
        .arg("-o")
        .arg(scratch().join("empty"))
        .output()
        .expect("cc can be run");
    if !linked.status.success() {
        println!("skipped: there is no static C library");
    }
    linked.status.success()
}

/// This library inside, the system's shared.
#[test]
fn a_program_has_it_inside() {
    if !common::has("pkg-config") {
        return;
    }
    let program = scratch().join("inside");
    let libdir = pkg_config(&["--variable=libdir"]).concat();
    let mut cc = Command::new("cc");
    cc.args(OURS)
        .arg(source())
        .args(pkg_config(&["--cflags"]))
        .arg(format!("{libdir}/libasync_capi.a"))
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program);
    succeed(&mut cc);
    assert!(!needs_the_shared_library(&program));
    prints_its_lines(&program);
}

/// `examples/cmake`, as its first lines say.
#[test]
fn a_program_finds_it_by_cmake() {
    if !common::has("cmake") {
        return;
    }
    let build = scratch().join("cmake");
    succeed(
        Command::new("cmake")
            .arg("-S")
            .arg(common::root().join("examples/cmake"))
            .arg("-B")
            .arg(&build)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display())),
    );
    succeed(Command::new("cmake").arg("--build").arg(&build));
    let (shared, inside) = (build.join("pausing"), build.join("pausing-static"));
    assert!(needs_the_shared_library(&shared));
    assert!(!needs_the_shared_library(&inside));
    let version = env!("CARGO_PKG_VERSION");
    let lines = format!("step 1\nstep 2\nfinished with 3, by async_capi {version}\n");
    assert_eq!(run(&shared), lines);
    assert_eq!(run(&inside), lines);
}

/// A package is made under DESTDIR, which no file in it names; and the libraries may be two directories down.
#[test]
fn a_package_is_made_under_destdir() {
    let stage = scratch().join("stage");
    succeed(
        script()
            .args([
                "--prefix",
                "/usr",
                "--libdir",
                "lib/some-linux-gnu",
                "--destdir",
            ])
            .arg(&stage)
            .arg("--from")
            .arg(common::built()),
    );
    let lib = stage.join("usr/lib/some-linux-gnu");
    let link = std::fs::read_link(lib.join("libasync_capi.so.0")).expect("a link");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(link, PathBuf::from(format!("libasync_capi.so.{version}")));
    let text = std::fs::read_to_string(lib.join("pkgconfig/async_capi.pc")).expect("it is there");
    assert!(text.contains("prefix=/usr\n"), "{text}");
    let cmake = lib.join("cmake/async_capi/async_capi-config.cmake");
    let text = std::fs::read_to_string(cmake).expect("it is there");
    let stage = stage.display().to_string();
    assert!(!text.contains(&stage), "{text}");
    assert!(
        text.contains("${CMAKE_CURRENT_LIST_DIR}/../../../..\""),
        "{text}"
    );
}

#[test]
fn what_it_cannot_do_it_says() {
    let nowhere = scratch().join("nowhere").display().to_string();
    let built = common::built().display().to_string();
    let file = scratch().join("file");
    std::fs::write(&file, "").expect("it can be written");
    let below_a_file = format!("{}/below", file.display());
    let cases: [(&[&str], &str); 7] = [
        (&["--prefix"], "--prefix needs a value"),
        (&["--prefix="], "--prefix needs a value"),
        (&["--quickly"], "'--quickly' is not an option"),
        (&["--prefix", "here"], "must begin with /"),
        (&["--libdir", "/usr/lib"], "relative to the prefix"),
        (&["--from", &nowhere], "there is no libasync_capi.so in"),
        (
            &["--prefix", &below_a_file, "--from", &built],
            "choose another --prefix",
        ),
    ];
    for (args, text) in cases {
        let output = script().args(args).output().expect("it can be run");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(text),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    let help = succeed(script().arg("--help"));
    assert!(stdout(&help).starts_with("Usage: install"));
}
