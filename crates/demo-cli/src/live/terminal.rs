//! The terminal that a view is drawn on: standard error, so that standard output stays data. It is left
//! as it was found, however the program ends: by itself, by a signal, by Ctrl-C, by a panic.
//!
//! Keys and signals are waited for on a thread of their own: Ctrl-C ends the program at once whatever
//! the main thread is about. One that is stopped gives the terminal back, and takes it again when it goes
//! on.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

use super::keys::{Key, Keys};

/// How often the thread that reads keys looks for signals.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// Whoever draws holds the terminal for less; who waits longer goes on without it.
const DRAWING_TAKES: Duration = Duration::from_millis(200);
/// The terminal is given back in less, unless it takes nothing any more.
const LEAVING_TAKES: Duration = Duration::from_secs(1);
/// The status of a program that was ended by a signal, less the signal's number.
const BY_SIGNAL: i32 = 128;

/// The view has the terminal.
static ENTERED: AtomicBool = AtomicBool::new(false);
/// Its modes were changed.
static RAW: AtomicBool = AtomicBool::new(false);
/// It was given back meanwhile: all of it is to be drawn.
static REDRAW: AtomicBool = AtomicBool::new(false);
/// Held by whoever writes to it.
static WRITING: Mutex<()> = Mutex::new(());

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
        watch_signals().inspect_err(|_| signals_are_free(true))?;
        leave_on_panic();
        let size = size();
        let backend = CrosstermBackend::new(Canvas::default());
        let options = TerminalOptions {
            viewport: Viewport::Fixed(size),
        };
        let terminal =
            Terminal::with_options(backend, options).inspect_err(|_| signals_are_free(true))?;
        let entered = take(keys);
        let (sender, pressed) = channel();
        let end = Arc::clone(&over);
        let watcher = entered.and_then(|()| {
            std::thread::Builder::new()
                .name("live-keys".to_owned())
                .spawn(move || watch(keys, &end, &sender))
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
        if REDRAW.swap(false, Ordering::SeqCst) || now != self.size {
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
        // Watched until it is done: a terminal that takes nothing any more can hold it up.
        leave();
        self.over.store(true, Ordering::SeqCst);
        if let Some(watcher) = self.watcher.take() {
            // A panic of its own has left the terminal already.
            let _ = watcher.join();
        }
        // It may have been stopped and gone on since.
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

/// Takes the terminal.
fn take(keys: bool) -> io::Result<()> {
    ENTERED.store(true, Ordering::SeqCst);
    if keys {
        RAW.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
    }
    execute!(io::stderr(), EnterAlternateScreen, Hide)
}

/// Gives the terminal back as it was found. Again: does nothing. From any thread.
pub(super) fn leave() {
    // Of two at once the second waits for the first: what it has to say belongs behind it.
    let _writing = wait_for_writer();
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // First, as nothing holds it up.
    if RAW.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
    }
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
    signals_are_free(true);
}

/// Waits until a frame that is being written is complete; not for ever, as the terminal may be stopped.
fn wait_for_writer() -> Option<MutexGuard<'static, ()>> {
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

/// What is done about a signal while the view has the terminal.
struct Watched {
    number: i32,
    has_come: Arc<AtomicBool>,
}

/// Those that end the program, and the one that stops it.
static WATCHED: OnceLock<Vec<Watched>> = OnceLock::new();
/// Whether the terminal is not ours, so that signals do what they did before.
static FREE: OnceLock<Arc<AtomicBool>> = OnceLock::new();

fn signals_are_free(free: bool) {
    let flag = FREE.get_or_init(|| Arc::new(AtomicBool::new(free)));
    flag.store(free, Ordering::SeqCst);
}

/// From now on signals are only noted.
fn watch_signals() -> io::Result<()> {
    signals_are_free(false);
    let (None, Some(free)) = (WATCHED.get(), FREE.get()) else {
        return Ok(());
    };
    let mut watched = Vec::new();
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP] {
        let has_come = Arc::new(AtomicBool::new(false));
        flag::register_conditional_default(number, Arc::clone(free))?;
        flag::register(number, Arc::clone(&has_come))?;
        watched.push(Watched { number, has_come });
    }
    let _ = WATCHED.set(watched);
    Ok(())
}

/// Does what the signals ask for that have come.
fn obey_signals(keys: bool) {
    for Watched { number, has_come } in WATCHED.get().into_iter().flatten() {
        if !has_come.swap(false, Ordering::SeqCst) {
            continue;
        }
        match *number {
            SIGTSTP => stop(keys),
            number => end_now(number),
        }
    }
}

/// Reads keys and looks for signals until the view is over.
fn watch(keys: bool, over: &AtomicBool, pressed: &Sender<Key>) {
    let mut reads = keys.then(Keys::default);
    loop {
        let is_over = over.load(Ordering::SeqCst);
        // Those too that came while the terminal was given back.
        obey_signals(keys);
        if is_over {
            return;
        }
        match reads.as_mut().map(|keys| keys.read(LOOK_EVERY)) {
            None => std::thread::sleep(LOOK_EVERY),
            Some(Ok(keys)) => {
                for key in keys {
                    if key == Key::Interrupt {
                        end_now(SIGINT);
                    }
                    let _ = pressed.send(key);
                }
            }
            // The terminal is gone; a signal says so, or the run goes on to its end.
            Some(Err(_)) => reads = None,
        }
    }
}

/// Ends the program as the signal would have, but for the terminal.
fn end_now(signal: i32) -> ! {
    let (left, is_left) = channel();
    let leaving = std::thread::Builder::new().spawn(move || {
        leave();
        let _ = left.send(());
    });
    // A terminal that takes nothing any more is not waited for.
    if leaving.is_ok() {
        let _ = is_left.recv_timeout(LEAVING_TAKES);
    }
    process::exit(BY_SIGNAL + signal)
}

/// Stops the program as the signal would have, but for the terminal. Returns when it goes on.
fn stop(keys: bool) {
    let entered = ENTERED.load(Ordering::SeqCst);
    leave();
    let _ = emulate_default_handler(SIGTSTP);
    if entered {
        signals_are_free(false);
        // If it cannot be taken again, nothing is to be seen; the run goes on.
        let _ = take(keys);
        REDRAW.store(true, Ordering::SeqCst);
    }
}
