//! The wait fds of one context and the record of what changed, as plain data.

use std::os::fd::RawFd;

use crate::key::Key;

/// The wait fds of one context and the record of what changed: the rules of `ASYNC_WAIT_CTX` as plain
/// data, without a lock. [`WaitCtx`](crate::WaitCtx) is made of it; so is the C interface's context.
/// `F` is what is kept with each fd.
///
/// A *round* ends when a pause returns after a resume, and at no other time
/// ([`FdTable::begin_round`]). Within a round:
/// - an fd that was set is *added*;
/// - an fd of an earlier round that was cleared is *removed*: hidden, but remembered until the
///   round ends, so that the application can take it out of its poller;
/// - an fd that was set and cleared leaves no trace.
///
/// Every listing is newest first, as OpenSSL's is.
#[derive(Debug)]
pub struct FdTable<F> {
    /// Oldest first.
    entries: Vec<Entry<F>>,
}

#[derive(Debug)]
struct Entry<F> {
    key: Key,
    number: RawFd,
    /// Set in the round that runs now. Never true together with `fd: None`: clearing such an
    /// entry drops it from the table.
    added: bool,
    /// `None` once cleared: then only the number is left, for the record.
    fd: Option<F>,
}

impl<F> Default for FdTable<F> {
    fn default() -> FdTable<F> {
        FdTable::new()
    }
}

impl<F> FdTable<F> {
    /// A table without fds. Allocates nothing.
    #[must_use]
    pub const fn new() -> FdTable<F> {
        FdTable {
            entries: Vec::new(),
        }
    }

    /// Adds an fd, also under a key that is taken: the newest one hides the older.
    pub fn push(&mut self, key: Key, number: RawFd, fd: F) {
        self.entries.push(Entry {
            key,
            number,
            added: true,
            fd: Some(fd),
        });
    }

    /// The newest fd under `key`.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<(RawFd, &F)> {
        let mut live = self.live().filter(|(k, ..)| *k == key);
        live.next().map(|(_, number, fd)| (number, fd))
    }

    /// Takes out the newest fd under `key`, and hands over what was kept with it.
    pub fn clear(&mut self, key: Key) -> Option<(RawFd, F)> {
        let at = self
            .entries
            .iter()
            .rposition(|e| e.key == key && e.fd.is_some())?;
        let number = self.entries[at].number;
        let fd = if self.entries[at].added {
            self.entries.remove(at).fd
        } else {
            self.entries[at].fd.take()
        };
        Some((number, fd?))
    }

    /// Those that can be waited on, newest first.
    pub fn live(&self) -> impl Iterator<Item = (Key, RawFd, &F)> {
        self.entries
            .iter()
            .rev()
            .filter_map(|e| Some((e.key, e.number, e.fd.as_ref()?)))
    }

    /// The numbers set in this round, newest first.
    pub fn added(&self) -> impl Iterator<Item = RawFd> {
        self.entries
            .iter()
            .rev()
            .filter(|e| e.added)
            .map(|e| e.number)
    }

    /// The numbers cleared in this round, newest first.
    pub fn removed(&self) -> impl Iterator<Item = RawFd> {
        self.entries
            .iter()
            .rev()
            .filter(|e| e.fd.is_none())
            .map(|e| e.number)
    }

    /// Whether the record holds anything.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.entries.iter().any(|e| e.added || e.fd.is_none())
    }

    /// Forgets the record of the round that ends.
    pub fn begin_round(&mut self) {
        self.entries.retain(|e| e.fd.is_some());
        for entry in &mut self.entries {
            entry.added = false;
        }
    }

    /// Takes out the newest fd of all, for the end of the context. Cleared ones are dropped on
    /// the way: who cleared them disposed of them.
    pub fn pop(&mut self) -> Option<(Key, RawFd, F)> {
        while let Some(entry) = self.entries.pop() {
            if let Some(fd) = entry.fd {
                return Some((entry.key, entry.number, fd));
            }
        }
        None
    }
}
