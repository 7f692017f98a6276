//! What is watched of jobs.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_core::PoolConfig;

use crate::abi::JobFn;
use crate::check::notes::{At, Book, JobNote, book};
use crate::check::place::here;
use crate::check::report::{Report, thread_id};
use crate::check::{contexts, on};
use crate::job::JobSlot;
use crate::slots::Slot;
use crate::thread;

/// A job that goes deeper than this share of its stack is told of.
const DEEP_PERCENT: usize = 75;

/// What the mode itself may take of a job's stack: 6 KiB were seen, and 11 without optimisation.
const OWN_BYTES: usize = if cfg!(debug_assertions) { 14 } else { 8 } * 1024;

/// The size of built-in stacks without what the mode adds; 0 if it adds nothing.
static WANTED: AtomicUsize = AtomicUsize::new(0);

/// The size that built-in stacks are to have: larger, so that no job overflows because of the mode. Asked once,
/// before the first is made.
pub(crate) fn stack_bytes(wanted: usize) -> usize {
    if !on() {
        return wanted;
    }
    WANTED.store(wanted, Ordering::Relaxed);
    (wanted + OWN_BYTES).min(PoolConfig::MAX_STACK_BYTES)
}

/// A job is about to run for the first time.
#[cold]
pub(crate) fn job_starts(slot: &'static JobSlot, func: JobFn) {
    if !on() {
        return;
    }
    let started = here();
    let note = JobNote {
        func: (func as *const ()).addr(),
        started,
        ..unseen(slot)
    };
    add(&mut book(), slot.handle(), note);
}

/// It did not run: there was none to be had.
#[cold]
pub(crate) fn job_refused(slot: &'static JobSlot) {
    if !on() {
        return;
    }
    remove(&mut book(), slot.handle());
}

/// What is known of a job whose start was not seen.
fn unseen(slot: &JobSlot) -> JobNote {
    JobNote {
        func: 0,
        ctx: slot.ctx.load(Ordering::Relaxed),
        owner: slot.owner.load(Ordering::Relaxed),
        thread: thread_id(),
        started: None,
        paused_at: None,
        paused: false,
        lowest: 0,
        told: false,
    }
}

fn add(book: &mut Book, handle: usize, note: JobNote) {
    if note.ctx != 0 {
        book.ctxs.entry(note.ctx).or_default().jobs += 1;
    }
    book.jobs.insert(handle, note);
}

fn remove(book: &mut Book, handle: usize) {
    if let Some(note) = book.jobs.remove(&handle)
        && let Some(ctx) = book.ctxs.get_mut(&note.ctx)
    {
        ctx.jobs = ctx.jobs.saturating_sub(1);
    }
}

/// The running job is about to pause. On its own stack.
#[cold]
pub(crate) fn job_pauses(slot: &'static JobSlot) {
    if !on() || !async_core::current_job().is_some_and(|job| job.can_pause()) {
        return;
    }
    let at = here();
    let handle = slot.handle();
    let ctx = slot.ctx.load(Ordering::Relaxed);
    let note = change(slot, |note| {
        note.paused = true;
        note.paused_at = at;
    });
    contexts::job_pauses(handle, ctx, &note, at);
}

/// A paused job is about to be resumed.
#[cold]
pub(crate) fn job_resumes(slot: &'static JobSlot) {
    if !on() {
        return;
    }
    change(slot, |note| note.paused = false);
}

fn change(slot: &JobSlot, change: impl FnOnce(&mut JobNote)) -> JobNote {
    let (handle, unseen) = (slot.handle(), unseen(slot));
    let mut book = book();
    if !book.jobs.contains_key(&handle) {
        add(&mut book, handle, unseen);
    }
    let mut changed = unseen;
    if let Some(note) = book.jobs.get_mut(&handle) {
        change(note);
        changed = *note;
    }
    changed
}

/// The mode is at work for the running job, if there is one, on its stack, from this address down.
pub(super) fn calls_from(address: usize) {
    if let Some(slot) = thread::here().current.get()
        && let Some(note) = book().jobs.get_mut(&slot.handle())
        && (note.lowest == 0 || address < note.lowest)
    {
        note.lowest = address;
    }
}

/// The job's function has returned. On its own stack.
#[cold]
pub(crate) fn job_returns(slot: &'static JobSlot, func: JobFn) {
    if !on() {
        return;
    }
    let used = async_core::current_job().and_then(|job| job.stack_high_water());
    let (Some(used), Some(pool)) = (used, async_core::pool_stats()) else {
        return;
    };
    let address = (func as *const ()).addr();
    let Some(note) = book().jobs.get(&slot.handle()).copied() else {
        return;
    };
    // What was used below the deepest call of ours may be our own.
    let called = match note.lowest {
        0 => 0,
        lowest => (&raw const used).addr().saturating_sub(lowest),
    };
    let used = match called != 0 && used <= called + OWN_BYTES {
        true => called,
        false => used,
    };
    let bytes = match WANTED.load(Ordering::Relaxed) {
        0 => pool.stack_bytes,
        wanted => wanted,
    };
    if used <= bytes / 100 * DEEP_PERCENT || !book().deep.insert(address) {
        return;
    }
    Report::new("stack-nearly-full", "ASYNC_start_job")
        .message(format!(
            "a job with the function {} has used {used} bytes of its stack of {bytes}; use less in it, or raise \
             ASYNC_CAPI_STACK_BYTES or async_capi_set_stack_bytes()",
            name(address)
        ))
        .job(slot.handle())
        .at(note.started)
        .send();
}

/// A job has finished; its handle ends.
#[cold]
pub(crate) fn job_finished(slot: &'static JobSlot) {
    if !on() {
        return;
    }
    let at = here();
    let handle = slot.handle();
    let mut book = book();
    remove(&mut book, handle);
    book.finished.add(handle, at);
}

/// A thread ends, and its paused jobs with it. Those of the first thread are told of at the exit.
#[cold]
pub(crate) fn thread_ends(number: u64) {
    if u32::try_from(thread_id()) == Ok(std::process::id()) {
        return;
    }
    let mut lost = Vec::new();
    for (handle, note) in &mut book().jobs {
        if note.owner == number && note.paused && !note.told {
            note.told = true;
            lost.push((*handle, *note));
        }
    }
    for (handle, note) in lost {
        unfinished(handle, &note, "its thread").send();
    }
}

/// A job that was paused when its thread or the process ended.
pub(super) fn unfinished(handle: usize, note: &JobNote, what: &str) -> Report {
    let of = match note.func {
        0 => Cow::Borrowed("a job"),
        func => format!("a job with the function {}", name(func)).into(),
    };
    Report::new("job-never-finished", "ASYNC_pause_job")
        .message(format!(
            "{of} was still paused when {what} ended; what is on its stack is lost. Resume each job until it \
             has finished, or cancel it with async_capi_cancel_job()"
        ))
        .job(handle)
        .ctx(note.ctx)
        .thread(note.thread)
        .at(note.paused_at.or(note.started))
        .and("started here", note.started)
}

/// Jobs that are paused under a context.
pub(super) fn paused_under(book: &Book, ctx: usize) -> Vec<(usize, JobNote)> {
    let jobs = book.jobs.iter();
    jobs.filter(|(_, note)| note.ctx == ctx && note.paused)
        .map(|(handle, note)| (*handle, *note))
        .collect()
}

/// Where a job was started and where it has paused last.
pub(super) fn places(handle: usize) -> (At, At, Option<libc::pid_t>) {
    let book = book();
    let note = book.jobs.get(&handle);
    (
        note.and_then(|note| note.started),
        note.and_then(|note| note.paused_at),
        note.map(|note| note.thread),
    )
}

/// Jobs that were started before the mode was turned on. Whether one of another thread is running now cannot be
/// seen: it is taken for paused.
pub(super) fn adopt(slots: impl Iterator<Item = &'static JobSlot>, running: usize) {
    for slot in slots {
        let handle = slot.handle();
        if handle != running {
            let note = JobNote {
                paused: true,
                ..unseen(slot)
            };
            add(&mut book(), handle, note);
        }
    }
}

/// The name of a function; or, if it has none at run time, where it is in its file, for `addr2line`.
fn name(address: usize) -> String {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let pointer: *const c_void = std::ptr::without_provenance(address);
    // SAFETY: the record can be written; the address is only looked up.
    let found = unsafe { libc::dladdr(pointer, info.as_mut_ptr()) } != 0;
    // SAFETY: zeroes are good values, and so is what was written.
    let info = unsafe { info.assume_init() };
    if !found || info.dli_fname.is_null() {
        return format!("{address:#x}");
    }
    if info.dli_sname.is_null() || info.dli_saddr.addr() != address {
        // SAFETY: a string of the loader's, which is there as long as what it has loaded.
        let file = unsafe { CStr::from_ptr(info.dli_fname) };
        let offset = address - info.dli_fbase.addr();
        return format!("{}+{offset:#x}", file.to_string_lossy());
    }
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(info.dli_sname) };
    name.to_string_lossy().into_owned()
}
