//! `bench` with private keys: every operation, verified; sizes and inputs.

mod common;

use common::{run, run_bad, run_ok, stderr};
use serde_json::Value;

fn rows(report: &Value) -> &[Value] {
    report["rows"].as_array().expect("rows")
}

#[test]
fn every_asymmetric_operation_is_verified_on_every_way() {
    let mut pauses = 0;
    for (op, size) in [
        ("rsa2048-sign", 100),
        ("rsa3072-sign", 100),
        ("rsa4096-sign", 100),
        ("rsa2048-decrypt", 256),
        ("rsa3072-decrypt", 384),
        ("rsa4096-decrypt", 512),
        ("ecdsa-p256-sign", 100),
        ("ecdsa-p384-sign", 100),
        ("x25519-derive", 32),
        ("p256-derive", 65),
    ] {
        for (engine, notify) in [("sim", "all"), ("software", "callback")] {
            let output = run(&[
                "bench", "--format", "json", "--total", "40", "--jobs", "8", "--op", op, "--size",
                "100", "--engine", engine, "--notify", notify,
            ]);
            let said = stderr(&output);
            assert!(output.status.success(), "{said}");
            let note = format!("demo-cli: --size 100 is not used: {op} takes {size} bytes");
            assert_eq!(said.contains(&note), size != 100, "{said}");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(report["options"]["size_bytes"], size);
            assert_eq!(rows(&report).len(), if notify == "all" { 4 } else { 1 });
            for row in rows(&report) {
                assert_eq!(row["verified"], true, "{op}");
                assert_eq!(row["completed"], 40, "{op}");
                assert_eq!(row["size_bytes"], size, "{op}");
                // On a busy machine an answer can be there before its job has paused, even each time in a row.
                let paused = row["pauses"].as_u64().expect("a number");
                assert!(paused == 0 || engine == "sim", "{op}");
                pauses += paused;
            }
        }
    }
    assert!(pauses > 0, "the device's jobs never paused");
}

#[test]
fn a_wrong_signature_is_found_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let device = directory.path().join("wrong.toml");
    let lines = "name = \"wrong\"\n[faults]\nwrong = 1.0\n";
    std::fs::write(&device, lines).expect("written");
    for op in [
        "ecdsa-p256-sign",
        "rsa2048-sign",
        "rsa2048-decrypt",
        "x25519-derive",
    ] {
        let output = run(&[
            "bench",
            "--format",
            "json",
            "--total",
            "20",
            "--jobs",
            "4",
            "--op",
            op,
            "--device",
            device.to_str().expect("UTF-8"),
        ]);
        assert_eq!(output.status.code(), Some(1), "{op}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(
            rows(&report).iter().all(|row| row["verified"] == false),
            "{op}"
        );
    }
}

#[test]
fn a_message_is_taken_from_a_file_and_a_ciphertext_is_not() {
    let file = [
        "bench",
        "--input",
        "Cargo.toml",
        "--total",
        "10",
        "--jobs",
        "2",
        "--op",
    ];
    run_ok(&[&file[..], &["ecdsa-p384-sign"]].concat());
    let said = run_bad(&[&file[..], &["rsa3072-decrypt"]].concat(), 2);
    assert!(
        said.contains("--input is not for rsa3072-decrypt"),
        "{said}"
    );
}
