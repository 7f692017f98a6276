//! libcrypto's jobs, each with an eventfd that is watched with epoll: how OpenSSL's users wait.
//!
//! Device, worker, operation and buffers are those of our side. What is its own:
//!
//! - Each job has an eventfd for good, which the engine writes and the job reads when it goes on.
//!   (One per operation, as OpenSSL's `dasync` does, costs several times as much.)
//! - A job is started with a pointer for its argument, which libcrypto copies to the heap.
//! - The answer comes through a [`Pending`], which each job uses again and again, as our client does
//!   with the places that answers are left in. Our client in addition looks after a time-out.
//! - A job that finishes is followed by the next at once, in its place.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use libcrypto_peer::raw::{ASYNC_FINISH, ASYNC_PAUSE, AsyncJob, RawFns};
use libcrypto_peer::{Libcrypto, PeerWaitCtx};
use offload::{Buffer, Engine, Op, Pending, Request, Submission};
use sim_engine::SimDevice;
use waitctx::{FdPoller, WaitCtx};

use super::Task;

/// What one job of libcrypto's needs; it finds it through its argument.
struct Slot {
    device: Arc<SimDevice>,
    op: Op,
    buffer: RefCell<Option<Buffer>>,
    /// Where the last operation's answer was.
    pending: RefCell<Option<Pending>>,
    /// Our context carries the eventfd; `peer_ctx` knows the same fd, as a host would want it.
    ctx: WaitCtx,
    peer_ctx: PeerWaitCtx,
    raw: RawFns,
}

/// How many operations are still to be started, and to be finished.
struct Left {
    to_start: u64,
    to_finish: u64,
}

impl Left {
    /// Takes one to start, if there is one.
    fn start(&mut self) -> bool {
        let any = self.to_start > 0;
        self.to_start -= u64::from(any);
        any
    }
}

pub(super) struct Theirs {
    slots: Vec<Rc<Slot>>,
    jobs: Vec<*mut AsyncJob>,
    poller: FdPoller,
}

impl Theirs {
    pub(super) fn new(peer: Libcrypto, device: &Arc<SimDevice>, task: &Task) -> Theirs {
        let mut poller = FdPoller::new().expect("an epoll set");
        let slots = (0..task.in_flight).map(|at| {
            let ctx = WaitCtx::new();
            ctx.notifier().expect("an eventfd");
            poller.follow(&ctx, at as u64).expect("it is watched");
            let peer_ctx = PeerWaitCtx::new(peer).expect("a context");
            let fd = ctx.wake_fd().expect("made above");
            let fd = rustix::io::dup(fd).expect("a descriptor");
            peer_ctx.set_wait_fd(1, fd).expect("it is set");
            Rc::new(Slot {
                device: Arc::clone(device),
                op: task.op.clone(),
                buffer: RefCell::new(Some(task.buffer())),
                pending: RefCell::new(None),
                ctx,
                peer_ctx,
                raw: peer.raw(),
            })
        });
        let slots: Vec<Rc<Slot>> = slots.collect();
        Theirs {
            jobs: vec![ptr::null_mut(); slots.len()],
            slots,
            poller,
        }
    }

    pub(super) fn run(&mut self, n: u64) {
        let mut left = Left {
            to_start: n,
            to_finish: n,
        };
        for at in 0..self.slots.len() {
            if !left.start() {
                break;
            }
            self.keep_busy(at, &mut left);
        }
        let mut ready = Vec::new();
        while left.to_finish > 0 {
            ready.clear();
            self.poller.wait(&mut ready, None).expect("epoll");
            for at in ready.iter().map(|at| *at as usize) {
                if self.jobs[at].is_null() {
                    // The answer was found before its wake came, and no other operation was left.
                    let ctx = &self.slots[at].ctx;
                    ctx.acknowledge().expect("the eventfd is read");
                } else {
                    self.keep_busy(at, &mut left);
                }
            }
        }
    }

    /// Resumes or starts the job in a slot; when it finishes, at once or now, starts the next one in
    /// its place, so that as many stay in flight as there are slots.
    fn keep_busy(&mut self, at: usize, left: &mut Left) {
        while self.step(at) {
            left.to_finish -= 1;
            if !left.start() {
                return;
            }
        }
    }

    /// Starts or resumes a job. Says whether it finished.
    fn step(&mut self, at: usize) -> bool {
        let slot = &self.slots[at];
        let mut argument: *const Slot = Rc::as_ptr(slot);
        let mut ret = 0;
        // SAFETY: not inside a job; the job's entry is null or what the last PAUSE stored; context
        // and slot outlive the job, since `self` runs every job to its end; libcrypto copies the
        // argument.
        let outcome = unsafe {
            (slot.raw.start_job)(
                &mut self.jobs[at],
                slot.peer_ctx.as_ptr(),
                &mut ret,
                Some(body),
                (&raw mut argument).cast(),
                size_of::<*const Slot>(),
            )
        };
        match outcome {
            ASYNC_FINISH => true,
            ASYNC_PAUSE => false,
            other => panic!("ASYNC_start_job returned {other}"),
        }
    }
}

/// One operation, as an engine written for OpenSSL does it. An error would unwind into C, so it
/// ends the process.
unsafe extern "C" fn body(argument: *mut c_void) -> c_int {
    // SAFETY: libcrypto's copy of the pointer given in `step`, to a slot that outlives the job.
    let slot = unsafe { &**argument.cast::<*const Slot>() };
    let buffer = slot.buffer.take().expect("between operations");
    let (pending, completion) = match slot.pending.take() {
        Some(mut pending) => {
            let completion = pending.again(None);
            (pending, completion)
        }
        None => Pending::new(slot.ctx.notifier().expect("it is made")),
    };
    let submission = Submission {
        request: Request::new(slot.op.clone(), buffer),
        completion,
        ticket: None,
    };
    slot.device.submit(submission).expect("there is room");
    loop {
        if let Some(answer) = pending.take() {
            slot.buffer.replace(Some(answer.expect("it succeeds").data));
            slot.pending.replace(Some(pending));
            return 1;
        }
        // SAFETY: we are in a job of libcrypto's.
        unsafe { (slot.raw.pause_job)() };
        slot.ctx.acknowledge().expect("the eventfd is read");
    }
}
