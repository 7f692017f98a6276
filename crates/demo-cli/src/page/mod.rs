//! The report as a page for a browser: one file with everything in it.

use std::path::Path;

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
    format!("<!doctype html><title>{}</title>", report.summary())
}
