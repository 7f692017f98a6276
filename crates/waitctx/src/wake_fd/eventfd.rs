//! `eventfd(2)`: a 64-bit counter in the kernel, readable while it is not zero. One descriptor
//! and about 190 ns a write; a write that would overflow the counter reports `EAGAIN`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, retry_on_intr, write};

#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<EventFd> {
        Ok(EventFd(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.add(1)
    }

    pub(crate) fn drain(&self) -> io::Result<bool> {
        let mut count = [0; 8];
        match retry_on_intr(|| read(&self.0, &mut count)) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn add(&self, count: u64) -> io::Result<()> {
        match retry_on_intr(|| write(&self.0, &count.to_ne_bytes())) {
            // AGAIN: the counter is at its limit, so the fd is readable.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn fill(&self) -> io::Result<()> {
        self.add(u64::MAX - 1)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
