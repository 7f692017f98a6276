//! The devices, and software, against the suite for engine authors.

use std::sync::Arc;
use std::time::Duration;

use offload::conformance::{Report, Setup, Verdict, check};
use sim_engine::compute::compute;
use sim_engine::{DeviceConfig, SimDevice, SoftwareEngine};

/// A device of a file with these lines, ended by its own shutdown.
fn setup(config: DeviceConfig) -> Setup {
    let bound = config.ring_depth_max * config.instances;
    let rings = config.instances;
    let make = move || SimDevice::open(&config, 7).expect("a device");
    Setup::with_shutdown(make, SimDevice::kill)
        .software(compute)
        .ring_bound(bound)
        .rings(rings)
        // Nobody has to be fast: this only ends a test that hangs.
        .patience(Duration::from_secs(20))
}

fn preset(name: &str) -> Setup {
    setup(DeviceConfig::preset(name).expect("it ships"))
}

fn device(lines: &str) -> Setup {
    let config = DeviceConfig::from_toml(&format!("name = \"test\"\n{lines}"));
    setup(config.expect("a device file"))
}

/// Asserts that every rule holds, and that only these were skipped.
#[track_caller]
fn assert_conforms(setup: &Setup, skipped: &[&str]) {
    let report = check(setup);
    report.assert();
    assert_eq!(skips(&report), skipped, "{report}");
}

fn skips(report: &Report) -> Vec<&str> {
    let skipped = report.rules().iter();
    skipped
        .filter(|rule| matches!(rule.verdict, Verdict::Skipped(_)))
        .map(|rule| rule.rule)
        .collect()
}

#[test]
fn ideal() {
    assert_conforms(&preset("ideal"), &[]);
}

#[test]
fn dasync() {
    assert_conforms(&preset("dasync"), &[]);
}

#[test]
fn qat_c62x_1() {
    assert_conforms(&preset("qat-c62x-1"), &[]);
}

#[test]
fn a_small_ring() {
    assert_conforms(&device("ring_depth_max = 1"), &[]);
    assert_conforms(&device("ring_depth_max = 3"), &[]);
}

#[test]
fn a_polled_device() {
    assert_conforms(&device("completions = \"poll\"\nring_depth_max = 16"), &[]);
}

#[test]
fn several_workers_and_rings() {
    assert_conforms(&device("workers = 3\nring_depth_max = 8"), &[]);
    assert_conforms(
        &device("workers = 3\ninstances = 2\nring_depth_max = 8"),
        &[],
    );
}

#[test]
fn a_device_that_takes_its_time() {
    let slow = "engines = 2\nring_depth_max = 8\n[service_default]\nfixed_ns = 2_000_000";
    assert_conforms(&device(slow).operation_count(500), &[]);
}

#[test]
fn ended_by_draining_and_by_dropping() {
    let config = DeviceConfig::preset("qat-c62x-1").expect("it ships");
    let drained = config.clone();
    let setup = Setup::with_shutdown(
        move || SimDevice::open(&drained, 7).expect("a device"),
        |device| drop(device.shutdown()),
    );
    check(&setup.only(["shutdown-ends-everything"])).assert();
    let setup = Setup::new(move || SimDevice::open(&config, 7).expect("a device"));
    check(&setup.only(["shutdown-ends-everything"])).assert();
}

#[test]
fn software() {
    let setup = Setup::new(|| Arc::new(SoftwareEngine::new()));
    assert_conforms(&setup.software(compute), &[]);
}
