//! A small engine that is right, with a switch for each way to be wrong.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_core::current_job;
use offload::{
    Completion, Counters, Delivery, Drive, Engine, Failure, FailureKind, Gate, OpKind, Output,
    Reason, Refused, Request, Response, Submission, Ticket,
};
use waitctx::{Notifier, Status, WaitCtx};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Nothing: it is polled.
    Polled,
    /// Nothing: it has no line.
    NoLine,
    /// Nothing: it throttles.
    Throttles,
    /// Nothing: it has no bound.
    NoBound,
    /// Some answers are left, and nobody is told.
    LostWake,
    /// The last wakes are held back for more to come.
    WakesInFours,
    /// Some operations are answered twice, and counted twice.
    DoubleCompletion,
    /// Some operations are answered twice, and it is known.
    KnownDuplicates,
    /// Whoever waits is told before the answer and with it.
    TellsTwice,
    /// Answers what it refused.
    AnswersTheRefused,
    /// Keeps the contexts of jobs.
    KeepsContexts,
    /// Wakes the job of the operation before.
    WakesTheEnded,
    /// Wakes who has left the line.
    WakesWhoLeft,
    /// Lets some operations go without an answer.
    ForgottenRequest,
    /// Answers some operations only when it ends.
    AnswersAtTheEnd,
    /// Flips a bit in some answers.
    WrongResult,
    /// Hands out one operation's buffer with another's answer.
    MixesBuffers,
    /// Takes on twice as many as there is room for.
    ExceedsTheBound,
    /// Completes under the lock that submit takes.
    LocksAcrossCallbacks,
    /// Refuses with a request that is not the one that was submitted.
    EatsRefusals,
    /// Waits for room in submit.
    BlocksInSubmit,
    /// Counts answers for nobody as answers.
    CountsOrphansAsAnswers,
    /// in_flight is counted down twice.
    InFlightFallsTwice,
    /// Does not wake who waits for room.
    SilentLine,
    /// Two rings, each with a line, that pass for one.
    UnfairLine,
    /// Ends without a word on what is in flight.
    ForgetsAtTheEnd,
    /// Takes on what it says it does not support.
    TakesEverything,
    /// Polled, and its poll knows no quota.
    PollsWithoutQuota,
    /// Polled, and its poll waits for work.
    PollWaits,
    /// Panics in submit.
    Panics,
    /// Carries out on the spot what it does not submit alike.
    InlineDiffers,
}

pub(crate) const BOUND: u32 = 8;

pub(crate) struct Small {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    bug: Bug,
    gate: Gate,
    /// A second ring.
    other: Gate,
    queue: Mutex<Queue>,
    work: Condvar,
    /// Held around submit and complete by one of the bugs.
    big: Mutex<()>,
    counters: Mutex<Counters>,
    number: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Queue {
    submissions: VecDeque<(Submission, bool)>,
    over: bool,
}

/// What a bug keeps that it should not.
#[derive(Default)]
struct Kept {
    contexts: Vec<WaitCtx>,
    notifiers: Vec<Notifier>,
    twins: Vec<Completion>,
    data: Option<offload::Buffer>,
    batch: Vec<(Completion, Result<Response, Failure>)>,
}

impl Small {
    pub(crate) fn new(bug: Bug) -> Arc<Small> {
        let room = match bug {
            Bug::ExceedsTheBound => BOUND * 2,
            Bug::UnfairLine => BOUND - 2,
            Bug::NoBound => u32::MAX,
            _ => BOUND,
        };
        let shared = Arc::new(Shared {
            bug,
            gate: Gate::new(room),
            other: Gate::new(2),
            queue: Mutex::default(),
            work: Condvar::new(),
            big: Mutex::new(()),
            counters: Mutex::default(),
            number: AtomicU64::new(0),
            kept: Mutex::default(),
        });
        let worker = (!shared.is_polled()).then(|| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.serve())
        });
        Arc::new(Small { shared, worker })
    }
}

impl Shared {
    fn is_polled(&self) -> bool {
        matches!(
            self.bug,
            Bug::Polled | Bug::PollsWithoutQuota | Bug::PollWaits
        )
    }

    fn note(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.counters));
    }

    fn serve(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let submission = loop {
                if queue.over && self.bug == Bug::ForgetsAtTheEnd {
                    std::mem::forget(std::mem::take(&mut queue.submissions));
                }
                if let Some(submission) = queue.submissions.pop_front() {
                    break submission;
                }
                if queue.over {
                    return;
                }
                queue = self
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            };
            drop(queue);
            self.answer(submission);
        }
    }

    /// Goes into the ring: whether it is the second one.
    fn enter(&self, ticket: Option<Ticket>) -> Result<bool, Option<Ticket>> {
        match ticket {
            Some(ticket) if self.other.issued(&ticket) => {
                self.other.enter(Some(ticket)).map(|()| true)
            }
            ticket => match self.gate.enter(ticket) {
                Err(None) if self.bug == Bug::UnfairLine => self.other.enter(None).map(|()| true),
                entered => entered.map(|()| false),
            },
        }
    }

    fn answer(&self, (submission, in_other): (Submission, bool)) {
        let Submission {
            request,
            completion,
            ..
        } = submission;
        let odd = self.number.fetch_add(1, Ordering::Relaxed) % 7 == 5;
        let mut answer = carry_out(request);
        match self.bug {
            Bug::ForgottenRequest if odd => return std::mem::forget((completion, answer)),
            Bug::AnswersAtTheEnd if odd => {
                lock(&self.kept).batch.push((completion, answer));
                return;
            }
            Bug::WrongResult if odd => {
                if let Ok(response) = &mut answer
                    && let Some(byte) = response.data.first_mut()
                {
                    *byte ^= 1;
                }
            }
            Bug::MixesBuffers => {
                if let Ok(response) = &mut answer {
                    let mut kept = lock(&self.kept);
                    let before = kept.data.replace(response.data.clone());
                    if let Some(data) = before.filter(|_| odd) {
                        response.data = data;
                    }
                }
            }
            _ => {}
        }
        let success = answer.is_ok();
        let big = (self.bug == Bug::LocksAcrossCallbacks).then(|| lock(&self.big));
        let twin = completion.twin();
        match in_other {
            true => self.other.leave(),
            false => self.gate.leave(),
        }
        let delivery = match self.bug {
            Bug::LostWake if odd => completion.complete_untold(answer),
            Bug::WakesInFours => {
                let delivery = completion.complete_untold(answer);
                // As a batch of its own would: told when there are four.
                lock(&self.kept).twins.push(twin.twin());
                let twins = std::mem::take(&mut lock(&self.kept).twins);
                if twins.len() >= 4 {
                    twins.iter().for_each(Completion::nudge);
                } else {
                    lock(&self.kept).twins = twins;
                }
                delivery
            }
            Bug::TellsTwice if odd => {
                completion.nudge();
                completion.complete(answer)
            }
            _ => completion.complete(answer),
        };
        drop(big);
        self.note(|c| {
            c.in_flight = c.in_flight.wrapping_sub(1);
            if self.bug == Bug::InFlightFallsTwice && odd {
                c.in_flight = c.in_flight.wrapping_sub(1);
            }
            match delivery {
                Delivery::Delivered if success => c.completed += 1,
                Delivery::Delivered => c.failed += 1,
                Delivery::Orphaned if self.bug == Bug::CountsOrphansAsAnswers => c.completed += 1,
                Delivery::Orphaned => c.orphaned += 1,
                Delivery::Duplicate => c.duplicates += 1,
            }
        });
        if odd && matches!(self.bug, Bug::DoubleCompletion | Bug::KnownDuplicates) {
            twin.complete(Err(Failure::lost(FailureKind::Device { status: 9 })));
            self.note(|c| match self.bug {
                Bug::DoubleCompletion => c.completed += 1,
                _ => c.duplicates += 1,
            });
        }
        let (twins, notifiers) = {
            let mut kept = lock(&self.kept);
            match self.bug {
                Bug::AnswersTheRefused => (std::mem::take(&mut kept.twins), Vec::new()),
                Bug::WakesTheEnded => (Vec::new(), kept.notifiers.clone()),
                Bug::WakesWhoLeft => (Vec::new(), std::mem::take(&mut kept.notifiers)),
                _ => (Vec::new(), Vec::new()),
            }
        };
        for twin in twins {
            twin.complete(Err(Failure::lost(FailureKind::Down)));
        }
        for notifier in notifiers {
            let _ = notifier.notify(Status::Ok);
        }
    }
}

fn carry_out(request: Request) -> Result<Response, Failure> {
    Ok(Response {
        data: request.data,
        output: Output::None,
    })
}

impl Engine for Small {
    fn name(&self) -> &str {
        "small"
    }

    fn supports(&self, op: OpKind) -> bool {
        op == OpKind::Nop
    }

    fn runs_inline(&self, request: &Request) -> bool {
        self.shared.bug == Bug::InlineDiffers && request.data.len() < 100
    }

    fn run_inline(&self, mut request: Request) -> Result<Response, Failure> {
        request.data.push(0);
        carry_out(request)
    }

    fn submit(&self, mut submission: Submission) -> Result<(), Refused> {
        let shared = &*self.shared;
        assert!(shared.bug != Bug::Panics, "a panic in submit");
        let kind = submission.request.op.kind();
        if !self.supports(kind) && shared.bug != Bug::TakesEverything {
            let reason = Reason::Unsupported(kind);
            return Err(Refused { reason, submission });
        }
        if shared.bug == Bug::Throttles && shared.number.fetch_add(1, Ordering::Relaxed) % 5 == 3 {
            let reason = Reason::Throttled;
            return Err(Refused { reason, submission });
        }
        let _big = (shared.bug == Bug::LocksAcrossCallbacks).then(|| lock(&shared.big));
        let in_other = loop {
            match shared.enter(submission.ticket.take()) {
                Ok(in_other) => break in_other,
                Err(ticket) => submission.ticket = ticket,
            }
            match shared.bug {
                Bug::BlocksInSubmit => {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Bug::EatsRefusals => {
                    submission.request.data = Vec::new().into();
                    submission.request.id = 0;
                }
                Bug::AnswersTheRefused => {
                    let twin = submission.completion.twin();
                    lock(&shared.kept).twins.push(twin);
                }
                _ => {}
            }
            shared.note(|c| c.refused += 1);
            let reason = Reason::RingFull;
            return Err(Refused { reason, submission });
        };
        if let Some(job) = current_job() {
            let mut kept = lock(&shared.kept);
            match shared.bug {
                Bug::KeepsContexts => kept.contexts.push(job.wait_ctx()),
                Bug::WakesTheEnded => kept.notifiers.extend(job.notifier()),
                _ => {}
            }
        }
        shared.note(|c| {
            c.submitted += 1;
            c.in_flight = c.in_flight.wrapping_add(1);
        });
        lock(&shared.queue)
            .submissions
            .push_back((submission, in_other));
        shared.work.notify_one();
        Ok(())
    }

    fn queue_for_room(&self, _: &Request, notifier: &Notifier) -> Option<Ticket> {
        match self.shared.bug {
            Bug::NoLine => None,
            Bug::SilentLine => {
                let nobody = WaitCtx::new();
                nobody.set_silent(true).expect("nothing to move");
                let nobody = nobody.notifier().expect("it needs no fd");
                Some(self.shared.gate.wait(&nobody))
            }
            Bug::UnfairLine => {
                let turn = self.shared.number.fetch_add(1, Ordering::Relaxed);
                let gates = [&self.shared.gate, &self.shared.other];
                Some(gates[(turn % 2) as usize].wait(notifier))
            }
            Bug::WakesWhoLeft => {
                lock(&self.shared.kept).notifiers.push(notifier.clone());
                Some(self.shared.gate.wait(notifier))
            }
            _ => Some(self.shared.gate.wait(notifier)),
        }
    }

    fn drive(&self) -> Drive {
        match self.shared.is_polled() {
            true => Drive::Poll,
            false => Drive::Threads,
        }
    }

    fn poll(&self, quota: usize) -> usize {
        if !self.shared.is_polled() {
            return 0;
        }
        let mut done = 0;
        loop {
            if self.shared.bug == Bug::Polled && quota != 0 && done == quota {
                return done;
            }
            let next = lock(&self.shared.queue).submissions.pop_front();
            match next {
                Some(submission) => self.shared.answer(submission),
                None if done == 0 && self.shared.bug == Bug::PollWaits => {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                None => return done,
            }
            done += 1;
        }
    }

    fn counters(&self) -> Counters {
        *lock(&self.shared.counters)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        lock(&self.shared.queue).over = true;
        self.shared.work.notify_one();
        if let Some(worker) = self.worker.take()
            && worker.thread().id() != thread::current().id()
        {
            let _ = worker.join();
        }
        let batch = std::mem::take(&mut lock(&self.shared.kept).batch);
        for (completion, answer) in batch {
            completion.complete(answer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
