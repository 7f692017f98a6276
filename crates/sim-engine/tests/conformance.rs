//! The devices, and software, against the suite for engine authors.

use std::sync::Arc;
use std::time::Duration;

use offload::conformance::{Report, Setup, Verdict, check};
use sim_engine::compute::compute;
use sim_engine::{DeviceConfig, SimClock, SimDevice, SoftwareEngine};

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
        .patience(Duration::from_secs(60))
}

fn preset(name: &str) -> Setup {
    setup(DeviceConfig::preset(name).expect("it ships"))
}

fn device(lines: &str) -> Setup {
    let config = DeviceConfig::from_toml(&format!("name = \"test\"\n{lines}"));
    setup(config.expect("a device file"))
}

/// Of a device with threads that runs nothing on the spot.
const THREADS: &[&str] = &["inline-agrees", "poll-honours-its-quota"];

/// Of one that is never full.
const NEVER_FULL: &[&str] = &[
    "full-ring-hands-back",
    "room-wakes-each-waiter",
    "line-is-fair",
    "everybody-gets-in",
];

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
    assert_conforms(&preset("ideal"), THREADS);
}

#[test]
fn dasync() {
    assert_conforms(&preset("dasync"), &[THREADS, NEVER_FULL].concat());
}

#[test]
fn qat_c62x_1() {
    assert_conforms(&preset("qat-c62x-1"), THREADS);
}

#[test]
fn a_small_ring() {
    assert_conforms(&device("ring_depth_max = 1"), THREADS);
    assert_conforms(&device("ring_depth_max = 3"), THREADS);
}

#[test]
fn a_polled_device() {
    assert_conforms(
        &device("completions = \"poll\"\nring_depth_max = 16"),
        &["inline-agrees"],
    );
}

#[test]
fn a_device_that_leaves_small_requests_to_software() {
    let lines = "inline_below_bytes = 100\nring_depth_max = 8";
    assert_conforms(&device(lines), &["poll-honours-its-quota"]);
}

#[test]
fn several_workers_and_rings() {
    assert_conforms(&device("workers = 3\nring_depth_max = 8"), THREADS);
    assert_conforms(
        &device("workers = 3\ninstances = 2\nring_depth_max = 8"),
        &[THREADS, &["line-is-fair"]].concat(),
    );
}

#[test]
fn a_device_that_takes_its_time() {
    let slow = "engines = 2\nring_depth_max = 8\n[service_default]\nfixed_ns = 2_000_000";
    assert_conforms(&device(slow).operation_count(500), THREADS);
}

#[test]
fn ended_by_draining_and_by_dropping() {
    let config = DeviceConfig::preset("qat-c62x-1").expect("it ships");
    let drained = config.clone();
    let setup = Setup::with_shutdown(
        move || SimDevice::open(&drained, 7).expect("a device"),
        |device| {
            device.shutdown();
        },
    );
    check(&setup.only(["shutdown-ends-everything"])).assert();
    let setup = Setup::new(move || SimDevice::open(&config, 7).expect("a device"));
    check(&setup.only(["shutdown-ends-everything"])).assert();
}

#[test]
fn software() {
    let setup = Setup::new(|| Arc::new(SoftwareEngine::new()));
    let skipped = [
        "poll-honours-its-quota",
        "full-ring-hands-back",
        "ring-bound-holds",
        "room-wakes-each-waiter",
        "line-is-fair",
        "everybody-gets-in",
    ];
    assert_conforms(&setup.software(compute), &skipped);
}

#[test]
fn several_endpoints_batches_and_coalesced_notifications() {
    let endpoints = "endpoints = 2\nengines = 3\nring_depth_max = 8\n\
                     [service_default]\nfixed_ns = 20_000\n\
                     [detection]\ncoalesce_ns = 50_000\ncoalesce_max = 4";
    let config = DeviceConfig::from_toml(&format!("name = \"test\"\n{endpoints}"));
    let setup = setup(config.expect("a device file"))
        .ring_bound(16)
        .rings(2);
    let skipped = [THREADS, &["line-is-fair"]].concat();
    assert_conforms(&setup.operation_count(2000), &skipped);

    let batches = "engines = 1\nring_depth_max = 16\n[service_default]\nfixed_ns = 20_000\n\
                   [batch]\nsize = 4\nflush_ns = 1_000_000";
    assert_conforms(&device(batches).operation_count(500), THREADS);
}

/// Each engine on a clock of its own, which moves when it is polled.
fn in_virtual_time(lines: &str) -> Setup {
    let config = DeviceConfig::from_toml(&format!("name = \"test\"\n{lines}"));
    let config = config.expect("a device file");
    let bound = config.ring_depth_max;
    let make = move || {
        let clock = SimClock::virtual_time();
        let device = SimDevice::builder(&config).clock(&clock);
        device.open().expect("a device")
    };
    Setup::with_shutdown(make, SimDevice::kill)
        .software(compute)
        .ring_bound(bound)
        .patience(Duration::from_secs(60))
}

#[test]
fn virtual_time() {
    let lines = "engines = 4\nring_depth_max = 16\n[service_default]\nfixed_ns = 20_000\n\
                 [link]\nfixed_ns = 700";
    assert_conforms(&in_virtual_time(lines), &["inline-agrees"]);
    let polled = format!("completions = \"poll\"\n{lines}");
    assert_conforms(&in_virtual_time(&polled), &["inline-agrees"]);
}
