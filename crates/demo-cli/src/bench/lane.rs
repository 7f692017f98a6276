//! One side of a row: an engine and threads of its own, kept from round to round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use offload::Counters;

use super::options::{BenchOptions, Runtime};
use super::payload::Payload;
use super::progress::{Progress, TICK};
use super::tally::Tally;
use super::worker::{self, End, Work};
use crate::cli::NotifyName;
use crate::engine::OpenEngine;
use crate::error::{Error, RunError};
use crate::system::{CpuSpent, CpuTime};

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
    wall: Duration,
    cpu: CpuSpent,
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
    pub(crate) wall: Duration,
    pub(crate) cpu: CpuSpent,
}

impl Lane {
    /// Opens the engine, starts the threads and waits until they are ready.
    pub(crate) fn open(
        options: &BenchOptions,
        runtime: Runtime,
        notify: NotifyName,
        payload: &Arc<Payload>,
    ) -> Result<Lane, Error> {
        let (report, reports) = channel();
        let mut lane = Lane {
            runtime,
            engine: options.engine.open()?,
            threads: Vec::with_capacity(options.threads),
            reports,
            done: Arc::new(AtomicU64::new(0)),
            wall: Duration::ZERO,
            cpu: CpuSpent::default(),
        };
        match lane.start_threads(options, notify, payload, report) {
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
        notify: NotifyName,
        payload: &Arc<Payload>,
        report: Sender<Result<u64, RunError>>,
    ) -> Result<(), RunError> {
        for thread in 0..options.threads {
            let work = Work {
                thread: thread as u64,
                jobs: share(options.jobs as u64, options.threads, thread) as usize,
                runtime: self.runtime,
                notify,
                client: self.engine.client.clone(),
                fallback: self.engine.fallback.clone(),
                payload: Arc::clone(payload),
                timeout: options.engine.timeout,
                done: Arc::clone(&self.done),
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

    /// Runs one round. Returns what an operation took, in nanoseconds; `None` if none was completed.
    pub(crate) fn round(
        &mut self,
        share_of_round: Share,
        progress: &Progress,
    ) -> Result<Option<f64>, RunError> {
        let cpu = CpuTime::now();
        let start = Instant::now();
        for (at, thread) in self.threads.iter().enumerate() {
            let end = match share_of_round {
                Share::Time(time) => End::At(start + time),
                Share::Operations(total) => End::After(share(total, self.threads.len(), at)),
            };
            // A thread that is gone is found missing below.
            let _ = thread.orders.send(end);
        }
        let mut before = 0;
        let completed = self.collect(|done| {
            progress.add(done - before);
            before = done;
        });
        self.done.store(0, Ordering::Relaxed);
        let wall = start.elapsed();
        self.wall += wall;
        self.cpu += CpuTime::now().since(cpu);
        let completed = completed?;
        Ok((completed > 0).then(|| wall.as_secs_f64() * 1e9 / completed as f64))
    }

    /// Waits for a report of each thread, and adds them up.
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
                }
                Err(RecvTimeoutError::Timeout) => {
                    // They wait for orders as long as we live, unless they could not begin.
                    let gone = self.threads.iter().filter(|t| t.handle.is_finished());
                    if gone.count() > self.threads.len() - missing {
                        return Err(RunError::Panicked);
                    }
                }
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
        tally.resumed_early += client.resumed_early;
        Ok(Account {
            tally,
            counters,
            utilisation,
            wall: self.wall,
            cpu: self.cpu,
        })
    }
}

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
