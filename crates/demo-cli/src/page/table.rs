//! Every row with all its figures: as people read them, and exactly, in an attribute.

use serde_json::Value;

use crate::human::{show_byte_rate, show_number, show_rate, show_us};
use crate::report::{Report, Row, size_with_unit};
use crate::units::show_count;

use super::facet::Names;
use super::html;

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Show {
    Word,
    Bytes,
    Count,
    Rate,
    ByteRate,
    Us,
    Seconds,
    Number,
    Percent,
    YesNo,
}

use Show::{ByteRate, Bytes, Count, Number, Percent, Rate, Seconds, Us, Word, YesNo};

/// What a column is called, where in a row of the JSON its figure is, and how that is shown.
type Column = (&'static str, &'static str, Show);

/// The columns.
const COLUMNS: [Column; 50] = [
    ("throughput", "/ops_per_s", Rate),
    ("data", "/bytes_per_s", ByteRate),
    ("mean", "/latency_us/mean", Us),
    ("p50", "/latency_us/p50", Us),
    ("p90", "/latency_us/p90", Us),
    ("p99", "/latency_us/p99", Us),
    ("p99.9", "/latency_us/p999", Us),
    ("slowest", "/latency_us/max", Us),
    ("completed", "/completed", Count),
    ("failed", "/failed", Count),
    ("retries", "/retries", Count),
    ("in flight, mean", "/in_flight/mean", Number),
    ("engines busy", "/engine_utilisation", Percent),
    ("cpu an operation", "/cpu_us_per_op", Us),
    ("of the jobs' threads", "/host_cpu_us_per_op", Us),
    ("verified", "/verified", YesNo),
    ("cancelled", "/cancelled", Count),
    ("not begun", "/not_begun", Count),
    ("orphaned", "/orphaned", Count),
    ("pauses", "/pauses", Count),
    ("spurious resumes", "/spurious_resumes", Count),
    ("wakes", "/wakes", Count),
    ("in flight, most", "/in_flight/max", Count),
    ("submit", "/stages_us/submit/mean", Us),
    ("queue", "/stages_us/queue/mean", Us),
    ("service", "/stages_us/service/mean", Us),
    ("answer", "/stages_us/answer/mean", Us),
    ("notify stage", "/stages_us/notify/mean", Us),
    ("in software", "/software_cpu_us_per_op", Us),
    ("offloaded", "/offload_ratio", Percent),
    (
        "context switches an operation",
        "/context_switches_per_op",
        Number,
    ),
    ("time", "/wall_s", Seconds),
    ("cpu, user", "/cpu_user_s", Seconds),
    ("cpu, system", "/cpu_sys_s", Seconds),
    ("device can do", "/capacity/ops_per_s", Rate),
    ("host can do", "/capacity/host_ops_per_s", Rate),
    ("jobs enough", "/capacity/jobs_enough", Count),
    ("places in rings", "/capacity/places", Count),
    ("notify", "/notify", Word),
    ("jobs", "/jobs", Count),
    ("size", "/size_bytes", Bytes),
    ("runtime", "/runtime", Word),
    ("completion", "/completion", Word),
    ("loop", "/loop", Word),
    ("asked rate", "/rate_per_s", Rate),
    ("threads", "/threads", Count),
    ("operation", "/op", Word),
    ("device", "/device", Word),
    ("clock", "/clock", Word),
    ("results", "/results", Word),
];

/// The first so many are printed on paper, where there is no room for all.
const ON_PAPER: usize = 16;

/// Columns that are there whatever they hold.
const ALWAYS: [&str; 6] = [
    "/notify",
    "/jobs",
    "/size_bytes",
    "/ops_per_s",
    "/completed",
    "/verified",
];

/// The part of the page.
pub(super) fn section(report: &Report) -> String {
    if report.rows.is_empty() {
        return html::section("table", "All figures", "", "<p>No row was completed.</p>\n");
    }
    let rows = report.rows.iter();
    let rows: Vec<Value> = rows
        .map(|row| serde_json::to_value(row).unwrap_or(Value::Null))
        .collect();
    let columns = Columns::new(&rows);
    let mut table = "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" \
                     aria-label=\"All figures\"><table id=\"rows\"><thead><tr><th scope=\"col\">row</th>"
        .to_owned();
    for column in &columns.shown {
        let (name, path, _) = column;
        let class = class(column, "");
        table.push_str(&format!(
            "<th scope=\"col\"{class} data-key=\"{path}\">{name}</th>"
        ));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    let names = Names::new(report);
    for (row, values) in report.rows.iter().zip(&rows) {
        let class = match row.problems.is_empty() {
            true => "",
            false => " class=\"bad\"",
        };
        let name = html::text(&names.of(row));
        table.push_str(&format!("<tr{class}><th scope=\"row\">{name}</th>"));
        for column in &columns.shown {
            table.push_str(&cell(row, column, values));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody></table></div>\n");
    table.push_str(&columns.notes());
    let about = "Every row. Times are latencies unless they say otherwise; the exact values are in \
                 the page's source beside the rounded ones.";
    html::section("table", "All figures", about, &table)
}

/// What becomes of the columns.
struct Columns {
    shown: Vec<Column>,
    /// Those that have nothing in them.
    empty: Vec<&'static str>,
    /// Words that are the same in all rows, as HTML.
    same: Vec<String>,
}

impl Columns {
    fn new(rows: &[Value]) -> Columns {
        let mut columns = Columns {
            shown: Vec::new(),
            empty: Vec::new(),
            same: Vec::new(),
        };
        for column in COLUMNS {
            let (name, path, show) = column;
            let values = || rows.iter().map(|row| value_at(row, path));
            let nothing = |value: &Value| value.is_null() || value.as_f64() == Some(0.0);
            let first = values().next().unwrap_or(&Value::Null);
            let is_same = matches!(show, Word) && values().all(|value| value == first);
            if !ALWAYS.contains(&path) && values().all(nothing) {
                columns.empty.push(name);
            } else if !ALWAYS.contains(&path) && is_same {
                let shown = html::text(&show_value(show, first));
                let exact = exact(first);
                columns.same.push(format!(
                    "<span data-key=\"{path}\" data-value=\"{exact}\">{name} {shown}</span>"
                ));
            } else {
                columns.shown.push(column);
            }
        }
        columns
    }

    /// What became of those that are not in the table.
    fn notes(&self) -> String {
        let mut notes = String::new();
        if !self.same.is_empty() {
            let same = self.same.join("; ");
            notes.push_str(&format!(
                "<p class=\"note\">The same in all rows: {same}.</p>\n"
            ));
        }
        if !self.empty.is_empty() {
            let empty = self.empty.join("; ");
            notes.push_str(&format!(
                "<p class=\"note\">Nothing in any row: {empty}.</p>\n"
            ));
        }
        let minor = self.shown.iter().filter(|column| is_minor(column));
        let minor: Vec<&str> = minor.map(|(name, _, _)| *name).collect();
        if !minor.is_empty() {
            let minor = minor.join("; ");
            notes.push_str(&format!(
                "<p class=\"note paper\">On the screen, not on paper: {minor}.</p>\n"
            ));
        }
        notes
    }
}

fn value_at<'a>(row: &'a Value, path: &str) -> &'a Value {
    row.pointer(path).unwrap_or(&Value::Null)
}

/// Whether a column is not on paper.
fn is_minor(column: &Column) -> bool {
    let major = COLUMNS.iter().take(ON_PAPER);
    !major.into_iter().any(|(_, path, _)| *path == column.1)
}

fn class(column: &Column, more: &'static str) -> String {
    match (is_minor(column), more) {
        (false, "") => String::new(),
        (true, "") => " class=\"minor\"".to_owned(),
        (false, more) => format!(" class=\"{more}\""),
        (true, more) => format!(" class=\"minor {more}\""),
    }
}

fn cell(row: &Row, column: &Column, values: &Value) -> String {
    let (_, path, show) = *column;
    let value = value_at(values, path);
    let class = class(column, if matches!(show, Word) { "word" } else { "" });
    let shown = match (show, &*row.results) {
        (YesNo, "modelled") if !row.verified => "modelled".to_owned(),
        _ => show_value(show, value),
    };
    let shown = html::text(&shown);
    format!("<td{class} data-value=\"{}\">{shown}</td>", exact(value))
}

/// The value as the JSON has it; a word without its quotes.
fn exact(value: &Value) -> String {
    match value {
        Value::String(word) => html::text(word),
        other => html::text(&other.to_string()),
    }
}

fn show_value(show: Show, value: &Value) -> String {
    let number = value.as_f64();
    let whole = value.as_u64();
    let shown = match show {
        Word => value.as_str().map(str::to_owned),
        Bytes => whole.map(|n| size_with_unit(usize::try_from(n).unwrap_or(usize::MAX))),
        Count => whole.map(show_count),
        Rate => number.map(show_rate),
        ByteRate => number.map(show_byte_rate),
        Us => number.map(show_us),
        Seconds => number.map(|s| show_us(s * 1e6)),
        Number => number.map(|n| show_number(n).trim_end().to_owned()),
        Percent => number.map(|n| format!("{:.0} %", n * 100.0)),
        YesNo => value
            .as_bool()
            .map(|yes| if yes { "yes" } else { "NO" }.to_owned()),
    };
    shown.unwrap_or_else(|| "–".to_owned())
}
