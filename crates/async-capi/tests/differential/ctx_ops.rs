//! The functions on contexts, and what contexts call.

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::api::{CallbackFn, Ctx};
use crate::run::{Run, UNTOUCHED, current};
use crate::script::CtxOp;
use crate::trace::What;

/// At most so many fds are set in a context, so that arrays have room.
const FDS: usize = 40;
const ROOM: usize = FDS + 8;

/// A context that is there.
pub(crate) struct LiveCtx {
    pub(crate) pointer: Ctx,
    /// How many fds were set in it.
    fds_set: usize,
}

impl LiveCtx {
    pub(crate) fn new(pointer: Ctx) -> LiveCtx {
        LiveCtx {
            pointer,
            fds_set: 0,
        }
    }
}

/// Keys are compared, never followed. NULL is one.
fn key_of(key: u8) -> *const c_void {
    ptr::without_provenance(usize::from(key) * 0x1008)
}

/// What stands beside an fd, or with a callback.
fn data_of(data: u8) -> *mut c_void {
    ptr::without_provenance_mut(usize::from(data))
}

impl Run {
    /// One function on the context of this number, which is there.
    pub(crate) fn ctx_op(&self, number: usize, op: CtxOp) {
        let (ctx, fds_set) = match &self.ctxs.borrow()[number] {
            Some(live) => (live.pointer, live.fds_set),
            None => return,
        };
        match op {
            CtxOp::SetFd { .. } if fds_set == FDS => {}
            CtxOp::SetFd {
                key,
                fd,
                data,
                cleanup,
            } => {
                if let Some(live) = &mut self.ctxs.borrow_mut()[number] {
                    live.fds_set += 1;
                }
                let taken = self.get_fd(ctx, key).0 != 0;
                let function = cleanup.then_some(on_cleanup as crate::api::CleanupFn);
                // SAFETY: the context is there; key and data are never followed.
                let done = unsafe {
                    (self.api.set_wait_fd)(ctx, key_of(key), fd, data_of(data), function)
                };
                let what = match taken {
                    true => What::SetFdOfTakenKey,
                    false => What::SetFd,
                };
                self.note(what, [number as i64, done.into(), key.into(), fd.into()]);
            }
            CtxOp::ClearFd(key) => {
                // SAFETY: the context is there.
                let done = unsafe { (self.api.clear_fd)(ctx, key_of(key)) };
                let what = match done {
                    0 => What::ClearNoFd,
                    _ => What::ClearFd,
                };
                self.note(what, [number as i64, done.into(), key.into(), 0]);
            }
            CtxOp::GetFd(key) => {
                let (done, fd, data) = self.get_fd(ctx, key);
                let what = match done {
                    0 => What::GetNoFd,
                    _ => What::GetFd,
                };
                self.note(what, [done.into(), key.into(), fd.into(), data]);
            }
            CtxOp::AllFds { array } => self.all_fds(ctx, array),
            CtxOp::ChangedFds { added, removed } => self.changed_fds(ctx, added, removed),
            CtxOp::SetCallback { which, arg } => {
                let function: Option<CallbackFn> = match which {
                    0 => None,
                    1 => Some(callback_one),
                    _ => Some(callback_two),
                };
                // SAFETY: the context is there.
                let done = unsafe { (self.api.set_callback)(ctx, function, data_of(arg)) };
                let what = match which {
                    0 => What::UnsetCallback,
                    _ => What::SetCallback,
                };
                self.note(what, [number as i64, done.into(), which.into(), 0]);
            }
            CtxOp::GetCallback => {
                if let Some((function, arg)) = self.get_callback(ctx) {
                    // SAFETY: one of those below, which take any argument.
                    unsafe { function(arg) };
                }
            }
            CtxOp::SetStatus(status) => {
                // SAFETY: the context is there.
                let done = unsafe { (self.api.set_status)(ctx, status) };
                self.note(What::SetStatus, [number as i64, done.into(), 0, 0]);
            }
            CtxOp::GetStatus => self.get_status(ctx),
        }
    }

    fn get_fd(&self, ctx: Ctx, key: u8) -> (c_int, c_int, i64) {
        let (mut fd, mut data) = (UNTOUCHED, data_of(0xA5));
        // SAFETY: the context is there, and both can be written.
        let done = unsafe { (self.api.get_fd)(ctx, key_of(key), &mut fd, &mut data) };
        (done, fd, data.addr() as i64)
    }

    fn get_status(&self, ctx: Ctx) {
        // SAFETY: the context is there.
        let status = unsafe { (self.api.get_status)(ctx) };
        self.note(What::GetStatus, [status.into(), 0, 0, 0]);
    }

    fn get_callback(&self, ctx: Ctx) -> Option<(CallbackFn, *mut c_void)> {
        let (mut function, mut arg): (Option<CallbackFn>, _) = (None, data_of(0xA5));
        // SAFETY: the context is there, and both can be written.
        let done = unsafe { (self.api.get_callback)(ctx, &mut function, &mut arg) };
        let what = match done {
            0 => What::GetNoCallback,
            _ => What::GetCallback,
        };
        let known = i64::from(function.is_some());
        self.note(what, [done.into(), known, arg.addr() as i64, 0]);
        function.map(|function| (function, arg))
    }

    fn all_fds(&self, ctx: Ctx, array: bool) {
        let (mut fds, mut count) = ([UNTOUCHED; ROOM], usize::MAX);
        let to = match array {
            true => fds.as_mut_ptr(),
            false => ptr::null_mut(),
        };
        // SAFETY: the context is there; the array has room for all that were ever set.
        let done = unsafe { (self.api.get_all_fds)(ctx, to, &mut count) };
        let what = match array {
            true => What::AllFds,
            false => What::CountFds,
        };
        self.note(what, [done.into(), count as i64, 0, 0]);
        self.note_list(What::OneFd, &fds);
    }

    fn changed_fds(&self, ctx: Ctx, added: bool, removed: bool) {
        let (mut adds, mut dels) = ([UNTOUCHED; ROOM], [UNTOUCHED; ROOM]);
        let (mut add_count, mut del_count) = (usize::MAX, usize::MAX);
        let to = |wanted: bool, array: &mut [c_int; ROOM]| match wanted {
            true => array.as_mut_ptr(),
            false => ptr::null_mut(),
        };
        let (add, del) = (to(added, &mut adds), to(removed, &mut dels));
        // SAFETY: as above.
        let done =
            unsafe { (self.api.get_changed_fds)(ctx, add, &mut add_count, del, &mut del_count) };
        let what = match added || removed {
            true => What::ChangedFds,
            false => What::CountChangedFds,
        };
        let (add_count, del_count) = (add_count as i64, del_count as i64);
        self.note(what, [done.into(), add_count, del_count, 0]);
        self.note_list(What::AddedFd, &adds);
        self.note_list(What::RemovedFd, &dels);
    }

    /// Everything that was written, wherever it is.
    fn note_list(&self, what: What, fds: &[c_int]) {
        for (at, &fd) in fds.iter().enumerate() {
            if fd != UNTOUCHED {
                self.note(what, [at as i64, fd.into(), 0, 0]);
            }
        }
    }
}

/// What contexts call for an fd that is still set when they are freed. It reads the context, as engines do.
unsafe extern "C" fn on_cleanup(ctx: Ctx, key: *const c_void, fd: c_int, data: *mut c_void) {
    let run = current();
    let (key, data) = (key.addr() as i64, data.addr() as i64);
    run.note(What::FdCleanup, [run.ctx_number(ctx), key, fd.into(), data]);
    run.get_status(ctx);
    run.get_callback(ctx);
}

unsafe extern "C" fn callback_one(arg: *mut c_void) -> c_int {
    current().note(What::CallbackCalled, [1, arg.addr() as i64, 0, 0]);
    1
}

unsafe extern "C" fn callback_two(arg: *mut c_void) -> c_int {
    current().note(What::CallbackCalled, [2, arg.addr() as i64, 0, 0]);
    0
}
