//! The half of a context that engines share: where a wake goes.

use std::io;
use std::sync::Arc;

use crate::callback::Callback;
use crate::status::Status;
use crate::sync::{AtomicI32, AtomicU8, Mutex, Ordering, lock};
use crate::wake_fd::WakeFd;

/// Shared by the context's owner and every notifier.
pub(crate) struct Wake {
    /// OpenSSL's number, so that C programs can store any. Relaxed: it orders nothing else.
    status: AtomicI32,
    /// Where wakes go, as a hint that saves the lock on the paths that only ask whether there is
    /// a target. Written under the lock of `targets`.
    route: AtomicU8,
    targets: Mutex<Targets>,
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
}

/// What is to be told, decided under the lock and told outside it.
enum Target {
    Callback(Callback),
    Fd(Arc<WakeFd>),
}

impl Target {
    fn tell(self) -> io::Result<()> {
        match self {
            Target::Callback(callback) => callback.call(),
            Target::Fd(fd) => fd.wake(),
        }
    }
}

impl Wake {
    pub(crate) fn new() -> Wake {
        Wake {
            status: AtomicI32::new(Status::Unsupported.to_raw()),
            route: AtomicU8::new(Route::Nowhere as u8),
            targets: Mutex::new(Targets::default()),
        }
    }

    pub(crate) fn status(&self) -> Status {
        Status::from_raw(self.status.load(Ordering::Relaxed))
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.store(status.to_raw(), Ordering::Relaxed);
    }

    /// Whether a wake has somewhere to go, without the lock.
    pub(crate) fn has_target(&self) -> bool {
        self.route.load(Ordering::Acquire) != Route::Nowhere as u8
    }

    /// Whether a wake goes to the fd, without the lock.
    pub(crate) fn goes_to_fd(&self) -> bool {
        self.route.load(Ordering::Acquire) == Route::Fd as u8
    }

    pub(crate) fn callback(&self) -> Option<Callback> {
        lock(&self.targets).callback.clone()
    }

    /// Wakes. The status becomes visible before the wake does.
    pub(crate) fn fire(&self, status: Status) -> io::Result<Route> {
        let (route, target) = {
            let mut targets = lock(&self.targets);
            let route = targets.route();
            if route != Route::Closed {
                self.set_status(status);
            }
            let target = match route {
                Route::Callback => targets.callback.clone().map(Target::Callback),
                Route::Fd => targets.fd.clone().map(Target::Fd),
                Route::Nowhere => {
                    targets.pending = true;
                    None
                }
                Route::Silent | Route::Closed => None,
            };
            (route, target)
        };
        target.map_or(Ok(()), Target::tell)?;
        Ok(route)
    }

    /// Changes the targets; a wake that had nowhere to go goes to the new one.
    fn change(&self, change: impl FnOnce(&mut Targets)) -> io::Result<()> {
        let owed = {
            let mut targets = lock(&self.targets);
            change(&mut targets);
            let route = targets.route();
            self.route.store(route as u8, Ordering::Release);
            let owed = match route {
                Route::Callback if targets.pending => {
                    targets.callback.clone().map(Target::Callback)
                }
                Route::Fd if targets.pending => targets.fd.clone().map(Target::Fd),
                _ => None,
            };
            if owed.is_some() {
                targets.pending = false;
            }
            owed
        };
        owed.map_or(Ok(()), Target::tell)
    }

    /// Sets or unsets the callback. A wake that sits unread in the fd moves on to the callback,
    /// so that the fd does not stay readable for ever.
    pub(crate) fn set_callback(&self, callback: Option<Callback>) -> io::Result<Option<Callback>> {
        let mut old = None;
        let setting = callback.is_some();
        let mut drained = Ok(false);
        let told = self.change(|targets| {
            old = std::mem::replace(&mut targets.callback, callback);
            if let (true, Some(fd)) = (setting, &targets.fd) {
                drained = fd.drain();
                targets.pending |= matches!(drained, Ok(true));
            }
        });
        told?;
        drained?;
        Ok(old)
    }

    pub(crate) fn set_silent(&self, silent: bool) -> io::Result<()> {
        self.change(|targets| targets.silent = silent)
    }

    pub(crate) fn set_fd(&self, fd: Arc<WakeFd>) -> io::Result<()> {
        self.change(|targets| targets.fd = Some(fd))
    }

    /// The end of the context: from now on nobody is told.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut targets = lock(&self.targets);
            targets.closed = true;
            self.route.store(Route::Closed as u8, Ordering::Release);
            (targets.callback.take(), targets.fd.take())
        };
        // Outside the lock: a callback's captures are user code when they are dropped.
        drop(dropped);
    }
}
