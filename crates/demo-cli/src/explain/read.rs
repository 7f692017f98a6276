//! Reads a trace as a stream: nothing of it is kept here, however long it is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::raw::{Ph, Raw, Tracks, Us};
use crate::bench::{TRACE_SCHEMA, TRACE_WRITER};
use crate::error::InputError;
use crate::progress::Progress;

/// Read at once: long files are read from one end to the other.
const BUFFER_BYTES: usize = 1 << 18;

/// An operation of a row: its thread's number, and its own there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OpId {
    pub(super) thread: u64,
    pub(super) n: u64,
}

/// What a trace tells, one thing at a time. Times are nanoseconds of the row's clock.
#[derive(Debug)]
pub(super) enum Item {
    /// A row begins.
    Row(RowHead),
    /// An operation, as its job saw it.
    Span(Span),
    /// An operation, as the device saw it.
    Record(Record),
    /// Something happened to an endpoint.
    Event(Event),
}

/// What the operations of a row have in common.
#[derive(Clone, Debug)]
pub(super) struct RowHead {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) bytes: u64,
    pub(super) device: Option<String>,
    /// Of an endpoint; 0: no bound.
    pub(super) engines: u32,
}

/// See [`Item::Span`].
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) row: u32,
    pub(super) id: OpId,
    /// None of one that the end of the run cut off.
    pub(super) job: Option<u64>,
    pub(super) due: u64,
    pub(super) begun: u64,
    pub(super) resumed: u64,
    pub(super) refused: Option<Refusal>,
    pub(super) submitted: Option<Submitted>,
    /// When it came to an engine, if the device has not ended it.
    pub(super) started: Option<u64>,
    pub(super) end: End,
    pub(super) why: Option<String>,
}

/// The first refusal, and how many there were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) at: u64,
    pub(super) why: Why,
    pub(super) times: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Submitted {
    pub(super) at: u64,
    pub(super) endpoint: u32,
    pub(super) instance: u32,
}

/// See [`Item::Record`].
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) row: u32,
    pub(super) id: OpId,
    pub(super) endpoint: u32,
    pub(super) engine: Option<u32>,
    pub(super) bytes: u64,
    pub(super) arrived: Option<u64>,
    /// On an engine, from when to when.
    pub(super) served: Option<(u64, u64)>,
    pub(super) answered: u64,
    pub(super) end: End,
}

/// See [`Item::Event`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) row: u32,
    pub(super) at: u64,
    pub(super) endpoint: u32,
    pub(super) what: What,
}

/// Why the device did not take an operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Why {
    #[serde(rename = "ring full")]
    RingFull,
    #[serde(rename = "unsupported")]
    Unsupported,
    #[serde(rename = "down")]
    Down,
    #[serde(rename = "throttled")]
    Throttled,
    #[serde(rename = "no descriptor")]
    NoDescriptor,
    #[serde(other)]
    Other,
}

/// How an operation ended, for its job or for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Completed,
    /// With a response that is not what software computes.
    Wrong,
    Failed,
    Cancelled,
    /// Nobody waited for the answer.
    Orphaned,
    /// It was under way when the run was over.
    #[serde(rename = "cut off")]
    CutOff,
}

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum What {
    #[serde(rename = "died")]
    Died,
    #[serde(rename = "found dead")]
    FoundDead,
    #[serde(rename = "restarted")]
    Restarted,
}

/// A trace file, to be read a number of times.
pub(super) struct Trace {
    path: PathBuf,
    bytes: u64,
    /// How often it is read in all, and how often it has been.
    readings: u32,
    done: Cell<u32>,
    progress: RefCell<Progress>,
}

impl Drop for Trace {
    /// An error may be about to be printed.
    fn drop(&mut self) {
        self.progress.get_mut().clear();
    }
}

/// Its bytes, counted.
struct Counted<'a> {
    trace: &'a Trace,
    file: File,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read += read as u64; // no more than memory
        let trace = self.trace;
        let part = f64::from(trace.done.get()) + self.read as f64 / trace.bytes as f64;
        let part = (part / f64::from(trace.readings)).min(1.0);
        let progress = &mut *trace.progress.borrow_mut();
        progress.at(Some(part), || "reading the trace".to_owned());
        Ok(read)
    }
}

impl Trace {
    /// Looks at what is there, to read it so many times. What can be read only once is refused.
    pub(super) fn at(path: &Path, readings: u32) -> Result<Trace, InputError> {
        let bad = |message: &str| {
            Err(InputError::NotATrace {
                path: path.to_owned(),
                message: message.to_owned(),
            })
        };
        if path.as_os_str() == "-" {
            return bad("it is standard input, and a trace is read more than once");
        }
        let about = std::fs::metadata(path).map_err(|source| InputError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        if about.is_dir() {
            return bad("it is a directory");
        }
        if !about.is_file() {
            return bad("it is no plain file, and a trace is read more than once");
        }
        if about.len() == 0 {
            return bad("it is empty");
        }
        Ok(Trace {
            path: path.to_owned(),
            bytes: about.len(),
            readings,
            done: Cell::new(0),
            progress: RefCell::new(Progress::new()),
        })
    }

    /// Reads it from one end to the other. Returns what was run, in a line.
    pub(super) fn scan(&self, see: &mut dyn FnMut(Item)) -> Result<String, InputError> {
        let unreadable = |source| InputError::Unreadable {
            path: self.path.clone(),
            source,
        };
        let file = File::open(&self.path).map_err(unreadable)?;
        let file = Counted {
            trace: self,
            file,
            read: 0,
        };
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut json = serde_json::Deserializer::from_reader(file);
        let mut scan = Scan {
            see,
            head: None,
            had_events: false,
            stop: None,
            pids: HashMap::new(),
            operations: 0,
        };
        let read = (&mut json).deserialize_map(&mut scan);
        let read = read.and_then(|()| json.end());
        self.done.set(self.done.get() + 1);
        if self.done.get() >= self.readings {
            // What was found is about to be printed.
            self.progress.borrow().clear();
        }
        let not_ours = |message: &str| InputError::NotATrace {
            path: self.path.clone(),
            message: message.to_owned(),
        };
        let operations = scan.operations;
        match (scan.stop, read) {
            (Some(Stop::NotOurs), _) => Err(not_ours("it does not say that it is one")),
            (Some(Stop::Old), _) => Err(InputError::OldTrace {
                path: self.path.clone(),
            }),
            (Some(Stop::Schema(found)), _) => Err(InputError::TraceSchema {
                path: self.path.clone(),
                found,
                ours: TRACE_SCHEMA,
            }),
            (None, Ok(())) => match scan.head {
                Some(options) if scan.had_events => Ok(options),
                _ => Err(not_ours("it has no traceEvents")),
            },
            (None, Err(error)) => Err(match (error.classify(), &scan.head) {
                (Category::Io, _) => unreadable(error.into()),
                (Category::Eof, Some(_)) => InputError::TraceCut {
                    path: self.path.clone(),
                    operations,
                },
                (Category::Eof, None) => not_ours("it ends before it says what it is"),
                (Category::Syntax | Category::Data, Some(_)) => InputError::TraceDamaged {
                    path: self.path.clone(),
                    line: error.line(),
                    operations,
                },
                (Category::Syntax, None) => not_ours("it is not JSON"),
                (Category::Data, None) => not_ours("it is other JSON"),
            }),
        }
    }
}

/// Why reading was ended early, where that is not the JSON's fault.
enum Stop {
    NotOurs,
    Old,
    Schema(u64),
}

/// A reading under way.
struct Scan<'a> {
    see: &'a mut dyn FnMut(Item),
    /// What was run.
    head: Option<String>,
    had_events: bool,
    stop: Option<Stop>,
    /// The processes of the rows.
    pids: HashMap<u32, (u32, Tracks)>,
    operations: u64,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "otherData")]
    OtherData,
    #[serde(rename = "traceEvents")]
    TraceEvents,
    Else(IgnoredAny),
}

#[derive(Deserialize)]
struct OtherData {
    trace: Option<String>,
    schema: Option<u64>,
    options: Option<String>,
}

impl<'de> Visitor<'de> for &mut Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trace")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key {
                Key::OtherData => {
                    let other: OtherData = map.next_value()?;
                    self.head = Some(self.take(other)?);
                }
                Key::TraceEvents if self.head.is_some() => {
                    self.had_events = true;
                    map.next_value_seed(Events(self))?;
                }
                Key::TraceEvents => map.next_value_seed(Unmarked(self))?,
                Key::Else(_) => {
                    let _: IgnoredAny = map.next_value()?;
                }
            }
        }
        Ok(())
    }
}

impl Scan<'_> {
    fn take<E: serde::de::Error>(&mut self, other: OtherData) -> Result<String, E> {
        self.stop = match other.schema {
            _ if other.trace.as_deref() != Some(TRACE_WRITER) => Some(Stop::NotOurs),
            Some(TRACE_SCHEMA) => None,
            Some(found) => Some(Stop::Schema(found)),
            None => Some(Stop::NotOurs),
        };
        match self.stop {
            None => Ok(other.options.unwrap_or_default()),
            Some(_) => Err(E::custom("of no use")),
        }
    }

    fn event(&mut self, raw: Raw) -> Option<Item> {
        let args = raw.args;
        if raw.ph == Ph::Name {
            let (row, tracks) = args.row.zip(args.tracks)?;
            self.pids.insert(raw.pid, (row, tracks));
            return matches!(tracks, Tracks::Jobs).then(|| {
                Item::Row(RowHead {
                    number: row,
                    name: args.row_name.unwrap_or_default(),
                    kind: args.kind.unwrap_or_default(),
                    bytes: args.bytes.unwrap_or(0),
                    device: args.device,
                    engines: args.engines.unwrap_or(0),
                })
            });
        }
        let &(row, tracks) = self.pids.get(&raw.pid)?;
        let (from, to) = (raw.ts.0, raw.ts.0.saturating_add(raw.dur.0));
        if let (Some(what), Some(endpoint)) = (args.event, args.endpoint) {
            return Some(Item::Event(Event {
                row,
                at: from,
                endpoint,
                what,
            }));
        }
        let id = OpId {
            thread: args.thread?,
            n: args.op?,
        };
        let ns = |time: Option<Us>| time.map(|us| us.0);
        let is_span = matches!(tracks, Tracks::Jobs);
        if !is_span && args.end != Some(End::CutOff) {
            let served = match tracks {
                Tracks::Engines => Some((from, to)),
                _ => ns(args.started).zip(ns(args.done)),
            };
            return Some(Item::Record(Record {
                row,
                id,
                endpoint: args.endpoint.unwrap_or(0),
                engine: args.engine,
                bytes: args.bytes.unwrap_or(0),
                arrived: ns(args.arrived),
                served,
                answered: ns(args.answered)?,
                end: args.end.unwrap_or(End::Completed),
            }));
        }
        self.operations += 1;
        let refused = args.refused.zip(args.refused_at);
        let submitted = args.submitted.zip(args.endpoint.zip(args.instance));
        Some(Item::Span(Span {
            row,
            id,
            job: is_span.then(|| raw.tid.saturating_sub(1)),
            due: args.due.map_or(from, |due| due.0.min(from)),
            begun: from,
            resumed: to,
            refused: refused.map(|(why, at)| Refusal {
                at: at.0,
                why,
                times: args.refusals.unwrap_or(1),
            }),
            submitted: submitted.map(|(at, (endpoint, instance))| Submitted {
                at: at.0,
                endpoint,
                instance,
            }),
            started: ns(args.started),
            end: args.end.unwrap_or(End::Completed),
            why: args.why,
        }))
    }
}

/// The events of a trace of ours.
struct Events<'s, 'a>(&'s mut Scan<'a>);

impl<'de> DeserializeSeed<'de> for Events<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        while let Some(raw) = events.next_element()? {
            if let Some(item) = self.0.event(raw) {
                (self.0.see)(item);
            }
        }
        Ok(())
    }
}

/// The events of a file that has not said what it is: ours did not, once.
struct Unmarked<'s, 'a>(&'s mut Scan<'a>);

impl<'de> DeserializeSeed<'de> for Unmarked<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Unmarked<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct First {
            args: Option<FirstArgs>,
        }
        #[derive(Deserialize)]
        struct FirstArgs {
            name: Option<String>,
        }
        let first: Option<First> = events.next_element()?;
        let name = first
            .and_then(|first| first.args)
            .and_then(|args| args.name);
        self.0.stop = Some(match name {
            Some(name) if name.starts_with("jobs (") => Stop::Old,
            _ => Stop::NotOurs,
        });
        Err(A::Error::custom("of no use"))
    }
}
