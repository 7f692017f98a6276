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
    // Beside the way of being woken, and only where there is something to tell apart.
    let runtimes = report.options.runtime != "ours";
    let left = usize::from(runtimes) + 1;
    let mut header = HEADER.map(str::to_owned).to_vec();
    if runtimes {
        header.insert(1, "runtime".to_owned());
    }
    table.set_header(header);
    for row in &report.rows {
        let mut cells = cells(row).to_vec();
        if runtimes {
            cells.insert(1, row.runtime.to_owned());
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(left) {
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
