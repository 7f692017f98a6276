//! The report of a bench, as data, and one exporter per format.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod table;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::bench::{BenchOptions, Comparison, Runtime, Until};
use crate::system;
use crate::units::{show_duration, show_size};

/// The version of the field names below. They are stable: fields are added, never renamed.
const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) seed: u64,
    pub(crate) host: Host,
    pub(crate) options: Options,
    pub(crate) rows: Vec<Row>,
    /// One for each way of being woken, where two runtimes took turns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) comparisons: Vec<Comparison>,
    /// Why the run ended before its last row, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The machine that ran it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) os: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) cpus: usize,
    /// The kernel's release, where it can be told.
    pub(crate) kernel: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    /// Figures of a build with debug assertions are not worth comparing.
    pub(crate) debug_build: bool,
    /// The version of libcrypto whose jobs were measured, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) libcrypto: Option<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Options {
    pub(crate) engine: &'static str,
    pub(crate) device: Option<String>,
    pub(crate) clock: &'static str,
    pub(crate) runtime: &'static str,
    pub(crate) notify: Vec<&'static str>,
    pub(crate) op: &'static str,
    pub(crate) size_bytes: usize,
    pub(crate) input: Option<String>,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    pub(crate) duration_s: Option<f64>,
    pub(crate) total: Option<u64>,
    pub(crate) timeout_s: f64,
    pub(crate) fallback: bool,
}

/// One way of being woken.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) engine: &'static str,
    pub(crate) device: Option<String>,
    pub(crate) clock: &'static str,
    pub(crate) runtime: &'static str,
    pub(crate) notify: &'static str,
    pub(crate) op: &'static str,
    pub(crate) size_bytes: usize,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    /// Operations answered with a result.
    pub(crate) completed: u64,
    /// Operations that ended in an error or a time-out.
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Answers that came when nobody waited any more.
    pub(crate) orphaned: u64,
    /// Submissions that met a full ring and waited for room.
    pub(crate) retries: u64,
    pub(crate) pauses: u64,
    /// Resumes of a job whose answer was not there.
    pub(crate) spurious_resumes: u64,
    pub(crate) wakes: u64,
    pub(crate) wall_s: f64,
    /// Of the whole process, the device's workers included.
    pub(crate) cpu_user_s: f64,
    pub(crate) cpu_sys_s: f64,
    pub(crate) ops_per_s: f64,
    pub(crate) bytes_per_s: f64,
    /// From the start of a job to its result, of the completed operations.
    pub(crate) latency_us: Latency,
    /// Not measured yet.
    pub(crate) stages_us: Option<()>,
    pub(crate) in_flight: InFlight,
    /// `None` where the engines are not modelled, or not bounded.
    pub(crate) engine_utilisation: Option<f64>,
    /// Whether results are `computed`, or only `modelled`.
    pub(crate) results: &'static str,
    /// Every response was compared with what software computes, and there was one at least.
    pub(crate) verified: bool,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// Jobs in flight.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct InFlight {
    pub(crate) mean: f64,
    /// Summed over the threads.
    pub(crate) max: usize,
}

impl Report {
    /// A report without rows.
    pub(crate) fn new(options: &BenchOptions) -> Report {
        let (duration_s, total) = match options.until {
            Until::Time(time) => (Some(time.as_secs_f64()), None),
            Until::Operations(total) => (None, Some(total)),
        };
        let libcrypto = options.runtimes.iter().find_map(|runtime| match runtime {
            Runtime::Ours => None,
            Runtime::Libcrypto(library) => Some(library.version()),
        });
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Report {
            schema: SCHEMA,
            seed: options.engine.seed,
            host: Host {
                os: std::env::consts::OS,
                arch: std::env::consts::ARCH,
                cpus: system::cpus(),
                kernel: kernel.map(|k| k.trim().to_owned()),
                memory_bytes: system::memory_bytes(),
                debug_build: cfg!(debug_assertions),
                libcrypto,
            },
            options: Options {
                engine: options.engine.name(),
                device: options.engine.device().map(|d| d.name.clone()),
                clock: "real",
                runtime: options.runtime.name(),
                notify: options.notify.iter().map(|n| n.name()).collect(),
                op: options.op.name(),
                size_bytes: options.size,
                input: options.input.as_ref().map(|p| p.display().to_string()),
                jobs: options.jobs,
                threads: options.threads,
                duration_s,
                total,
                timeout_s: options.engine.timeout.as_secs_f64(),
                fallback: options.engine.fallback,
            },
            rows: Vec::new(),
            comparisons: Vec::new(),
            error: None,
        }
    }

    /// What is run, on one line.
    pub(crate) fn summary(&self) -> String {
        let o = &self.options;
        let device = match &o.device {
            Some(device) => format!("{} ({device})", o.engine),
            None => o.engine.to_owned(),
        };
        let until = match (o.duration_s, o.total) {
            (Some(s), _) => show_duration(std::time::Duration::from_secs_f64(s)),
            (None, total) => format!("{} operations", total.unwrap_or(0)),
        };
        let threads = match o.threads {
            1 => "1 thread".to_owned(),
            n => format!("{n} threads"),
        };
        let fallback = if o.fallback {
            " with software fallback"
        } else {
            ""
        };
        let debug = if self.host.debug_build {
            ", debug build"
        } else {
            ""
        };
        let runtime = match (&self.host.libcrypto, o.runtime) {
            (None, _) => String::new(),
            (Some(version), "both") => format!(", jobs of ours and of {version} in turn"),
            (Some(version), _) => format!(", jobs of {version}"),
        };
        format!(
            "{} of {} on {device}{fallback}, {} jobs in flight on {}, {until} per row{runtime}, {} cpus, seed {}{debug}",
            o.op,
            show_size(o.size_bytes),
            o.jobs,
            threads,
            self.host.cpus,
            self.seed,
        )
    }
}

impl Latency {
    /// Of a histogram of nanoseconds.
    pub(crate) fn new(ns: &Histogram<u64>) -> Latency {
        let quantile = |q| ns.value_at_quantile(q) as f64 / 1e3;
        Latency {
            mean: ns.mean() / 1e3,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: ns.max() as f64 / 1e3,
        }
    }
}
