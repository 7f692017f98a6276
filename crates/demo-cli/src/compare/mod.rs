//! `compare`: results that were printed as JSON, the first of them with each other one.
//!
//! [`source`] reads them, [`matching`] finds which rows belong together, [`figures`] tells how their
//! times compare, [`changed`] what else differs, and [`judge`] whether that is good enough.

mod args;
mod campaigns;
mod changed;
mod csv;
mod figures;
mod judge;
mod matching;
mod outcome;
mod reports;
mod source;
mod table;

use std::process::ExitCode;

use self::figures::Figure;
use self::outcome::{Compared, Outcome, SCHEMA};
use self::source::Sources;
use crate::cli::Format;
use crate::error::{Error, InputError, RunError};
use crate::json;
use crate::out::{Out, say};

pub(crate) use self::args::CompareArgs;

/// Compares, prints, and judges if that is asked for.
pub(crate) fn run(args: &CompareArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let judged_by = judged_by(args);
    let mut headings = Vec::new();
    let (base, mut comparisons) = match source::read(&args.files)? {
        Sources::Reports(reports) => {
            let base = &reports[0];
            let mut comparisons = Vec::new();
            for other in &reports[1..] {
                let (compared, naming) = reports::compared(base, other, &judged_by)?;
                headings.push(naming.iter().map(|field| field.heading).collect());
                comparisons.push(compared);
            }
            (base.name.clone(), comparisons)
        }
        Sources::Campaigns(campaigns) => {
            if !judged_by.is_empty() {
                return Err(InputError::FigureOfCampaign.into());
            }
            let base = &campaigns[0];
            let others = campaigns[1..].iter();
            let comparisons: Vec<_> = others
                .map(|other| campaigns::compared(base, other))
                .collect();
            headings.resize(comparisons.len(), vec!["device"]);
            (base.name.clone(), comparisons)
        }
    };
    if let Some(most) = args.fail_above {
        for compared in &mut comparisons {
            check_judged(compared, &base)?;
            judge::judge(compared, &base, most);
        }
    }
    let failed = comparisons
        .iter()
        .any(|compared| !compared.failed.is_empty());
    let outcome = Outcome {
        schema: SCHEMA,
        base,
        fail_above: args.fail_above,
        passed: args.fail_above.map(|_| !failed),
        comparisons,
    };
    write(&outcome, &headings, args.format, out)?;
    match args.fail_above {
        Some(most) if failed => Err(verdict(&outcome, most).into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What was asked to judge by, each once.
fn judged_by(args: &CompareArgs) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    for name in &args.figure {
        if !figures.contains(&name.figure()) {
            figures.push(name.figure());
        }
    }
    figures
}

/// A figure that no row of the base has lets everything pass: that is not what was meant.
fn check_judged(compared: &Compared, base: &str) -> Result<(), InputError> {
    let judged = compared.rows.iter().flat_map(|pair| &pair.judged_by);
    for &figure in judged {
        let has = |pair: &outcome::Pair| {
            let measured = pair.figures.get(&figure);
            measured.is_some_and(|measured| measured.base_us.is_some())
        };
        let by_it = compared
            .rows
            .iter()
            .filter(|pair| pair.judged_by.contains(&figure));
        if !by_it.into_iter().any(has) {
            return Err(InputError::NothingToJudgeBy {
                figure: figure.words(),
                base: base.to_owned(),
            });
        }
    }
    Ok(())
}

/// In the format that was asked for; what has no place in data is said beside it.
fn write(
    outcome: &Outcome,
    headings: &[Vec<&'static str>],
    format: Format,
    out: &mut Out,
) -> Result<(), RunError> {
    match format {
        Format::Table => table::write(outcome, headings, out)?,
        Format::Json => {
            let json =
                json::pretty(outcome).map_err(|e| RunError::Stdout(std::io::Error::from(e)))?;
            out.line(json)?;
        }
        Format::Csv => {
            csv::write(outcome, out)?;
            for compared in &outcome.comparisons {
                for (kind, line) in table::remarks(compared, &outcome.base) {
                    let _ = say(format_args!("{}: {kind} {line}", compared.file));
                }
                for line in &compared.failed {
                    let _ = say(format_args!("FAILED {line}"));
                }
            }
        }
    }
    out.flush()
}

/// Why it has not passed, in one sentence.
fn verdict(outcome: &Outcome, most: f64) -> RunError {
    let all = &outcome.comparisons;
    let sum = |count: &dyn Fn(&Compared) -> usize| all.iter().map(count).sum();
    let slower: usize = sum(&|c| c.slower);
    let missing: usize = sum(&|c| c.only_in_base.len());
    let unverified = sum(&|c| {
        let not = |pair: &&outcome::Pair| pair.verified.base && !pair.verified.other;
        c.rows.iter().filter(not).count()
    });
    let rows: usize = sum(&|c| c.rows.len());
    let is = |count: usize| if count == 1 { "is" } else { "are" };
    let mut parts = Vec::new();
    if slower > 0 {
        let is = is(slower);
        parts.push(format!(
            "{slower} of {rows} rows {is} slower than {most} times {}",
            outcome.base
        ));
    }
    if missing > 0 {
        parts.push(format!("{missing} of its rows {} missing", is(missing)));
    }
    if unverified > 0 {
        let is = is(unverified);
        parts.push(format!("{unverified} {is} not verified any more"));
    }
    RunError::Regressed(parts.join(", "))
}
