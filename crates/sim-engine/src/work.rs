//! What a worker does with requests: compute, hold back until its time, complete.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use offload::{Completion, Delivery, Failure, FailureKind, Request, Response};

use crate::compute::compute;
use crate::device::Shared;
use crate::fault::{Fate, Outcome, corrupt};

/// A request on its way to a worker.
pub(crate) struct Work {
    pub(crate) request: Request,
    pub(crate) completion: Completion,
    /// The ring it holds a place in.
    pub(crate) instance: usize,
    /// When it was submitted, if the device models time.
    pub(crate) submitted: Option<Instant>,
    pub(crate) fate: Fate,
}

/// What goes to the workers.
pub(crate) enum Message {
    Work(Work),
    /// No more work comes: finish what there is, and end. One for each worker.
    Stop,
}

/// An answer that waits for its time.
struct Due {
    at: Instant,
    /// In the order of computing, for those of the same time.
    number: u64,
    answer: Answered,
}

pub(crate) struct Answered {
    answer: Result<Response, Failure>,
    completion: Completion,
    instance: usize,
    fate: Fate,
}

/// The earliest first: a heap gives its greatest first.
impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

/// The last stretch of a wait that is spun: a sleep of 10 µs takes about 100.
const SPIN: Duration = Duration::from_micros(100);
/// How often requests that will never be answered are looked at, to see whether their client has
/// given up.
const LIMBO_CHECK: Duration = Duration::from_millis(5);

/// One worker's state, or the poller's.
#[derive(Default)]
pub(crate) struct Worker {
    due: BinaryHeap<Due>,
    number: u64,
    /// Requests that are lost. They keep their place in the ring until nobody waits for them, as
    /// a lost descriptor does.
    limbo: Vec<Work>,
    next_limbo_check: Option<Instant>,
}

impl Worker {
    /// A worker thread's life.
    pub(crate) fn run(mut self, device: &Shared, inbox: &Receiver<Message>) {
        loop {
            match self.next(device, inbox) {
                Next::Work(work) => {
                    self.take(device, work);
                }
                Next::Nothing => {}
                Next::Stop => break,
            }
            self.complete_due(device, usize::MAX);
        }
        self.finish(device);
    }

    /// Does what can be done without waiting, at most `quota` completions (0: all). For a device
    /// that is polled.
    pub(crate) fn poll(
        &mut self,
        device: &Shared,
        inbox: &Receiver<Message>,
        quota: usize,
    ) -> usize {
        let quota = if quota == 0 { usize::MAX } else { quota };
        let mut done = 0;
        while done < quota {
            let Ok(Message::Work(work)) = inbox.try_recv() else {
                break;
            };
            done += usize::from(self.take(device, work));
            done += self.complete_due(device, quota - done);
        }
        self.check_limbo(device);
        done + self.complete_due(device, quota - done)
    }

    /// Waits for work, at most until something is due.
    fn next(&mut self, device: &Shared, inbox: &Receiver<Message>) -> Next {
        self.check_limbo(device);
        let until = match (self.due.peek().map(|due| due.at), self.next_limbo_check) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(until) = until else {
            return match inbox.recv() {
                Ok(message) => message.into(),
                Err(_) => Next::Stop,
            };
        };
        match inbox.try_recv() {
            Ok(message) => return message.into(),
            Err(TryRecvError::Disconnected) => return Next::Stop,
            Err(TryRecvError::Empty) => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left > SPIN {
            return match inbox.recv_deadline(until - SPIN) {
                Ok(message) => message.into(),
                Err(RecvTimeoutError::Timeout) => Next::Nothing,
                Err(RecvTimeoutError::Disconnected) => Next::Stop,
            };
        }
        std::hint::spin_loop();
        Next::Nothing
    }

    /// Carries a request out. Says whether it was completed at once.
    fn take(&mut self, device: &Shared, work: Work) -> bool {
        if device.is_dead() {
            fail(device, work, FailureKind::Down);
            return true;
        }
        if work.completion.is_abandoned() {
            fail(device, work, FailureKind::Cancelled);
            return true;
        }
        if work.fate.spurious {
            survive(|| work.completion.nudge());
        }
        let due = due(device, &work);
        if work.fate.outcome == Outcome::Lost {
            self.next_limbo_check.get_or_insert_with(Instant::now);
            self.limbo.push(work);
            return false;
        }
        let answer = carry_out(work);
        match due {
            None => {
                complete(device, answer);
                true
            }
            Some(at) => {
                self.number += 1;
                let number = self.number;
                self.due.push(Due { at, number, answer });
                false
            }
        }
    }

    /// Completes what is due, at most `quota`. Says how much that was.
    fn complete_due(&mut self, device: &Shared, quota: usize) -> usize {
        let mut done = 0;
        if self.due.is_empty() {
            return 0;
        }
        let now = Instant::now();
        let is_due = |due: &Due| due.at <= now || device.is_dead();
        while done < quota && self.due.peek().is_some_and(is_due) {
            let Some(Due { mut answer, .. }) = self.due.pop() else {
                break;
            };
            if device.is_dead() {
                answer.answer = Err(Failure::lost(FailureKind::Down));
            }
            complete(device, answer);
            done += 1;
        }
        done
    }

    /// Lets go of lost requests that nobody waits for any more.
    fn check_limbo(&mut self, device: &Shared) {
        let Some(at) = self.next_limbo_check else {
            return;
        };
        let now = Instant::now();
        if now < at && !device.is_dead() {
            return;
        }
        let dead = device.is_dead();
        for work in self
            .limbo
            .extract_if(.., |w| dead || w.completion.is_abandoned())
        {
            fail(device, work, FailureKind::Down);
        }
        self.next_limbo_check = (!self.limbo.is_empty()).then(|| now + LIMBO_CHECK);
    }

    /// The end: completes what there is, each when it is due; what is lost fails.
    pub(crate) fn finish(mut self, device: &Shared) {
        while let Some(due) = self.due.peek() {
            let left = due.at.saturating_duration_since(Instant::now());
            // In short naps, since the device may be killed while it drains.
            if !device.is_dead() && !left.is_zero() {
                std::thread::sleep(left.min(LIMBO_CHECK));
            }
            self.complete_due(device, usize::MAX);
        }
        for work in self.limbo.drain(..) {
            fail(device, work, FailureKind::Down);
        }
    }
}

enum Next {
    Work(Work),
    Nothing,
    Stop,
}

impl From<Message> for Next {
    fn from(message: Message) -> Next {
        match message {
            Message::Work(work) => Next::Work(work),
            Message::Stop => Next::Stop,
        }
    }
}

/// When the answer may be given; at once on a device without times.
fn due(device: &Shared, work: &Work) -> Option<Instant> {
    let submitted = work.submitted?;
    let bytes = work.request.data.len();
    let config = device.config();
    let link = config.link_time(bytes);
    let service = config.service_time(work.request.op.kind(), bytes) + work.fate.delay;
    device.busy(service);
    Some(device.take_engine(submitted + link, service) + link)
}

/// Computes the answer, with the fault that the operation meets.
pub(crate) fn carry_out(work: Work) -> Answered {
    let Work {
        request,
        completion,
        instance,
        fate,
        ..
    } = work;
    let answer = match fate.outcome {
        Outcome::Error(status) => Err(Failure::with_request(
            FailureKind::Device { status },
            request,
        )),
        Outcome::Wrong(bit) => compute(request).map(|mut response| {
            corrupt(&mut response, bit);
            response
        }),
        Outcome::Right | Outcome::Lost => compute(request),
    };
    Answered {
        answer,
        completion,
        instance,
        fate,
    }
}

/// Gives the place in the ring up and answers.
pub(crate) fn complete(device: &Shared, answered: Answered) {
    let Answered {
        answer,
        completion,
        instance,
        fate,
    } = answered;
    // First the place, as drivers do: whoever is woken by the answer may submit at once.
    survive(|| device.leave_ring(instance));
    let success = answer.is_ok();
    let twin = fate.duplicate.then(|| completion.twin());
    let delivery = survive(|| {
        if fate.untold {
            completion.complete_untold(answer)
        } else {
            completion.complete(answer)
        }
    });
    // Delivered: the answer is in place before the callback, which has panicked, is called.
    device
        .count()
        .answered(delivery.unwrap_or(Delivery::Delivered), success);
    if let Some(twin) = twin {
        let second = twin.complete(Err(Failure::lost(FailureKind::Device { status: 0 })));
        device.count().answered(second, false);
    }
}

/// Runs what may call an application's callback. A device does not die of an application's panic,
/// which the panic hook has reported.
fn survive<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(panic) => {
            // Its own drop could panic in turn: it is left alone.
            std::mem::forget(panic);
            None
        }
    }
}

/// Answers without having carried the request out, which goes back.
pub(crate) fn fail(device: &Shared, work: Work, kind: FailureKind) {
    let answer = Err(Failure::with_request(kind, work.request));
    complete(
        device,
        Answered {
            answer,
            completion: work.completion,
            instance: work.instance,
            fate: Fate::default(),
        },
    );
}
