//! What an engine says about the operation that a context waits for.

/// What the engine last said through [`Notifier::notify`](crate::Notifier::notify) or
/// [`WaitCtx::set_status`](crate::WaitCtx::set_status).
///
/// The numbers are those of OpenSSL's `ASYNC_STATUS_*`. The library never looks at the status: it
/// is a message from the engine to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Status {
    /// The engine does not use the callback. The state of a new context.
    #[default]
    #[doc(alias = "ASYNC_STATUS_UNSUPPORTED")]
    Unsupported,
    /// The operation failed; the job will say how when it is resumed.
    #[doc(alias = "ASYNC_STATUS_ERR")]
    Err,
    /// The operation was accepted, or is done: go on as told.
    #[doc(alias = "ASYNC_STATUS_OK")]
    Ok,
    /// The engine was busy: resume the job and it will submit again.
    #[doc(alias = "ASYNC_STATUS_EAGAIN")]
    Again,
    /// A number that OpenSSL does not define. C programs may set any.
    Other(i32),
}

impl Status {
    /// The status of OpenSSL's number `raw`. Every number is accepted.
    #[must_use]
    pub const fn from_raw(raw: i32) -> Status {
        match raw {
            0 => Status::Unsupported,
            1 => Status::Err,
            2 => Status::Ok,
            3 => Status::Again,
            other => Status::Other(other),
        }
    }

    /// OpenSSL's number for this status.
    #[must_use]
    pub const fn to_raw(self) -> i32 {
        match self {
            Status::Unsupported => 0,
            Status::Err => 1,
            Status::Ok => 2,
            Status::Again => 3,
            Status::Other(other) => other,
        }
    }
}
