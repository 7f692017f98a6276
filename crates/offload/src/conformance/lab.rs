//! Contexts that count their wakes, operations under way, and engines held still.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use waitctx::{Callback, Notifier, WaitCtx};

use super::case::{Case, Ran, Subject, broken, lock};
use super::requests::{Requests, describe};
use crate::client::OffloadClient;
use crate::completion::{Answer, Completion};
use crate::engine::{Engine, Reason, Refused, Submission};
use crate::error::OffloadError;
use crate::gate::Ticket;
use crate::pending::Pending;
use crate::request::{Request, Response};

/// A context with a callback that counts how often it is called.
pub(super) struct Watched {
    pub(super) ctx: WaitCtx,
    calls: Arc<AtomicU64>,
}

impl Watched {
    pub(super) fn new() -> Watched {
        Watched::with(|| {})
    }

    /// Calls `f` as well, before it counts.
    pub(super) fn with(f: impl Fn() + Send + Sync + 'static) -> Watched {
        let ctx = WaitCtx::new();
        let calls = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&calls);
        let callback = Callback::new(move || {
            f();
            count.fetch_add(1, Ordering::SeqCst);
        });
        // A new context: no wake was kept that would have to be moved.
        let _ = ctx.set_callback(callback);
        Watched { ctx, calls }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn notifier(&self) -> Notifier {
        let notifier = self.ctx.notifier();
        notifier.expect("a context with a callback needs no descriptor")
    }
}

/// An operation that was submitted, and its answer once it is there.
pub(super) struct UnderWay {
    pub(super) n: u64,
    pub(super) pending: Pending,
    pub(super) answer: Option<Answer>,
}

impl UnderWay {
    pub(super) fn new(n: u64, pending: Pending) -> UnderWay {
        let answer = None;
        UnderWay { n, pending, answer }
    }

    /// Whether it is answered.
    pub(super) fn look(&mut self) -> bool {
        if self.answer.is_none() {
            self.answer = self.pending.take();
        }
        self.answer.is_some()
    }
}

pub(super) fn unanswered(ops: &mut [UnderWay]) -> usize {
    ops.iter_mut().map(|op| usize::from(!op.look())).sum()
}

/// Waits for the answers to all of `ops`.
pub(super) fn answered(case: &Case, engine: &dyn Engine, ops: &mut [UnderWay]) -> Ran {
    case.until(engine, "answers", || unanswered(ops))
}

/// Demands that each of `ops` was answered right.
pub(super) fn all_right(requests: &Requests, ops: &[UnderWay]) -> Ran {
    for op in ops {
        let Some(answer) = &op.answer else {
            return broken(format!("operation {} was not answered", op.n));
        };
        if let Some(wrong) = requests.judge(op.n, answer) {
            return broken(wrong);
        }
    }
    Ok(())
}

/// Submits `request`, waiting for room as long as it takes. Without a line: this is for rules that
/// have another subject.
pub(super) fn submit(
    case: &Case,
    engine: &dyn Engine,
    request: Request,
    notifier: &Notifier,
) -> Ran<Pending> {
    let (pending, completion) = Pending::new(notifier.clone());
    submit_with(case, engine, request, completion)?;
    Ok(pending)
}

/// The same with a completion that is there already.
pub(super) fn submit_with(
    case: &Case,
    engine: &dyn Engine,
    request: Request,
    completion: Completion,
) -> Ran {
    let mut submission = Submission {
        request,
        completion,
        ticket: None,
    };
    let began = Instant::now();
    loop {
        match engine.submit(submission) {
            Ok(()) => return Ok(()),
            Err(refused) => submission = try_again(case, refused, began)?,
        }
        drive(engine);
    }
}

/// The submission, if trying again can help and there is time.
fn try_again(case: &Case, refused: Refused, began: Instant) -> Ran<Submission> {
    let submission = refused.submission;
    let what = describe(&submission.request);
    match refused.reason {
        Reason::RingFull | Reason::Throttled if began.elapsed() <= case.setup.patience => {
            Ok(submission)
        }
        Reason::RingFull | Reason::Throttled => {
            let patience = case.setup.patience;
            broken(format!("{what} found no room for {patience:?}"))
        }
        reason => broken(format!("{what} was refused: {reason}")),
    }
}

/// Lets the engine come further.
pub(super) fn drive(engine: &dyn Engine) {
    if engine.poll(0) == 0 {
        thread::sleep(Duration::from_micros(50));
    }
}

/// Submits request `n` on a context of its own.
pub(super) fn begin(
    case: &Case,
    engine: &dyn Engine,
    requests: &Requests,
    n: u64,
) -> Ran<(UnderWay, Watched)> {
    let watched = Watched::new();
    let pending = submit(case, engine, requests.get(n), &watched.notifier())?;
    Ok((UnderWay::new(n, pending), watched))
}

/// Runs a request and tries again where the engine throttles.
pub(super) fn run(client: &OffloadClient, request: Request) -> Result<Response, OffloadError> {
    let mut request = request;
    loop {
        match client.run(request) {
            Err(OffloadError::Refused {
                reason: Reason::Throttled,
                request: back,
            }) => {
                thread::sleep(Duration::from_millis(1));
                request = back;
            }
            ran => return ran,
        }
    }
}

/// What is wrong with what a job's or thread's request number `n` came to.
pub(super) fn judge(
    requests: &Requests,
    n: u64,
    ran: Result<Response, OffloadError>,
) -> Option<String> {
    match ran {
        Ok(response) => requests.judge(n, &Ok(response)),
        Err(OffloadError::Failed(failure)) => requests.judge(n, &Err(failure)),
        Err(error) => Some(format!("operation {n} failed: {error}")),
    }
}

/// An engine that cannot come further: nobody polls it, or its threads are held in a callback.
/// Dropping it lets them go.
pub(super) struct Stall {
    latch: Arc<Latch>,
    watched: Watched,
}

struct Latch {
    state: Mutex<Held>,
    opened: Condvar,
    /// Is never held: it would be held by itself.
    owner: ThreadId,
    /// The end of a rule that was given up.
    at_most: Duration,
}

#[derive(Default)]
struct Held {
    open: bool,
    threads: HashSet<ThreadId>,
}

impl Latch {
    fn pass(&self) {
        let here = thread::current().id();
        if here == self.owner {
            return;
        }
        let mut held = lock(&self.state);
        held.threads.insert(here);
        let still = self
            .opened
            .wait_timeout_while(held, self.at_most, |held| !held.open);
        drop(still.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What filling a ring came to.
pub(super) struct Filled {
    /// What was taken on.
    pub(super) ops: Vec<UnderWay>,
    /// The one that was refused for a full ring.
    pub(super) refused: Option<(UnderWay, Submission)>,
}

impl Stall {
    /// Nothing is held yet: operations submitted on its [`notifier`](Stall::notifier) do it.
    pub(super) fn new(case: &Case) -> Stall {
        let latch = Arc::new(Latch {
            state: Mutex::default(),
            opened: Condvar::new(),
            owner: thread::current().id(),
            at_most: case.setup.patience * 8,
        });
        let held = Arc::clone(&latch);
        Stall {
            latch,
            watched: Watched::with(move || held.pass()),
        }
    }

    pub(super) fn notifier(&self) -> Notifier {
        self.watched.notifier()
    }

    pub(super) fn calls(&self) -> u64 {
        self.watched.calls()
    }

    /// How many threads of the engine's have come by.
    pub(super) fn threads(&self) -> usize {
        lock(&self.latch.state).threads.len()
    }

    pub(super) fn release(&self) {
        lock(&self.latch.state).open = true;
        self.latch.opened.notify_all();
    }

    /// Submits until the ring is full.
    pub(super) fn fill(&self, case: &Case, subject: &Subject, requests: &Requests) -> Ran<Filled> {
        case.doing("submitting");
        let at_most = match case.setup.ring_bound {
            Some(bound) => u64::from(bound) + 64,
            None => (case.setup.operation_count / 2).max(64),
        };
        let notifier = self.notifier();
        let mut ops = Vec::new();
        for n in 0..at_most {
            let (pending, completion) = Pending::new(notifier.clone());
            let submission = Submission {
                request: requests.get(n),
                completion,
                ticket: None,
            };
            let op = UnderWay::new(n, pending);
            match subject.submit(submission) {
                Ok(()) => ops.push(op),
                Err(Refused {
                    reason: Reason::RingFull,
                    submission,
                }) => {
                    let refused = Some((op, submission));
                    return Ok(Filled { ops, refused });
                }
                // A rate is no bound on what is in flight.
                Err(Refused {
                    reason: Reason::Throttled,
                    ..
                }) => break,
                Err(refused) => {
                    let what = describe(&refused.submission.request);
                    return broken(format!("{what} was refused: {refused}"));
                }
            }
            if n == 0 && !subject.is_polled() {
                // Only now it is known to be held.
                case.until(&**subject, "the first of the engine's threads", || {
                    usize::from(self.threads() == 0 && self.calls() == 0)
                })?;
                case.doing("submitting, with the engine's threads busy in callbacks");
            }
            case.step();
        }
        Ok(Filled { ops, refused: None })
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.release();
    }
}

/// Somebody in line for room.
pub(super) struct InLine {
    pub(super) watched: Watched,
    pub(super) ticket: Option<Ticket>,
    /// There was room at once, so nobody has to be told.
    pub(super) at_once: bool,
}

impl InLine {
    /// `None` if the engine has no line.
    pub(super) fn join(subject: &Subject, request: &Request, watched: Watched) -> Option<InLine> {
        let ticket = subject.queue_for_room(request, &watched.notifier())?;
        let at_once = ticket.is_granted();
        Some(InLine {
            watched,
            ticket: Some(ticket),
            at_once,
        })
    }

    pub(super) fn is_granted(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_granted)
    }
}
