//! Reports of `bench` and `sweep`, compared.

use super::changed;
use super::figures::{Figure, Measured};
use super::matching::{self, FIELDS, Field, Group};
use super::outcome::{Compared, Pair, Repeats, Verified, overall};
use super::source::Named;
use crate::error::InputError;
use crate::report::{Report, Row};

/// One report with another; `judged_by` is what was asked for, if anything was.
pub(super) fn compared(
    base: &Named<Report>,
    other: &Named<Report>,
    judged_by: &[Figure],
) -> Result<(Compared, Vec<Field>), InputError> {
    let (a, b) = (&base.what, &other.what);
    let matched = matching::matched(&a.rows, &b.rows);
    if matched.pairs.is_empty() {
        return Err(InputError::NoRowsInCommon {
            base: base.name.clone(),
            other: other.name.clone(),
            why: matching::why_none(&a.rows, &b.rows),
        });
    }
    let names = |groups: &[Group<'_>]| {
        let names = groups
            .iter()
            .map(|group| matching::name(group[0], &matched.naming));
        names.collect::<Vec<String>>()
    };
    let pairs = matched.pairs.iter();
    let rows: Vec<Pair> = pairs
        .map(|(a, b)| pair(a, b, &matched.naming, judged_by))
        .collect();
    let compared = Compared {
        file: other.name.clone(),
        warnings: changed::warnings(base, other),
        changed: changed::changed(a, b, &matched),
        verdicts: changed::verdicts(a, b),
        only_in_base: names(&matched.only_in_base),
        only_in_other: names(&matched.only_in_other),
        overall: overall(&rows),
        rows,
        failed: Vec::new(),
        slower: 0,
    };
    Ok((compared, matched.naming))
}

/// Two groups, of a row at least each, that belong together.
fn pair(base: &[&Row], other: &[&Row], naming: &[Field], judged_by: &[Figure]) -> Pair {
    let figures = Figure::OF_ROWS.into_iter().filter_map(|figure| {
        let measured = Measured::new(figure, base, other)?;
        Some((figure, measured))
    });
    let verified = |rows: &[&Row]| rows.iter().all(|row| row.verified);
    // What a given rate takes is given too.
    let open = base.iter().chain(other).any(|row| row.load == "open");
    let judged_by = match (judged_by.is_empty(), open) {
        (false, _) => judged_by.to_vec(),
        (true, false) => vec![Figure::Time],
        (true, true) => vec![Figure::P50],
    };
    let cell = |field: &Field| match (field.of(base[0]), field.of(other[0])) {
        (a, b) if a == b => a,
        (a, b) => format!("{a} → {b}"),
    };
    Pair {
        name: matching::name_of_both(base[0], other[0], naming),
        row: FIELDS
            .iter()
            .map(|field| (field.name, field.data(base[0])))
            .collect(),
        cells: naming.iter().map(cell).collect(),
        repeats: Repeats {
            base: base.len(),
            other: other.len(),
        },
        judged_by,
        verified: Verified {
            base: verified(base),
            other: verified(other),
        },
        figures: figures.collect(),
    }
}
