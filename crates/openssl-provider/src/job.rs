//! OpenSSL's jobs as this side sees them: where an operation runs in one, and how it is woken.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use async_core::Cancelled;
use offload::{Held, HostJob};
use waitctx::{Callback, Notifier, Status, WaitCtx};

use crate::libcrypto::{self, AsyncCallback, Ptr};

/// The job that runs on this thread.
///
/// It is on the stack of a job that may never be resumed, and once it has paused it holds nothing that would be
/// missed.
pub(crate) struct AsyncJob {
    /// Its wait context. The job runs, so the context is there.
    ctx: Ptr,
    /// The process that it runs in. Its operations are on that one's device.
    pid: u32,
    /// A record that the context does not have yet: it gets it at the first pause. A host learns of an fd only by a
    /// pause, and HAProxy crashes when a connection ends that has an fd which it was not told of.
    fresh: Cell<Option<NonNull<Record>>>,
    pauses: Cell<u64>,
    /// Resumes in a row without a wake.
    idle: Cell<u32>,
}

/// The job that runs on this thread, unless there is none, or it has no wait context.
pub(crate) fn current() -> Option<AsyncJob> {
    let jobs = &libcrypto::get().jobs;
    // SAFETY: it takes nothing, and says null outside a job.
    let job = unsafe { (jobs.ASYNC_get_current_job)() };
    if job.is_null() {
        return None;
    }
    // SAFETY: the job that runs.
    let ctx = unsafe { (jobs.ASYNC_get_wait_ctx)(job) };
    (!ctx.is_null()).then_some(AsyncJob {
        ctx,
        pid: std::process::id(),
        fresh: Cell::new(None),
        pauses: Cell::new(0),
        idle: Cell::new(0),
    })
}

/// The address that names our fd among those of a wait context.
static KEY: u8 = 0;

fn key() -> *const c_void {
    (&raw const KEY).cast()
}

/// What we keep with one of OpenSSL's wait contexts, from the first operation in it until OpenSSL frees it: its one
/// fd, which is the same for ever, since hosts register it once.
struct Record {
    /// Owns the fd. When it goes, whoever still has a notifier tells nobody any more.
    ctx: WaitCtx,
    /// What the operations of paused jobs have, each by its job's address; mostly there is one job. A job that is
    /// never resumed gives its operation up when the context goes.
    held: Mutex<Vec<(usize, Held)>>,
    caller: Arc<Caller>,
    /// Of the process that made it: the fd is shared with those forked since.
    pid: u32,
}

/// The host's callback, as long as its wait context is there.
#[derive(Default)]
struct Caller {
    /// Never locked over the call: a host may hold a lock while its job runs that its callback waits for.
    host: Mutex<Option<Host>>,
    /// Locked over the call, so that the host does not free what the callback uses meanwhile.
    busy: Mutex<()>,
    /// The thread that calls it now, or 0; see [`this_thread`].
    calling: AtomicUsize,
    /// It was called since the job looked last.
    told: AtomicBool,
}

/// A number that tells this thread from the others that run.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| ptr::from_ref(here).addr())
}

/// A callback of a host's.
#[derive(Clone, Copy)]
struct Host {
    callback: AsyncCallback,
    arg: *mut c_void,
    /// Whose status is set before.
    ctx: Ptr,
}

// SAFETY: OpenSSL's contract for the callback is that an engine calls it from any thread; the rest is handed to it
// and to libcrypto only.
unsafe impl Send for Host {}

impl Caller {
    fn lock(&self) -> MutexGuard<'_, Option<Host>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On the device's thread.
    fn call(&self, status: Status) {
        // A callback may free what makes room for another operation of its own context, which is told at once.
        let is_nested = self.is_called_here();
        let _busy = (!is_nested).then(|| self.busy.lock().unwrap_or_else(PoisonError::into_inner));
        let host = *self.lock();
        if let Some(host) = host {
            self.told.store(true, Ordering::Relaxed);
            self.calling.store(this_thread(), Ordering::Relaxed);
            // SAFETY: OpenSSL frees the context only after our clean-up, which takes the host away and waits for this
            // call; or the callback frees it, which is the last that is done with it here. The callback is the
            // host's own for this context.
            unsafe {
                (libcrypto::get().jobs.ASYNC_WAIT_CTX_set_status)(host.ctx, status.to_raw());
                (host.callback)(host.arg);
            }
            if !is_nested {
                self.calling.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Whether this is inside the callback. Only this thread could have put its own number there.
    fn is_called_here(&self) -> bool {
        self.calling.load(Ordering::Relaxed) == this_thread()
    }

    /// No callback is called any more. Says whether one is still under way on another thread.
    fn begin_end(&self) -> bool {
        *self.lock() = None;
        !self.is_called_here() && matches!(self.busy.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// The wait context goes: waits for a callback that is under way on another thread, and calls none any more.
    fn end(&self) {
        if self.begin_end() {
            drop(self.busy.lock());
        }
    }
}

impl Record {
    fn held(&self) -> MutexGuard<'_, Vec<(usize, Held)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the job at this address has. What another job had there is given up: it was on a stack that is
    /// used again, and is never resumed.
    fn hold(&self, key: usize, held: Held) {
        let mut all = self.held();
        let place = all.iter().position(|(job, _)| *job == key);
        let gone = place.map(|place| all.swap_remove(place));
        all.push((key, held));
        // Giving up may call a callback.
        drop(all);
        drop(gone);
    }

    /// Takes leave of the wait context's fd and of what belongs to it.
    ///
    /// # Safety
    ///
    /// `record` is one that was set with `fd`, which nobody uses any more.
    unsafe fn end(record: *mut Record, fd: c_int) {
        // SAFETY: the caller's.
        let record = unsafe { Box::from_raw(record) };
        if record.pid == std::process::id() {
            record.caller.end();
            return;
        }
        // Of the process that we were forked from: its threads have not come along, and may have held
        // its locks. Only the descriptor is ours to close.
        std::mem::forget(record);
        // SAFETY: this process's copy of the record's own descriptor.
        unsafe { libc::close(fd) };
    }
}

/// OpenSSL frees a wait context: its job is done, or will never be resumed.
unsafe extern "C" fn clean_up(_ctx: Ptr, _key: *const c_void, fd: c_int, data: *mut c_void) {
    // SAFETY: the record that was set with the fd; this is called once for it.
    unsafe { Record::end(data.cast(), fd) };
}

impl AsyncJob {
    /// How often it has paused for this operation.
    pub(crate) fn pauses(&self) -> u64 {
        self.pauses.get()
    }

    /// Our record of the context.
    fn record(&self) -> io::Result<&Record> {
        if let Some(fresh) = self.fresh.get() {
            // SAFETY: ours until it is registered, and the context's from then on, which is there as long as the job
            // runs.
            return Ok(unsafe { fresh.as_ref() });
        }
        let jobs = &libcrypto::get().jobs;
        let mut fd = 0;
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the context of the running job; it writes to what it is given.
        let found =
            unsafe { (jobs.ASYNC_WAIT_CTX_get_fd)(self.ctx, key(), &raw mut fd, &raw mut data) };
        if found == 1 && !data.is_null() {
            // SAFETY: what was set under our key is our record, until it is cleaned up, which is not while the job
            // runs: only this thread could.
            let record = unsafe { &*data.cast::<Record>() };
            if record.pid == std::process::id() {
                return Ok(record);
            }
            // Of the process that we were forked from, which waits on the same fd.
            // SAFETY: as above. Clearing does not clean up: the record is then ours to end.
            unsafe {
                (jobs.ASYNC_WAIT_CTX_clear_fd)(self.ctx, key());
                Record::end(data.cast(), fd);
            }
        }
        self.make_record()
    }

    #[cold]
    fn make_record(&self) -> io::Result<&Record> {
        let ctx = WaitCtx::new();
        ctx.notifier()?; // makes the fd
        let record = Box::leak(Box::new(Record {
            ctx,
            held: Mutex::default(),
            caller: Arc::default(),
            pid: std::process::id(),
        }));
        let record = NonNull::from(record);
        self.fresh.set(Some(record));
        // SAFETY: as in `record`.
        Ok(unsafe { record.as_ref() })
    }

    /// Gives the context a record that it does not have yet, for the pause that comes.
    fn register(&self) -> io::Result<()> {
        let Some(record) = self.fresh.get() else {
            return Ok(());
        };
        // SAFETY: as in `record`.
        let Some(fd) = (unsafe { record.as_ref() }).ctx.wake_fd().map(|fd| {
            use std::os::fd::{AsFd, AsRawFd};
            fd.as_fd().as_raw_fd()
        }) else {
            return Err(io::Error::other("a wait context without an fd"));
        };
        let (jobs, data) = (&libcrypto::get().jobs, record.as_ptr().cast());
        // SAFETY: the context of the running job; the record goes with the fd, and `clean_up` takes it.
        let set = unsafe { (jobs.ASYNC_WAIT_CTX_set_wait_fd)(self.ctx, key(), fd, data, clean_up) };
        if set != 1 {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        self.fresh.set(None);
        Ok(())
    }

    /// The host's callback for this context, if it has set one.
    fn host(&self) -> Option<Host> {
        let jobs = &libcrypto::get().jobs;
        let (mut callback, mut arg) = (None, ptr::null_mut());
        // SAFETY: the context of the running job; it writes to what it is given.
        let set = unsafe {
            (jobs.ASYNC_WAIT_CTX_get_callback)(self.ctx, &raw mut callback, &raw mut arg)
        };
        match callback {
            Some(callback) if set == 1 => Some(Host {
                callback,
                arg,
                ctx: self.ctx,
            }),
            _ => None,
        }
    }
}

impl Drop for AsyncJob {
    fn drop(&mut self) {
        let Some(fresh) = self.fresh.get() else {
            return;
        };
        // SAFETY: ours until it is registered.
        if unsafe { fresh.as_ref() }.caller.begin_end() {
            // The host may hold a lock now that its callback waits for. It is waited for when the context goes.
            if self.register().is_ok() {
                return;
            }
        }
        // SAFETY: made by `make_record`, and the context has not got it. Notifiers hold the fd themselves.
        let record = unsafe { Box::from_raw(fresh.as_ptr()) };
        record.caller.end();
    }
}

impl HostJob for AsyncJob {
    fn renew_notifier(&self, kept: &mut Option<Notifier>) -> io::Result<bool> {
        let record = self.record()?;
        let host = self.host();
        let before = std::mem::replace(&mut *record.caller.lock(), host);
        match (before.is_some(), host.is_some()) {
            (false, true) => {
                let (caller, notifier) = (Arc::clone(&record.caller), record.ctx.notifier()?);
                let callback = Callback::new(move || caller.call(notifier.status()));
                record.ctx.set_callback(callback)?;
            }
            (true, false) => {
                record.ctx.clear_callback()?;
            }
            _ => {}
        }
        record.ctx.renew_notifier(kept)
    }

    fn pause(&self, held: &mut Held) -> Result<(), Cancelled> {
        /// Resumes for no reason before it is taken for a pause that is blocked, which returns at once.
        const PATIENCE: u32 = 3;
        if self.register().is_err() {
            // Nobody could resume it. The answer comes all the same.
            std::thread::sleep(Duration::from_micros(50));
            return Ok(());
        }
        let Ok(record) = self.record() else {
            return Err(Cancelled);
        };
        let key = ptr::from_ref(self).addr();
        record.hold(key, held.take());
        self.pauses.set(self.pauses.get() + 1);
        // SAFETY: it takes nothing. The frames of this job's stack stay as they are until it is resumed, or for good.
        let paused = unsafe { (libcrypto::get().jobs.ASYNC_pause_job)() } == 1;
        if std::process::id() != self.pid {
            // Forked meanwhile: the answer is for the process that has submitted it.
            return Err(Cancelled);
        }
        // The context is there, as the job was resumed.
        let Ok(record) = self.record() else {
            return Err(Cancelled);
        };
        let mut all = record.held();
        if let Some(ours) = all.iter().position(|(job, _)| *job == key) {
            *held = all.swap_remove(ours).1;
        }
        drop(all);
        if !paused {
            return Err(Cancelled);
        }
        let told = record.ctx.acknowledge().unwrap_or(false);
        if told || record.caller.told.swap(false, Ordering::Relaxed) {
            self.idle.set(0);
            return Ok(());
        }
        let idle = self.idle.get().saturating_add(1);
        self.idle.set(idle);
        if idle > PATIENCE {
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }
}
