//! How many instructions an operation takes: a count that no load on the machine changes, for CI.
//! `cargo bench -p async-tests --bench instructions`.
//!
//! The program runs itself under callgrind, for each operation with few and with many of them; the
//! difference is what one takes, without what comes before and after. The counts are held against
//! `figures.toml`, with a slack of 5 %: more fails, less asks for the figure to be updated.
//!
//! valgrind is driven directly: gungraun 0.20 works too, but its limits are for a whole run and have
//! no lower side, and a bench of its own fails where its runner is not installed.

mod operations;

use std::env;
use std::process::{Command, ExitCode, Stdio};

use libcrypto_peer::Libcrypto;
use operations::{LIBCRYPTO, OPERATIONS, Operation};

/// The first argument of the program under callgrind; then come the operation and how many.
const COUNTED: &str = "--counted";
/// More of an operation than the stored figure and this part of it is a failure.
const SLACK: f64 = 0.05;
/// What a pause and a resume are to take of libcrypto's.
const PAUSE_RATIO: f64 = 0.15;

const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [COUNTED, name, n] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return counted(name, n);
    }
    let filter = words.into_iter().find(|word| !word.starts_with("--"));
    let wanted = |operation: &&Operation| {
        let filter = filter.as_ref();
        filter.is_none_or(|f| operation.name.contains(f.as_str()))
    };
    let operations: Vec<&Operation> = OPERATIONS.iter().filter(wanted).collect();
    if operations.is_empty() {
        return ExitCode::SUCCESS;
    }
    if cfg!(not(target_arch = "x86_64")) {
        println!("\ninstruction counts, skipped: the stored figures are for x86-64");
        return ExitCode::SUCCESS;
    }
    if !valgrind()
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
    {
        println!("\ninstruction counts, skipped: no valgrind on this machine");
        return ExitCode::SUCCESS;
    }
    let figures: toml::Table = include_str!("figures.toml").parse().expect("figures.toml");
    println!("\nInstructions per operation, counted; the stored figure, ± 5 %");
    let mut grown = 0;
    for operation in operations {
        let figure = figures
            .get(operation.name)
            .and_then(toml::Value::as_integer);
        let figure = figure.expect("each operation has its figure in figures.toml") as f64;
        let count = per_operation(operation.name);
        let change = count / figure - 1.0;
        let verdict = if change > SLACK {
            grown += 1;
            "GREW: find out why; if it is worth it, update the stored figure"
        } else if change < -SLACK {
            "less than stored: update the stored figure"
        } else {
            "ok"
        };
        println!(
            "{:<28} {count:>8.1} {figure:>8.0} {:>+7.1} %  {verdict}",
            operation.name,
            change * 100.0
        );
        if operation.name == "pause-resume" {
            ratio(count);
        }
    }
    if grown > 0 {
        eprintln!(
            "{grown} counts grew by more than 5 % above tests/benches/instructions/figures.toml"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The line of libcrypto's pause and resume. Its version is the machine's, so nothing is stored.
fn ratio(ours: f64) {
    match Libcrypto::load() {
        Ok(peer) => {
            let theirs = per_operation(LIBCRYPTO);
            let ratio = ours / theirs;
            let verdict = if ratio <= PAUSE_RATIO { "ok" } else { "missed" };
            println!(
                "{:<28} {theirs:>8.1}   ours is {ratio:.3} of it, ≤ {PAUSE_RATIO} {verdict} ({})",
                LIBCRYPTO,
                peer.version()
            );
        }
        Err(e) => println!("{LIBCRYPTO:<28} skipped: {e}"),
    }
}

fn per_operation(name: &str) -> f64 {
    let more = instructions(name, MANY) - instructions(name, FEW);
    more as f64 / (MANY - FEW) as f64
}

/// All instructions of a process that does an operation `n` times.
fn instructions(name: &str, n: u64) -> i64 {
    let output = valgrind()
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .args([COUNTED, name, &n.to_string()])
        .stdout(Stdio::null())
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} under valgrind: {text}");
    let total = text.lines().find_map(|l| l.split("Collected : ").nth(1));
    let total = total.and_then(|number| number.trim().parse().ok());
    total.expect("callgrind prints what it collected")
}

fn valgrind() -> Command {
    Command::new("valgrind")
}

/// The whole of the process under callgrind.
fn counted(name: &str, n: &str) -> ExitCode {
    let n = n.parse().expect("a number of operations");
    if name == LIBCRYPTO {
        operations::libcrypto_pause_resume(n);
        return ExitCode::SUCCESS;
    }
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    (operation.expect("one of the operations").run)(n);
    ExitCode::SUCCESS
}
