//! What C programs pay: the same program on libcrypto's jobs and on ours, in processes that take turns.
//!
//! `preloaded` has libcrypto in the process, so that each switch takes care of the default library context and
//! errors go to OpenSSL's queue; `alone` has no OpenSSL. Nothing here asserts on time. Instructions, counted by
//! valgrind, do not depend on what else the machine does: over 5 % more than is stored here fails. `-- WORD`
//! prints the lines with that word.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;

use common::{Link, Program};

/// Instructions per operation, alone.
const INSTRUCTIONS: [(&str, u64); 4] = [
    ("start-finish", 323),
    ("start-finish-args", 366),
    ("pause-resume", 294),
    ("cycle", 752),
];

const ROUNDS: usize = 11;
const MANY: [u64; 2] = [100_000, 1_000_000];

fn main() -> ExitCode {
    let word = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if !common::has("cc") || !common::has_libcrypto() {
        return ExitCode::SUCCESS;
    }
    println!(
        "\nC programs, {ROUNDS} rounds of processes that take turns\n{:<50} {:>9} {:>9} {:>6} [least–most]      bound",
        "", "ours", "libcrypto", "ratio"
    );
    let wanted = |name: &str| {
        word.as_ref()
            .is_none_or(|word| name.contains(word.as_str()))
    };
    let programs = Programs::build("switches");
    for (operation, bounds) in [
        ("start-finish", [Some(0.45), Some(0.30)]),
        ("start-finish-args", [None, None]),
        ("pause-resume", [Some(0.45), Some(0.30)]),
        ("cycle", [None, None]),
    ] {
        if wanted(operation) {
            let rounds = programs.rounds(ROUNDS, |program| ns_per_operation(program, operation));
            print(operation, "ns", &rounds, bounds);
        }
    }
    let few_enough = !wanted("instructions") || instructions(&programs);
    let programs = Programs::build("paused");
    for jobs in MANY {
        if !wanted("paused") || !has_memory(jobs) {
            continue;
        }
        let rounds = programs.rounds(3, |program| paused(program, jobs));
        let part = |at: usize| {
            let part = |round: &[[f64; 4]; 3]| [round[0][at], round[1][at], round[2][at]];
            rounds.iter().map(part).collect::<Vec<_>>()
        };
        let name = |what: &str| format!("{jobs} paused jobs, {what}");
        print(&name("memory"), "B", &part(0), [Some(0.80), Some(0.80)]);
        print(&name("start"), "ns", &part(1), [None, None]);
        print(&name("resume"), "ns", &part(2), [None, None]);
        print(&name("finish"), "ns", &part(3), [None, None]);
    }
    match few_enough {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Counts the instructions of each operation. Says whether there are no more than are stored.
fn instructions(programs: &Programs) -> bool {
    if !common::has("valgrind") {
        return true;
    }
    let mut few_enough = true;
    for (operation, stored) in INSTRUCTIONS {
        let [libcrypto, preloaded, alone] =
            [0, 1, 2].map(|at| instructions_of(&programs.0[at], operation));
        let most = stored + stored / 20;
        println!(
            "{:<50} alone {alone}, preloaded {preloaded}, libcrypto {libcrypto}; stored {stored}",
            format!("instructions, {operation}")
        );
        if alone > most {
            println!(
                "    that is more than {most}: find out why, or store the new figure with the reason"
            );
            few_enough = false;
        }
    }
    few_enough
}

/// The difference of two runs, so that what comes before and after does not count.
fn instructions_of(program: &Program, operation: &str) -> u64 {
    const FEW: u64 = 1_000;
    const MANY: u64 = 11_000;
    let count = |operations: u64| {
        let callgrind = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
        ];
        let output = common::succeed(program.command_under(&callgrind).args([
            operation,
            "1",
            &operations.to_string(),
        ]));
        let log = common::stderr(&output);
        (log.lines())
            .find_map(|line| {
                line.split_once("Collected : ")?
                    .1
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .expect("callgrind says how many instructions it has seen")
    };
    (count(MANY) - count(FEW)) / (MANY - FEW)
}

/// One program on libcrypto, on ours beside libcrypto, and on ours alone.
struct Programs([Program; 3]);

impl Programs {
    fn build(name: &str) -> Programs {
        let links = [Link::Libcrypto, Link::Preloaded, Link::Alone];
        Programs(links.map(|link| common::build_in("benches/c", name, link, &["-O2"])))
    }

    /// Each in turn, each round beginning with another one; after a round to warm up.
    fn rounds<T: Copy + Default>(
        &self,
        rounds: usize,
        mut run: impl FnMut(&Program) -> T,
    ) -> Vec<[T; 3]> {
        let mut all = Vec::new();
        for round in 0..=rounds {
            let mut values = [T::default(); 3];
            for turn in 0..3 {
                let at = (round + turn) % 3;
                values[at] = run(&self.0[at]);
            }
            if round > 0 {
                all.push(values);
            }
        }
        all
    }
}

/// The median over the batches of one process.
fn ns_per_operation(program: &Program, operation: &str) -> f64 {
    let output = program.run(&[operation, "9", "100000"]);
    let batches = common::stdout(&output);
    let mut batches: Vec<f64> = batches.lines().filter_map(|ns| ns.parse().ok()).collect();
    assert_eq!(batches.len(), 9, "a line for each batch");
    median(&mut batches)
}

/// Bytes, and nanoseconds to start, to resume and to finish, each per job.
fn paused(program: &Program, jobs: u64) -> [f64; 4] {
    let output = program.run(&[&jobs.to_string()]);
    let line = common::stdout(&output);
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().expect("four numbers"))
}

/// 6 KB for each of libcrypto's jobs, and some for the others.
fn has_memory(jobs: u64) -> bool {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = (info.lines())
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")
        })
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default();
    let enough = free * 1024 > jobs * 7000;
    if !enough {
        println!(
            "skipped: {jobs} paused jobs need {} MB of free memory",
            jobs * 7000 / 1_000_000
        );
    }
    enough
}

fn print(name: &str, unit: &str, rounds: &[[f64; 3]], bounds: [Option<f64>; 2]) {
    let column = |at: usize| {
        let mut values: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
        median(&mut values)
    };
    for (at, link, bound) in [(1, "preloaded", bounds[0]), (2, "alone", bounds[1])] {
        let mut ratios: Vec<f64> = rounds.iter().map(|round| round[at] / round[0]).collect();
        let ratio = median(&mut ratios);
        let bound = match bound {
            Some(bound) if ratio <= bound => format!("{bound:.2} met"),
            Some(bound) => format!("{bound:.2} MISSED"),
            None => String::new(),
        };
        println!(
            "{:<50} {:>9} {:>9} {ratio:>6.3} [{:.3}–{:.3}]  {bound}",
            format!("{name}, {link}"),
            format!("{:.1} {unit}", column(at)),
            format!("{:.1} {unit}", column(0)),
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }
}

/// Sorts them, too.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
