//! Wait fds: what is told apart by more than its number.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use crate::abi::ASYNC_WAIT_CTX;
use crate::check::notes::{At, book};
use crate::check::place::here;

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: libc::dev_t,
    inode: libc::ino_t,
    mode: libc::mode_t,
    /// All eventfds are one inode. The system numbers those that are there (Linux 5.2 and later); so one that
    /// was made after this was closed may look the same.
    eventfd: Option<u64>,
}

/// What is open under a number, if anything.
pub(super) fn identity(fd: RawFd) -> Option<Identity> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the record can be written.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was written; and zeroes are good values, too.
    let stat = unsafe { stat.assume_init() };
    let has_no_type = stat.st_mode & libc::S_IFMT == 0;
    Some(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
        mode: stat.st_mode,
        eventfd: has_no_type.then(|| eventfd_id(fd)).flatten(),
    })
}

fn eventfd_id(fd: RawFd) -> Option<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("eventfd-id:"))?;
    id.trim().parse().ok()
}

/// Whether a number is an open file.
pub(super) fn is_open(fd: RawFd) -> bool {
    // SAFETY: asks about a number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// An fd that was cleared, and whose owner is to close it.
#[derive(Clone, Copy)]
pub(super) struct Cleared {
    pub(super) file: Identity,
    pub(super) ctx: usize,
    pub(super) key: usize,
    pub(super) at: At,
}

/// `ASYNC_WAIT_CTX_set_wait_fd` has set an fd.
#[cold]
pub(crate) fn fd_set(ctx: *mut ASYNC_WAIT_CTX, key: usize, fd: RawFd) {
    let at = here();
    let mut book = book();
    book.cleared.remove(&fd);
    let note = book.ctxs.entry(ctx.addr()).or_default();
    note.fds.push((fd, key, at));
}

/// `ASYNC_WAIT_CTX_clear_fd` has cleared one.
#[cold]
pub(crate) fn fd_cleared(ctx: *mut ASYNC_WAIT_CTX, key: usize, fd: RawFd) {
    let at = here();
    let file = identity(fd);
    let ctx = ctx.addr();
    let mut book = book();
    if let Some(note) = book.ctxs.get_mut(&ctx)
        && let Some(set) = note.fds.iter().rposition(|set| (set.0, set.1) == (fd, key))
    {
        note.fds.remove(set);
    }
    // 0 to 2 are the program's own.
    if let Some(file) = file
        && fd > libc::STDERR_FILENO
    {
        let cleared = Cleared { file, ctx, key, at };
        book.cleared.insert(fd, cleared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    fn eventfd() -> OwnedFd {
        // SAFETY: makes a descriptor, which is this function's own.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        assert!(fd.as_raw_fd() >= 0);
        fd
    }

    /// Two eventfds differ, and one is itself through another number.
    #[test]
    fn a_file_is_more_than_its_number() {
        let (one, other) = (eventfd(), eventfd());
        let again = one.try_clone().expect("another number");
        let of = |fd: &OwnedFd| identity(fd.as_raw_fd()).expect("it is open");
        assert_eq!(of(&one), of(&again));
        assert!(is_open(one.as_raw_fd()));
        assert_eq!(identity(-1), None);
        assert!(!is_open(-1));
        if of(&one).eventfd.is_none() {
            println!("skipped: the system does not number eventfds");
        } else {
            assert_ne!(of(&one), of(&other));
        }
    }
}
