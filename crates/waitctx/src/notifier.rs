//! The wake handle that an engine holds.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::ctx::WaitCtx;
use crate::status::Status;
use crate::wake::{Route, Wake};
use crate::wake_batch::WakeBatch;

/// Wakes whoever waits on a context. Cloneable, and good for ever: it may be used from any
/// thread, at any time, any number of times, also after the context is gone.
///
/// It keeps alive only what a wake needs, not the context: when the last
/// [`WaitCtx`](crate::WaitCtx) goes, wait fds are cleaned up as if no notifier existed.
#[derive(Clone)]
pub struct Notifier {
    wake: Arc<Wake>,
}

impl Notifier {
    pub(crate) fn new(wake: Arc<Wake>) -> Notifier {
        Notifier { wake }
    }

    /// Stores `status` and tells the context's owner: by the callback if one is set, else by the
    /// fd. A wake that finds neither is kept and told to the first one that is set, so that none
    /// is lost.
    ///
    /// The status does not change whether the owner is told. (Intel's engine tells nobody when
    /// the status is not OK, and an application that waits for the callback then hangs.)
    ///
    /// # Errors
    ///
    /// [`NotifyError`] when the write to the fd failed. The job that waits for it hangs unless
    /// it is resumed some other way, so say so to somebody.
    ///
    /// # Panics
    ///
    /// If the callback panics.
    pub fn notify(&self, status: Status) -> Result<Notified, NotifyError> {
        notified(self.wake.fire(status))
    }

    /// Stores `status` and leaves the wake in `batch`, to be told when that is flushed, if it goes
    /// to a [`ReadyQueue`](crate::ReadyQueue). Otherwise does nothing and says `false`: then
    /// [`notify`](Notifier::notify).
    ///
    /// If the context gets another callback, or none, before the flush, that one is told as well, so
    /// that the wake is not lost with a queue that nobody looks at any more; it may then be told
    /// twice.
    ///
    /// Calls no callback and makes no system call, so it may be used under a lock.
    #[must_use = "when it says false, nobody will be told"]
    pub fn hold_in(&self, status: Status, batch: &mut WakeBatch) -> bool {
        self.wake.hold_in(status, batch)
    }

    /// Whether this one wakes `ctx`.
    #[must_use]
    pub fn is_of(&self, ctx: &WaitCtx) -> bool {
        ctx.has_wake(&self.wake)
    }

    /// The status that was stored last.
    #[must_use]
    pub fn status(&self) -> Status {
        self.wake.status()
    }

    /// Stores `status` and tells nobody.
    pub fn set_status(&self, status: Status) {
        self.wake.set_status(status);
    }
}

fn notified(fired: io::Result<Route>) -> Result<Notified, NotifyError> {
    match fired {
        Ok(Route::Callback) => Ok(Notified::Callback),
        Ok(Route::Fd) => Ok(Notified::Fd),
        Ok(Route::Silent) => Ok(Notified::Silent),
        Ok(Route::Nowhere) => Ok(Notified::Kept),
        Ok(Route::Closed) => Ok(Notified::Gone),
        Err(source) => Err(NotifyError { source }),
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("status", &self.wake.status())
            .finish_non_exhaustive()
    }
}

/// Where a wake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notified {
    /// The callback was called.
    Callback,
    /// The fd was made readable.
    Fd,
    /// The owner polls and asked not to be told.
    Silent,
    /// There was neither callback nor fd: kept for the first that is set.
    Kept,
    /// The context is gone; nobody was there to be told.
    Gone,
}

/// The owner could not be told.
#[derive(Debug, thiserror::Error)]
#[error("the write that wakes the waiting job failed: {source}; resume the job by other means")]
pub struct NotifyError {
    /// What the system said.
    #[source]
    pub source: io::Error,
}
