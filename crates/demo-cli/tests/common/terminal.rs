//! A pseudo-terminal with the binary on it: what its screen shows, and a page of it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser, Screen};

/// What does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a full-screen program gives the screen back.
const LEAVE: &[u8] = b"\x1b[?1049l";

/// A terminal and what runs on it.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// The other end, to see the modes that the program leaves behind.
    slave: Option<OwnedFd>,
    modes_before: String,
    shown: Arc<Shown>,
    reader: Option<JoinHandle<()>>,
}

/// What a terminal shows when the program is over.
pub(crate) struct Left {
    pub(crate) status: ExitStatus,
    /// The normal screen, with what has scrolled off.
    pub(crate) text: String,
    /// The last picture of the other screen, if there was one.
    pub(crate) view: Option<Screen>,
    /// How the screen is now.
    pub(crate) screen: Screen,
    /// The terminal's modes before and after.
    pub(crate) modes: (String, String),
}

struct Shown {
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    parser: Parser,
    /// The end of what was written.
    tail: Vec<u8>,
    view: Option<Screen>,
    /// The program has closed its end.
    over: bool,
}

impl Terminal {
    /// Runs a program on a terminal of so many columns and lines.
    pub(crate) fn run(command: Command, columns: u16, lines: u16) -> Terminal {
        Terminal::run_with(command, columns, lines, Stdio::from)
    }

    /// The same, but that its standard output goes into a pipe, which is returned.
    pub(crate) fn run_piped(command: Command, columns: u16, lines: u16) -> (Terminal, ChildStdout) {
        let mut terminal = Terminal::run_with(command, columns, lines, |_| Stdio::piped());
        let stdout = terminal.child.stdout.take().expect("a pipe");
        (terminal, stdout)
    }

    fn run_with(
        mut command: Command,
        columns: u16,
        lines: u16,
        stdout: impl FnOnce(OwnedFd) -> Stdio,
    ) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(name.as_c_str(), flags, Mode::empty()).expect("its other end");
        let end = || slave.try_clone().expect("a descriptor");
        set_size(&slave, columns, lines);
        let modes_before = modes(&slave);
        let child = command
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(end())
            .stdout(stdout(end()))
            .stderr(end())
            .spawn()
            .expect("the program runs");
        drop(command);
        let parser = Parser::new(nonzero(lines), nonzero(columns), 1000);
        let shown = Arc::new(Shown {
            now: Mutex::new(Now {
                parser,
                tail: Vec::new(),
                view: None,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let master = File::from(master);
        let reader = {
            let master = master.try_clone().expect("a descriptor");
            let shown = Arc::clone(&shown);
            std::thread::spawn(move || shown.read(master))
        };
        Terminal {
            child,
            master,
            slave: Some(slave),
            modes_before,
            shown,
            reader: Some(reader),
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("pressed");
    }

    /// The process that runs on it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// From now on it takes nothing.
    pub(crate) fn hold(&self) {
        let slave = self.slave.as_ref().expect("open");
        tcflow(slave, Action::OOff).expect("held");
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        let mut now = self.shown.lock();
        now.parser.set_size(nonzero(lines), nonzero(columns));
        set_size(self.slave.as_ref().expect("open"), columns, lines);
    }

    /// Waits until the screen is as `is` says, and returns it. `what` says what that is.
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Screen) -> bool) -> Screen {
        let deadline = Instant::now() + PATIENCE;
        let mut now = self.shown.lock();
        loop {
            if is(now.parser.screen()) {
                return now.parser.screen().clone();
            }
            let screen = || now.parser.screen().contents();
            assert!(!now.over, "{what}: never came to it\n{}", screen());
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not in time\n{}", screen());
            now = (self.shown.changed.wait_timeout(now, left))
                .expect("the lock")
                .0;
        }
    }

    /// Waits until this text is on the screen.
    pub(crate) fn wait_for_text(&self, text: &str) -> Screen {
        self.wait_for(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the program is over.
    pub(crate) fn finish(mut self) -> Left {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let slave = self.slave.take().expect("open");
        let modes = (std::mem::take(&mut self.modes_before), modes(&slave));
        // Nobody has it open any more: the reader comes to the end.
        drop(slave);
        self.reader.take().expect("once").join().expect("read");
        let mut now = self.shown.lock();
        let rows = now.parser.screen().size().0.get();
        let screen = now.parser.screen().clone();
        let scrolling = now.parser.screen_mut();
        scrolling.set_scrollback(usize::MAX);
        let mut back = scrolling.scrollback();
        let mut text = String::new();
        loop {
            scrolling.set_scrollback(back);
            let width = scrolling.size().1.get();
            let lines: Vec<String> = scrolling.rows(0, width).collect();
            let new = if back == 0 {
                lines.len()
            } else {
                back.min(rows.into())
            };
            for line in &lines[..new] {
                text += line.trim_end();
                text.push('\n');
            }
            if back == 0 {
                break;
            }
            back -= new;
        }
        Left {
            status,
            text,
            view: now.view.take(),
            screen,
            modes,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Of a test that has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().expect("the lock")
    }

    fn read(&self, mut master: File) {
        let mut buffer = [0; 4096];
        loop {
            // A terminal that nobody has open gives an error.
            let read = master.read(&mut buffer).unwrap_or(0);
            let mut now = self.lock();
            for &byte in &buffer[..read] {
                now.show(byte);
            }
            now.over = read == 0;
            self.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    }
}

impl Now {
    fn show(&mut self, byte: u8) {
        self.tail.push(byte);
        if self.tail.ends_with(LEAVE) {
            self.view = Some(self.parser.screen().clone());
        }
        if self.tail.len() > 64 {
            self.tail.drain(..32);
        }
        self.parser.process(&[byte]);
    }
}

fn nonzero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a size")
}

fn set_size(slave: &OwnedFd, columns: u16, lines: u16) {
    let size = Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(slave, size).expect("a size");
}

/// A terminal's modes, to be compared.
fn modes(slave: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(slave).expect("modes"))
}

/// The sixteen colours of the pages.
const PALETTE: [&str; 16] = [
    "#15181e", "#f2777a", "#8fd19e", "#f6c667", "#7aa7f7", "#c99bf2", "#5fd0d6", "#c8cfda",
    "#5f6b7d", "#ff8f92", "#a9e5b5", "#ffd88a", "#9cc0ff", "#ddb8ff", "#86e6eb", "#f4f7fb",
];
const FOREGROUND: &str = "#d6dce6";
const BACKGROUND: &str = "#15181e";

/// A page that shows the screen: one file, as a dark terminal shows it.
pub(crate) fn html(screen: &Screen, title: &str) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{}</title><style>\
         body{{margin:0;background:{BACKGROUND};display:inline-block}}\
         pre{{margin:0;padding:14px 16px;color:{FOREGROUND};\
         font:15px/18px 'DejaVu Sans Mono',Menlo,Consolas,monospace}}\
         i{{display:inline-block;width:9.03px;height:18px;font-style:normal;overflow:visible;\
         vertical-align:top}}\
         i.w{{width:18.06px}}b{{font-weight:700}}</style><pre>",
        escaped(title)
    );
    for row in 0..rows {
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else {
                continue;
            };
            if cell.is_wide_continuation() {
                continue;
            }
            let (mut front, mut back) = (
                colour(cell.fgcolor(), FOREGROUND),
                colour(cell.bgcolor(), "transparent"),
            );
            if cell.inverse() {
                (front, back) = (BACKGROUND.to_owned(), front);
            }
            let mut style = String::new();
            if front != FOREGROUND {
                let _ = write!(style, "color:{front};");
            }
            if back != "transparent" {
                let _ = write!(style, "background:{back};");
            }
            if cell.bold() {
                style += "font-weight:700;";
            }
            if cell.dim() {
                style += "opacity:.6;";
            }
            let text = if cell.has_contents() {
                cell.contents()
            } else {
                " "
            };
            // Fonts leave gaps between blocks.
            let text = match block(text) {
                Some((towards, percent)) => {
                    let _ = write!(
                        style,
                        "background:linear-gradient(to {towards},{front} {percent}%,transparent {percent}%);"
                    );
                    " "
                }
                None => text,
            };
            let class = if cell.is_wide() { " class=w" } else { "" };
            let style = match style.is_empty() {
                true => style,
                false => format!(" style=\"{style}\""),
            };
            let _ = write!(page, "<i{class}{style}>{}</i>", escaped(text));
        }
        page.push('\n');
    }
    page += "</pre></html>\n";
    page
}

/// A cell that is filled from one side, and how far.
fn block(text: &str) -> Option<(&'static str, f32)> {
    let code = text.chars().next()? as u32;
    match code {
        0x2581..=0x2588 => Some(("top", (code - 0x2580) as f32 * 12.5)),
        0x2589..=0x258f => Some(("right", (0x2590 - code) as f32 * 12.5)),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A colour as a page names it.
fn colour(colour: Color, default: &str) -> String {
    match colour {
        Color::Default => default.to_owned(),
        Color::Idx(at) if at < 16 => PALETTE[usize::from(at)].to_owned(),
        // A cube of six steps for each of red, green and blue, and then a ramp of greys.
        Color::Idx(at) if at < 232 => {
            let step = |by: u8| match (at - 16) / by % 6 {
                0 => 0,
                step => 55 + 40 * step,
            };
            format!("rgb({},{},{})", step(36), step(6), step(1))
        }
        Color::Idx(at) => {
            let grey = 8 + 10 * (at - 232);
            format!("rgb({grey},{grey},{grey})")
        }
        Color::Rgb(red, green, blue) => format!("rgb({red},{green},{blue})"),
    }
}
