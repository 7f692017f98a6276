//! Standard output that may be a closed pipe, and standard error.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::color::Paint;
use crate::error::RunError;
use crate::human::printable;

/// Standard output, buffered. Once the reader has gone (`| head`) everything written is dropped
/// silently: that is not an error of ours, and the exit status still tells how the run went.
pub(crate) struct Out {
    inner: BufWriter<Stdout>,
    closed: bool,
}

impl Out {
    pub(crate) fn stdout() -> Out {
        Out {
            inner: BufWriter::new(io::stdout()),
            closed: false,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        if self.closed {
            return Ok(());
        }
        let written = self.inner.write_all(bytes);
        self.check(written)
    }

    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), RunError> {
        self.write(format!("{line}\n").as_bytes())
    }

    /// Makes what was written visible.
    pub(crate) fn flush(&mut self) -> Result<(), RunError> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.inner.flush();
        self.check(flushed)
    }

    /// Whether the reader has gone, so that more work is in vain.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The same for who has not written for a while: asks the system. What was written into a pipe
    /// without a reader, or is yet to be, nobody will see.
    pub(crate) fn has_lost_reader(&mut self) -> bool {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        // No wait; if the system cannot say, the next write will.
        let now = Timespec::default();
        if poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR) {
            self.closed = true;
        }
        self.closed
    }

    pub(crate) fn finish(mut self) -> Result<(), RunError> {
        self.flush()
    }

    fn check(&mut self, result: io::Result<()>) -> Result<(), RunError> {
        match result {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(RunError::Stdout),
        }
    }
}

impl Drop for Out {
    /// After an error the buffer still holds what could not be written; trying again on the way
    /// out would only fail again.
    fn drop(&mut self) {
        let fresh = BufWriter::with_capacity(0, io::stdout());
        let _ = std::mem::replace(&mut self.inner, fresh).into_parts();
    }
}

/// What went wrong, in one sentence on standard error. It may name a file, whose name may hold anything.
pub(crate) fn complain(what: impl Display) -> io::Result<()> {
    let name = Paint::stderr().bad("demo-cli:");
    let what = printable(&what.to_string());
    io::stderr().write_all(format!("{name} {what}\n").as_bytes())
}

/// One sentence on standard error, or lines of them, with the program's name before it.
pub(crate) fn say(what: impl Display) -> io::Result<()> {
    let what = what.to_string();
    let lines: Vec<_> = what.split('\n').map(printable).collect();
    io::stderr().write_all(format!("demo-cli: {}\n", lines.join("\n")).as_bytes())
}
