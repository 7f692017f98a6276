//! A comparison for people.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::figures::{Figure, Measured, Over};
use super::outcome::{Compared, Outcome, Pair};
use crate::color::Paint;
use crate::error::RunError;
use crate::human::show_us;
use crate::out::Out;

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
/// Names of rows that are only in one of two, at most; of more the number is said.
const NAMES_MAX: usize = 10;

/// Before what may make the ratios worthless.
const WARNING: &str = "WARNING:";

/// Writes it; `headings` are those of what rows are named by, for each comparison.
pub(super) fn write(
    outcome: &Outcome,
    headings: &[Vec<&'static str>],
    out: &mut Out,
) -> Result<(), RunError> {
    let (base, paint) = (&outcome.base, Paint::stdout());
    for (at, (compared, headings)) in outcome.comparisons.iter().zip(headings).enumerate() {
        if at > 0 {
            out.line("")?;
        }
        let heading = format!("{} compared with {base}", compared.file);
        let heading = paint.heading(heading);
        out.line(format_args!("{heading}: ratios above 1 are slower"))?;
        for (kind, line) in remarks(compared, base) {
            let kind = match kind {
                WARNING => paint.bad(kind),
                _ => paint.faint(kind),
            };
            out.line(format_args!("{kind} {line}"))?;
        }
        out.line(table(compared, headings).trim_fmt())?;
        for line in summary(compared) {
            out.line(line)?;
        }
        for line in &compared.failed {
            out.line(format_args!("{} {line}", paint.bad("FAILED")))?;
        }
    }
    Ok(())
}

/// Warnings, what has changed, and which rows have no counterpart; a line each, of a kind.
pub(super) fn remarks(compared: &Compared, base: &str) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for warning in &compared.warnings {
        lines.push((WARNING, warning.clone()));
    }
    for change in &compared.changed {
        let said = format!("{}: {} → {}", change.what, change.base, change.other);
        lines.push(("changed:", said));
    }
    if let Some(verdicts) = &compared.verdicts {
        let both = [(base, &verdicts.base), (&*compared.file, &verdicts.other)];
        for (file, sentences) in both {
            let verdict = |sentence| ("verdict", format!("of {file}: {sentence}"));
            lines.extend(sentences.iter().map(verdict));
        }
    }
    let only = [
        (base, &compared.only_in_base),
        (&*compared.file, &compared.only_in_other),
    ];
    for (file, names) in only {
        if names.is_empty() {
            continue;
        }
        let mut shown = names[..names.len().min(NAMES_MAX)].join("; ");
        if names.len() > NAMES_MAX {
            shown += &format!("; and {} more", names.len() - NAMES_MAX);
        }
        lines.push(("only in", format!("{file}: {shown}")));
    }
    lines
}

/// A line for each row.
fn table(compared: &Compared, headings: &[&'static str]) -> Table {
    let measured = |pair: &Pair| pair.figures.keys().copied().collect::<Vec<_>>();
    let mut figures: Vec<Figure> = compared.rows.iter().flat_map(measured).collect();
    figures.sort_unstable();
    figures.dedup();
    let judged: Vec<Figure> = compared.rows.iter().map(Pair::figure).collect();
    // Rows may be judged by different figures: then each says which.
    let one = judged.windows(2).all(|two| two[0] == two[1]);
    let repeats = compared
        .rows
        .iter()
        .any(|pair| pair.repeats.base.max(pair.repeats.other) > 1);

    let mut table = Table::new();
    table.load_style(STYLE);
    let mut header: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    if repeats {
        header.push("repeats".to_owned());
    }
    let named = header.len();
    header.extend([
        match (one, judged.first()) {
            (true, Some(figure)) => format!("base {}", figure.heading()),
            _ => "base".to_owned(),
        },
        "other".to_owned(),
    ]);
    header.extend(
        figures
            .iter()
            .map(|figure| format!("{} ×", figure.heading())),
    );
    let numbers = header.len() - named;
    header.push("seen".to_owned());
    table.set_header(header);
    for pair in &compared.rows {
        let mut cells = pair.cells.clone();
        if repeats {
            cells.push(match (pair.repeats.base, pair.repeats.other) {
                (a, b) if a == b => a.to_string(),
                (a, b) => format!("{a}, {b}"),
            });
        }
        let measured = pair.figures.get(&pair.figure());
        let us = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), show_us);
        cells.push(us(measured.and_then(|measured| measured.base_us)));
        cells.push(us(measured.and_then(|measured| measured.other_us)));
        let ratios = figures.iter().map(|figure| ratio(pair.figures.get(figure)));
        cells.extend(ratios);
        let seen = measured.map_or("cannot be told", |measured| measured.seen.words());
        cells.push(match one {
            true => seen.to_owned(),
            false => format!("{}: {seen}", pair.figure().heading()),
        });
        table.add_row(cells);
    }
    // Words to the left, numbers to the right.
    for column in table.column_iter_mut().skip(named).take(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A ratio with its spread: `2.00 (1.98–2.03)`.
fn ratio(measured: Option<&Measured>) -> String {
    let Some((measured, ratio)) = measured.and_then(|m| Some((m, m.ratio?))) else {
        return "-".to_owned();
    };
    match measured.spread {
        None => format!("{ratio:.2}"),
        Some(range) => format!("{ratio:.2} ({:.2}–{:.2})", range.least, range.most),
    }
}

/// What the spread is, and the figures over all rows.
fn summary(compared: &Compared) -> Vec<String> {
    let mut lines = Vec::new();
    let measured = compared.rows.iter().flat_map(|pair| pair.figures.values());
    let over: Vec<Over> = measured.filter_map(|m| Some(m.spread?.over)).collect();
    if over.contains(&Over::Repeats) {
        lines.push(
            "ratios of medians; in parentheses least and most over each repeat of the one with each of the other"
                .to_owned(),
        );
    }
    if over.contains(&Over::WithinTheRun) {
        lines.push(
            "in parentheses least and most within the run, part by part, which says less than repeats do: see --repeat of 'bench' and 'sweep'"
                .to_owned(),
        );
    }
    // Over one row it is that row's.
    for overall in compared.overall.iter().filter(|o| o.rows > 1) {
        lines.push(format!(
            "{} over {} rows: {:.2} (geometric mean; least {:.2}, most {:.2})",
            overall.figure.words(),
            overall.rows,
            overall.geometric_mean,
            overall.least,
            overall.most
        ));
    }
    lines
}
