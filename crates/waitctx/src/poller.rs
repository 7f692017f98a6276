//! An epoll set of many contexts: the event loop for applications that wait on one fd per job.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{Timespec, epoll};

use crate::ctx::WaitCtx;

/// Watches the owned wait fds of many contexts, level-triggered.
///
/// Linux only, like epoll. It holds each fd it watches, so that a number cannot be reused while
/// it is in the set. Foreign fds are numbers that it does not trust: it refuses them, and an
/// application that has such fds watches them itself.
pub struct FdPoller {
    epoll: rustix::fd::OwnedFd,
    watched: HashMap<RawFd, Watched>,
}

struct Watched {
    fd: Arc<dyn AsFd + Send + Sync>,
    token: u64,
    /// The context it is watched for. An address is enough: a context that is gone has nobody
    /// left to watch for, if it is taken for a new one.
    ctx: usize,
}

impl std::fmt::Debug for FdPoller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FdPoller")
            .field("watched", &self.watched.len())
            .finish_non_exhaustive()
    }
}

/// Why a context's fds could not be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollerError {
    /// The context has a foreign fd, which could be anything by now.
    #[error("fd {fd} of the wait context is not owned by it; watch it in your own event loop")]
    Foreign {
        /// Its number.
        fd: RawFd,
    },
    /// The fd is watched for another context. It can be reported for one only.
    #[error("fd {fd} is watched for another wait context; give each context an fd of its own")]
    Shared {
        /// Its number.
        fd: RawFd,
    },
    /// The system refused.
    #[error("the system refused to watch a wait fd: {0}")]
    System(#[from] io::Error),
}

impl FdPoller {
    /// At most this many tokens come from one wait.
    pub const BATCH: usize = 1024;

    /// An empty set.
    ///
    /// # Errors
    ///
    /// `EMFILE` and its like when there is no descriptor left.
    pub fn new() -> io::Result<FdPoller> {
        Ok(FdPoller {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            watched: HashMap::new(),
        })
    }

    /// Follows what changed in `ctx`: stops watching the fds it cleared, then watches those it
    /// set, under `token`. Call it after each pause; nothing is done when nothing changed.
    ///
    /// # Errors
    ///
    /// [`PollerError::Foreign`] for a foreign fd and [`PollerError::Shared`] for one that is watched
    /// for another context; the others are watched all the same.
    pub fn follow(&mut self, ctx: &WaitCtx, token: u64) -> Result<(), PollerError> {
        if !ctx.has_changes() {
            return Ok(());
        }
        let changes = ctx.changes();
        for number in changes.removed {
            self.forget(number, ctx)?;
        }
        let owned = ctx.owned_fds();
        let mut refused = Ok(());
        for number in changes.added {
            match owned.iter().find(|fd| fd.as_fd().as_raw_fd() == number) {
                Some(fd) => match self.watch(number, fd, ctx, token) {
                    Err(shared @ PollerError::Shared { .. }) => refused = Err(shared),
                    other => other?,
                },
                None => refused = Err(PollerError::Foreign { fd: number }),
            }
        }
        refused
    }

    /// Stops watching every fd of `ctx`.
    ///
    /// # Errors
    ///
    /// What the system says of `epoll_ctl`.
    pub fn leave(&mut self, ctx: &WaitCtx) -> io::Result<()> {
        // Also those that it has cleared and that were not followed since.
        let removed = ctx.changes().removed;
        (removed.into_iter().chain(ctx.all_fds())).try_for_each(|number| self.forget(number, ctx))
    }

    /// Waits until a watched fd is readable, or until `timeout` has passed. Appends the tokens of
    /// the readable ones, at most [`BATCH`](FdPoller::BATCH) of them, and says how many: 0 only
    /// after the time-out, or when a signal came.
    ///
    /// # Errors
    ///
    /// What the system says of `epoll_wait`.
    pub fn wait(&mut self, tokens: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        // Not kept from wait to wait: an event can hold a pointer, and would tie the poller to
        // its thread.
        let mut events = [const { MaybeUninit::uninit() }; FdPoller::BATCH];
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((ready, _)) => {
                tokens.extend(ready.iter().map(|event| event.data.u64()));
                Ok(ready.len())
            }
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }

    fn watch(
        &mut self,
        number: RawFd,
        fd: &Arc<dyn AsFd + Send + Sync>,
        ctx: &WaitCtx,
        token: u64,
    ) -> Result<(), PollerError> {
        let ctx = ctx.address();
        // A record is listed until the next resume, so the same fd can be met twice.
        if let Some(known) = self.watched.get(&number)
            && Arc::ptr_eq(&known.fd, fd)
        {
            if known.ctx != ctx {
                return Err(PollerError::Shared { fd: number });
            }
            if known.token == token {
                return Ok(());
            }
        }
        if let Some(known) = self.watched.remove(&number) {
            epoll::delete(&self.epoll, &known.fd).map_err(io::Error::from)?;
        }
        let data = epoll::EventData::new_u64(token);
        epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN).map_err(io::Error::from)?;
        let fd = Arc::clone(fd);
        self.watched.insert(number, Watched { fd, token, ctx });
        Ok(())
    }

    /// Stops watching what `ctx` has, or had, under `number`. A record outlives its fd, so the
    /// number may be another context's by now: that one is left alone.
    fn forget(&mut self, number: RawFd, ctx: &WaitCtx) -> io::Result<()> {
        match self.watched.entry(number) {
            Entry::Occupied(entry) if entry.get().ctx == ctx.address() => {
                Ok(epoll::delete(&self.epoll, &entry.remove().fd)?)
            }
            _ => Ok(()),
        }
    }
}
