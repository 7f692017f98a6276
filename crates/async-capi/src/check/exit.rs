//! The end of the process: what was left behind, and the counts.

use crate::check::contexts;
use crate::check::fds::identity;
use crate::check::jobs;
use crate::check::notes::{At, book};
use crate::check::on;
use crate::check::report::{self, Report};

/// The function in which all this is noticed.
const FUNCTION: &str = "exit";

pub(super) extern "C" fn at_exit() {
    if !on() {
        return;
    }
    unfinished_jobs();
    contexts_left();
    fds_left();
    report::summary();
}

fn unfinished_jobs() {
    let left: Vec<_> = {
        let book = book();
        let paused = book.jobs.iter().filter(|(_, n)| n.paused && !n.told);
        paused.map(|(handle, note)| (*handle, *note)).collect()
    };
    for (handle, note) in left {
        let mut report = jobs::unfinished(handle, &note, "the process");
        report.function = FUNCTION;
        report.send();
    }
}

/// Those of unfinished jobs are not told of: they may have to be there.
fn contexts_left() {
    let left: Vec<(usize, At)> = {
        let book = book();
        let unused = book.ctxs.iter().filter(|(_, note)| note.jobs == 0);
        unused.map(|(ctx, note)| (*ctx, note.made)).collect()
    };
    for (ctx, made) in left {
        let Some(content) = contexts::content(ctx) else {
            continue;
        };
        Report::new("context-never-freed", FUNCTION)
            .message("a wait context was never freed; call ASYNC_WAIT_CTX_free when its last job has finished")
            .ctx(ctx)
            .at(made)
            .send();
        for (fd, key) in content.fds {
            let set_at = book().set_at(ctx, fd, key);
            Report::new("fd-never-cleared", FUNCTION)
                .message(
                    "an fd is still set in a context that was never freed, so its cleanup function was not called; \
                     free the context, or clear the fd and close it",
                )
                .ctx(ctx)
                .fd(fd, key)
                .at(set_at)
                .and("the context was made here", made)
                .send();
        }
    }
}

fn fds_left() {
    let left: Vec<_> = {
        let book = book();
        book.cleared.iter().map(|(fd, note)| (*fd, *note)).collect()
    };
    for (fd, cleared) in left {
        if identity(fd) != Some(cleared.file) {
            continue;
        }
        Report::new("fd-not-closed", FUNCTION)
            .message(
                "an fd was cleared and is still open; who clears an fd closes it, since its cleanup function is not \
                 called any more",
            )
            .ctx(cleared.ctx)
            .fd(fd, cleared.key)
            .at(cleared.at)
            .send();
    }
}
