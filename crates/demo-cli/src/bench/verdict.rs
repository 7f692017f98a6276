//! What the figures mean, in words.

use std::fmt;
use std::mem::discriminant;

use offload::OpKind;
use sim_engine::{Completions, DeviceConfig};

use super::options::BenchOptions;
use super::pace::{POLL_EVERY, nanos};
use super::row::RowResult;
use crate::cli::CompletionName;
use crate::report::Row;
use crate::system;
use crate::units::show_count;

/// At this share of what the device can do, it is the device that bounds.
const BOUND_FROM: f64 = 0.85;
/// At this share of its rate, an open loop keeps up: a row also lasts until its last answer.
const KEEPS_UP_FROM: f64 = 0.9;
/// At this share of an operation for each job and look, it is the timer that bounds: a look may come
/// late.
const TIMER_BOUND_FROM: f64 = 0.6;

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
    /// The host of the model, which does one operation after the other.
    ModelledHostBound { ops_per_s: f64 },
    /// Jobs wait for the timer that polls.
    TimerBound,
    /// On a virtual clock: time goes by in which neither works.
    Waiting { share: f64 },
    /// On a virtual clock: as many engines as requests.
    NoBound,
    /// An open loop does what it was asked to.
    KeepsUp { rate: f64, share: Option<f64> },
}

/// What a row is judged by, beside the device.
#[derive(Clone, Copy, Debug)]
struct Facts {
    ops_per_s: f64,
    jobs: u64,
    /// Busy processors.
    cpus: f64,
    /// Of an open loop.
    rate: Option<f64>,
    /// A timer polls the device.
    polled: bool,
    /// On a virtual clock, what the model's host can do: an operation after the other.
    modelled_host: Option<f64>,
}

/// A line for each kind of verdict, with the figures of its fastest row, and the rows that it
/// holds for.
pub(crate) fn lines(options: &BenchOptions, results: &[RowResult]) -> Vec<String> {
    let device = options.engine.device();
    let mut rows: Vec<_> = results.iter().filter(|r| r.row.completed > 0).collect();
    rows.sort_by(|a, b| b.row.ops_per_s.total_cmp(&a.row.ops_per_s));
    let mut lines: Vec<(Verdict, (usize, bool), Vec<&str>)> = Vec::new();
    for RowResult {
        name, case, row, ..
    } in &rows
    {
        let polled = case.completion == Some(CompletionName::Poll);
        let verdict = match device {
            None => Verdict::Inline,
            Some(device) => {
                let wait_ns = if polled { nanos(POLL_EVERY) } else { 0 };
                let host_ns = match options.is_virtual() {
                    true => device.host.op_ns,
                    false => 0,
                };
                let facts = Facts {
                    ops_per_s: row.ops_per_s,
                    jobs: row.jobs as u64,
                    cpus: (row.cpu_user_s + row.cpu_sys_s) / row.wall_s,
                    rate: row.rate_per_s,
                    polled,
                    modelled_host: options.is_virtual().then_some(1e9 / host_ns as f64),
                };
                let capacity = capacity(device, options.op, case.size, wait_ns + host_ns);
                judge(capacity, facts)
            }
        };
        // Of the same capacity.
        let kind = (case.size, polled);
        let same = |known: &Verdict| discriminant(known) == discriminant(&verdict);
        let line = lines.iter_mut().find(|(v, k, _)| *k == kind && same(v));
        match line {
            Some((_, _, names)) => names.push(name),
            None => lines.push((verdict, kind, vec![name])),
        }
    }
    let between = match rows.iter().any(|r| r.name.contains(',')) {
        true => "; ",
        false => ", ",
    };
    let one = lines.len() == 1;
    let verdicts = lines.into_iter().map(|(verdict, _, names)| match one {
        true => verdict.to_string(),
        false => format!("{}: {verdict}", names.join(between)),
    });
    let offload = rows.first().and_then(|r| offload(&r.name, &r.row));
    offload.into_iter().chain(verdicts).collect()
}

/// What handing operations over saves the host, in the fastest row.
fn offload(name: &str, row: &Row) -> Option<String> {
    let (host, software) = row.host_cpu_us_per_op.zip(row.software_cpu_us_per_op)?;
    let ratio = row.offload_ratio?;
    let so = match ratio > 0.0 {
        true => format!("{:.0} % are offloaded", ratio * 100.0),
        false => "handing it over costs more than doing it".to_owned(),
    };
    Some(format!(
        "{name}: the jobs' own threads spend {host:.2} µs of processor time on an operation, and software {software:.2} µs: {so}"
    ))
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

/// What `device` can do, if its engines are bounded and take time. An operation is away for `away_ns`
/// beside what the device file says.
fn capacity(device: &DeviceConfig, op: OpKind, size: usize, away_ns: u64) -> Option<Capacity> {
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
    on_device.then(|| {
        let at_once = f64::from(device.engines * device.endpoints * device.batch.size.max(1));
        let whole_ns = service_ns + link_ns + (detection_ns + away_ns) as f64;
        Capacity {
            ops_per_s: at_once * 1e9 / service_ns,
            jobs_enough: (at_once * whole_ns / service_ns).ceil() as u64,
            places: u64::from(device.endpoints)
                * u64::from(device.instances)
                * u64::from(device.ring_depth_max),
        }
    })
}

fn judge(capacity: Option<Capacity>, facts: Facts) -> Verdict {
    let Facts {
        ops_per_s,
        jobs,
        cpus,
        ..
    } = facts;
    let share = capacity.map(|c| ops_per_s / c.ops_per_s);
    if let Some(rate) = facts.rate
        && ops_per_s >= KEEPS_UP_FROM * rate
    {
        return Verdict::KeepsUp { rate, share };
    }
    if let Some((capacity, share)) = capacity.zip(share)
        && share >= BOUND_FROM
    {
        return Verdict::DeviceBound { capacity };
    }
    // Each job at most one operation from one look to the next.
    if facts.polled && ops_per_s >= TIMER_BOUND_FROM * jobs as f64 / POLL_EVERY.as_secs_f64() {
        return Verdict::TimerBound;
    }
    if let Some(host) = facts.modelled_host
        && ops_per_s >= BOUND_FROM * host
    {
        return Verdict::ModelledHostBound { ops_per_s: host };
    }
    match (capacity.zip(share), facts.modelled_host) {
        (Some((capacity, share)), _) if jobs < capacity.jobs_enough => {
            Verdict::TooFewJobs { capacity, share }
        }
        (Some((capacity, share)), _) if capacity.places < capacity.jobs_enough => {
            Verdict::RingBound { capacity, share }
        }
        (Some((_, share)), Some(_)) => Verdict::Waiting { share },
        (None, Some(_)) => Verdict::NoBound,
        (_, None) => Verdict::HostBound { capacity, cpus },
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
            Verdict::ModelledHostBound { ops_per_s } => write!(
                f,
                "host-bound: by `host.op_ns` of the device file one thread does {} ops/s, one after the other",
                show_count(*ops_per_s as u64)
            ),
            Verdict::TimerBound => f.write_str(
                "timer-bound: answers wait for the next poll, a millisecond apart, which is one operation for each job; use more jobs, or --completion heuristic or threads",
            ),
            Verdict::Waiting { share } => write!(
                f,
                "waiting-bound: the engines are used to {:.0} % though there are jobs enough; the rest is faults, time-outs or polls, see the stages",
                share * 100.0
            ),
            Verdict::NoBound => f.write_str(
                "too few jobs in flight: the device has an engine for each request, so more jobs do more",
            ),
            Verdict::KeepsUp { rate, share } => {
                write!(f, "keeps up with {rate} ops/s")?;
                match share {
                    Some(share) => write!(f, "; the engines are used to {:.0} %", share * 100.0),
                    None => Ok(()),
                }
            }
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
        let c = capacity(&card(), OpKind::Nop, 1024, 0).expect("bounded");
        assert!((c.ops_per_s - 33_333.3).abs() < 1.0);
        assert_eq!((c.jobs_enough, c.places), (11, 64));
        let ideal = DeviceConfig::preset("ideal").expect("a preset");
        assert_eq!(capacity(&ideal, OpKind::Nop, 1024, 0), None);
    }

    #[test]
    fn verdicts() {
        let c = capacity(&card(), OpKind::Nop, 1024, 0).expect("bounded");
        let facts = |ops_per_s, jobs| Facts {
            ops_per_s,
            jobs,
            cpus: 1.0,
            rate: None,
            polled: false,
            modelled_host: None,
        };
        let verdict = |ops, jobs| judge(Some(c), facts(ops, jobs)).to_string();
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
            judge(Some(short), facts(12_000.0, 1000))
                .to_string()
                .starts_with("ring-bound")
        );
        let busy = Facts {
            cpus: 1.9,
            ..facts(1e6, 1000)
        };
        assert!(judge(None, busy).to_string().contains("1.9 of"));
    }

    #[test]
    fn verdicts_on_open_loops_and_models() {
        let c = capacity(&card(), OpKind::Nop, 1024, 8_000).expect("bounded");
        let model = |ops_per_s, jobs| Facts {
            ops_per_s,
            jobs,
            cpus: 0.0,
            rate: None,
            polled: false,
            modelled_host: Some(125_000.0),
        };
        assert!(matches!(
            judge(Some(c), model(30_000.0, 64)),
            Verdict::DeviceBound { .. }
        ));
        assert!(matches!(
            judge(Some(c), model(10_000.0, 64)),
            Verdict::Waiting { .. }
        ));
        assert!(matches!(
            judge(Some(c), model(10_000.0, 4)),
            Verdict::TooFewJobs { .. }
        ));
        assert_eq!(judge(None, model(1e4, 4)), Verdict::NoBound);
        assert!(
            judge(None, model(120_000.0, 4))
                .to_string()
                .contains("125,000 ops/s")
        );
        let polled = Facts {
            polled: true,
            ..model(3_900.0, 4)
        };
        assert_eq!(judge(Some(c), polled), Verdict::TimerBound);
        let open = |ops| Facts {
            rate: Some(10_000.0),
            ..model(ops, 64)
        };
        let kept = judge(Some(c), open(9_900.0)).to_string();
        assert_eq!(
            kept,
            "keeps up with 10000 ops/s; the engines are used to 30 %"
        );
        assert!(matches!(
            judge(Some(c), open(5_000.0)),
            Verdict::Waiting { .. }
        ));
    }
}
