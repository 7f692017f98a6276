//! Traces for viewers: the format that Chrome's and Perfetto's read, written as the run goes, and
//! read again by `explain`.
//!
//! Each row is three processes: one with a track for each job, one with a track for each modelled
//! engine, and one with a track for each endpoint, for what has no place on an engine's. What is on
//! a track does not overlap. What belongs to an operation is in the `args` of its spans, times in µs:
//!
//! ```text
//!  jobs:     begun ───────────────────────────────────────▶ resumed
//!             due, refused, submitted, place, how it ended
//!  engines:                     on an engine ──▶ done
//!                                arrived, answered, bytes, how the device ended it
//! ```

mod row;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sim_engine::DeviceConfig;

pub(crate) use self::row::{Carried, Ended, RowTrace};
use crate::error::{Error, InputError, RunError};
use crate::target::Target;

/// Who writes such a file, as it says at its top.
pub(crate) const WRITER: &str = "demo-cli bench";

/// What is in `args`. Changes with it.
pub(crate) const SCHEMA: u64 = 1;

/// A trace that is being written. It has its name when it is finished, and is whole JSON then.
pub(crate) struct Trace {
    path: PathBuf,
    sink: Mutex<Sink>,
}

struct Sink {
    /// None once it is closed.
    out: Option<BufWriter<TraceFile>>,
    /// Nothing was written behind the head yet.
    empty: bool,
    /// The first thing that went wrong; nothing is written after it.
    error: Option<io::Error>,
    rows: u32,
}

/// Where it is written to.
struct TraceFile(Target);

impl Write for TraceFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.file() {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::Unsupported.into()), // standard output was refused
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a file has no buffer of its own
    }
}

/// What the operations of a row have in common.
pub(crate) struct About<'a> {
    /// The row's name.
    pub(crate) name: &'a str,
    pub(crate) op: &'static str,
    pub(crate) bytes: usize,
    pub(crate) device: Option<&'a DeviceConfig>,
}

impl Trace {
    /// Begins it. What has its name now stays until it is finished. `options`: what is run, in a line.
    pub(crate) fn create(path: &Path, options: &str) -> Result<Arc<Trace>, Error> {
        if path.as_os_str() == "-" {
            return Err(InputError::TraceToStdout.into());
        }
        let target = Target::open(path).map_err(|error| match error {
            Error::Input(InputError::BadOut { source, .. }) => Error::Input(InputError::BadTrace {
                path: path.to_owned(),
                source,
            }),
            other => other,
        })?;
        let trace = Trace {
            path: path.to_owned(),
            sink: Mutex::new(Sink {
                out: Some(BufWriter::new(TraceFile(target))),
                empty: true,
                error: None,
                rows: 0,
            }),
        };
        let options = serde_json::Value::from(options);
        trace.sink().put(|out| {
            write!(
                out,
                "{{\"otherData\":{{\"trace\":\"{WRITER}\",\"schema\":{SCHEMA},\"options\":{options}}},\n\
                 \"traceEvents\":[\n"
            )
        });
        Ok(Arc::new(trace))
    }

    /// The tracks of the next row.
    pub(crate) fn row(self: &Arc<Trace>, about: &About<'_>) -> Arc<RowTrace> {
        let mut sink = self.sink();
        sink.rows += 1;
        let row = sink.rows;
        drop(sink);
        Arc::new(RowTrace::new(Arc::clone(self), row, about))
    }

    /// Ends it and gives it its name, if all of it was written.
    pub(crate) fn finish(&self) -> Result<(), RunError> {
        self.sink().close().map_err(|source| RunError::Trace {
            path: self.path.clone(),
            source,
        })
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        // A panic in a write leaves at worst half a line.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    fn put(&mut self, write: impl FnOnce(&mut BufWriter<TraceFile>) -> io::Result<()>) {
        if self.error.is_none()
            && let Some(out) = &mut self.out
        {
            self.error = write(out).err();
        }
    }

    fn event(&mut self, event: std::fmt::Arguments<'_>) {
        let comma = if std::mem::take(&mut self.empty) {
            ""
        } else {
            ",\n"
        };
        self.put(|out| write!(out, "{comma}{event}"));
    }

    /// Names a process or a track. `more`: what else there is to say of it, beginning with a comma.
    fn name(&mut self, what: &str, pid: u32, tid: u64, name: &str, more: &str) {
        let name = serde_json::Value::from(name); // escapes what a device's name may hold
        self.event(format_args!(
            r#"{{"ph":"M","name":"{what}","pid":{pid},"tid":{tid},"args":{{"name":{name}{more}}}}}"#
        ));
    }

    fn span(&mut self, name: &str, (pid, tid): (u32, u64), (from, to): (u64, u64), args: &str) {
        let (at, length) = (Us(from), Us(to.saturating_sub(from)));
        self.event(format_args!(
            r#"{{"ph":"X","name":"{name}","pid":{pid},"tid":{tid},"ts":{at},"dur":{length},"args":{{{args}}}}}"#
        ));
    }

    fn close(&mut self) -> io::Result<()> {
        self.put(|out| {
            out.write_all(b"\n]}\n")?;
            out.flush()
        });
        let Some(out) = self.out.take() else {
            return Ok(());
        };
        // After an error its buffer still holds what could not be written; not again on the way out.
        let (TraceFile(target), _) = out.into_parts();
        match self.error.take() {
            Some(error) => Err(error),
            None => target.publish(),
        }
    }
}

impl Drop for Sink {
    /// What was not finished gets no name.
    fn drop(&mut self) {
        let _ = self.out.take().map(BufWriter::into_parts);
    }
}

/// Nanoseconds, written as µs.
struct Us(u64);

impl std::fmt::Display for Us {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
