//! What may go to another thread, and be used by several at once: everything.

#![cfg(not(loom))]

mod common;

use std::sync::Barrier;

use static_assertions::assert_impl_all;
use waitctx::{
    Callback, Closing, Key, Notifier, NotifyError, ReadyQueue, SetFdError, Status, WaitCtx, WaitFd,
    WakeFd,
};

use common::Count;

assert_impl_all!(WaitCtx: Send, Sync, Clone);
assert_impl_all!(Notifier: Send, Sync, Clone);
assert_impl_all!(Callback: Send, Sync, Clone);
assert_impl_all!(ReadyQueue: Send, Sync);
assert_impl_all!(WakeFd: Send, Sync);
assert_impl_all!(Key: Send, Sync, Copy);
assert_impl_all!(Status: Send, Sync, Copy);
assert_impl_all!(Closing<'static>: Send, Sync);
assert_impl_all!(NotifyError: Send, Sync, std::error::Error);
assert_impl_all!(WaitFd: Send, Sync);
assert_impl_all!(SetFdError: Send, Sync, std::error::Error);
// One thread at a time waits, but it may be any.
#[cfg(any(target_os = "linux", target_os = "android"))]
assert_impl_all!(waitctx::FdPoller: Send);

#[test]
fn each_thread_finds_its_own_fds_in_a_shared_context() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 500;
    let (ctx, cleaned, start) = (WaitCtx::new(), Count::default(), Barrier::new(THREADS));
    std::thread::scope(|s| {
        for number in 0..THREADS as i32 {
            let (ctx, cleaned, start) = (ctx.clone(), cleaned.clone(), &start);
            s.spawn(move || {
                let key = Key::new();
                let set = || {
                    let cleaned = cleaned.clone();
                    let fd = WaitFd::foreign(number).on_cleanup(move |_, _, _, _| cleaned.add());
                    ctx.set_wait_fd(key, fd).expect("the key is ours");
                };
                start.wait();
                for _ in 0..ROUNDS {
                    set();
                    assert_eq!(ctx.fd(key), Some(number));
                    assert!(ctx.all_fds().contains(&number));
                    ctx.begin_round();
                    let cleared = ctx.clear_fd(key).expect("set by us");
                    assert_eq!(cleared.raw(), number);
                    assert_eq!(ctx.fd(key), None);
                }
                set();
            });
        }
    });
    let mut left = ctx.all_fds();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3]);
    assert_eq!(cleaned.get(), 0);
    drop(ctx);
    assert_eq!(cleaned.get(), THREADS);
}
