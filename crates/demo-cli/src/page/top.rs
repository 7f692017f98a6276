//! What the page begins with: what was run, what came of it in words, and on what machine.

use crate::human::{show_number, show_rate, show_us};
use crate::report::{Report, Row, size_with_unit};
use crate::units::show_count;

use super::facet::{self, Names};
use super::html;

/// Problems that are shown; the rest are counted.
const PROBLEMS_MAX: usize = 20;

/// What the page is called.
pub(super) fn title(report: &Report) -> String {
    let o = &report.options;
    let on = match &o.device {
        Some(device) => format!("the device {device}"),
        None => format!("the engine {}", o.engine),
    };
    format!("{} on {on}", o.op)
}

/// The part of the page.
pub(super) fn section(report: &Report) -> String {
    let mut top = format!(
        "<header>\n<p class=\"kind\">demo-cli, {}</p>\n<h1>{}</h1>\n<p class=\"about\">{}</p>\n</header>\n",
        match report.rows.len() {
            1 => "1 row".to_owned(),
            n => format!("{} rows", show_count(n as u64)),
        },
        html::text(&title(report)),
        html::text(&asked(report)),
    );
    top.push_str(&wrong(report));
    top.push_str(&doubts(report));
    if !report.verdict.is_empty() {
        top.push_str("<section id=\"verdict\">\n<h2>Verdict</h2>\n<ul class=\"verdict\">\n");
        for line in &report.verdict {
            top.push_str(&format!("<li>{}</li>\n", html::text(line)));
        }
        top.push_str("</ul>\n</section>\n");
    }
    top.push_str(&html::tiles(&tiles(report)));
    top
}

/// What was asked for, in a line.
fn asked(report: &Report) -> String {
    let o = &report.options;
    let sizes: Vec<String> = o
        .lists
        .sizes_bytes
        .iter()
        .map(|s| size_with_unit(*s))
        .collect();
    let jobs: Vec<String> = o.lists.jobs.iter().map(|n| show_count(*n as u64)).collect();
    let ways: Vec<&str> = o.notify.iter().map(|way| &**way).collect();
    format!(
        "{} in flight, {} an operation, told by {}",
        match &jobs[..] {
            [one] if one == "1" => "1 job".to_owned(),
            jobs => format!("{} jobs", jobs.join(", ")),
        },
        sizes.join(", "),
        ways.join(", ")
    )
}

/// Why the run is not a success.
fn wrong(report: &Report) -> String {
    let names = Names::new(report);
    let mut said: Vec<String> = Vec::new();
    if let Some(error) = &report.error {
        said.push(format!("The run ended before its last row: {error}"));
    }
    for row in &report.rows {
        let name = names.of(row);
        let own = row
            .problems
            .iter()
            .map(|problem| format!("{name}: {problem}"));
        said.extend(own);
    }
    if said.is_empty() {
        return String::new();
    }
    let mut list = String::new();
    for line in said.iter().take(PROBLEMS_MAX) {
        list.push_str(&format!("<li>{}</li>\n", html::text(line)));
    }
    if said.len() > PROBLEMS_MAX {
        let more = said.len() - PROBLEMS_MAX;
        list.push_str(&format!("<li>and {more} more, in the JSON below</li>\n"));
    }
    format!(
        "<section class=\"box wrong\" role=\"alert\">\n<h2>This run is not a success</h2>\n<ul>\n{list}</ul>\n</section>\n"
    )
}

/// What lessens what the figures are worth.
fn doubts(report: &Report) -> String {
    let mut said = Vec::new();
    let stopped = report.stopped_early();
    let stopped = stopped.map(|sentence| html::text(&sentence));
    if let Some(sentence) = &stopped {
        said.push(&**sentence);
    }
    if report.host.debug_build {
        said.push("It was a debug build: its times say nothing about those of an optimised one.");
    }
    let modelled = |row: &Row| row.results == "modelled";
    if report.rows.iter().any(modelled) {
        said.push("Results were modelled, not computed: nothing was verified.");
    }
    if report
        .rows
        .iter()
        .any(|row| !row.verified && !modelled(row))
    {
        said.push("Not every row was verified against what software computes.");
    }
    if report.options.clock == "virtual" {
        said.push(
            "The clock was virtual: times and rates are those of a model of the device and its host, not of this machine.",
        );
    }
    if said.is_empty() {
        return String::new();
    }
    let list: String = said
        .iter()
        .map(|line| format!("<li>{line}</li>\n"))
        .collect();
    format!("<section class=\"box doubt\">\n<ul>\n{list}</ul>\n</section>\n")
}

/// A few figures of the whole run.
fn tiles(report: &Report) -> Vec<(String, String, String)> {
    let done = || report.rows.iter().filter(|row| row.completed > 0);
    let Some(fastest) = done().max_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s)) else {
        return Vec::new();
    };
    let one = report.rows.len() == 1;
    let p50 = |row: &&Row| row.latency_us.p50;
    let quickest = done()
        .min_by(|a, b| p50(a).total_cmp(&p50(b)))
        .unwrap_or(fastest);
    let tail = done().filter_map(|row| Some((row.latency_us.p99?, row)));
    let tail = tail.min_by(|a, b| a.0.total_cmp(&b.0));
    let names = Names::new(report);
    let of = |row: &Row| names.of(row);
    let name = |most: &str, of: &str| if one { of.to_owned() } else { most.to_owned() };
    let mut tiles = vec![
        (
            name("Highest throughput", "Throughput"),
            show_rate(fastest.ops_per_s),
            of(fastest),
        ),
        (
            name("Shortest median latency", "Median latency (p50)"),
            show_us(quickest.latency_us.p50),
            of(quickest),
        ),
    ];
    if let Some((us, row)) = tail {
        let name = name("Shortest p99", "99th percentile (p99)");
        tiles.push((name, show_us(us), of(row)));
    }
    let sum = |of: fn(&Row) -> u64| {
        let all = report.rows.iter().map(of);
        all.fold(0_u64, u64::saturating_add)
    };
    let (completed, failed) = (sum(|row| row.completed), sum(|row| row.failed));
    tiles.push((
        "Operations completed".to_owned(),
        show_number(completed as f64).trim_end().to_owned(),
        match failed {
            0 => "none failed".to_owned(),
            n => format!("{} failed", show_count(n)),
        },
    ));
    tiles
}

/// The options and the machine, for who wants to do it again.
pub(super) fn facts(report: &Report) -> String {
    let (o, host) = (&report.options, &report.host);
    let each = match (o.duration_s, o.total) {
        (Some(s), _) => show_us(s * 1e6),
        (None, Some(total)) => format!("{} operations", show_count(total)),
        (None, None) => "–".to_owned(),
    };
    let load = match (o.rate_per_s, o.poisson) {
        (None, _) => "closed: a job that has finished is replaced".to_owned(),
        (Some(rate), poisson) => format!(
            "open: {} begun{}",
            show_rate(rate),
            if poisson { ", at random (Poisson)" } else { "" }
        ),
    };
    let software = match (o.fallback, o.no_fallback) {
        (true, _) => "carries out what the device refuses or fails",
        (_, true) => "never steps in, and a failure is an error",
        _ => "never steps in; failures are counted",
    };
    let mut facts = vec![
        ("operation", o.op.to_string()),
        ("engine", o.engine.to_string()),
        (
            "device",
            o.device.clone().unwrap_or_else(|| "none".to_owned()),
        ),
        ("completed by", o.lists.completion.join(", ")),
        ("clock", o.clock.to_string()),
        ("jobs of", o.runtime.to_string()),
        ("loop", load),
        ("each row", each),
        ("time-out", show_us(o.timeout_s * 1e6)),
        ("threads", o.threads.to_string()),
        ("results", o.results.to_string()),
        ("software", software.to_owned()),
        ("seed", report.seed.to_string()),
    ];
    if let Some(input) = &o.input {
        facts.push(("payload", input.clone()));
    }
    facts.push(("machine", format!("{} {}", host.os, host.arch)));
    facts.push(("cpus", host.cpus.to_string()));
    if let Some(kernel) = &host.kernel {
        facts.push(("kernel", kernel.clone()));
    }
    if let Some(bytes) = host.memory_bytes {
        facts.push((
            "memory",
            format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        ));
    }
    if let Some(libcrypto) = &host.libcrypto {
        facts.push(("libcrypto", libcrypto.clone()));
    }
    let build = if host.debug_build {
        "debug"
    } else {
        "optimised"
    };
    facts.push(("build", build.to_owned()));
    html::section("options", "Options and machine", "", &html::facts(&facts))
}

/// Our jobs against libcrypto's, where both ran.
pub(super) fn comparisons(report: &Report) -> String {
    if report.comparisons.is_empty() {
        return String::new();
    }
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |r| format!("{r:.2}"));
    let lines = report.comparisons.iter().map(|c| {
        let spread = c.ns_per_op_ours_over_libcrypto;
        vec![
            html::text(&format!(
                "{}, {}, {}",
                c.notify,
                facet::jobs(c.jobs),
                size_with_unit(c.size_bytes)
            )),
            format!("<b>{}</b>", ratio(spread.map(|s| s.median))),
            ratio(spread.map(|s| s.least)),
            ratio(spread.map(|s| s.most)),
            c.rounds.to_string(),
        ]
    });
    let header = ["rows", "median", "least", "most", "rounds"];
    let table = html::small_table(&[], &header, &lines.collect::<Vec<_>>());
    let about = "The time of an operation with our jobs, in parts of what it takes with libcrypto's, \
                 round by round: below 1 ours are faster, above 1 libcrypto's are.";
    html::section("runtimes", "Our jobs against libcrypto's", about, &table)
}
