//! One endpoint: its model, its health, and what a script holds in store for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::{DeviceConfig, FaultName, Heartbeat};
use crate::model::{Course, Model, Nanos, Out, Rules};
use crate::work::Job;

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It works.
    Up,
    /// It has died, and its driver does not know yet: it takes requests, and answers none.
    Hung,
    /// Its driver has found it dead, has failed what was in flight, and resets it.
    Restarting,
    /// The same, and it is not reset.
    Down,
}

pub(crate) struct Endpoint {
    /// What `core` says of its health, for who submits.
    health: AtomicU8,
    core: Mutex<Core>,
}

/// What happens on an endpoint beside what happens to requests.
pub(crate) enum Happening {
    /// To a request, as the model says.
    Request(Out<Job>),
    /// A request was in flight when the endpoint was found dead.
    Stranded(Box<Job>),
    FoundDead {
        at: Nanos,
    },
    Restarted {
        at: Nanos,
    },
}

pub(crate) struct Core {
    pub(crate) model: Model<Job>,
    heartbeat: Heartbeat,
    /// Faults at a point in time, the earliest first.
    script: VecDeque<Scripted>,
    health: Health,
    /// When it is found dead, or works again.
    next_health_at: Option<Nanos>,
    deaths: u64,
    restarts: u64,
    /// Has happened, and was not handed over.
    pending: VecDeque<Happening>,
    /// For `run`, between two of them.
    out: Vec<Out<Job>>,
}

struct Scripted {
    at: Nanos,
    what: Strike,
}

/// What strikes an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strike {
    /// It dies. Found out by its heartbeat, as the device file says.
    Death,
    /// An engine stands still; what it works on takes so much longer.
    Stall {
        /// Which one, counted from 0.
        engine: u32,
        /// For how long, in nanoseconds.
        for_ns: u64,
    },
}

impl Endpoint {
    /// Endpoint number `number` of a device, opened at `now`.
    pub(crate) fn new(config: &DeviceConfig, number: u32, now: Nanos) -> Endpoint {
        let mut script: Vec<_> = (config.faults.script.iter())
            .filter(|fault| fault.endpoint == number)
            .filter_map(|fault| {
                let what = match fault.fault {
                    FaultName::Death => Strike::Death,
                    _ => Strike::Stall {
                        engine: fault.engine,
                        for_ns: fault.for_ns,
                    },
                };
                let at = now.saturating_add(fault.at_ns?);
                Some(Scripted { at, what })
            })
            .collect();
        script.sort_by_key(|fault| fault.at);
        let rules = Rules {
            engines: config.engines,
            batch_size: config.batch.size,
            batch_flush_ns: config.batch.flush_ns,
            detect_every_ns: config.detection.every_ns,
            coalesce_ns: config.detection.coalesce_ns,
            coalesce_max: config.detection.coalesce_max,
        };
        Endpoint {
            health: AtomicU8::new(Health::Up as u8),
            core: Mutex::new(Core {
                model: Model::new(rules),
                heartbeat: config.heartbeat,
                script: script.into(),
                health: Health::Up,
                next_health_at: None,
                deaths: 0,
                restarts: 0,
                pending: VecDeque::new(),
                out: Vec::new(),
            }),
        }
    }

    /// Whether requests are taken: also when it has died and nobody knows.
    pub(crate) fn takes_requests(&self) -> bool {
        let health = self.health.load(Ordering::Acquire);
        health <= Health::Hung as u8
    }

    /// Whether it works.
    pub(crate) fn is_up(&self) -> bool {
        self.health.load(Ordering::Acquire) == Health::Up as u8
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().health
    }

    /// Nothing of anybody else's runs under it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_at(&self) -> Option<Nanos> {
        self.lock().next_at()
    }

    /// Lets everything happen until `until`.
    pub(crate) fn run(&self, until: Nanos, happened: &mut VecDeque<Happening>) {
        let mut core = self.lock();
        core.run(until, happened);
        self.show(&core);
    }

    /// Takes a request that was submitted at `at`.
    ///
    /// # Errors
    ///
    /// The request, if the endpoint is down.
    pub(crate) fn admit(&self, at: Nanos, course: Course, job: Job) -> Result<(), Job> {
        let mut core = self.lock();
        if !matches!(core.health, Health::Up | Health::Hung) {
            return Err(job);
        }
        core.model.submit(at, course, job);
        Ok(())
    }

    /// Something strikes it now. What comes of it is handed over by the next `run`.
    pub(crate) fn strike(&self, now: Nanos, what: Strike) {
        let mut core = self.lock();
        let mut pending = std::mem::take(&mut core.pending);
        core.run(now, &mut pending);
        core.strike(now, what, &mut pending);
        core.pending = pending;
        self.show(&core);
    }

    fn show(&self, core: &Core) {
        self.health.store(core.health as u8, Ordering::Release);
    }

    pub(crate) fn deaths_and_restarts(&self) -> (u64, u64) {
        let core = self.lock();
        (core.deaths, core.restarts)
    }
}

impl Core {
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        if !self.pending.is_empty() {
            return Some(0);
        }
        let script = self.script.front().map(|fault| fault.at);
        let next = [script, self.next_health_at, self.model.next_at()];
        next.into_iter().flatten().min()
    }

    fn run(&mut self, until: Nanos, happened: &mut VecDeque<Happening>) {
        happened.append(&mut self.pending);
        while let Some(now) = self.next_at()
            && now <= until
        {
            self.model.run(now, &mut self.out);
            let died = self.hand_over(happened);
            if let Some(at) = died {
                self.died(at);
            }
            while self.script.front().is_some_and(|fault| fault.at <= now)
                && let Some(fault) = self.script.pop_front()
            {
                self.strike(fault.at, fault.what, happened);
            }
            if self.next_health_at.is_some_and(|at| at <= now) {
                self.change_health(now, happened);
            }
        }
    }

    /// Says when it has died of a request.
    fn hand_over(&mut self, happened: &mut VecDeque<Happening>) -> Option<Nanos> {
        let mut died = None;
        for out in self.out.drain(..) {
            if let Out::Died { at } = out {
                died = Some(at);
            }
            happened.push_back(Happening::Request(out));
        }
        died
    }

    fn strike(&mut self, now: Nanos, what: Strike, happened: &mut VecDeque<Happening>) {
        match what {
            Strike::Stall { engine, for_ns } => self.model.stall(now, engine, for_ns),
            Strike::Death if self.health == Health::Up => {
                self.model.die();
                happened.push_back(Happening::Request(Out::Died { at: now }));
                self.died(now);
            }
            // Nobody dies twice.
            Strike::Death => {}
        }
    }

    fn died(&mut self, now: Nanos) {
        self.health = Health::Hung;
        self.deaths += 1;
        // At the next look there has been progress since the last one; from then on there is none.
        let period = self.heartbeat.period_ns;
        let next = (now / period).saturating_add(1);
        let found = next.saturating_add(u64::from(self.heartbeat.misses));
        self.next_health_at = Some(found.saturating_mul(period));
    }

    fn change_health(&mut self, now: Nanos, happened: &mut VecDeque<Happening>) {
        self.next_health_at = None;
        if self.health == Health::Restarting {
            self.health = Health::Up;
            self.restarts += 1;
            happened.push_back(Happening::Restarted { at: now });
            return;
        }
        happened.push_back(Happening::FoundDead { at: now });
        self.strand(happened);
        let restart = self.heartbeat.restart_ns;
        self.health = match restart {
            0 => Health::Down,
            _ => Health::Restarting,
        };
        self.next_health_at = (restart > 0).then(|| now.saturating_add(restart));
    }

    /// Hands over all that is inside, as not done.
    pub(crate) fn strand(&mut self, happened: &mut VecDeque<Happening>) {
        for job in self.model.reset() {
            happened.push_back(Happening::Stranded(Box::new(job)));
        }
    }

    /// Lets go of what nobody waits for and has not started.
    pub(crate) fn sweep(&mut self, happened: &mut VecDeque<Happening>) {
        self.model.sweep(&mut self.out);
        self.hand_over(happened);
    }
}
