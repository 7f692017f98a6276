//! The `openssl` program, to compare with.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Whether there is an `openssl` to compare with. Says so, past the test harness's capture, if not.
pub(crate) static OPENSSL: LazyLock<bool> = LazyLock::new(|| {
    let version = Command::new("openssl").arg("version").output();
    let found = version.is_ok_and(|output| output.status.success());
    if !found {
        // A closed standard error is no reason to fail.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: no openssl program to compare with; install it and run these tests again"
        );
    }
    found
});

/// What `openssl` writes when it is given `input`.
pub(crate) fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // It draws a line while it looks for primes.
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl starts: it gave its version");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let output = std::thread::scope(|scope| {
        // On a thread of its own: both pipes can be full at once.
        scope.spawn(move || stdin.write_all(input).expect("openssl reads its input"));
        child.wait_with_output().expect("openssl ends")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args:?} failed: {said}");
    output.stdout
}
