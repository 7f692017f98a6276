//! What can bound a row, and how that is said.

use std::fmt;

use super::capacity::Capacity;
use super::failures::FailedBy;
use crate::system;
use crate::units::show_count;

/// What bounds a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// There is no device: software on the jobs' own threads.
    Inline,
    /// The engines are as busy as they can be.
    Device { capacity: Capacity },
    /// There are too few jobs to keep them busy.
    TooFewJobs { capacity: Capacity, used: f64 },
    /// The rings are too short to keep them busy.
    Ring { capacity: Capacity, used: f64 },
    /// The host cannot feed the device faster, or take its answers.
    Host {
        capacity: Option<Capacity>,
        cpus: f64,
    },
    /// The workers compute results more slowly than the engines would be done with them.
    Computed {
        capacity: Capacity,
        computed_per_s: f64,
    },
    /// The host of the model, which does one operation after the other.
    ModelledHost { ops_per_s: f64 },
    /// Jobs wait for the timer that polls.
    Timer,
    /// Time goes by in which neither host nor device works.
    Waiting {
        used: Option<f64>,
        /// In real time.
        cpus: Option<f64>,
        failed: FailedBy,
    },
    /// On a virtual clock: as many engines as requests.
    None { host_ops_per_s: Option<f64> },
    /// An open loop does what it was asked to.
    KeepsUp { rate: f64, used: Option<f64> },
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |ops_per_s: f64| show_count(ops_per_s as u64);
        // Of several rows the figures are those of the fastest one.
        let most = if f.alternate() { " at most" } else { "" };
        match self {
            Bound::Inline => f.write_str(
                "inline: software computes on the jobs' own threads, nothing pauses; this is what a device has to beat",
            ),
            Bound::Device { capacity } => write!(
                f,
                "device-bound: the engines can do {} ops/s; {} jobs in flight would do, more only add latency",
                count(capacity.ops_per_s),
                show_count(capacity.jobs_enough),
            ),
            Bound::TooFewJobs { capacity, used } => {
                write!(
                    f,
                    "too few jobs in flight: the engines are used to {:.0} %{most}; {} jobs would do",
                    used * 100.0,
                    show_count(capacity.jobs_enough),
                )?;
                match capacity.host_ops_per_s {
                    Some(host) => write!(
                        f,
                        " for the {} ops/s that the host does by `host.op_ns` of the device file, fewer than the engines",
                        count(host)
                    ),
                    None => Ok(()),
                }
            }
            Bound::Ring { capacity, used } => write!(
                f,
                "ring-bound: the engines are used to {:.0} %{most}; rings of {} in all hold fewer than the {} that would do",
                used * 100.0,
                show_count(capacity.places),
                show_count(capacity.jobs_enough),
            ),
            Bound::Computed {
                capacity,
                computed_per_s,
            } => write!(
                f,
                "compute-bound: this machine computes {} of these a second at best, and the engines could do {} ops/s; --results modelled shows the device at its own pace",
                count(*computed_per_s),
                count(capacity.ops_per_s),
            ),
            Bound::ModelledHost { ops_per_s } => write!(
                f,
                "host-bound: by `host.op_ns` of the device file one thread does {} ops/s, one after the other",
                count(*ops_per_s)
            ),
            Bound::Timer => f.write_str(
                "timer-bound: answers wait for the next poll, a millisecond apart, which is one operation for each job; use more jobs, or --completion heuristic or threads",
            ),
            Bound::Waiting { used, cpus, failed } => {
                f.write_str("waiting-bound: ")?;
                if let Some(cpus) = cpus {
                    write!(f, "{cpus:.1} of {} cpus are busy; ", system::cpus())?;
                }
                if let Some(used) = used {
                    let used = used * 100.0;
                    write!(f, "the engines are used to {used:.0} %{most} though there are jobs enough; ")?;
                }
                match failed.total() {
                    0 => f.write_str(
                        "the rest is faults, time-outs, polls, or what else this machine does; --stages tells which part of an operation's time it is",
                    ),
                    n => write!(
                        f,
                        "{} operations failed ({failed}), and the rest is what these and late answers are waited for",
                        show_count(n)
                    ),
                }
            }
            Bound::None { host_ops_per_s } => {
                f.write_str("too few jobs in flight: the device has an engine for each request, so more jobs do more")?;
                match host_ops_per_s {
                    Some(host) => write!(
                        f,
                        ", up to the {} ops/s that the host does by `host.op_ns` of the device file",
                        count(*host)
                    ),
                    None => Ok(()),
                }
            }
            Bound::KeepsUp { rate, used } => {
                write!(f, "keeps up with {rate} ops/s")?;
                match used {
                    Some(used) => write!(f, "; the engines are used to {:.0} %{most}", used * 100.0),
                    None => Ok(()),
                }
            }
            Bound::Host { capacity, cpus } => {
                write!(
                    f,
                    "host-bound: {cpus:.1} of {} cpus are busy, the device's workers included",
                    system::cpus()
                )?;
                match capacity {
                    Some(c) => write!(f, "; the engines could do {} ops/s", count(c.ops_per_s)),
                    None => f.write_str("; the device itself has no bound"),
                }
            }
        }
    }
}
