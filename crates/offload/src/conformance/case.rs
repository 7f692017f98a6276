//! One rule on its way: its thread, its engines, its waits.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::report::Verdict;
use super::requests::Requests;
use super::rules::Rule;
use super::setup::{Made, Setup};
use crate::engine::{Counters, Drive, Engine};

/// How a rule ends before its end.
#[derive(Debug)]
pub(super) enum End {
    /// It is broken: what was seen.
    Broken(String),
    /// It cannot be checked: why.
    Skipped(String),
}

pub(super) type Ran<T = ()> = Result<T, End>;

pub(super) fn broken<T>(seen: impl Into<String>) -> Ran<T> {
    Err(End::Broken(seen.into()))
}

pub(super) fn skip<T>(reason: impl Into<String>) -> Ran<T> {
    Err(End::Skipped(reason.into()))
}

/// `seen` is what is wrong if `holds` does not hold.
pub(super) fn demand(holds: bool, seen: impl FnOnce() -> String) -> Ran {
    if holds { Ok(()) } else { broken(seen()) }
}

/// What a rule works with. Clones share the progress.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) setup: Setup,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    steps: AtomicU64,
    doing: Mutex<String>,
    engine: Mutex<Option<String>>,
}

/// Runs `rule` on a thread of its own. Says what the engine is called and what became of the rule.
pub(super) fn run(rule: &'static Rule, setup: &Setup) -> (Option<String>, Verdict) {
    let case = Case {
        setup: setup.clone(),
        progress: Arc::default(),
    };
    let progress = Arc::clone(&case.progress);
    let (send, ended) = mpsc::channel();
    let spawned = thread::Builder::new()
        .name(rule.name.into())
        .spawn(move || {
            let ran = catch_unwind(AssertUnwindSafe(|| (rule.run)(&case)));
            // Nobody listens any more when it was given up.
            let _ = send.send(ran);
        });
    if let Err(error) = spawned {
        return (None, Verdict::Skipped(format!("no thread for it: {error}")));
    }
    // Longer than what the rule itself waits for, which can say better what is missing.
    let bound = setup.patience * 2;
    let mut seen = 0;
    let verdict = loop {
        match ended.recv_timeout(bound) {
            Ok(Ok(Ok(()))) => break Verdict::Passed,
            Ok(Ok(Err(End::Skipped(reason)))) => break Verdict::Skipped(reason),
            Ok(Ok(Err(End::Broken(seen)))) => break Verdict::Failed(seen),
            Ok(Err(panic)) => {
                let doing = lock(&progress.doing).clone();
                break Verdict::Failed(format!("a panic while {doing}: {}", message(&*panic)));
            }
            Err(_) => {
                let steps = progress.steps.load(Ordering::Relaxed);
                if steps == seen {
                    let doing = lock(&progress.doing).clone();
                    let hung = format!("hung for {bound:?} while {doing}");
                    break Verdict::Failed(hung);
                }
                seen = steps;
            }
        }
    };
    let engine = lock(&progress.engine).clone();
    (engine, verdict)
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    let text = panic.downcast_ref::<String>();
    text.map_or("not a message", |text| text).to_owned()
}

impl Case {
    /// Says what is being done, for when it hangs.
    pub(super) fn doing(&self, what: impl Into<String>) {
        *lock(&self.progress.doing) = what.into();
        self.step();
    }

    /// Something has moved.
    pub(super) fn step(&self) {
        self.progress.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// A fresh engine.
    pub(super) fn engine(&self) -> Subject {
        self.doing("making an engine");
        let Made { engine, shutdown } = (self.setup.make)();
        *lock(&self.progress.engine) = Some(engine.name().to_owned());
        self.doing("using a fresh engine");
        Subject { engine, shutdown }
    }

    /// The requests for an engine.
    pub(super) fn requests(&self, engine: &dyn Engine) -> Ran<Requests> {
        Requests::new(&self.setup, engine)
    }

    /// Waits until nothing is `missing` any more, driving the engine if it has to be. The patience is
    /// for each that is missing: it starts anew when their number changes.
    pub(super) fn until(
        &self,
        engine: &dyn Engine,
        what: &str,
        mut missing: impl FnMut() -> usize,
    ) -> Ran {
        self.doing(format!("waiting: {what}"));
        let mut last = usize::MAX;
        let mut moved = Instant::now();
        let mut nap = Duration::from_micros(20);
        loop {
            let now = missing();
            if now == 0 {
                return Ok(());
            }
            if now != last {
                last = now;
                moved = Instant::now();
                nap = Duration::from_micros(20);
                self.step();
            } else if moved.elapsed() > self.setup.patience {
                let patience = self.setup.patience;
                return broken(format!(
                    "nothing moved for {patience:?}; missing: {now} {what}"
                ));
            }
            match engine.drive() {
                Drive::Poll if engine.poll(0) > 0 => moved = Instant::now(),
                _ => {
                    thread::sleep(nap);
                    nap = (nap * 2).min(Duration::from_millis(2));
                }
            }
        }
    }

    /// Waits until the engine's counters are at rest: an engine may count an answer just after it has
    /// given it.
    pub(super) fn at_rest(&self, engine: &dyn Engine) -> Ran<Counters> {
        let rest = self.until(engine, "operations by the engine's own counters", || {
            let now = engine.counters();
            let open = now.in_flight.max(u64::from(!now.balance()));
            usize::try_from(open).unwrap_or(usize::MAX)
        });
        let now = engine.counters();
        match rest {
            Ok(()) => Ok(now),
            Err(_) => broken(format!(
                "every operation has ended, and the counters do not say so: {now:?}"
            )),
        }
    }
}

/// An engine of the factory's.
pub(super) struct Subject {
    pub(super) engine: Arc<dyn Engine>,
    shutdown: Option<Box<dyn FnOnce() + Send>>,
}

impl Subject {
    /// Whether it is shut down other than by dropping it.
    pub(super) fn has_shutdown(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Shuts it down, as its author does.
    pub(super) fn shut_down(mut self, case: &Case) {
        case.doing("shutting the engine down");
        if let Some(shutdown) = self.shutdown.take() {
            shutdown();
        }
        drop(self);
        case.step();
    }

    pub(super) fn is_polled(&self) -> bool {
        self.engine.drive() == Drive::Poll
    }
}

impl std::ops::Deref for Subject {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        &*self.engine
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
