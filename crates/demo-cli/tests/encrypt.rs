//! `encrypt` against `openssl enc`.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{command, complains, names, noise, run_ok, text};

const PIECE: usize = 256 << 10;
const KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
const KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Wraps round at 2^128 in the third block.
const IV: &str = "fffffffffffffffffffffffffffffffe";
/// Carries from the low 64 bits into the high ones.
const CARRY_IV: &str = "00000000000000fffffffffffffffffe";

fn key(op: &str) -> &'static str {
    if op.contains("256") { KEY_256 } else { KEY_128 }
}

fn openssl(op: &str, iv: &str, plain: &Path) -> Option<Vec<u8>> {
    let output = Command::new("openssl")
        .args(["enc", &format!("-{op}"), "-K", key(op), "-iv", iv, "-in"])
        .arg(plain)
        .output()
        .ok()?;
    assert!(output.status.success(), "openssl enc fails");
    Some(output.stdout)
}

#[test]
fn equals_openssl_enc_there_and_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (plain, secret, back) = (path("plain"), path("secret"), path("back"));
    for size in [
        0,
        1,
        15,
        16,
        17,
        48,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        3 * PIECE,
        5 * PIECE + 7,
    ] {
        let bytes = noise(size, 9);
        std::fs::write(&plain, &bytes).expect("written");
        for op in ["aes-128-ctr", "aes-256-ctr", "aes-128-cbc", "aes-256-cbc"] {
            for iv in [IV, CARRY_IV] {
                let Some(expected) = openssl(op, iv, &plain) else {
                    common::skip("equals_openssl_enc_there_and_back", "no openssl here");
                    return;
                };
                let enc = |from: &Path, to: &Path, more: &[&str]| {
                    let args = [
                        "encrypt",
                        text(from),
                        "--op",
                        op,
                        "--key",
                        key(op),
                        "--iv",
                        iv,
                        "--out",
                        text(to),
                    ];
                    run_ok(&[&args[..], more].concat());
                };
                enc(&plain, &secret, &["--jobs", "3"]);
                let secret_bytes = std::fs::read(&secret).expect("there");
                assert!(secret_bytes == expected, "{op} of {size} bytes from {iv}");
                enc(&secret, &back, &["--decrypt", "--notify", "shared-fd"]);
                assert!(
                    std::fs::read(&back).expect("there") == bytes,
                    "{op} of {size} bytes"
                );
            }
        }
    }
}

#[test]
fn from_standard_input_to_standard_output() {
    let bytes = noise(2 * PIECE + 5, 4);
    let pass = |bytes: &[u8], notify: &str| {
        let mut child = command(&[
            "encrypt",
            "-",
            "--op",
            "aes-128-ctr",
            "--key",
            KEY_128,
            "--iv",
            IV,
            "--notify",
            notify,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("it reads all"));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("written");
        assert!(output.status.success());
        output.stdout
    };
    let secret = pass(&bytes, "fd");
    assert!(secret != bytes);
    assert!(pass(&secret, "poll") == bytes);
}

#[test]
fn a_key_file_keeps_the_key_off_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (plain, key_file) = (path("plain"), path("key"));
    std::fs::write(&plain, b"attack at dawn").expect("written");
    std::fs::write(&key_file, format!("{KEY_128}\n")).expect("written");
    let args = ["encrypt", text(&plain), "--op", "aes-128-ctr", "--iv", IV];
    let by_file = run_ok(&[&args[..], &["--key-file", text(&key_file)]].concat());
    let by_hand = run_ok(&[&args[..], &["--key", KEY_128]].concat());
    assert_eq!(by_file.stdout, by_hand.stdout);
    assert_eq!(by_file.stdout.len(), 14);
}

#[test]
fn a_file_can_be_encrypted_onto_itself_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    let bytes = noise(PIECE + 1, 5);
    std::fs::write(&file, &bytes).expect("written");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("set");
    let args = [
        "encrypt",
        text(&file),
        "--op",
        "aes-256-ctr",
        "--key",
        KEY_256,
        "--iv",
        IV,
        "--out",
        text(&file),
    ];
    run_ok(&args);
    assert!(std::fs::read(&file).expect("there") != bytes);
    run_ok(&args);
    assert!(std::fs::read(&file).expect("there") == bytes);
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn a_failure_leaves_nothing_and_spoils_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (plain, out, device) = (path("plain"), path("out"), path("bad.toml"));
    std::fs::write(&plain, noise(20 * PIECE, 6)).expect("written");
    std::fs::write(&device, "name = 'bad'\n[faults]\nerror = 0.2\n").expect("written");
    let args = [
        "encrypt",
        text(&plain),
        "--op",
        "aes-128-ctr",
        "--key",
        KEY_128,
        "--iv",
        IV,
        "--device",
        text(&device),
        "--seed",
        "1",
        "--jobs",
        "2",
        "--out",
        text(&out),
    ];
    let failing = || {
        let output = command(&args).output().expect("it runs");
        let said = complains(&output, 1, &args);
        assert!(said.contains("the device reported status"), "{said}");
    };
    failing();
    assert_eq!(names(directory.path()), ["bad.toml", "plain"]);
    std::fs::write(&out, b"from before").expect("written");
    failing();
    assert_eq!(std::fs::read(&out).expect("there"), b"from before");
    assert_eq!(names(directory.path()), ["bad.toml", "out", "plain"]);
    run_ok(&[&args[..], &["--fallback"]].concat());
    assert_eq!(
        std::fs::metadata(&out).expect("there").len(),
        20 * PIECE as u64
    );
}

#[test]
fn bad_padding_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, noise(40, 7)).expect("written");
    let out = directory.path().join("out");
    let args = [
        "encrypt",
        text(&secret),
        "--op",
        "aes-128-cbc",
        "--key",
        KEY_128,
        "--iv",
        IV,
        "--decrypt",
        "--out",
        text(&out),
    ];
    let output = command(&args).output().expect("it runs");
    complains(&output, 1, &args);
    assert_eq!(names(directory.path()), ["secret"]);
}

#[test]
fn a_run_that_is_killed_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out");
    let args = ["encrypt", "-", "--op", "aes-128-ctr", "--iv", IV];
    let to = ["--key", KEY_128, "--decrypt", "--out", text(&out)];
    let mut child = command(&[&args[..], &to].concat())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // More than a pipe holds: it is in the middle of its work when this returns.
    stdin.write_all(&noise(3 * PIECE, 8)).expect("it reads");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(names(directory.path()).is_empty());
}

#[test]
fn the_result_has_the_mode_of_a_new_file_and_no_special_bits() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (plain, out) = (path("plain"), path("out"));
    std::fs::write(&plain, b"attack at dawn").expect("written");
    let args = ["encrypt", text(&plain), "--op", "aes-128-ctr", "--iv", IV];
    let args = [&args[..], &["--key", KEY_128, "--out", text(&out)]].concat();
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("there");
        metadata.permissions().mode() & 0o7777
    };
    run_ok(&args);
    assert_eq!(mode(&out), mode(&plain));
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o4750)).expect("set");
    run_ok(&args);
    assert_eq!(mode(&out), 0o750);
}

#[test]
fn a_device_without_threads_is_polled() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (plain, device) = (path("plain"), path("polled.toml"));
    std::fs::write(&plain, noise(2 * PIECE + 5, 9)).expect("written");
    std::fs::write(&device, "name = 'polled'\ncompletions = 'poll'\n").expect("written");
    let args = ["encrypt", text(&plain), "--op", "aes-128-ctr", "--iv", IV];
    let args = [&args[..], &["--key", KEY_128]].concat();
    let polled = run_ok(&[&args[..], &["--device", text(&device)]].concat());
    assert!(polled.stdout == run_ok(&args).stdout);
}
