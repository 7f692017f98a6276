//! What the figures mean, in words.

use std::fmt;
use std::mem::discriminant;

use super::bound::Bound;
use super::capacity::Capacity;
use super::failures::FailedBy;
use super::options::BenchOptions;
use super::pace::POLL_EVERY;
use super::row::RowResult;
use crate::report::Row;
use crate::system;
use crate::units::show_count;

/// At this share of what the device can do, it is the device that bounds.
const BOUND_FROM: f64 = 0.85;
/// At this share of its rate, an open loop keeps up: a row also lasts until its last answer.
const KEEPS_UP_FROM: f64 = 0.9;
/// At this share of an operation for each job and look, it is the timer that bounds: a look may come
/// late.
const TIMER_BOUND_FROM: f64 = 0.6;
/// With fewer busy processors in real time it is not the host that bounds.
const CPUS_BUSY_FROM: f64 = 0.5;
/// So many rows are listed by their names.
const NAMES_MAX: usize = 4;

/// What bounds a row, and what that means for its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdict {
    bound: Bound,
    /// Of an open loop that does not keep up: its rate, and what was due and not begun.
    behind: Option<(f64, u64)>,
}

/// What a row is judged by, beside the device.
#[derive(Clone, Copy, Debug)]
struct Facts {
    ops_per_s: f64,
    jobs: u64,
    /// Busy processors.
    cpus: f64,
    /// Of an open loop.
    rate: Option<f64>,
    /// Operations of an open loop that were due and not begun.
    not_begun: u64,
    /// Operations that ended, with a result or without, a second.
    ended_per_s: f64,
    failed: FailedBy,
    /// Of the engines' time, as it was measured.
    utilisation: Option<f64>,
    /// A timer polls the device.
    polled: bool,
    /// On a virtual clock, what the model's host can do: an operation after the other.
    modelled_host: Option<f64>,
    /// Results that all processors can compute in a second, where they are computed in real time.
    computed_per_s: Option<f64>,
}

/// A verdict and the rows that it holds for.
struct Line<'a> {
    verdict: Verdict,
    /// The capacity that the verdict is about, and whether a timer polls; `None` if it names none.
    kind: Option<(Option<Capacity>, bool)>,
    /// Of the fastest row, which the figures are of.
    ops_per_s: f64,
    names: Vec<&'a str>,
}

/// A line for each kind of verdict, with the figures of its fastest row, and the rows that it
/// holds for, in the order of the table.
pub(crate) fn lines(options: &BenchOptions, results: &[RowResult]) -> Vec<String> {
    let rows: Vec<_> = results.iter().filter(|r| r.row.completed > 0).collect();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for result in &rows {
        let verdict = of_row(options, result);
        let polled = result.case.is_polled();
        let kind = verdict
            .names_capacity()
            .then_some((result.row.capacity, polled));
        let same = |known: &Verdict| {
            discriminant(&known.bound) == discriminant(&verdict.bound)
                && known.behind.is_some() == verdict.behind.is_some()
        };
        let ops_per_s = result.row.ops_per_s;
        let line = lines
            .iter_mut()
            .find(|l| l.kind == kind && same(&l.verdict));
        let Some(line) = line else {
            lines.push(Line {
                verdict,
                kind,
                ops_per_s,
                names: vec![&result.name],
            });
            continue;
        };
        line.names.push(&result.name);
        if ops_per_s > line.ops_per_s {
            line.verdict = verdict;
            line.ops_per_s = ops_per_s;
        }
    }
    let all: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    let one = lines.len() == 1;
    let verdicts = lines.iter().map(|Line { verdict, names, .. }| match one {
        true if names.len() == 1 => verdict.to_string(),
        true => format!("{verdict:#}"),
        false if names.len() == 1 => format!("{}: {verdict}", names[0]),
        false => format!("{}: {verdict:#}", show_names(names, &all)),
    });
    let fastest = rows
        .iter()
        .max_by(|a, b| a.row.ops_per_s.total_cmp(&b.row.ops_per_s));
    let offload = fastest.and_then(|r| offload(&r.name, &r.row, rows.len()));
    offload.into_iter().chain(verdicts).collect()
}

/// Some of all rows: those that are not, if they are fewer, and of many only how many.
fn show_names(names: &[&str], all: &[&str]) -> String {
    let between = match all.iter().any(|name| name.contains(',')) {
        true => "; ",
        false => ", ",
    };
    if names.len() <= NAMES_MAX {
        return names.join(between);
    }
    let others: Vec<&str> = (all.iter().copied())
        .filter(|name| !names.contains(name))
        .collect();
    match others.len() {
        0 => format!("all {} rows", names.len()),
        1..=NAMES_MAX => format!(
            "{} of {} rows (not {})",
            names.len(),
            all.len(),
            others.join(between)
        ),
        _ => format!(
            "{} of {} rows (the first: {})",
            names.len(),
            all.len(),
            names[0]
        ),
    }
}

/// What handing operations over saves the host, in the fastest of so many rows.
fn offload(name: &str, row: &Row, rows: usize) -> Option<String> {
    let (host, software) = row.host_cpu_us_per_op.zip(row.software_cpu_us_per_op)?;
    let ratio = row.offload_ratio?;
    let so = match ratio > 0.0 {
        true => format!("{:.0} % are offloaded", ratio * 100.0),
        false => "handing it over costs more than doing it".to_owned(),
    };
    let which = match rows {
        1 => name.to_owned(),
        _ => format!("the fastest row, {name}"),
    };
    Some(format!(
        "{which}: the jobs' own threads spend {host:.2} µs of processor time on an operation, and software {software:.2} µs: {so}"
    ))
}

fn of_row(options: &BenchOptions, result: &RowResult) -> Verdict {
    let RowResult { case, row, .. } = result;
    let Some(device) = options.engine.device() else {
        return Verdict {
            bound: Bound::Inline,
            behind: None,
        };
    };
    let polled = case.is_polled();
    let host_ns = match options.is_virtual() {
        true => device.host.op_ns,
        false => 0,
    };
    let per_s = |count: u64| count as f64 / row.wall_s;
    let facts = Facts {
        ops_per_s: row.ops_per_s,
        jobs: row.jobs as u64,
        cpus: (row.cpu_user_s + row.cpu_sys_s) / row.wall_s,
        rate: row.rate_per_s,
        not_begun: row.not_begun,
        ended_per_s: per_s(row.completed + row.failed + row.cancelled),
        failed: row.failed_by,
        utilisation: row.engine_utilisation,
        polled,
        modelled_host: options.is_virtual().then_some(1e9 / host_ns as f64),
        computed_per_s: row
            .software_cpu_us_per_op
            .filter(|us| *us > 0.0 && row.results == "computed")
            .map(|us| system::cpus() as f64 * 1e6 / us),
    };
    judge(row.capacity, facts)
}

fn judge(capacity: Option<Capacity>, facts: Facts) -> Verdict {
    let used = capacity.map(|c| facts.utilisation.unwrap_or(facts.ops_per_s / c.ops_per_s));
    match facts.rate {
        Some(rate) if facts.ended_per_s >= KEEPS_UP_FROM * rate => Verdict {
            bound: Bound::KeepsUp { rate, used },
            behind: None,
        },
        rate => Verdict {
            bound: bound(capacity, used, facts),
            behind: rate.map(|rate| (rate, facts.not_begun)),
        },
    }
}

/// What bounds a row that could do more.
fn bound(capacity: Option<Capacity>, used: Option<f64>, facts: Facts) -> Bound {
    let Facts {
        ops_per_s,
        jobs,
        cpus,
        ..
    } = facts;
    if let Some((capacity, used)) = capacity.zip(used) {
        // Engines are busy with what fails too, and with batches that are not full.
        let busy = used >= BOUND_FROM && jobs >= capacity.jobs_enough;
        if busy || ops_per_s >= BOUND_FROM * capacity.ops_per_s {
            return Bound::Device { capacity };
        }
    }
    // Each job at most one operation from one look to the next.
    if facts.polled && ops_per_s >= TIMER_BOUND_FROM * jobs as f64 / POLL_EVERY.as_secs_f64() {
        return Bound::Timer;
    }
    if let Some(host) = facts.modelled_host
        && ops_per_s >= BOUND_FROM * host
    {
        return Bound::ModelledHost { ops_per_s: host };
    }
    if let Some((capacity, computed_per_s)) = capacity.zip(facts.computed_per_s)
        && computed_per_s < capacity.ops_per_s
    {
        return Bound::Computed {
            capacity,
            computed_per_s,
        };
    }
    if let Some((capacity, used)) = capacity.zip(used) {
        if jobs < capacity.jobs_enough {
            return Bound::TooFewJobs { capacity, used };
        }
        if capacity.places < capacity.jobs_enough {
            return Bound::Ring { capacity, used };
        }
    }
    let failed = facts.failed;
    match facts.modelled_host {
        Some(host) if capacity.is_none() && failed.total() == 0 => Bound::None {
            // Without `host.op_ns` it has no bound either.
            host_ops_per_s: Some(host).filter(|host| host.is_finite()),
        },
        None if cpus > CPUS_BUSY_FROM => Bound::Host { capacity, cpus },
        clock => Bound::Waiting {
            used,
            cpus: clock.is_none().then_some(cpus),
            failed,
        },
    }
}

impl Verdict {
    /// Whether rows of another size would have other figures.
    fn names_capacity(&self) -> bool {
        match self.bound {
            Bound::Device { .. }
            | Bound::TooFewJobs { .. }
            | Bound::Ring { .. }
            | Bound::Computed { .. } => true,
            Bound::Host { capacity, .. } => capacity.is_some(),
            Bound::Waiting { used, .. } => used.is_some(),
            Bound::KeepsUp { used, .. } => used.is_some(),
            Bound::Inline | Bound::ModelledHost { .. } | Bound::Timer | Bound::None { .. } => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.behind {
            Some((rate, 0)) => write!(f, "does not keep up with {rate} ops/s; ")?,
            Some((rate, n)) => write!(
                f,
                "does not keep up with {rate} ops/s: {} due operations were not begun; ",
                show_count(n)
            )?,
            None => {}
        }
        self.bound.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten engines, 300 µs each, 8 µs of link each way: an RSA card.
    const CARD: Capacity = Capacity {
        ops_per_s: 33_333.0,
        host_ops_per_s: None,
        jobs_enough: 11,
        places: 64,
    };

    const FACTS: Facts = Facts {
        ops_per_s: 12_000.0,
        jobs: 1000,
        cpus: 1.0,
        rate: None,
        not_begun: 0,
        ended_per_s: 12_000.0,
        failed: FAILED,
        utilisation: None,
        polled: false,
        modelled_host: None,
        computed_per_s: None,
    };

    const FAILED: FailedBy = FailedBy {
        device_status: 0,
        down: 0,
        timed_out: 0,
        throttled: 0,
        no_descriptor: 0,
        refused_other: 0,
        failed_other: 0,
    };

    #[track_caller]
    fn is(capacity: Option<Capacity>, facts: Facts, expected: &str) {
        let said = judge(capacity, facts).to_string();
        assert!(said.starts_with(expected), "{said}");
    }

    #[test]
    fn verdicts() {
        let facts = |ops_per_s, jobs| Facts {
            ops_per_s,
            jobs,
            ..FACTS
        };
        let busy = "device-bound: the engines can do 33,333 ops/s; 11 jobs";
        is(Some(CARD), facts(33_000.0, 1000), busy);
        let idle = "too few jobs in flight: the engines are used to 36 %; 11 jobs would do";
        is(Some(CARD), facts(12_000.0, 4), idle);
        is(Some(CARD), facts(12_000.0, 1000), "host-bound: 1.0 of");
        let short = Capacity { places: 4, ..CARD };
        is(Some(short), facts(12_000.0, 1000), "ring-bound");
        let busy = Facts { cpus: 1.9, ..FACTS };
        is(None, busy, "host-bound: 1.9 of");
    }

    #[test]
    fn a_machine_that_computes_more_slowly_than_the_card_says_so() {
        let slow = |jobs| Facts {
            jobs,
            computed_per_s: Some(4_400.0),
            ops_per_s: 1_200.0,
            ..FACTS
        };
        let said = "compute-bound: this machine computes 4,400 of these a second at best, and the engines could do 33,333";
        is(Some(CARD), slow(1), said);
        is(Some(CARD), slow(1000), said);
        let fast = Facts {
            computed_per_s: Some(50_000.0),
            ..slow(4)
        };
        is(Some(CARD), fast, "too few jobs in flight");
    }

    #[test]
    fn what_was_measured_goes_before_what_was_derived() {
        let utilisation = Some(0.5);
        let jobs = 4;
        let idle = Facts {
            utilisation,
            jobs,
            ..FACTS
        };
        let said = "too few jobs in flight: the engines are used to 50 %;";
        is(Some(CARD), idle, said);
        // With operations that fail, say.
        let utilisation = Some(0.99);
        let full = Facts {
            utilisation,
            ..FACTS
        };
        is(Some(CARD), full, "device-bound");
    }

    #[test]
    fn a_host_that_does_nothing_bounds_nothing() {
        let failed = FailedBy {
            timed_out: 7,
            down: 1_200,
            ..FAILED
        };
        let cpus = 0.04;
        let idle = Facts {
            cpus,
            failed,
            ..FACTS
        };
        let said = judge(Some(CARD), idle).to_string();
        assert!(said.starts_with("waiting-bound: 0.0 of"), "{said}");
        assert!(
            said.contains("1,207 operations failed (1,200 down, 7 timed_out)"),
            "{said}"
        );
        is(None, idle, "waiting-bound: 0.0 of");
        let virtual_time = Facts {
            modelled_host: Some(f64::INFINITY),
            ..idle
        };
        is(None, virtual_time, "waiting-bound: 1,207 operations");
    }

    #[test]
    fn verdicts_on_models() {
        let model = |ops_per_s, jobs| Facts {
            ops_per_s,
            jobs,
            cpus: 0.0,
            modelled_host: Some(125_000.0),
            ..FACTS
        };
        is(Some(CARD), model(30_000.0, 64), "device-bound");
        is(
            Some(CARD),
            model(10_000.0, 64),
            "waiting-bound: the engines",
        );
        is(Some(CARD), model(10_000.0, 4), "too few jobs");
        let more = "too few jobs in flight: the device has an engine for each request, so more jobs do more, up to the 125,000";
        is(None, model(1e4, 4), more);
        let said = judge(None, model(120_000.0, 4)).to_string();
        assert!(said.contains("125,000 ops/s"), "{said}");
        let polled = Facts {
            polled: true,
            ..model(3_900.0, 4)
        };
        is(Some(CARD), polled, "timer-bound");
        let capped = Capacity {
            host_ops_per_s: Some(20_000.0),
            jobs_enough: 7,
            ..CARD
        };
        let few = "too few jobs in flight: the engines are used to 30 %; 7 jobs would do for the 20,000 ops/s that the host does";
        is(Some(capped), model(10_000.0, 4), few);
    }

    #[test]
    fn verdicts_on_open_loops() {
        let open = |ended_per_s| Facts {
            ops_per_s: 5_000.0,
            ended_per_s,
            rate: Some(10_000.0),
            not_begun: 1_234,
            utilisation: Some(0.3),
            modelled_host: Some(125_000.0),
            ..FACTS
        };
        // Also with those that fail.
        let kept = "keeps up with 10000 ops/s; the engines are used to 30 %";
        is(Some(CARD), open(9_900.0), kept);
        let behind =
            "does not keep up with 10000 ops/s: 1,234 due operations were not begun; waiting-bound";
        is(Some(CARD), open(5_000.0), behind);
        let not_begun = 0;
        let by_count = Facts {
            not_begun,
            ..open(5_000.0)
        };
        let behind = "does not keep up with 10000 ops/s; waiting-bound";
        is(Some(CARD), by_count, behind);
    }

    #[test]
    fn many_rows_are_not_listed() {
        let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        assert_eq!(show_names(&["d", "b"], &all), "d, b");
        assert_eq!(show_names(&all[2..], &all), "8 of 10 rows (not a, b)");
        assert_eq!(show_names(&all, &all), "all 10 rows");
        assert_eq!(show_names(&all[..5], &all), "5 of 10 rows (the first: a)");
        assert_eq!(show_names(&["a, 1", "b"], &["a, 1", "b"]), "a, 1; b");
    }
}
