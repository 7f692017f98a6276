//! A comparison for people.

use comfy_table::{Attribute, Cell, CellAlignment, Color, LineStyle, Table, TableStyle};

use super::figures::{Figure, Measured, Over, Seen};
use super::outcome::{Compared, Outcome, Pair};
use crate::color::Paint;
use crate::error::RunError;
use crate::human::show_us_or_none;
use crate::out::Out;
use crate::units::show_count;

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
    let columns = Columns::of(&compared.rows);
    let mut table = Table::new();
    table.load_style(STYLE);
    // What is painted is ours to say, not for the table to find out.
    match Paint::stdout().is_on() {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    let names = headings.iter().map(|&heading| heading.to_owned());
    let header = names.chain(columns.header());
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for pair in &compared.rows {
        let names = pair.cells.iter().map(Cell::new);
        table.add_row(names.chain(columns.cells(pair)));
    }
    // Words to the left, numbers to the right.
    let numbers = columns.numbers();
    for column in table.column_iter_mut().skip(headings.len()).take(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What a table has beside the rows' names.
struct Columns {
    /// Whether there are any.
    repeats: bool,
    /// What all rows are judged by; `None` if it is not one figure, and each row says its own.
    judged: Option<Figure>,
    figures: Vec<Figure>,
}

impl Columns {
    fn of(rows: &[Pair]) -> Columns {
        let mut figures: Vec<Figure> = (rows.iter())
            .flat_map(|pair| pair.figures.keys().copied())
            .collect();
        figures.sort_unstable();
        figures.dedup();
        let first = rows.first().map(Pair::figure);
        let several = |pair: &Pair| pair.repeats.base.max(pair.repeats.other) > 1;
        Columns {
            repeats: rows.iter().any(several),
            judged: first.filter(|&first| rows.iter().all(|pair| pair.figure() == first)),
            figures,
        }
    }

    /// Columns before the words.
    fn numbers(&self) -> usize {
        usize::from(self.repeats) + 2 + self.figures.len()
    }

    fn header(&self) -> Vec<String> {
        let mut header = Vec::new();
        if self.repeats {
            header.push("repeats".to_owned());
        }
        header.push(match self.judged {
            Some(figure) => format!("base {}", figure.heading()),
            None => "base".to_owned(),
        });
        header.push("other".to_owned());
        let ratios = self.figures.iter();
        header.extend(ratios.map(|figure| format!("{} ×", figure.heading())));
        header.push("seen".to_owned());
        header
    }

    fn cells(&self, pair: &Pair) -> Vec<Cell> {
        let mut cells = Vec::new();
        if self.repeats {
            cells.push(match (pair.repeats.base, pair.repeats.other) {
                (a, b) if a == b => a.to_string(),
                (a, b) => format!("{a}, {b}"),
            });
        }
        let measured = pair.figures.get(&pair.figure());
        cells.push(show_us_or_none(measured.and_then(|m| m.base_us)));
        cells.push(show_us_or_none(measured.and_then(|m| m.other_us)));
        let figures = self.figures.iter();
        cells.extend(figures.map(|figure| ratio(pair.figures.get(figure))));
        let seen = measured.map_or(Seen::CannotBeTold, |m| m.seen);
        let words = Cell::new(match self.judged {
            Some(_) => seen.words().to_owned(),
            None => format!("{}: {}", pair.figure().heading(), seen.words()),
        });
        let words = match seen {
            Seen::Slower => words.fg(Color::Red),
            Seen::Faster => words.fg(Color::Green),
            _ => words,
        };
        cells.into_iter().map(Cell::new).chain([words]).collect()
    }
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
            show_count(overall.rows as u64),
            overall.geometric_mean,
            overall.least,
            overall.most
        ));
    }
    lines
}
