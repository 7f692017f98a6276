//! One row, or one of each runtime: lanes that take turns, and the account at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use offload::Counters;

use super::capacity;
use super::compare::Comparison;
use super::lane::{Account, Lane, Share, share};
use super::options::{BenchOptions, Case, Runtime, Until};
use super::payload::Payload;
use super::tally::{Tally, name_of};
use super::trace::{About, Trace};
use super::view::{Flow, RowBegins, View};
use crate::error::{Error, RunError};
use crate::report::{self, InFlight, Latency, OverTime, Row, Stages};
use crate::system;
use crate::units::show_count;

/// How long descriptors may stay open behind a row.
const FDS_SETTLE: Duration = Duration::from_secs(2);
/// Rounds of each lane where several take turns: odd, so that there is a middle one.
const ROUNDS: u64 = 9;

/// What came of one way of being woken.
pub(crate) struct Rows {
    /// A row for each runtime.
    pub(crate) results: Vec<RowResult>,
    pub(crate) comparison: Option<Comparison>,
    /// How the run goes on.
    pub(crate) flow: Flow,
}

/// A row and what is wrong with it.
pub(crate) struct RowResult {
    /// The way of being woken, and what else differs between rows.
    pub(crate) name: String,
    pub(crate) case: Case,
    pub(crate) row: Row,
    /// Why the run is not a success; one sentence each.
    pub(crate) problems: Vec<String>,
}

/// What the rows of a case need beside their options.
pub(crate) struct Given<'a> {
    pub(crate) payload: &'a Arc<Payload>,
    /// Processor time of an operation in software, where it was measured.
    pub(crate) software_cpu: Option<Duration>,
    pub(crate) trace: Option<&'a Arc<Trace>>,
    /// The row's number, counted from 0, and how many there are.
    pub(crate) number: usize,
    pub(crate) rows: usize,
}

/// Runs the rows of one case, from fresh engines to closed ones.
pub(crate) fn run(
    options: &BenchOptions,
    case: Case,
    given: &Given<'_>,
    view: &mut dyn View,
) -> Result<Rows, Error> {
    let name = name(options, case);
    // How far virtual time has come nobody sees from outside.
    let until = match (options.is_virtual(), options.until) {
        (true, Until::Time(_)) => None,
        (_, until) => Some(until),
    };
    view.begin(RowBegins {
        name: &name,
        number: given.number,
        rows: given.rows,
        until,
        lanes: options.runtimes.len(),
    });
    let fds_before = system::open_fds();
    let mut lanes = Vec::new();
    let mut ran = Ok((Vec::new(), Flow::GoesOn));
    for &runtime in &options.runtimes {
        let trace = given.trace.map(|trace| {
            trace.row(&About {
                name: &row_name(options, &name, runtime),
                op: options.op.name(),
                bytes: case.size,
                device: options.engine.device(),
            })
        });
        let live = view.lane(options, case, runtime);
        match Lane::open(options, case, runtime, given.payload, trace, live) {
            Ok(lane) => lanes.push(lane),
            Err(error) => ran = ran.and(Err(error)),
        }
    }
    if ran.is_ok() {
        ran = take_turns(&mut lanes, options.until, view).map_err(Error::from);
    }
    view.end();
    // All of them, whatever went wrong with one.
    let accounts: Vec<_> = lanes
        .into_iter()
        .map(|lane| (lane.runtime, lane.close()))
        .collect();
    let (rounds, flow) = ran?;
    let fds_after = settled_fds(fds_before);

    let mut results = Vec::new();
    for (runtime, account) in accounts {
        let account = account?;
        // The run was ended before its turn came.
        if flow != Flow::GoesOn && account.wall.is_zero() && account.tally.set.started == 0 {
            continue;
        }
        let audit = Audit {
            tally: &account.tally,
            counters: account.counters,
            seed: options.engine.seed,
            no_fallback: options.no_fallback,
        };
        results.push(RowResult {
            name: row_name(options, &name, runtime),
            case,
            problems: audit.problems(),
            row: row(options, case, runtime, account, given.software_cpu),
        });
    }
    // Whose they are cannot be told where lanes ran side by side.
    if let Some(last) = results.last_mut() {
        last.problems.extend(fds_left(fds_before.zip(fds_after)));
    }
    // With given arrivals an operation takes what the rate says, whoever runs it.
    let compared = options.runtimes.len() > 1 && options.rate.is_none();
    let comparison = compared.then(|| Comparison::new(case, name, &rounds));
    Ok(Rows {
        results,
        comparison,
        flow,
    })
}

/// The way of being woken, and what else differs between rows.
fn name(options: &BenchOptions, case: Case) -> String {
    let lists = &options.lists;
    let mut name = case.notify.name().to_owned();
    if lists.completion.len() > 1 {
        name += &format!(", {}", options.completion(case));
    }
    if lists.jobs.len() > 1 {
        let s = if case.jobs == 1 { "" } else { "s" };
        name += &format!(", {} job{s}", show_count(case.jobs as u64));
    }
    if lists.sizes.len() > 1 {
        name += &format!(", {}", report::size_with_unit(case.size));
    }
    if lists.repeat > 1 {
        name += &format!(", repeat {}", case.repeat);
    }
    name
}

fn row_name(options: &BenchOptions, name: &str, runtime: Runtime) -> String {
    match options.runtimes.len() {
        1 => name.to_owned(),
        _ => format!("{name} ({})", runtime.name()),
    }
}

/// What an operation took in each lane, in nanoseconds; `None` if none was completed.
type Round = Vec<Option<f64>>;

/// Runs the lanes in rounds, first one first and then the other, so that whatever else the machine does
/// meets all of them. Returns for each round what an operation took in each lane, in nanoseconds, and how
/// the run goes on.
fn take_turns(
    lanes: &mut [Lane],
    until: Until,
    view: &mut dyn View,
) -> Result<(Vec<Round>, Flow), RunError> {
    let rounds = match (lanes.len(), until) {
        (1, _) => 1,
        (_, Until::Time(_)) => ROUNDS,
        (_, Until::Operations(total)) => ROUNDS.min(total),
    };
    let mut took = Vec::new();
    let (mut flow, mut done_before) = (Flow::GoesOn, 0);
    for round in 0..rounds {
        let length = match until {
            Until::Time(time) => Share::Time(time / rounds as u32), // a few
            Until::Operations(total) => {
                Share::Operations(share(total, rounds as usize, round as usize))
            }
        };
        let mut ns_per_op = vec![None; lanes.len()];
        let mut order: Vec<usize> = (0..lanes.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let mut done_here = 0;
            view.turn(at);
            ns_per_op[at] = lanes[at].round(length, |done| {
                done_here = done;
                flow = flow.max(view.tick(done_before + done));
                flow
            })?;
            done_before += done_here;
            if flow != Flow::GoesOn {
                return Ok((took, flow));
            }
        }
        took.push(ns_per_op);
    }
    Ok((took, flow))
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

/// Everything that must add up when a row is over.
struct Audit<'a> {
    tally: &'a Tally,
    counters: Counters,
    seed: u64,
    no_fallback: bool,
}

impl Audit<'_> {
    fn problems(&self) -> Vec<String> {
        let (tally, counters) = (self.tally, self.counters);
        let mut problems = Vec::new();
        if let Some(id) = tally.first_wrong {
            problems.push(format!(
                "not verified: {} of {} responses are wrong, the first that of {} with --seed {}; do not use this engine",
                tally.wrong,
                tally.completed,
                name_of(id),
                self.seed
            ));
        }
        if tally.completed == 0 {
            let why = tally.first_failure.as_deref().unwrap_or("none was started");
            problems.push(format!(
                "not verified: no operation was completed ({why}); allow more time, or another device"
            ));
        }
        if self.no_fallback && tally.failed > 0 {
            let why = tally
                .first_failure
                .as_deref()
                .unwrap_or("no reason was given");
            problems.push(format!(
                "THE DEVICE FAILED {} of {} operations ({}; the first: {why}), and --no-fallback allows none; mend the device, or let software step in with --fallback",
                tally.failed,
                tally.completed + tally.failed + tally.cancelled,
                tally.failed_by
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
        problems
    }
}

/// What is wrong with the descriptors that were open before and after.
fn fds_left(fds: Option<(usize, usize)>) -> Option<String> {
    let (before, after) = fds?;
    (after > before).then(|| {
        format!(
            "broken invariant: {before} file descriptors were open before the row and {after} after it"
        )
    })
}

fn row(
    options: &BenchOptions,
    case: Case,
    runtime: Runtime,
    account: Account,
    software_cpu: Option<Duration>,
) -> Row {
    let tally = &account.tally;
    let wall_s = account.wall.as_secs_f64();
    let per_s = |count: f64| if wall_s > 0.0 { count / wall_s } else { 0.0 };
    let ops_per_s = per_s(tally.completed as f64);
    // Little's law, over the operations that were answered.
    let in_flight = tally.latency_sum.saturating_sub(tally.late_sum);
    let in_flight_mean = per_s(in_flight.as_secs_f64());
    let each = |total: f64| (tally.completed > 0).then(|| total / tally.completed as f64);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let cpu = account.cpu.user + account.cpu.system;
    // Of the host: on a virtual clock it has none of its own.
    let real = |figure: Option<f64>| figure.filter(|_| !options.is_virtual());
    let host_cpu_us = real(each(us(tally.host_cpu)));
    let software_cpu_us = real(software_cpu.map(us));
    // Who polls the device computes for it, and who waits for the next start spins: neither is what
    // handing over costs.
    let polled = matches!(options.completion(case), "poll" | "heuristic" | "busy-poll");
    let apart = !(polled && options.computes()) && options.rate.is_none();
    let offload_ratio = host_cpu_us.zip(software_cpu_us).filter(|_| apart);
    Row {
        engine: options.engine.name().into(),
        device: options.engine.device().map(|d| d.name.clone()),
        clock: options.clock.name().into(),
        runtime: runtime.name().into(),
        notify: case.notify.name().into(),
        completion: options.completion(case).into(),
        op: options.op.name().into(),
        size_bytes: case.size,
        jobs: case.jobs,
        threads: options.threads,
        repeat: case.repeat,
        load: match options.rate {
            None => "closed",
            Some(_) => "open",
        }
        .into(),
        rate_per_s: options.rate,
        completed: tally.completed,
        failed: tally.failed,
        failed_by: tally.failed_by,
        cancelled: tally.cancelled,
        not_begun: tally.not_begun,
        orphaned: account.counters.orphaned,
        retries: tally.retries,
        pauses: tally.set.pauses,
        spurious_resumes: tally.resumed_early,
        wakes: tally.set.wakes,
        wall_s,
        cpu_user_s: account.cpu.user.as_secs_f64(),
        cpu_sys_s: account.cpu.system.as_secs_f64(),
        cpu_us_per_op: each(us(cpu)),
        host_cpu_us_per_op: host_cpu_us,
        software_cpu_us_per_op: software_cpu_us,
        offload_ratio: offload_ratio.map(|(host, software)| 1.0 - host / software),
        context_switches_per_op: real(account.switches.and_then(|n| each(n as f64))),
        ops_per_s,
        bytes_per_s: ops_per_s * case.size as f64,
        latency_us: Latency::new(&tally.latency_ns, tally.latency_sum.as_nanos() as f64),
        stages_us: account.stages.as_ref().map(Stages::new),
        in_flight: InFlight {
            mean: in_flight_mean,
            // The set counts those that are paused; one that runs is in flight too.
            max: tally.set.in_flight_max.max(in_flight_mean.ceil() as usize),
        },
        engine_utilisation: account.utilisation,
        results: options.results().into(),
        verified: options.computes() && tally.wrong == 0 && tally.completed > 0,
        capacity: capacity::of_case(options, case),
        latency_counts: report::distribution(&tally.latency_ns),
        over_time: OverTime::new(&tally.timeline),
        device_events: account.device_events,
        problems: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn problems(tally: &Tally, counters: Counters) -> Vec<String> {
        let seed = 1;
        Audit {
            tally,
            counters,
            seed,
            no_fallback: false,
        }
        .problems()
    }

    #[test]
    fn each_invariant_is_looked_at() {
        let (tally, counters) = clean();
        assert!(problems(&tally, counters).is_empty());
        assert!(fds_left(Some((4, 4))).is_none());
        assert!(fds_left(Some((4, 5))).is_some_and(|p| p.contains("descriptors")));

        let mut lost = counters;
        lost.completed = 4;
        assert!(problems(&tally, lost)[0].contains("4 were completed"));
        lost.in_flight = 1;
        assert!(problems(&tally, lost)[0].contains("1 are in flight"));

        let (mut tally, counters) = clean();
        tally.set.finished = 4;
        assert!(problems(&tally, counters)[0].contains("4 finished"));

        let (mut tally, counters) = clean();
        tally.wrong = 2;
        tally.first_wrong = Some(2 << 40 | 77);
        let problem = &problems(&tally, counters)[0];
        assert!(
            problem.contains("2 of 5") && problem.contains("operation 77 of thread 2"),
            "{problem}"
        );

        let (mut tally, counters) = clean();
        tally.completed = 0;
        assert!(problems(&tally, counters)[0].contains("no operation"));
    }
}
