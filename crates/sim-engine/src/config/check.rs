//! Whether the values of a device file are in their ranges.

use offload::OpKind;

use super::{DeviceConfig, DeviceFileError, FaultName, Faults, JitterKind, ScriptedFault};

/// In nanoseconds: no modelled time is longer.
const HOUR_NS: u64 = 3_600_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The most places in all rings together.
const PLACES_MAX: u64 = 1 << 20;

type Checked = Result<(), DeviceFileError>;

impl DeviceConfig {
    /// Whether all values are in their ranges.
    ///
    /// # Errors
    ///
    /// [`DeviceFileError`] for the first that is not.
    pub fn check(&self) -> Checked {
        in_range(
            "name",
            if self.name.is_empty() {
                "empty"
            } else {
                &self.name
            },
            !self.name.is_empty() && !self.name.chars().any(char::is_control),
            "a name that is not empty, on one line",
        )?;
        self.check_sizes()?;
        check_time("link", self.link.fixed_ns, self.link.per_byte_ns)?;
        let default = self.service_default;
        check_time("service_default", default.fixed_ns, default.per_byte_ns)?;
        for (name, time) in &self.service {
            if OpKind::from_name(name).is_none() {
                return Err(DeviceFileError::UnknownOp {
                    line: None,
                    name: name.clone(),
                });
            }
            check_time(&format!("service.{name}"), time.fixed_ns, time.per_byte_ns)?;
        }
        self.check_behaviour()?;
        self.faults.check()?;
        for (number, fault) in self.faults.script.iter().enumerate() {
            self.check_scripted(&format!("faults.script[{number}]"), fault)?;
        }
        Ok(())
    }

    fn check_sizes(&self) -> Checked {
        let whole = |field, value: u32, min, max, expected| {
            in_range(field, value, (min..=max).contains(&value), expected)
        };
        whole("endpoints", self.endpoints, 1, 16, "1 to 16")?;
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
        whole(
            "asym_ring_depth_max",
            self.asym_ring_depth_max,
            0,
            1 << 20,
            "0 (none of their own) to 1048576",
        )?;
        let rings = u64::from(self.endpoints) * u64::from(self.instances);
        let places = rings * u64::from(self.ring_depth_max);
        in_range(
            "endpoints × instances × ring_depth_max",
            places,
            places <= PLACES_MAX,
            "at most 1048576 in all",
        )?;
        let places = rings * u64::from(self.asym_ring_depth_max);
        in_range(
            "endpoints × instances × asym_ring_depth_max",
            places,
            places <= PLACES_MAX,
            "at most 1048576 in all",
        )?;
        in_range(
            "inline_below_bytes",
            self.inline_below_bytes,
            self.inline_below_bytes <= offload::MAX_DATA_BYTES,
            "at most 1073741824",
        )
    }

    fn check_behaviour(&self) -> Checked {
        let up_to =
            |field, value: u64, max, expected| in_range(field, value, value <= max, expected);
        let jitter = self.jitter;
        in_range(
            "jitter.spread",
            jitter.spread,
            (0.0..=1.0).contains(&jitter.spread),
            "0 to 1",
        )?;
        let spread_is_used = matches!(jitter.kind, JitterKind::Uniform | JitterKind::LogNormal);
        in_range(
            "jitter.spread",
            jitter.spread,
            spread_is_used || jitter.spread == 0.0,
            "none: only uniform and log-normal have one",
        )?;
        let detection = self.detection;
        let second = "at most a second (1000000000 ns)";
        up_to("detection.every_ns", detection.every_ns, SECOND_NS, second)?;
        up_to(
            "detection.coalesce_ns",
            detection.coalesce_ns,
            SECOND_NS,
            second,
        )?;
        in_range(
            "detection.coalesce_max",
            detection.coalesce_max,
            detection.coalesce_max == 0 || detection.coalesce_ns > 0,
            "none, or how long an answer waits for others: coalesce_ns",
        )?;
        in_range(
            "batch.size",
            self.batch.size,
            self.batch.size <= 64,
            "0 (no batches) to 64",
        )?;
        up_to(
            "batch.flush_ns",
            self.batch.flush_ns,
            MINUTE_NS,
            "at most a minute (60000000000 ns)",
        )?;
        in_range(
            "batch.flush_ns",
            self.batch.flush_ns,
            self.batch.size <= 1 || self.batch.flush_ns > 0,
            "how long a batch that is not full waits, at least 1",
        )?;
        let throttle = self.throttle;
        in_range(
            "throttle.ops_per_s",
            throttle.ops_per_s,
            (0.0..=1e9).contains(&throttle.ops_per_s),
            "0 (no bound) to 1000000000",
        )?;
        in_range(
            "throttle.burst",
            throttle.burst,
            throttle.burst > 0,
            "at least 1",
        )?;
        let heartbeat = self.heartbeat;
        in_range(
            "heartbeat.period_ns",
            heartbeat.period_ns,
            (1..=MINUTE_NS).contains(&heartbeat.period_ns),
            "1 to a minute (60000000000 ns)",
        )?;
        in_range(
            "heartbeat.misses",
            heartbeat.misses,
            (1..=100).contains(&heartbeat.misses),
            "1 to 100",
        )?;
        up_to(
            "heartbeat.restart_ns",
            heartbeat.restart_ns,
            HOUR_NS,
            "at most an hour (3600000000000 ns)",
        )?;
        up_to("host.op_ns", self.host.op_ns, SECOND_NS, second)
    }

    fn check_scripted(&self, field: &str, fault: &ScriptedFault) -> Checked {
        let of_the_endpoint = matches!(fault.fault, FaultName::Stall | FaultName::Death);
        let (times, one) = match (fault.at_op, fault.at_ns) {
            (None, None) => ("at no operation and no time", false),
            (Some(_), Some(_)) => ("both at_op and at_ns", false),
            _ => ("one", true),
        };
        in_range(field, times, one, "either at_op or at_ns")?;
        if let Some(ns) = fault.at_ns {
            let field = format!("{field}.at_ns");
            in_range(
                &field,
                ns,
                of_the_endpoint,
                "at_op: only stall and death strike at a point in time",
            )?;
            in_range(
                &field,
                ns,
                ns <= HOUR_NS,
                "at most an hour (3600000000000 ns)",
            )?;
        }
        in_range(
            &format!("{field}.endpoint"),
            fault.endpoint,
            fault.endpoint < self.endpoints,
            "less than endpoints",
        )?;
        in_range(
            &format!("{field}.engine"),
            fault.engine,
            fault.engine < self.engines.max(1),
            "less than engines",
        )?;
        let lasts = matches!(
            fault.fault,
            FaultName::Slow | FaultName::Late | FaultName::Stall
        );
        in_range(
            &format!("{field}.for_ns"),
            fault.for_ns,
            fault.for_ns <= HOUR_NS && lasts == (fault.for_ns > 0),
            "how long slow, late and stall last, at most an hour (3600000000000 ns), and nothing for other faults",
        )
    }
}

impl Faults {
    fn check(&self) -> Checked {
        let shares = [
            ("ring_full", self.ring_full),
            ("throttled", self.throttled),
            ("no_descriptor", self.no_descriptor),
            ("slow.share", self.slow.share),
            ("late.share", self.late.share),
            ("lost", self.lost),
            ("error", self.error),
            ("wrong", self.wrong),
            ("duplicate", self.duplicate),
            ("untold", self.untold),
            ("spurious", self.spurious),
            ("stall.share", self.stall.share),
            ("death", self.death),
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
        check_time("faults.slow", self.slow.extra_ns, 0.0)?;
        check_time("faults.late", self.late.extra_ns, 0.0)?;
        check_time("faults.stall", self.stall.for_ns, 0.0)
    }
}

fn check_time(field: &str, fixed_ns: u64, per_byte_ns: f64) -> Checked {
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

fn in_range(field: &str, value: impl ToString, good: bool, expected: &'static str) -> Checked {
    if good {
        return Ok(());
    }
    Err(DeviceFileError::Range {
        line: None,
        field: field.to_owned(),
        value: value.to_string().escape_debug().to_string(),
        expected,
    })
}
