//! Everything that a live view shows at one moment, as plain values.

use std::time::Duration;

use sim_engine::Health;

/// One moment of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// What is run: the operation, and on what.
    pub(super) op: String,
    pub(super) on: String,
    pub(super) at: Position,
    /// Whose jobs run now, where two runtimes take turns.
    pub(super) runtime: Option<&'static str>,
    /// Of a virtual clock.
    pub(super) model: Option<Model>,
    /// How many seconds a row lasts on each lane, by the wall, if that is known.
    pub(super) row_lasts: Option<f64>,
    pub(super) throughput: Throughput,
    /// `None` while nothing was completed.
    pub(super) latency: Option<Latency>,
    /// The same over time, the last one last.
    pub(super) latencies: Vec<Option<Latency>>,
    pub(super) counts: Counts,
    /// `None`: software, without a device.
    pub(super) device: Option<Device>,
    pub(super) log: Vec<Entry>,
    pub(super) finished: Vec<Finished>,
}

/// How far the run has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    pub(super) row: String,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) rows: usize,
    /// Of the row, from 0 to 1.
    pub(super) part: Option<f64>,
    pub(super) elapsed: Duration,
    /// How far the row is to go, in words: `60 s`, `1,000 operations`.
    pub(super) length: String,
    /// Of the whole run.
    pub(super) left: Option<Duration>,
    /// The row is being ended by hand.
    pub(super) ending: bool,
}

/// A model's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Model {
    pub(super) now_s: f64,
    /// Of its seconds in one of ours.
    pub(super) speed: f64,
}

/// Operations a second, by the clock of the row.
#[derive(Clone, Debug, Default)]
pub(super) struct Throughput {
    /// Over the last second.
    pub(super) now: f64,
    /// Since the row began.
    pub(super) mean: f64,
    pub(super) peak: f64,
    /// Over time, the last one last.
    pub(super) over_time: Vec<f64>,
}

/// Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What became of the row's operations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) in_flight: u64,
    pub(super) jobs: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    /// The kinds that there are.
    pub(super) failed_by: Vec<(&'static str, u64)>,
    pub(super) cancelled: u64,
    /// Submissions that met a full ring.
    pub(super) retries: u64,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    pub(super) rings: Vec<Ring>,
    pub(super) engines: Engines,
    pub(super) deaths: u64,
    pub(super) restarts: u64,
    /// Refusals by reason, those that there are.
    pub(super) refused: Vec<(&'static str, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Ring {
    /// Which it is, where there are several.
    pub(super) name: String,
    pub(super) fill: u64,
    pub(super) depth: u64,
    pub(super) health: Option<Health>,
}

/// What the engines of a device do.
#[derive(Clone, Debug, Default)]
pub(super) enum Engines {
    /// Requests take no time: nothing is on an engine.
    #[default]
    NotModelled,
    /// As many as there are requests, so many now.
    Unbounded(u64),
    /// For each endpoint the part of the last second that each of its engines was busy.
    Bounded(Vec<Vec<f64>>),
}

/// What happened to somebody in a short while.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// By the clock of the row.
    pub(super) at: Duration,
    /// Of the last of it.
    pub(super) kind: Kind,
    pub(super) whom: String,
    /// And how often.
    pub(super) what: Vec<(String, u64)>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bad,
    Warning,
    Good,
    /// Where the run has come to.
    Mark,
}

/// A row that is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finished {
    pub(crate) name: String,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: Option<f64>,
    pub(crate) failed: u64,
    /// There is something wrong with it.
    pub(crate) bad: bool,
}
