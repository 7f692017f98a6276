//! The functions on wait contexts, as C calls them. All of them may be called from any thread.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use waitctx::Key;

use crate::abi::{ASYNC_STATUS_UNSUPPORTED, ASYNC_WAIT_CTX, ASYNC_callback_fn, OSSL_ASYNC_FD};
use crate::ctx::{self, CFd};
use crate::error::{Fault, raise};
use crate::jobs::ok_or_raise;
use crate::{check, libcrypto, mode};

/// 1, or 0 for "there is none", or 0 with an error.
fn found_or_raise(function: &'static CStr, found: Result<bool, Fault>) -> c_int {
    match found {
        Ok(found) => c_int::from(found),
        Err(fault) => {
            raise(function, fault);
            0
        }
    }
}

fn key_of(key: *const c_void) -> Key {
    Key::from_address(key.addr())
}

/// A context without fds or callback, with status 0. NULL if there is no memory for it.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_new() -> *mut ASYNC_WAIT_CTX {
    mode::ready();
    libcrypto::look();
    let ctx = ctx::new().unwrap_or_else(|fault| {
        raise(c"ASYNC_WAIT_CTX_new", fault);
        ptr::null_mut()
    });
    if check::on() {
        check::context_made(ctx);
    }
    ctx
}

/// Calls the cleanup function of each fd that is still set, newest first, and frees the context. NULL is
/// accepted. A job that has paused under it can never be resumed.
///
/// # Safety
///
/// The cleanup functions can be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_WAIT_CTX_free(ctx: *mut ASYNC_WAIT_CTX) {
    if !ctx.is_null() {
        if check::on() {
            check::context_freeing(ctx);
        }
        // SAFETY: the caller's.
        ok_or_raise(c"ASYNC_WAIT_CTX_free", unsafe { ctx::free(ctx) });
    }
}

/// Adds an fd under `key`, which may be any address; an older one under the same key is hidden until this one is
/// cleared. `cleanup` (or NULL) is called if the fd is still set when the context is freed. 1, or 0 with an
/// error; `cleanup` is not called then.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_set_wait_fd(
    ctx: *mut ASYNC_WAIT_CTX,
    key: *const c_void,
    fd: OSSL_ASYNC_FD,
    custom_data: *mut c_void,
    cleanup: Option<
        unsafe extern "C" fn(
            ctx: *mut ASYNC_WAIT_CTX,
            key: *const c_void,
            fd: OSSL_ASYNC_FD,
            custom_data: *mut c_void,
        ),
    >,
) -> c_int {
    let kept = CFd {
        data: custom_data,
        cleanup,
    };
    let done = ctx::set_wait_fd(ctx, key_of(key), fd, kept);
    if check::on() && done.is_ok() {
        check::fd_set(ctx, key.addr(), fd);
    }
    ok_or_raise(c"ASYNC_WAIT_CTX_set_wait_fd", done)
}

/// The newest fd under `key` and what was set with it: 1 and both, or 0.
///
/// # Safety
///
/// What is not NULL can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_WAIT_CTX_get_fd(
    ctx: *mut ASYNC_WAIT_CTX,
    key: *const c_void,
    fd: *mut OSSL_ASYNC_FD,
    custom_data: *mut *mut c_void,
) -> c_int {
    let found = not_null(fd, "fd")
        .and_then(|()| not_null(custom_data, "custom_data"))
        .and_then(|()| {
            ctx::with(ctx, |state| {
                let found = state.fds.find(key_of(key));
                found.map(|(fd, kept)| (fd, kept.data))
            })
        });
    let found = found.map(|found| {
        found.is_some_and(|(number, data)| {
            // SAFETY: not null, and so the caller's.
            unsafe { fd.write(number) };
            // SAFETY: as above.
            unsafe { custom_data.write(data) };
            true
        })
    });
    found_or_raise(c"ASYNC_WAIT_CTX_get_fd", found)
}

/// All fds, newest first, and their number, which is only written. `fd` is NULL, for the number only, or has room for
/// all of them. 1, or 0 with an error.
///
/// # Safety
///
/// As above; `numfds` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_WAIT_CTX_get_all_fds(
    ctx: *mut ASYNC_WAIT_CTX,
    fd: *mut OSSL_ASYNC_FD,
    numfds: *mut usize,
) -> c_int {
    let done = not_null(numfds, "numfds").and_then(|()| {
        ctx::with(ctx, |state| {
            let fds = state.fds.live().map(|(_, fd, _)| fd);
            // SAFETY: the caller's.
            unsafe { list(fds, fd, numfds) };
        })
    });
    ok_or_raise(c"ASYNC_WAIT_CTX_get_all_fds", done)
}

/// What changed since a job of the context was last resumed: fds set and fds cleared, each newest first. Either
/// array is NULL, or has room for all of its own. Reading it changes nothing. 1, or 0 with an error.
///
/// # Safety
///
/// As above; `numaddfds` and `numdelfds` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_WAIT_CTX_get_changed_fds(
    ctx: *mut ASYNC_WAIT_CTX,
    addfd: *mut OSSL_ASYNC_FD,
    numaddfds: *mut usize,
    delfd: *mut OSSL_ASYNC_FD,
    numdelfds: *mut usize,
) -> c_int {
    let done = not_null(numaddfds, "numaddfds")
        .and_then(|()| not_null(numdelfds, "numdelfds"))
        .and_then(|()| {
            ctx::with(ctx, |state| {
                // SAFETY: the caller's.
                unsafe { list(state.fds.added(), addfd, numaddfds) };
                // SAFETY: the caller's.
                unsafe { list(state.fds.removed(), delfd, numdelfds) };
            })
        });
    ok_or_raise(c"ASYNC_WAIT_CTX_get_changed_fds", done)
}

/// Takes out the newest fd under `key`. Its cleanup function is not called, now or later: the caller closes it.
/// 1, or 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_clear_fd(ctx: *mut ASYNC_WAIT_CTX, key: *const c_void) -> c_int {
    let cleared = ctx::clear_fd(ctx, key_of(key));
    if check::on()
        && let Ok(Some(fd)) = cleared
    {
        check::fd_cleared(ctx, key.addr(), fd);
    }
    found_or_raise(c"ASYNC_WAIT_CTX_clear_fd", cleared.map(|fd| fd.is_some()))
}

/// Sets what an engine calls in place of making an fd readable; NULL unsets it. 1, or 0 with an error.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_set_callback(
    ctx: *mut ASYNC_WAIT_CTX,
    callback: ASYNC_callback_fn,
    callback_arg: *mut c_void,
) -> c_int {
    let done = ctx::with(ctx, |state| {
        state.callback = callback;
        state.callback_arg = callback_arg;
    });
    ok_or_raise(c"ASYNC_WAIT_CTX_set_callback", done)
}

/// The callback and its argument: 1 and both, or 0 if none is set.
///
/// # Safety
///
/// What is not NULL can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ASYNC_WAIT_CTX_get_callback(
    ctx: *mut ASYNC_WAIT_CTX,
    callback: *mut ASYNC_callback_fn,
    callback_arg: *mut *mut c_void,
) -> c_int {
    let found = not_null(callback, "callback")
        .and_then(|()| not_null(callback_arg, "callback_arg"))
        .and_then(|()| ctx::with(ctx, |state| (state.callback, state.callback_arg)));
    let found = found.map(|(function, arg)| {
        if function.is_some() {
            // SAFETY: not null, and so the caller's.
            unsafe { callback.write(function) };
            // SAFETY: as above.
            unsafe { callback_arg.write(arg) };
        }
        function.is_some()
    });
    found_or_raise(c"ASYNC_WAIT_CTX_get_callback", found)
}

/// Stores a status, any number. 1, or 0 with an error.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_set_status(ctx: *mut ASYNC_WAIT_CTX, status: c_int) -> c_int {
    let done = ctx::with(ctx, |state| state.status = status);
    ok_or_raise(c"ASYNC_WAIT_CTX_set_status", done)
}

/// The status that was stored last; `ASYNC_STATUS_UNSUPPORTED` before, or with an error.
#[unsafe(no_mangle)]
pub extern "C" fn ASYNC_WAIT_CTX_get_status(ctx: *mut ASYNC_WAIT_CTX) -> c_int {
    ctx::with(ctx, |state| state.status).unwrap_or_else(|fault| {
        raise(c"ASYNC_WAIT_CTX_get_status", fault);
        ASYNC_STATUS_UNSUPPORTED
    })
}

fn not_null<T>(pointer: *const T, name: &'static str) -> Result<(), Fault> {
    match pointer.is_null() {
        true => Err(Fault::Null(name)),
        false => Ok(()),
    }
}

/// Counts `fds`, and stores them unless `to` is null.
///
/// # Safety
///
/// `count` can be written; `to` is null, or has room for all of them.
unsafe fn list(fds: impl Iterator<Item = c_int>, to: *mut OSSL_ASYNC_FD, count: *mut usize) {
    let mut number = 0;
    for fd in fds {
        if !to.is_null() {
            // SAFETY: the caller's.
            unsafe { to.add(number).write(fd) };
        }
        number += 1;
    }
    // SAFETY: the caller's.
    unsafe { count.write(number) };
}
