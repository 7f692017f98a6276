//! A file descriptor that any thread can make readable: an eventfd on Linux, a pipe elsewhere.
//!
//! Both are compiled where both exist, so that the fallback is tested on Linux too; `--cfg
//! waitctx_pipe` makes the whole crate use it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg_attr(
    all(waitctx_pipe, any(not(test), loom)),
    expect(dead_code, reason = "the pipe is asked for")
)]
mod eventfd;
#[cfg_attr(
    all(
        any(target_os = "linux", target_os = "android"),
        not(waitctx_pipe),
        any(not(test), loom)
    ),
    expect(dead_code, reason = "compiled for its tests")
)]
mod pipe;

#[cfg(all(any(target_os = "linux", target_os = "android"), not(waitctx_pipe)))]
use eventfd::EventFd as Imp;
#[cfg(any(not(any(target_os = "linux", target_os = "android")), waitctx_pipe))]
use pipe::Pipe as Imp;

/// A file descriptor that any thread can make readable.
///
/// Close-on-exec and non-blocking. Wakes add up to one: it is readable from the first
/// [`wake`](WakeFd::wake) until the next [`drain`](WakeFd::drain), however many came. Watch it
/// with `select`, `poll` or `epoll`, level-triggered or edge-triggered; read and write it only
/// through these methods.
#[derive(Debug)]
pub struct WakeFd {
    imp: Imp,
    /// The model checker does not see system calls: a step on this stands for each of them, and
    /// puts those on one fd into one order, as the kernel does.
    #[cfg(loom)]
    calls: crate::sync::AtomicBool,
}

impl WakeFd {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// `EMFILE` or `ENFILE` when the process or the system has no descriptor left.
    pub fn new() -> io::Result<WakeFd> {
        Ok(WakeFd {
            imp: Imp::new()?,
            #[cfg(loom)]
            calls: crate::sync::AtomicBool::new(false),
        })
    }

    /// Makes it readable. From any thread; never blocks.
    ///
    /// # Errors
    ///
    /// None in practice: an interrupted write is repeated, and a full counter means that it is
    /// readable already. Whatever else the system reports comes back, since a lost wake is a
    /// job that hangs.
    pub fn wake(&self) -> io::Result<()> {
        self.step();
        self.imp.wake()
    }

    /// Makes it unreadable again. Says whether it was readable.
    ///
    /// # Errors
    ///
    /// None in practice, as for [`wake`](WakeFd::wake).
    pub fn drain(&self) -> io::Result<bool> {
        self.step();
        self.imp.drain()
    }

    #[cfg(not(loom))]
    fn step(&self) {}

    #[cfg(loom)]
    fn step(&self) {
        self.calls.swap(true, crate::sync::Ordering::AcqRel);
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Whoever asks for it is about to poll it.
        self.step();
        self.imp.as_fd()
    }
}

/// One body of tests for every backend.
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    pub(super) fn readable(fd: &impl AsFd) -> bool {
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).expect("poll") == 1
    }

    macro_rules! backend_tests {
        ($name:ident, $backend:ty) => {
            mod $name {
                use super::*;

                #[test]
                fn wakes_add_up_to_one() {
                    let fd = <$backend>::new().expect("open");
                    assert!(!readable(&fd));
                    for _ in 0..3 {
                        fd.wake().expect("wake");
                    }
                    assert!(readable(&fd));
                    assert!(fd.drain().expect("drain"));
                    assert!(!readable(&fd));
                    assert!(!fd.drain().expect("drain"));
                }

                #[test]
                fn a_full_counter_is_a_success() {
                    let fd = <$backend>::new().expect("open");
                    fd.fill().expect("fill");
                    fd.wake().expect("a full counter is readable already");
                    assert!(fd.drain().expect("drain"));
                    assert!(!readable(&fd));
                }

                #[test]
                fn it_is_closed_on_exec_and_does_not_block() {
                    let fd = <$backend>::new().expect("open");
                    let flags = rustix::io::fcntl_getfd(&fd).expect("F_GETFD");
                    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
                    let flags = rustix::fs::fcntl_getfl(&fd).expect("F_GETFL");
                    assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
                }

                #[test]
                fn a_wake_from_another_thread_ends_a_poll() {
                    let fd = <$backend>::new().expect("open");
                    std::thread::scope(|s| {
                        s.spawn(|| fd.wake().expect("wake"));
                        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
                        assert_eq!(poll(&mut fds, None).expect("poll"), 1);
                    });
                }
            }
        };
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    backend_tests!(eventfd_backend, super::super::eventfd::EventFd);
    backend_tests!(pipe_backend, super::super::pipe::Pipe);
}
