//! What carries requests out: a worker thread, a poller, or a virtual clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use offload::FailureKind;
use waitctx::WakeBatch;

use super::{Answered, Work, carry_out, complete, compute_early, fail, finish, survive};
use crate::device::{Happening, Shared};
use crate::fault::Outcome;
use crate::inbox::{Inbox, Intake};
use crate::model::{NO_ENGINE, Out};
use crate::observe::DeviceEvent;

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
    /// What has happened on the endpoints and was not dealt with, each with its endpoint's number.
    happened: VecDeque<(u32, Happening)>,
    /// For looking at the endpoints, between two looks.
    scratch: VecDeque<Happening>,
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
            happened: VecDeque::new(),
            scratch: VecDeque::new(),
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
            self.look(device);
            self.deal(device, usize::MAX);
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
        }
        self.check_limbo(device);
        self.look(device);
        done += self.deal(device, quota - done);
        self.tell();
        done
    }

    /// Tells of the completions that were held back.
    pub(crate) fn tell(&mut self) {
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
        if device.is_virtual() {
            // At once: how long a wake is held back depends on the wall's clock.
            complete(device, answered, &mut self.wakes);
            self.tell();
            return;
        }
        let ring = answered.route.ring;
        let first = self.wakes.is_empty();
        complete(device, answered, &mut self.wakes);
        if first && !self.wakes.is_empty() {
            self.held_since = Instant::now();
            self.held_max = (device.in_ring(ring) / 2).clamp(1, WAKES_TOGETHER);
        }
    }

    /// Waits for work, at most until something is due.
    fn next(&mut self, device: &Shared, inbox: &Inbox) -> Next {
        self.check_limbo(device);
        if self.todo.is_empty() && inbox.take(&mut self.todo) != Intake::Work {
            self.tell();
            let due = device.next_at().and_then(|at| device.instant(at));
            let until = due.into_iter().chain(self.next_limbo_check).min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left <= SPIN) {
                std::hint::spin_loop();
                return Next::Nothing;
            }
            let busy = std::mem::take(&mut self.burst) >= BURST;
            match inbox.wait(
                &mut self.todo,
                busy,
                until.and_then(|until| until.checked_sub(SPIN)),
            ) {
                Intake::Work => {}
                Intake::Nothing => return Next::Nothing,
                Intake::Stop => return Next::Stop,
            }
        }
        self.burst += 1;
        if let Some(next) = self.todo.get(AHEAD) {
            next.route.completion.prefetch();
        }
        match self.todo.pop_front() {
            Some(work) => Next::Work(work),
            None => Next::Nothing,
        }
    }

    /// Carries a request out, or sets it on its way. Says whether it was completed at once.
    fn take(&mut self, device: &Shared, work: Work) -> bool {
        self.tell_in_time(work.request.bytes());
        if device.is_dead() {
            fail(device, work, FailureKind::Down, &mut self.wakes);
            return true;
        }
        if work.route.completion.is_abandoned() {
            device.count().skipped();
            fail(device, work, FailureKind::Cancelled, &mut self.wakes);
            return true;
        }
        let endpoint = device.endpoint_of(work.route.ring);
        if device.is_timed() || !endpoint.is_up() {
            let (at, course) = (work.route.submitted, device.course(&work));
            let job = compute_early(device, work);
            if let Err(job) = endpoint.admit(at, course, job) {
                fail(device, job.into_work(), FailureKind::Down, &mut self.wakes);
                return true;
            }
            return false;
        }
        if work.route.is_spurious() {
            survive(|| work.route.completion.nudge());
        }
        if work.route.outcome() == Outcome::Lost {
            self.lose(device, work);
            return false;
        }
        let answered = carry_out(device, work);
        self.complete(device, answered);
        true
    }

    fn lose(&mut self, device: &Shared, work: Work) {
        if !device.is_virtual() {
            self.next_limbo_check.get_or_insert_with(Instant::now);
        }
        self.limbo.push(work);
    }

    /// Takes note of what has just happened on endpoint number `endpoint`.
    fn note(&mut self, endpoint: u32) {
        let happened = self.scratch.drain(..);
        self.happened.extend(happened.map(|what| (endpoint, what)));
    }

    /// Lets happen what is to happen on the endpoints until now.
    pub(crate) fn look(&mut self, device: &Shared) {
        if !device.has_events() {
            return;
        }
        let now = device.now();
        for (number, endpoint) in (0..).zip(device.endpoints()) {
            endpoint.run(now, &mut self.scratch);
            self.note(number);
        }
    }

    /// Whether something has happened that was not dealt with.
    pub(crate) fn has_happenings(&self) -> bool {
        !self.happened.is_empty()
    }

    /// Deals with what has happened, but for answers: those wait until somebody polls.
    pub(crate) fn deal_without_answers(&mut self, device: &Shared) {
        for _ in 0..self.happened.len() {
            let Some((endpoint, what)) = self.happened.pop_front() else {
                break;
            };
            if matches!(what, Happening::Request(Out::Answered { .. })) {
                self.happened.push_back((endpoint, what));
            } else {
                self.deal_with(device, endpoint, what);
            }
        }
    }

    /// Deals with what has happened: at most `quota` completions. Says how many there were.
    pub(crate) fn deal(&mut self, device: &Shared, quota: usize) -> usize {
        let mut done = 0;
        while done < quota
            && let Some((endpoint, what)) = self.happened.pop_front()
        {
            done += usize::from(self.deal_with(device, endpoint, what));
        }
        done
    }

    /// Says whether a request was completed.
    fn deal_with(&mut self, device: &Shared, endpoint: u32, what: Happening) -> bool {
        match what {
            Happening::Request(Out::Answered {
                load,
                engine,
                mut times,
            }) => {
                if device.is_polled() {
                    // It was there, and nobody looked.
                    times.seen = times.seen.max(device.now());
                }
                if device.is_dead() {
                    fail(device, load.into_work(), FailureKind::Down, &mut self.wakes);
                } else {
                    let answered = finish(device, load, engine, times);
                    self.complete(device, answered);
                    self.tell_in_time(0);
                }
                return true;
            }
            Happening::Request(Out::Skipped { load }) => {
                device.count().skipped();
                let work = load.into_work();
                fail(device, work, FailureKind::Cancelled, &mut self.wakes);
                return true;
            }
            Happening::Stranded(job) => {
                fail(device, job.into_work(), FailureKind::Down, &mut self.wakes);
                return true;
            }
            Happening::Request(Out::Lost { load }) => self.lose(device, load.into_work()),
            Happening::Request(Out::Started { at, engine, start }) => {
                device.observe(&DeviceEvent::Started {
                    at_ns: at,
                    id: start.id,
                    endpoint,
                    engine: (engine != NO_ENGINE).then_some(engine),
                });
                if let Some(completion) = start.nudge {
                    survive(|| completion.nudge());
                }
            }
            Happening::Request(Out::Died { at }) => {
                device.observe(&DeviceEvent::Died {
                    at_ns: at,
                    endpoint,
                });
            }
            Happening::FoundDead { at } => {
                device.observe(&DeviceEvent::FoundDead {
                    at_ns: at,
                    endpoint,
                });
            }
            Happening::Restarted { at } => {
                device.observe(&DeviceEvent::Restarted {
                    at_ns: at,
                    endpoint,
                });
            }
        }
        false
    }

    /// Lets go of all that nobody waits for and has not started, on the endpoints and among those
    /// that are lost.
    pub(crate) fn sweep(&mut self, device: &Shared) {
        for (number, endpoint) in (0..).zip(device.endpoints()) {
            endpoint.lock().sweep(&mut self.scratch);
            self.note(number);
        }
        self.clear_limbo(device);
    }

    /// Ends lost requests that nobody waits for any more.
    pub(crate) fn clear_limbo(&mut self, device: &Shared) {
        let dead = device.is_dead();
        for work in self
            .limbo
            .extract_if(.., |w| dead || w.route.completion.is_abandoned())
        {
            fail(device, work, FailureKind::Down, &mut self.wakes);
        }
    }

    /// The same, now and then; on a virtual clock each time, as the wall's must not decide anything.
    fn check_limbo(&mut self, device: &Shared) {
        if device.is_virtual() {
            self.clear_limbo(device);
            return;
        }
        let Some(at) = self.next_limbo_check else {
            return;
        };
        let now = Instant::now();
        if now < at && !device.is_dead() {
            return;
        }
        self.clear_limbo(device);
        self.next_limbo_check = (!self.limbo.is_empty()).then(|| now + LIMBO_CHECK);
    }

    /// The end: completes what there is, each when it is due; what is lost or on an endpoint that has
    /// died fails. On a virtual clock the time for that has passed already, or nobody waits for it.
    pub(crate) fn finish(mut self, device: &Shared) {
        loop {
            self.look(device);
            let wait = self.drain(device);
            self.deal(device, usize::MAX);
            self.tell();
            let Some(wait) = wait else { break };
            // In short naps, since the device may be killed while it drains.
            std::thread::sleep(wait.min(LIMBO_CHECK));
        }
        for work in self.limbo.drain(..) {
            fail(device, work, FailureKind::Down, &mut self.wakes);
        }
        self.tell();
    }

    /// How long the rest has to be waited for; `None` if there is none.
    fn drain(&mut self, device: &Shared) -> Option<Duration> {
        let mut wait: Option<Duration> = None;
        for (number, endpoint) in (0..).zip(device.endpoints()) {
            let mut core = endpoint.lock();
            if core.model.is_empty() {
                continue;
            }
            let next = core.model.next_at().and_then(|at| device.instant(at));
            match next {
                Some(at) if !device.is_dead() && !core.model.is_dead() => {
                    let left = at.saturating_duration_since(Instant::now());
                    wait = Some(wait.map_or(left, |wait| wait.min(left)));
                }
                _ => {
                    core.strand(&mut self.scratch);
                    self.note(number);
                }
            }
        }
        wait
    }
}

enum Next {
    Work(Work),
    Nothing,
    Stop,
}
