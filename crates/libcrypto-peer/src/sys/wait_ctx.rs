//! Wait contexts: how a paused job's host is told that it can go on.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

use super::api::{AsyncFd, CallbackFn};
use super::library::Libcrypto;
use crate::raw::AsyncWaitCtx;
use crate::{PeerError, WaitFdError};

/// A wait context of libcrypto's: keyed wait descriptors, a callback, a status.
///
/// Clones are handles on one context. It is freed with the last of them, and a job holds one until it
/// finishes; a job that is leaked leaks its context.
///
/// libcrypto's contexts have no locks, so this is neither `Send` nor `Sync`. What an engine's thread
/// needs, it gets beforehand: a duplicate of the descriptor, or [`callback`](Self::callback).
#[doc(alias = "ASYNC_WAIT_CTX")]
#[derive(Debug, Clone)]
pub struct PeerWaitCtx(Rc<Inner>);

struct Inner {
    libcrypto: Libcrypto,
    ctx: NonNull<AsyncWaitCtx>,
    /// Keeps alive what the context's callback argument points to.
    callback: RefCell<Option<Arc<Callback>>>,
}

struct Callback(Box<dyn Fn() + Send + Sync>);

impl PeerWaitCtx {
    /// Makes an empty context: no descriptors, no callback, [`Status::UNSUPPORTED`].
    ///
    /// # Errors
    ///
    /// [`PeerError`] if there is no memory.
    #[doc(alias = "ASYNC_WAIT_CTX_new")]
    pub fn new(libcrypto: Libcrypto) -> Result<Self, PeerError> {
        // SAFETY: no preconditions.
        let ctx = unsafe { (libcrypto.api.functions.wait_ctx_new)() };
        let ctx = NonNull::new(ctx).ok_or_else(|| libcrypto.api.failure("ASYNC_WAIT_CTX_new"))?;
        Ok(Self(Rc::new(Inner {
            libcrypto,
            ctx,
            callback: RefCell::new(None),
        })))
    }

    /// Adds a wait descriptor, such as an eventfd that the engine writes to when it is done.
    ///
    /// The context owns it and closes it when it is freed. Keys are compared as numbers; C programs
    /// use an address for one. libcrypto accepts a key twice: the newer entry then hides the older.
    ///
    /// # Errors
    ///
    /// [`WaitFdError`], with the descriptor, if there is no memory.
    #[doc(alias = "ASYNC_WAIT_CTX_set_wait_fd")]
    pub fn set_wait_fd(&self, key: usize, fd: OwnedFd) -> Result<(), WaitFdError> {
        self.add_fd(key, fd)
            .map_err(|(fd, cause)| WaitFdError { fd, cause })
    }

    /// Adds a wait descriptor that others hold too, such as the engine that writes to it.
    ///
    /// As [`set_wait_fd`](Self::set_wait_fd), but that it is closed with the last of its holders.
    ///
    /// # Errors
    ///
    /// [`PeerError`] if there is no memory.
    #[doc(alias = "ASYNC_WAIT_CTX_set_wait_fd")]
    pub fn share_wait_fd<T: AsFd + 'static>(
        &self,
        key: usize,
        fd: Arc<T>,
    ) -> Result<(), PeerError> {
        self.add_fd(key, fd).map_err(|(_, cause)| cause)
    }

    fn add_fd<T: AsFd + 'static>(&self, key: usize, fd: T) -> Result<(), (T, PeerError)> {
        let owner = Box::into_raw(Box::new(fd));
        // SAFETY: from Box::into_raw, and shared by nobody yet.
        let number = unsafe { &*owner }.as_fd().as_raw_fd();
        // SAFETY: the context is alive as long as `self`. The key is only ever compared. `release` is
        // called at most once, with `owner`, which nobody else uses if this succeeds.
        let added = unsafe {
            (self.functions().wait_ctx_set_wait_fd)(
                self.as_ptr(),
                ptr::without_provenance(key),
                number,
                owner.cast(),
                Some(release::<T>),
            )
        };
        if added == 1 {
            return Ok(());
        }
        // SAFETY: from Box::into_raw above; libcrypto stored nothing and does not call the clean-up.
        let fd = unsafe { Box::from_raw(owner) };
        Err((*fd, self.failure("ASYNC_WAIT_CTX_set_wait_fd")))
    }

    /// The newest descriptor with this key.
    #[doc(alias = "ASYNC_WAIT_CTX_get_fd")]
    #[must_use]
    pub fn fd(&self, key: usize) -> Option<BorrowedFd<'_>> {
        let mut fd = -1;
        let mut custom_data = ptr::null_mut();
        // SAFETY: the context is alive as long as `self`, and both outputs are valid for the call.
        let found = unsafe {
            (self.functions().wait_ctx_get_fd)(
                self.as_ptr(),
                ptr::without_provenance(key),
                &raw mut fd,
                &raw mut custom_data,
            )
        };
        if found != 1 {
            return None;
        }
        // SAFETY: as in `all_fds`.
        Some(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// All descriptors, newest first.
    #[doc(alias = "ASYNC_WAIT_CTX_get_all_fds")]
    #[must_use]
    pub fn all_fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut count = 0;
        // SAFETY: the context is alive as long as `self`; a null array asks for the count alone.
        unsafe {
            (self.functions().wait_ctx_get_all_fds)(self.as_ptr(), ptr::null_mut(), &raw mut count)
        };
        let mut fds: Vec<AsyncFd> = vec![-1; count];
        // SAFETY: writes `count` descriptors, as above: nothing has been added since, on this thread
        // or, the context not being Send, on another.
        unsafe {
            (self.functions().wait_ctx_get_all_fds)(self.as_ptr(), fds.as_mut_ptr(), &raw mut count)
        };
        fds.into_iter()
            // SAFETY: the entry was made by `add_fd`, so it has the number that a box there lent for as
            // long as it lives, which is until the context is freed, not before `self` is gone (nothing
            // here removes entries). Or it was made through `as_ptr`, whose user has promised as much.
            .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
            .collect()
    }

    /// Sets the function that an engine calls when the paused job can go on; replaces the last one.
    ///
    /// libcrypto itself never calls it. An engine calls it from any thread: it should be short, not
    /// block, and not try to resume the job. A panic in it ends there.
    ///
    /// # Errors
    ///
    /// [`PeerError`] if libcrypto refuses; the last callback then stays.
    #[doc(alias = "ASYNC_WAIT_CTX_set_callback")]
    pub fn set_callback(
        &self,
        callback: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), PeerError> {
        let callback = Arc::new(Callback(Box::new(callback)));
        let arg = Arc::as_ptr(&callback).cast_mut().cast();
        // SAFETY: the context is alive as long as `self`. `run_callback` takes a pointer to a
        // Callback, which is kept alive below for as long as the context has the pointer.
        let set = unsafe {
            (self.functions().wait_ctx_set_callback)(self.as_ptr(), Some(run_callback), arg)
        };
        if set != 1 {
            return Err(self.failure("ASYNC_WAIT_CTX_set_callback"));
        }
        let last = self.0.callback.replace(Some(callback));
        // After the borrow: what the closure captured may come back to this context when dropped.
        drop(last);
        Ok(())
    }

    /// Removes the callback and drops it, unless a [`PeerCallback`] still holds it.
    ///
    /// # Errors
    ///
    /// [`PeerError`] if libcrypto refuses; the callback then stays.
    #[doc(alias = "ASYNC_WAIT_CTX_set_callback")]
    pub fn clear_callback(&self) -> Result<(), PeerError> {
        // SAFETY: the context is alive as long as `self`; a null callback means none.
        let set = unsafe {
            (self.functions().wait_ctx_set_callback)(self.as_ptr(), None, ptr::null_mut())
        };
        if set != 1 {
            return Err(self.failure("ASYNC_WAIT_CTX_set_callback"));
        }
        let last = self.0.callback.take();
        drop(last);
        Ok(())
    }

    /// The callback as libcrypto has stored it, to be called on any thread; `None` if there is none,
    /// or not one of [`set_callback`](Self::set_callback)'s.
    #[doc(alias = "ASYNC_WAIT_CTX_get_callback")]
    #[must_use]
    pub fn callback(&self) -> Option<PeerCallback> {
        let mut function = None;
        let mut arg = ptr::null_mut();
        // SAFETY: the context is alive as long as `self`, and both outputs are valid for the call.
        let found = unsafe {
            (self.functions().wait_ctx_get_callback)(self.as_ptr(), &raw mut function, &raw mut arg)
        };
        let closure = self.0.callback.borrow().clone()?;
        let ours = found == 1 && ptr::addr_eq(arg, Arc::as_ptr(&closure));
        Some(PeerCallback {
            function: function.filter(|_| ours)?,
            closure,
        })
    }

    /// The status last set. libcrypto does not read it: it is between engine and host.
    #[doc(alias = "ASYNC_WAIT_CTX_get_status")]
    #[must_use]
    pub fn status(&self) -> Status {
        // SAFETY: the context is alive as long as `self`.
        Status(unsafe { (self.functions().wait_ctx_get_status)(self.as_ptr()) })
    }

    /// Sets the status.
    ///
    /// # Errors
    ///
    /// [`PeerError`] if libcrypto refuses; no release does.
    #[doc(alias = "ASYNC_WAIT_CTX_set_status")]
    pub fn set_status(&self, status: Status) -> Result<(), PeerError> {
        // SAFETY: the context is alive as long as `self`; any int is accepted.
        let set = unsafe { (self.functions().wait_ctx_set_status)(self.as_ptr(), status.0) };
        if set == 1 {
            Ok(())
        } else {
            Err(self.failure("ASYNC_WAIT_CTX_set_status"))
        }
    }

    /// The C object, for [`raw`](crate::raw) calls and for engines.
    ///
    /// Whoever uses it keeps to what this type relies on: the context is used on this thread and not
    /// freed; descriptors added to it are open, and stay so until it is freed; the callback that
    /// [`set_callback`](Self::set_callback) stored is not kept longer than it is set; and a handle on
    /// the context outlives every job started on it.
    #[must_use]
    pub fn as_ptr(&self) -> *mut AsyncWaitCtx {
        self.0.ctx.as_ptr()
    }

    fn functions(&self) -> &'static super::api::Functions {
        &self.0.libcrypto.api.functions
    }

    fn failure(&self, function: &'static str) -> PeerError {
        self.0.libcrypto.api.failure(function)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the last handle is gone, so no job that could still run refers to the context (a
        // paused one owns a handle), and nobody has the pointer but us. Freed once: here. The
        // clean-up functions that this calls do not use the context.
        unsafe { (self.libcrypto.api.functions.wait_ctx_free)(self.ctx.as_ptr()) }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("ctx", &self.ctx)
            .field("has_callback", &self.callback.borrow().is_some())
            .finish_non_exhaustive()
    }
}

/// Called by libcrypto when it frees a context, once for each entry made by `add_fd`.
///
/// # Safety
///
/// `owner` came from `Box::into_raw` on a `T`, and this is the only call with it.
unsafe extern "C" fn release<T>(
    _ctx: *mut AsyncWaitCtx,
    _key: *const c_void,
    _fd: AsyncFd,
    owner: *mut c_void,
) {
    // SAFETY: the caller's promise.
    let owner = unsafe { Box::from_raw(owner.cast::<T>()) };
    // A panic of the destructor's would unwind into C.
    if catch_unwind(AssertUnwindSafe(|| drop(owner))).is_err() {
        process::abort();
    }
}

/// Called by engines, with what libcrypto stored for them.
///
/// # Safety
///
/// `arg` points to a [`Callback`] that lives until this returns.
unsafe extern "C" fn run_callback(arg: *mut c_void) -> c_int {
    // SAFETY: the caller's promise. Shared with other threads, but Callback is Sync.
    let callback = unsafe { &*arg.cast::<Callback>() };
    // Unwind safe as far as we are concerned: we keep nothing that a panic could leave half done. What
    // the closure captured is its own affair, as it is in a thread that panics.
    c_int::from(catch_unwind(AssertUnwindSafe(|| (callback.0)())).is_ok())
}

/// A context's callback, to hand to the thread that completes the operation.
///
/// Safe to call late: it keeps the closure alive, though not the context.
#[derive(Clone)]
pub struct PeerCallback {
    function: CallbackFn,
    closure: Arc<Callback>,
}

impl PeerCallback {
    /// Calls it as an engine does: the C function that libcrypto stored, with the argument stored.
    /// False if the closure panicked.
    pub fn call(&self) -> bool {
        let arg = Arc::as_ptr(&self.closure).cast_mut().cast();
        // SAFETY: `function` was stored together with a pointer to this very closure, so it is
        // `run_callback`, and the closure lives as long as `self`.
        unsafe { (self.function)(arg) == 1 }
    }
}

impl fmt::Debug for PeerCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCallback").finish_non_exhaustive()
    }
}

/// What an engine tells the host through the context. Any number is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub c_int);

impl Status {
    /// The engine does not use the callback: wait for the descriptor. What a new context has.
    #[doc(alias = "ASYNC_STATUS_UNSUPPORTED")]
    pub const UNSUPPORTED: Self = Self(0);
    /// The operation failed: give it up.
    #[doc(alias = "ASYNC_STATUS_ERR")]
    pub const ERR: Self = Self(1);
    /// Submitted: the callback will be called.
    #[doc(alias = "ASYNC_STATUS_OK")]
    pub const OK: Self = Self(2);
    /// Not submitted, the engine was busy: resume the job and it will try again.
    #[doc(alias = "ASYNC_STATUS_EAGAIN")]
    pub const EAGAIN: Self = Self(3);
}
