//! What came of a comparison, as data.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::figures::{Figure, Measured, Overall};

/// The version of the field names below. They are stable: fields are added, never renamed.
pub(super) const SCHEMA: u32 = 1;

/// The base and what each other file is to it.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) schema: u32,
    /// The name of the file.
    pub(super) base: String,
    pub(super) fail_above: Option<f64>,
    /// `None` if nothing was asked to fail.
    pub(super) passed: Option<bool>,
    pub(super) comparisons: Vec<Compared>,
}

/// A file and the base.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) file: String,
    /// Why the ratios may not say what they seem to.
    pub(super) warnings: Vec<String>,
    pub(super) changed: Vec<Change>,
    /// What bounds the rows, where that is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdicts: Option<Verdicts>,
    /// Names of rows.
    pub(super) only_in_base: Vec<String>,
    pub(super) only_in_other: Vec<String>,
    pub(super) rows: Vec<Pair>,
    pub(super) overall: Vec<Overall>,
    /// Why the comparison fails; one sentence each.
    pub(super) failed: Vec<String>,
    /// Rows that are too slow.
    pub(super) slower: usize,
}

/// Something that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) what: String,
    pub(super) base: String,
    pub(super) other: String,
}

/// What bounds the rows, in sentences.
#[derive(Debug, Serialize)]
pub(super) struct Verdicts {
    pub(super) base: Vec<String>,
    pub(super) other: Vec<String>,
}

/// Rows that belong together.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) name: String,
    /// What it is, by the base.
    pub(super) row: BTreeMap<&'static str, Value>,
    /// The same for people: what rows are named by.
    #[serde(skip)]
    pub(super) cells: Vec<String>,
    pub(super) repeats: Repeats,
    /// The first of them is what is said in words.
    pub(super) judged_by: Vec<Figure>,
    pub(super) verified: Verified,
    pub(super) figures: BTreeMap<Figure, Measured>,
}

/// How often a row was run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Repeats {
    pub(super) base: usize,
    pub(super) other: usize,
}

/// Whether every response was compared with what software computes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Verified {
    pub(super) base: bool,
    pub(super) other: bool,
}

impl Pair {
    /// The figure that is said in words.
    pub(super) fn figure(&self) -> Figure {
        self.judged_by.first().copied().unwrap_or(Figure::Time)
    }
}

/// The figures over all rows.
pub(super) fn overall(rows: &[Pair]) -> Vec<Overall> {
    let figures = [
        Figure::Seed,
        Figure::Time,
        Figure::P50,
        Figure::P99,
        Figure::Cpu,
    ];
    let of = |figure| {
        let measured = rows.iter().filter_map(|row| row.figures.get(&figure));
        let ratios: Vec<f64> = measured.filter_map(|measured| measured.ratio).collect();
        Overall::of(figure, &ratios)
    };
    figures.into_iter().filter_map(of).collect()
}
