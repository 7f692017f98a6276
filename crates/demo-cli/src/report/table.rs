//! The report as a table for people.

use comfy_table::{Attribute, Cell, CellAlignment, Color, LineStyle, Table, TableStyle};

use super::{Report, Row, STAGE_NAMES, size_with_unit};
use crate::bench::FailedBy;
use crate::color::Paint;
use crate::error::RunError;
use crate::human::{show_number, show_us, show_us_or_none};
use crate::out::Out;
use crate::units::show_count;

const HEADER: [&str; 14] = [
    "completed",
    "failed",
    "ops/s",
    "bytes/s",
    "mean",
    "p50",
    "p99",
    "p99.9",
    "in flight",
    "pauses",
    "wakes",
    "cpu",
    "engines",
    "verified",
];

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Writes it.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let labels = labels(report);
    let mut table = table(&labels, &HEADER);
    for row in &report.rows {
        table.add_row(labelled(&labels, row, cells(row)));
    }
    align(&mut table, labels.len());
    out.line(table.trim_fmt())?;
    if let Some(line) = failures(report) {
        out.line(line)?;
    }
    write_stages(report, &labels, out)
}

/// What failed in all rows, if anything did.
fn failures(report: &Report) -> Option<String> {
    let (mut failed_by, mut all) = (FailedBy::default(), 0);
    for row in &report.rows {
        failed_by.add(&row.failed_by);
        all += row.completed + row.failed + row.cancelled;
    }
    let failed = failed_by.total();
    (failed > 0).then(|| {
        let (failed, all) = (show_count(failed), show_count(all));
        format!("failed: {failed} of {all} operations, {failed_by}")
    })
}

/// Where the time of each row's operations went, if it was measured for any.
fn write_stages(report: &Report, labels: &[Label], out: &mut Out) -> Result<(), RunError> {
    let mut header = Vec::new();
    for stage in STAGE_NAMES {
        header.extend([stage.to_owned(), "p99".to_owned()]);
    }
    let mut table = table(labels, &header);
    for row in &report.rows {
        let Some(stages) = &row.stages_us else {
            continue;
        };
        let stages = stages.in_order();
        let figures = stages.iter().flat_map(|l| [Some(l.mean), l.p99]);
        let cells = figures.map(show_us_or_none).map(Cell::new).collect();
        table.add_row(labelled(labels, row, cells));
    }
    if table.is_empty() {
        return Ok(());
    }
    align(&mut table, labels.len());
    out.line(table.trim_fmt())
}

/// What tells a row from the others.
struct Label {
    name: &'static str,
    of: fn(&Row) -> String,
}

/// The way of being woken, and what else there are several of.
fn labels(report: &Report) -> Vec<Label> {
    let options = &report.options;
    let lists = &options.lists;
    let notify: Label = Label {
        name: "notify",
        of: |row| row.notify.to_string(),
    };
    let mut labels = vec![notify];
    if options.runtime != "ours" {
        labels.push(Label {
            name: "runtime",
            of: |row| row.runtime.to_string(),
        });
    }
    if lists.completion.len() > 1 {
        labels.push(Label {
            name: "completion",
            of: |row| row.completion.to_string(),
        });
    }
    if options.rate_per_s.is_some() {
        labels.push(Label {
            name: "loop",
            of: |row| row.load.to_string(),
        });
    }
    if lists.jobs.len() > 1 {
        labels.push(Label {
            name: "jobs",
            of: |row| show_count(row.jobs as u64),
        });
    }
    if lists.sizes_bytes.len() > 1 {
        labels.push(Label {
            name: "size",
            of: |row| size_with_unit(row.size_bytes),
        });
    }
    if options.repeat > 1 {
        labels.push(Label {
            name: "repeat",
            of: |row| row.repeat.to_string(),
        });
    }
    labels
}

fn table<H: ToString>(labels: &[Label], header: &[H]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    // What is painted is ours to say, not for the table to find out.
    match Paint::stdout().is_on() {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    let names = labels.iter().map(|label| label.name.to_owned());
    let header = names.chain(header.iter().map(ToString::to_string));
    table.set_header(header.map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    table
}

fn labelled(labels: &[Label], row: &Row, cells: Vec<Cell>) -> Vec<Cell> {
    let labels = labels.iter().map(|label| Cell::new((label.of)(row)));
    labels.chain(cells).collect()
}

/// Words to the left, numbers to the right.
fn align(table: &mut Table, labels: usize) {
    for column in table.column_iter_mut().skip(labels) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn cells(row: &Row) -> Vec<Cell> {
    let latency = &row.latency_us;
    let failed = Cell::new(show_count(row.failed));
    let verified = match (row.verified, &*row.results) {
        (true, _) => Cell::new("yes"),
        (false, "modelled") => Cell::new("modelled"),
        (false, _) => bad(Cell::new("NO")),
    };
    let figures = [
        Cell::new(show_number(row.ops_per_s).trim_end()),
        Cell::new(format!("{}B", show_number(row.bytes_per_s))),
        Cell::new(show_us(latency.mean)),
        Cell::new(show_us(latency.p50)),
        Cell::new(show_us_or_none(latency.p99)),
        Cell::new(show_us_or_none(latency.p999)),
        Cell::new(format!("{:.0}", row.in_flight.mean)),
        Cell::new(show_count(row.pauses)),
        Cell::new(show_count(row.wakes)),
        Cell::new(show_us((row.cpu_user_s + row.cpu_sys_s) * 1e6)),
        Cell::new(match row.engine_utilisation {
            Some(used) => format!("{:.0} %", used * 100.0),
            None => "-".to_owned(),
        }),
    ];
    let mut cells = vec![
        Cell::new(show_count(row.completed)),
        if row.failed > 0 { bad(failed) } else { failed },
    ];
    cells.extend(figures);
    cells.push(verified);
    cells
}

/// For the eye, where there are colours.
fn bad(cell: Cell) -> Cell {
    cell.fg(Color::Red).add_attribute(Attribute::Bold)
}
