//! Many contexts, one place to wait.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::callback::Callback;
use crate::ctx::WaitCtx;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, lock};
use crate::wake_fd::WakeFd;

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
}

struct Shared {
    queue: Mutex<Queue>,
    unpark: Condvar,
    fd: Option<WakeFd>,
}

#[derive(Default)]
struct Queue {
    ready: Vec<Arc<ReadySlot>>,
    /// The owner sleeps, or is about to: the next wake must wake it. Taken by that wake, so that
    /// there is at most one per sleep.
    armed: bool,
    /// The [`ReadyQueue`] is gone: nobody will ever take a token.
    closed: bool,
    wakes: u64,
}

/// One attached context.
pub(crate) struct ReadySlot {
    shared: Arc<Shared>,
    token: u64,
    /// In the queue. Cleared when the token is handed out, before the owner can act on it: a wake
    /// that comes after that queues it again.
    queued: AtomicBool,
}

impl ReadySlot {
    pub(crate) fn wake(self: &Arc<Self>) -> io::Result<()> {
        // AcqRel: whoever finds it queued already must have its result seen by the owner that
        // clears the flag, since that owner will not be told a second time.
        if self.queued.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let asleep = {
            let mut queue = lock(&self.shared.queue);
            if queue.closed {
                return Ok(());
            }
            queue.ready.push(Arc::clone(self));
            let asleep = std::mem::take(&mut queue.armed);
            queue.wakes += u64::from(asleep);
            asleep
        };
        if !asleep {
            return Ok(());
        }
        match &self.shared.fd {
            Some(fd) => fd.wake(),
            None => {
                self.shared.unpark.notify_one();
                Ok(())
            }
        }
    }
}

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
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue::default()),
                unpark: Condvar::new(),
                fd,
            }),
        }
    }

    /// Makes this queue the callback of `ctx`: wakes put `token` into it. The token is the
    /// owner's; two contexts may share one.
    ///
    /// Once the queue is dropped, wakes of the contexts that are still attached go nowhere. A token
    /// that is queued already stays queued when its context is attached anew, or elsewhere.
    pub fn attach(&self, ctx: &WaitCtx, token: u64) {
        let slot = Arc::new(ReadySlot {
            shared: Arc::clone(&self.shared),
            token,
            queued: AtomicBool::new(false),
        });
        // The error is that of a wake that this queue's own fd did not take. It would be ours to
        // report at the next wait, which reads that fd and reports the same.
        let _ = ctx.set_callback(Callback::queue(slot));
    }

    /// Appends the tokens of the contexts that have been woken, oldest first, and says how many.
    /// Never blocks.
    pub fn drain(&self, tokens: &mut Vec<u64>) -> usize {
        let mut queue = lock(&self.shared.queue);
        Self::take(&mut queue, tokens)
    }

    fn take(queue: &mut Queue, tokens: &mut Vec<u64>) -> usize {
        let count = queue.ready.len();
        for slot in queue.ready.drain(..) {
            // Before the owner looks for the result: see `ReadySlot::wake`.
            slot.queued.swap(false, Ordering::AcqRel);
            tokens.push(slot.token);
        }
        count
    }

    /// Waits until a context has been woken, or until `timeout` has passed; then does as
    /// [`drain`](ReadyQueue::drain). Returns 0 only after the time-out.
    ///
    /// # Errors
    ///
    /// Only for a queue with an fd: what the system says of `poll` or of the fd.
    pub fn wait(&self, tokens: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<usize> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        match &self.shared.fd {
            Some(fd) => self.wait_fd(fd, tokens, deadline),
            None => Ok(self.wait_parked(tokens, deadline)),
        }
    }

    fn wait_parked(&self, tokens: &mut Vec<u64>, deadline: Option<Instant>) -> usize {
        let mut queue = lock(&self.shared.queue);
        loop {
            let count = Self::take(&mut queue, tokens);
            if count > 0 {
                queue.armed = false;
                return count;
            }
            queue.armed = true;
            queue = match deadline {
                None => wait_for_ever(&self.shared.unpark, queue),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        queue.armed = false;
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
        queue.armed = queue.ready.is_empty();
        queue.armed
    }

    /// After the event loop's sleep: no more writes to the fd until it is armed again, and the
    /// one that may have come is read. (One that is still on its way ends the next sleep early.)
    ///
    /// # Errors
    ///
    /// None in practice; see [`WakeFd::drain`].
    pub fn disarm(&self) -> io::Result<()> {
        lock(&self.shared.queue).armed = false;
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
    /// Nobody can take a token any more, so none is kept: a token in the queue and the queue in
    /// its token would keep each other alive for ever.
    fn drop(&mut self) {
        let ready = {
            let mut queue = lock(&self.shared.queue);
            queue.closed = true;
            std::mem::take(&mut queue.ready)
        };
        drop(ready);
    }
}

impl fmt::Debug for ReadyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.shared.queue);
        f.debug_struct("ReadyQueue")
            .field("ready", &queue.ready.len())
            .field("armed", &queue.armed)
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
            // Gone from its context, alive in the queue.
            assert_eq!(shared.strong_count(), 3);
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
