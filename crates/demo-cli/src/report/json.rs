//! The report as one JSON object.

use super::Report;
use crate::error::RunError;
use crate::json;
use crate::out::Out;

/// Writes it.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let json = json::pretty(report).map_err(|e| RunError::Stdout(std::io::Error::from(e)))?;
    out.line(json)
}
