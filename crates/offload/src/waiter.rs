//! Waiting on the spot, for operations outside a job.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use waitctx::{Notifier, ReadyQueue, WaitCtx};

thread_local! {
    static WAITER: Rc<Waiter> = Rc::new(Waiter::new());
}

/// A thread's own wait context, and the place where the thread sleeps on it.
pub(crate) struct Waiter {
    ctx: WaitCtx,
    queue: ReadyQueue,
}

impl Waiter {
    fn new() -> Waiter {
        let waiter = Waiter {
            ctx: WaitCtx::new(),
            queue: ReadyQueue::new(),
        };
        waiter.queue.attach(&waiter.ctx, 0);
        waiter
    }

    /// This thread's; one of its own for a thread whose thread-locals are gone.
    pub(crate) fn get() -> Rc<Waiter> {
        WAITER
            .try_with(Rc::clone)
            .unwrap_or_else(|_| Rc::new(Waiter::new()))
    }

    pub(crate) fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        self.ctx.renew_notifier(kept)
    }

    /// Sleeps until woken, at most until `deadline`. May return for no reason.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        self.queue.wait(&mut Vec::with_capacity(1), left)?;
        Ok(())
    }

    /// Sleeps for a moment, for want of anybody who would wake.
    pub(crate) fn nap() {
        std::thread::park_timeout(Duration::from_micros(50));
    }
}
