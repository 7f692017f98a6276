//! Looks at everything that the device does and that jobs see of it, and finds what must not be.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sim_engine::{DeviceEvent, Fate, Observer, OpEnd};

/// The device's observer, and the jobs'.
pub(super) struct Checker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Operations that the device has taken on.
    ops: HashMap<u64, Op>,
    /// Of these, those that have been answered and whose job has not seen it.
    unseen: Vec<u64>,
    deaths: u64,
    /// The device was shut down or killed.
    ended: bool,
    in_flight: u64,
    /// The most that may be.
    places: u64,
    last_ns: u64,
    problem: Option<String>,
    /// What has happened, if it is wanted.
    log: Option<Vec<String>>,
}

#[derive(Default)]
struct Op {
    ended: Option<OpEnd>,
    untold: bool,
}

impl Checker {
    pub(super) fn new(places: u64, log: bool) -> Checker {
        Checker {
            state: Mutex::new(State {
                places,
                log: log.then(Vec::new),
                ..State::default()
            }),
        }
    }

    /// Notes what the application does.
    pub(super) fn note(&self, at_ns: u64, what: impl Display) {
        let mut state = self.lock();
        if let Some(log) = &mut state.log {
            log.push(format!("{at_ns:>12} {what}"));
        }
    }

    /// Something must not be. The first such thing is what is reported.
    pub(super) fn problem(&self, what: impl Display) {
        let mut state = self.lock();
        state.fail(what);
    }

    pub(super) fn has_problem(&self) -> bool {
        self.lock().problem.is_some()
    }

    /// What is wrong, and what has happened.
    pub(super) fn take(&self) -> (Option<String>, Vec<String>) {
        let mut state = self.lock();
        let log = state.log.take().unwrap_or_default();
        (state.problem.take(), log)
    }

    /// The device is shut down or killed.
    pub(super) fn ended(&self) {
        self.lock().ended = true;
    }

    /// Whether the device or a part of it has died, or was shut down.
    pub(super) fn was_down(&self) -> bool {
        let state = self.lock();
        state.ended || state.deaths > 0
    }

    /// A job has come back from operation `id`, with an answer or without.
    pub(super) fn seen(&self, id: u64) {
        self.lock().unseen.retain(|unseen| *unseen != id);
    }

    /// The application has found no job to resume, so that it would sleep: then no job may have an
    /// answer.
    pub(super) fn sleeps(&self, told: bool) {
        let mut state = self.lock();
        let missed = state
            .unseen
            .iter()
            .copied()
            .find(|id| !told || state.ops.get(id).is_none_or(|op| !op.untold));
        if let Some(id) = missed {
            state.fail(format_args!(
                "operation {id} is answered, its job was not resumed, and nothing is left to do: its wake is lost"
            ));
        }
    }

    /// Operation `id` has this fate: to be said before it is submitted.
    pub(super) fn expect(&self, id: u64, fate: &Fate) {
        let op = Op {
            untold: fate.untold,
            ..Op::default()
        };
        self.lock().ops.insert(id, op);
    }

    /// All is over: every operation that was taken on has ended.
    pub(super) fn over(&self) {
        let mut state = self.lock();
        if state.in_flight > 0 {
            let left = state.in_flight;
            state.fail(format_args!(
                "{left} operations never ended, though the device has"
            ));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self, what: impl Display) {
        if self.problem.is_none() {
            let what = what.to_string();
            if let Some(log) = &mut self.log {
                log.push(format!("             FOUND: {what}"));
            }
            self.problem = Some(what);
        }
    }

    fn time(&mut self, at_ns: u64) {
        if at_ns < self.last_ns {
            let last = self.last_ns;
            self.fail(format_args!("time went back from {last} ns to {at_ns} ns"));
        }
        self.last_ns = self.last_ns.max(at_ns);
    }
}

impl Observer for Checker {
    fn observe(&self, event: &DeviceEvent) {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(log) = &mut state.log {
            log.push(describe(event));
        }
        match event {
            DeviceEvent::Submitted { at_ns, .. } => {
                state.time(*at_ns);
                state.in_flight += 1;
                if state.in_flight > state.places {
                    let (now, most) = (state.in_flight, state.places);
                    state.fail(format_args!(
                        "{now} operations are in flight on rings of {most} in all"
                    ));
                }
            }
            DeviceEvent::Ended(record) => {
                state.time(record.answered_ns);
                let id = record.id;
                if state.in_flight == 0 {
                    state.fail(format_args!("operation {id} ended, and none was in flight"));
                } else {
                    state.in_flight -= 1;
                }
                let op = state.ops.entry(id).or_default();
                if let Some(before) = op.ended.replace(record.end) {
                    state.fail(format_args!(
                        "operation {id} ended twice, as {before:?} and as {:?}",
                        record.end
                    ));
                }
                if record.end != OpEnd::Orphaned {
                    state.unseen.push(id);
                }
            }
            DeviceEvent::Died { .. } => state.deaths += 1,
            _ => {}
        }
    }
}

/// One event, on one line.
fn describe(event: &DeviceEvent) -> String {
    match event {
        DeviceEvent::Submitted {
            at_ns,
            id,
            endpoint,
            instance,
        } => format!("{at_ns:>12} op {id} taken on by endpoint {endpoint} instance {instance}"),
        DeviceEvent::Refused { at_ns, id, reason } => {
            format!("{at_ns:>12} op {id} refused: {reason:?}")
        }
        DeviceEvent::Started {
            at_ns,
            id,
            endpoint,
            engine,
        } => match engine {
            Some(engine) => {
                format!("{at_ns:>12} op {id} on engine {engine} of endpoint {endpoint}")
            }
            None => format!("{at_ns:>12} op {id} on an engine of endpoint {endpoint}"),
        },
        DeviceEvent::Ended(record) => format!(
            "{:>12} op {} {:?}",
            record.answered_ns, record.id, record.end
        ),
        DeviceEvent::Died { at_ns, endpoint } => {
            format!("{at_ns:>12} endpoint {endpoint} died")
        }
        DeviceEvent::FoundDead { at_ns, endpoint } => {
            format!("{at_ns:>12} endpoint {endpoint} found dead")
        }
        DeviceEvent::Restarted { at_ns, endpoint } => {
            format!("{at_ns:>12} endpoint {endpoint} restarted")
        }
        other => format!("{other:?}"),
    }
}
