//! The wait fds of one context and the record of what changed, as plain data.
//!
//! A *round* ends when a pause returns after a resume, and at no other time
//! ([`FdTable::begin_round`]). Within a round:
//! - an fd that was set is *added*;
//! - an fd of an earlier round that was cleared is *removed*: hidden, but remembered until the
//!   round ends, so that the application can take it out of its poller;
//! - an fd that was set and cleared leaves no trace.

use std::os::fd::RawFd;

use crate::key::Key;
use crate::wait_fd::WaitFd;

/// The entries, oldest first; every listing is newest first, as OpenSSL's is.
#[derive(Default)]
pub(crate) struct FdTable {
    entries: Vec<Entry>,
}

struct Entry {
    key: Key,
    number: RawFd,
    /// Set in the round that runs now. Never true together with `fd: None`: clearing such an
    /// entry drops it from the table.
    added: bool,
    /// `None` once cleared: then only the number is left, for the record.
    fd: Option<WaitFd>,
}

impl FdTable {
    /// Adds an fd, also under a key that is taken: the newest one hides the older.
    pub(crate) fn push(&mut self, key: Key, fd: WaitFd) {
        self.entries.push(Entry {
            key,
            number: fd.raw(),
            added: true,
            fd: Some(fd),
        });
    }

    /// The newest fd under `key`.
    pub(crate) fn find(&self, key: Key) -> Option<&WaitFd> {
        self.live().find(|(k, _)| *k == key).map(|(_, fd)| fd)
    }

    /// Takes out the newest fd under `key`.
    pub(crate) fn clear(&mut self, key: Key) -> Option<WaitFd> {
        let at = self
            .entries
            .iter()
            .rposition(|e| e.key == key && e.fd.is_some())?;
        if self.entries[at].added {
            self.entries.remove(at).fd
        } else {
            self.entries[at].fd.take()
        }
    }

    /// Those that can be waited on, newest first.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Key, &WaitFd)> {
        self.entries
            .iter()
            .rev()
            .filter_map(|e| Some((e.key, e.fd.as_ref()?)))
    }

    /// The numbers set in this round, newest first.
    pub(crate) fn added(&self) -> impl Iterator<Item = RawFd> {
        self.entries
            .iter()
            .rev()
            .filter(|e| e.added)
            .map(|e| e.number)
    }

    /// The numbers cleared in this round, newest first.
    pub(crate) fn removed(&self) -> impl Iterator<Item = RawFd> {
        self.entries
            .iter()
            .rev()
            .filter(|e| e.fd.is_none())
            .map(|e| e.number)
    }

    /// Whether the record holds anything.
    pub(crate) fn changed(&self) -> bool {
        self.entries.iter().any(|e| e.added || e.fd.is_none())
    }

    /// Forgets the record of the round that ends.
    pub(crate) fn begin_round(&mut self) {
        self.entries.retain(|e| e.fd.is_some());
        for entry in &mut self.entries {
            entry.added = false;
        }
    }

    /// Takes out the newest fd of all, for the end of the context. Cleared ones are dropped on
    /// the way: who cleared them disposed of them.
    pub(crate) fn pop(&mut self) -> Option<(Key, WaitFd)> {
        while let Some(entry) = self.entries.pop() {
            if let Some(fd) = entry.fd {
                return Some((entry.key, fd));
            }
        }
        None
    }
}
