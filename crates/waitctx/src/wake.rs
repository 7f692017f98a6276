//! The half of a context that engines share: where a wake goes.

use std::io;
use std::sync::Arc;

use crate::callback::Callback;
use crate::status::Status;
use crate::sync::{AtomicI32, AtomicU8, Mutex, Ordering, lock};
use crate::wake_batch::WakeBatch;
use crate::wake_fd::WakeFd;

/// Shared by the context's owner and every notifier.
pub(crate) struct Wake {
    /// OpenSSL's number, so that C programs can store any. Relaxed: it orders nothing else.
    status: AtomicI32,
    targets: Mutex<Targets>,
}

/// Where wakes go, as a hint that saves the lock on the paths that only ask whether there is a
/// target. Kept by the context's owner and not in [`Wake`], whose memory goes back and forth between
/// the threads with each wake. Written under the lock of `targets`.
pub(crate) struct Hint(AtomicU8);

impl Hint {
    pub(crate) fn new() -> Hint {
        Hint(AtomicU8::new(Route::Nowhere as u8))
    }

    /// Whether a wake has somewhere to go.
    pub(crate) fn has_target(&self) -> bool {
        self.0.load(Ordering::Acquire) != Route::Nowhere as u8
    }

    /// Whether a wake goes to the fd.
    pub(crate) fn goes_to_fd(&self) -> bool {
        self.0.load(Ordering::Acquire) == Route::Fd as u8
    }
}

#[derive(Default)]
struct Targets {
    callback: Option<Callback>,
    fd: Option<Arc<WakeFd>>,
    silent: bool,
    /// The context is gone. Final.
    closed: bool,
    /// A wake came while there was no target; the next target to be set is told at once.
    pending: bool,
    /// A wake for this callback was left in a batch, and may be there still. Whoever takes the
    /// callback's place is told too: its owner may not look at the queue any more when the batch is
    /// flushed.
    held: bool,
}

/// Where a wake goes, in the order of preference of the manual page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Route {
    Nowhere = 0,
    Silent = 1,
    Callback = 2,
    Fd = 3,
    Closed = 4,
}

impl Targets {
    fn route(&self) -> Route {
        if self.closed {
            Route::Closed
        } else if self.silent {
            Route::Silent
        } else if self.callback.is_some() {
            Route::Callback
        } else if self.fd.is_some() {
            Route::Fd
        } else {
            Route::Nowhere
        }
    }

    /// Sends a wake where it goes now. The fd is written here, under the lock: whoever puts
    /// another target in its place finds the wake in it, and after the end of the context nobody
    /// is in the middle of a write. The callback is user code, and handed back to be called
    /// outside the lock.
    fn send(&mut self) -> io::Result<(Route, Option<Callback>)> {
        let route = self.route();
        let mut callback = None;
        match route {
            Route::Callback => callback = self.callback.clone(),
            Route::Fd => self.fd.as_ref().map_or(Ok(()), |fd| fd.wake())?,
            Route::Nowhere => self.pending = true,
            Route::Silent | Route::Closed => {}
        }
        Ok((route, callback))
    }

    /// Takes back a wake that sits unread in the fd, so that the fd does not stay readable for
    /// ever once wakes go elsewhere.
    fn take_back(&mut self) -> io::Result<()> {
        if let Some(fd) = &self.fd {
            self.pending |= fd.drain()?;
        }
        Ok(())
    }
}

impl Wake {
    pub(crate) fn new() -> Wake {
        Wake {
            status: AtomicI32::new(Status::Unsupported.to_raw()),
            targets: Mutex::new(Targets::default()),
        }
    }

    pub(crate) fn status(&self) -> Status {
        Status::from_raw(self.status.load(Ordering::Relaxed))
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status.to_raw(), Ordering::Relaxed);
    }

    pub(crate) fn callback(&self) -> Option<Callback> {
        lock(&self.targets).callback.clone()
    }

    /// Wakes. The status becomes visible before the wake does.
    pub(crate) fn fire(&self, status: Status) -> io::Result<Route> {
        let (route, callback) = {
            let mut targets = lock(&self.targets);
            if !targets.closed {
                self.set_status(status);
            }
            targets.send()?
        };
        callback.map_or(Ok(()), |callback| callback.call())?;
        Ok(route)
    }

    /// Puts a wake that goes to a ready queue into `batch`. Says whether it goes there.
    pub(crate) fn hold_in(&self, status: Status, batch: &mut WakeBatch) -> bool {
        let mut targets = lock(&self.targets);
        let queued = targets.callback.as_ref().and_then(Callback::as_queued);
        match (targets.route(), queued) {
            (Route::Callback, Some(slot)) => {
                self.set_status(status);
                batch.hold(slot);
                targets.held = true;
                true
            }
            _ => false,
        }
    }

    /// Changes the targets; a wake that had nowhere to go goes to the new one.
    fn change(
        &self,
        hint: &Hint,
        change: impl FnOnce(&mut Targets) -> io::Result<()>,
    ) -> io::Result<()> {
        let (changed, owed) = {
            let mut targets = lock(&self.targets);
            let changed = change(&mut targets);
            let route = targets.route();
            hint.0.store(route as u8, Ordering::Release);
            let mut owed = Ok(None);
            if targets.pending && matches!(route, Route::Callback | Route::Fd) {
                owed = targets.send().map(|(_, callback)| callback);
                targets.pending = owed.is_err();
            }
            (changed, owed)
        };
        owed?.map_or(Ok(()), |callback| callback.call())?;
        changed
    }

    /// Sets or unsets the callback. A wake that sits unread in the fd moves on to the callback.
    pub(crate) fn set_callback(
        &self,
        hint: &Hint,
        callback: Option<Callback>,
    ) -> io::Result<Option<Callback>> {
        let mut old = None;
        self.change(hint, |targets| {
            old = std::mem::replace(&mut targets.callback, callback);
            targets.pending |= std::mem::take(&mut targets.held);
            if targets.callback.is_some() {
                targets.take_back()?;
            }
            Ok(())
        })?;
        Ok(old)
    }

    /// Stops and starts telling. A wake that sits unread in the fd is told again at the start.
    pub(crate) fn set_silent(&self, hint: &Hint, silent: bool) -> io::Result<()> {
        self.change(hint, |targets| {
            targets.silent = silent;
            if silent {
                targets.take_back()?;
            }
            Ok(())
        })
    }

    pub(crate) fn set_fd(&self, hint: &Hint, fd: Arc<WakeFd>) -> io::Result<()> {
        self.change(hint, |targets| {
            targets.fd = Some(fd);
            Ok(())
        })
    }

    /// The end of the context: from now on nobody is told.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut targets = lock(&self.targets);
            targets.closed = true;
            (targets.callback.take(), targets.fd.take())
        };
        // Outside the lock: a callback's captures are user code when they are dropped.
        drop(dropped);
    }
}
