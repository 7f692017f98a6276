//! Many contexts, one place to wait.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::callback::Callback;
use crate::ctx::WaitCtx;
use crate::sync::{AtomicBool, Condvar, Ordering, lock};
use crate::wake_fd::WakeFd;

mod tokens;

use tokens::Shared;
pub(crate) use tokens::{ReadySlot, wake_all};

/// A queue of the contexts that have been woken, and one wake for their owner.
///
/// [`attach`](ReadyQueue::attach) makes it a context's callback. A wake then queues the context's
/// token, on the engine's thread, and wakes the owner only if it sleeps: under load that is
/// nearly never. One thread waits; any number of threads wake.
///
/// Two kinds: [`new`](ReadyQueue::new) parks the waiting thread; [`with_fd`](ReadyQueue::with_fd)
/// has an fd to put into an event loop beside everything else.
///
/// The queue is bounded by the number of attached contexts: each is in it at most once.
pub struct ReadyQueue {
    shared: Arc<Shared>,
    /// Whether to spin before the next sleep. The owner's; relaxed, as it orders nothing.
    spin: AtomicBool,
}

/// How often the owner looks for tokens before it sleeps, if it spins at all: about 5 µs in all. A
/// sleep and a wake cost as much.
#[cfg(not(loom))]
const SPINS: u32 = 100;
/// The owner spins before its next sleep when so many tokens came at once: others are likely to be
/// on their way. With fewer in flight spinning takes longer than sleeping.
const MANY: usize = 4;

impl ReadyQueue {
    /// A queue whose owner waits in [`wait`](ReadyQueue::wait), parked.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "there are two kinds, neither is the default"
    )]
    pub fn new() -> ReadyQueue {
        ReadyQueue::build(None)
    }

    /// A queue with an fd: wait for it in an event loop, or in [`wait`](ReadyQueue::wait).
    ///
    /// # Errors
    ///
    /// `EMFILE` and its like when there is no descriptor left.
    pub fn with_fd() -> io::Result<ReadyQueue> {
        Ok(ReadyQueue::build(Some(WakeFd::new()?)))
    }

    fn build(fd: Option<WakeFd>) -> ReadyQueue {
        ReadyQueue {
            shared: Shared::new(fd),
            spin: AtomicBool::new(false),
        }
    }

    /// Makes this queue the callback of `ctx`: wakes put `token` into it. The token is the
    /// owner's; two contexts may share one.
    ///
    /// Once the queue is dropped, wakes of the contexts that are still attached go nowhere. A token
    /// that is queued already stays queued when its context is attached anew, or elsewhere.
    pub fn attach(&self, ctx: &WaitCtx, token: u64) {
        let slot = Arc::new(ReadySlot::new(&self.shared, token));
        // The error is that of a wake that this queue's own fd did not take. It would be ours to
        // report at the next wait, which reads that fd and reports the same.
        let _ = ctx.set_callback(Callback::queue(slot));
    }

    /// Appends the tokens of the contexts that have been woken, oldest first, and says how many.
    /// Never blocks.
    pub fn drain(&self, tokens: &mut Vec<u64>) -> usize {
        self.shared.take(&mut lock(&self.shared.queue), tokens)
    }

    /// Waits until a context has been woken, or until `timeout` has passed; then does as
    /// [`drain`](ReadyQueue::drain). Returns 0 only after the time-out.
    ///
    /// While many contexts are woken at once it looks for more for some microseconds before it
    /// sleeps.
    ///
    /// # Errors
    ///
    /// Only for a queue with an fd: what the system says of `poll` or of the fd.
    pub fn wait(&self, tokens: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<usize> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let spun = timeout != Some(Duration::ZERO) && self.spin();
        let count = match &self.shared.fd {
            Some(fd) => self.wait_fd(fd, tokens, deadline)?,
            None => self.wait_parked(tokens, deadline),
        };
        self.spin.store(spun || count >= MANY, Ordering::Relaxed);
        Ok(count)
    }

    /// Looks for tokens without the lock, for as long as a sleep would cost, if that is likely to
    /// find any. Says whether it did.
    fn spin(&self) -> bool {
        if !self.spin.load(Ordering::Relaxed) {
            return false;
        }
        // To the model checker a spin is a step that says nothing.
        #[cfg(not(loom))]
        for _ in 0..SPINS {
            if self.shared.some.0.load(Ordering::Relaxed) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    fn wait_parked(&self, tokens: &mut Vec<u64>, deadline: Option<Instant>) -> usize {
        let mut queue = lock(&self.shared.queue);
        loop {
            let count = self.shared.take(&mut queue, tokens);
            if count > 0 {
                self.shared.arm(&mut queue, false);
                return count;
            }
            self.shared.arm(&mut queue, true);
            queue = match deadline {
                None => wait_for_ever(&self.shared.unpark, queue),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        self.shared.arm(&mut queue, false);
                        return 0;
                    }
                    wait_at_most(&self.shared.unpark, queue, left)
                }
            };
        }
    }

    fn wait_fd(
        &self,
        fd: &WakeFd,
        tokens: &mut Vec<u64>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        loop {
            if !self.arm() {
                return Ok(self.drain(tokens));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let left = left.map(|d| {
                Timespec::try_from(d).unwrap_or(Timespec {
                    tv_sec: i64::MAX,
                    tv_nsec: 0,
                })
            });
            let mut fds = [PollFd::new(fd, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            self.disarm()?;
            let count = self.drain(tokens);
            if count > 0 || deadline.is_some_and(|d| Instant::now() >= d) {
                return Ok(count);
            }
        }
    }

    /// Before an event loop sleeps on the [`fd`](ReadyQueue::fd): asks for one write to it at the
    /// next wake. `false` if tokens are waiting already: then do not sleep.
    #[must_use = "when it says false there are tokens to take, and no wake will come for them"]
    pub fn arm(&self) -> bool {
        let mut queue = lock(&self.shared.queue);
        let armed = queue.is_empty();
        self.shared.arm(&mut queue, armed);
        armed
    }

    /// After the event loop's sleep: no more writes to the fd until it is armed again, and the
    /// one that may have come is read. (One that is still on its way ends the next sleep early.)
    ///
    /// # Errors
    ///
    /// None in practice; see [`WakeFd::drain`].
    pub fn disarm(&self) -> io::Result<()> {
        self.shared.arm(&mut lock(&self.shared.queue), false);
        // Also when it was still armed: a write for the sleep before this one may have come after
        // that one's end, and unread it would end every sleep from now on.
        self.shared.fd.as_ref().map_or(Ok(false), WakeFd::drain)?;
        Ok(())
    }

    /// The fd of a queue made by [`with_fd`](ReadyQueue::with_fd).
    #[must_use]
    pub fn fd(&self) -> Option<&WakeFd> {
        self.shared.fd.as_ref()
    }

    /// How often the owner had to be woken so far: at most once per sleep.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        lock(&self.shared.queue).wakes
    }
}

#[cfg(not(loom))]
fn wait_for_ever<'a, T>(
    condvar: &Condvar,
    guard: crate::sync::MutexGuard<'a, T>,
) -> crate::sync::MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|e| e.into_inner())
}

#[cfg(not(loom))]
fn wait_at_most<'a, T>(
    condvar: &Condvar,
    guard: crate::sync::MutexGuard<'a, T>,
    time: Duration,
) -> crate::sync::MutexGuard<'a, T> {
    condvar
        .wait_timeout(guard, time)
        .unwrap_or_else(|e| e.into_inner())
        .0
}

#[cfg(loom)]
fn wait_for_ever<'a, T>(
    condvar: &Condvar,
    guard: crate::sync::MutexGuard<'a, T>,
) -> crate::sync::MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|e| e.into_inner())
}

/// The model has no clock: a bounded wait is one that is woken.
#[cfg(loom)]
fn wait_at_most<'a, T>(
    condvar: &Condvar,
    guard: crate::sync::MutexGuard<'a, T>,
    _time: Duration,
) -> crate::sync::MutexGuard<'a, T> {
    wait_for_ever(condvar, guard)
}

impl Drop for ReadyQueue {
    /// Nobody can take a token any more, so none is kept.
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.shared.queue);
        f.debug_struct("ReadyQueue")
            .field("ready", &queue.len())
            .field("armed", &queue.is_armed())
            .field("wakes", &queue.wakes)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::status::Status;

    /// What a queue shares with its tokens goes with the last of them, whichever goes first.
    #[test]
    fn a_queue_that_is_dropped_with_tokens_in_it_leaks_nothing() {
        for queue in [
            ReadyQueue::new(),
            ReadyQueue::with_fd().expect("an fd to spare"),
        ] {
            let shared = Arc::downgrade(&queue.shared);
            let contexts = [WaitCtx::new(), WaitCtx::new()];
            let notifiers = contexts.each_ref().map(|ctx| {
                queue.attach(ctx, 7);
                ctx.notifier().expect("no fd needed")
            });
            notifiers[0].notify(Status::Ok).expect("queued");
            // The queue and two slots.
            assert_eq!(shared.strong_count(), 3);

            let [first, second] = contexts;
            drop(first);
            // Its token is still queued.
            assert_eq!(shared.strong_count(), 2);
            drop(queue);
            assert_eq!(shared.strong_count(), 1);
            // Queued by nobody, for nobody.
            notifiers[1].notify(Status::Ok).expect("nobody");
            assert_eq!(shared.strong_count(), 1);
            drop(second);
            assert_eq!(shared.strong_count(), 0);
        }
    }
}
