//! What may go to another thread, and be used by several: everything.

#![cfg(not(loom))]

use static_assertions::assert_impl_all;
use waitctx::{
    Callback, Closing, Key, NotifyError, Notifier, ReadyQueue, SetFdError, Status,
    WaitCtx, WaitFd, WakeFd,
};

assert_impl_all!(WaitCtx: Send, Sync, Clone);
assert_impl_all!(Notifier: Send, Sync, Clone);
assert_impl_all!(Callback: Send, Sync, Clone);
assert_impl_all!(ReadyQueue: Send, Sync);
assert_impl_all!(WakeFd: Send, Sync);
assert_impl_all!(Key: Send, Sync, Copy);
assert_impl_all!(Status: Send, Sync, Copy);
assert_impl_all!(Closing<'static>: Send, Sync);
// Errors cross threads with `?`; an fd and a poller are used by one thread at a time.
assert_impl_all!(NotifyError: Send, Sync, std::error::Error);
assert_impl_all!(SetFdError: Send, std::error::Error);
assert_impl_all!(WaitFd: Send);
#[cfg(any(target_os = "linux", target_os = "android"))]
assert_impl_all!(waitctx::FdPoller: Send);
