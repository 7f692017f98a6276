//! A comparison as CSV: a header, then a line for each row of each file.

use serde_json::Value;

use super::figures::{Figure, Over};
use super::outcome::{Outcome, Pair};
use crate::error::RunError;
use crate::out::Out;

/// What a row is; empty where it is of `simulate` and has none.
const ROW: [&str; 13] = [
    "engine",
    "device",
    "clock",
    "runtime",
    "notify",
    "completion",
    "op",
    "size_bytes",
    "jobs",
    "threads",
    "loop",
    "rate_per_s",
    "total",
];

/// Of all kinds of results.
const FIGURES: [(Figure, &str); 5] = [
    (Figure::Time, "time"),
    (Figure::P50, "p50"),
    (Figure::P99, "p99"),
    (Figure::Cpu, "cpu"),
    (Figure::Seed, "seed"),
];

/// Writes it.
pub(super) fn write(outcome: &Outcome, out: &mut Out) -> Result<(), RunError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = ["base", "file", "name"].map(str::to_owned).to_vec();
    header.extend(ROW.map(str::to_owned));
    header.extend(["repeats_base", "repeats_other"].map(str::to_owned));
    for (_, figure) in FIGURES {
        let columns = [
            "base_us",
            "other_us",
            "ratio",
            "least",
            "most",
            "spread_over",
            "seen",
        ];
        header.extend(columns.map(|column| format!("{figure}_{column}")));
    }
    header.extend(["verified_base", "verified_other"].map(str::to_owned));
    // Into memory, and all records are as long as the header.
    let as_io = |error: csv::Error| RunError::Stdout(error.into());
    writer.write_record(&header).map_err(as_io)?;
    for compared in &outcome.comparisons {
        for pair in &compared.rows {
            let mut fields = vec![
                outcome.base.clone(),
                compared.file.clone(),
                pair.name.clone(),
            ];
            fields.extend(of_pair(pair));
            writer.write_record(&fields).map_err(as_io)?;
        }
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| RunError::Stdout(e.into_error()))?;
    out.write(&bytes)
}

fn of_pair(pair: &Pair) -> Vec<String> {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
    let mut fields: Vec<String> = ROW.iter().map(|name| text(pair.row.get(name))).collect();
    fields.extend([
        pair.repeats.base.to_string(),
        pair.repeats.other.to_string(),
    ]);
    for (figure, _) in FIGURES {
        let measured = pair.figures.get(&figure);
        let spread = measured.and_then(|m| m.spread);
        let over = spread.map(|range| match range.over {
            Over::Repeats => "repeats",
            Over::WithinTheRun => "within the run",
        });
        fields.extend([
            number(measured.and_then(|m| m.base_us)),
            number(measured.and_then(|m| m.other_us)),
            number(measured.and_then(|m| m.ratio)),
            number(spread.map(|range| range.least)),
            number(spread.map(|range| range.most)),
            over.unwrap_or_default().to_owned(),
            measured
                .map(|m| m.seen.words())
                .unwrap_or_default()
                .to_owned(),
        ]);
    }
    fields.extend([
        pair.verified.base.to_string(),
        pair.verified.other.to_string(),
    ]);
    fields
}
