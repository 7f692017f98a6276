//! The report of a bench, as data, and one exporter per format.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod read;
mod series;
mod spread;
pub(crate) mod table;

use std::borrow::Cow;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::bench::{
    BenchOptions, Capacity, Comparison, FailedBy, Runtime, STAGES, StageTally, Until,
};
use crate::system;
use crate::units::{show_seconds, show_size};

pub(crate) use self::series::{DeviceNote, OverTime, distribution};
pub(crate) use self::spread::Spread;

/// The version of the field names below. They are stable: fields are added, never renamed. What was added
/// since the first reports of this version has a default, so that those can still be read.
pub(crate) const SCHEMA: u32 = 1;

/// A name: one of the program's own, or one that was read.
pub(crate) type Name = Cow<'static, str>;

/// One run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) seed: u64,
    pub(crate) host: Host,
    pub(crate) options: Options,
    pub(crate) rows: Vec<Row>,
    /// One for each way of being woken, where two runtimes took turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) comparisons: Vec<Comparison>,
    /// What bounds the rows, in words: a sentence for each kind of verdict.
    #[serde(default)]
    pub(crate) verdict: Vec<String>,
    /// A row was ended by hand before its time, and those after it were left out if the run was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stopped: bool,
    /// Why the run ended before its last row, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The machine that ran it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Host {
    pub(crate) os: Name,
    pub(crate) arch: Name,
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
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Options {
    pub(crate) engine: Name,
    pub(crate) device: Option<String>,
    pub(crate) clock: Name,
    pub(crate) runtime: Name,
    pub(crate) notify: Vec<Name>,
    pub(crate) op: Name,
    /// The first of them, where the rows have several; so are the jobs.
    pub(crate) size_bytes: usize,
    pub(crate) input: Option<String>,
    pub(crate) jobs: usize,
    /// All of them.
    pub(crate) lists: Lists,
    pub(crate) threads: usize,
    pub(crate) duration_s: Option<f64>,
    pub(crate) total: Option<u64>,
    /// How often all rows were run.
    #[serde(default = "once")]
    pub(crate) repeat: usize,
    pub(crate) timeout_s: f64,
    pub(crate) fallback: bool,
    pub(crate) no_fallback: bool,
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) poisson: bool,
    pub(crate) results: Name,
}

/// What the rows are combinations of.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Lists {
    pub(crate) sizes_bytes: Vec<usize>,
    pub(crate) jobs: Vec<usize>,
    pub(crate) completion: Vec<Name>,
}

/// One way of being woken.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) engine: Name,
    pub(crate) device: Option<String>,
    pub(crate) clock: Name,
    pub(crate) runtime: Name,
    pub(crate) notify: Name,
    /// Who completes: `threads`, `poll`, `heuristic`; by the device file alone `busy-poll` or
    /// `before-pause`; `inline` without a device.
    pub(crate) completion: Name,
    pub(crate) op: Name,
    pub(crate) size_bytes: usize,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    /// How often the same row was run before: rows that differ in this only are repeats.
    #[serde(default)]
    pub(crate) repeat: usize,
    /// `closed`: a job that has finished is replaced; `open`: they begin at a rate.
    #[serde(rename = "loop")]
    pub(crate) load: Name,
    /// Of an open loop.
    pub(crate) rate_per_s: Option<f64>,
    /// Operations answered with a result.
    pub(crate) completed: u64,
    /// Operations that ended in an error or a time-out.
    pub(crate) failed: u64,
    /// The same by kind.
    pub(crate) failed_by: FailedBy,
    pub(crate) cancelled: u64,
    /// Operations of an open loop that were due and had not begun when the row was over.
    pub(crate) not_begun: u64,
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
    pub(crate) cpu_us_per_op: Option<f64>,
    /// Of the threads that run jobs only.
    pub(crate) host_cpu_us_per_op: Option<f64>,
    /// What software takes for the same operation.
    pub(crate) software_cpu_us_per_op: Option<f64>,
    /// 1 − what the host takes for an operation ÷ what software takes: below 0 where handing it over
    /// costs more than doing it.
    pub(crate) offload_ratio: Option<f64>,
    /// Of all threads.
    pub(crate) context_switches_per_op: Option<f64>,
    pub(crate) ops_per_s: f64,
    pub(crate) bytes_per_s: f64,
    /// To the result, of the completed operations: from the start of the job, and where the row has
    /// stages, from when it was to start.
    pub(crate) latency_us: Latency,
    /// `None` where they were not measured.
    pub(crate) stages_us: Option<Stages>,
    pub(crate) in_flight: InFlight,
    /// `None` where the engines are not modelled, or not bounded.
    pub(crate) engine_utilisation: Option<f64>,
    /// Whether results are `computed`, or only `modelled`.
    pub(crate) results: Name,
    /// Every response was compared with what software computes, and there was one at least.
    pub(crate) verified: bool,
    /// What the device can do by its file, where its engines are bounded and take time.
    #[serde(default)]
    pub(crate) capacity: Option<Capacity>,
    /// How many operations had which latency: pairs of microseconds and of the operations with that
    /// latency at most that are in no earlier pair. Eight pairs for each doubling.
    #[serde(default, serialize_with = "series::compact")]
    pub(crate) latency_counts: Vec<(f64, u64)>,
    /// How the row went.
    #[serde(default)]
    pub(crate) over_time: OverTime,
    /// What befell the device meanwhile, the first thousand of it; told of devices that model time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) device_events: Vec<DeviceNote>,
    /// Why the row is not a success; one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    /// `None` of fewer than [`P99_SAMPLES`] operations.
    pub(crate) p99: Option<f64>,
    /// `None` of fewer than [`P999_SAMPLES`] operations.
    pub(crate) p999: Option<f64>,
    pub(crate) max: f64,
}

/// With fewer, one in a hundred is none, and the figure the highest of all.
const P99_SAMPLES: u64 = 100;
/// With fewer, one in a thousand is a handful, and says nothing.
const P999_SAMPLES: u64 = 10_000;

/// The parts of the latency, one after the other.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Stages {
    /// From when the operation was to start until the device has taken it on: the wait for a place, the
    /// host's work, the wait for room in the ring.
    pub(crate) submit: Latency,
    /// Until an engine begins: the link, and the queue.
    pub(crate) queue: Latency,
    /// On the engine.
    pub(crate) service: Latency,
    /// Until the answer is seen: the link back, and what it takes the host to look.
    pub(crate) answer: Latency,
    /// Until the job is resumed.
    pub(crate) notify: Latency,
}

/// What they are called.
pub(crate) const STAGE_NAMES: [&str; STAGES] = ["submit", "queue", "service", "answer", "notify"];

impl Stages {
    pub(crate) fn new(tally: &StageTally) -> Stages {
        let stage = |at: usize| Latency::new(&tally.ns[at], tally.sums[at] as f64);
        Stages {
            submit: stage(0),
            queue: stage(1),
            service: stage(2),
            answer: stage(3),
            notify: stage(4),
        }
    }

    /// In the order of [`STAGE_NAMES`].
    pub(crate) fn in_order(&self) -> [Latency; STAGES] {
        [
            self.submit,
            self.queue,
            self.service,
            self.answer,
            self.notify,
        ]
    }
}

/// Jobs in flight.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
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
                os: std::env::consts::OS.into(),
                arch: std::env::consts::ARCH.into(),
                cpus: system::cpus(),
                kernel: kernel.map(|k| k.trim().to_owned()),
                memory_bytes: system::memory_bytes(),
                debug_build: cfg!(debug_assertions),
                libcrypto,
            },
            options: Options {
                engine: options.engine.name().into(),
                device: options.engine.device().map(|d| d.name.clone()),
                clock: options.clock.name().into(),
                runtime: options.runtime.name().into(),
                notify: options
                    .lists
                    .notify
                    .iter()
                    .map(|n| n.name().into())
                    .collect(),
                op: options.op.name().into(),
                // Never empty.
                size_bytes: options.lists.sizes[0],
                input: options.input.as_ref().map(|p| p.display().to_string()),
                jobs: options.lists.jobs[0],
                lists: Lists {
                    sizes_bytes: options.lists.sizes.clone(),
                    jobs: options.lists.jobs.clone(),
                    completion: completion_names(options),
                },
                threads: options.threads,
                duration_s,
                total,
                repeat: options.lists.repeat,
                timeout_s: options.engine.timeout.as_secs_f64(),
                fallback: options.engine.fallback,
                no_fallback: options.no_fallback,
                rate_per_s: options.rate,
                poisson: options.poisson,
                results: options.results().into(),
            },
            rows: Vec::new(),
            comparisons: Vec::new(),
            verdict: Vec::new(),
            stopped: false,
            error: None,
        }
    }

    /// A sentence that says so, of a run that was ended by hand.
    pub(crate) fn stopped_early(&self) -> Option<String> {
        let lists = &self.options.lists;
        let rows = lists.sizes_bytes.len() * lists.jobs.len() * lists.completion.len();
        let rows = rows * self.options.notify.len() * self.runtimes();
        // What was read may hold anything.
        let all = rows.saturating_mul(self.options.repeat);
        self.stopped
            .then(|| match all.saturating_sub(self.rows.len()) {
                0 => "stopped early: a row was ended by hand before its time".to_owned(),
                1 => "stopped early: a row was ended by hand, and the one after it was not run"
                    .to_owned(),
                n => {
                    format!("stopped early: a row was ended by hand, and {n} after it were not run")
                }
            })
    }

    /// Rows of each combination.
    fn runtimes(&self) -> usize {
        match &*self.options.runtime {
            "both" => 2,
            _ => 1,
        }
    }

    /// What is run, and on what machine, on one line.
    pub(crate) fn summary(&self) -> String {
        let debug = if self.host.debug_build {
            ", debug build"
        } else {
            ""
        };
        let (what, cpus) = (self.what(), self.host.cpus);
        format!("{what}, {cpus} cpus, seed {}{debug}", self.seed)
    }

    /// What is run: on a virtual clock the same on every machine, and in every build.
    pub(crate) fn wherever(&self) -> String {
        format!("{}, seed {}", self.what(), self.seed)
    }

    fn what(&self) -> String {
        let o = &self.options;
        let device = match &o.device {
            Some(device) => format!("{} ({device})", o.engine),
            None => o.engine.to_string(),
        };
        let until = match (o.duration_s, o.total) {
            (Some(s), _) => show_seconds(s),
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
        let runtime = match (&self.host.libcrypto, &*o.runtime) {
            (None, _) => String::new(),
            (Some(version), "both") => format!(", jobs of ours and of {version} in turn"),
            (Some(version), _) => format!(", jobs of {version}"),
        };
        let sizes: Vec<_> = (o.lists.sizes_bytes.iter().copied().map(size_with_unit)).collect();
        let jobs: Vec<_> = o.lists.jobs.iter().map(ToString::to_string).collect();
        let flow = match (o.rate_per_s, o.poisson) {
            (None, _) => "in flight, a closed loop,".to_owned(),
            (Some(rate), false) => format!("at most, an open loop of {rate} ops/s,"),
            (Some(rate), true) => format!("at most, an open loop of {rate} ops/s (Poisson),"),
        };
        let repeat = match o.repeat {
            1 => String::new(),
            n => format!(", {n} times over"),
        };
        let clock = match &*o.clock {
            "real" => "",
            _ => " of virtual time",
        };
        let modelled = match &*o.results {
            "modelled" => ", results modelled and not verified",
            _ => "",
        };
        format!(
            "{} of {} on {device}{fallback}, {} jobs {flow} on {}, {until}{clock} per row{repeat}{runtime}{modelled}",
            o.op,
            sizes.join(", "),
            jobs.join(", "),
            threads,
        )
    }
}

/// A size for people: `64 B`, `1KiB`.
pub(crate) fn size_with_unit(bytes: usize) -> String {
    let size = show_size(bytes);
    match size.ends_with('B') {
        true => size,
        false => format!("{size} B"),
    }
}

/// How often the rows of a report were run that does not say it.
fn once() -> usize {
    1
}

fn completion_names(options: &BenchOptions) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for case in options.lists.cases() {
        let name = options.completion(case);
        if !names.iter().any(|known| known == name) {
            names.push(name.into());
        }
    }
    names
}

impl Latency {
    /// Of a histogram of nanoseconds, and of their sum.
    pub(crate) fn new(ns: &Histogram<u64>, sum_ns: f64) -> Latency {
        let quantile = |q| ns.value_at_quantile(q) as f64 / 1e3;
        Latency {
            mean: sum_ns / (ns.len().max(1) as f64) / 1e3,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: (ns.len() >= P99_SAMPLES).then(|| quantile(0.99)),
            p999: (ns.len() >= P999_SAMPLES).then(|| quantile(0.999)),
            max: ns.max() as f64 / 1e3,
        }
    }
}
