//! The live view on a terminal, and without one.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use common::terminal::{Left, Terminal, html};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A run that only ends when it is told to.
const ENDLESS: [&str; 9] = [
    "watch",
    "--device",
    "qat-c62x-1",
    "--op",
    "nop",
    "--jobs",
    "16",
    "--duration",
    "1h",
];

fn endless(more: &[&str], columns: u16, lines: u16) -> Terminal {
    let own = match more.contains(&"--duration") {
        true => &ENDLESS[..7],
        false => &ENDLESS[..],
    };
    let args = [own, more].concat();
    Terminal::run(common::command(&args), columns, lines)
}

/// The view had the screen, and the terminal is as it was.
fn is_left_as_found(left: &Left) {
    assert!(left.view.is_some(), "there was no view:\n{}", left.text);
    assert!(!left.screen.alternate_screen(), "{}", left.text);
    assert!(!left.screen.hide_cursor(), "{}", left.text);
    assert_eq!(left.modes.0, left.modes.1);
}

/// What is on the screen that the view was drawn on.
fn view_of(left: &Left) -> String {
    left.view.as_ref().expect("a view").contents()
}

#[test]
fn the_screen_shows_the_run_and_q_ends_it() {
    let mut terminal = endless(&[], 120, 36);
    for text in [
        "nop of 1KiB  on  qat-c62x-1",
        "row 1 of 1  callback",
        "Throughput",
        "Latency",
        "p99",
        "k ops/s",
        "of 10 busy",
        "/ 512 up",
        "in flight",
        "completed",
        "failed",
        "Log",
        "q end   n next row   p freeze   ? help   Ctrl-C",
    ] {
        terminal.wait_for_text(text);
    }
    // No key of ours: nothing happens of it.
    terminal.press("\x1b[Ax");
    terminal.press("?");
    terminal.wait_for_text("end this row and begin the next");
    terminal.press("?p");
    terminal.wait_for_text("frozen");
    terminal.press("p");
    terminal.wait_for("thawed", |screen| !screen.contents().contains("frozen"));
    terminal.press("q");
    let left = terminal.finish();
    is_left_as_found(&left);
    assert!(left.status.success(), "{}", left.text);
    for text in [
        "nop of 1KiB on sim (qat-c62x-1), 16 jobs",
        "p99.9",
        "stopped early: a row was ended by hand before its time",
    ] {
        assert!(left.text.contains(text), "{text}\n{}", left.text);
    }
}

#[test]
fn a_frozen_picture_stands_still() {
    let mut terminal = endless(&[], 100, 30);
    terminal.wait_for_text("k ops/s");
    terminal.press("p");
    let frozen = terminal.wait_for_text("frozen").contents();
    // It is drawn again, and is the same.
    terminal.press("?");
    terminal.wait_for_text("Keys");
    terminal.press("?");
    let still = terminal.wait_for("no help", |screen| !screen.contents().contains("Keys"));
    assert_eq!(still.contents(), frozen);
    terminal.press("p");
    terminal.wait_for("it moves", |screen| {
        let now = screen.contents();
        !now.contains("frozen") && now.lines().nth(1) != frozen.lines().nth(1)
    });
    terminal.press("\x1b");
    is_left_as_found(&terminal.finish());
}

#[test]
fn ctrl_c_and_signals_end_it_at_once() {
    let mut terminal = endless(&[], 100, 30);
    terminal.wait_for_text("Throughput");
    terminal.press("\x03");
    let left = terminal.finish();
    is_left_as_found(&left);
    assert_eq!(left.status.code(), Some(130), "{}", left.text);
    assert!(!left.text.contains("p99.9"), "{}", left.text);

    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let terminal = endless(&[], 100, 30);
        terminal.wait_for_text("Throughput");
        let id = Pid::from_raw(terminal.id() as i32).expect("a process");
        kill_process(id, signal).expect("sent");
        let left = terminal.finish();
        is_left_as_found(&left);
        assert_eq!(left.status.code(), Some(status), "{}", left.text);
    }
}

#[test]
fn a_panic_is_told_on_the_terminal_as_it_was() {
    for (plant, said, status) in [
        ("job", "planted in a thread that runs jobs", 1),
        ("view", "planted in the view", 101),
    ] {
        let left = endless(&["--plant-panic", plant], 100, 30).finish();
        is_left_as_found(&left);
        assert_eq!(left.status.code(), Some(status), "{}", left.text);
        assert!(left.text.contains(said), "{}", left.text);
        assert!(!view_of(&left).contains(said), "{}", view_of(&left));
    }
}

#[test]
fn a_row_that_fails_leaves_the_terminal_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("still.toml");
    // Nothing but the answer that fails takes time, and it never comes to it.
    let device = "name = 'still'\n[service_default]\nfixed_ns = 1_000\n[faults]\nerror = 1.0\nno_descriptor = 1.0\n";
    std::fs::write(&path, device).expect("written");
    let args = ["bench", "--live", "--clock", "virtual", "--device"];
    let more = [common::text(&path), "--jobs", "4", "--notify", "callback"];
    let command = common::command(&[&args[..], &more].concat());
    let left = Terminal::run(command, 100, 30).finish();
    is_left_as_found(&left);
    assert_eq!(left.status.code(), Some(1), "{}", left.text);
    assert!(
        left.text.contains("the virtual clock stands still"),
        "{}",
        left.text
    );
}

#[test]
fn the_last_picture_agrees_with_the_report() {
    let args = [
        "sweep",
        "--live",
        "--device",
        "flaky",
        "--timeout",
        "50ms",
        "--jobs",
        "1,8",
        "--sizes",
        "64",
        "--total",
        "3000",
        "--format",
        "json",
        "--results",
        "modelled",
    ];
    let (terminal, mut stdout) = Terminal::run_piped(common::command(&args), 130, 40);
    let mut json = String::new();
    stdout.read_to_string(&mut json).expect("read");
    let left = terminal.finish();
    is_left_as_found(&left);
    let report: Value = serde_json::from_str(&json).expect("a report");
    let view = view_of(&left);
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2);
    let row = &rows[1];
    let number = |label: &str| -> u64 {
        let line = view.lines().find_map(|line| line.split_once(label));
        let (_, after) = line.unwrap_or_else(|| panic!("{label}\n{view}"));
        let digits: String = after
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == ',')
            .filter(|c| *c != ',')
            .collect();
        digits.parse().unwrap_or_else(|_| panic!("{label}\n{view}"))
    };
    assert_eq!(
        Some(number("│ completed ")),
        row["completed"].as_u64(),
        "{view}"
    );
    assert_eq!(Some(number("│ failed ")), row["failed"].as_u64(), "{view}");
    assert!(row["failed"].as_u64() > Some(0), "{row}");
    // Both are in the table of those that are done, the first with its failures.
    assert!(view.contains("Rows done"), "{view}");
    for row in rows {
        let name = format!("{} job", row["jobs"]);
        let failed = row["failed"].as_u64().expect("a number").to_string();
        let done = |line: &str| {
            line.contains(&name) && line.trim_end_matches([' ', '│']).ends_with(&failed)
        };
        assert!(view.lines().any(done), "{name}, {failed}\n{view}");
    }
    assert!(report.get("stopped").is_none(), "{json}");
}

#[test]
fn a_run_that_was_ended_says_so_in_its_report_and_on_its_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("out.html");
    let args = [
        "bench",
        "--live",
        "--repeat",
        "2",
        "--report",
        common::text(&page),
        "--op",
        "nop",
        "--jobs",
        "4",
        "--duration",
        "1h",
        "--format",
        "json",
    ];
    let (mut terminal, mut stdout) = Terminal::run_piped(common::command(&args), 100, 30);
    terminal.wait_for_text("row 1 of 8  fd");
    terminal.press("n");
    terminal.wait_for_text("row 2 of 8  shared-fd");
    terminal.press("q");
    let mut json = String::new();
    stdout.read_to_string(&mut json).expect("read");
    let left = terminal.finish();
    is_left_as_found(&left);
    let report: Value = serde_json::from_str(&json).expect("a report");
    assert_eq!(report["stopped"], Value::Bool(true));
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(2));
    assert!(report["rows"][0]["completed"].as_u64() > Some(0));
    let said = "stopped early: a row was ended by hand, and 6 after it were not run";
    assert!(left.text.contains(said), "{}", left.text);
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains(&format!("<li>{said}</li>")));
}

#[test]
fn any_size_will_do() {
    for (columns, lines) in [
        (20, 5),
        (1, 1),
        (3, 40),
        (200, 2),
        (44, 17),
        (60, 24),
        (96, 22),
    ] {
        let mut terminal = endless(&[], columns, lines);
        terminal.wait_for("something", |screen| {
            let drawn = !screen.contents().trim().is_empty();
            // On one cell there is nothing but the margin.
            screen.alternate_screen() && (drawn || columns == 1)
        });
        terminal.press("?");
        terminal.press("?");
        terminal.press("q");
        let left = terminal.finish();
        is_left_as_found(&left);
        assert!(left.status.success(), "{columns}×{lines}: {}", left.text);
    }
    let mut terminal = endless(&[], 120, 40);
    terminal.wait_for_text("Throughput");
    terminal.resize(20, 5);
    terminal.wait_for_text("row 1/1");
    terminal.resize(110, 30);
    terminal.wait_for_text("Operations");
    terminal.press("q");
    is_left_as_found(&terminal.finish());
}

#[test]
fn virtual_time_is_shown() {
    let args = [
        "watch",
        "--device",
        "qat-c62x-1",
        "--clock",
        "virtual",
        "--jobs",
        "8",
        "--total",
        "500000",
    ];
    let mut terminal = Terminal::run(common::command(&args), 120, 36);
    terminal.wait_for_text("model time");
    terminal.press("q");
    is_left_as_found(&terminal.finish());
}

#[test]
fn without_a_terminal_there_are_lines() {
    let args = [&ENDLESS[..7], &["--duration", "1500ms"]].concat();
    let output = common::run(&args);
    let said = common::stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with('\n') && !said.contains('\x1b'), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() >= 2, "{said}");
    for line in &lines {
        for part in [
            "row 1 of 1 (callback)",
            "ops/s",
            "p50",
            "p99",
            "in flight",
            "0 failed",
        ] {
            assert!(line.contains(part), "{part}: {said}");
        }
    }
    assert!(common::stdout(&output).contains("p99.9"));

    // A terminal that can do nothing is none.
    let mut command = common::command(&args);
    command.env("TERM", "dumb");
    let output = command.output().expect("it runs");
    assert!(!common::stderr(&output).contains('\x1b'));
}

#[test]
fn a_reader_of_lines_that_goes_ends_the_run() {
    let mut command = common::command(&ENDLESS);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert!(line.contains("ops/s"), "{line}");
    drop(lines);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let said = common::stdout(&output);
    assert!(said.contains("stopped early"), "{said}");
}

#[test]
fn no_colours_where_none_are_wanted() {
    let mut command = common::command(&ENDLESS);
    command.args(["--seed", "1"]);
    // The colour of throughput.
    let colours = |page: &str| page.contains("#5fd0d6");
    let mut terminal = Terminal::run(command, 120, 36);
    let page = html(&terminal.wait_for_text("k ops/s"), "a <view>");
    assert!(colours(&page));
    assert!(page.contains("<title>a &lt;view&gt;</title>"));
    assert!(page.contains("background:linear-gradient(to top"));
    terminal.press("q");
    terminal.finish();

    let mut command = std::process::Command::new("env");
    command.args(["NO_COLOR=1", env!("CARGO_BIN_EXE_demo-cli")]);
    command.args(ENDLESS);
    let mut terminal = Terminal::run(command, 120, 36);
    let page = html(&terminal.wait_for_text("k ops/s"), "view");
    assert!(!colours(&page));
    terminal.press("q");
    is_left_as_found(&terminal.finish());
}

#[test]
fn two_runtimes_take_turns() {
    let test = "two_runtimes_take_turns";
    let probe = common::run(&[
        "bench",
        "--runtime",
        "libcrypto",
        "--total",
        "1",
        "--device",
        "qat-c62x-1",
    ]);
    if probe.status.code() == Some(2) {
        return common::skip(test, "libcrypto cannot be loaded");
    }
    let mut terminal = endless(&["--runtime", "both", "--duration", "4s"], 120, 36);
    terminal.wait_for_text("jobs of  ours");
    terminal.wait_for_text("jobs of  libcrypto");
    terminal.wait_for_text("jobs of  ours");
    terminal.press("q");
    is_left_as_found(&terminal.finish());
}
