//! What must be measured in a process that has done nothing yet: the first touch of memory. The
//! processes are this program again, and take turns.
//!
//! Each starts jobs that pause, each with its own wait context, and then resumes each of them a few
//! times. The handles that a host keeps are counted: one word per job on our side, two on
//! libcrypto's, where the host must keep the context too.

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use async_tests::memory::Memory;
use libcrypto_peer::Libcrypto;

use crate::bare::bare;
use crate::harness::{Bound, Samples, Table};
use crate::paused::{BOUNDS, Paused, Plain, RESUME, SET, Set, Theirs};

/// The first argument of such a process; then come the side and the number of jobs.
pub(crate) const CHILD: &str = "--child";

const SIDES: [&str; 3] = [RESUME, SET, "libcrypto"];
/// After one that is not counted.
const PASSES: u64 = 3;

/// What such a process prints, in this order.
const FIGURES: usize = 4;
const CREATED_NS: usize = 0;
const RSS_BYTES: usize = 1;
const PAGE_TABLE_BYTES: usize = 2;
const RESUMED_NS: usize = 3;

pub(crate) fn run(has_peer: bool, table: &mut Table) {
    if Memory::now().is_none() {
        println!("\nfresh processes, skipped: no /proc to read the memory's use from");
        return;
    }
    table.heading("Fresh processes");
    // As many paused jobs, rounds, and what is asked: creation, memory, round robin.
    for (jobs, rounds, creation, memory) in [
        (10_000, 15, true, false),
        (100_000, 9, true, true),
        (1_000_000, 5, false, true),
    ] {
        let round_robin = !creation;
        let mut lines = Vec::new();
        if creation {
            let name = format!("start each of {jobs} jobs, cold");
            lines.push((name, "ns", CREATED_NS, bound(0.75), vec![""]));
        }
        if memory {
            let name = format!("memory of each of {jobs} paused jobs");
            lines.push((name, "B", RSS_BYTES, bound(0.80), vec![""]));
            let name = format!("page tables of each of {jobs} paused jobs");
            lines.push((name, "B", PAGE_TABLE_BYTES, Vec::new(), vec![""]));
        }
        if round_robin {
            let name = format!("resume each of {jobs} paused jobs");
            lines.push((name, "ns", RESUMED_NS, BOUNDS.to_vec(), vec![RESUME, SET]));
        }
        lines.retain(|line| line.4.iter().any(|side| table.wants(&line.0, side)));
        let wanted: Vec<bool> = SIDES
            .iter()
            .map(|side| match *side {
                "libcrypto" => has_peer && !lines.is_empty(),
                SET => lines.iter().any(|line| line.4.contains(&SET)),
                _ => !lines.is_empty(),
            })
            .collect();
        let sides = rounds_of(jobs, rounds, &wanted);
        for (name, unit, figure, bounds, ours) in &lines {
            let take = |side: usize, name| Samples {
                name,
                values: sides[side].iter().map(|figures| figures[*figure]).collect(),
            };
            let ours: Vec<Samples> = ours
                .iter()
                .filter(|side| table.wants(name, side))
                .map(|side| take(usize::from(*side == SET), side))
                .collect();
            let others: Vec<Samples> = has_peer.then(|| take(2, "libcrypto")).into_iter().collect();
            table.report(name, unit, &ours, &others, bounds);
        }
    }
}

fn bound(at_most: f64) -> Vec<Bound> {
    vec![Bound {
        ours: "",
        other: "libcrypto",
        at_most,
    }]
}

/// Processes in turn, each round beginning with another side: what they printed, by side.
fn rounds_of(jobs: usize, rounds: usize, wanted: &[bool]) -> [Vec<[f64; FIGURES]>; 3] {
    let mut figures = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for turn in 0..SIDES.len() {
            let at = (round + turn) % SIDES.len();
            if wanted[at] {
                figures[at].push(spawn(SIDES[at], jobs));
            }
        }
    }
    figures
}

fn spawn(side: &str, jobs: usize) -> [f64; FIGURES] {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program)
        .args([CHILD, side, &jobs.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("this program, again");
    assert!(output.status.success(), "{side}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.split_whitespace().map(|word| word.parse());
    let numbers: Result<Vec<f64>, _> = numbers.collect();
    numbers
        .expect("numbers")
        .try_into()
        .expect("as many as there are figures")
}

/// The whole of such a process.
pub(crate) fn child(arguments: &[String]) -> ExitCode {
    let [side, jobs] = arguments else {
        eprintln!("{CHILD} is for this program's own use: give it a side and a number of jobs");
        return ExitCode::FAILURE;
    };
    let jobs: usize = jobs.parse().expect("a number of jobs");
    let peer;
    match side.as_str() {
        RESUME => measure(jobs, || Plain::start(jobs)),
        SET => measure(jobs, || Set::start(jobs)),
        _ => {
            peer = bare(&Libcrypto::load().expect("it was there a moment ago"));
            measure(jobs, || Theirs::start(&peer, jobs));
        }
    }
    // Not from main: what there is goes with the process, without a visit to each job.
    std::process::exit(0);
}

fn measure<P: Paused>(jobs: usize, start: impl FnOnce() -> P) {
    let each = |ns: u128| ns as f64 / jobs as f64;
    let before = Memory::now().expect("/proc");
    let clock = Instant::now();
    let mut paused = start();
    let created = each(clock.elapsed().as_nanos());
    let after = Memory::now().expect("/proc");
    paused.pass();
    let clock = Instant::now();
    (0..PASSES).for_each(|_| paused.pass());
    let resumed = each(clock.elapsed().as_nanos()) / PASSES as f64;
    let rss = each(u128::from(after.rss_bytes - before.rss_bytes));
    let tables = each(u128::from(after.page_table_bytes - before.page_table_bytes));
    println!("{created} {rss} {tables} {resumed}");
    std::mem::forget(black_box(paused));
}
