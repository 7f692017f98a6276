//! Device files: what a simulated device is like.

use std::collections::BTreeMap;
use std::time::Duration;

use offload::OpKind;
use serde::Deserialize;

use crate::preset::presets;

mod check;
mod error;
mod faults;

pub use error::DeviceFileError;
pub use faults::{FaultName, Faults, Late, ScriptedFault, Slow, Stall};

/// A device, as a device file describes it. Only `name` is required.
///
/// ```toml
/// name = "my-card"
/// engines = 10            # modelled, working in parallel
/// ring_depth_max = 512    # in flight per instance
///
/// [service.sha256]
/// fixed_ns = 2_000
/// per_byte_ns = 2.5
///
/// [faults]
/// error = 0.01            # one operation in a hundred fails
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeviceConfig {
    /// The device's name, for reports: on one line.
    pub name: String,
    /// One sentence on what it is.
    #[serde(default)]
    pub summary: String,
    /// Devices of this kind that are used as one, 1 to 16: each has its own engines and rings, and
    /// dies alone. Intel calls them endpoints. Default: 1.
    #[serde(default = "one")]
    pub endpoints: u32,
    /// Modelled engines of an endpoint that work in parallel, 1 to 4096. 0: as many as there are
    /// requests. Default: 0.
    #[serde(default)]
    pub engines: u32,
    /// Host threads that compute the results, 1 to 256. Default: 1.
    #[serde(default = "one")]
    pub workers: u32,
    /// Instances of an endpoint, each with a ring of its own, 1 to 64. Default: 1.
    #[serde(default = "one")]
    pub instances: u32,
    /// How a request finds its instance. Default: `round-robin`.
    #[serde(default)]
    pub instance_choice: InstanceChoice,
    /// The most requests in flight per ring, 1 to 1,048,576; in all rings together not more.
    /// Default: 512.
    #[serde(default = "default_ring_depth")]
    pub ring_depth_max: u32,
    /// The same for asymmetric operations, which then have rings of their own. 0: they share the
    /// instance's one ring. Default: 0.
    #[serde(default)]
    pub asym_ring_depth_max: u32,
    /// Who completes requests: in a file `threads` (the default), `poll` or `before-pause`.
    #[serde(default)]
    pub completions: Completions,
    /// Requests of fewer bytes are computed on the spot and never reach the device; asymmetric ones
    /// always do. 0: none. Default: 0.
    #[serde(default)]
    pub inline_below_bytes: usize,
    /// Whether results are real. Default: `auto`.
    #[serde(default)]
    pub results: Results,
    /// Times on the way to the device and back. Default: none.
    #[serde(default)]
    pub link: LinkTime,
    /// Time on an engine, for operations that `service` does not list. Default: none.
    #[serde(default)]
    pub service_default: ServiceTime,
    /// Time on an engine, by operation: tables named as [`OpKind::name`] spells them.
    #[serde(default)]
    pub service: BTreeMap<String, ServiceTime>,
    /// How much service times vary. Default: not at all.
    #[serde(default)]
    pub jitter: Jitter,
    /// How the host comes to see an answer that is there. Default: at once.
    #[serde(default)]
    pub detection: Detection,
    /// Requests that are carried out several at a time. Default: each alone.
    #[serde(default)]
    pub batch: Batch,
    /// The rate above which requests are refused. Default: none.
    #[serde(default)]
    pub throttle: Throttle,
    /// How death is noticed, and whether it is final.
    #[serde(default)]
    pub heartbeat: Heartbeat,
    /// What the host's own work costs in virtual time. Default: nothing.
    #[serde(default)]
    pub host: HostCost,
    /// What goes wrong, and how often.
    #[serde(default)]
    pub faults: Faults,
}

/// Who completes a device's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Completions {
    /// The device's worker threads.
    #[default]
    Threads,
    /// Whoever polls the device.
    Poll,
    /// `submit` itself, before the job pauses: what OpenSSL's `dasync` engine did.
    BeforePause,
}

/// How a request finds its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum InstanceChoice {
    /// Each request takes the next one that has room.
    #[default]
    RoundRobin,
    /// All requests of a thread take the same one, and wait for room there; if its endpoint is down,
    /// another.
    Thread,
}

/// Whether a device's results are real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Results {
    /// Computed, but for asymmetric operations on a virtual clock: there a device would wait for its
    /// host, which is slower.
    #[default]
    Auto,
    /// Computed in software.
    Computed,
    /// Not computed: the data comes back as it went, and there is no output. For devices that are
    /// faster than the host that simulates them. Nothing can be verified then.
    Modelled,
}

/// Time that a request spends on an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTime {
    /// For any request, in nanoseconds; at most an hour.
    #[serde(default)]
    pub fixed_ns: u64,
    /// For each byte, in nanoseconds; at most a millisecond.
    #[serde(default)]
    pub per_byte_ns: f64,
}

/// Time that a request spends on the link, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTime {
    /// For any request, each way, in nanoseconds; at most an hour.
    #[serde(default)]
    pub fixed_ns: u64,
    /// For each byte, each way, in nanoseconds; at most a millisecond.
    #[serde(default)]
    pub per_byte_ns: f64,
}

/// How service times vary: each is multiplied by a random factor with a mean of 1, which depends on
/// the seed and the operation's id only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jitter {
    /// The factor's distribution.
    #[serde(default)]
    pub kind: JitterKind,
    /// For `uniform`: half the width, so that the factor is from 1 − spread to 1 + spread. For
    /// `log-normal`: the standard deviation of the factor's logarithm. 0 to 1.
    #[serde(default)]
    pub spread: f64,
}

/// A distribution with a mean of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JitterKind {
    /// Always 1.
    #[default]
    None,
    /// Each value of a range as likely as any other.
    Uniform,
    /// Exponential: the service times of queueing theory's M/M/k.
    Exponential,
    /// Log-normal: most near the median, a few far above.
    LogNormal,
}

/// How the host comes to see an answer that is in its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// A polling thread looks each so many nanoseconds, at whole multiples of it; at most a second.
    /// 0: all the time.
    #[serde(default)]
    pub every_ns: u64,
    /// An answer waits for others so many nanoseconds at most, and all are told together, as by an
    /// interrupt that is coalesced; at most a second. 0: it does not wait.
    #[serde(default)]
    pub coalesce_ns: u64,
    /// So many answers are told at once without waiting for more. 0: no such bound.
    #[serde(default)]
    pub coalesce_max: u32,
}

/// Requests that are carried out several at a time, as multi-buffer software does with the lanes of
/// vector registers. A batch is of one kind of operation, and takes an engine for as long as its
/// longest request would alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Requests in a full batch, at most 64. 0 and 1: no batches.
    #[serde(default)]
    pub size: u32,
    /// A batch that is not full starts so many nanoseconds after its first request; at most a minute.
    #[serde(default)]
    pub flush_ns: u64,
}

/// The rate above which requests are refused, as cloud HSMs do: a bucket of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests a second, up to 1e9. 0: no bound.
    #[serde(default)]
    pub ops_per_s: f64,
    /// Requests at once after a rest, at least 1. Default: 1.
    #[serde(default = "one")]
    pub burst: u32,
}

/// How the driver notices that an endpoint has died, and what it does then: it fails what is in
/// flight there, and resets it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Nanoseconds between two looks at the endpoint's counters; at most a minute. Default: 500 ms,
    /// as in Linux's driver for Intel QAT.
    #[serde(default = "default_heartbeat")]
    pub period_ns: u64,
    /// Looks without progress after which it is dead, 1 to 100. Default: 3, as there.
    #[serde(default = "default_misses")]
    pub misses: u32,
    /// Nanoseconds that a reset takes, after which the endpoint works again; at most an hour. 0: it
    /// is not reset.
    #[serde(default)]
    pub restart_ns: u64,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat {
            period_ns: default_heartbeat(),
            misses: default_misses(),
            restart_ns: 0,
        }
    }
}

/// What the host's own work costs. In virtual time nothing does, unless it is said here; in real time
/// it costs what it costs, and this is of no account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCost {
    /// For an operation, from the start of its job to the end, in nanoseconds; at most a second.
    #[serde(default)]
    pub op_ns: u64,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            ops_per_s: 0.0,
            burst: one(),
        }
    }
}

fn one() -> u32 {
    1
}

fn default_ring_depth() -> u32 {
    512
}

fn default_heartbeat() -> u64 {
    500_000_000
}

fn default_misses() -> u32 {
    3
}

impl DeviceConfig {
    /// The preset called `name`, or nothing; see [`presets`].
    #[must_use]
    pub fn preset(name: &str) -> Option<DeviceConfig> {
        let preset = presets().iter().find(|p| p.name == name)?;
        DeviceConfig::from_toml(preset.toml).ok()
    }

    /// A device of the text of a device file.
    ///
    /// # Errors
    ///
    /// [`DeviceFileError`], in one sentence with the place.
    pub fn from_toml(text: &str) -> Result<DeviceConfig, DeviceFileError> {
        let config: DeviceConfig = toml::from_str(text)?;
        config.check().map_err(|error| error.found_in(text))?;
        Ok(config)
    }

    /// Time on an engine for `bytes` bytes of `op`, without what varies.
    #[must_use]
    pub fn service_time(&self, op: OpKind, bytes: usize) -> Duration {
        let time = self.service.get(op.name()).unwrap_or(&self.service_default);
        duration(time.fixed_ns, time.per_byte_ns, bytes)
    }

    /// Time on the link, one way, for `bytes` bytes.
    #[must_use]
    pub fn link_time(&self, bytes: usize) -> Duration {
        duration(self.link.fixed_ns, self.link.per_byte_ns, bytes)
    }

    /// Whether `op` is computed on this device, by its `results`.
    #[must_use]
    pub fn computes(&self, op: OpKind, on_a_virtual_clock: bool) -> bool {
        match self.results {
            Results::Computed => true,
            Results::Modelled => false,
            Results::Auto => !(on_a_virtual_clock && op.is_asymmetric()),
        }
    }

    /// Whether anything takes time here that the host does not spend itself.
    pub(crate) fn is_timed(&self) -> bool {
        let takes = |fixed: u64, per_byte: f64| fixed > 0 || per_byte > 0.0;
        let faults = &self.faults;
        takes(self.link.fixed_ns, self.link.per_byte_ns)
            || std::iter::once(&self.service_default)
                .chain(self.service.values())
                .any(|time| takes(time.fixed_ns, time.per_byte_ns))
            || takes(
                self.detection.every_ns | self.detection.coalesce_ns | faults.slow.extra_ns,
                0.0,
            )
            || takes(faults.late.extra_ns, 0.0)
            || self.batch.size > 1
            || faults.strike_endpoints()
    }
}

fn duration(fixed_ns: u64, per_byte_ns: f64, bytes: usize) -> Duration {
    // At most 2^30 bytes of 10^6 ns: exact enough in an f64, and far inside a u64.
    let bytes_ns = (bytes as f64 * per_byte_ns) as u64;
    Duration::from_nanos(fixed_ns.saturating_add(bytes_ns))
}
