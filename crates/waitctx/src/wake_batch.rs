//! Several wakes, told together.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::ready::{ReadySlot, wake_all};

/// Wakes that are held back, to be told together: an engine's interrupt moderation.
///
/// [`Notifier::hold_in`](crate::Notifier::hold_in) puts a wake in here if its context is attached to a
/// [`ReadyQueue`](crate::ReadyQueue), which is then locked, and its owner woken, once for all of
/// them. If it goes anywhere else, that does nothing and says `false`:
///
/// ```
/// # use waitctx::{ReadyQueue, Status, WaitCtx, WakeBatch};
/// # let queue = ReadyQueue::new();
/// # let contexts = [WaitCtx::new(), WaitCtx::new()];
/// # let mut notifiers = Vec::new();
/// # for (ctx, token) in contexts.iter().zip(0..) {
/// #     queue.attach(ctx, token);
/// #     notifiers.push(ctx.notifier()?);
/// # }
/// let mut batch = WakeBatch::new();
/// for notifier in notifiers {
///     if !notifier.hold_in(Status::Ok, &mut batch) {
///         notifier.notify(Status::Ok)?;
///     }
/// }
/// batch.flush()?;
/// # let mut tokens = Vec::new();
/// # queue.drain(&mut tokens);
/// # assert_eq!(tokens, [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What is held back nobody knows of: [`flush`](WakeBatch::flush) before sleeping, before anything
/// that takes long, and after a bounded number. Dropping it flushes it.
#[derive(Default)]
#[must_use = "the wakes in it are told when it is flushed"]
pub struct WakeBatch {
    held: Vec<Arc<ReadySlot>>,
}

impl WakeBatch {
    /// An empty batch.
    pub fn new() -> WakeBatch {
        WakeBatch::default()
    }

    /// How many wakes are held back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether telling them now would have to wake a thread that sleeps, which takes this one some
    /// microseconds: worth holding back more. A thread that is awake finds them by itself. A hint,
    /// for the first of them; `false` if there are none.
    #[must_use]
    pub fn owner_sleeps(&self) -> bool {
        self.held.first().is_some_and(|slot| slot.owner_sleeps())
    }

    /// Tells all of them.
    ///
    /// # Errors
    ///
    /// What the system says when the write to the fd of a queue failed. Its tokens are queued all
    /// the same, and its next wake writes again.
    pub fn flush(&mut self) -> io::Result<()> {
        wake_all(&mut self.held)
    }

    pub(crate) fn hold(&mut self, slot: &Arc<ReadySlot>) {
        self.held.push(Arc::clone(slot));
    }
}

impl Drop for WakeBatch {
    fn drop(&mut self) {
        // The tokens are queued; see `flush`. There is nobody to report to.
        let _ = self.flush();
    }
}

impl fmt::Debug for WakeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WakeBatch({} held)", self.held.len())
    }
}
