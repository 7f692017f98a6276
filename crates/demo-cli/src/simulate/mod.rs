//! `simulate`: random applications on a faulty device in virtual time, a seed each.
//!
//! [`plan`] decides what a seed does, [`app`] runs it, [`job`] is what its jobs do, [`checker`] looks
//! at all of it, and [`campaign`] runs many.

mod app;
mod campaign;
mod checker;
mod job;
mod plan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use crate::cli::{SimulateArgs, SimulateFormat};
use crate::engine::device_config;
use crate::error::{Error, InputError};
use crate::human::printable_start;
use crate::json;
use crate::out::{Out, say};
use crate::page::{self, Simulated};
use crate::progress::Progress;
use crate::system;
use crate::target::{Target, keep_apart};
use crate::units::show_count;
use app::Setup;
use campaign::{Failure, SCHEMA};

pub(crate) use campaign::Campaign;

/// The most bytes of a result that is merged.
const RESULT_BYTES_MAX: u64 = 1 << 20;

/// Runs a campaign, replays one seed, or merges results.
pub(crate) fn run(args: &SimulateArgs, out: &mut Out) -> Result<ExitCode, Error> {
    if let Some(report) = &args.report {
        let device = args.device.as_deref().map(Path::new);
        keep_apart(("--report", report), &[("--device", device)])?;
        for merged in &args.merge {
            keep_apart(("--report", report), &[("--merge", Some(merged))])?;
        }
    }
    // Before the run, which may take long: what cannot be written is said at once.
    let page = args.report.as_deref().map(page::open).transpose()?;
    if !args.merge.is_empty() {
        let results = args.merge.iter().map(|path| read(path));
        let merged = campaign::merge(results.collect::<Result<_, _>>()?)?;
        report(args.format, &merged, out)?;
        write_page(page, &merged, None, None)?;
        return Ok(code(&merged));
    }
    let setup = Setup {
        device: device_config(args.device.as_deref().unwrap_or("flaky"))?,
        jobs: args.jobs,
        total: args.total as u64,
        plant: args.plant,
    };
    match args.seed {
        Some(seed) => replay(&setup, seed, args, out),
        None => search(&setup, args, page, out),
    }
}

fn search(
    setup: &Setup,
    args: &SimulateArgs,
    page: Option<Target>,
    out: &mut Out,
) -> Result<ExitCode, Error> {
    let seeds = args.seeds.clone();
    let threads = args.threads.unwrap_or_else(system::cpus);
    let table = args.format == SimulateFormat::Table;
    let line = format!(
        "simulating {}: {} jobs a seed, at most {} in flight, seeds {}..{}, threads: {threads}",
        setup.device.name, setup.total, setup.jobs, seeds.start, seeds.end
    );
    if table {
        out.line(line)?;
        out.flush()?;
    } else {
        let _ = say(line);
    }
    let before = system::open_fds();
    let all = seeds.end - seeds.start;
    let progress = Mutex::new(Progress::new());
    let show = |done: u64| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.at(Some(done as f64 / all as f64), || {
            format!("{} of {} seeds", show_count(done), show_count(all))
        });
    };
    let result = campaign::run(setup, seeds, threads, &show)?;
    show(result.passed);
    progress
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    report(args.format, &result, out)?;
    let leak = match (before, system::open_fds()) {
        (Some(before), Some(after)) if after > before && result.failure.is_none() => Some(format!(
            "{before} file descriptors were open before and {after} after it; report it"
        )),
        _ => None,
    };
    if let Some(leak) = &leak {
        let _ = say(leak);
    }
    let smallest = match &result.failure {
        Some(failure) => Some(explain(setup, failure, args, out)?),
        None => None,
    };
    write_page(page, &result, smallest.as_ref(), leak.as_deref())?;
    match leak {
        Some(_) => Ok(ExitCode::FAILURE),
        None => Ok(code(&result)),
    }
}

/// Writes the page, if one was asked for.
fn write_page(
    page: Option<Target>,
    campaign: &Campaign,
    smallest: Option<&Smallest>,
    leak: Option<&str>,
) -> Result<(), Error> {
    let Some(target) = page else {
        return Ok(());
    };
    let smallest = smallest.map(|smallest| (&smallest.log[..], &smallest.again[..]));
    let result = Simulated {
        campaign,
        smallest,
        leak,
    };
    Ok(page::write_campaign(&result, target)?)
}

/// The smallest run of a seed that fails.
struct Smallest {
    log: Vec<String>,
    /// The command that shows it again.
    again: String,
}

/// Prints the smallest run of the seed that fails, and how to see it again.
fn explain(
    setup: &Setup,
    failure: &Failure,
    args: &SimulateArgs,
    out: &mut Out,
) -> Result<Smallest, Error> {
    let smallest = campaign::shrink(setup, failure.seed);
    let log = app::run(&smallest, failure.seed, true).log;
    let again = format!(
        "demo-cli simulate{} --seed {} --jobs {} --total {} --trace",
        device_flag(args),
        failure.seed,
        smallest.jobs,
        smallest.total
    );
    let mut text = format!("the smallest run of seed {} that fails:\n", failure.seed);
    for line in &log {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format!("to see it again: {again}"));
    if args.format == SimulateFormat::Table {
        out.line(text)?;
    } else {
        let _ = say(text);
    }
    Ok(Smallest { log, again })
}

fn device_flag(args: &SimulateArgs) -> String {
    let mut flags = match &args.device {
        Some(device) => format!(" --device {device}"),
        None => String::new(),
    };
    let bugs = sim_engine::Plant::ALL.into_iter();
    for (name, _) in bugs.filter(|(_, bug)| args.plant == Some(*bug)) {
        flags.push_str(&format!(" --plant {name}"));
    }
    flags
}

fn replay(setup: &Setup, seed: u64, args: &SimulateArgs, out: &mut Out) -> Result<ExitCode, Error> {
    if args.format == SimulateFormat::Json {
        // A campaign of one, to be merged with others. The seed is below u64::MAX: parsed so.
        let result = campaign::run(setup, seed..seed.saturating_add(1), 1, &|_| {})?;
        report(args.format, &result, out)?;
        return Ok(code(&result));
    }
    let outcome = app::run(setup, seed, args.trace);
    for line in &outcome.log {
        out.line(line)?;
    }
    match outcome.problem {
        None => {
            out.line(format_args!(
                "seed {seed} passed: {} operations",
                outcome.operations
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(problem) => {
            out.line(format_args!("seed {seed} failed: {problem}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn report(format: SimulateFormat, result: &Campaign, out: &mut Out) -> Result<(), Error> {
    if format == SimulateFormat::Json {
        let json = json::pretty(result);
        // Invariant: its maps have text for keys, and its numbers are finite.
        out.line(json.expect("a result is JSON"))?;
        return Ok(());
    }
    let ranges: Vec<_> = result
        .seeds
        .iter()
        .map(|(start, end)| format!("{start}..{end}"))
        .collect();
    let rate = Some(result.passed as f64 / result.seconds);
    // Of a result that is merged the time may be any number.
    let rate = rate.filter(|rate| rate.is_finite());
    out.line(format_args!(
        "{} seeds of {} passed, {} operations, {:.1} s{}",
        result.passed,
        ranges.join(", "),
        result.operations,
        result.seconds,
        rate.map_or_else(String::new, |rate| format!(", {rate:.0} seeds/s"))
    ))?;
    if let Some(failure) = &result.failure {
        out.line(format_args!(
            "seed {} failed: {}",
            failure.seed, failure.problem
        ))?;
    }
    Ok(())
}

fn code(result: &Campaign) -> ExitCode {
    if result.failure.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Reads a result that was printed with `--format json`.
fn read(path: &Path) -> Result<Campaign, InputError> {
    of_text(path, &system::read_text(path, "result", RESULT_BYTES_MAX)?)
}

/// The result in the text of a file.
pub(crate) fn of_text(path: &Path, text: &str) -> Result<Campaign, InputError> {
    let wrong = |message: String| InputError::NotAResult {
        path: PathBuf::from(path),
        message,
    };
    let read = serde_json::from_str(text);
    let result: Campaign = read.map_err(|e| wrong(printable_start(&e.to_string())))?;
    if result.schema != SCHEMA {
        return Err(wrong(format!("its schema is {}", result.schema)));
    }
    if result.seeds.iter().any(|(start, end)| start >= end) {
        return Err(wrong("a range of seeds ends before it begins".to_owned()));
    }
    let ranges = result.seeds.iter().map(|(start, end)| end - start);
    let seeds = ranges.fold(0, u64::saturating_add);
    if result.passed > seeds {
        let passed = result.passed;
        return Err(wrong(format!(
            "it has {seeds} seeds and {passed} of them passed"
        )));
    }
    Ok(result)
}
