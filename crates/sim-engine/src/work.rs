//! What a worker does with requests: compute, hold back until its time, complete.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use offload::{Completion, Delivery, Failure, FailureKind, Request, Response};
use waitctx::WakeBatch;

use crate::compute::compute;
use crate::device::Shared;
use crate::fault::{Fate, Outcome, corrupt};
use crate::inbox::{Inbox, Intake};

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

/// Completions are told together, so many at most: interrupt moderation. With fewer in flight it is
/// half of them, so that their submitter and the worker can work at the same time. A worker with
/// nothing else to do tells at once.
const WAKES_TOGETHER: usize = 64;
/// So many while their submitter is awake: it finds them without being woken, and is kept busy.
const AWAKE_TOGETHER: usize = 4;
/// So long at most, from the first of them on.
const TOLD_WITHIN: Duration = Duration::from_micros(100);
/// After so many bytes the clock is looked at: less takes no time worth the look.
const LOOK_BYTES: usize = 16 * 1024;
/// A request of more is not begun before they are told.
const LONG_BYTES: usize = 32 * 1024;
/// So many requests ahead, the memory for the answer is asked for: it comes from another processor.
const AHEAD: usize = 2;
/// So many requests between two sleeps are a burst.
const BURST: usize = 4;

/// One worker's state, or the poller's.
pub(crate) struct Worker {
    /// Completions that have not been told.
    wakes: WakeBatch,
    /// When the first of them was, and how many there may be. Meaningful while there are any.
    held_since: Instant,
    held_max: usize,
    /// Bytes of requests since the clock was looked at.
    bytes_since: usize,
    /// Requests that were taken out of the inbox and not begun.
    todo: VecDeque<Work>,
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
    pub(crate) fn new() -> Worker {
        Worker {
            wakes: WakeBatch::new(),
            held_since: Instant::now(),
            held_max: 1,
            bytes_since: 0,
            todo: VecDeque::new(),
            burst: 0,
            due: BinaryHeap::new(),
            number: 0,
            limbo: Vec::new(),
            next_limbo_check: None,
        }
    }

    /// A worker thread's life.
    pub(crate) fn run(mut self, device: &Shared, inbox: &Inbox) {
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
    pub(crate) fn poll(&mut self, device: &Shared, inbox: &Inbox, quota: usize) -> usize {
        let quota = if quota == 0 { usize::MAX } else { quota };
        let mut done = 0;
        while done < quota {
            if self.todo.is_empty() {
                inbox.take(&mut self.todo);
            }
            let Some(work) = self.todo.pop_front() else {
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

    /// The same if there are enough of them, or would be too late after a request of `bytes`.
    fn tell_in_time(&mut self, bytes: usize) {
        if self.wakes.is_empty() {
            return;
        }
        self.bytes_since = self.bytes_since.saturating_add(bytes);
        let late = bytes > LONG_BYTES
            || self.bytes_since > LOOK_BYTES && {
                self.bytes_since = 0;
                self.held_since.elapsed() >= TOLD_WITHIN
            };
        let held = self.wakes.len();
        if late
            || held >= self.held_max
            || held.is_multiple_of(AWAKE_TOGETHER) && !self.wakes.owner_sleeps()
        {
            self.tell();
        }
    }

    /// Completes a request, and holds its wake back.
    fn complete(&mut self, device: &Shared, answered: Answered) {
        let instance = answered.instance;
        let first = self.wakes.is_empty();
        complete(device, answered, &mut self.wakes);
        if first && !self.wakes.is_empty() {
            self.held_since = Instant::now();
            self.held_max = (device.in_ring(instance) / 2).clamp(1, WAKES_TOGETHER);
        }
    }

    /// Waits for work, at most until something is due.
    fn next(&mut self, device: &Shared, inbox: &Inbox) -> Next {
        self.check_limbo(device);
        if self.todo.is_empty() && inbox.take(&mut self.todo) != Intake::Work {
            self.tell();
            let due = self.due.peek().map(|due| due.at);
            let until = due.into_iter().chain(self.next_limbo_check).min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left <= SPIN) {
                std::hint::spin_loop();
                return Next::Nothing;
            }
            let busy = std::mem::take(&mut self.burst) >= BURST;
            match inbox.wait(&mut self.todo, busy, until.map(|until| until - SPIN)) {
                Intake::Work => {}
                Intake::Nothing => return Next::Nothing,
                Intake::Stop => return Next::Stop,
            }
        }
        self.burst += 1;
        if let Some(next) = self.todo.get(AHEAD) {
            next.completion.prefetch();
        }
        match self.todo.pop_front() {
            Some(work) => Next::Work(work),
            None => Next::Nothing,
        }
    }

    /// Carries a request out. Says whether it was completed at once.
    fn take(&mut self, device: &Shared, work: Work) -> bool {
        self.tell_in_time(work.request.bytes());
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
                self.complete(device, answer);
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
            self.complete(device, answer);
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
