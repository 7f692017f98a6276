//! The report's rows as CSV: a header, then a line per row. Nested fields are joined with `_`.

use super::{Report, Row, STAGE_NAMES};
use crate::error::RunError;
use crate::out::Out;

/// Before those of the stages.
const HEADER: [&str; 46] = [
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
    "completion",
    "loop",
    "rate_per_s",
    "not_begun",
    "cpu_us_per_op",
    "host_cpu_us_per_op",
    "software_cpu_us_per_op",
    "offload_ratio",
    "context_switches_per_op",
];

/// Of each stage.
const OF_A_STAGE: [&str; 3] = ["mean", "p50", "p99"];

/// Writes them.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut record = |fields: &[String]| {
        // Into memory, and all records are as long as the header.
        writer.write_record(fields).map_err(as_io)
    };
    let mut header = HEADER.map(str::to_owned).to_vec();
    for stage in STAGE_NAMES {
        header.extend(OF_A_STAGE.map(|figure| format!("stages_us_{stage}_{figure}")));
    }
    header.push("failed_by".to_owned());
    header.push("repeat".to_owned());
    record(&header)?;
    for row in &report.rows {
        let mut fields = fields(report, row).to_vec();
        fields.extend(stages(row));
        fields.push(row.failed_by.to_string());
        fields.push(row.repeat.to_string());
        record(&fields)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| RunError::Stdout(e.into_error()))?;
    out.write(&bytes)
}

/// The figures of each stage; empty where they were not measured.
fn stages(row: &Row) -> Vec<String> {
    let Some(stages) = &row.stages_us else {
        return vec![String::new(); STAGE_NAMES.len() * OF_A_STAGE.len()];
    };
    let stages = stages.in_order();
    let figures = (stages.iter()).flat_map(|l| [Some(l.mean), Some(l.p50), l.p99]);
    figures.map(option).collect()
}

/// Empty if there is none.
fn option(figure: Option<f64>) -> String {
    figure.map(|f| f.to_string()).unwrap_or_default()
}

fn as_io(error: csv::Error) -> RunError {
    RunError::Stdout(error.into())
}

fn fields(report: &Report, row: &Row) -> [String; HEADER.len()] {
    let latency = &row.latency_us;
    let text = |text: &str| text.to_owned();
    [
        report.seed.to_string(),
        text(&row.engine),
        row.device.clone().unwrap_or_default(),
        text(&row.clock),
        text(&row.runtime),
        text(&row.notify),
        text(&row.op),
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
        option(latency.p99),
        option(latency.p999),
        latency.max.to_string(),
        row.in_flight.mean.to_string(),
        row.in_flight.max.to_string(),
        option(row.engine_utilisation),
        text(&row.results),
        row.verified.to_string(),
        text(&report.host.os),
        text(&report.host.arch),
        report.host.cpus.to_string(),
        text(&row.completion),
        text(&row.load),
        option(row.rate_per_s),
        row.not_begun.to_string(),
        option(row.cpu_us_per_op),
        option(row.host_cpu_us_per_op),
        option(row.software_cpu_us_per_op),
        option(row.offload_ratio),
        option(row.context_switches_per_op),
    ]
}
