//! What can go wrong, and how a C program is told.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::fmt::{self, Write};

use crate::abi::{
    ASYNC_R_INVALID_POOL_SIZE, ERR_R_INTERNAL_ERROR, ERR_R_MALLOC_FAILURE,
    ERR_R_PASSED_NULL_PARAMETER,
};
use crate::{check, libcrypto};

/// Everything that makes a function of this library report an error. With the handle it is about, for the check
/// mode.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0} is NULL; it must not be")]
    Null(&'static str),
    #[error("a job cannot start another; call the function directly instead")]
    NestedStart,
    #[error("called inside a job; call it from the code that starts and resumes the jobs")]
    InsideJob,
    #[error("the job belongs to another thread; resume it on the thread that started it")]
    WrongThread(usize),
    #[error("this job has finished, or never was; use a handle only until its job has finished")]
    StaleJob(usize),
    #[error("the job is running; resume it when it has paused")]
    JobRunning(usize),
    #[error(
        "the job's wait context was freed before the job had finished; the job can pause no more, and never be \
         resumed. Free the context when the job has finished, or cancel the job before"
    )]
    ContextGone(usize),
    #[error("this wait context was freed, or never was; use it only until it is freed")]
    StaleCtx(usize),
    #[error("this wait context is being freed; its cleanup functions can read it and no more")]
    CtxClosing(usize),
    #[error("init_size ({init}) is above max_size ({max}); lower it, or raise max_size")]
    PoolSize { init: usize, max: usize },
    #[error("{init} jobs up front are more than this machine has memory for; lower init_size")]
    TooManyUpFront { init: usize },
    #[error("the thread is ending, and its jobs are gone; start jobs before its destructors run")]
    ThreadEnding,
    #[error("OPENSSL_cleanup() has been called; start no jobs after it")]
    LibraryGone,
    #[error("there is no memory for {0}; let other jobs finish first")]
    NoMemory(&'static str),
    #[error("there is no stack for another job; let others finish first, or ask for fewer")]
    NoStack,
    #[error("the job's function panicked; it has no result")]
    Panicked,
}

impl Fault {
    /// OpenSSL's number for it.
    fn reason(self) -> c_int {
        match self {
            Fault::Null(_) => ERR_R_PASSED_NULL_PARAMETER,
            Fault::PoolSize { .. } | Fault::TooManyUpFront { .. } => ASYNC_R_INVALID_POOL_SIZE,
            Fault::NoMemory(_) => ERR_R_MALLOC_FAILURE,
            _ => ERR_R_INTERNAL_ERROR,
        }
    }

    /// Its name in reports.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Fault::Null(_) => "null-argument",
            Fault::NestedStart => "nested-start",
            Fault::InsideJob => "inside-job",
            Fault::WrongThread(_) => "wrong-thread",
            Fault::StaleJob(_) => "stale-job",
            Fault::JobRunning(_) => "job-running",
            Fault::ContextGone(_) => "context-freed-under-job",
            Fault::StaleCtx(_) => "use-after-free",
            Fault::CtxClosing(_) => "use-while-freed",
            Fault::PoolSize { .. } | Fault::TooManyUpFront { .. } => "pool-size",
            Fault::ThreadEnding => "thread-ending",
            Fault::LibraryGone => "after-openssl-cleanup",
            Fault::NoMemory(_) | Fault::NoStack => "no-memory",
            Fault::Panicked => "panic",
        }
    }
}

/// Longer texts are cut.
const TEXT_BYTES: usize = 256;

thread_local! {
    /// The text of this thread's last error, ended by a zero. Without a destructor, so that it can be
    /// read and written to the very end of the thread.
    static LAST: [Cell<u8>; TEXT_BYTES] = const { [const { Cell::new(0) }; TEXT_BYTES] };
}

/// The text of this thread's last error. Null if there was none.
pub(crate) fn last_text() -> *const c_char {
    LAST.with(|last| match last[0].get() {
        0 => std::ptr::null(),
        _ => last.as_ptr().cast(),
    })
}

/// Reports `fault` of the C function `function`: in OpenSSL's error queue if libcrypto is in the process, as
/// this thread's last error in any case, and to the check mode.
#[cold]
pub(crate) fn raise(function: &'static CStr, fault: Fault) {
    note(function, fault);
    libcrypto::queue_error(function, fault.reason(), last_text());
    check::fault(function, fault);
}

/// Keeps the text only: for what OpenSSL does not take for an error.
#[cold]
pub(crate) fn note(function: &'static CStr, fault: Fault) {
    LAST.with(|last| {
        let mut text = Text { last, at: 0 };
        let name = function.to_str().unwrap_or_default();
        // Text never refuses.
        let _ = write!(text, "{name}: {fault}");
        last[text.at].set(0);
    });
}

/// Writes into [`LAST`], as far as there is room.
struct Text<'a> {
    last: &'a [Cell<u8>; TEXT_BYTES],
    at: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One is kept for the zero.
        for byte in text.bytes().take(TEXT_BYTES - 1 - self.at) {
            self.last[self.at].set(byte);
            self.at += 1;
        }
        Ok(())
    }
}
