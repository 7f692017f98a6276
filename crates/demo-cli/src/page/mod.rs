//! The report as a page for a browser: one file with everything in it.
//!
//! [`top`] says what was run and what came of it; [`scaling`], [`pair`], [`distribution`], [`stages`] and
//! [`time`] each draw one kind of chart; [`table`] has all figures. [`facet`] decides which rows share a
//! chart, [`axis`] and [`chart`] draw it, [`theme`] has the colours and [`html`] what is around them.

mod axis;
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

use serde::Serialize;

use crate::error::{Error, InputError, RunError};
use crate::report::Report;
use crate::target::Target;

/// Opens the file that is to get the page. Nothing is under its name before [`write`] is done.
pub(crate) fn open(path: &Path) -> Result<Target, Error> {
    if path.as_os_str() == "-" {
        return Err(InputError::ReportToStdout.into());
    }
    Target::open(path)
}

/// Writes the page and gives it its name.
pub(crate) fn write(report: &Report, mut target: Target) -> Result<(), RunError> {
    target.write(page(report).as_bytes())?;
    target.finish()
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
