//! The errors that functions return, with what the check mode knows besides.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use crate::check::jobs::places;
use crate::check::notes::book;
use crate::check::on;
use crate::check::place::here;
use crate::check::report::Report;
use crate::error::Fault;
use crate::job::JOBS;
use crate::slots::Slot;
use crate::{mode, thread};

/// What an engine calls to wake a job.
const WAKE: [&str; 4] = [
    "ASYNC_get_wait_ctx",
    "ASYNC_WAIT_CTX_get_callback",
    "ASYNC_WAIT_CTX_get_fd",
    "ASYNC_WAIT_CTX_set_status",
];

/// A function of this library is about to return an error.
#[cold]
pub(crate) fn fault(function: &'static CStr, fault: Fault) {
    // It may be the first call of all.
    mode::ready();
    if !on() {
        return;
    }
    let function = function.to_str().unwrap_or_default();
    let report = Report::new(fault.kind(), function)
        .message(fault.to_string())
        .at(here());
    let running = thread::here().current.get().map_or(0, Slot::handle);
    let report = match fault {
        Fault::StaleJob(job) => match book().finished.find(job) {
            Some(finished) => late(report, function, "the job has finished")
                .job(job)
                .and("finished here", finished),
            None => report.job(job),
        },
        Fault::StaleCtx(ctx) => match book().freed.find(ctx) {
            Some(freed) => late(report, function, "its wait context was freed")
                .ctx(ctx)
                .and("freed here", freed),
            None => report.ctx(ctx),
        },
        Fault::ContextGone(job) => {
            let ctx = JOBS
                .find(job)
                .map_or(0, |slot| slot.ctx.load(Ordering::Relaxed));
            let freed = book().freed.find(ctx).flatten();
            let (started, paused, _) = places(job);
            report
                .job(job)
                .ctx(ctx)
                .and("freed here", freed)
                .and("paused here", paused)
                .and("started here", started)
        }
        Fault::WrongThread(job) => {
            let (started, paused, owner) = places(job);
            let message = owner.map(|owner| format!("{fault} (thread {owner})"));
            report
                .message(message.unwrap_or_else(|| fault.to_string()))
                .job(job)
                .and("paused here", paused)
                .and("started here", started)
        }
        Fault::JobRunning(job) => report.job(job).and("started here", places(job).0),
        Fault::CtxClosing(ctx) => {
            let freed = book().freed.find(ctx).flatten();
            report.ctx(ctx).and("being freed here", freed)
        }
        _ => report
            .job(running)
            .and("the running job was started here", places(running).0),
    };
    report.send();
}

/// With a handle that was good once: from an engine, it is a wake that comes too late.
fn late(mut report: Report, function: &str, what: &str) -> Report {
    if WAKE.contains(&function) {
        report.kind = "late-wake";
        report.message = format!(
            "an operation is done, and its job is told of it too late: {what}. Have the job wait for \
             all that it has submitted, or cancel the operation before, and let the engine's thread forget the \
             handles then"
        );
    }
    report
}
