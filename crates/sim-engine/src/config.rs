//! Device files: what a simulated device is like.

use std::collections::BTreeMap;
use std::time::Duration;

use offload::OpKind;
use serde::Deserialize;

use crate::preset::presets;

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
    /// The device's name: lower case, for reports.
    pub name: String,
    /// One sentence on what it is.
    #[serde(default)]
    pub summary: String,
    /// Modelled engines that work in parallel, 1 to 4096. 0: as many as there are requests.
    #[serde(default)]
    pub engines: u32,
    /// Host threads that compute the results, 1 to 256. Default: 1.
    #[serde(default = "one")]
    pub workers: u32,
    /// Rings, each with its own bound, 1 to 64. Requests go round them. Default: 1.
    #[serde(default = "one")]
    pub instances: u32,
    /// The most requests in flight per ring, 1 to 1,048,576; in all rings together not more.
    /// Default: 512.
    #[serde(default = "default_ring_depth")]
    pub ring_depth_max: u32,
    /// Who completes requests: in a file `threads` (the default), `poll` or `before-pause`.
    #[serde(default)]
    pub completions: Completions,
    /// Requests of fewer bytes are computed on the spot and never reach the device. 0: none.
    #[serde(default)]
    pub inline_below_bytes: usize,
    /// Times on the way to the device and back.
    #[serde(default)]
    pub link: LinkTime,
    /// Time on an engine, for operations that `service` does not list.
    #[serde(default)]
    pub service_default: ServiceTime,
    /// Time on an engine, by operation: tables named as [`OpKind::name`] spells them.
    #[serde(default)]
    pub service: BTreeMap<String, ServiceTime>,
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

/// Faults, each as the share of operations that it strikes, from 0 to 1. Which operations those
/// are depends on the seed and the operation's id only. An operation is struck by at most one of
/// `error`, `wrong` and `lost`; their sum is at most 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Faults {
    /// Refused as if the ring were full.
    #[serde(default)]
    pub ring_full: f64,
    /// On an engine for longer, which is busy meanwhile.
    #[serde(default)]
    pub slow: Slow,
    /// Never answered.
    #[serde(default)]
    pub lost: f64,
    /// Answered with an error status.
    #[serde(default)]
    pub error: f64,
    /// Answered with one bit wrong.
    #[serde(default)]
    pub wrong: f64,
    /// Answered twice.
    #[serde(default)]
    pub duplicate: f64,
    /// Answered, and nobody is told.
    #[serde(default)]
    pub untold: f64,
    /// Somebody is told before there is an answer.
    #[serde(default)]
    pub spurious: f64,
}

/// Operations that take longer than modelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The share of operations, from 0 to 1.
    #[serde(default)]
    pub share: f64,
    /// How much longer, in nanoseconds; at most an hour.
    #[serde(default)]
    pub extra_ns: u64,
}

impl Faults {
    /// Whether nothing ever goes wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Faults::default()
    }
}

fn one() -> u32 {
    1
}

fn default_ring_depth() -> u32 {
    512
}

/// What is wrong with a device file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFileError {
    /// It is not TOML, or a value is of the wrong type, or a name is not known.
    #[error("{}", one_line(.0))]
    Parse(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{field} is {value}; give {expected}")]
    Range {
        /// The value's name.
        field: String,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table of `service` is for an operation that does not exist.
    #[error(
        "[service.{name}] is for no operation; the operations are {}",
        all_ops()
    )]
    UnknownOp {
        /// The table's name.
        name: String,
    },
}

/// TOML's errors draw a picture over several lines; here is the sentence.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let place = text.lines().next().unwrap_or("").trim_end_matches(':');
    let place = place.strip_prefix("TOML parse error at ").unwrap_or(place);
    format!("{place}: {}", error.message().replace('\n', "; "))
}

fn all_ops() -> String {
    OpKind::ALL.map(OpKind::name).join(", ")
}

/// An hour in nanoseconds: no modelled time is longer.
const HOUR_NS: u64 = 3_600_000_000_000;

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
        config.check()?;
        Ok(config)
    }

    /// Whether all values are in their ranges.
    ///
    /// # Errors
    ///
    /// [`DeviceFileError`] for the first that is not.
    pub fn check(&self) -> Result<(), DeviceFileError> {
        let whole = |field, value: u32, min, max, expected| {
            in_range(field, value, (min..=max).contains(&value), expected)
        };
        in_range(
            "name",
            &self.name,
            !self.name.is_empty() && !self.name.chars().any(char::is_control),
            "a name that is not empty, on one line",
        )?;
        whole("engines", self.engines, 0, 4096, "0 (no bound) to 4096")?;
        whole("workers", self.workers, 1, 256, "1 to 256")?;
        whole("instances", self.instances, 1, 64, "1 to 64")?;
        whole(
            "ring_depth_max",
            self.ring_depth_max,
            1,
            1 << 20,
            "1 to 1048576",
        )?;
        let places = u64::from(self.instances) * u64::from(self.ring_depth_max);
        in_range(
            "instances × ring_depth_max",
            places,
            places <= 1 << 20,
            "at most 1048576 in all",
        )?;
        let inline_max = offload::MAX_DATA_BYTES;
        in_range(
            "inline_below_bytes",
            self.inline_below_bytes,
            self.inline_below_bytes <= inline_max,
            "at most 1073741824",
        )?;
        check_time("link", self.link.fixed_ns, self.link.per_byte_ns)?;
        let default = self.service_default;
        check_time("service_default", default.fixed_ns, default.per_byte_ns)?;
        for (name, time) in &self.service {
            if OpKind::from_name(name).is_none() {
                return Err(DeviceFileError::UnknownOp { name: name.clone() });
            }
            check_time(&format!("service.{name}"), time.fixed_ns, time.per_byte_ns)?;
        }
        self.faults.check()
    }

    /// Time on an engine for `bytes` bytes of `op`.
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
}

impl Faults {
    fn check(&self) -> Result<(), DeviceFileError> {
        let shares = [
            ("ring_full", self.ring_full),
            ("slow.share", self.slow.share),
            ("lost", self.lost),
            ("error", self.error),
            ("wrong", self.wrong),
            ("duplicate", self.duplicate),
            ("untold", self.untold),
            ("spurious", self.spurious),
            ("lost + error + wrong", self.lost + self.error + self.wrong),
        ];
        for (field, share) in shares {
            let field = format!("faults.{field}");
            in_range(
                &field,
                share,
                (0.0..=1.0).contains(&share),
                "a share from 0 to 1",
            )?;
        }
        check_time("faults.slow", self.slow.extra_ns, 0.0)
    }
}

fn check_time(field: &str, fixed_ns: u64, per_byte_ns: f64) -> Result<(), DeviceFileError> {
    let fixed = format!("{field} time");
    in_range(
        &fixed,
        fixed_ns,
        fixed_ns <= HOUR_NS,
        "at most an hour (3600000000000 ns)",
    )?;
    let per_byte = format!("{field}.per_byte_ns");
    in_range(
        &per_byte,
        per_byte_ns,
        (0.0..=1e6).contains(&per_byte_ns),
        "0 to 1000000",
    )
}

fn in_range(
    field: &str,
    value: impl ToString,
    good: bool,
    expected: &'static str,
) -> Result<(), DeviceFileError> {
    if good {
        return Ok(());
    }
    Err(DeviceFileError::Range {
        field: field.to_owned(),
        value: value.to_string().escape_debug().to_string(),
        expected,
    })
}

fn duration(fixed_ns: u64, per_byte_ns: f64, bytes: usize) -> Duration {
    // At most 2^30 bytes of 10^6 ns: exact enough in an f64, and far inside a u64.
    let bytes_ns = (bytes as f64 * per_byte_ns) as u64;
    Duration::from_nanos(fixed_ns.saturating_add(bytes_ns))
}
