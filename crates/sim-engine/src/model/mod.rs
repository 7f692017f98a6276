//! The modelled endpoint: what happens to requests between submission and the moment when the host
//! sees their answers, and when. It has no clock, no thread and no lock of its own: it is told what
//! time it is, and says when something will happen next. So the same model serves a device in real
//! time and one in virtual time.
//!
//! ```text
//!  submit ─link─▶ arrives ─▶ batch? ─▶ waits ─▶ an engine ─link─▶ in host memory ─▶ noticed ─▶ told
//!                                       FIFO    k of them                        polling    coalesced
//! ```

use std::collections::{BinaryHeap, VecDeque};

use offload::OpKind;

mod batch;
mod events;
#[cfg(test)]
mod tests;
mod way;

use batch::Batches;
use events::{At, Event};

/// A time, in nanoseconds since the clock's zero.
pub(crate) type Nanos = u64;

/// What a request is to the model, which moves it through time and does not look inside.
pub(crate) trait Load {
    /// What the start on an engine sets off, if anything.
    type Start;

    /// Whether nobody waits for its answer: then it does not start.
    fn is_abandoned(&self) -> bool;

    /// It starts on an engine now.
    fn start(&self) -> Option<Self::Start>;
}

/// What of a device file the model goes by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// 0: no bound.
    pub(crate) engines: u32,
    /// 0 or 1: no batches.
    pub(crate) batch_size: u32,
    pub(crate) batch_flush_ns: Nanos,
    pub(crate) detect_every_ns: Nanos,
    pub(crate) coalesce_ns: Nanos,
    pub(crate) coalesce_max: u32,
}

/// How one request goes through the model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) kind: OpKind,
    pub(crate) link_in_ns: Nanos,
    pub(crate) service_ns: Nanos,
    /// Its engine stands still for so long first.
    pub(crate) stall_ns: Nanos,
    /// The way back, and what it is late by.
    pub(crate) link_out_ns: Nanos,
    pub(crate) lost: bool,
    /// The endpoint dies when an engine comes to it.
    pub(crate) kills: bool,
}

/// When a request was where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) submitted: Nanos,
    /// At the endpoint.
    pub(crate) arrived: Nanos,
    pub(crate) started: Nanos,
    pub(crate) done: Nanos,
    /// The host sees the answer.
    pub(crate) seen: Nanos,
}

/// What has happened.
pub(crate) enum Out<T: Load> {
    /// A request has started and that sets something off.
    Started {
        at: Nanos,
        engine: u32,
        start: T::Start,
    },
    /// The host sees the answer.
    Answered { load: T, engine: u32, times: Times },
    /// Done, and its answer will not come.
    Lost { load: T },
    /// Nobody waited for it when its turn came.
    Skipped { load: T },
    /// The endpoint has died.
    Died { at: Nanos },
}

struct Op<T> {
    load: T,
    course: Course,
    times: Times,
    /// The order of submission.
    number: u64,
    /// Of the same batch.
    next: Option<u32>,
    /// The one that has worked on it.
    engine: u32,
}

/// One of the modelled engines.
#[derive(Clone, Copy, Default)]
struct Engine {
    /// The first of the batch that it works on, or the only one.
    running: Option<u32>,
    done_at: Nanos,
    /// Counts the changes of `done_at`: an event of an earlier count is void.
    version: u32,
    stalled_until: Nanos,
}

/// No engine: where there is no bound on them, or none was reached.
pub(crate) const NO_ENGINE: u32 = u32::MAX;

/// See the top of the file.
pub(crate) struct Model<T: Load> {
    rules: Rules,
    ops: Vec<Option<Op<T>>>,
    /// Indices of `ops` that are empty.
    vacant: Vec<u32>,
    engines: Vec<Engine>,
    /// Those without work, the lowest first.
    idle: BinaryHeap<std::cmp::Reverse<u32>>,
    waiting: VecDeque<u32>,
    batches: Batches,
    /// Seen by the host and not told, for others to come.
    held: Vec<u32>,
    held_version: u32,
    events: BinaryHeap<At>,
    number: u64,
    /// The time of the last event: what comes later is not before it.
    now: Nanos,
    dead: bool,
    busy_ns: u64,
}

impl<T: Load> Model<T> {
    pub(crate) fn new(rules: Rules) -> Model<T> {
        Model {
            rules,
            ops: Vec::new(),
            vacant: Vec::new(),
            engines: vec![Engine::default(); rules.engines as usize],
            idle: (0..rules.engines).map(std::cmp::Reverse).collect(),
            waiting: VecDeque::new(),
            batches: Batches::default(),
            held: Vec::new(),
            held_version: 0,
            events: BinaryHeap::new(),
            number: 0,
            now: 0,
            dead: false,
            busy_ns: 0,
        }
    }

    /// When something happens next.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        self.events.peek().map(|event| event.at)
    }

    /// How long the engines have worked so far, added up, on what has been started.
    pub(crate) fn busy_ns(&self) -> u64 {
        self.busy_ns
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether no request is inside.
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.len() == self.vacant.len()
    }

    /// Takes a request that was submitted at `at`.
    pub(crate) fn submit(&mut self, at: Nanos, course: Course, load: T) {
        self.number += 1;
        let op = Op {
            load,
            course,
            times: Times {
                submitted: at,
                ..Times::default()
            },
            number: self.number,
            next: None,
            engine: NO_ENGINE,
        };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.ops[index as usize] = Some(op);
                index
            }
            None => {
                self.ops.push(Some(op));
                // Rings hold a million at most.
                (self.ops.len() - 1) as u32
            }
        };
        // A dead endpoint takes requests, and nothing happens to them.
        if !self.dead {
            // In real time a request may come to us long after it was submitted.
            let arrives = at.saturating_add(course.link_in_ns).max(self.now);
            self.at(arrives, Event::Arrive(index));
        }
    }

    /// Lets everything happen that is to happen until `until`, in its order.
    pub(crate) fn run(&mut self, until: Nanos, out: &mut Vec<Out<T>>) {
        while let Some(next) = self.events.peek()
            && next.at <= until
        {
            let Some(At { at, event, .. }) = self.events.pop() else {
                break;
            };
            self.now = at;
            self.happen(at, event, out);
        }
    }

    fn happen(&mut self, now: Nanos, event: Event, out: &mut Vec<Out<T>>) {
        match event {
            Event::Arrive(index) => self.arrive(now, index, out),
            Event::Flush(kind, version) => {
                if let Some(first) = self.batches.flush(kind, version) {
                    self.waiting.push_back(first);
                    self.start(now, out);
                }
            }
            Event::Free => self.start(now, out),
            Event::Done(engine, version) => {
                let at = &mut self.engines[engine as usize];
                if at.version != version {
                    return;
                }
                let first = at.running.take();
                self.idle.push(std::cmp::Reverse(engine));
                self.finish(now, first, out);
                self.start(now, out);
            }
            Event::DoneAlone(index) => self.finish(now, Some(index), out),
            Event::Seen(index) => self.seen(now, index, out),
            Event::Tell(version) => {
                if version == self.held_version {
                    self.tell_held(now, out);
                }
            }
        }
    }

    /// Lets go of what nobody waits for and has not started.
    pub(crate) fn sweep(&mut self, out: &mut Vec<Out<T>>) {
        let waiting = std::mem::take(&mut self.waiting);
        for first in waiting {
            if let Some(first) = self.drop_abandoned(first, out) {
                self.waiting.push_back(first);
            }
        }
    }

    /// Engine `engine` stands still for `for_ns`; what it works on takes so much longer.
    pub(crate) fn stall(&mut self, now: Nanos, engine: u32, for_ns: Nanos) {
        if self.dead {
            return;
        }
        let Some(at) = self.engines.get_mut(engine as usize) else {
            return;
        };
        if at.running.is_some() {
            at.done_at = at.done_at.saturating_add(for_ns);
            at.version = at.version.wrapping_add(1);
            let (done_at, version) = (at.done_at, at.version);
            self.at(done_at, Event::Done(engine, version));
        } else {
            at.stalled_until = at.stalled_until.max(now.saturating_add(for_ns));
            let until = at.stalled_until;
            self.at(until, Event::Free);
        }
    }

    /// From now on nothing happens any more.
    pub(crate) fn die(&mut self) {
        self.dead = true;
        self.events.clear();
    }

    /// Hands over all that is inside, in the order of submission, and is as new.
    pub(crate) fn reset(&mut self) -> Vec<T> {
        let mut ops: Vec<_> = self.ops.drain(..).flatten().collect();
        ops.sort_unstable_by_key(|op| op.number);
        let busy_ns = self.busy_ns;
        let (number, now) = (self.number, self.now);
        *self = Model::new(self.rules);
        self.busy_ns = busy_ns;
        self.number = number;
        self.now = now;
        ops.into_iter().map(|op| op.load).collect()
    }

    fn at(&mut self, at: Nanos, event: Event) {
        self.number += 1;
        self.events.push(At {
            at,
            number: self.number,
            event,
        });
    }

    fn op(&mut self, index: u32) -> Option<&mut Op<T>> {
        self.ops.get_mut(index as usize)?.as_mut()
    }

    fn remove(&mut self, index: u32) -> Option<Op<T>> {
        let op = self.ops.get_mut(index as usize)?.take()?;
        self.vacant.push(index);
        Some(op)
    }

    /// Looks at each of a batch.
    fn each(&mut self, first: u32, mut look: impl FnMut(u32, &mut Op<T>)) {
        let mut at = Some(first);
        while let Some(index) = at {
            let Some(op) = self.op(index) else { return };
            at = op.next;
            look(index, op);
        }
    }
}
