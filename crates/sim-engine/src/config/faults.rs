//! What goes wrong on a device.

use serde::Deserialize;

/// Faults: each as the share of operations that it strikes, from 0 to 1, and those of a script.
///
/// Which operations are struck depends on the seed and the operation's id only. An operation is
/// struck by at most one of `error`, `wrong` and `lost`; their sum is at most 1.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Faults {
    /// Refused as if the ring were full.
    #[serde(default)]
    pub ring_full: f64,
    /// Refused as if the rate were too high.
    #[serde(default)]
    pub throttled: f64,
    /// Refused as if no descriptor could be had for the notification.
    #[serde(default)]
    pub no_descriptor: f64,
    /// On an engine for longer, which is busy meanwhile.
    #[serde(default)]
    pub slow: Slow,
    /// Answered late, with no engine busy for it.
    #[serde(default)]
    pub late: Late,
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
    /// The engine that comes to it stands still first.
    #[serde(default)]
    pub stall: Stall,
    /// The endpoint dies when it comes to it.
    #[serde(default)]
    pub death: f64,
    /// Faults of one operation, or of a point in time; in any order.
    #[serde(default)]
    pub script: Vec<ScriptedFault>,
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

/// Answers that come late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// The share of operations, from 0 to 1.
    #[serde(default)]
    pub share: f64,
    /// How late, in nanoseconds; at most an hour.
    #[serde(default)]
    pub extra_ns: u64,
}

/// Engines that stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// The share of operations whose engine does, from 0 to 1.
    #[serde(default)]
    pub share: f64,
    /// For how long, in nanoseconds; at most an hour.
    #[serde(default)]
    pub for_ns: u64,
}

/// A fault of one operation (`at_op`), or of a point in time (`at_ns`): one of the two is given.
///
/// ```toml
/// [[faults.script]]
/// at_op = 17
/// fault = "lost"
///
/// [[faults.script]]
/// at_ns = 5_000_000
/// fault = "death"
/// endpoint = 1
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScriptedFault {
    /// The id of the operation.
    #[serde(default)]
    pub at_op: Option<u64>,
    /// Nanoseconds since the device was opened. For `stall` and `death`.
    #[serde(default)]
    pub at_ns: Option<u64>,
    /// What goes wrong.
    pub fault: FaultName,
    /// Whose, counted from 0: for `at_ns`. Default: 0.
    #[serde(default)]
    pub endpoint: u32,
    /// Which engine, counted from 0: for `stall` at a point in time. Default: 0.
    #[serde(default)]
    pub engine: u32,
    /// For how long, in nanoseconds: for `slow`, `late` and `stall`; at most an hour.
    #[serde(default)]
    pub for_ns: u64,
}

/// The faults of a script, named as the fields of [`Faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultName {
    /// Refused as if the ring were full.
    RingFull,
    /// Refused as if the rate were too high.
    Throttled,
    /// Refused as if no descriptor could be had for the notification.
    NoDescriptor,
    /// On an engine for longer.
    Slow,
    /// Answered late.
    Late,
    /// Never answered.
    Lost,
    /// Answered with an error status.
    Error,
    /// Answered with one bit wrong.
    Wrong,
    /// Answered twice.
    Duplicate,
    /// Answered, and nobody is told.
    Untold,
    /// Told before there is an answer.
    Spurious,
    /// An engine stands still.
    Stall,
    /// The endpoint dies.
    Death,
}

impl FaultName {
    /// All of them.
    pub const ALL: [FaultName; 13] = [
        FaultName::RingFull,
        FaultName::Throttled,
        FaultName::NoDescriptor,
        FaultName::Slow,
        FaultName::Late,
        FaultName::Lost,
        FaultName::Error,
        FaultName::Wrong,
        FaultName::Duplicate,
        FaultName::Untold,
        FaultName::Spurious,
        FaultName::Stall,
        FaultName::Death,
    ];
}

impl Faults {
    /// Whether nothing ever goes wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Faults::default()
    }

    /// Whether endpoints die or stand still.
    pub(crate) fn strike_endpoints(&self) -> bool {
        self.death > 0.0
            || self.stall.share > 0.0
            || self
                .script
                .iter()
                .any(|s| matches!(s.fault, FaultName::Stall | FaultName::Death))
    }
}
