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

/// The columns: what they are called, and where in a row of the JSON the figure is.
const COLUMNS: [(&str, &str, Show); 50] = [
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
    ("cancelled", "/cancelled", Count),
    ("not begun", "/not_begun", Count),
    ("orphaned", "/orphaned", Count),
    ("retries", "/retries", Count),
    ("pauses", "/pauses", Count),
    ("spurious resumes", "/spurious_resumes", Count),
    ("wakes", "/wakes", Count),
    ("in flight, mean", "/in_flight/mean", Number),
    ("in flight, most", "/in_flight/max", Count),
    ("engines busy", "/engine_utilisation", Percent),
    ("submit", "/stages_us/submit/mean", Us),
    ("queue", "/stages_us/queue/mean", Us),
    ("service", "/stages_us/service/mean", Us),
    ("answer", "/stages_us/answer/mean", Us),
    ("notify stage", "/stages_us/notify/mean", Us),
    ("cpu an operation", "/cpu_us_per_op", Us),
    ("of the jobs' threads", "/host_cpu_us_per_op", Us),
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
    ("verified", "/verified", YesNo),
];

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
    let rows: Vec<Value> = report
        .rows
        .iter()
        .map(|row| serde_json::to_value(row).unwrap_or(Value::Null))
        .collect();
    let (mut shown, mut empty, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for column in COLUMNS {
        let (name, path, show) = column;
        let mut values = rows
            .iter()
            .map(|row| row.pointer(path).unwrap_or(&Value::Null));
        let nothing = |value: &Value| value.is_null() || value.as_f64() == Some(0.0);
        let first = values.clone().next().unwrap_or(&Value::Null);
        if ALWAYS.contains(&path) {
            shown.push(column);
        } else if values.all(nothing) {
            empty.push(name);
        } else if matches!(show, Word) && rows.iter().all(|row| row.pointer(path) == Some(first)) {
            let value = html::text(&show_value(show, first));
            same.push(format!(
                "<span data-key=\"{path}\" data-value=\"{}\">{name} {value}</span>",
                exact(first)
            ));
        } else {
            shown.push(column);
        }
    }
    let names = Names::new(report);
    let mut table = "<div class=\"scroll tall\" tabindex=\"0\" role=\"region\" \
                     aria-label=\"All figures\"><table id=\"rows\"><thead><tr><th scope=\"col\">row</th>"
        .to_owned();
    for (name, path, _) in &shown {
        table.push_str(&format!(
            "<th scope=\"col\" data-key=\"{path}\">{name}</th>"
        ));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for (row, values) in report.rows.iter().zip(&rows) {
        let class = match row.problems.is_empty() {
            true => "",
            false => " class=\"bad\"",
        };
        let name = html::text(&names.of(row));
        table.push_str(&format!("<tr{class}><th scope=\"row\">{name}</th>"));
        for (_, path, show) in &shown {
            let value = values.pointer(path).unwrap_or(&Value::Null);
            table.push_str(&cell(row, *show, value));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody></table></div>\n");
    for (what, names) in [
        ("The same in all rows", same),
        (
            "Nothing in any row",
            empty.iter().map(|e| (*e).to_owned()).collect(),
        ),
    ] {
        if !names.is_empty() {
            table.push_str(&format!(
                "<p class=\"note\">{what}: {}.</p>\n",
                names.join("; ")
            ));
        }
    }
    let about = "Every row. Times are latencies unless they say otherwise; the exact values are in \
                 the page's source beside the rounded ones.";
    html::section("table", "All figures", about, &table)
}

fn cell(row: &Row, show: Show, value: &Value) -> String {
    let class = match show {
        Word => " class=\"word\"",
        _ => "",
    };
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
