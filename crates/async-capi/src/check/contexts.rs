//! What is watched of wait contexts.

use std::os::fd::RawFd;

use crate::abi::ASYNC_WAIT_CTX;
use crate::check::fds::is_open;
use crate::check::jobs;
use crate::check::notes::{At, JobNote, book};
use crate::check::place::here;
use crate::check::report::Report;
use crate::ctx;

/// What is in a context now.
pub(super) struct Content {
    /// Numbers and keys, newest first.
    pub(super) fds: Vec<(RawFd, usize)>,
    has_callback: bool,
}

/// `None` if it was freed.
pub(super) fn content(ctx: usize) -> Option<Content> {
    let content = ctx::with(std::ptr::without_provenance(ctx), |state| Content {
        fds: state
            .fds
            .live()
            .map(|(key, fd, _)| (fd, key.address().unwrap_or_default()))
            .collect(),
        has_callback: state.callback.is_some(),
    });
    content.ok()
}

/// `ASYNC_WAIT_CTX_new` has made a context.
#[cold]
pub(crate) fn context_made(ctx: *mut ASYNC_WAIT_CTX) {
    let made = here();
    if !ctx.is_null() {
        book().ctxs.entry(ctx.addr()).or_default().made = made;
    }
}

/// `ASYNC_WAIT_CTX_free` is about to clean up a context.
#[cold]
pub(crate) fn context_freeing(ctx: *mut ASYNC_WAIT_CTX) {
    const FUNCTION: &str = "ASYNC_WAIT_CTX_free";
    let ctx = ctx.addr();
    // A fault otherwise, which is told by itself.
    let Some(content) = content(ctx) else { return };
    let at = here();
    closed_fds(FUNCTION, ctx, 0, &content, at);
    let stranded = {
        let mut book = book();
        let note = book.ctxs.remove(&ctx);
        if book.freed.find(ctx).is_some() {
            return; // by one of its own cleanup functions, which is a fault
        }
        book.freed.add(ctx, at);
        let stranded = match note {
            Some(note) if note.jobs == 0 => Vec::new(),
            _ => jobs::paused_under(&book, ctx),
        };
        for (handle, _) in &stranded {
            if let Some(note) = book.jobs.get_mut(handle) {
                note.told = true;
            }
        }
        stranded
    };
    for (handle, note) in stranded {
        Report::new("context-freed-under-job", FUNCTION)
            .message(
                "a job is paused under this context, and can never be resumed now; its stack is lost. Free \
                 the context when the job has finished, or cancel the job before",
            )
            .job(handle)
            .ctx(ctx)
            .at(at)
            .and("paused here", note.paused_at)
            .and("started here", note.started)
            .send();
    }
}

/// A job is about to pause.
pub(super) fn job_pauses(job: usize, ctx: usize, note: &JobNote, at: At) {
    const FUNCTION: &str = "ASYNC_pause_job";
    let report = |kind| Report::new(kind, FUNCTION).job(job).ctx(ctx).at(at);
    if ctx == 0 {
        report("pause-without-wake")
            .message(
                "the job pauses without a wait context, so nothing can tell the application when to resume it; \
                 start the job with a context, and set an fd in it, or a callback",
            )
            .and("started here", note.started)
            .send();
        return;
    }
    let Some(content) = content(ctx) else {
        let freed = book().freed.find(ctx).flatten();
        report("context-freed-under-job")
            .message(
                "the job pauses under a context that was freed, and can never be resumed then; free the context \
                 when the job has finished",
            )
            .and("freed here", freed)
            .and("started here", note.started)
            .send();
        return;
    };
    if content.fds.is_empty() && !content.has_callback {
        report("pause-without-wake")
            .message(
                "the job pauses, and its context has neither an fd nor a callback, so nothing can tell the \
                 application when to resume it; set an fd with ASYNC_WAIT_CTX_set_wait_fd before the pause, or use \
                 the application's callback",
            )
            .and("started here", note.started)
            .send();
    }
    closed_fds(FUNCTION, ctx, job, &content, at);
    if content.fds.is_empty() || content.has_callback {
        return;
    }
    let other = {
        let book = book();
        match book.ctxs.get(&ctx) {
            Some(note) if note.jobs > 1 => book
                .jobs
                .iter()
                .find(|(handle, note)| note.ctx == ctx && **handle != job)
                .map(|(handle, note)| (*handle, *note)),
            _ => None,
        }
    };
    if let Some((other, other_note)) = other {
        report("context-shared")
            .message(format!(
                "job {other:#x} is unfinished under the same context, so its fds do not say which of the two can be \
                 resumed; give each job a context of its own"
            ))
            .and("started here", note.started)
            .and("the other was started here", other_note.started)
            .send();
    }
}

/// Tells of fds that are in a context and are not open.
fn closed_fds(function: &'static str, ctx: usize, job: usize, content: &Content, at: At) {
    for (fd, key) in &content.fds {
        if is_open(*fd) {
            continue;
        }
        let set_at = book().set_at(ctx, *fd, *key);
        Report::new("fd-not-cleared", function)
            .message(
                "an fd in the context is not open: it was closed and not cleared, or never was one. The application \
                 would wait on nothing, or on somebody else's file. Call ASYNC_WAIT_CTX_clear_fd before closing it",
            )
            .job(job)
            .ctx(ctx)
            .fd(*fd, *key)
            .at(at)
            .and("set here", set_at)
            .send();
    }
}

/// Contexts that were made before the mode was turned on.
pub(super) fn adopt(handles: impl Iterator<Item = usize>) {
    for handle in handles {
        book().ctxs.entry(handle).or_default();
    }
}
