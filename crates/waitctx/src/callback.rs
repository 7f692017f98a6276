//! Callbacks: the way to be told without a file descriptor.

use std::fmt;
use std::sync::Arc;

use crate::ready::ReadySlot;

/// What a [`Notifier`](crate::Notifier) calls, on the engine's thread, when there is something
/// to resume for.
///
/// It must be short, must not block and must not resume the job: the job belongs to another
/// thread, and the call may come while the job is still on its way into the pause.
/// [`ReadyQueue`](crate::ReadyQueue) is the ready-made one.
#[derive(Clone)]
#[doc(alias = "ASYNC_callback_fn")]
pub struct Callback(Repr);

#[derive(Clone)]
enum Repr {
    Call(Arc<dyn Fn() + Send + Sync>),
    Queue(Arc<ReadySlot>),
}

impl Callback {
    /// A callback that calls `f`. It may be called from any thread, several times at once.
    pub fn new(f: impl Fn() + Send + Sync + 'static) -> Callback {
        Callback(Repr::Call(Arc::new(f)))
    }

    pub(crate) fn queue(slot: Arc<ReadySlot>) -> Callback {
        Callback(Repr::Queue(slot))
    }

    /// Calls it, on this thread.
    ///
    /// # Errors
    ///
    /// Only for a [`ReadyQueue`](crate::ReadyQueue) with an fd, when the write to it fails. The
    /// token is queued all the same.
    ///
    /// # Panics
    ///
    /// If the function panics.
    pub fn call(&self) -> std::io::Result<()> {
        match &self.0 {
            Repr::Call(f) => {
                f();
                Ok(())
            }
            Repr::Queue(slot) => slot.wake(),
        }
    }

    /// The place in a ready queue that it stands for, if it is not a function.
    pub(crate) fn as_queued(&self) -> Option<&Arc<ReadySlot>> {
        match &self.0 {
            Repr::Call(_) => None,
            Repr::Queue(slot) => Some(slot),
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Repr::Call(_) => "Callback(function)",
            Repr::Queue(_) => "Callback(ready queue)",
        })
    }
}
