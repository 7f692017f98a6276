//! Many seeds, over the processors of this machine or of many.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::app::{self, Setup};
use crate::error::{InputError, RunError};

/// The version of the field names below.
pub(super) const SCHEMA: u32 = 1;
/// Seeds that a thread takes at once.
const SHARE: u64 = 64;

/// What a campaign came to. Ranges of one campaign can be run apart, and merged.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Campaign {
    pub(crate) schema: u32,
    pub(crate) device: String,
    pub(crate) jobs: usize,
    pub(crate) total: u64,
    /// From the first to the one behind the last.
    pub(crate) seeds: Vec<(u64, u64)>,
    pub(crate) passed: u64,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    /// The lowest seed that failed, and why.
    pub(crate) failure: Option<Failure>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) problem: String,
}

/// Runs all seeds of a range. Once one has failed, none above it is run.
pub(super) fn run(
    setup: &Setup,
    seeds: Range<u64>,
    threads: usize,
    show: &(dyn Fn(u64) + Sync),
) -> Result<Campaign, RunError> {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(u64::MAX);
    let passed = AtomicU64::new(0);
    let operations = AtomicU64::new(0);
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let work = || {
        loop {
            let first = next.fetch_add(SHARE, Ordering::Relaxed);
            // The counter does not come near its end: a range ends below it by far.
            for seed in first..first.saturating_add(SHARE).min(seeds.end) {
                if seed > lowest.load(Ordering::Relaxed) {
                    return;
                }
                let outcome = app::run(setup, seed, false);
                operations.fetch_add(outcome.operations, Ordering::Relaxed);
                match outcome.problem {
                    None => {
                        let done = passed.fetch_add(1, Ordering::Relaxed) + 1;
                        if done.is_multiple_of(SHARE) {
                            show(done);
                        }
                    }
                    Some(problem) => {
                        lowest.fetch_min(seed, Ordering::Relaxed);
                        let failure = failure.lock();
                        let mut failure = failure.unwrap_or_else(|e| e.into_inner());
                        if failure.as_ref().is_none_or(|known| seed < known.seed) {
                            *failure = Some(Failure { seed, problem });
                        }
                    }
                }
            }
            if first.saturating_add(SHARE) >= seeds.end {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let mut handles = Vec::new();
        for n in 1..threads {
            let name = format!("simulate-{n}");
            let thread = std::thread::Builder::new().name(name);
            handles.push(thread.spawn_scoped(scope, work).map_err(RunError::Thread)?);
        }
        work();
        for handle in handles {
            handle.join().map_err(|_| RunError::Panicked)?;
        }
        Ok::<_, RunError>(())
    })?;
    let failure = failure.into_inner().unwrap_or_else(|e| e.into_inner());
    Ok(Campaign {
        schema: SCHEMA,
        device: setup.device.name.clone(),
        jobs: setup.jobs,
        total: setup.total,
        seeds: vec![(seeds.start, seeds.end)],
        passed: passed.into_inner(),
        operations: operations.into_inner(),
        seconds: begun.elapsed().as_secs_f64(),
        failure,
    })
}

/// The smallest run of a seed that still fails.
pub(super) fn shrink(setup: &Setup, seed: u64) -> Setup {
    let mut jobs = 1;
    while jobs < setup.jobs {
        for total in 1..=setup.total {
            let smaller = Setup {
                jobs,
                total,
                ..setup.clone()
            };
            if app::run(&smaller, seed, false).problem.is_some() {
                return smaller;
            }
        }
        jobs *= 2;
    }
    let fails = |total: &u64| {
        let smaller = Setup {
            total: *total,
            ..setup.clone()
        };
        app::run(&smaller, seed, false).problem.is_some()
    };
    let total = (1..setup.total).find(fails).unwrap_or(setup.total);
    Setup {
        total,
        ..setup.clone()
    }
}

/// Several results as one.
pub(super) fn merge(results: Vec<Campaign>) -> Result<Campaign, InputError> {
    let mut results = results.into_iter();
    let Some(mut all) = results.next() else {
        return Err(InputError::NothingToMerge);
    };
    for result in results {
        if (&result.device, result.jobs, result.total) != (&all.device, all.jobs, all.total) {
            return Err(InputError::OtherCampaign {
                a: format!("{} with {} of {} jobs", all.device, all.jobs, all.total),
                b: format!(
                    "{} with {} of {} jobs",
                    result.device, result.jobs, result.total
                ),
            });
        }
        all.seeds.extend(result.seeds);
        all.passed += result.passed;
        all.operations += result.operations;
        all.seconds += result.seconds;
        let failures = [all.failure.take(), result.failure];
        all.failure = failures.into_iter().flatten().min_by_key(|f| f.seed);
    }
    all.seeds.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in all.seeds {
        match joined.last_mut() {
            Some((_, last)) if start < *last => {
                return Err(InputError::SeedsTwice { seed: start });
            }
            Some((_, last)) if start == *last => *last = end,
            _ => joined.push((start, end)),
        }
    }
    all.seeds = joined;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(start: u64, end: u64, failed: Option<u64>) -> Campaign {
        Campaign {
            schema: SCHEMA,
            device: "flaky".into(),
            jobs: 8,
            total: 16,
            seeds: vec![(start, end)],
            passed: end - start,
            operations: 10 * (end - start),
            seconds: 1.0,
            failure: failed.map(|seed| Failure {
                seed,
                problem: format!("of {seed}"),
            }),
        }
    }

    #[test]
    fn ranges_join_in_any_order_and_the_lowest_failure_stays() {
        let merged = merge(vec![
            result(200, 300, Some(250)),
            result(0, 100, None),
            result(100, 200, Some(199)),
            result(400, 500, Some(420)),
        ])
        .expect("of one campaign");
        assert_eq!(merged.seeds, [(0, 300), (400, 500)]);
        assert_eq!((merged.passed, merged.operations), (400, 4000));
        assert_eq!(merged.failure.expect("three have failed").seed, 199);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let twice = merge(vec![result(0, 100, None), result(99, 200, None)]);
        assert!(matches!(twice, Err(InputError::SeedsTwice { seed: 99 })));
        let mut other = result(100, 200, None);
        other.jobs = 9;
        let other = merge(vec![result(0, 100, None), other]);
        assert!(matches!(other, Err(InputError::OtherCampaign { .. })));
        assert!(matches!(merge(vec![]), Err(InputError::NothingToMerge)));
    }
}
