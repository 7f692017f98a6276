//! The report as a page for a browser: one file with everything in it.
//!
//! [`top`] says what was run and what came of it; [`scaling`], [`pair`], [`distribution`], [`stages`] and
//! [`time`] each draw one kind of chart; [`table`] has all figures. [`campaign`] is the page of `simulate`.
//! [`facet`] decides which rows share a chart, [`axis`] and [`chart`] draw it, [`theme`] has the colours and
//! [`html`] what is around them.

mod axis;
mod campaign;
mod chart;
mod distribution;
mod facet;
mod html;
mod pair;
mod scaling;
mod stages;
mod table;
mod theme;
mod time;
mod top;

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::ReportArgs;
use crate::error::{Error, InputError, RunError};
use crate::report::{self, Report};
use crate::target::{Target, keep_apart};

pub(crate) use self::campaign::Simulated;

/// Opens the file that is to get the page. Nothing is under its name before [`write()`] is done.
pub(crate) fn open(path: &Path) -> Result<Target, Error> {
    if path.as_os_str() == "-" {
        return Err(InputError::ReportToStdout.into());
    }
    open_as(path, "--report")
}

fn open_as(path: &Path, option: &'static str) -> Result<Target, Error> {
    Target::open(path).map_err(|error| match error {
        Error::Input(InputError::BadOut { path, source }) => Error::Input(InputError::BadPage {
            option,
            path,
            source,
        }),
        other => other,
    })
}

/// Writes the page and gives it its name.
pub(crate) fn write(report: &Report, target: Target) -> Result<(), RunError> {
    finish(&page(report), target)
}

/// The same for a result of `simulate`.
pub(crate) fn write_campaign(result: &Simulated<'_>, target: Target) -> Result<(), RunError> {
    finish(&campaign::page(result), target)
}

fn finish(page: &str, mut target: Target) -> Result<(), RunError> {
    target.write(page.as_bytes())?;
    target.finish()
}

/// Runs `report`: the page of results that were saved.
pub(crate) fn from_file(args: &ReportArgs) -> Result<ExitCode, Error> {
    if args.out.as_os_str() == "-" {
        return Err(InputError::PageToStdout.into());
    }
    keep_apart(("--out", &args.out), &[("the report", Some(&args.file))])?;
    let report = report::read::read(&args.file)?;
    let target = open_as(&args.out, "--out")?;
    write(&report, target)?;
    Ok(ExitCode::SUCCESS)
}

fn page(report: &Report) -> String {
    let parts = [
        top::comparisons(report),
        scaling::section(report),
        pair::section(report),
        distribution::section(report),
        stages::section(report),
        time::section(report),
        table::section(report),
    ];
    let body = [
        top::section(report),
        top::facts(report),
        parts.concat(),
        data(
            report,
            "report",
            "<code>demo-cli compare</code> and <code>demo-cli report</code> read it",
        ),
    ];
    html::page(&top::title(report), &body.concat())
}

/// The data that the page was made of, and how to get it out.
fn data(data: &impl Serialize, id: &str, who: &str) -> String {
    let Ok(json) = html::json(data) else {
        return String::new();
    };
    let about = format!(
        "Everything on this page comes from one JSON object that is part of it, on a line of its own. \
         <code>grep '^{{\"schema\"' PAGE.html &gt; FILE.json</code> gets it out; {who}."
    );
    let script = format!("<script type=\"application/json\" id=\"{id}\">\n{json}\n</script>\n");
    html::section("data", "The data", &about, &script)
}
