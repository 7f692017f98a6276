//! An operation under way, for other runtimes than our jobs.

use std::fmt;
use std::sync::Arc;

use waitctx::Notifier;

use crate::completion::{Completion, OpSlot};
use crate::request::{Failure, Response};

/// The waiting side of one operation: where its answer is picked up.
///
/// [`OffloadClient`](crate::OffloadClient) does all this for a job of ours. This is for whoever
/// waits in another way: libcrypto's own `ASYNC_JOB`, a future, an event loop.
///
/// ```
/// # use offload::{Op, Output, Pending, Request, Response};
/// # use waitctx::WaitCtx;
/// let ctx = WaitCtx::new();
/// let (pending, completion) = Pending::new(ctx.notifier()?);
/// assert!(pending.take().is_none());
///
/// // What an engine does, on any thread:
/// # let response = Response { data: vec![1].into(), output: Output::None };
/// completion.complete(Ok(response));
///
/// // Woken; the answer is there.
/// ctx.acknowledge()?;
/// assert_eq!(pending.take().expect("answered")?.data[..], [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it gives the operation up: its answer will be thrown away, and the context is told
/// once all the same.
#[must_use = "dropping it gives the operation up"]
pub struct Pending {
    slot: Arc<OpSlot>,
}

impl Pending {
    /// An operation under way: this side waits, the [`Completion`] goes into a
    /// [`Submission`](crate::Submission). The answer wakes `notifier`.
    pub fn new(notifier: Notifier) -> (Pending, Completion) {
        let slot = Arc::new(OpSlot::new());
        let completion = OpSlot::begin(&slot, Some(notifier));
        (Pending { slot }, completion)
    }

    /// Another operation under way in the same place, for who runs one after the other: saves the
    /// memory's way to the allocator and back. Without a `notifier` the same one is woken again. An
    /// operation that was not answered, or whose answer was not taken, is given up.
    ///
    /// ```
    /// # use offload::{Output, Pending, Response};
    /// # use waitctx::WaitCtx;
    /// # let ctx = WaitCtx::new();
    /// # let response = |n| Response { data: vec![n].into(), output: Output::None };
    /// let (mut pending, completion) = Pending::new(ctx.notifier()?);
    /// for n in 1..10 {
    ///     let completion = pending.again(None);
    ///     completion.complete(Ok(response(n)));
    ///     assert_eq!(pending.take().expect("answered")?.data[..], [n]);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn again(&mut self, notifier: Option<Notifier>) -> Completion {
        let notifier = match OpSlot::try_begin(&self.slot, notifier) {
            Ok(completion) => return completion,
            Err(notifier) => notifier,
        };
        let notifier = notifier.or_else(|| self.slot.notifier());
        drop(self.slot.abandon());
        self.slot = Arc::new(OpSlot::new());
        OpSlot::begin(&self.slot, notifier)
    }

    /// The answer, once, when it is there. Never blocks.
    pub fn take(&self) -> Option<Result<Response, Failure>> {
        self.slot.take()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // An answer that nobody picked up goes with it.
        drop(self.slot.abandon());
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}
