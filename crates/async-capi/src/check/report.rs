//! Reports: what is said, once for each place, and the counts at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard};

use crate::check::frames::{Frame, frames};
use crate::check::json;
use crate::check::place::Place;
use crate::slots::lock;

/// So many are printed; the others are counted.
const MOST: usize = 200;
/// So many calls of a place are printed on stderr.
const CALLS: usize = 16;

/// A mistake that was noticed.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) kind: &'static str,
    /// What happened, and what to do.
    pub(super) message: String,
    /// The C function in which it was noticed.
    pub(super) function: &'static str,
    /// Handles; 0 for none.
    pub(super) job: usize,
    pub(super) ctx: usize,
    pub(super) fd: Option<RawFd>,
    pub(super) key: Option<usize>,
    pub(super) thread: libc::pid_t,
    pub(super) place: Option<&'static Place>,
    /// Other places that belong to it, each with what happened there.
    pub(super) related: Vec<(&'static str, &'static Place)>,
}

impl Report {
    pub(super) fn new(kind: &'static str, function: &'static str) -> Report {
        Report {
            kind,
            message: String::new(),
            function,
            job: 0,
            ctx: 0,
            fd: None,
            key: None,
            thread: thread_id(),
            place: None,
            related: Vec::new(),
        }
    }

    pub(super) fn message(mut self, message: impl Into<String>) -> Report {
        self.message = message.into();
        self
    }

    pub(super) fn job(mut self, job: usize) -> Report {
        self.job = job;
        self
    }

    pub(super) fn ctx(mut self, ctx: usize) -> Report {
        self.ctx = ctx;
        self
    }

    pub(super) fn fd(mut self, fd: RawFd, key: usize) -> Report {
        self.fd = Some(fd);
        self.key = Some(key);
        self
    }

    /// It belongs to another thread than the one that notices it.
    pub(super) fn thread(mut self, thread: libc::pid_t) -> Report {
        self.thread = thread;
        self
    }

    pub(super) fn at(mut self, place: Option<&'static Place>) -> Report {
        self.place = place;
        self
    }

    pub(super) fn and(mut self, what: &'static str, place: Option<&'static Place>) -> Report {
        self.related.extend(place.map(|place| (what, place)));
        self
    }

    /// Says it at once, since the process may crash next; but only counts it if the same was said of the same place
    /// before, or if enough was said.
    pub(super) fn send(self) {
        let mut said = lock(&SAID);
        *said.counts.entry(self.kind).or_default() += 1;
        let caller = self.place.map_or(0, |place| place.caller);
        if said.printed > MOST || !said.seen.insert((self.kind, self.function, caller)) {
            return;
        }
        said.printed += 1;
        if said.printed > MOST {
            to_stderr(&format!(
                "async-capi check: {MOST} reports were printed; others are counted only\n"
            ));
            return;
        }
        // The lock is held meanwhile, so that the lines of two reports stay apart, and so that a fork waits.
        // The helper does not take it.
        if !on_helper_thread(&|| self.print()) {
            to_stderr(&self.head());
        }
    }

    /// The lines without backtraces.
    fn head(&self) -> String {
        let mut text = format!(
            "async-capi check: {} in {}: {}\n   ",
            self.kind, self.function, self.message
        );
        // Text never refuses.
        if self.job != 0 {
            let _ = write!(text, " job {:#x},", self.job);
        }
        if self.ctx != 0 {
            let _ = write!(text, " ctx {:#x},", self.ctx);
        }
        if let Some(fd) = self.fd {
            let _ = write!(text, " fd {fd},");
        }
        if let Some(key) = self.key {
            let _ = write!(text, " key {key:#x},");
        }
        let _ = writeln!(text, " thread {}, pid {}", self.thread, std::process::id());
        text
    }

    /// On the helper thread.
    fn print(&self) {
        if !room_for_names() {
            let head = self.head();
            to_stderr(&format!("{head}    (no memory to say where)\n"));
            json::append(|| json::report(self, &[], &[]));
            return;
        }
        let calls = self.place.map(|place| frames(&place.trace));
        let related: Vec<(&'static str, Vec<Frame>)> = self
            .related
            .iter()
            .map(|(what, place)| (*what, frames(&place.trace)))
            .collect();
        let mut text = self.head();
        list(&mut text, calls.as_deref().unwrap_or_default());
        for (what, calls) in &related {
            let _ = writeln!(text, "    {what}:");
            list(&mut text, calls);
        }
        to_stderr(&text);
        json::append(|| json::report(self, calls.as_deref().unwrap_or_default(), &related));
    }
}

/// Whether there is memory for finding the names of functions. The standard library maps the program's symbols for
/// that, under a lock that it wants again to say that there was no memory.
fn room_for_names() -> bool {
    const NEEDED: usize = 96 << 20;
    Vec::<u8>::new().try_reserve_exact(NEEDED).is_ok()
}

fn list(text: &mut String, calls: &[Frame]) {
    for Frame { function, at } in calls.iter().take(CALLS) {
        let _ = match at {
            Some(at) => writeln!(text, "      {function} ({at})"),
            None => writeln!(text, "      {function}"),
        };
    }
}

/// What was said so far.
pub(super) struct Said {
    /// How often each kind was noticed, printed or not.
    counts: BTreeMap<&'static str, u64>,
    /// Kind, function, and where that was called.
    seen: BTreeSet<(&'static str, &'static str, usize)>,
    printed: usize,
}

static SAID: Mutex<Said> = Mutex::new(Said::NOTHING);

impl Said {
    const NOTHING: Said = Said {
        counts: BTreeMap::new(),
        seen: BTreeSet::new(),
        printed: 0,
    };
}

/// Keeps reports from being made: for a fork.
pub(super) fn hold() -> MutexGuard<'static, Said> {
    lock(&SAID)
}

/// A forked child says its own.
pub(super) fn forget() {
    *lock(&SAID) = Said::NOTHING;
}

/// The last line: how often each kind was noticed.
pub(super) fn summary() {
    let said = lock(&SAID);
    let counts: Vec<String> = said
        .counts
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    let text = match counts.is_empty() {
        true => "async-capi check: nothing to report\n".to_string(),
        false => format!("async-capi check: {}\n", counts.join(", ")),
    };
    let print = || {
        to_stderr(&text);
        json::append(|| json::summary(&said.counts));
    };
    if !on_helper_thread(&print) {
        to_stderr(&text);
    }
}

pub(super) fn thread_id() -> libc::pid_t {
    // SAFETY: asks for a number.
    unsafe { libc::gettid() }
}

/// One write, so that lines of several processes stay apart. There is nobody to tell of a failure.
pub(super) fn to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Calls `f` on a thread of its own, and waits for it: the stack of a job may be too small, and what `f` writes may
/// raise signals (SIGPIPE, SIGXFSZ), all of which that thread has blocked. Says whether there was a thread to be
/// had.
fn on_helper_thread(f: &(dyn Fn() + Sync)) -> bool {
    let mut before = MaybeUninit::uninit();
    let mut all = MaybeUninit::uninit();
    // SAFETY: both are sets of the right type; `all` is filled before it is read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let done = std::thread::scope(|scope| {
        let helper = std::thread::Builder::new()
            .name("async-capi".into())
            .spawn_scoped(scope, f);
        // It does not panic; if it did, it would have said so.
        helper.map(|helper| helper.join()).is_ok()
    });
    // SAFETY: it was written above: with these arguments that call cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    done
}
