//! Places: where in a program a function of this library was called, as the whole stack of calls.
//!
//! The same stack is kept once, however often it comes again. So a million jobs that were started by one line
//! cost one place, and seeing a stack again costs a walk over it and a look-up. Names are found out when a place is
//! printed (`frames.rs`).

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use crate::check::jobs;
use crate::slots::lock;
use unwinder::{_Unwind_Backtrace, _Unwind_FindEnclosingFunction, _Unwind_GetIP, Frame};

/// A stack of calls.
pub(crate) struct Place {
    pub(super) trace: Backtrace,
    /// Where the innermost function of this library was called: what makes two reports the same.
    pub(super) caller: usize,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:#x})", self.caller)
    }
}

pub(super) type Places = BTreeMap<Box<[usize]>, &'static Place>;

/// Those that were seen so far. They stay for good. Whoever takes a backtrace holds this lock: the standard
/// library has one of its own around it, which a fork must not find taken.
static PLACES: Mutex<Places> = Mutex::new(BTreeMap::new());

/// The most places, and the most calls of a stack that tell it from others.
const MOST: usize = 10_000;
const DEPTH: usize = 64;

/// Keeps places from being made: for a fork.
pub(super) fn hold() -> MutexGuard<'static, Places> {
    lock(&PLACES)
}

/// The place of the call that is running. `None` if this machine has no means to find it, or there were too many.
#[inline(never)]
pub(crate) fn here() -> Option<&'static Place> {
    let mut stack = Stack {
        calls: [0; DEPTH],
        depth: 0,
    };
    jobs::calls_from((&raw const stack).addr());
    // SAFETY: `keep` is called on this thread until it says that it has enough, with the address of `stack`.
    unsafe { _Unwind_Backtrace(keep, (&raw mut stack).cast()) };
    let calls = stack.calls.get(..stack.depth)?;
    if calls.is_empty() {
        return None;
    }
    let mut places = lock(&PLACES);
    if let Some(known) = places.get(calls) {
        return Some(known);
    }
    if places.len() == MOST {
        return None;
    }
    let place = Box::leak(Box::new(Place {
        trace: Backtrace::force_capture(),
        caller: caller(calls),
    }));
    places.insert(calls.into(), place);
    Some(place)
}

/// The addresses of a stack's calls, innermost first.
struct Stack {
    calls: [usize; DEPTH],
    depth: usize,
}

/// Of the unwinder that the standard library uses itself. (The second line keeps it out of the C header.)
///
/// cbindgen:ignore
mod unwinder {
    use std::ffi::{c_int, c_void};

    /// A call.
    pub(super) enum Frame {}

    unsafe extern "C" {
        pub(super) fn _Unwind_Backtrace(
            each: unsafe extern "C" fn(frame: *mut Frame, arg: *mut c_void) -> c_int,
            arg: *mut c_void,
        ) -> c_int;
        pub(super) fn _Unwind_GetIP(frame: *mut Frame) -> usize;
        pub(super) fn _Unwind_FindEnclosingFunction(call: *mut c_void) -> *mut c_void;
    }
}

unsafe extern "C" fn keep(frame: *mut Frame, arg: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const ENOUGH: c_int = 5; // _URC_END_OF_STACK
    // SAFETY: `here` passes the address of its own, which nobody else uses meanwhile.
    let stack = unsafe { &mut *arg.cast::<Stack>() };
    let Some(call) = stack.calls.get_mut(stack.depth) else {
        return ENOUGH;
    };
    // SAFETY: the unwinder passes a good frame.
    *call = unsafe { _Unwind_GetIP(frame) };
    stack.depth += 1;
    GO_ON
}

/// Where the innermost function that C can call was called.
fn caller(calls: &[usize]) -> usize {
    let entries = entries();
    let is_entry = |call: &usize| {
        let call = std::ptr::without_provenance_mut(*call);
        // SAFETY: it looks an address up in the tables of what is loaded.
        let function = unsafe { _Unwind_FindEnclosingFunction(call) };
        entries.contains(&function.addr())
    };
    let entry = calls.iter().position(is_entry);
    let caller = entry.and_then(|at| calls.get(at + 1));
    caller.or(calls.last()).copied().unwrap_or_default()
}

/// The functions that C can call, of which a place is ever asked for.
fn entries() -> [usize; 17] {
    use crate::{extra, jobs, wait_ctx};
    [
        jobs::ASYNC_init_thread as *const (),
        jobs::ASYNC_cleanup_thread as *const (),
        jobs::ASYNC_start_job as *const (),
        jobs::ASYNC_pause_job as *const (),
        jobs::ASYNC_get_wait_ctx as *const (),
        wait_ctx::ASYNC_WAIT_CTX_new as *const (),
        wait_ctx::ASYNC_WAIT_CTX_free as *const (),
        wait_ctx::ASYNC_WAIT_CTX_set_wait_fd as *const (),
        wait_ctx::ASYNC_WAIT_CTX_get_fd as *const (),
        wait_ctx::ASYNC_WAIT_CTX_get_all_fds as *const (),
        wait_ctx::ASYNC_WAIT_CTX_get_changed_fds as *const (),
        wait_ctx::ASYNC_WAIT_CTX_clear_fd as *const (),
        wait_ctx::ASYNC_WAIT_CTX_set_callback as *const (),
        wait_ctx::ASYNC_WAIT_CTX_get_callback as *const (),
        wait_ctx::ASYNC_WAIT_CTX_set_status as *const (),
        wait_ctx::ASYNC_WAIT_CTX_get_status as *const (),
        extra::async_capi_cancel_job as *const (),
    ]
    .map(|function| function.addr())
}
