//! One row: an engine of its own, threads, and the account at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use offload::{ClientStats, Counters, OffloadClient};

use super::options::{BenchOptions, Until};
use super::payload::Payload;
use super::progress::{Progress, TICK};
use super::worker::{self, End, Tally, Work};
use crate::cli::NotifyName;
use crate::error::{Error, RunError};
use crate::report::{InFlight, Latency, Row};
use crate::system::{self, CpuSpent, CpuTime};

/// How long descriptors may stay open behind a row.
const FDS_SETTLE: Duration = Duration::from_secs(2);

/// A row and what is wrong with it.
pub(crate) struct RowResult {
    pub(crate) row: Row,
    /// Why the run is not a success; one sentence each.
    pub(crate) problems: Vec<String>,
}

/// Runs one row from a fresh engine to a closed one.
pub(crate) fn run(
    options: &BenchOptions,
    notify: NotifyName,
    payload: &Arc<Payload>,
) -> Result<RowResult, Error> {
    let progress = Progress::new(notify.name(), options.until);
    let fds_before = system::open_fds();
    let engine = options.engine.open()?;
    let cpu = CpuTime::now();
    let start = Instant::now();
    let ran = run_threads(options, notify, payload, &engine.client, &progress);
    let wall = start.elapsed();
    let cpu = CpuTime::now().since(cpu);
    progress.finish();
    let client = engine.client.stats();
    let (counters, utilisation) = engine.close();
    let tally = ran?;
    let fds_after = settled_fds(fds_before);

    let account = Account {
        tally: &tally,
        counters,
        fds: fds_before.zip(fds_after),
        seed: options.engine.seed,
    };
    let problems = account.problems();
    let timing = Timing {
        wall,
        cpu,
        utilisation,
    };
    let row = row(options, notify, &tally, client, counters, timing);
    Ok(RowResult { row, problems })
}

/// How many descriptors are open once everything has let go: a thread that is just ending can
/// hold the fd of an operation that was given up a moment longer than the run.
fn settled_fds(expected: Option<usize>) -> Option<usize> {
    let deadline = Instant::now() + FDS_SETTLE;
    loop {
        let open = system::open_fds();
        if open <= expected || Instant::now() >= deadline {
            return open;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn run_threads(
    options: &BenchOptions,
    notify: NotifyName,
    payload: &Arc<Payload>,
    client: &OffloadClient,
    progress: &Progress,
) -> Result<Tally, RunError> {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let (report, reports) = channel();
    let mut threads = Vec::with_capacity(options.threads);
    for thread in 0..options.threads {
        let end = match options.until {
            Until::Time(time) => End::At(start + time),
            Until::Operations(total) => End::After(share(total, options.threads, thread)),
        };
        let work = Work {
            thread: thread as u64,
            jobs: share(options.jobs as u64, options.threads, thread) as usize,
            wake: notify.wake_by(),
            client: client.clone(),
            payload: Arc::clone(payload),
            end,
            timeout: options.engine.timeout,
            done: Arc::clone(&done),
        };
        let report = report.clone();
        let handle = std::thread::Builder::new()
            .name(format!("bench-{thread}"))
            .spawn(move || {
                // The receiver lives until all threads have reported or gone.
                let _ = report.send(worker::run(&work));
            })
            .map_err(RunError::Thread)?;
        threads.push(handle);
    }
    drop(report);
    let mut total = Ok(Tally::new());
    loop {
        match reports.recv_timeout(TICK) {
            Ok(Ok(tally)) => {
                if let Ok(total) = &mut total {
                    total.add(tally);
                }
            }
            Ok(Err(error)) => total = total.and(Err(error)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        progress.update(done.load(Ordering::Relaxed));
    }
    for handle in threads {
        if handle.join().is_err() {
            total = total.and(Err(RunError::Panicked));
        }
    }
    total
}

/// What is `thread`'s of `total`, as even as it goes.
fn share(total: u64, threads: usize, thread: usize) -> u64 {
    let (threads, thread) = (threads as u64, thread as u64);
    total / threads + u64::from(thread < total % threads)
}

/// Everything that must add up when a row is over.
struct Account<'a> {
    tally: &'a Tally,
    counters: Counters,
    /// Open before and after.
    fds: Option<(usize, usize)>,
    seed: u64,
}

impl Account<'_> {
    fn problems(&self) -> Vec<String> {
        let (tally, counters) = (self.tally, self.counters);
        let mut problems = Vec::new();
        if let Some(id) = tally.first_wrong {
            problems.push(format!(
                "not verified: {} of {} responses are wrong, the first that of {} with --seed {}; do not use this engine",
                tally.wrong,
                tally.completed,
                worker::name_of(id),
                self.seed
            ));
        }
        if tally.completed == 0 {
            let why = tally.first_failure.as_deref().unwrap_or("none was started");
            problems.push(format!(
                "not verified: no operation was completed ({why}); allow more time, or another device"
            ));
        }
        if tally.set.started != tally.set.finished {
            problems.push(format!(
                "broken invariant: {} jobs were started and {} finished",
                tally.set.started, tally.set.finished
            ));
        }
        if !counters.balance() || counters.in_flight != 0 {
            problems.push(format!(
                "broken invariant: of {} operations submitted {} were completed, {} failed and {} orphaned, and {} are in flight",
                counters.submitted,
                counters.completed,
                counters.failed,
                counters.orphaned,
                counters.in_flight
            ));
        }
        if let Some((before, after)) = self.fds
            && after > before
        {
            problems.push(format!(
                "broken invariant: {before} file descriptors were open before the row and {after} after it"
            ));
        }
        problems
    }
}

struct Timing {
    wall: Duration,
    cpu: CpuSpent,
    utilisation: Option<f64>,
}

fn row(
    options: &BenchOptions,
    notify: NotifyName,
    tally: &Tally,
    client: ClientStats,
    counters: Counters,
    timing: Timing,
) -> Row {
    let wall_s = timing.wall.as_secs_f64();
    let ops_per_s = tally.completed as f64 / wall_s;
    // Little's law, over the operations that were answered.
    let in_flight_mean = tally.latency_sum.as_secs_f64() / wall_s;
    Row {
        engine: options.engine.name(),
        device: options.engine.device().map(|d| d.name.clone()),
        clock: "real",
        runtime: "ours",
        notify: notify.name(),
        op: options.op.name(),
        size_bytes: options.size,
        jobs: options.jobs,
        threads: options.threads,
        completed: tally.completed,
        failed: tally.failed,
        cancelled: tally.cancelled,
        orphaned: counters.orphaned,
        retries: client.ring_full,
        pauses: tally.set.pauses,
        spurious_resumes: client.resumed_early,
        wakes: tally.set.wakes,
        wall_s,
        cpu_user_s: timing.cpu.user.as_secs_f64(),
        cpu_sys_s: timing.cpu.system.as_secs_f64(),
        ops_per_s,
        bytes_per_s: ops_per_s * options.size as f64,
        latency_us: Latency::new(&tally.latency_ns),
        stages_us: None,
        in_flight: InFlight {
            mean: in_flight_mean,
            max: tally.set.in_flight_max,
        },
        engine_utilisation: timing.utilisation,
        results: "computed",
        verified: tally.wrong == 0 && tally.completed > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, threads) in [(10, 3), (3, 3), (1000, 7), (0, 2)] {
            let shares: Vec<u64> = (0..threads).map(|t| share(total, threads, t)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    fn clean() -> (Tally, Counters) {
        let mut tally = Tally::new();
        tally.completed = 5;
        tally.set.started = 5;
        tally.set.finished = 5;
        let counters = Counters {
            submitted: 5,
            completed: 5,
            ..Counters::default()
        };
        (tally, counters)
    }

    fn problems(tally: &Tally, counters: Counters, fds: Option<(usize, usize)>) -> Vec<String> {
        let seed = 1;
        Account {
            tally,
            counters,
            fds,
            seed,
        }
        .problems()
    }

    #[test]
    fn each_invariant_is_looked_at() {
        let (tally, counters) = clean();
        assert!(problems(&tally, counters, Some((4, 4))).is_empty());
        assert!(problems(&tally, counters, Some((4, 5)))[0].contains("descriptors"));

        let mut lost = counters;
        lost.completed = 4;
        assert!(problems(&tally, lost, None)[0].contains("4 were completed"));
        lost.in_flight = 1;
        assert!(problems(&tally, lost, None)[0].contains("1 are in flight"));

        let (mut tally, counters) = clean();
        tally.set.finished = 4;
        assert!(problems(&tally, counters, None)[0].contains("4 finished"));

        let (mut tally, counters) = clean();
        tally.wrong = 2;
        tally.first_wrong = Some(2 << 40 | 77);
        let problem = &problems(&tally, counters, None)[0];
        assert!(
            problem.contains("2 of 5") && problem.contains("operation 77 of thread 2"),
            "{problem}"
        );

        let (mut tally, counters) = clean();
        tally.completed = 0;
        assert!(problems(&tally, counters, None)[0].contains("no operation"));
    }
}
