//! What a worker does with requests: compute, hold back until its time, complete.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use offload::{Completion, Delivery, Failure, FailureKind, Request, Response};
use waitctx::WakeBatch;

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

/// Completions are told together, so many at most: interrupt moderation. A device with nothing else
/// to do tells at once.
const WAKES_TOGETHER: usize = 32;
/// As long as the requests between the first of them and the last are short: about 20 µs of SHA-256.
const BYTES_TOGETHER: usize = 32 * 1024;
/// How often a worker looks for work before it sleeps, after a burst of work: 2 to 3 µs in all.
/// Waking it costs its submitter as much.
const SPINS: u32 = 60;
/// So many requests between two sleeps are a burst.
const BURST: usize = 4;

/// One worker's state, or the poller's.
#[derive(Default)]
pub(crate) struct Worker {
    /// Completions that have not been told.
    wakes: WakeBatch,
    /// Bytes of requests that were worked on since the first of them.
    bytes_since: usize,
    /// Requests since the last sleep.
    burst: usize,
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
        done += self.complete_due(device, quota - done);
        self.tell();
        done
    }

    /// Tells of the completions that were held back.
    fn tell(&mut self) {
        self.bytes_since = 0;
        // What failed is a write to the fd of a queue, whose owner the next wake tells.
        let _ = self.wakes.flush();
    }

    /// The same if they have been held back for long enough, or would be by a request of `bytes`.
    fn tell_in_time(&mut self, bytes: usize) {
        if self.wakes.is_empty() {
            return;
        }
        self.bytes_since = self.bytes_since.saturating_add(bytes);
        if self.wakes.len() >= WAKES_TOGETHER || self.bytes_since > BYTES_TOGETHER {
            self.tell();
        }
    }

    /// Waits for work, at most until something is due.
    fn next(&mut self, device: &Shared, inbox: &Receiver<Message>) -> Next {
        self.check_limbo(device);
        let until = match (self.due.peek().map(|due| due.at), self.next_limbo_check) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Ok(message) = inbox.try_recv() {
            self.burst += 1;
            return message.into();
        }
        self.tell();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left <= SPIN) {
            std::hint::spin_loop();
            return Next::Nothing;
        }
        if self.burst >= BURST {
            for _ in 0..SPINS {
                if let Ok(message) = inbox.try_recv() {
                    return message.into();
                }
                std::hint::spin_loop();
            }
        }
        self.burst = 0;
        let message = match until {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => inbox.recv_deadline(until - SPIN),
        };
        match message {
            Ok(message) => message.into(),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Stop,
        }
    }

    /// Carries a request out. Says whether it was completed at once.
    fn take(&mut self, device: &Shared, work: Work) -> bool {
        self.tell_in_time(work.request.data.len());
        if device.is_dead() {
            fail(device, work, FailureKind::Down, &mut self.wakes);
            return true;
        }
        if work.completion.is_abandoned() {
            fail(device, work, FailureKind::Cancelled, &mut self.wakes);
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
                complete(device, answer, &mut self.wakes);
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
            complete(device, answer, &mut self.wakes);
            self.tell_in_time(0);
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
            fail(device, work, FailureKind::Down, &mut self.wakes);
        }
        self.next_limbo_check = (!self.limbo.is_empty()).then(|| now + LIMBO_CHECK);
    }

    /// The end: completes what there is, each when it is due; what is lost fails.
    pub(crate) fn finish(mut self, device: &Shared) {
        while let Some(due) = self.due.peek() {
            let left = due.at.saturating_duration_since(Instant::now());
            // In short naps, since the device may be killed while it drains.
            if !device.is_dead() && !left.is_zero() {
                self.tell();
                std::thread::sleep(left.min(LIMBO_CHECK));
            }
            self.complete_due(device, usize::MAX);
        }
        for work in self.limbo.drain(..) {
            fail(device, work, FailureKind::Down, &mut self.wakes);
        }
        self.tell();
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

/// Gives the place in the ring up and answers. The wake may be left in `wakes`.
pub(crate) fn complete(device: &Shared, answered: Answered, wakes: &mut WakeBatch) {
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
            completion.complete_with(answer, wakes)
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
pub(crate) fn fail(device: &Shared, work: Work, kind: FailureKind, wakes: &mut WakeBatch) {
    let answer = Err(Failure::with_request(kind, work.request));
    complete(
        device,
        Answered {
            answer,
            completion: work.completion,
            instance: work.instance,
            fate: Fate::default(),
        },
        wakes,
    );
}
