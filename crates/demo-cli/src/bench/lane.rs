//! One side of a row: an engine and threads of its own, kept from round to round.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use offload::Counters;
use sim_engine::{Completions, SimClock};

use super::arrivals::Rate;
use super::capacity;
use super::options::{BenchOptions, Case, Runtime};
use super::pace::{Pace, Polling};
use super::payload::Payload;

use super::stages::{Notes, StageTally, Stages, Watch};
use super::tally::Tally;
use super::trace::RowTrace;
use super::view::{Flow, TICK};
use super::worker::{self, End, Work};
use crate::cli::CompletionName;
use crate::engine::{OpenEngine, Setup};
use crate::error::{Error, RunError};
use crate::live::feed::Feed;
use crate::report::DeviceNote;
use crate::system::{self, CpuSpent, CpuTime};

/// How long a round lasts, over all threads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Share {
    Time(Duration),
    Operations(u64),
}

/// A runtime's jobs on a device of their own. Idle between rounds.
pub(crate) struct Lane {
    pub(crate) runtime: Runtime,
    engine: OpenEngine,
    threads: Vec<Thread>,
    reports: Receiver<Result<u64, RunError>>,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// Of a row with a pace.
    clock: Option<SimClock>,
    stages: Option<Arc<Stages>>,
    notes: Arc<Notes>,
    wall: Duration,
    /// Operations are due at a rate, whatever the device does.
    open_loop: bool,
    cpu: CpuSpent,
    switches: Option<u64>,
}

struct Thread {
    orders: Sender<End>,
    handle: JoinHandle<Option<Tally>>,
}

/// What a lane has done in all of its rounds.
pub(crate) struct Account {
    pub(crate) tally: Tally,
    pub(crate) counters: Counters,
    /// Of the modelled engines' time, where they are bounded.
    pub(crate) utilisation: Option<f64>,
    pub(crate) stages: Option<StageTally>,
    pub(crate) device_events: Vec<DeviceNote>,
    pub(crate) wall: Duration,
    pub(crate) cpu: CpuSpent,
    /// Context switches, where they can be told.
    pub(crate) switches: Option<u64>,
}

impl Lane {
    /// Opens the engine, starts the threads and waits until they are ready.
    pub(crate) fn open(
        options: &BenchOptions,
        case: Case,
        runtime: Runtime,
        payload: &Arc<Payload>,
        trace: Option<Arc<RowTrace>>,
        live: Option<Arc<Feed>>,
    ) -> Result<Lane, Error> {
        let (report, reports) = channel();
        let clock = match (options.is_virtual(), is_paced(options, case)) {
            (true, _) => Some(SimClock::virtual_time()),
            (false, true) => Some(SimClock::real()),
            (false, false) => None,
        };
        let stages = clock.is_some().then(|| {
            let jobs = case.jobs.div_ceil(options.threads);
            Arc::new(Stages::new(options.threads, jobs))
        });
        let notes = Arc::new(Notes::default());
        let watch = (stages.is_some() || live.is_some()).then(|| Watch {
            stages: stages.clone(),
            trace: trace.clone(),
            notes: Arc::clone(&notes),
            live: live.clone(),
        });
        let engine = options.engine.open_with(Setup {
            clock: clock.as_ref(),
            observer: watch.map(|watch| Arc::new(watch) as _),
            completions: case.completion.map(CompletionName::completions),
        })?;
        if let Some(live) = &live {
            live.attach(clock.as_ref(), engine.device.as_ref());
        }
        let mut lane = Lane {
            runtime,
            engine,
            threads: Vec::with_capacity(options.threads),
            reports,
            done: Arc::new(AtomicU64::new(0)),
            stop: Arc::new(AtomicBool::new(false)),
            clock,
            stages,
            notes,
            wall: Duration::ZERO,
            open_loop: options.rate.is_some(),
            cpu: CpuSpent::default(),
            switches: Some(0),
        };
        let beside = (trace, live);
        match lane.start_threads(options, case, payload, beside, report) {
            Ok(()) => Ok(lane),
            Err(error) => {
                // The first thing that went wrong is what is said.
                let _ = lane.close();
                Err(error.into())
            }
        }
    }

    fn start_threads(
        &mut self,
        options: &BenchOptions,
        case: Case,
        payload: &Arc<Payload>,
        (trace, live): (Option<Arc<RowTrace>>, Option<Arc<Feed>>),
        report: Sender<Result<u64, RunError>>,
    ) -> Result<(), RunError> {
        let jobs_of = |thread| share(case.jobs as u64, options.threads, thread) as usize;
        for thread in 0..options.threads {
            let work = Work {
                thread: thread as u64,
                jobs: jobs_of(thread),
                runtime: self.runtime,
                notify: case.notify,
                client: self.engine.client.clone(),
                fallback: self.engine.fallback.clone(),
                payload: Arc::clone(payload),
                timeout: options.engine.timeout,
                verifies: options.computes(),
                pace: self.clock.as_ref().map(|clock| Pace {
                    clock: clock.clone(),
                    device: self.engine.device.clone(),
                    op_ns: options.engine.device().map_or(0, |d| d.host.op_ns),
                    polling: polling(options, case),
                    rate: options.rate.map(|rate| Rate {
                        ops_per_s: rate / options.threads as f64,
                        phase: thread as f64 / options.threads as f64,
                        poisson: options.poisson,
                        seed: options.engine.seed,
                        thread: thread as u64,
                    }),
                    stages: self.stages.clone(),
                    trace: trace.clone(),
                    first_job: (0..thread).map(jobs_of).sum(),
                }),
                done: Arc::clone(&self.done),
                stop: Arc::clone(&self.stop),
                live: live.clone(),
            };
            let (orders, ordered) = channel();
            let report = report.clone();
            let handle = std::thread::Builder::new()
                .name(format!("bench-{thread}"))
                .spawn(move || worker::run(&work, &ordered, &report))
                .map_err(RunError::Thread)?;
            self.threads.push(Thread { orders, handle });
        }
        self.collect(|_| {}).map(drop)
    }

    /// Runs one round; `show` sees how many operations are done, and may end it. Returns what an operation
    /// took, in nanoseconds; `None` if none was completed.
    pub(crate) fn round(
        &mut self,
        share_of_round: Share,
        mut show: impl FnMut(u64) -> Flow,
    ) -> Result<Option<f64>, RunError> {
        let switches = system::context_switches();
        let cpu = CpuTime::now();
        let start = Instant::now();
        let began = self.clock.as_ref().map(SimClock::now_ns);
        for (at, thread) in self.threads.iter().enumerate() {
            let end = match share_of_round {
                Share::Time(time) if began.is_some() => End::Lasting(time),
                Share::Time(time) => End::At(start + time),
                Share::Operations(total) => End::After(share(total, self.threads.len(), at)),
            };
            // A thread that is gone has said so.
            let _ = thread.orders.send(end);
        }
        let completed = self.collect(|done| {
            if show(done) != Flow::GoesOn {
                self.stop.store(true, Ordering::Relaxed);
            }
        });
        self.done.store(0, Ordering::Relaxed);
        let mut wall = start.elapsed();
        self.cpu += CpuTime::now().since(cpu);
        let switched = system::context_switches().zip(switches);
        let switched = switched.map(|(after, before)| after.saturating_sub(before));
        self.switches = self.switches.zip(switched).map(|(sum, more)| sum + more);
        if let (Some(clock), Some(began)) = (&self.clock, began)
            && clock.as_virtual().is_some()
        {
            // The threads have reported: nobody moves it now.
            wall = Duration::from_nanos(clock.now_ns() - began);
        }
        if let Share::Time(time) = share_of_round
            && self.open_loop
            && !self.stop.load(Ordering::Relaxed)
        {
            // The last operation may be due long before the time is over.
            wall = wall.max(time);
        }
        self.wall += wall;
        let completed = completed?;
        Ok((completed > 0).then(|| wall.as_secs_f64() * 1e9 / completed as f64))
    }

    /// Waits for a report of each thread, and adds them up. Each reports, even one that panics; once one
    /// has failed, the others begin nothing more.
    fn collect(&self, mut show: impl FnMut(u64)) -> Result<u64, RunError> {
        let mut total = Ok(0);
        let mut missing = self.threads.len();
        while missing > 0 {
            match self.reports.recv_timeout(TICK) {
                Ok(Ok(completed)) => {
                    missing -= 1;
                    total = total.map(|total| total + completed);
                }
                Ok(Err(error)) => {
                    missing -= 1;
                    total = total.and(Err(error));
                    self.stop.store(true, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::Panicked),
            }
            show(self.done.load(Ordering::Relaxed));
        }
        total
    }

    /// Ends the threads and closes the engine.
    pub(crate) fn close(self) -> Result<Account, RunError> {
        let mut tally = Ok(Tally::new());
        for Thread { orders, handle } in self.threads {
            drop(orders);
            tally = match (tally, handle.join()) {
                (Ok(mut total), Ok(Some(tally))) => {
                    total.add(tally);
                    Ok(total)
                }
                // It has reported why it could not begin.
                (tally, Ok(_)) => tally,
                (tally, Err(_)) => tally.and(Err(RunError::Panicked)),
            };
        }
        let client = self.engine.client.stats();
        let (counters, utilisation) = self.engine.close();
        let mut tally = tally?;
        tally.retries += client.ring_full;
        // The thread that tells of those of all may be the first to be done.
        tally.timeline.enter_rest_of_retries(tally.retries);
        tally.resumed_early += client.resumed_early;
        Ok(Account {
            tally,
            counters,
            utilisation,
            stages: self.stages.and_then(|stages| stages.total()),
            device_events: self.notes.take(),
            wall: self.wall,
            cpu: self.cpu,
            switches: self.switches,
        })
    }
}

/// Whether a row is more than a closed loop in real time whose stages nobody asks for, on a device that
/// models no time: that one is kept as fast as it goes.
fn is_paced(options: &BenchOptions, case: Case) -> bool {
    let device = options.engine.device();
    options.is_virtual()
        || options.rate.is_some()
        || options.stages
        || options.trace.is_some()
        || polling(options, case) != Polling::Never && case.completion.is_some()
        || device.is_some_and(|d| capacity::models_time(d, options.op, case.size))
}

/// When the jobs' thread polls.
fn polling(options: &BenchOptions, case: Case) -> Polling {
    let device = options.engine.device().map(|device| device.completions);
    match (case.completion, device) {
        (Some(CompletionName::Poll), _) => Polling::Timer,
        (Some(CompletionName::Heuristic), _) => Polling::Heuristic {
            threshold: match options.op.is_asymmetric() {
                true => IN_FLIGHT_ASYMMETRIC,
                false => IN_FLIGHT_SYMMETRIC,
            },
        },
        (None, Some(Completions::Poll)) => Polling::Always,
        _ => Polling::Never,
    }
}

/// With so many operations in flight nginx's async mode polls the device.
const IN_FLIGHT_ASYMMETRIC: usize = 48;
const IN_FLIGHT_SYMMETRIC: usize = 24;

/// What is `part`'s of `total`, as even as it goes.
pub(crate) fn share(total: u64, parts: usize, part: usize) -> u64 {
    let (parts, part) = (parts as u64, part as u64);
    total / parts + u64::from(part < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, parts) in [(10, 3), (3, 3), (1000, 7), (0, 2)] {
            let shares: Vec<u64> = (0..parts).map(|at| share(total, parts, at)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
