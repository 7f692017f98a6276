//! How the live view ends: whatever becomes of the terminal, and whatever the jobs are about.

mod common;

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::terminal::{Left, Terminal};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

/// What has not ended in this time does not end.
const PATIENCE: Duration = Duration::from_secs(60);

const WATCH: [&str; 7] = [
    "watch",
    "--device",
    "qat-c62x-1",
    "--op",
    "nop",
    "--jobs",
    "16",
];

fn watch(more: &[&str]) -> Terminal {
    Terminal::run(common::command(&[&WATCH[..], more].concat()), 100, 30)
}

fn signal(terminal: &Terminal, signal: Signal) {
    let id = Pid::from_raw(terminal.id() as i32).expect("a process");
    kill_process(id, signal).expect("sent");
}

/// The terminal is as it was.
fn is_left_as_found(left: &Left) {
    assert!(!left.screen.alternate_screen(), "{}", left.text);
    assert!(!left.screen.hide_cursor(), "{}", left.text);
    assert_eq!(left.modes.0, left.modes.1);
}

/// Runs the command until the view shows a rate, presses `q`, and returns the report.
fn report_of_ended(args: &[&str]) -> Value {
    let (mut terminal, mut stdout) = Terminal::run_piped(common::command(args), 100, 30);
    terminal.wait_for_text("k ops/s");
    terminal.press("q");
    let mut json = String::new();
    stdout.read_to_string(&mut json).expect("read");
    let left = terminal.finish();
    is_left_as_found(&left);
    assert!(left.status.success(), "{}", left.text);
    let report: Value = serde_json::from_str(&json).expect("a report");
    assert_eq!(report["stopped"], Value::Bool(true));
    report
}

#[test]
fn a_terminal_that_hangs_up_ends_it() {
    // Of its own session, so that the terminal is the one that it is controlled by.
    if Command::new("setsid").arg("--version").output().is_err() {
        return common::skip("a_terminal_that_hangs_up_ends_it", "there is no setsid");
    }
    // What it does as that happens differs.
    for _ in 0..4 {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(name.as_c_str(), flags, Mode::empty()).expect("its other end");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_demo-cli")])
            .args(WATCH)
            .args(["--duration", "1h"])
            .env("TERM", "xterm")
            .stdin(end())
            .stderr(end())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut master = File::from(master);
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains("ops/s") {
            let read = master.read(&mut buffer).expect("drawn");
            seen.extend_from_slice(&buffer[..read]);
        }
        drop((master, slave));
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().expect("killed");
                panic!("it does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(129), "{status}");
    }
}

#[test]
fn a_sequence_that_does_not_go_on_is_not_waited_for() {
    let mut terminal = watch(&["--duration", "1500ms"]);
    terminal.wait_for_text("Throughput");
    terminal.press("\x1b[");
    let left = terminal.finish();
    is_left_as_found(&left);
    assert!(left.status.success(), "{}", left.text);

    let mut terminal = watch(&["--duration", "1h"]);
    terminal.wait_for_text("Throughput");
    terminal.press("\x1b[");
    // Another key, and the view has certainly read the first ones.
    terminal.press("A?");
    terminal.wait_for_text("Keys");
    terminal.press("\x1b[");
    signal(&terminal, Signal::TERM);
    let left = terminal.finish();
    is_left_as_found(&left);
    assert_eq!(left.status.code(), Some(143), "{}", left.text);
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_a_signal_from_ending_it() {
    let terminal = watch(&["--duration", "1h"]);
    terminal.wait_for_text("Throughput");
    terminal.hold();
    signal(&terminal, Signal::TERM);
    let left = terminal.finish();
    assert_eq!(left.status.code(), Some(143), "{}", left.text);
    // What can be given back is.
    assert_eq!(left.modes.0, left.modes.1);
}

#[test]
fn stopped_it_gives_the_terminal_back_and_takes_it_again() {
    let mut terminal = watch(&["--duration", "1h"]);
    for _ in 0..2 {
        terminal.wait_for_text("Throughput");
        signal(&terminal, Signal::TSTP);
        let screen = terminal.wait_for("the other screen", |screen| !screen.alternate_screen());
        assert!(!screen.hide_cursor());
        signal(&terminal, Signal::CONT);
        terminal.wait_for("the view", |screen| {
            screen.alternate_screen() && screen.contents().contains("Throughput")
        });
    }
    terminal.press("q");
    let left = terminal.finish();
    is_left_as_found(&left);
    assert!(left.status.success(), "{}", left.text);
}

#[test]
fn jobs_that_end_as_they_begin_can_be_ended() {
    let report = report_of_ended(&[
        "bench",
        "--live",
        "--engine",
        "software",
        "--op",
        "nop",
        "--stages",
        "--jobs",
        "4",
        "--notify",
        "callback",
        "--duration",
        "1h",
        "--format",
        "json",
    ]);
    assert!(report["rows"][0]["completed"].as_u64() > Some(0));
}

#[test]
fn an_open_loop_that_is_ended_counts_what_was_due_by_then() {
    let report = report_of_ended(&[
        "bench",
        "--live",
        "--device",
        "qat-c62x-1",
        "--op",
        "nop",
        "--jobs",
        "16",
        "--notify",
        "callback",
        "--rate",
        "2000",
        "--duration",
        "1h",
        "--format",
        "json",
    ]);
    let row = &report["rows"][0];
    let figure = |name: &str| {
        row[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {row}"))
    };
    // Not of the hour that it was to be.
    assert!(figure("wall_s") < 600.0, "{row}");
    let due = figure("wall_s") * 2000.0;
    let counted = figure("completed") + figure("not_begun");
    assert!(counted <= due + 2000.0, "{counted} of {due}");
}

#[test]
fn a_runtime_whose_turn_did_not_come_has_no_row() {
    let args = |last: &[&'static str]| {
        let all = ["bench", "--device", "qat-c62x-1", "--notify", "callback"];
        [&all[..], &["--runtime", "both", "--jobs", "4"], last].concat()
    };
    let probe = common::run(&args(&["--total", "2"]));
    if probe.status.code() == Some(2) {
        return common::skip(
            "a_runtime_whose_turn_did_not_come_has_no_row",
            "libcrypto cannot be loaded",
        );
    }
    let report = report_of_ended(&args(&["--live", "--duration", "1h", "--format", "json"]));
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["rows"][0]["runtime"], "ours");
}
