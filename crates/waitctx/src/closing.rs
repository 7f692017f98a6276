//! What a cleanup function may still see of its context.

use std::os::fd::RawFd;

use crate::callback::Callback;
use crate::ctx::Owner;
use crate::key::Key;
use crate::status::Status;

/// A context on its way out, as the cleanup functions of its fds see it: still readable, with the
/// fds that are not cleaned up yet.
#[derive(Debug)]
pub struct Closing<'a> {
    owner: &'a Owner,
}

impl<'a> Closing<'a> {
    pub(crate) fn new(owner: &'a Owner) -> Closing<'a> {
        Closing { owner }
    }

    /// The callback, if one is set.
    #[must_use]
    pub fn callback(&self) -> Option<Callback> {
        self.owner.callback()
    }

    /// The status that was set last.
    #[must_use]
    pub fn status(&self) -> Status {
        self.owner.status()
    }

    /// The fd under `key`, unless it has been cleaned up.
    #[must_use]
    pub fn fd(&self, key: Key) -> Option<RawFd> {
        self.owner.fd(key)
    }
}
