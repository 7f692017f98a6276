//! The report's rows as CSV: a header, then a line per row. Nested fields are joined with `_`.

use super::{Report, Row};
use crate::error::RunError;
use crate::out::Out;

const HEADER: [&str; 37] = [
    "seed",
    "engine",
    "device",
    "clock",
    "runtime",
    "notify",
    "op",
    "size_bytes",
    "jobs",
    "threads",
    "completed",
    "failed",
    "cancelled",
    "orphaned",
    "retries",
    "pauses",
    "spurious_resumes",
    "wakes",
    "wall_s",
    "cpu_user_s",
    "cpu_sys_s",
    "ops_per_s",
    "bytes_per_s",
    "latency_us_mean",
    "latency_us_p50",
    "latency_us_p90",
    "latency_us_p99",
    "latency_us_p999",
    "latency_us_max",
    "in_flight_mean",
    "in_flight_max",
    "engine_utilisation",
    "results",
    "verified",
    "host_os",
    "host_arch",
    "host_cpus",
];

/// Writes them.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut record = |fields: &[String]| {
        // Into memory, and all records are as long as the header.
        writer.write_record(fields).map_err(as_io)
    };
    record(&HEADER.map(str::to_owned))?;
    for row in &report.rows {
        record(&fields(report, row))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| RunError::Stdout(e.into_error()))?;
    out.write(&bytes)
}

fn as_io(error: csv::Error) -> RunError {
    RunError::Stdout(error.into())
}

fn fields(report: &Report, row: &Row) -> [String; HEADER.len()] {
    let latency = &row.latency_us;
    let text = |text: &str| text.to_owned();
    [
        report.seed.to_string(),
        text(row.engine),
        row.device.clone().unwrap_or_default(),
        text(row.clock),
        text(row.runtime),
        text(row.notify),
        text(row.op),
        row.size_bytes.to_string(),
        row.jobs.to_string(),
        row.threads.to_string(),
        row.completed.to_string(),
        row.failed.to_string(),
        row.cancelled.to_string(),
        row.orphaned.to_string(),
        row.retries.to_string(),
        row.pauses.to_string(),
        row.spurious_resumes.to_string(),
        row.wakes.to_string(),
        row.wall_s.to_string(),
        row.cpu_user_s.to_string(),
        row.cpu_sys_s.to_string(),
        row.ops_per_s.to_string(),
        row.bytes_per_s.to_string(),
        latency.mean.to_string(),
        latency.p50.to_string(),
        latency.p90.to_string(),
        latency.p99.to_string(),
        latency.p999.to_string(),
        latency.max.to_string(),
        row.in_flight.mean.to_string(),
        row.in_flight.max.to_string(),
        row.engine_utilisation
            .map(|u| u.to_string())
            .unwrap_or_default(),
        text(row.results),
        row.verified.to_string(),
        text(report.host.os),
        text(report.host.arch),
        report.host.cpus.to_string(),
    ]
}
