//! `explain`: the life of one operation, or of one job, from a trace.
//!
//! A trace can be long: it is read as a stream, twice. First for what is asked for and for what there
//! is, then for how the others of its row fared.

mod draw;
mod job;
mod life;
mod peers;
mod raw;
mod read;
mod survey;
mod teller;

use std::process::ExitCode;

use serde::Serialize;

use self::job::JobLife;
use self::life::Life;
use self::peers::Peers;
use self::read::{OpId, Trace};
use self::survey::{Survey, Wanted};
use crate::cli::{ExplainArgs, ExplainFormat};
use crate::color::Paint;
use crate::error::{Error, RunError};
use crate::human::printable;
use crate::json;
use crate::out::Out;

/// Runs `explain`.
pub(crate) fn run(args: &ExplainArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let readings = if args.slowest { 3 } else { 2 };
    let trace = Trace::at(&args.trace, readings)?;
    let row = args.row.as_deref();
    match (args.job, args.op) {
        (Some(job), _) => tell_job(&trace, job, row, args, out)?,
        (None, Some((thread, n))) => tell_op(&trace, OpId { thread, n }, row, args, out)?,
        (None, None) => {
            let survey = Survey::of(&trace, Wanted::Slowest)?;
            let slowest = survey.row(row, Wanted::Slowest)?;
            let Some(id) = Survey::slowest(slowest) else {
                return Ok(ExitCode::SUCCESS); // `row` has seen to it that there is one
            };
            let number = slowest.head.number.to_string();
            tell_op(&trace, id, Some(&number), args, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_op(
    trace: &Trace,
    id: OpId,
    row: Option<&str>,
    args: &ExplainArgs,
    out: &mut Out,
) -> Result<(), Error> {
    let wanted = Wanted::Op(id);
    let survey = Survey::of(trace, wanted)?;
    let row = survey.row(row, wanted)?;
    let peers = Peers::of(trace, row.head.number, &row.found)?;
    let life = Life::tell(id, row, &row.found, &peers);
    match args.format {
        ExplainFormat::Json => write_json(&survey, &life, out),
        ExplainFormat::Text => {
            write_text(&survey, life.lines(draw::columns(), Paint::stdout()), out)
        }
    }
}

fn tell_job(
    trace: &Trace,
    job: u64,
    row: Option<&str>,
    args: &ExplainArgs,
    out: &mut Out,
) -> Result<(), Error> {
    let wanted = Wanted::Job(job);
    let survey = Survey::of(trace, wanted)?;
    let row = survey.row(row, wanted)?;
    let columns = draw::columns();
    // `row` has seen to it that it had operations.
    let times = row.job.unwrap_or_default();
    let life = JobLife::of(trace, row, job, times, args.all, columns)?;
    match args.format {
        ExplainFormat::Json => write_json(&survey, &life, out),
        ExplainFormat::Text => write_text(&survey, life.lines(Paint::stdout()), out),
    }
}

fn write_text(survey: &Survey, lines: Vec<String>, out: &mut Out) -> Result<(), Error> {
    for line in lines {
        out.line(draw::folded(line.trim_end()))?;
    }
    out.line("")?;
    let run = format!("The run: {}", printable(&survey.options));
    out.line(draw::folded(&run))?;
    if survey.rows.len() > 1 {
        let rows = survey.in_words();
        let rows = format!("Its rows: {rows}; --row selects one");
        out.line(draw::folded(&rows))?;
    }
    Ok(())
}

/// What both answers have around them.
#[derive(Serialize)]
struct Answer<'a, T> {
    schema: u32,
    run: &'a str,
    rows: Vec<&'a str>,
    #[serde(flatten)]
    life: &'a T,
}

fn write_json<T: Serialize>(survey: &Survey, life: &T, out: &mut Out) -> Result<(), Error> {
    let answer = Answer {
        schema: 1,
        run: &survey.options,
        rows: survey.names(),
        life,
    };
    let text = json::pretty(&answer).map_err(|e| RunError::Stdout(std::io::Error::from(e)))?;
    out.line(text)?;
    Ok(())
}
