//! Reports that were printed with `--format json`, read back.

use std::path::Path;

use serde::Deserialize;

use super::{Report, SCHEMA};
use crate::error::InputError;
use crate::{human, system};

/// The most bytes of a report.
const REPORT_BYTES_MAX: u64 = 256 << 20;

/// What is looked at first: whether it is one of ours at all.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
    rows: Option<serde::de::IgnoredAny>,
    seeds: Option<serde::de::IgnoredAny>,
}

/// Reads the report of a `bench` or a `sweep`; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Report, InputError> {
    of_text(path, &text(path)?)
}

/// The text of a file that is to hold a report; `-` is standard input.
pub(crate) fn text(path: &Path) -> Result<String, InputError> {
    system::read_plain_text(path, "report", REPORT_BYTES_MAX)
}

/// The report of a `bench` or a `sweep` in the text of a file.
pub(crate) fn of_text(path: &Path, text: &str) -> Result<Report, InputError> {
    parse(text).map_err(|message| InputError::NotAReport {
        path: path.to_owned(),
        // It may quote the file.
        message: human::printable_start(&message),
    })
}

/// Whether a text looks like a result of `simulate`.
pub(crate) fn is_campaign(text: &str) -> bool {
    let head = serde_json::from_str::<Head>(text);
    head.is_ok_and(|head| head.rows.is_none() && head.seeds.is_some())
}

fn parse(text: &str) -> Result<Report, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let head: Head = serde_json::from_str(text).map_err(|e| match () {
        () if ends_at(text, &e) => format!("it ends in the middle ({e})"),
        () if e.is_data() && !text.trim_start().starts_with('{') => "it is other JSON".to_owned(),
        () => e.to_string(),
    })?;
    if head.rows.is_none() && head.seeds.is_some() {
        return Err(
            "it is a result of 'demo-cli simulate', whose page 'demo-cli simulate --merge FILE --report PAGE' makes".to_owned(),
        );
    }
    match &head.schema {
        None => return Err("it has no field \"schema\"".to_owned()),
        Some(schema) if schema.as_u64() != Some(u64::from(SCHEMA)) => {
            return Err(format!(
                "its schema is {schema}, and this demo-cli reads {SCHEMA}; use the one that wrote it"
            ));
        }
        Some(_) => {}
    }
    let report: Report = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(report)
}

/// Whether a text is one that only ends too early: within a number it is no number, says the parser.
fn ends_at(text: &str, error: &serde_json::Error) -> bool {
    let last = text.lines().last().unwrap_or_default();
    // Characters that are no JSON at all are not the beginning of any.
    let in_number =
        last.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
    let at_end = error.line() == text.lines().count() && error.column() >= last.len();
    error.is_eof()
        || (error.is_syntax() && in_number && at_end && text.trim_start().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_told_apart() {
        let said = |text| parse(text).expect_err("no report");
        assert_eq!(said(" \n"), "it is empty");
        assert!(said("{\"schema\":1,\"ro").starts_with("it ends in the middle"));
        assert!(said("{\"schema\":1,\n\"seed\":12.").starts_with("it ends in the middle"));
        assert!(said("{}").contains("no field \"schema\""));
        assert!(said("{\"schema\":2,\"rows\":[]}").contains("its schema is 2"));
        assert!(said("{\"schema\":\"x\",\"rows\":[]}").contains("its schema is \"x\""));
        assert!(said("{\"schema\":1,\"seeds\":[]}").contains("simulate"));
        assert!(said("{\"schema\":1,\"rows\":[]}").contains("missing field"));
        for other in ["[1]", "null", "[{}]", " 1"] {
            assert_eq!(said(other), "it is other JSON");
        }
        assert!(said("1e999").starts_with("number out of range"));
        assert!(said("{}\0").starts_with("trailing characters"));
    }
}
