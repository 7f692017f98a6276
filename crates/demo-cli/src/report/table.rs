//! The report as a table for people.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::{Report, Row};
use crate::error::RunError;
use crate::out::Out;
use crate::units::show_count;

const HEADER: [&str; 13] = [
    "notify",
    "completed",
    "failed",
    "ops/s",
    "MB/s",
    "p50 µs",
    "p99 µs",
    "in flight",
    "pauses",
    "wakes",
    "cpu s",
    "engines",
    "verified",
];

const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Writes it.
pub(crate) fn write(report: &Report, out: &mut Out) -> Result<(), RunError> {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(HEADER);
    for row in &report.rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    out.line(table.trim_fmt())
}

fn cells(row: &Row) -> [String; HEADER.len()] {
    let latency = &row.latency_us;
    [
        row.notify.to_owned(),
        show_count(row.completed),
        show_count(row.failed),
        show_count(row.ops_per_s.round() as u64),
        format!("{:.1}", row.bytes_per_s / 1e6),
        format!("{:.1}", latency.p50),
        format!("{:.1}", latency.p99),
        format!("{:.0}", row.in_flight.mean),
        show_count(row.pauses),
        show_count(row.wakes),
        format!("{:.2}", row.cpu_user_s + row.cpu_sys_s),
        row.engine_utilisation
            .map_or_else(|| "-".to_owned(), |u| format!("{:.0} %", u * 100.0)),
        if row.verified { "yes" } else { "NO" }.to_owned(),
    ]
}
