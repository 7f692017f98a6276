//! A file descriptor that an application waits on for a job, with what belongs to it.

use std::any::Any;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use crate::closing::Closing;
use crate::key::Key;

/// What an engine leaves beside its fd to find again.
pub(crate) type Data = Arc<dyn Any + Send + Sync>;

/// Called when the context goes with the fd still in it.
pub(crate) type Cleanup = Box<dyn FnOnce(&Closing<'_>, Key, RawFd, Option<Data>) + Send + Sync>;

/// A wait fd: readable when the job should be resumed.
///
/// Either *owned*, and closed when the context and everybody who holds it have let go; or
/// *foreign*, a number that somebody else keeps open, which is how C programs register theirs.
#[must_use]
pub struct WaitFd {
    pub(crate) source: Source,
    /// Read once, here: `as_fd` can be the user's, and must not run under a lock of ours.
    number: RawFd,
    pub(crate) data: Option<Data>,
    pub(crate) cleanup: Option<Cleanup>,
}

pub(crate) enum Source {
    Owned(Arc<dyn AsFd + Send + Sync>),
    Foreign,
}

impl WaitFd {
    /// A wait fd that the context owns: an `OwnedFd`, a socket, a [`WakeFd`](crate::WakeFd), or an
    /// `Arc` of one that is shared with the engine.
    pub fn owned(fd: impl AsFd + Send + Sync + 'static) -> WaitFd {
        WaitFd::shared(Arc::new(fd))
    }

    /// A wait fd that the context owns together with whoever else holds the `Arc`.
    pub fn shared(fd: Arc<dyn AsFd + Send + Sync>) -> WaitFd {
        WaitFd {
            number: fd.as_fd().as_raw_fd(),
            source: Source::Owned(fd),
            data: None,
            cleanup: None,
        }
    }

    /// A wait fd that is only a number here. It is never checked, written or closed by the
    /// context; say in [`on_cleanup`](WaitFd::on_cleanup) how it is disposed of.
    pub fn foreign(fd: RawFd) -> WaitFd {
        WaitFd {
            number: fd,
            source: Source::Foreign,
            data: None,
            cleanup: None,
        }
    }

    /// Data to keep beside the fd (OpenSSL's `custom_data`).
    pub fn with_data(mut self, data: Arc<dyn Any + Send + Sync>) -> WaitFd {
        self.data = Some(data);
        self
    }

    /// What to do when the context goes while the fd is still in it. Not called when the fd is
    /// cleared: whoever clears it disposes of it.
    pub fn on_cleanup(
        mut self,
        cleanup: impl FnOnce(&Closing<'_>, Key, RawFd, Option<Arc<dyn Any + Send + Sync>>)
        + Send
        + Sync
        + 'static,
    ) -> WaitFd {
        self.cleanup = Some(Box::new(cleanup));
        self
    }

    /// The fd's number. For an owned fd it is good as long as this value lives.
    #[must_use]
    pub fn raw(&self) -> RawFd {
        self.number
    }

    /// The fd itself, if the context owns it.
    #[must_use]
    pub fn as_owned(&self) -> Option<&Arc<dyn AsFd + Send + Sync>> {
        match &self.source {
            Source::Owned(fd) => Some(fd),
            Source::Foreign => None,
        }
    }

    /// The data kept beside it.
    #[must_use]
    pub fn data(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.data.as_ref()
    }
}

impl fmt::Debug for WaitFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFd")
            .field("fd", &self.raw())
            .field("owned", &self.as_owned().is_some())
            .field("data", &self.data.is_some())
            .field("cleanup", &self.cleanup.is_some())
            .finish()
    }
}

/// Why a wait fd was not set. The fd comes back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetFdError {
    /// The context already has an fd under this key: clear that one first.
    #[error("the wait context already has an fd under this key; clear it before setting another")]
    DuplicateKey(WaitFd),
}

impl SetFdError {
    /// The fd that was not set.
    pub fn into_fd(self) -> WaitFd {
        match self {
            SetFdError::DuplicateKey(fd) => fd,
        }
    }
}
