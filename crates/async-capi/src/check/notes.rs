//! What the check mode remembers of jobs, contexts and fds: by handle, in one book under one lock.
//!
//! Nothing calls C, takes a context's lock, makes a place or a report while it holds the book.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard};

use crate::check::fds::Cleared;
use crate::check::place::Place;
use crate::slots::lock;

pub(super) type At = Option<&'static Place>;

/// Everything that is remembered.
pub(super) struct Book {
    /// Jobs that were started and have not finished.
    pub(super) jobs: BTreeMap<usize, JobNote>,
    /// Contexts that were made and not freed.
    pub(super) ctxs: BTreeMap<usize, CtxNote>,
    /// Fds that were cleared and may not have been closed.
    pub(super) cleared: BTreeMap<RawFd, Cleared>,
    /// Where handles ended.
    pub(super) finished: Ended,
    pub(super) freed: Ended,
    /// Functions whose jobs went deep, told already.
    pub(super) deep: BTreeSet<usize>,
}

/// An unfinished job. What was not seen, because the mode was off, is `None`.
#[derive(Clone, Copy)]
pub(super) struct JobNote {
    /// The address of its function; 0 if it is not known.
    pub(super) func: usize,
    /// The context it was started with; 0 for none.
    pub(super) ctx: usize,
    /// The thread that has started it: our number, and the system's.
    pub(super) owner: u64,
    pub(super) thread: libc::pid_t,
    pub(super) started: At,
    /// Where it has paused last.
    pub(super) paused_at: At,
    pub(super) paused: bool,
    /// The lowest address on its stack at which the mode has been at work; 0 for none.
    pub(super) lowest: usize,
    /// It was told that it can never be resumed.
    pub(super) told: bool,
}

/// A context that was not freed.
#[derive(Default)]
pub(super) struct CtxNote {
    pub(super) made: At,
    /// Its unfinished jobs.
    pub(super) jobs: usize,
    /// Where the fds in it were set: number, key, place. Oldest first.
    pub(super) fds: Vec<(RawFd, usize, At)>,
}

impl CtxNote {
    /// Where an fd of it was set.
    pub(super) fn set_at(&self, fd: RawFd, key: usize) -> At {
        let note = self
            .fds
            .iter()
            .rev()
            .find(|note| (note.0, note.1) == (fd, key));
        note.and_then(|note| note.2)
    }
}

/// Handles that are good no more, and where that happened. Of many, those of late.
pub(super) struct Ended {
    places: BTreeMap<usize, At>,
    order: VecDeque<usize>,
}

impl Ended {
    const MOST: usize = 1 << 16;

    const NONE: Ended = Ended {
        places: BTreeMap::new(),
        order: VecDeque::new(),
    };

    pub(super) fn add(&mut self, handle: usize, at: At) {
        if self.places.insert(handle, at).is_none() {
            self.order.push_back(handle);
        }
        if self.order.len() > Ended::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    /// `Some` if the handle was good once.
    pub(super) fn find(&self, handle: usize) -> Option<At> {
        self.places.get(&handle).copied()
    }
}

static BOOK: Mutex<Book> = Mutex::new(Book::EMPTY);

impl Book {
    const EMPTY: Book = Book {
        jobs: BTreeMap::new(),
        ctxs: BTreeMap::new(),
        cleared: BTreeMap::new(),
        finished: Ended::NONE,
        freed: Ended::NONE,
        deep: BTreeSet::new(),
    };

    /// The place at which an fd was set.
    pub(super) fn set_at(&self, ctx: usize, fd: RawFd, key: usize) -> At {
        self.ctxs.get(&ctx)?.set_at(fd, key)
    }
}

pub(super) fn book() -> MutexGuard<'static, Book> {
    lock(&BOOK)
}

/// Forgets everything: the mode was turned off, or this is a forked child, which answers for its own.
pub(super) fn forget() {
    *book() = Book::EMPTY;
}
