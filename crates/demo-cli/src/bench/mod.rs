//! `bench`: many jobs on an engine, each way of being woken in its row.

mod compare;
mod desk;
mod lane;
mod options;
mod ours;
mod payload;
mod peer;
mod progress;
mod row;
mod tally;
mod verdict;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use self::payload::Payload;
use self::row::RowResult;
use crate::cli::{BenchArgs, Format};
use crate::error::{Error, RunError};
use crate::out::{Out, say};
use crate::report::{self, Report};

pub(crate) use self::compare::Comparison;
pub(crate) use self::options::{BenchOptions, Runtime, Until};

/// Runs the rows and reports.
pub(crate) fn run(args: BenchArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let options = BenchOptions::new(args)?;
    let payload = load(&options)?;
    let mut report = Report::new(&options);
    announce(&options, &report, out)?;

    let mut results = Vec::new();
    let mut failed = None;
    for &notify in &options.notify {
        match row::run(&options, notify, &payload) {
            Ok(rows) => {
                for result in rows.results {
                    report.rows.push(result.row.clone());
                    results.push(result);
                }
                report.comparisons.extend(rows.comparison);
            }
            Err(Error::Run(error)) => {
                report.error = Some(error.to_string());
                failed = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    match options.format {
        Format::Table => report::table::write(&report, out)?,
        Format::Json => report::json::write(&report, out)?,
        Format::Csv => report::csv::write(&report, out)?,
    }
    let code = conclude(&options, &report, &results, out)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(code),
    }
}

/// Reads or makes the payload.
fn load(options: &BenchOptions) -> Result<Arc<Payload>, Error> {
    let (op, size, seed) = (options.op, options.size, options.engine.seed);
    let payload = match &options.input {
        Some(path) => Payload::new(op, size, seed, payload::file_inputs(path, size)?),
        None => Payload::random(op, size, seed),
    };
    let payload = payload.map_err(|failure| RunError::Operation {
        what: "the payload, in software".to_owned(),
        reason: failure.to_string(),
    })?;
    Ok(Arc::new(payload))
}

/// Says what is about to run: beside the table, or beside the data.
fn announce(options: &BenchOptions, report: &Report, out: &mut Out) -> Result<(), Error> {
    let line = report.summary();
    if options.format == Format::Table {
        out.line(line)?;
        out.flush()?;
    } else {
        let _ = say(line);
    }
    for note in &options.notes {
        let _ = say(note);
    }
    Ok(())
}

/// The comparison and the verdict in words, and the exit status.
fn conclude(
    options: &BenchOptions,
    report: &Report,
    results: &[RowResult],
    out: &mut Out,
) -> Result<ExitCode, Error> {
    let table = options.format == Format::Table;
    let comparisons = report.comparisons.iter().map(ToString::to_string);
    for line in comparisons.chain(verdict::lines(options, results)) {
        if table {
            out.line(line)?;
        } else {
            let _ = say(line);
        }
    }
    out.flush()?;
    let mut code = ExitCode::SUCCESS;
    for result in results {
        for problem in &result.problems {
            let _ = say(format_args!("{}: {problem}", result.name));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
