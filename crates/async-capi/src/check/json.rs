//! Reports as JSON, one object a line, for programs to read.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::check::frames::Frame;
use crate::check::report::{Report, to_stderr};
use crate::mode;

/// The file, if one is wanted. Opened for each report: a program may close all its descriptors, and then the
/// number would be another file's.
static FILE: OnceLock<PathBuf> = OnceLock::new();
/// Nothing more is written, after a failure that was told.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Reads the file's name from the environment. Says whether there is one.
pub(super) fn begin() -> bool {
    let Some(name) = mode::setting("CHECK_JSON").filter(|name| !name.is_empty()) else {
        return false;
    };
    // The program may go to another directory.
    let path = std::path::absolute(&name).unwrap_or_else(|_| PathBuf::from(&name));
    FILE.get_or_init(|| path);
    true
}

/// Appends a line to the file. What goes wrong is said once, and harms nothing.
pub(super) fn append(line: impl FnOnce() -> Value) {
    let Some(path) = FILE.get() else { return };
    if FAILED.load(Ordering::Relaxed) {
        return;
    }
    let line = format!("{}\n", line());
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        // Does not wait for a reader of a named pipe.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        FAILED.store(true, Ordering::Relaxed);
        to_stderr(&format!(
            "async-capi check: cannot write ASYNC_CAPI_CHECK_JSON={}: {error}; reports go to stderr only\n",
            path.display()
        ));
    }
}

pub(super) fn report(
    report: &Report,
    calls: &[Frame],
    related: &[(&'static str, Vec<Frame>)],
) -> Value {
    let mut object = json!({
        "kind": report.kind,
        "message": report.message,
        "function": report.function,
        "thread": report.thread,
        "pid": std::process::id(),
        "backtrace": backtrace(calls),
    });
    if report.job != 0 {
        object["job"] = pointer(report.job);
    }
    if report.ctx != 0 {
        object["ctx"] = pointer(report.ctx);
    }
    if let Some(fd) = report.fd {
        object["fd"] = fd.into();
    }
    if let Some(key) = report.key {
        object["key"] = pointer(key);
    }
    if !related.is_empty() {
        let places = related
            .iter()
            .map(|(what, calls)| json!({ "what": what, "backtrace": backtrace(calls) }));
        object["related"] = places.collect();
    }
    object
}

pub(super) fn summary(counts: &BTreeMap<&'static str, u64>) -> Value {
    json!({ "summary": counts, "pid": std::process::id() })
}

/// As C's `%p` has it.
fn pointer(address: usize) -> Value {
    format!("{address:#x}").into()
}

fn backtrace(calls: &[Frame]) -> Value {
    let call = |frame: &Frame| match &frame.at {
        Some(at) => json!({ "function": frame.function, "at": at }),
        None => json!({ "function": frame.function }),
    };
    calls.iter().map(call).collect()
}
