//! What several of the tests need.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use waitctx::Callback;

/// For waits that must end because somebody wakes: a lost wake is then a failure, not a hang.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Whether `fd` is readable now.
pub(crate) fn readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("poll") == 1
}

/// An fd to give away, and the other end, which sees what becomes of it. (Asking for the number
/// would not do: another test may have got it by now.)
pub(crate) fn watched_fd() -> (PipeReader, OtherEnd) {
    let (reader, writer) = std::io::pipe().expect("pipe");
    (reader, OtherEnd(writer))
}

/// The other end of [`watched_fd`].
pub(crate) struct OtherEnd(PipeWriter);

impl OtherEnd {
    /// Makes the fd readable.
    pub(crate) fn write(&mut self) {
        self.0.write_all(&[1]).expect("write");
    }

    /// Whether the last holder of the fd has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default())).expect("poll");
        fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
}

impl AsFd for OtherEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How often something was done.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A callback that counts its calls here.
    pub(crate) fn callback(&self) -> Callback {
        let count = self.clone();
        Callback::new(move || count.add())
    }
}
