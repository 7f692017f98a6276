//! The tracks of one row, and what is known of operations that are under way.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offload::Reason;
use sim_engine::{DeviceEvent, OpEnd, OpRecord};

use super::{About, Trace, Us};
use crate::bench::tally::ID_BITS;

/// A batch has so many requests at most, and they share their engine's span.
const STARTS_KEPT: usize = 64;

/// The tracks of one row.
pub(crate) struct RowTrace {
    trace: Arc<Trace>,
    op: &'static str,
    jobs_pid: u32,
    engines_pid: u32,
    device_pid: u32,
    /// Engines of an endpoint; 0: no bound, and the tracks are as many as it takes.
    engines: u32,
    tracks: Mutex<Tracks>,
}

#[derive(Default)]
struct Tracks {
    /// Those that have been named.
    jobs: Vec<bool>,
    engines: Vec<Engine>,
    endpoints: Vec<bool>,
    /// What the device has said of operations whose job has not ended. In order: what is left is
    /// written the same each time.
    flights: BTreeMap<u64, Flight>,
}

#[derive(Default)]
struct Engine {
    named: bool,
    /// When the last span on it ends.
    end: u64,
    /// When the last ones began.
    starts: VecDeque<u64>,
}

/// An operation between its submission and its job's end.
#[derive(Default)]
struct Flight {
    /// The first refusal: when and why. And how many there were.
    refused: Option<(u64, Reason)>,
    refusals: u32,
    /// When it was taken on, the endpoint and the instance.
    submitted: Option<(u64, u32, u32)>,
    /// When it came to an engine.
    started: Option<u64>,
    /// The device has said when it was on an engine.
    told: bool,
}

/// What a job has to say of its operation: the times are nanoseconds of the row's clock.
pub(crate) struct Carried {
    pub(crate) id: u64,
    /// When it was to begin.
    pub(crate) due: u64,
    pub(crate) begun: u64,
    /// When the job had its result.
    pub(crate) resumed: u64,
    pub(crate) end: Ended,
}

/// How an operation ended for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    /// With a response that is not what software computes.
    Wrong,
    /// And why.
    Failed(String),
    Cancelled,
}

impl RowTrace {
    /// The tracks of row number `row`, counted from 1.
    pub(super) fn new(trace: Arc<Trace>, row: u32, about: &About<'_>) -> RowTrace {
        let (jobs_pid, engines_pid, device_pid) = (3 * row - 2, 3 * row - 1, 3 * row);
        let mut sink = trace.sink();
        let name = about.name;
        let text = |text: &str| serde_json::Value::from(text); // escapes
        let mut more = format!(
            r#","tracks":"jobs","row":{row},"row_name":{},"kind":"{}","bytes":{}"#,
            text(name),
            about.op,
            about.bytes
        );
        if let Some(device) = about.device {
            let _ = write!(
                more,
                r#","device":{},"engines":{}"#,
                text(&device.name),
                device.engines
            );
        }
        let jobs = format!("jobs ({name})");
        sink.name("process_name", jobs_pid, 0, &jobs, &more);
        if about.device.is_some() {
            for (pid, tracks) in [(engines_pid, "engines"), (device_pid, "device")] {
                let more = format!(r#","tracks":"{tracks}","row":{row}"#);
                sink.name("process_name", pid, 0, &format!("{tracks} ({name})"), &more);
            }
        }
        drop(sink);
        RowTrace {
            trace,
            op: about.op,
            jobs_pid,
            engines_pid,
            device_pid,
            engines: about.device.map_or(0, |device| device.engines),
            tracks: Mutex::default(),
        }
    }

    /// An operation was carried out by job number `job`.
    pub(crate) fn in_job(&self, job: usize, carried: &Carried) {
        let mut tracks = self.tracks();
        if tracks.jobs.len() <= job {
            tracks.jobs.resize(job + 1, false);
        }
        let named = std::mem::replace(&mut tracks.jobs[job], true);
        let flight = tracks.flights.remove(&carried.id);
        drop(tracks);
        let mut args = of_op(carried.id);
        if carried.due != carried.begun {
            let _ = write!(args, r#","due":{}"#, Us(carried.due));
        }
        if let Some(flight) = &flight {
            flight.write(&mut args);
        }
        let name = match &carried.end {
            Ended::Completed => self.op,
            Ended::Wrong => {
                args += r#","end":"wrong""#;
                self.op
            }
            Ended::Cancelled => {
                args += r#","end":"cancelled""#;
                "failed"
            }
            Ended::Failed(why) => {
                let why = serde_json::Value::from(why.as_str());
                let _ = write!(args, r#","end":"failed","why":{why}"#);
                "failed"
            }
        };
        let tid = job as u64 + 1;
        let mut sink = self.trace.sink();
        if !named {
            sink.name("thread_name", self.jobs_pid, tid, &format!("job {job}"), "");
        }
        let span = (carried.begun, carried.resumed);
        sink.span(name, (self.jobs_pid, tid), span, &args);
    }

    /// Something has happened on the device.
    pub(crate) fn on_device(&self, event: &DeviceEvent) {
        match event {
            DeviceEvent::Submitted {
                at_ns,
                id,
                endpoint,
                instance,
            } => {
                let submitted = Some((*at_ns, *endpoint, *instance));
                self.tracks().flights.entry(*id).or_default().submitted = submitted;
            }
            DeviceEvent::Refused { at_ns, id, reason } => {
                let mut tracks = self.tracks();
                let flight = tracks.flights.entry(*id).or_default();
                flight.refused.get_or_insert((*at_ns, *reason));
                flight.refusals = flight.refusals.saturating_add(1);
            }
            DeviceEvent::Started { at_ns, id, .. } => {
                // Of one that was given up meanwhile nobody asks.
                if let Some(flight) = self.tracks().flights.get_mut(id) {
                    flight.started = Some(*at_ns);
                }
            }
            DeviceEvent::Ended(record) => {
                if let Some(flight) = self.tracks().flights.get_mut(&record.id) {
                    flight.told = record.done_ns != 0;
                }
                self.on_engine(record);
            }
            DeviceEvent::Died { at_ns, endpoint } => self.happened("died", *at_ns, *endpoint),
            DeviceEvent::FoundDead { at_ns, endpoint } => {
                self.happened("found dead", *at_ns, *endpoint);
            }
            DeviceEvent::Restarted { at_ns, endpoint } => {
                self.happened("restarted", *at_ns, *endpoint);
            }
            // Of later devices.
            _ => {}
        }
    }

    /// A request has ended on the device.
    fn on_engine(&self, record: &OpRecord) {
        let (from, to) = (record.started_ns, record.done_ns);
        let mut args = of_op(record.id);
        let _ = write!(args, r#","endpoint":{}"#, record.endpoint);
        if let Some(engine) = record.engine {
            let _ = write!(args, r#","engine":{engine}"#);
        }
        if record.arrived_ns != 0 || to != 0 {
            let _ = write!(args, r#","arrived":{}"#, Us(record.arrived_ns));
        }
        let end = match record.end {
            OpEnd::Completed => "completed",
            OpEnd::Failed => "failed",
            // Nobody waited for it.
            _ => "orphaned",
        };
        let (answered, bytes) = (Us(record.answered_ns), record.bytes);
        let _ = write!(
            args,
            r#","answered":{answered},"bytes":{bytes},"end":"{end}""#
        );
        if to == 0 {
            // It came to no engine, or its answer was lost behind it.
            self.at_endpoint("no answer", record.answered_ns, record.endpoint, &args);
            return;
        }
        let mut tracks = self.tracks();
        let at = match record.engine {
            Some(engine) => record.endpoint as usize * self.engines as usize + engine as usize,
            // As many tracks as it takes: one on which all has ended before.
            None => {
                let free = tracks.engines.iter().position(|engine| engine.end <= from);
                free.unwrap_or(tracks.engines.len())
            }
        };
        if tracks.engines.len() <= at {
            tracks.engines.resize_with(at + 1, Engine::default);
        }
        let engine = &mut tracks.engines[at];
        let named = std::mem::replace(&mut engine.named, true);
        if record.engine.is_some() && engine.starts.contains(&from) {
            // Of a batch whose span is there.
            drop(tracks);
            let _ = write!(args, r#","started":{},"done":{}"#, Us(from), Us(to));
            self.at_endpoint("in a batch", record.answered_ns, record.endpoint, &args);
            return;
        }
        engine.end = engine.end.max(to);
        if engine.starts.len() == STARTS_KEPT {
            engine.starts.pop_front();
        }
        engine.starts.push_back(from);
        drop(tracks);
        let tid = at as u64 + 1;
        let mut sink = self.trace.sink();
        if !named {
            let name = format!("engine {at}");
            sink.name("thread_name", self.engines_pid, tid, &name, "");
        }
        sink.span(record.op.name(), (self.engines_pid, tid), (from, to), &args);
    }

    /// Something has happened to an endpoint.
    fn happened(&self, what: &str, at: u64, endpoint: u32) {
        let args = format!(r#""endpoint":{endpoint},"event":"{what}""#);
        self.at_endpoint(what, at, endpoint, &args);
    }

    /// A mark on an endpoint's track.
    fn at_endpoint(&self, name: &str, at: u64, endpoint: u32, args: &str) {
        let mut tracks = self.tracks();
        let number = endpoint as usize;
        if tracks.endpoints.len() <= number {
            tracks.endpoints.resize(number + 1, false);
        }
        let named = std::mem::replace(&mut tracks.endpoints[number], true);
        drop(tracks);
        let tid = u64::from(endpoint) + 1;
        let mut sink = self.trace.sink();
        if !named {
            let name = format!("endpoint {endpoint}");
            sink.name("thread_name", self.device_pid, tid, &name, "");
        }
        sink.span(name, (self.device_pid, tid), (at, at), args);
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RowTrace {
    /// Writes what was under way when the run was over: it failed midway.
    fn drop(&mut self) {
        let flights = std::mem::take(&mut self.tracks().flights);
        for (id, flight) in flights {
            let mut args = of_op(id);
            flight.write(&mut args);
            args += r#","end":"cut off""#;
            let (submitted, refused) = (flight.submitted, flight.refused);
            let at = submitted.map(|(at, ..)| at).or(refused.map(|(at, _)| at));
            let endpoint = submitted.map_or(0, |(_, endpoint, _)| endpoint);
            self.at_endpoint("cut off", at.unwrap_or(0), endpoint, &args);
        }
    }
}

impl Flight {
    fn write(&self, args: &mut String) {
        if let Some((at, reason)) = self.refused {
            let (at, why, times) = (Us(at), word(reason), self.refusals);
            let _ = write!(
                args,
                r#","refused":"{why}","refusals":{times},"refused_at":{at}"#
            );
        }
        if let Some((at, endpoint, instance)) = self.submitted {
            let _ = write!(
                args,
                r#","submitted":{},"endpoint":{endpoint},"instance":{instance}"#,
                Us(at)
            );
        }
        if let Some(at) = self.started.filter(|_| !self.told) {
            let _ = write!(args, r#","started":{}"#, Us(at));
        }
    }
}

/// Which operation, as the first of `args`.
fn of_op(id: u64) -> String {
    let (n, thread) = (id & ((1 << ID_BITS) - 1), id >> ID_BITS);
    // Mostly it is not much more.
    let mut args = String::with_capacity(160);
    let _ = write!(args, r#""op":{n},"thread":{thread}"#);
    args
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::RingFull => "ring full",
        Reason::Unsupported(_) => "unsupported",
        Reason::Down => "down",
        Reason::Throttled => "throttled",
        Reason::NoDescriptor => "no descriptor",
        _ => "refused",
    }
}
