//! The report as one JSON object.

use super::Report;
use crate::error::RunError;
use crate::out::Out;

/// Writes it.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|e| RunError::Stdout(std::io::Error::from(e)))?;
    out.line(json)
}
