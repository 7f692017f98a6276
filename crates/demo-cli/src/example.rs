//! The example of OpenSSL's manual page ASYNC_start_job, step by step, printing the same lines.
//!
//! The page's job makes a pipe, writes a byte to it and pauses; its caller waits for the pipe with
//! select and starts the job again. Here the pipe is an eventfd, select is poll, and starting
//! again is resuming.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use async_core::{JobOutcome, current_job, pause_job, start_job};
use rustix::event::{PollFd, PollFlags, poll};
use waitctx::{Key, WaitCtx, WaitFd, WakeFd};

use crate::error::{Error, RunError};
use crate::out::Out;

/// Runs it.
pub(crate) fn run(out: &mut Out) -> Result<ExitCode, Error> {
    out.line("Starting...")?;
    let ctx = WaitCtx::new();

    // The job prints on this thread, but for its whole life rather than for one call: it takes
    // what it is to say along and hands it over when it pauses or finishes.
    let (say, said) = std::sync::mpsc::channel();
    let mut outcome = start_job(&ctx, move || job("Hello world!", &say))
        .map_err(|e| RunError::Example(e.to_string()))?;
    loop {
        for line in said.try_iter() {
            out.line(line)?;
        }
        match outcome {
            JobOutcome::Finished(result) => {
                let value = result.map_err(|e| RunError::Example(e.to_string()))?;
                out.line(format_args!("Job finished with return value {value}"))?;
                break;
            }
            JobOutcome::Paused(paused) => {
                out.line("Job was paused")?;
                out.line("Waiting for the job to be woken up")?;
                out.flush()?;
                wait_for(&ctx)?;
                outcome = paused.resume();
            }
        }
    }
    out.line("Finishing")?;
    Ok(ExitCode::SUCCESS)
}

fn job(message: &str, say: &std::sync::mpsc::Sender<String>) -> std::io::Result<i32> {
    let tell = |line: String| {
        // Whoever runs this job listens until it has finished.
        let _ = say.send(line);
    };
    let Some(current) = current_job() else {
        tell("Not executing within a job - should not happen".to_owned());
        return Ok(0);
    };
    tell("Executing within a job".to_owned());
    tell(format!("Passed in message is: {message}"));

    // The context owns the fd and closes it when it goes: there is no cleanup to write.
    let wake = Arc::new(WakeFd::new()?);
    let key = Key::new();
    let set = current
        .wait_ctx()
        .set_wait_fd(key, WaitFd::shared(Arc::clone(&wake) as _));
    set.map_err(|e| std::io::Error::other(e.to_string()))?;

    // Normally an engine does this, later and from elsewhere. Here the job is ready to be woken
    // before it has paused, which is as good.
    wake.wake()?;

    // Gives the thread back to `run`.
    pause_job().map_err(std::io::Error::other)?;

    // Clears the wake signal.
    wake.drain()?;
    tell("Resumed the job after a pause".to_owned());
    Ok(1)
}

/// Waits until one of the context's fds is readable.
fn wait_for(ctx: &WaitCtx) -> Result<(), RunError> {
    let fds = ctx.owned_fds();
    let [fd] = &fds[..] else {
        let count = fds.len();
        return Err(RunError::Example(format!(
            "{count} wait fds in place of one"
        )));
    };
    let mut polled = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    poll(&mut polled, None).map_err(|e| RunError::Example(format!("poll: {e}")))?;
    Ok(())
}
