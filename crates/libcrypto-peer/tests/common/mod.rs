//! What every test here starts with.

use std::env;
use std::ffi::c_int;
use std::io::{self, Write};
use std::thread;

use libcrypto_peer::{JobOutcome, Libcrypto, PeerWaitCtx, StartError};

/// libcrypto, or `None`, with a line on stderr, if this machine has none that can run jobs.
///
/// Where `LIBCRYPTO_PEER` asks for a certain library, not getting it is a failure.
pub(crate) fn peer() -> Option<Libcrypto> {
    let why = match Libcrypto::load() {
        Ok(libcrypto) if libcrypto.is_capable() => return Some(libcrypto),
        Ok(libcrypto) => format!("{} has no jobs on this platform", libcrypto.version()),
        Err(error) => error.to_string(),
    };
    assert!(env::var_os("LIBCRYPTO_PEER").is_none(), "{why}");
    let current = thread::current();
    let test = current.name().unwrap_or("test");
    // Not eprintln: the test harness would swallow it.
    writeln!(io::stderr(), "skipped: {test}: {why}").expect("stderr is writable");
    None
}

/// `Libcrypto::start_job`, for bodies as small as the ones in these tests, and no others.
#[allow(dead_code, reason = "some test files start jobs in another way")]
#[expect(
    unsafe_code,
    reason = "what a body needs of its stack is for us to know"
)]
pub(crate) fn start<F>(
    libcrypto: Libcrypto,
    ctx: &PeerWaitCtx,
    body: F,
) -> Result<JobOutcome, StartError<F>>
where
    F: FnOnce() -> c_int + 'static,
{
    // SAFETY: the bodies in these tests are a few shallow frames without buffers, and leave most of the
    // stack to one panic at a time with its backtrace; no signal handlers are installed that run on it.
    // Those that mix in coroutines use libcrypto through this crate only.
    unsafe { libcrypto.start_job(ctx, body) }
}

/// Resumes until the end; the result, and how often it had paused.
#[allow(dead_code, reason = "not every test file runs jobs to the end")]
pub(crate) fn finish(mut outcome: JobOutcome) -> (i32, u32) {
    let mut pauses = 0;
    loop {
        outcome = match outcome {
            JobOutcome::Finished(result) => return (result, pauses),
            JobOutcome::Paused(job) => {
                pauses += 1;
                job.resume().expect("resumed on its thread, outside jobs")
            }
        };
    }
}
