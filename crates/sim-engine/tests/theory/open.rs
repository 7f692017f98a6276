//! Open loops: Poisson arrivals at engines with waiting room for all.

use crate::support::Bench;

const OPS: u64 = 1_000_000;
/// Mean service, in nanoseconds.
const SERVICE: f64 = 1_000_000.0;

fn device(engines: u32, exponential: bool) -> String {
    let jitter = if exponential {
        "[jitter]\nkind = 'exponential'"
    } else {
        ""
    };
    format!(
        "name = 'queue'\nengines = {engines}\nring_depth_max = 1048576\n\
         [service_default]\nfixed_ns = 1_000_000\n{jitter}"
    )
}

/// The mean time between arrival and start, in service times, at this load of each engine.
fn mean_wait(engines: u32, load: f64, exponential: bool, seed: u64) -> f64 {
    let mut bench = Bench::new(&device(engines, exponential), seed);
    let rate = load * f64::from(engines) * 1e9 / SERVICE;
    bench.poisson(rate, OPS, seed);
    let records = bench.records.take();
    assert_eq!(records.len() as u64, OPS);
    littles_law(&records);
    let waits = records.iter().map(|r| r.started_ns - r.arrived_ns);
    waits.sum::<u64>() as f64 / OPS as f64 / SERVICE
}

/// The time that requests spend inside, added up, is the number of requests inside, added up over
/// time: exactly, as both are counted in whole nanoseconds.
fn littles_law(records: &[sim_engine::OpRecord]) {
    let spent: u128 = records
        .iter()
        .map(|r| u128::from(r.answered_ns - r.submitted_ns))
        .sum();
    let mut changes: Vec<(u64, i64)> = records
        .iter()
        .flat_map(|r| [(r.submitted_ns, 1), (r.answered_ns, -1)])
        .collect();
    changes.sort_unstable();
    let (mut inside, mut area, mut last) = (0_i64, 0_u128, 0);
    for (at, change) in changes {
        area += u128::from(at - last) * u128::try_from(inside).expect("never below none");
        (inside, last) = (inside + change, at);
    }
    assert_eq!(inside, 0);
    assert_eq!(area, spent);
}

#[track_caller]
fn assert_near(measured: f64, theory: f64) {
    let off = (measured / theory - 1.0).abs();
    println!("{measured:.4} service times, in theory {theory:.4}");
    assert!(
        off < 0.02,
        "{measured} against {theory}: {:.2} %",
        off * 100.0
    );
}

/// M/M/1: ρ/(1−ρ) service times.
#[test]
fn one_engine_with_exponential_service() {
    for load in [0.5, 0.7] {
        assert_near(mean_wait(1, load, true, 1), load / (1.0 - load));
    }
}

/// M/D/1: half of that (Pollaczek and Khinchine).
#[test]
fn one_engine_with_constant_service() {
    let load = 0.7;
    assert_near(mean_wait(1, load, false, 2), load / (1.0 - load) / 2.0);
}

/// M/M/c: Erlang's C over c(1−ρ).
#[test]
fn ten_engines_with_exponential_service() {
    let (engines, load) = (10_u32, 0.8);
    let offered = f64::from(engines) * load;
    // The terms of the sum: offered^n / n!.
    let mut term = 1.0;
    let mut sum = 0.0;
    for n in 1..=engines {
        sum += term;
        term *= offered / f64::from(n);
    }
    let waiting = term / (1.0 - load);
    let erlang_c = waiting / (sum + waiting);
    let theory = erlang_c / (f64::from(engines) * (1.0 - load));
    assert_near(mean_wait(engines, load, true, 3), theory);
}
