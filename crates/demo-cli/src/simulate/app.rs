//! One run: a randomised application on one thread, in virtual time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_core::{Job, JobOutcome, start_job};
use offload::{Engine, OffloadClient, Ticker};
use sim_engine::{DeviceConfig, Plant, SimClock, SimDevice, SoftwareEngine, Step, Strike};
use waitctx::{FdPoller, ReadyQueue, WaitCtx};

use super::checker::Checker;
use super::job::World;
use super::plan::{Dice, Plan, Wake};

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) device: DeviceConfig,
    /// Jobs in flight at most.
    pub(super) jobs: usize,
    /// Jobs in all.
    pub(super) total: u64,
    pub(super) plant: Option<Plant>,
}

/// What came of a seed.
pub(super) struct Outcome {
    /// What must not be, if anything.
    pub(super) problem: Option<String>,
    pub(super) operations: u64,
    /// What happened, if it was wanted.
    pub(super) log: Vec<String>,
}

/// Runs one seed.
pub(super) fn run(setup: &Setup, seed: u64, log: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let plan = Plan::new(&setup.device, setup.jobs, &mut dice);
    let config = &plan.device;
    let rings = u64::from(config.endpoints) * u64::from(config.instances);
    let places = rings * u64::from(config.ring_depth_max + config.asym_ring_depth_max);
    let checker = Arc::new(Checker::new(places, log));
    let clock = SimClock::virtual_time();
    let device = SimDevice::builder(config)
        .seed(seed)
        .clock(&clock)
        .observer(checker.clone())
        .plant(setup.plant)
        .open();
    let (Ok(device), Some(clock)) = (device, clock.as_virtual()) else {
        checker.problem("the device was not opened");
        let (problem, log) = checker.take();
        return Outcome {
            problem,
            operations: 0,
            log,
        };
    };
    let ticker = Ticker::new();
    clock.tick(&ticker, plan.tick_ns);
    let mut client = OffloadClient::new(device.clone())
        .with_timeout(Some(Duration::from_nanos(plan.tick_ns * 8)))
        .with_ticker(&ticker);
    if plan.fallback {
        client = client.with_fallback(Arc::new(SoftwareEngine::new()));
    }
    checker.note(0, &plan);
    let world = Rc::new(World {
        clock: clock.clone(),
        device,
        client,
        checker: Arc::clone(&checker),
        habits: plan.habits,
        dice: RefCell::new(dice),
        next_id: Cell::new(0),
        hold_ups: Cell::new(false),
    });
    match App::new(&world, plan.wake, setup) {
        Ok(mut app) => app.run(),
        Err(error) => checker.problem(format_args!("no wake source: {error}")),
    }
    world.close();
    let operations = world.next_id.get();
    let (problem, log) = checker.take();
    Outcome {
        problem,
        operations,
        log,
    }
}

/// Turns for a job, over all: a hundred times what a run takes.
const TURNS_MAX: u64 = 1000;

struct Running {
    job: Job<()>,
    ctx: WaitCtx,
    number: u64,
    /// Known to the job: its errors are then as they should be.
    cancelled: Rc<Cell<bool>>,
}

enum Source {
    Queue(ReadyQueue),
    Fds(FdPoller),
    Polling,
}

struct App<'a> {
    world: &'a Rc<World>,
    total: u64,
    started: u64,
    source: Source,
    /// By token.
    places: Vec<Option<Running>>,
    ready: Vec<u64>,
    /// The device was shut down or killed.
    ended: bool,
}

impl App<'_> {
    fn new<'a>(world: &'a Rc<World>, wake: Wake, setup: &Setup) -> std::io::Result<App<'a>> {
        Ok(App {
            world,
            total: setup.total,
            started: 0,
            source: match wake {
                Wake::Callback => Source::Queue(ReadyQueue::new()),
                Wake::SharedFd => Source::Queue(ReadyQueue::with_fd()?),
                Wake::Fd => Source::Fds(FdPoller::new()?),
                Wake::Polling => Source::Polling,
            },
            places: (0..setup.jobs).map(|_| None).collect(),
            ready: Vec::new(),
            ended: false,
        })
    }

    fn run(&mut self) {
        let world = self.world;
        let turns_max = TURNS_MAX.saturating_mul(self.total);
        let mut turns = 0;
        while !world.checker.has_problem() {
            turns += 1;
            if turns > turns_max {
                world.checker.problem(format_args!(
                    "no end after {turns_max} turns: things happen, and none of them ends the jobs"
                ));
            }
            let acted = self.act();
            let resumed = self.resume_ready();
            let left = self.places.iter().any(Option::is_some);
            if !left && self.started == self.total {
                return;
            }
            if !acted && !resumed && left {
                world
                    .checker
                    .sleeps(!matches!(self.source, Source::Polling));
                let stepped = world.clock.step();
                world.device.poll(0);
                if stepped == Step::Idle && !self.is_ready() {
                    world
                        .checker
                        .problem("jobs are paused, and nothing will ever happen that resumes them");
                }
            }
        }
        // What is left is cancelled: it is of no interest any more.
        for place in &mut self.places {
            if let Some(running) = place.take() {
                running.cancelled.set(true);
                running.job.cancel();
            }
        }
    }

    /// Does something that the dice decide, or nothing. Says which.
    fn act(&mut self) -> bool {
        let world = self.world;
        let habits = world.habits;
        let roll = |n: u64| world.dice.borrow_mut().one_in(n);
        if self.started < self.total && roll(2) && self.start() {
            return true;
        }
        if roll(habits.cancel) && self.with_any(App::cancel) {
            return true;
        }
        if roll(habits.drop) && self.with_any(App::drop_job) {
            return true;
        }
        if roll(habits.spurious) && self.with_any(App::resume_early) {
            return true;
        }
        if roll(habits.outside) {
            world.outside();
            return true;
        }
        if roll(habits.work) {
            let ns = world.dice.borrow_mut().below(50_000);
            world.note(format_args!("works for {ns} ns"));
            world.clock.spend(ns);
            return true;
        }
        if roll(habits.strike) {
            self.strike();
            return true;
        }
        if roll(habits.end) && !self.ended {
            self.end();
            return true;
        }
        false
    }

    /// Starts a job, if there is a place. Says whether.
    fn start(&mut self) -> bool {
        let Some(place) = self.places.iter().position(Option::is_none) else {
            return false;
        };
        self.started += 1;
        let number = self.started;
        let ctx = WaitCtx::new();
        match &self.source {
            Source::Queue(queue) => queue.attach(&ctx, place as u64),
            Source::Fds(_) => {}
            Source::Polling => {
                let _ = ctx.set_silent(true);
            }
        }
        self.world.note(format_args!("starts job {number}"));
        let cancelled = Rc::new(Cell::new(false));
        let (world, its) = (Rc::clone(self.world), Rc::clone(&cancelled));
        match start_job(&ctx, move || world.job(number, &its)) {
            Ok(outcome) => self.paused_or_not(outcome, place, ctx, number, cancelled),
            Err(error) => self
                .world
                .checker
                .problem(format_args!("job {number} was not started: {error}")),
        }
        true
    }

    fn paused_or_not(
        &mut self,
        outcome: JobOutcome<()>,
        place: usize,
        ctx: WaitCtx,
        number: u64,
        cancelled: Rc<Cell<bool>>,
    ) {
        match outcome {
            JobOutcome::Finished(()) => {
                self.world.note(format_args!("job {number} finished"));
                self.forget(&ctx);
            }
            JobOutcome::Paused(job) => {
                if let Source::Fds(poller) = &mut self.source
                    && let Err(error) = poller.follow(&ctx, place as u64)
                {
                    let checker = &self.world.checker;
                    checker.problem(format_args!("job {number} cannot be watched: {error}"));
                }
                self.places[place] = Some(Running {
                    job,
                    ctx,
                    number,
                    cancelled,
                });
            }
        }
    }

    fn forget(&mut self, ctx: &WaitCtx) {
        if let Source::Fds(poller) = &mut self.source {
            // It is of no more interest: a wake for it finds nobody.
            let _ = poller.leave(ctx);
        }
    }

    /// Resumes what is to be resumed. Says whether there was any.
    fn resume_ready(&mut self) -> bool {
        let waited = match &mut self.source {
            Source::Queue(queue) => {
                queue.drain(&mut self.ready);
                Ok(())
            }
            Source::Fds(poller) => poller.wait(&mut self.ready, Some(Duration::ZERO)).map(drop),
            Source::Polling => {
                self.ready.extend(0..self.places.len() as u64);
                Ok(())
            }
        };
        if let Err(error) = waited {
            self.world
                .checker
                .problem(format_args!("waiting failed: {error}"));
        }
        let polling = matches!(self.source, Source::Polling);
        let mut resumed = false;
        for token in std::mem::take(&mut self.ready) {
            let before = self.world.next_id.get();
            let paused = self.resume(token as usize);
            // A job that was resumed for nothing has done nothing.
            resumed |= paused
                .is_some_and(|paused| !(polling && paused && before == self.world.next_id.get()));
        }
        resumed
    }

    /// Whether a wake has come that was not there when it was last looked.
    fn is_ready(&mut self) -> bool {
        self.resume_ready() || self.places.iter().all(Option::is_none)
    }

    /// Resumes the job in a place, if there is one. Says whether it has paused again.
    fn resume(&mut self, place: usize) -> Option<bool> {
        let running = self.places.get_mut(place)?.take()?;
        let Running {
            job,
            ctx,
            number,
            cancelled,
        } = running;
        let outcome = job.resume();
        let paused = matches!(outcome, JobOutcome::Paused(_));
        self.paused_or_not(outcome, place, ctx, number, cancelled);
        Some(paused)
    }

    /// Does something to one of the jobs, if there is one. Says whether.
    fn with_any(&mut self, what: fn(&mut Self, usize)) -> bool {
        let taken: Vec<usize> = (0..self.places.len())
            .filter(|place| self.places[*place].is_some())
            .collect();
        if taken.is_empty() {
            return false;
        }
        let place = self.world.dice.borrow_mut().pick(&taken);
        what(self, place);
        true
    }

    fn cancel(&mut self, place: usize) {
        if let Some(running) = self.places[place].take() {
            self.world
                .note(format_args!("cancels job {}", running.number));
            running.cancelled.set(true);
            running.job.cancel();
            self.forget(&running.ctx);
        }
    }

    /// Drops the job, and its context before or after it.
    fn drop_job(&mut self, place: usize) {
        if let Some(running) = self.places[place].take() {
            self.world
                .note(format_args!("drops job {}", running.number));
            running.cancelled.set(true);
            self.forget(&running.ctx);
            if self.world.dice.borrow_mut().one_in(2) {
                drop(running.ctx);
                drop(running.job);
            } else {
                drop(running.job);
                drop(running.ctx);
            }
        }
    }

    fn resume_early(&mut self, place: usize) {
        if let Some(running) = &self.places[place] {
            self.world
                .note(format_args!("resumes job {} unasked", running.number));
        }
        self.resume(place);
    }

    fn strike(&mut self) {
        let world = self.world;
        let config = world.device.config();
        let mut dice = world.dice.borrow_mut();
        let endpoint = dice.below(u64::from(config.endpoints)) as u32;
        let what = if dice.one_in(2) {
            world.hold_ups.set(true);
            Strike::Death
        } else {
            Strike::Stall {
                engine: dice.below(u64::from(config.engines.max(1))) as u32,
                for_ns: dice.below(500_000),
            }
        };
        drop(dice);
        world.note(format_args!("strikes endpoint {endpoint}: {what:?}"));
        world.device.strike(endpoint, what);
    }

    fn end(&mut self) {
        self.ended = true;
        let world = self.world;
        world.checker.ended();
        if world.dice.borrow_mut().one_in(2) {
            world.note("kills the device");
            world.device.kill();
        } else {
            world.note("shuts the device down");
            world.device.shutdown();
        }
    }
}

impl World {
    /// The end of all: what must hold then.
    fn close(&self) {
        self.checker.ended();
        let stats = self.device.shutdown();
        self.checker.over();
        let counters = stats.counters;
        if !counters.balance() || counters.in_flight != 0 {
            self.checker.problem(format_args!(
                "the device's counters do not balance: {counters:?}"
            ));
        }
        let in_use = async_core::pool_stats().map_or(0, |pool| pool.in_use);
        let leaked = async_core::leaked_jobs();
        if in_use != 0 || leaked != 0 {
            self.checker.problem(format_args!(
                "{in_use} jobs are still in use, and {leaked} have leaked"
            ));
        }
    }
}
