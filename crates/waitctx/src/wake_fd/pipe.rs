//! A pipe with bytes in it, for systems without eventfd. Two descriptors; a full pipe is readable,
//! so a write that would block has nothing left to do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, read, retry_on_intr, write};

#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn new() -> io::Result<Pipe> {
        use rustix::pipe::{PipeFlags, pipe_with};
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { reader, writer })
    }

    /// Apple's systems have no `pipe2`: the flags come after, as everybody does there.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn new() -> io::Result<Pipe> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for fd in [&reader, &writer] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Pipe { reader, writer })
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        match retry_on_intr(|| write(&self.writer, &[1])) {
            // AGAIN: the pipe is full, so it is readable.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn drain(&self) -> io::Result<bool> {
        let mut any = false;
        let mut bytes = [0; 512];
        loop {
            match retry_on_intr(|| read(&self.reader, &mut bytes)) {
                Ok(n) => {
                    any |= n > 0;
                    // A short read emptied the pipe; more wakes after it are new ones. Zero
                    // would be an end of file, which cannot come while `writer` is open.
                    if n < bytes.len() {
                        return Ok(any);
                    }
                }
                Err(Errno::AGAIN) => return Ok(any),
                Err(e) => return Err(e.into()),
            }
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn fill(&self) -> io::Result<()> {
        loop {
            match write(&self.writer, &[0; 512]) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
