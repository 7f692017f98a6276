//! Traces for viewers: the format that Chrome's and Perfetto's read, written as the run goes.
//!
//! Each row is two processes, one with a track for each job and one with a track for each modelled
//! engine. What is on a track does not overlap.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sim_engine::{DeviceConfig, OpRecord};

use super::tally::name_of;
use crate::error::{InputError, RunError};

/// A batch has so many requests at most, and they share their engine's span.
const STARTS_KEPT: usize = 64;

/// A trace file that is being written. Whole JSON when it is finished or dropped.
pub(crate) struct Trace {
    path: PathBuf,
    sink: Mutex<Sink>,
}

struct Sink {
    out: BufWriter<File>,
    /// Nothing was written behind the head yet.
    empty: bool,
    closed: bool,
    /// The first thing that went wrong; nothing is written after it.
    error: Option<io::Error>,
    rows: u32,
}

/// The tracks of one row.
pub(crate) struct RowTrace {
    trace: Arc<Trace>,
    op: &'static str,
    jobs_pid: u32,
    engines_pid: u32,
    /// Engines of an endpoint; 0: no bound, and the tracks are as many as it takes.
    engines: u32,
    tracks: Mutex<Tracks>,
}

#[derive(Default)]
struct Tracks {
    /// Those that have been named.
    jobs: Vec<bool>,
    engines: Vec<Engine>,
}

#[derive(Default)]
struct Engine {
    named: bool,
    /// When the last span on it ends.
    end: u64,
    /// When the last ones began.
    starts: VecDeque<u64>,
}

impl Trace {
    /// Makes the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Arc<Trace>, InputError> {
        let file = File::create(path).map_err(|source| InputError::BadTrace {
            path: path.to_owned(),
            source,
        })?;
        let trace = Trace {
            path: path.to_owned(),
            sink: Mutex::new(Sink {
                out: BufWriter::new(file),
                empty: true,
                closed: false,
                error: None,
                rows: 0,
            }),
        };
        trace
            .sink()
            .put(|out| out.write_all(b"{\"traceEvents\":[\n"));
        Ok(Arc::new(trace))
    }

    /// The tracks of the next row.
    pub(crate) fn row(
        self: &Arc<Trace>,
        name: &str,
        op: &'static str,
        device: Option<&DeviceConfig>,
    ) -> Arc<RowTrace> {
        let mut sink = self.sink();
        sink.rows += 1;
        let (jobs_pid, engines_pid) = (2 * sink.rows - 1, 2 * sink.rows);
        sink.name("process_name", jobs_pid, 0, &format!("jobs ({name})"));
        if device.is_some() {
            let name = format!("engines ({name})");
            sink.name("process_name", engines_pid, 0, &name);
        }
        drop(sink);
        Arc::new(RowTrace {
            trace: Arc::clone(self),
            op,
            jobs_pid,
            engines_pid,
            engines: device.map_or(0, |device| device.engines),
            tracks: Mutex::default(),
        })
    }

    /// Ends the file and says whether all of it was written.
    pub(crate) fn finish(&self) -> Result<(), RunError> {
        let mut sink = self.sink();
        sink.close();
        match sink.error.take() {
            None => Ok(()),
            Some(source) => Err(RunError::Trace {
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        // A panic in a write leaves at worst half a line.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    fn put(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if self.error.is_some() || self.closed {
            return;
        }
        self.error = write(&mut self.out).err();
    }

    fn event(&mut self, event: std::fmt::Arguments<'_>) {
        let comma = if std::mem::take(&mut self.empty) {
            ""
        } else {
            ",\n"
        };
        self.put(|out| write!(out, "{comma}{event}"));
    }

    /// Names a process or a track.
    fn name(&mut self, what: &str, pid: u32, tid: u64, name: &str) {
        let name = serde_json::Value::from(name); // escapes what a device's name may hold
        self.event(format_args!(
            r#"{{"ph":"M","name":"{what}","pid":{pid},"tid":{tid},"args":{{"name":{name}}}}}"#
        ));
    }

    fn span(&mut self, name: &str, pid: u32, tid: u64, (from, to): (u64, u64), id: u64) {
        let length = to.saturating_sub(from);
        let (us, ns) = (from / 1000, from % 1000);
        let (length_us, length_ns) = (length / 1000, length % 1000);
        let op = name_of(id);
        self.event(format_args!(
            r#"{{"ph":"X","name":"{name}","pid":{pid},"tid":{tid},"ts":{us}.{ns:03},"dur":{length_us}.{length_ns:03},"args":{{"op":"{op}"}}}}"#
        ));
    }

    fn close(&mut self) {
        self.put(|out| {
            out.write_all(b"\n]}\n")?;
            out.flush()
        });
        self.closed = true;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.closed {
            self.close();
        }
        if self.error.is_some() {
            // Its buffer still holds what could not be written; not again on the way out.
            if let Ok(null) = File::open("/dev/null") {
                let _ = std::mem::replace(&mut self.out, BufWriter::with_capacity(0, null))
                    .into_parts();
            }
        }
    }
}

impl RowTrace {
    /// Operation `id` was carried out by job number `job`, from one time to another.
    pub(crate) fn in_job(&self, job: usize, id: u64, from: u64, to: u64, completed: bool) {
        let mut tracks = self.tracks();
        if tracks.jobs.len() <= job {
            tracks.jobs.resize(job + 1, false);
        }
        let named = std::mem::replace(&mut tracks.jobs[job], true);
        drop(tracks);
        let tid = job as u64 + 1;
        let mut sink = self.trace.sink();
        if !named {
            sink.name("thread_name", self.jobs_pid, tid, &format!("job {job}"));
        }
        let name = if completed { self.op } else { "failed" };
        sink.span(name, self.jobs_pid, tid, (from, to), id);
    }

    /// A request has ended on the device.
    pub(crate) fn on_engine(&self, record: &OpRecord) {
        let (from, to) = (record.started_ns, record.done_ns);
        if to == 0 {
            return; // it came to no engine
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
            return; // of the same batch
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
            sink.name(
                "thread_name",
                self.engines_pid,
                tid,
                &format!("engine {at}"),
            );
        }
        sink.span(
            record.op.name(),
            self.engines_pid,
            tid,
            (from, to),
            record.id,
        );
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
