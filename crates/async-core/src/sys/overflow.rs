//! A message when a job overflows its stack.
//!
//! ```text
//!   job's stack ──▶ guard page: SIGSEGV ──▶ `on_fault`, on the thread's alternate stack
//!                                             below the running job's stack? message, abort
//!                                             else ──▶ the handler that was there before
//! ```
//!
//! What runs in the handler allocates nothing, takes no lock and calls only what POSIX permits
//! there: it may have interrupted anything. (In a library that was opened with `dlopen` a thread's
//! first access to its thread-locals may allocate. A thread that runs a job has had it long before; one
//! that never did may hang in place of dying of its fault.)

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::thread;
use crate::job::JobId;

/// A touched guard page is the one on Linux and the other on some systems.
const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What `on_fault` needs to know. Complete before it is installed.
struct Installed {
    page: usize,
    /// The handlers that were there before, in the order of `SIGNALS`.
    previous: [libc::sigaction; 2],
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();
/// Threads that open a pool from now on need an alternate stack.
static ON: AtomicBool = AtomicBool::new(false);

pub(crate) fn report_stack_overflow() -> io::Result<()> {
    /// Whether the handler is installed. Held by one installer at a time.
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if !*done {
        if INSTALLED.get().is_none() {
            let installed = Installed {
                page: rustix::param::page_size(),
                previous: [action_of(SIGNALS[0])?, action_of(SIGNALS[1])?],
            };
            // Nobody else sets it, under the lock.
            let _ = INSTALLED.set(installed);
        }
        for (signal, previous) in INSTALLED.get().into_iter().flat_map(Installed::each) {
            install(signal, previous)?;
        }
        *done = true;
        ON.store(true, Ordering::Relaxed);
    }
    drop(done);
    // What the pools of later threads do when they are opened.
    if thread::ends_later() {
        equip()?;
    }
    Ok(())
}

impl Installed {
    fn each(&self) -> impl Iterator<Item = (c_int, &libc::sigaction)> {
        SIGNALS.into_iter().zip(&self.previous)
    }
}

fn action_of(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it writes an action, and changes nothing.
    ok(unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: it was written, as the call succeeded.
    Ok(unsafe { action.assume_init() })
}

/// Puts `on_fault` in the place of `previous`.
fn install(signal: c_int, previous: &libc::sigaction) -> io::Result<()> {
    let mut action = *previous;
    // Its mask stays, so that a handler that is passed on to finds blocked what it asked for; and
    // its wish to be interrupted by itself.
    let kept = libc::SA_NODEFER | libc::SA_RESTART;
    action.sa_flags = previous.sa_flags & kept | libc::SA_SIGINFO | libc::SA_ONSTACK;
    let on_fault: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
    // SAFETY: `on_fault` has the signature that SA_SIGINFO wants, is good for as long as the
    // process lives, and does only what a handler may. `INSTALLED` is set.
    ok(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })
}

fn ok(result: c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
///
/// Called by the system, as a signal handler with SA_SIGINFO.
unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(installed) = INSTALLED.get() else {
        return;
    };
    // SAFETY: the system hands a good one to every handler of this kind.
    let (by_kernel, address) = unsafe { ((*info).si_code > 0, (*info).si_addr().addr()) };
    if by_kernel && let Some((job, stack_bytes)) = thread::overflown(address, installed.page) {
        say(job, stack_bytes);
        // SAFETY: permitted in a handler.
        unsafe { libc::abort() };
    }
    for (_, previous) in installed.each().filter(|(which, _)| *which == signal) {
        // SAFETY: the caller's.
        unsafe { pass_on(previous, by_kernel, signal, info, context) };
    }
}

/// Writes the message to standard error.
fn say(job: JobId, stack_bytes: usize) {
    let mut line = Line::new();
    // It fits; what would not is left out.
    let _ = write!(
        line,
        "\njob {job} has overflowed its stack of {stack_bytes} bytes; \
         raise PoolConfig::stack_bytes, in C ASYNC_CAPI_STACK_BYTES\n"
    );
    // SAFETY: writes that many bytes of the line. Permitted in a handler.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.length) };
}

/// Does what would have happened without this module.
///
/// # Safety
///
/// Called in the handler of this signal, with what the system handed to it. `previous` was in force
/// before.
unsafe fn pass_on(
    previous: &libc::sigaction,
    by_kernel: bool,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let handler = previous.sa_sigaction;
    let none = handler == libc::SIG_DFL || handler == libc::SIG_IGN;
    // A fault cannot be ignored, only a signal that somebody sent.
    if handler == libc::SIG_IGN && !by_kernel {
        return;
    }
    if none || previous.sa_flags & libc::SA_RESETHAND != 0 {
        // SAFETY: an action without a handler and with an empty mask is all zeroes, on all systems
        // where SIG_DFL is 0.
        let mut default = unsafe { mem::zeroed::<libc::sigaction>() };
        default.sa_sigaction = libc::SIG_DFL;
        // SAFETY: permitted in a handler, and in order: see above.
        unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    }
    if none {
        if !by_kernel {
            // A fault happens again when this returns. A signal that was sent does not.
            // SAFETY: permitted in a handler.
            unsafe { libc::raise(signal) };
        }
    } else if previous.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: it is neither of the two numbers that are no functions, and whoever installed it
        // with SA_SIGINFO says that it is of this type.
        let handler = unsafe { mem::transmute::<libc::sighandler_t, Handler>(handler) };
        // SAFETY: in a handler of this signal, with what the system hands to it.
        unsafe { handler(signal, info, context) };
    } else {
        // SAFETY: as above; without SA_SIGINFO it is of this type.
        let handler =
            unsafe { mem::transmute::<libc::sighandler_t, unsafe extern "C" fn(c_int)>(handler) };
        // SAFETY: as above.
        unsafe { handler(signal) };
    }
}

/// A line of text without the heap.
struct Line {
    text: [u8; 160],
    length: usize,
}

impl Line {
    fn new() -> Line {
        Line {
            text: [0; 160],
            length: 0,
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        let room = self.text.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// An alternate signal stack that was made here: its mapping.
#[derive(Clone, Copy)]
struct AltStack {
    start: *mut c_void,
    bytes: usize,
    page: usize,
}

thread_local! {
    /// This thread's, if it is ours. Without a destructor: the thread's end calls `unequip`.
    static ALT_STACK: Cell<Option<AltStack>> = const { Cell::new(None) };
}

/// As `equip`, once `report_stack_overflow` was called; for a thread whose pool is opened. Without
/// an alternate stack there is no message, and that is no reason to run no jobs.
pub(super) fn equip_if_on() {
    if ON.load(Ordering::Relaxed) {
        let _ = equip();
    }
}

/// Gives this thread an alternate signal stack if it has none. Threads of Rust's standard library
/// have one; others do not.
fn equip() -> io::Result<()> {
    let mut now = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: it writes a description, and changes nothing.
    ok(unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) })?;
    // SAFETY: it was written, as the call succeeded.
    let now = unsafe { now.assume_init() };
    if now.ss_flags & libc::SS_DISABLE == 0 {
        return Ok(());
    }
    let alt = AltStack::map()?;
    let stack = libc::stack_t {
        ss_sp: alt.start.wrapping_byte_add(alt.page),
        ss_flags: 0,
        ss_size: alt.bytes - alt.page,
    };
    // SAFETY: the memory is ours, writable, and stays until `unequip`, which takes it out of use.
    if let Err(e) = ok(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) }) {
        // SAFETY: it was refused, so nobody uses it.
        unsafe { alt.unmap() };
        return Err(e);
    }
    ALT_STACK.set(Some(alt));
    Ok(())
}

/// Frees this thread's alternate stack if it is ours and still in force. One that somebody else has
/// put aside stays: they may put it back.
pub(super) fn unequip() {
    let Some(alt) = ALT_STACK.take() else {
        return;
    };
    let mut now = MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: it writes a description, and changes nothing.
    if unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: it was written, as the call succeeded.
    let mut now = unsafe { now.assume_init() };
    if now.ss_sp != alt.start.wrapping_byte_add(alt.page) {
        return;
    }
    now.ss_flags = libc::SS_DISABLE;
    // SAFETY: takes the alternate stack out of use; refused if we are on it.
    if unsafe { libc::sigaltstack(&raw const now, ptr::null_mut()) } == 0 {
        // SAFETY: it is out of use.
        unsafe { alt.unmap() };
    }
}

impl AltStack {
    /// Room for a handler that is passed on to, beside what the system itself puts there.
    const ROOM: usize = 64 * 1024;

    fn map() -> io::Result<AltStack> {
        // What the processor's state takes, which grows with its generations.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: reads a value that the system gave the process; 0 if there is none.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let least = 0;
        let page = rustix::param::page_size();
        let bytes = page + (least.max(libc::MINSIGSTKSZ) + AltStack::ROOM).next_multiple_of(page);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new anonymous mapping where the system chooses touches no memory in use.
        let start = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE)?
        };
        // A guard of its own, if the system permits.
        // SAFETY: the page was mapped above and nobody uses it.
        let _ = unsafe { rustix::mm::mprotect(start, page, MprotectFlags::empty()) };
        Ok(AltStack { start, bytes, page })
    }

    /// # Safety
    ///
    /// Nobody uses it.
    unsafe fn unmap(self) {
        // SAFETY: `map` mapped it with this length; the caller says that it is out of use.
        let _ = unsafe { rustix::mm::munmap(self.start, self.bytes) };
    }
}
