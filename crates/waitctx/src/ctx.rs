//! The context itself.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};

use crate::callback::Callback;
use crate::closing::Closing;
use crate::key::Key;
use crate::notifier::Notifier;
use crate::status::Status;
use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::table::FdTable;
use crate::wait_fd::{SetFdError, WaitFd};
use crate::wake::{Hint, Wake};
use crate::wake_fd::WakeFd;

/// What an application waits on for a job: OpenSSL's `ASYNC_WAIT_CTX`.
///
/// A cheap handle; clones are the same context. When the last one goes, the wait fds that are
/// still set are cleaned up on that thread, newest first, and [`Notifier`]s have nobody left to
/// tell.
///
/// Use one context for one job at a time, over and over. Several jobs may share one only with a
/// callback: resuming any of them resets the record of changes for all, and with an fd the first
/// that is resumed takes note of the others' wakes too, so that whoever shares one must resume all
/// its jobs each time.
#[derive(Clone)]
#[doc(alias = "ASYNC_WAIT_CTX")]
pub struct WaitCtx {
    owner: Arc<Owner>,
}

/// The half of a context that goes with its last handle.
pub(crate) struct Owner {
    /// Whether `table` may have a record to reset: read at every resume, so that a resume costs
    /// no lock. Written under the lock of `table`.
    changed: AtomicBool,
    table: Mutex<FdTable<WaitFd>>,
    /// Made by the first notifier that needs it and kept to the end: hosts that register an fd
    /// once must find it again.
    wake_fd: OnceLock<Arc<WakeFd>>,
    wake: Arc<Wake>,
    hint: Hint,
}

/// See [`change_epoch`]. Std's also under the model checker, whose atomics cannot be statics.
static CHANGE_EPOCH: AtomicU64 = AtomicU64::new(1);

/// A number that grows each time that some context of the process gets a record of changes where it
/// had none; never 0. While it stays the same, a context whose round was begun still has none. With
/// this a job runtime resumes a hundred thousand jobs without reading a hundred thousand contexts.
///
/// A change on another thread is seen here once whatever tells this thread of it has come, and whoever
/// sees the new number sees the record.
#[inline]
#[must_use]
pub fn change_epoch() -> u64 {
    CHANGE_EPOCH.load(Acquire)
}

/// What changed since a job of the context was last resumed; see [`WaitCtx::changes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Fds set, newest first.
    pub added: Vec<RawFd>,
    /// Fds cleared, newest first. A number can be in both lists: take these out first.
    pub removed: Vec<RawFd>,
}

impl WaitCtx {
    /// A context without fds or callback, with status [`Status::Unsupported`].
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_new")]
    pub fn new() -> WaitCtx {
        WaitCtx {
            owner: Arc::new(Owner {
                changed: AtomicBool::new(false),
                table: Mutex::new(FdTable::default()),
                wake_fd: OnceLock::new(),
                wake: Arc::new(Wake::new()),
                hint: Hint::new(),
            }),
        }
    }

    // ---- wait fds ----------------------------------------------------------------------------

    /// Sets a wait fd under `key`.
    ///
    /// # Errors
    ///
    /// [`SetFdError::DuplicateKey`], with the fd, if there is one under this key. (OpenSSL allows
    /// it, and the older fd is hidden; that is [`push_wait_fd`](WaitCtx::push_wait_fd).)
    #[doc(alias = "ASYNC_WAIT_CTX_set_wait_fd")]
    pub fn set_wait_fd(&self, key: Key, fd: WaitFd) -> Result<(), SetFdError> {
        let mut table = lock(&self.owner.table);
        if table.find(key).is_some() {
            return Err(SetFdError::DuplicateKey(fd));
        }
        table.push(key, fd.raw(), fd);
        self.owner.note_change();
        Ok(())
    }

    /// Sets a wait fd under `key`, hiding an older one under the same key until this one is
    /// cleared: what OpenSSL does, for the C interface.
    pub fn push_wait_fd(&self, key: Key, fd: WaitFd) {
        let mut table = lock(&self.owner.table);
        table.push(key, fd.raw(), fd);
        self.owner.note_change();
    }

    /// The number of the newest fd under `key`.
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_fd")]
    pub fn fd(&self, key: Key) -> Option<RawFd> {
        self.owner.fd(key)
    }

    /// The data kept beside the newest fd under `key`.
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_fd")]
    pub fn fd_data(&self, key: Key) -> Option<Arc<dyn Any + Send + Sync>> {
        lock(&self.owner.table).find(key)?.1.data().cloned()
    }

    /// The numbers of all fds, newest first.
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_all_fds")]
    pub fn all_fds(&self) -> Vec<RawFd> {
        lock(&self.owner.table)
            .live()
            .map(|(_, number, _)| number)
            .collect()
    }

    /// The fds that the context owns, newest first: those that a poller can watch without
    /// trusting a number.
    #[must_use]
    pub fn owned_fds(&self) -> Vec<Arc<dyn AsFd + Send + Sync>> {
        lock(&self.owner.table)
            .live()
            .filter_map(|(.., fd)| fd.as_owned().cloned())
            .collect()
    }

    /// What changed in this round: since a job of this context was last resumed, not since the
    /// last call. Reading it changes nothing.
    ///
    /// A round ends when [`pause_job`] returns in the job after a resume, and only then: not when
    /// a job starts, pauses or finishes.
    ///
    /// [`pause_job`]: https://docs.openssl.org/3.0/man3/ASYNC_start_job/
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_changed_fds")]
    pub fn changes(&self) -> Changes {
        let table = lock(&self.owner.table);
        Changes {
            added: table.added().collect(),
            removed: table.removed().collect(),
        }
    }

    /// Whether [`changes`](WaitCtx::changes) would list anything. Cheap: no lock.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.owner.changed.load(Ordering::Relaxed)
    }

    /// Takes out the newest fd under `key` and hands it over; its cleanup function is not called,
    /// now or later. Dropping an owned one closes it once nobody else holds it.
    ///
    /// An fd that was set in this round leaves no trace; an older one is listed as removed until
    /// the round ends.
    #[doc(alias = "ASYNC_WAIT_CTX_clear_fd")]
    pub fn clear_fd(&self, key: Key) -> Option<WaitFd> {
        let mut table = lock(&self.owner.table);
        let (_, fd) = table.clear(key)?;
        if table.changed() {
            self.owner.note_change();
        } else {
            self.owner.changed.store(false, Ordering::Relaxed);
        }
        Some(fd)
    }

    /// Ends the round: resets the record of changes. The job runtime calls it when a pause
    /// returns after a resume; nobody else needs to.
    /// A runtime need not come to each context at each resume: see [`change_epoch`].
    #[inline]
    pub fn begin_round(&self) {
        if self.owner.changed.load(Ordering::Relaxed) {
            self.begin_round_slow();
        }
    }

    #[cold]
    fn begin_round_slow(&self) {
        let mut table = lock(&self.owner.table);
        table.begin_round();
        self.owner.changed.store(false, Ordering::Relaxed);
    }

    // ---- being told --------------------------------------------------------------------------

    /// Sets the callback that engines call instead of writing to the fd. Hands back the one that
    /// was set before; a call to that one may still be under way on another thread.
    ///
    /// A wake that has come and was not seen yet (kept for want of a target, or unread in the wake
    /// fd) is told to the new callback before this returns, on this thread.
    ///
    /// # Errors
    ///
    /// What the system says when such a wake could not be moved. The callback is set all the same.
    #[doc(alias = "ASYNC_WAIT_CTX_set_callback")]
    pub fn set_callback(&self, callback: Callback) -> io::Result<Option<Callback>> {
        (self.owner.wake).set_callback(&self.owner.hint, Some(callback))
    }

    /// Unsets the callback: from now on engines write to the fd. Hands back the one that was set.
    ///
    /// The fd is made by the next [`notifier`](WaitCtx::notifier). A wake that comes before, of an
    /// operation that was submitted when the callback was set, is kept until then: so unset it
    /// between operations.
    ///
    /// # Errors
    ///
    /// As for [`set_callback`](WaitCtx::set_callback).
    #[doc(alias = "ASYNC_WAIT_CTX_set_callback")]
    pub fn clear_callback(&self) -> io::Result<Option<Callback>> {
        self.owner.wake.set_callback(&self.owner.hint, None)
    }

    /// The callback, if one is set.
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_callback")]
    pub fn callback(&self) -> Option<Callback> {
        self.owner.callback()
    }

    /// Asks not to be told at all (`true`), for an application that polls its jobs by resuming
    /// them; `false` takes it back. Wakes that come meanwhile only store their status; one that
    /// came before and was not seen yet is told afterwards.
    ///
    /// # Errors
    ///
    /// What the system says when such a wake could not be moved.
    pub fn set_silent(&self, silent: bool) -> io::Result<()> {
        self.owner.wake.set_silent(&self.owner.hint, silent)
    }

    /// The status that was set last.
    #[must_use]
    #[doc(alias = "ASYNC_WAIT_CTX_get_status")]
    pub fn status(&self) -> Status {
        self.owner.status()
    }

    /// Stores a status for the application to read. Tells nobody.
    #[doc(alias = "ASYNC_WAIT_CTX_set_status")]
    pub fn set_status(&self, status: Status) {
        self.owner.wake.set_status(status);
    }

    /// A handle for an engine to wake this context with.
    ///
    /// If neither a callback is set nor polling asked for, this makes the context's wake fd, once,
    /// and adds it to the wait fds, so that the application finds it there when the job pauses.
    ///
    /// # Errors
    ///
    /// `EMFILE` and its like when there is no descriptor left for the wake fd. Nothing is changed
    /// and nothing is in flight: report it as a failed operation, or set a callback and try again.
    pub fn notifier(&self) -> io::Result<Notifier> {
        if !self.owner.hint.has_target() {
            self.make_wake_fd()?;
        }
        Ok(Notifier::new(Arc::clone(&self.owner.wake)))
    }

    /// Makes `kept` a handle of this context, if it is another's or none, as
    /// [`notifier`](WaitCtx::notifier) does; leaves it alone if it is one. For whoever asks again and
    /// again: the count of handles, which the engine's thread changes too, is then left alone. Says
    /// whether it is another one now.
    ///
    /// # Errors
    ///
    /// As for [`notifier`](WaitCtx::notifier).
    #[inline]
    pub fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        let is_ours = kept.as_ref().is_some_and(|n| n.is_of(self));
        if is_ours && self.owner.hint.has_target() {
            return Ok(false);
        }
        *kept = Some(self.notifier()?);
        Ok(true)
    }

    /// The context's own wake fd, if [`notifier`](WaitCtx::notifier) has made it.
    #[must_use]
    pub fn wake_fd(&self) -> Option<&Arc<WakeFd>> {
        self.owner.wake_fd.get()
    }

    /// Takes note of the wake: makes the wake fd unreadable if wakes go there. Whoever waited
    /// calls it after the resume and before looking for the result, so that a wake that comes in
    /// between is not lost. Says whether there was a wake in the fd.
    ///
    /// # Errors
    ///
    /// None in practice; see [`WakeFd::drain`].
    #[inline]
    pub fn acknowledge(&self) -> io::Result<bool> {
        if !self.owner.hint.goes_to_fd() {
            return Ok(false);
        }
        self.owner.wake_fd.get().map_or(Ok(false), |fd| fd.drain())
    }

    /// Tells this context from others that live.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.owner).addr()
    }

    pub(crate) fn has_wake(&self, wake: &Arc<Wake>) -> bool {
        Arc::ptr_eq(&self.owner.wake, wake)
    }

    #[cold]
    fn make_wake_fd(&self) -> io::Result<()> {
        // Under the table's lock, so that two threads do not make two.
        let mut table = lock(&self.owner.table);
        if self.owner.wake_fd.get().is_some() {
            return Ok(());
        }
        let fd = Arc::new(WakeFd::new()?);
        let fd = self.owner.wake_fd.get_or_init(|| fd);
        let wait_fd = WaitFd::shared(Arc::clone(fd) as _);
        table.push(Key::WAKE, wait_fd.raw(), wait_fd);
        self.owner.note_change();
        (self.owner.wake).set_fd(&self.owner.hint, Arc::clone(fd))
    }
}

impl Default for WaitCtx {
    fn default() -> WaitCtx {
        WaitCtx::new()
    }
}

/// Contexts are equal if they are the same one.
impl PartialEq for WaitCtx {
    fn eq(&self, other: &WaitCtx) -> bool {
        Arc::ptr_eq(&self.owner, &other.owner)
    }
}

impl Eq for WaitCtx {}

impl fmt::Debug for WaitCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.owner.fmt(f)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fds: Vec<RawFd> = lock(&self.table)
            .live()
            .map(|(_, number, _)| number)
            .collect();
        f.debug_struct("WaitCtx")
            .field("fds", &fds)
            .field("callback", &self.callback())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Owner {
    /// There is a record to reset now.
    fn note_change(&self) {
        if !self.changed.load(Ordering::Relaxed) {
            self.changed.store(true, Ordering::Relaxed);
            // Release: whoever sees the new number sees that there is a record.
            CHANGE_EPOCH.fetch_add(1, Release);
        }
    }

    pub(crate) fn callback(&self) -> Option<Callback> {
        self.wake.callback()
    }

    pub(crate) fn status(&self) -> Status {
        self.wake.status()
    }

    pub(crate) fn fd(&self, key: Key) -> Option<RawFd> {
        lock(&self.table).find(key).map(|(number, _)| number)
    }
}

impl Drop for Owner {
    /// Cleans up the fds, newest first, each by its own function if it has one. The context stays
    /// readable meanwhile. A cleanup that panics does not keep the others from running; its panic
    /// goes on afterwards.
    fn drop(&mut self) {
        let mut panic = None;
        loop {
            let Some((key, raw, mut fd)) = lock(&self.table).pop() else {
                break;
            };
            // Also the drop of the fd and its data, which is user code.
            let run = AssertUnwindSafe(|| {
                if let Some(cleanup) = fd.cleanup.take() {
                    let data = fd.data.take();
                    cleanup(&Closing::new(self), key, raw, data);
                }
                drop(fd);
            });
            match catch_unwind(run) {
                Err(first) if panic.is_none() => panic = Some(first),
                // A payload's own drop could panic in turn: it is left alone.
                other => std::mem::forget(other),
            }
        }
        self.wake.close();
        if let Some(panic) = panic
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
