//! `bench` and `sweep`: many jobs on an engine, a row for each way of being woken and whatever else
//! there are several of.

mod arrivals;
mod baseline;
mod bound;
mod capacity;
mod compare;
mod desk;
mod failures;
mod lane;
mod options;
mod ours;
mod pace;
mod payload;
mod peer;
mod row;
mod stages;
mod tally;
mod timeline;
mod trace;
mod verdict;
mod view;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use self::payload::Payload;
use self::row::Given;
use self::trace::Trace;
use self::view::Bar;
use crate::cli::{BenchArgs, Format, SweepArgs};
use crate::error::{Error, RunError};
use crate::live::Live;
use crate::out::{Out, complain, say};
use crate::page;
use crate::report::{self, Report, Row};

pub(crate) use self::capacity::Capacity;
pub(crate) use self::compare::Comparison;
pub(crate) use self::failures::FailedBy;
pub(crate) use self::options::{BenchOptions, Case, Runtime, Until};
pub(crate) use self::row::RowResult;
pub(crate) use self::stages::{STAGES, StageTally};
pub(crate) use self::timeline::{Slot, Timeline};
pub(crate) use self::trace::{SCHEMA as TRACE_SCHEMA, WRITER as TRACE_WRITER};
pub(crate) use self::view::{Flow, RowBegins, View};

/// Runs `bench`.
pub(crate) fn bench(args: BenchArgs, out: &mut Out) -> Result<ExitCode, Error> {
    run(&BenchOptions::of_bench(args)?, out)
}

/// Runs `watch`: one row, which is looked at.
pub(crate) fn watch(mut args: BenchArgs, out: &mut Out) -> Result<ExitCode, Error> {
    args.load.live = true;
    bench(args, out)
}

/// Runs `sweep`.
pub(crate) fn sweep(args: SweepArgs, out: &mut Out) -> Result<ExitCode, Error> {
    run(&BenchOptions::of_sweep(args)?, out)
}

/// Runs the rows and reports.
fn run(options: &BenchOptions, out: &mut Out) -> Result<ExitCode, Error> {
    let mut payload = load(options, options.lists.sizes[0])?;
    // Before the run, which may take long: what cannot be written is said at once.
    let page = options.report.as_deref().map(page::open).transpose()?;
    let mut report = Report::new(options);
    let trace = options.trace.as_deref();
    let trace = trace.map(|path| Trace::create(path, &report.wherever()));
    let trace = trace.transpose()?;
    announce(options, &report, out)?;

    let mut results = Vec::new();
    let mut failed = run_rows(
        options,
        &mut payload,
        trace.as_ref(),
        &mut report,
        &mut results,
        out,
    )?;
    if let Some(Err(error)) = trace.map(|trace| trace.finish()) {
        failed = failed.or(Some(error));
    }
    report.verdict = verdict::lines(options, &results);
    report.error = failed.as_ref().map(ToString::to_string);
    match options.format {
        Format::Table => report::table::write(&report, out)?,
        Format::Json => report::json::write(&report, out)?,
        Format::Csv => report::csv::write(&report, out)?,
    }
    let code = conclude(options, &report, &results, out)?;
    if let Some(target) = page {
        page::write(&report, target)?;
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(code),
    }
}

/// Runs the rows, until one fails or nobody is there to read of them. Returns what failed.
fn run_rows(
    options: &BenchOptions,
    payload: &mut Arc<Payload>,
    trace: Option<&Arc<Trace>>,
    report: &mut Report,
    results: &mut Vec<RowResult>,
    out: &mut Out,
) -> Result<Option<RunError>, Error> {
    let mut size = options.lists.sizes[0];
    let mut software_cpu = baseline::software_cpu(options, payload);
    let mut view: Box<dyn View> = match options.live {
        true => Box::new(Live::new(options)),
        false => Box::new(Bar::new()),
    };
    let cases = options.lists.cases();
    let all = cases.len();
    for (number, case) in cases.into_iter().enumerate() {
        // A trace is written whoever reads the report.
        if trace.is_none() && out.has_lost_reader() {
            break;
        }
        if case.size != size {
            size = case.size;
            *payload = load(options, size)?;
            software_cpu = baseline::software_cpu(options, payload);
        }
        let given = Given {
            payload,
            software_cpu,
            trace,
            number,
            rows: all,
        };
        match row::run(options, case, &given, &mut *view) {
            Ok(rows) => {
                if rows.flow != Flow::GoesOn {
                    report.stopped = true;
                }
                for result in rows.results {
                    view.finished(&result);
                    report.rows.push(Row {
                        problems: result.problems.clone(),
                        ..result.row.clone()
                    });
                    results.push(result);
                }
                report.comparisons.extend(rows.comparison);
                if rows.flow == Flow::EndRun {
                    break;
                }
            }
            Err(Error::Run(error)) => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads or makes the payload.
fn load(options: &BenchOptions, size: usize) -> Result<Arc<Payload>, Error> {
    let (op, seed) = (options.op, options.engine.seed);
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
    let lines = report.stopped_early().into_iter().chain(comparisons);
    for line in lines.chain(report.verdict.iter().cloned()) {
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
            let _ = complain(format_args!("{}: {problem}", result.name));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
