//! What a device, and its modelled host, can do.

use offload::OpKind;
use serde::{Deserialize, Serialize};
use sim_engine::{Completions, DeviceConfig, InstanceChoice};

use super::options::{BenchOptions, Case};
use super::pace::{POLL_EVERY, nanos};

/// What a row asks of a device.
#[derive(Clone, Copy, Debug)]
struct Asked {
    op: OpKind,
    size: usize,
    /// Threads that run jobs.
    threads: u32,
    /// What an operation waits for a poll, at most.
    poll_ns: u64,
    /// What an operation costs the modelled host; 0: nothing is modelled.
    host_ns: u64,
}

/// What the device can do with one kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Capacity {
    /// Of the engines.
    pub(crate) ops_per_s: f64,
    /// Of the modelled host, where it can do less than the engines.
    pub(crate) host_ops_per_s: Option<f64>,
    /// Jobs in flight that keep all engines busy, or the host if it is the bound.
    pub(crate) jobs_enough: u64,
    /// Requests that the rings for this kind hold.
    pub(crate) places: u64,
}

/// What the device of a run can do with the operations of a row.
pub(crate) fn of_case(options: &BenchOptions, case: Case) -> Option<Capacity> {
    let device = options.engine.device()?;
    let host_ns = match options.is_virtual() {
        true => device.host.op_ns,
        false => 0,
    };
    let asked = Asked {
        op: options.op,
        size: case.size,
        threads: u32::try_from(options.threads).unwrap_or(u32::MAX),
        poll_ns: if case.is_polled() {
            nanos(POLL_EVERY)
        } else {
            0
        },
        host_ns,
    };
    capacity(device, asked)
}

/// Whether anything takes time on `device` that the host does not spend itself.
pub(crate) fn models_time(device: &DeviceConfig, op: OpKind, size: usize) -> bool {
    let detection = device.detection;
    let service = device.service_time(op, size) + device.link_time(size);
    !service.is_zero()
        || detection.every_ns > 0
        || detection.coalesce_ns > 0
        || device.batch.size > 1
}

/// What `device` can do, if its engines are bounded and take time.
fn capacity(device: &DeviceConfig, asked: Asked) -> Option<Capacity> {
    let Asked { op, size, .. } = asked;
    let slow = device.faults.slow;
    // On average, with those that are slow.
    let service_ns =
        device.service_time(op, size).as_nanos() as f64 + slow.share * slow.extra_ns as f64;
    let link_ns = 2.0 * device.link_time(size).as_nanos() as f64;
    let detection_ns = device.detection.every_ns + device.detection.coalesce_ns;
    let on_device = device.completions != Completions::BeforePause
        && (op.is_asymmetric() || size >= device.inline_below_bytes)
        && device.engines > 0
        && service_ns > 0.0;
    if !on_device {
        return None;
    }
    // A thread that keeps to one instance uses one endpoint and one ring.
    let all = device.endpoints * device.instances;
    let (endpoints, rings) = match device.instance_choice {
        InstanceChoice::Thread => (device.endpoints.min(asked.threads), all.min(asked.threads)),
        _ => (device.endpoints, all),
    };
    let depth = match device.asym_ring_depth_max {
        own if own > 0 && op.is_asymmetric() => own,
        _ => device.ring_depth_max,
    };
    let batch = f64::from(device.batch.size.max(1));
    let ops_per_s = f64::from(device.engines * endpoints) * batch * 1e9 / service_ns;
    let host = (asked.host_ns > 0).then_some(1e9 / asked.host_ns as f64);
    let host_ops_per_s = host.filter(|&host| host < ops_per_s);
    // The first of a batch waits until the host has handed over the last.
    let away_ns = (detection_ns + asked.poll_ns) as f64 + batch * asked.host_ns as f64;
    let in_flight = host_ops_per_s.unwrap_or(ops_per_s) * (service_ns + link_ns + away_ns) / 1e9;
    Some(Capacity {
        ops_per_s,
        host_ops_per_s,
        // A sum like 11.000000000000002 is eleven.
        jobs_enough: (in_flight - 1e-6).ceil() as u64,
        places: u64::from(rings) * u64::from(depth),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOP: Asked = Asked {
        op: OpKind::Nop,
        size: 1024,
        threads: 1,
        poll_ns: 0,
        host_ns: 0,
    };

    fn device(toml: &str) -> DeviceConfig {
        DeviceConfig::from_toml(&format!("name = 'card'\n{toml}")).expect("a device file")
    }

    fn of(device: &DeviceConfig, asked: Asked) -> Capacity {
        capacity(device, asked).expect("bounded")
    }

    #[test]
    fn capacity_is_engines_over_service() {
        let card = device(
            "engines = 10\nring_depth_max = 64\n[link]\nfixed_ns = 8_000\n\
             [service_default]\nfixed_ns = 300_000",
        );
        let c = of(&card, NOP);
        assert!((c.ops_per_s - 33_333.3).abs() < 1.0);
        assert_eq!((c.jobs_enough, c.places), (11, 64));
        let ideal = DeviceConfig::preset("ideal").expect("a preset");
        assert_eq!(capacity(&ideal, NOP), None);
    }

    #[test]
    fn the_modelled_host_caps_the_jobs_that_would_do() {
        // 400,000 ops/s by batches of eight, 125,000 by the host: a batch is handed over in 64 µs and
        // done in 20 more.
        let card = device(
            "engines = 1\n[batch]\nsize = 8\nflush_ns = 10_000_000\n\
             [service_default]\nfixed_ns = 20_000",
        );
        let host_ns = 8_000;
        let c = of(&card, Asked { host_ns, ..NOP });
        assert_eq!((c.host_ops_per_s, c.jobs_enough), (Some(125_000.0), 11));
        // A host that is fast enough does not.
        let host_ns = 1_000;
        let c = of(&card, Asked { host_ns, ..NOP });
        assert_eq!((c.host_ops_per_s, c.jobs_enough), (None, 12));
    }

    #[test]
    fn rings_and_endpoints_are_those_that_the_operations_use() {
        let text = "engines = 2\nendpoints = 3\ninstances = 2\nring_depth_max = 512\n\
                    asym_ring_depth_max = 64\n[service_default]\nfixed_ns = 1_000_000";
        let card = device(text);
        let c = of(&card, NOP);
        assert_eq!((c.ops_per_s, c.jobs_enough, c.places), (6e3, 6, 6 * 512));
        let op = OpKind::Rsa2048Sign;
        assert_eq!(of(&card, Asked { op, ..NOP }).places, 6 * 64);
        let pinned = device(&format!("instance_choice = 'thread'\n{text}"));
        for (threads, ops_per_s, places) in [(1, 2e3, 512), (4, 6e3, 4 * 512), (9, 6e3, 6 * 512)] {
            let c = of(&pinned, Asked { threads, ..NOP });
            assert_eq!((c.ops_per_s, c.places), (ops_per_s, places), "{threads}");
        }
        // Without rings of their own they share.
        let text = text.replace("asym_ring_depth_max = 64", "");
        assert_eq!(of(&device(&text), Asked { op, ..NOP }).places, 6 * 512);
    }
}
