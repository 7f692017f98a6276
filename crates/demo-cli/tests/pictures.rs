//! The pictures of the README, made by the commands that stand beside them there. Run by
//! `docs/img/regenerate`, and not with the other tests: it writes into the repository.

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "the tests of pages use the rest")]
mod browser;
mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use browser::{Browser, Scheme};
use common::terminal::{Terminal, html};
use common::{command, run_ok, text};
use vt100::Screen;

/// What the README shows.
const REPORT: &str = "sweep --jobs 1,8,64,512 --notify all --report";
const LIVE: &str = "watch --device qat-c62x-1 --op rsa2048-sign --jobs 64 --results modelled";
const TRACE: &str = "bench --device qat-c62x-1 --op rsa2048-sign --jobs 200 --notify callback --clock virtual --total 5000 --trace";
const EXPLAIN: &str = "explain --slowest --trace";

/// The terminal of the pictures.
const COLUMNS: u16 = 110;
const LINES: u16 = 34;
/// So long a live view runs before it is taken: its charts have filled.
const LIVE_FOR: Duration = Duration::from_secs(12);

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/img")
}

/// What a screen shows, as a picture of that name.
fn picture(browser: &Browser, screen: &Screen, lines: u16, name: &str) {
    let temporary = tempfile::tempdir().expect("a directory");
    let page = temporary.path().join("screen.html");
    std::fs::write(&page, html(screen, name)).expect("written");
    let size = (
        u32::from(COLUMNS) * 903 / 100 + 32,
        u32::from(lines) * 18 + 28,
    );
    browser.picture(&page, &directory().join(name), size, Scheme::Dark);
}

/// What a command prints on a terminal of so many lines.
fn printed(args: &[&str], lines: u16) -> Screen {
    let terminal = Terminal::run(command(args), COLUMNS, lines);
    let last = terminal.wait_for_text("The run:");
    terminal.finish();
    last
}

#[test]
fn the_readme_shows_the_commands_that_the_pictures_were_made_by() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let readme = words(&readme.replace('\\', " ")).join(" ");
    for line in [REPORT, LIVE, TRACE, EXPLAIN] {
        assert!(readme.contains(&format!("demo-cli -- {line}")), "{line}");
    }
}

#[test]
#[ignore = "writes docs/img; docs/img/regenerate runs it"]
fn regenerate() {
    let Some(browser) = Browser::find() else {
        panic!("the pictures need Chromium; install it");
    };
    let temporary = tempfile::tempdir().expect("a directory");
    let file = |name: &str| temporary.path().join(name);

    let page = file("out.html");
    run_ok(&[&words(REPORT)[..], &[text(&page)]].concat());
    for (scheme, name) in [
        (Scheme::Light, "report.png"),
        (Scheme::Dark, "report-dark.png"),
    ] {
        browser.picture(&page, &directory().join(name), (1240, 1500), scheme);
    }

    let mut terminal = Terminal::run(command(&words(LIVE)), COLUMNS, LINES);
    let begun = Instant::now();
    let screen = terminal.wait_for("a view with its charts filled", |_| {
        begun.elapsed() >= LIVE_FOR
    });
    terminal.press("q");
    terminal.finish();
    picture(&browser, &screen, LINES, "live.png");

    let trace = file("trace.json");
    run_ok(&[&words(TRACE)[..], &[text(&trace)]].concat());
    let lines = 26;
    let screen = printed(&[&words(EXPLAIN)[..], &[text(&trace)]].concat(), lines);
    picture(&browser, &screen, lines, "trace.png");
}
