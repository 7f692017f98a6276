//! What the figures mean, in words.

use std::fmt;
use std::mem::discriminant;

use offload::OpKind;
use sim_engine::{Completions, DeviceConfig};

use super::options::BenchOptions;
use super::row::RowResult;
use crate::system;
use crate::units::show_count;

/// At this share of what the device can do, it is the device that bounds.
const BOUND_FROM: f64 = 0.85;

/// What the device can do with one kind of operation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Capacity {
    ops_per_s: f64,
    /// Jobs in flight that keep all engines busy.
    jobs_enough: u64,
    /// Requests that its rings hold.
    places: u64,
}

/// What bounds a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// There is no device: software on the jobs' own threads.
    Inline,
    /// The engines are as busy as they can be.
    DeviceBound { capacity: Capacity },
    /// There are too few jobs to keep them busy.
    TooFewJobs { capacity: Capacity, share: f64 },
    /// The rings are too short to keep them busy.
    RingBound { capacity: Capacity, share: f64 },
    /// The host cannot feed the device faster, or take its answers.
    HostBound {
        capacity: Option<Capacity>,
        cpus: f64,
    },
}

/// A line for each kind of verdict, with the figures of its fastest row, and the rows that it
/// holds for.
pub(crate) fn lines(options: &BenchOptions, results: &[RowResult]) -> Vec<String> {
    let device = options.engine.device();
    let capacity = device.and_then(|d| capacity(d, options.op, options.size));
    let mut rows: Vec<_> = results.iter().map(|r| (&r.name, &r.row)).collect();
    rows.retain(|(_, row)| row.completed > 0);
    rows.sort_by(|(_, a), (_, b)| b.ops_per_s.total_cmp(&a.ops_per_s));
    let mut lines: Vec<(Verdict, Vec<&str>)> = Vec::new();
    for (name, row) in rows {
        let cpus = (row.cpu_user_s + row.cpu_sys_s) / row.wall_s;
        let verdict = match device {
            None => Verdict::Inline,
            Some(_) => judge(capacity, row.ops_per_s, options.jobs as u64, cpus),
        };
        let same = |known: &Verdict| discriminant(known) == discriminant(&verdict);
        match lines.iter_mut().find(|(known, _)| same(known)) {
            Some((_, names)) => names.push(name),
            None => lines.push((verdict, vec![name])),
        }
    }
    let one = lines.len() == 1;
    lines
        .into_iter()
        .map(|(verdict, names)| match one {
            true => verdict.to_string(),
            false => format!("{}: {verdict}", names.join(", ")),
        })
        .collect()
}

/// What `device` can do, if its engines are bounded and take time.
fn capacity(device: &DeviceConfig, op: OpKind, size: usize) -> Option<Capacity> {
    let slow = device.faults.slow;
    // On average, with those that are slow.
    let service_ns =
        device.service_time(op, size).as_nanos() as f64 + slow.share * slow.extra_ns as f64;
    let link_ns = 2.0 * device.link_time(size).as_nanos() as f64;
    let on_device = device.completions != Completions::BeforePause
        && (op.is_asymmetric() || size >= device.inline_below_bytes)
        && device.engines > 0
        && service_ns > 0.0;
    on_device.then(|| {
        let engines = f64::from(device.engines);
        Capacity {
            ops_per_s: engines * 1e9 / service_ns,
            jobs_enough: (engines * (service_ns + link_ns) / service_ns).ceil() as u64,
            places: u64::from(device.instances) * u64::from(device.ring_depth_max),
        }
    })
}

fn judge(capacity: Option<Capacity>, ops_per_s: f64, jobs: u64, cpus: f64) -> Verdict {
    let Some(c) = capacity else {
        return Verdict::HostBound { capacity, cpus };
    };
    let share = ops_per_s / c.ops_per_s;
    if share >= BOUND_FROM {
        Verdict::DeviceBound { capacity: c }
    } else if jobs < c.jobs_enough {
        Verdict::TooFewJobs { capacity: c, share }
    } else if c.places < c.jobs_enough {
        Verdict::RingBound { capacity: c, share }
    } else {
        Verdict::HostBound { capacity, cpus }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Inline => f.write_str(
                "inline: software computes on the jobs' own threads, nothing pauses; this is what a device has to beat",
            ),
            Verdict::DeviceBound { capacity } => write!(
                f,
                "device-bound: the engines can do {} ops/s; {} jobs in flight would do, more only add latency",
                show_count(capacity.ops_per_s as u64),
                show_count(capacity.jobs_enough),
            ),
            Verdict::TooFewJobs { capacity, share } => write!(
                f,
                "too few jobs in flight: the engines are used to {:.0} %; {} jobs would do",
                share * 100.0,
                show_count(capacity.jobs_enough),
            ),
            Verdict::RingBound { capacity, share } => write!(
                f,
                "ring-bound: the engines are used to {:.0} %; rings of {} in all hold fewer than the {} that would do",
                share * 100.0,
                show_count(capacity.places),
                show_count(capacity.jobs_enough),
            ),
            Verdict::HostBound { capacity, cpus } => {
                write!(
                    f,
                    "host-bound: {cpus:.1} of {} cpus are busy, the device's workers included",
                    system::cpus()
                )?;
                match capacity {
                    Some(c) => write!(
                        f,
                        "; the engines could do {} ops/s",
                        show_count(c.ops_per_s as u64)
                    ),
                    None => f.write_str("; the device itself has no bound"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten engines, 300 µs each, 8 µs of link each way: an RSA card.
    fn card() -> DeviceConfig {
        DeviceConfig::from_toml(
            "name = 'card'\nengines = 10\nring_depth_max = 64\n\
             [link]\nfixed_ns = 8_000\n[service_default]\nfixed_ns = 300_000",
        )
        .expect("a device file")
    }

    #[test]
    fn capacity_is_engines_over_service() {
        let c = capacity(&card(), OpKind::Nop, 1024).expect("bounded");
        assert!((c.ops_per_s - 33_333.3).abs() < 1.0);
        assert_eq!((c.jobs_enough, c.places), (11, 64));
        let ideal = DeviceConfig::preset("ideal").expect("a preset");
        assert_eq!(capacity(&ideal, OpKind::Nop, 1024), None);
    }

    #[test]
    fn verdicts() {
        let c = capacity(&card(), OpKind::Nop, 1024).expect("bounded");
        let verdict = |ops, jobs| judge(Some(c), ops, jobs, 1.0).to_string();
        assert!(
            verdict(33_000.0, 1000)
                .starts_with("device-bound: the engines can do 33,333 ops/s; 11 jobs")
        );
        assert!(
            verdict(12_000.0, 4)
                .starts_with("too few jobs in flight: the engines are used to 36 %; 11 jobs")
        );
        assert!(verdict(12_000.0, 1000).starts_with("host-bound: 1.0 of"));
        let short = Capacity { places: 4, ..c };
        assert!(
            judge(Some(short), 12_000.0, 1000, 1.0)
                .to_string()
                .starts_with("ring-bound")
        );
        assert!(judge(None, 1e6, 1000, 1.9).to_string().contains("1.9 of"));
    }
}
