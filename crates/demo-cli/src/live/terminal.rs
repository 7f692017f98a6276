//! The terminal that a view is drawn on: standard error, so that standard output stays data. It is left
//! as it was found, however the program ends: by itself, by a signal, by Ctrl-C, by a panic.
//!
//! Keys and signals are waited for on a thread of their own: Ctrl-C ends the program at once whatever
//! the main thread is about.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once, OnceLock, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// How often the thread that reads keys looks for signals.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// Whoever draws holds the terminal for less; who waits longer goes on without it.
const DRAWING_TAKES: Duration = Duration::from_millis(200);
/// The status of a program that was ended by a signal, less the signal's number.
const BY_SIGNAL: i32 = 128;

/// The view has the terminal.
static ENTERED: AtomicBool = AtomicBool::new(false);
/// Its modes were changed.
static RAW: AtomicBool = AtomicBool::new(false);
/// Held by whoever writes to it.
static WRITING: Mutex<()> = Mutex::new(());

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    EndRun,
    EndRow,
    Freeze,
    Help,
}

/// Whether there is a terminal that a view can be drawn on.
pub(super) fn is_capable() -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    io::stderr().is_terminal() && !term.is_empty() && term != "dumb"
}

/// Whether colours are wanted on it.
pub(super) fn has_colours() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// A terminal that is drawn on, until it is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Canvas>>,
    size: Rect,
    /// Whether keys are read.
    pub(super) keys: bool,
    pressed: Receiver<Key>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Screen> {
        let keys = io::stdin().is_terminal();
        let over = Arc::new(AtomicBool::new(false));
        let signal = watch_signals()?;
        leave_on_panic();
        let size = size();
        let backend = CrosstermBackend::new(Canvas::default());
        let options = TerminalOptions {
            viewport: Viewport::Fixed(size),
        };
        let terminal = Terminal::with_options(backend, options)?;
        ENTERED.store(true, Ordering::SeqCst);
        let entered = (|| {
            if keys {
                RAW.store(true, Ordering::SeqCst);
                enable_raw_mode()?;
                // What it opens is open before anybody counts.
                event::poll(Duration::ZERO)?;
            }
            execute!(io::stderr(), EnterAlternateScreen, Hide)
        })();
        let (sender, pressed) = channel();
        let end = Arc::clone(&over);
        let watcher = entered.and_then(|()| {
            std::thread::Builder::new()
                .name("live-keys".to_owned())
                .spawn(move || watch(keys, &signal, &end, &sender))
        });
        match watcher {
            Ok(watcher) => Ok(Screen {
                terminal,
                size,
                keys,
                pressed,
                over,
                watcher: Some(watcher),
            }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    /// Draws a frame of it, in the size that it has now.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let now = size();
        if now != self.size {
            self.size = now;
            self.terminal.resize(now)?;
        }
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// The next key that was pressed, if one was.
    pub(super) fn pressed(&self) -> Option<Key> {
        self.pressed.try_recv().ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // A panic of its own has left the terminal already.
            let _ = watcher.join();
        }
        leave();
    }
}

/// The terminal's size; that of a small one where it cannot be told, or is nothing.
fn size() -> Rect {
    let (width, height) = match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    };
    Rect::new(0, 0, width, height)
}

/// A frame, written when it is complete.
#[derive(Default)]
struct Canvas {
    frame: Vec<u8>,
}

impl Write for Canvas {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.frame);
        if frame.is_empty() {
            return Ok(());
        }
        let _writing = WRITING.lock();
        // Whoever has left it may have printed already.
        match ENTERED.load(Ordering::SeqCst) {
            true => io::stderr().write_all(&frame),
            false => Ok(()),
        }
    }
}

/// Gives the terminal back as it was found. Again: does nothing. From any thread.
pub(super) fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let _writing = wait_for_writer();
    let mut stderr = io::stderr();
    // Nobody to tell if the terminal is gone.
    let _ = queue!(
        stderr,
        EndSynchronizedUpdate,
        ResetColor,
        Show,
        LeaveAlternateScreen
    );
    let _ = stderr.flush();
    if RAW.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
    }
    if let Some(free) = FREE.get() {
        free.store(true, Ordering::SeqCst);
    }
}

/// Waits until a frame that is being written is complete; not for ever, as the terminal may be stopped.
fn wait_for_writer() -> Option<std::sync::MutexGuard<'static, ()>> {
    const STEPS: u32 = 50;
    for _ in 0..STEPS {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(DRAWING_TAKES / STEPS),
        }
    }
    None
}

/// A panic on any thread is told on the terminal as it was.
fn leave_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
}

/// Whether the terminal is not ours, so that signals do what they did before.
static FREE: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The number of the signal that has come, 0 before.
fn watch_signals() -> io::Result<Arc<AtomicUsize>> {
    static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
    let free = FREE.get_or_init(|| Arc::new(AtomicBool::new(false)));
    free.store(false, Ordering::SeqCst);
    if let Some(signal) = SIGNAL.get() {
        return Ok(Arc::clone(signal));
    }
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(number, Arc::clone(free))?;
        flag::register_usize(number, Arc::clone(&signal), number as usize)?; // a small number
    }
    Ok(Arc::clone(SIGNAL.get_or_init(|| signal)))
}

/// Reads keys and looks for signals until the view is over.
fn watch(keys: bool, signal: &AtomicUsize, over: &AtomicBool, pressed: &Sender<Key>) {
    let mut keys = keys;
    while !over.load(Ordering::Relaxed) {
        let number = signal.load(Ordering::Relaxed);
        if number != 0 {
            end_now(number as i32);
        }
        if !keys {
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        match event::poll(LOOK_EVERY).and_then(|any| any.then(event::read).transpose()) {
            Ok(Some(Event::Key(key))) => {
                if is_interrupt(key) {
                    end_now(SIGINT);
                }
                if let Some(key) = meaning(key) {
                    let _ = pressed.send(key);
                }
            }
            Ok(_) => {}
            // The terminal is gone; a signal says so, or the run goes on to its end.
            Err(_) => keys = false,
        }
    }
}

/// Ends the program as the signal would have, but for the terminal.
fn end_now(signal: i32) -> ! {
    leave();
    process::exit(BY_SIGNAL + signal)
}

fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release || key.modifiers.contains(KeyModifiers::CONTROL) {
        return None;
    }
    match key.code {
        KeyCode::Esc | KeyCode::Char('q' | 'Q') => Some(Key::EndRun),
        KeyCode::Char('n' | 'N') => Some(Key::EndRow),
        KeyCode::Char('p' | 'P' | ' ') => Some(Key::Freeze),
        KeyCode::Char('?' | 'h' | 'H') => Some(Key::Help),
        _ => None,
    }
}
