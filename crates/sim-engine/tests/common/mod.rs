//! What several of these tests need.

#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use offload::{
    AesKey, Counters, Engine, Failure, FailureKind, OffloadClient, OffloadError, Op, Padding,
    Pending, Reason, Refused, Request, Response, Submission, Ticket,
};
use sim_engine::{DeviceConfig, SimDevice};
use waitctx::{Callback, ReadyQueue, WaitCtx};

/// A device of a file with these lines.
pub(crate) fn open(lines: &str) -> Arc<SimDevice> {
    open_seeded(lines, 1)
}

pub(crate) fn open_seeded(lines: &str, seed: u64) -> Arc<SimDevice> {
    let config = DeviceConfig::from_toml(&format!("name = \"test\"\n{lines}"));
    SimDevice::open(&config.expect("a device file"), seed).expect("threads")
}

/// Operation `id`: each kind in turn.
pub(crate) fn request(id: u64) -> Request {
    let byte = id as u8;
    let mut data: Vec<u8> = (0..48)
        .map(|i| byte.wrapping_mul(31).wrapping_add(i))
        .collect();
    let op = match id % 6 {
        0 => Op::Sha256,
        1 => Op::Ctr {
            key: AesKey::from([byte; 16]),
            iv: [7; 16],
        },
        2 => Op::GcmSeal {
            key: AesKey::from([byte; 32]),
            nonce: [9; 12],
            aad: vec![byte; 5],
        },
        3 => Op::HmacSha256 {
            key: vec![byte; 20].into(),
        },
        4 => Op::CbcEncrypt {
            key: AesKey::from([byte; 16]),
            iv: [3; 16],
            padding: Padding::Pkcs7,
        },
        _ => {
            data.truncate(id as usize % 40);
            Op::Sha512
        }
    };
    Request::new(op, data).with_id(id)
}

pub(crate) fn nop(id: u64) -> Request {
    Request::new(Op::Nop, id.to_le_bytes().to_vec()).with_id(id)
}

/// A request's right answer.
pub(crate) fn right(id: u64) -> Response {
    sim_engine::compute::compute(request(id)).expect("these can all be carried out")
}

pub(crate) fn same(a: &Response, b: &Response) -> bool {
    a.data == b.data && a.output == b.output
}

#[track_caller]
pub(crate) fn assert_right(ran: Result<Response, OffloadError>, id: u64) {
    let response = ran.unwrap_or_else(|e| panic!("{id}: {e}"));
    assert!(same(&response, &right(id)), "{id} is wrong");
}

/// An operation that was taken on, and its own place to wait for it.
pub(crate) struct Under {
    pub(crate) id: u64,
    pending: Pending,
    queue: ReadyQueue,
    _ctx: WaitCtx,
}

impl Under {
    /// The answer, if it is there.
    pub(crate) fn take(&self) -> Option<Result<Response, Failure>> {
        self.pending.take()
    }

    /// Sleeps until the answer is there.
    pub(crate) fn wait(&self) -> Result<Response, Failure> {
        let mut tokens = Vec::new();
        loop {
            if let Some(answer) = self.take() {
                return answer;
            }
            self.queue.wait(&mut tokens, None).expect("parked");
        }
    }
}

/// Submits, and waits elsewhere.
pub(crate) fn submit(device: &SimDevice, request: Request) -> Result<Under, Refused> {
    submit_with(device, request, None)
}

pub(crate) fn submit_with(
    device: &SimDevice,
    request: Request,
    ticket: Option<Ticket>,
) -> Result<Under, Refused> {
    let (ctx, queue) = (WaitCtx::new(), ReadyQueue::new());
    queue.attach(&ctx, 0);
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
    let id = request.id;
    device.submit(Submission {
        request,
        completion,
        ticket,
    })?;
    Ok(Under {
        id,
        pending,
        queue,
        _ctx: ctx,
    })
}

#[track_caller]
pub(crate) fn submit_all(device: &SimDevice, ids: impl IntoIterator<Item = u64>) -> Vec<Under> {
    ids.into_iter()
        .map(|id| submit(device, request(id)).unwrap_or_else(|r| panic!("{id}: {r}")))
        .collect()
}

/// Asserts that the device refused because it is down, and takes nothing.
#[track_caller]
pub(crate) fn assert_down(device: &SimDevice) {
    let refused = submit(device, request(5)).err().expect("it is down");
    assert_eq!(refused.reason, Reason::Down);
    assert_eq!(refused.submission.request.data, request(5).data);
    refused.submission.completion.withdraw();
}

#[track_caller]
pub(crate) fn assert_failed_down(answer: Result<Response, Failure>) -> Option<Request> {
    let failure = answer.expect_err("the device died");
    assert_eq!(failure.kind, FailureKind::Down);
    failure.request
}

/// Asserts all counters of a device at once.
#[track_caller]
pub(crate) fn assert_counters(device: &SimDevice, expected: Counters) {
    let now = device.counters();
    assert_eq!(now, expected);
    assert!(now.balance());
}

/// A context with this callback.
pub(crate) fn ctx_with(callback: impl Fn() + Send + Sync + 'static) -> WaitCtx {
    let ctx = WaitCtx::new();
    ctx.set_callback(Callback::new(callback))
        .expect("nothing to move");
    ctx
}

/// A context whose wakes are counted.
pub(crate) fn counted_ctx() -> (WaitCtx, Arc<AtomicU64>) {
    let wakes = Arc::new(AtomicU64::new(0));
    let count = wakes.clone();
    let ctx = ctx_with(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (ctx, wakes)
}

/// Submits an operation that wakes `ctx`.
#[track_caller]
pub(crate) fn submit_on(device: &SimDevice, ctx: &WaitCtx, request: Request) -> Pending {
    let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
    let submission = Submission {
        request,
        completion,
        ticket: None,
    };
    device.submit(submission).expect("taken on");
    pending
}

/// Waits for something that another thread does.
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// A client that waits for at most `millis`.
pub(crate) fn client(device: &Arc<SimDevice>, millis: u64) -> OffloadClient {
    OffloadClient::new(device.clone()).with_timeout(Some(Duration::from_millis(millis)))
}

/// Ends the process with a message if it lives for a minute: a test that hangs says which.
pub(crate) struct Deadline {
    _done: std::sync::mpsc::Sender<()>,
}

impl Deadline {
    pub(crate) fn new(what: &'static str) -> Deadline {
        let (done, watch) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let timeout = std::sync::mpsc::RecvTimeoutError::Timeout;
            if watch.recv_timeout(Duration::from_secs(60)) == Err(timeout) {
                eprintln!("{what}: hangs; no end after 60 s");
                std::process::abort();
            }
        });
        Deadline { _done: done }
    }
}
