//! Runs a cell to its end, and says what is wrong with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_core::{JobSet, WakeBy, leaked_jobs, pool_stats};
use offload::{OffloadClient, Ticker};
use sim_engine::{Fate, FaultName, Plant, SimClock, SimDevice, SoftwareEngine, Step, VirtualClock};

use crate::cell::{Cell, Ending, ending, request};

/// Jobs at once: twice as many as the rings have places.
const JOBS: usize = 16;

/// More steps than any cell takes: an operation has a handful of events and a few ticks.
const STEPS_MAX: u64 = 200_000;

/// Ends a hang, and nothing else.
const REAL_TIME_MAX: Duration = Duration::from_secs(120);

/// What an operation came to.
struct Ended {
    id: u64,
    how: Ending,
    /// From the start of its job to the end, in nanoseconds of the device's clock.
    took: u64,
}

type Set = JobSet<Ended>;

/// Runs a cell. The errors are what is wrong with it.
pub(crate) fn run(cell: Cell, plant: Option<Plant>) -> Result<(), String> {
    let descriptors = descriptors();
    let stats = run_and_let_go(cell, plant)?;
    let after = self::descriptors();
    if after != descriptors {
        return Err(format!("{descriptors} descriptors before, {after} after"));
    }
    let in_use = pool_stats().map_or(0, |pool| pool.in_use);
    if in_use != 0 || leaked_jobs() != 0 {
        return Err(format!("{in_use} jobs in use, {} leaked", leaked_jobs()));
    }
    stats
}

fn run_and_let_go(cell: Cell, plant: Option<Plant>) -> Result<Result<(), String>, String> {
    let clock = if cell.real_time {
        SimClock::real()
    } else {
        SimClock::virtual_time()
    };
    let device = SimDevice::builder(&cell.device())
        .seed(11)
        .clock(&clock)
        .plant(plant)
        .open()
        .map_err(|error| error.to_string())?;
    let mut client = OffloadClient::new(device.clone()).with_timeout(Some(cell.timeout()));
    if let Some(clock) = clock.as_virtual() {
        let ticker = Ticker::new();
        clock.tick(&ticker, tick_ns(&cell));
        client = client.with_ticker(&ticker);
    }
    if cell.fallback {
        client = client.with_fallback(Arc::new(SoftwareEngine::new()));
    }

    let ended = all_operations(&cell, &client, &clock)?;
    let verdict = check_operations(&cell, &device, &ended);
    let stats = client.stats();
    // The lost ones are let go of here.
    let device_stats = device.shutdown();
    let counters = device_stats.counters;
    if !counters.balance() || counters.in_flight != 0 {
        return Err(format!("the counters do not balance: {counters:?}"));
    }
    // The fault was met, and not only planned.
    let timeout_ns = 8 * tick_ns(&cell);
    let struck_took = |ns: u64| {
        let mut struck = (ended.iter()).filter(|op| device.fate(op.id) != Fate::default());
        struck.any(|op| op.took >= ns)
    };
    let met = match cell.fault {
        None => counters.failed + counters.orphaned + counters.duplicates == 0,
        Some(FaultName::RingFull) => stats.ring_full > 0,
        Some(FaultName::Throttled | FaultName::NoDescriptor) => counters.refused > 0,
        Some(FaultName::Lost) => stats.timed_out > 0,
        Some(FaultName::Duplicate) => counters.duplicates > 0,
        Some(FaultName::Error) => counters.failed > 0,
        Some(FaultName::Death) => device_stats.deaths > 0,
        Some(FaultName::Wrong) => ended.iter().any(|op| op.how == Ending::Wrong),
        // In real time the answer may be there before the job has come to it.
        Some(FaultName::Spurious) => cell.real_time || stats.resumed_early > 0,
        // Who polls need not be told; nor in real time who comes to the pause after the answer.
        Some(FaultName::Untold) if cell.wake == WakeBy::Polling || cell.real_time => true,
        Some(FaultName::Untold) => struck_took(timeout_ns),
        Some(FaultName::Slow | FaultName::Late | FaultName::Stall) => struck_took(100_000),
        Some(other) => panic!("{other:?} is not in the matrix yet"),
    };
    if !met {
        return Err(format!("the fault was not met: {counters:?}, {stats:?}"));
    }
    Ok(verdict)
}

fn tick_ns(cell: &Cell) -> u64 {
    let eighth = cell.timeout() / Ticker::TICKS;
    u64::try_from(eighth.as_nanos()).expect("milliseconds")
}

/// Every operation has ended once, in one of the ways that its fate allows.
fn check_operations(cell: &Cell, device: &SimDevice, ended: &[Ended]) -> Result<(), String> {
    let mut times = vec![0_u32; cell.operations() as usize];
    for op in ended {
        let fate = device.fate(op.id);
        times[op.id as usize] += 1;
        if !cell.allows(&fate, op.how) {
            return Err(format!(
                "op {} ended with {:?}, and met {fate:?}",
                op.id, op.how
            ));
        }
        let long = u128::from(op.took) >= cell.timeout().as_nanos();
        if long && !cell.real_time && !cell.may_take_long(&fate) {
            return Err(format!("op {} was not told for {} ns", op.id, op.took));
        }
    }
    match times.iter().position(|times| *times != 1) {
        Some(id) => Err(format!("op {id} ended {} times", times[id])),
        None => Ok(()),
    }
}

fn all_operations(
    cell: &Cell,
    client: &OffloadClient,
    clock: &SimClock,
) -> Result<Vec<Ended>, String> {
    let mut set = Set::new(JOBS, cell.wake).map_err(|error| error.to_string())?;
    let ended = Rc::new(RefCell::new(Vec::new()));
    let mut ids = 0..cell.operations();
    let mut pace = Pace::new(cell, clock);
    while !(ids.is_empty() && set.is_empty()) {
        while set.has_room()
            && let Some(id) = ids.next()
        {
            let (client, clock) = (client.clone(), clock.clone());
            let job = move || {
                let began = clock.now_ns();
                let how = ending(id, client.run(request(id)));
                let took = clock.now_ns() - began;
                Ended { id, how, took }
            };
            match set.start(id, job) {
                Ok(None) => {}
                Ok(Some(op)) => ended.borrow_mut().push(op),
                Err(error) => return Err(error.to_string()),
            }
        }
        if let Err(hang) = pace.turn(&mut set, &mut ended.borrow_mut()) {
            let left = set.in_flight();
            // Cancelled, so that they do not outlive the cell.
            set.cancel_all(|_, _| {});
            return Err(format!("{hang}, with {left} jobs left"));
        }
    }
    Ok(ended.take())
}

/// Lets time pass, of either clock, and notices when nothing will ever happen.
enum Pace<'a> {
    Real {
        until: Instant,
    },
    Virtual {
        clock: &'a VirtualClock,
        steps: u64,
        /// Times in a row that nothing was left to happen.
        nothing: u32,
        polling: bool,
    },
}

impl Pace<'_> {
    fn new<'a>(cell: &Cell, clock: &'a SimClock) -> Pace<'a> {
        match clock.as_virtual() {
            None => Pace::Real {
                until: Instant::now() + REAL_TIME_MAX,
            },
            Some(clock) => Pace::Virtual {
                clock,
                steps: 0,
                nothing: 0,
                polling: cell.wake == WakeBy::Polling,
            },
        }
    }

    /// Resumes what can go on. If nothing can, it becomes later.
    fn turn(&mut self, set: &mut Set, ended: &mut Vec<Ended>) -> Result<(), String> {
        let timeout = match self {
            Pace::Real { .. } => Duration::from_secs(1),
            Pace::Virtual { .. } => Duration::ZERO,
        };
        let before = ended.len();
        let resumed = set
            .turn(Some(timeout), |_, op| ended.push(op))
            .map_err(|error| error.to_string())?;
        match self {
            Pace::Real { until } if Instant::now() >= *until => Err("it hangs".to_owned()),
            Pace::Real { .. } => Ok(()),
            Pace::Virtual {
                clock,
                steps,
                nothing,
                polling,
            } => {
                // Who polls is resumed always, which says nothing.
                let idle = if *polling {
                    ended.len() == before
                } else {
                    resumed == 0
                };
                if !idle || set.is_empty() {
                    return Ok(());
                }
                *steps += 1;
                if clock.step() == Step::Idle {
                    // Something may have become ready just before.
                    *nothing += 1;
                } else {
                    *nothing = 0;
                }
                if *nothing > 4 || *steps > STEPS_MAX {
                    return Err(format!("it hangs after {steps} steps"));
                }
                Ok(())
            }
        }
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
