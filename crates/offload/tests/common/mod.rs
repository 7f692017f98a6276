//! Small engines, and what several of these tests need.

#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_core::{Job, JobOutcome, start_job};
use offload::{
    Completion, Counters, Delivery, Drive, Engine, Failure, Gate, OffloadClient, OffloadError, Op,
    OpKind, Output, Reason, Refused, Request, Response, Submission, Ticket,
};
use waitctx::{Callback, Notifier, WaitCtx};

pub(crate) type Ran = Result<Response, OffloadError>;

// ---- requests and answers --------------------------------------------------------------------

/// Request `id`, whose data is its id.
pub(crate) fn request(id: u64) -> Request {
    Request::new(Op::Nop, id.to_le_bytes().to_vec()).with_id(id)
}

/// What the engines here do: flip every bit.
pub(crate) fn flip(request: Request) -> Result<Response, Failure> {
    let mut data = request.data;
    data.iter_mut().for_each(|byte| *byte = !*byte);
    Ok(Response {
        data,
        output: Output::None,
    })
}

/// Asserts that `ran` is the answer to `request(id)`.
#[track_caller]
pub(crate) fn assert_flipped(ran: Ran, id: u64) {
    let data = ran.expect("an answer").data;
    assert_eq!(data[..], (!id).to_le_bytes(), "the answer to {id}");
}

/// Asserts that `request` is `request(id)`, untouched.
#[track_caller]
pub(crate) fn assert_untouched(request: Option<Request>, id: u64) {
    let request = request.expect("the request comes back");
    assert_eq!(request.id, id);
    assert_eq!(request.data[..], id.to_le_bytes());
}

// ---- counting --------------------------------------------------------------------------------

/// Asserts all of a client's figures.
#[track_caller]
pub(crate) fn assert_figures(client: &OffloadClient, expected: Figures) {
    let stats = client.stats();
    let now = Figures {
        ring_full: stats.ring_full,
        resumed_early: stats.resumed_early,
        fell_back: stats.fell_back,
        timed_out: stats.timed_out,
        abandoned: stats.abandoned,
    };
    assert_eq!(now, expected);
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) ring_full: u64,
    pub(crate) resumed_early: u64,
    pub(crate) fell_back: u64,
    pub(crate) timed_out: u64,
    pub(crate) abandoned: u64,
}

/// How often a callback was called.
#[derive(Clone, Default)]
pub(crate) struct Wakes(Arc<AtomicU64>);

impl Wakes {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A context whose wakes are counted.
    pub(crate) fn ctx(&self) -> WaitCtx {
        let ctx = WaitCtx::new();
        let count = self.clone();
        let callback = Callback::new(move || {
            count.0.fetch_add(1, Ordering::SeqCst);
        });
        ctx.set_callback(callback).expect("nothing to move");
        ctx
    }
}

/// What an engine here counts.
#[derive(Default)]
struct Tally {
    counters: Mutex<Counters>,
}

impl Tally {
    fn note(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().expect("no panic"));
    }

    fn get(&self) -> Counters {
        *self.counters.lock().expect("no panic")
    }

    fn submitted(&self) {
        self.note(|c| {
            c.submitted += 1;
            c.in_flight += 1;
        });
    }

    fn answered(&self, delivery: Delivery, success: bool) {
        self.note(|c| {
            match delivery {
                Delivery::Delivered if success => c.completed += 1,
                Delivery::Delivered => c.failed += 1,
                Delivery::Orphaned => c.orphaned += 1,
                Delivery::Duplicate => c.duplicates += 1,
            }
            if delivery != Delivery::Duplicate {
                c.in_flight -= 1;
            }
        });
    }
}

// ---- engines ---------------------------------------------------------------------------------

/// Keeps what is submitted until the test answers it.
pub(crate) struct Held {
    ops: Mutex<VecDeque<Submission>>,
    gate: Option<Gate>,
    tells_of_room: bool,
    drive: Drive,
    tally: Tally,
}

impl Held {
    pub(crate) fn new() -> Arc<Held> {
        Held::build(None, true, Drive::Threads)
    }

    /// With a bound, and a line in front of it.
    pub(crate) fn with_room(capacity: u32) -> Arc<Held> {
        Held::build(Some(Gate::new(capacity)), true, Drive::Threads)
    }

    /// With a bound, and without a line.
    pub(crate) fn with_silent_room(capacity: u32) -> Arc<Held> {
        Held::build(Some(Gate::new(capacity)), false, Drive::Threads)
    }

    /// Answered by polling, at most one for each poll.
    pub(crate) fn polled(gate: Option<Gate>) -> Arc<Held> {
        Held::build(gate, true, Drive::Poll)
    }

    fn build(gate: Option<Gate>, tells_of_room: bool, drive: Drive) -> Arc<Held> {
        Arc::new(Held {
            ops: Mutex::default(),
            gate,
            tells_of_room,
            drive,
            tally: Tally::default(),
        })
    }

    /// The oldest operation that is held.
    pub(crate) fn try_take(&self) -> Option<Submission> {
        self.ops.lock().expect("no panic").pop_front()
    }

    #[track_caller]
    pub(crate) fn take(&self) -> Submission {
        self.try_take().expect("an operation is held")
    }

    /// Gives an operation its answer.
    pub(crate) fn answer(&self, submission: Submission) -> Delivery {
        self.finish(submission.completion, flip(submission.request))
    }

    pub(crate) fn finish(
        &self,
        completion: Completion,
        answer: Result<Response, Failure>,
    ) -> Delivery {
        self.leave();
        let success = answer.is_ok();
        let delivery = completion.complete(answer);
        self.tally.answered(delivery, success);
        delivery
    }

    /// Gives the room of an operation up that is answered some other way.
    pub(crate) fn leave(&self) {
        if let Some(gate) = &self.gate {
            gate.leave();
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("there is one")
    }
}

impl Engine for Held {
    fn name(&self) -> &str {
        "held"
    }

    fn supports(&self, _op: OpKind) -> bool {
        true
    }

    fn submit(&self, mut submission: Submission) -> Result<(), Refused> {
        if let Some(gate) = &self.gate
            && let Err(ticket) = gate.enter(submission.ticket.take())
        {
            submission.ticket = ticket;
            self.tally.note(|c| c.refused += 1);
            return Err(Refused {
                reason: Reason::RingFull,
                submission,
            });
        }
        self.tally.submitted();
        self.ops.lock().expect("no panic").push_back(submission);
        Ok(())
    }

    fn queue_for_room(&self, _: &Request, notifier: &Notifier) -> Option<Ticket> {
        let gate = self.gate.as_ref().filter(|_| self.tells_of_room)?;
        Some(gate.wait(notifier))
    }

    fn drive(&self) -> Drive {
        self.drive
    }

    fn poll(&self, _quota: usize) -> usize {
        match self.try_take() {
            Some(submission) if self.drive == Drive::Poll => {
                self.answer(submission);
                1
            }
            _ => 0,
        }
    }

    fn counters(&self) -> Counters {
        self.tally.get()
    }
}

/// Does with each submission what a closure does; the closure's `Ok` is the engine's.
pub(crate) struct Does<F> {
    submit: F,
    tally: Tally,
}

impl<F> Does<F>
where
    F: Fn(Submission) -> Result<Option<Delivery>, Refused> + Send + Sync,
{
    /// The closure says how an operation was answered, if it was.
    pub(crate) fn new(submit: F) -> Arc<Does<F>> {
        Arc::new(Does {
            submit,
            tally: Tally::default(),
        })
    }
}

impl<F> Engine for Does<F>
where
    F: Fn(Submission) -> Result<Option<Delivery>, Refused> + Send + Sync,
{
    fn name(&self) -> &str {
        "does"
    }

    fn supports(&self, _op: OpKind) -> bool {
        true
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        match (self.submit)(submission) {
            Ok(delivery) => {
                self.tally.submitted();
                if let Some(delivery) = delivery {
                    self.tally.answered(delivery, true);
                }
                Ok(())
            }
            Err(refused) => {
                self.tally.note(|c| c.refused += 1);
                Err(refused)
            }
        }
    }

    fn counters(&self) -> Counters {
        self.tally.get()
    }
}

/// Answers before `submit` returns.
pub(crate) fn at_once() -> Arc<dyn Engine> {
    Does::new(|submission| {
        Ok(Some(
            submission.completion.complete(flip(submission.request)),
        ))
    })
}

/// Refuses everything.
pub(crate) fn refuses(reason: Reason) -> Arc<dyn Engine> {
    Does::new(move |submission| Err(Refused { reason, submission }))
}

/// Answers each operation on a thread of its own, which is waited for when the engine goes.
#[derive(Default)]
pub(crate) struct Elsewhere {
    threads: Mutex<Vec<std::thread::JoinHandle<Delivery>>>,
}

impl Elsewhere {
    pub(crate) fn new() -> Arc<Elsewhere> {
        Arc::default()
    }

    /// Waits for all answers, and says how many there were and that each was delivered.
    #[track_caller]
    pub(crate) fn assert_delivered(&self, count: usize) {
        let threads = std::mem::take(&mut *self.threads.lock().expect("no panic"));
        assert_eq!(threads.len(), count);
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), Delivery::Delivered);
        }
    }
}

impl Engine for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn supports(&self, _op: OpKind) -> bool {
        true
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let answer = move || submission.completion.complete(flip(submission.request));
        let thread = std::thread::spawn(answer);
        self.threads.lock().expect("no panic").push(thread);
        Ok(())
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

// ---- jobs ------------------------------------------------------------------------------------

/// Starts a job that runs `request` on `client`.
pub(crate) fn start(ctx: &WaitCtx, client: &OffloadClient, request: Request) -> JobOutcome<Ran> {
    let client = client.clone();
    start_job(ctx, move || client.run(request)).expect("there is a slot")
}

/// The same, for a job that pauses.
#[track_caller]
pub(crate) fn start_paused(ctx: &WaitCtx, client: &OffloadClient, request: Request) -> Job<Ran> {
    let job = start(ctx, client, request).paused();
    job.expect("the operation is not answered yet")
}

/// Resumes a job that pauses again.
#[track_caller]
pub(crate) fn still_paused(job: Job<Ran>) -> Job<Ran> {
    job.resume().paused().expect("not answered yet")
}

/// Resumes a job that finishes.
#[track_caller]
pub(crate) fn finished(job: Job<Ran>) -> Ran {
    job.resume().finished().expect("it was answered")
}

/// In flight, answered well, answered badly, answered for nobody: all four, and no refusal.
pub(crate) fn counters(in_flight: u64, completed: u64, failed: u64, orphaned: u64) -> Counters {
    Counters {
        submitted: in_flight + completed + failed + orphaned,
        in_flight,
        completed,
        failed,
        orphaned,
        ..Counters::default()
    }
}
