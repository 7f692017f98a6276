//! Random sequences of calls on libcrypto's `ASYNC_*` functions and on ours, in one process: every return value,
//! output, record of changes, callback, cleanup, error and default library context has to be the same. Where
//! they differ on purpose, `known.rs` has a row for it, and the random sequences stay away.
//!
//! `ASYNC_CAPI_SEQUENCES=1000000` for as many, `ASYNC_CAPI_SEED=…` for others, `ASYNC_CAPI_SEED=…
//! ASYNC_CAPI_SEQUENCE=…` for one of them alone, with `--nocapture` to see what it does; `ASYNC_CAPI_THREADS=1` for
//! valgrind: it does not know libcrypto's stacks, and with two threads of them it reports what is not there.

#[path = "../common/mod.rs"]
mod common;

mod api;
mod compare;
mod ctx_ops;
mod jobs;
mod known;
mod run;
mod script;
mod trace;

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use api::{Api, Both, Ctx, Job, JobFn};
use compare::Pair;
use trace::Coverage;

/// Not optimised, in some seconds.
const SEQUENCES: u64 = 20_000;
const SEED: u64 = 5;
/// The functions are each thread's own, so that threads double what is found in the time.
const THREADS: u64 = 2;

fn both() -> Option<&'static Both> {
    static BOTH: OnceLock<Option<Both>> = OnceLock::new();
    BOTH.get_or_init(api::load).as_ref()
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value}: not a number")),
    )
}

fn pair(both: &'static Both, tested: &'static Api) -> Pair {
    Pair {
        reference: &both.libcrypto,
        tested,
        process: &both.process,
    }
}

#[test]
fn random_sequences() {
    let Some(both) = both() else { return };
    let pair = pair(both, &both.ours);
    let seed = setting("ASYNC_CAPI_SEED").unwrap_or(SEED);
    if let Some(number) = setting("ASYNC_CAPI_SEQUENCE") {
        return one(&pair, seed, number);
    }
    let sequences = setting("ASYNC_CAPI_SEQUENCES").unwrap_or(SEQUENCES);
    let threads = setting("ASYNC_CAPI_THREADS").unwrap_or(THREADS).max(1) as usize;
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let worker = |first: u64| -> Result<Coverage, String> {
        let mut coverage = Coverage::new();
        for number in (first..sequences).step_by(threads) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if let Err(report) = pair.check(seed, number, &mut coverage) {
                stop.store(true, Ordering::Relaxed);
                return Err(report);
            }
        }
        Ok(coverage)
    };
    let mut coverage = Coverage::new();
    let mut take = |done: Result<Coverage, String>| match done {
        Ok(seen) => coverage.merge(&seen),
        Err(report) => panic!("{report}"),
    };
    std::thread::scope(|scope| {
        let others = (1..threads as u64).map(|at| scope.spawn(move || worker(at)));
        let others: Vec<_> = others.collect();
        take(worker(0));
        for thread in others {
            take(thread.join().expect("a worker does not panic"));
        }
    });
    println!(
        "{sequences} sequences of seed {seed} on {} and on ours, no difference, {:.1} s. Seen:",
        both.version,
        begun.elapsed().as_secs_f64()
    );
    println!("{coverage}");
    let unexpected = coverage.unexpected();
    assert!(unexpected.is_empty(), "never to be seen: {unexpected:?}");
    if sequences >= SEQUENCES {
        let missing = coverage.missing();
        assert!(missing.is_empty(), "never seen: {missing:?}");
    }
}

fn one(pair: &Pair, seed: u64, number: u64) {
    let ops = script::script(seed, number);
    println!("sequence {number} of seed {seed}: {ops:#?}");
    let (reference, _) = pair.traces(&ops);
    println!("libcrypto: {reference:#?}");
    if let Err(report) = pair.check(seed, number, &mut Coverage::new()) {
        panic!("{report}");
    }
}

/// The comparison is not blind: functions that are wrong in one small way are found, and the report says how to
/// get there again.
#[test]
fn planted_differences_are_found() {
    let Some(both) = both() else { return };
    let ours = &both.ours;
    let wrong = [
        Api {
            start_job: ret_always_written,
            ..*ours
        },
        Api {
            get_status: status_forgets,
            ..*ours
        },
        Api {
            ctx_free: never_frees,
            ..*ours
        },
    ];
    for tested in wrong {
        let pair = pair(both, Box::leak(Box::new(tested)));
        let found = (0..1000).find_map(|number| {
            let seen = pair.check(SEED, number, &mut Coverage::new());
            seen.err().map(|report| (number, report))
        });
        let (number, report) = found.expect("a planted difference is found");
        let again = format!("ASYNC_CAPI_SEED={SEED} ASYNC_CAPI_SEQUENCE={number}");
        assert!(report.contains(&again), "{report}");
        assert!(!report.contains("left over"), "{report}");
    }
}

unsafe extern "C" fn ret_always_written(
    job: *mut Job,
    ctx: Ctx,
    ret: *mut c_int,
    func: Option<JobFn>,
    args: *mut c_void,
    size: usize,
) -> c_int {
    let ours = &both().expect("it was loaded").ours;
    // SAFETY: the caller's; `ret` can be written.
    unsafe {
        ret.write(0);
        (ours.start_job)(job, ctx, ret, func, args, size)
    }
}

unsafe extern "C" fn status_forgets(_: Ctx) -> c_int {
    0
}

unsafe extern "C" fn never_frees(_: Ctx) {}

/// Every known difference is still one, and is as it is described.
#[test]
fn known_differences() {
    if let Some(both) = both() {
        known::check(both);
    }
}

#[test]
fn shrinking_keeps_what_matters() {
    use script::Op;
    let ops = script::script(SEED, 1);
    let needs = |ops: &[Op]| {
        ops.iter()
            .any(|op| matches!(op, Op::Start(start) if start.body.contains(&Op::Pause)))
    };
    let whole = (0..)
        .map(|n| script::script(SEED, n))
        .find(|ops| needs(ops));
    let whole = whole.expect("jobs pause");
    let small = compare::shrink(whole, needs);
    assert_eq!(small.len(), 1);
    assert!(matches!(&small[0], Op::Start(start) if start.body == [Op::Pause]));
    assert_eq!(
        ops,
        script::script(SEED, 1),
        "a script is made from its number alone"
    );
    assert_ne!(ops, script::script(SEED, 2));
}
