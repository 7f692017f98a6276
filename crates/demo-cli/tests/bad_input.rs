//! Bad input: exit status 2, one sentence on standard error, nothing left behind.

mod common;

use common::{command, complains, names, run_bad, text};

#[test]
fn bad_arguments() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "no command was given"),
        (&["bnech"], "bnech"),
        (&["bench", "--op", "md5"], "the operations are nop, sha256"),
        (&["bench", "--size", "0"], "1 byte to 1GiB"),
        (&["bench", "--size", "2GiB"], "1 byte to 1GiB"),
        (&["bench", "--size", "ten"], "1 byte to 1GiB"),
        (&["bench", "--jobs", "0"], "at least 1"),
        (
            &["bench", "--jobs", "1000000", "--size", "1MiB"],
            "half of this machine's",
        ),
        (&["bench", "--duration", "0s"], "more than 0"),
        (&["bench", "--duration", "soon"], "as in 500ms"),
        (&["bench", "--total", "0"], "at least 1"),
        (&["bench", "--threads", "0"], "at least 1"),
        (
            &["bench", "--threads", "9", "--jobs", "8"],
            "more than --jobs 8",
        ),
        (&["bench", "--notify", "smoke"], "shared-fd"),
        (&["bench", "--clock", "virtual"], "would stand still"),
        (
            &["bench", "--clock", "virtual", "--device", "dasync"],
            "would stand still",
        ),
        (
            &["bench", "--clock", "virtual", "--engine", "software"],
            "is for --engine sim",
        ),
        (
            &[
                "bench",
                "--clock",
                "virtual",
                "--device",
                "qat-c62x-1",
                "--threads",
                "2",
            ],
            "leave --threads 2 out",
        ),
        (
            &[
                "bench",
                "--clock",
                "virtual",
                "--device",
                "qat-c62x-1",
                "--runtime",
                "libcrypto",
            ],
            "use --runtime ours",
        ),
        (
            &["bench", "--engine", "software", "--completion", "poll"],
            "--completion is for --engine sim",
        ),
        (
            &["bench", "--engine", "software", "--results", "modelled"],
            "--results is for --engine sim",
        ),
        (&["bench", "--rate", "0"], "operations a second"),
        (&["bench", "--rate", "NaN"], "operations a second"),
        (&["bench", "--poisson"], "--rate"),
        (&["bench", "--fallback", "--no-fallback"], "cannot be used"),
        (&["bench", "--jobs", "1,,2"], "at least 1"),
        (
            &["bench", "--jobs", "8,1", "--threads", "2"],
            "more than --jobs 1",
        ),
        (&["bench", "--trace", "/nonexistent/t.json"], "give --trace"),
        (&["sweep", "--sizes", "1,0"], "1 byte to 1GiB"),
        (&["sweep", "--completion", "magic"], "heuristic"),
        (&["bench", "--engine", "gpu"], "software"),
        (&["bench", "--device", "abacus"], "neither a preset (ideal"),
        (
            &["bench", "--engine", "software", "--device", "ideal"],
            "has no device",
        ),
        (
            &["bench", "--input", "/nonexistent/file"],
            "cannot read /nonexistent/file",
        ),
        (&["bench", "--input", "/dev/null"], "is empty"),
        (&["bench", "--input", "/"], "cannot read /"),
        (&["bench", "--jobs", "1000001"], "at most 1000000"),
        (&["bench", "--threads", "1025"], "at most 1024"),
        (&["bench", "--timeout", "9ms"], "give at least that"),
        (
            &["bench", "--device", "/dev/zero"],
            "too large for a device file",
        ),
        (&["devices", "--check", "/proc/self/exe"], "device file"),
        (
            &["encrypt", "-", "--op", "md5", "--key", "00", "--iv", "00"],
            "the ciphers are aes-128-ctr",
        ),
        (&["devices", "--show", "abacus"], "the presets are ideal"),
        (&["devices", "--check", "/nonexistent/file"], "cannot read"),
        (&["man", "woman"], "the commands are bench"),
        (&["completions", "tcsh"], "bash"),
        (&["digest", "--op", "md5", "-"], "sha512"),
        (&["digest", "--jobs", "0", "-"], "at least 1"),
    ];
    for (args, says) in cases {
        let sentence = run_bad(args, 2);
        assert!(sentence.contains(says), "{args:?}: {sentence}");
    }
}

#[test]
fn malformed_device_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("device.toml");
    let path = text(&path);
    for (content, says) in [
        ("name = ", "line 1"),
        ("name = \"x\"\nengine = 5\n", "line 2"),
        ("name = \"x\"\nworkers = 0\n", "workers is 0; give 1 to 256"),
        (
            "name = \"x\"\n[service.md5]\nfixed_ns = 5\n",
            "the operations are",
        ),
        (
            "name = \"x\"\n[faults]\nwrong = 2.0\n",
            "a share from 0 to 1",
        ),
    ] {
        std::fs::write(path, content).expect("written");
        for args in [
            &["bench", "--device", path][..],
            &["devices", "--check", path],
        ] {
            let sentence = run_bad(args, 2);
            assert!(sentence.contains(says), "{content}: {sentence}");
            assert!(sentence.contains(path), "{content}: {sentence}");
        }
    }
}

#[test]
fn more_jobs_than_the_hard_limit_on_fds() {
    let jobs = ["bench", "--jobs", "500", "--total", "500", "--notify"];
    let limited = |notify: &str| {
        // The limit is lowered for good in a shell of its own.
        std::process::Command::new("sh")
            .args([
                "-c",
                "ulimit -n 200; exec \"$@\"",
                "sh",
                env!("CARGO_BIN_EXE_demo-cli"),
            ])
            .args(jobs)
            .arg(notify)
            .output()
            .expect("sh runs")
    };
    let sentence = complains(&limited("fd"), 2, &jobs);
    assert!(
        sentence.contains("--notify shared-fd") && sentence.contains("200"),
        "{sentence}"
    );
    // Among others it is left out, with a note.
    let output = limited("all");
    assert!(output.status.success());
    let note = complains(&output, 0, &jobs);
    assert!(note.contains("no row for --notify fd"), "{note}");
    assert!(limited("callback").status.success());
    assert!(limited("shared-fd").status.success());
}

#[test]
fn a_low_soft_limit_on_fds_is_raised() {
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -S -n 64; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_demo-cli"),
        ])
        .args([
            "bench", "--jobs", "500", "--total", "1000", "--notify", "fd",
        ])
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", common::stderr(&output));
}

#[test]
fn bad_keys_and_ivs() {
    let directory = tempfile::tempdir().expect("a directory");
    let plain = directory.path().join("plain");
    std::fs::write(&plain, b"hello").expect("written");
    let out = directory.path().join("out");
    let key = "00112233445566778899aabbccddeeff";
    let iv = key;
    let bad = |op: &str, key: &str, iv: &str, says: &str| {
        let args = [
            "encrypt",
            text(&plain),
            "--op",
            op,
            "--key",
            key,
            "--iv",
            iv,
            "--out",
            text(&out),
        ];
        let sentence = run_bad(&args, 2);
        assert!(sentence.contains(says), "{sentence}");
        assert!(
            !sentence.contains(key),
            "the key is not repeated: {sentence}"
        );
        assert_eq!(names(directory.path()), ["plain"]);
    };
    bad(
        "aes-128-ctr",
        &key[2..],
        iv,
        "the key has 30 hex digits; aes-128-ctr takes 32",
    );
    bad(
        "aes-256-ctr",
        key,
        iv,
        "the key has 32 hex digits; aes-256-ctr takes 64",
    );
    bad(
        "aes-128-cbc",
        key,
        "0011",
        "the IV has 4 hex digits; aes-128-cbc takes 32",
    );
    bad(
        "aes-128-ctr",
        "0011223344556677889zaabbccddeeff",
        iv,
        "digit 20",
    );
    bad("aes-128-gcm", key, iv, "give one of aes-128-ctr");
    bad("sha256", key, iv, "give one of aes-128-ctr");
}

#[test]
fn bad_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out");
    let key = "00112233445566778899aabbccddeeff";
    for file in ["/nonexistent/file", "/"] {
        let args = [
            "encrypt",
            file,
            "--op",
            "aes-128-ctr",
            "--key",
            key,
            "--iv",
            key,
            "--out",
            text(&out),
        ];
        let sentence = run_bad(&args, 2);
        assert!(sentence.contains("cannot read /"), "{sentence}");
    }
    let args = [
        "encrypt",
        "-",
        "--op",
        "aes-128-ctr",
        "--key-file",
        "/nonexistent/key",
        "--iv",
        key,
    ];
    assert!(run_bad(&args, 2).contains("cannot read /nonexistent/key"));
    let both = [&args[..], &["--key", key]].concat();
    let output = command(&both).output().expect("it runs");
    complains(&output, 2, &both);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn bad_outputs() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("plain"), b"hello").expect("written");
    let key = "00112233445566778899aabbccddeeff";
    let bad = |out: &str, says: &str| {
        let args = [
            "encrypt",
            text(&path("plain")),
            "--op",
            "aes-128-ctr",
            "--key",
            key,
            "--iv",
            key,
            "--out",
            out,
        ]
        .map(str::to_owned);
        let args = args.each_ref().map(String::as_str);
        let sentence = run_bad(&args, 2);
        assert!(sentence.contains(says), "{sentence}");
        assert!(sentence.contains("give --out"), "{sentence}");
        assert!(!sentence.contains(".demo-cli-"), "{sentence}");
    };
    bad(text(directory.path()), "directory");
    bad(text(&path("missing/out")), "No such file");
    bad("/proc/out", "cannot write /proc/out: ");
    assert_eq!(names(directory.path()), ["plain"]);
}
