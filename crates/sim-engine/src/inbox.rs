//! Requests on their way from submitters to workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::work::Work;

/// A queue in order of arrival. It has no bound of its own: the rings admit what may be in it.
///
/// A worker that is alone takes all that is there in one step; several take small shares. So the lock
/// is taken once per request by who submits and once for many by who works, and a worker is woken
/// only if it sleeps.
pub(crate) struct Inbox {
    state: Mutex<State>,
    work: Condvar,
    /// There may be requests: what a worker looks at before it sleeps. Written under the lock.
    some: CachePadded<AtomicBool>,
    /// How many take from it.
    workers: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// Workers that wait on the condition.
    asleep: usize,
    /// Of these, those that were told to wake and have not come yet: no more than there are.
    called: usize,
    /// Workers that are to end once the queue is empty.
    stops: usize,
    /// Somebody who waits is to come back without work.
    nudged: bool,
    /// Nobody takes from it any more.
    closed: bool,
}

/// What a worker has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// There are requests now.
    Work,
    /// None came in time.
    Nothing,
    /// None will come.
    Stop,
}

/// With several workers, one takes so much at once at most, so that none works off a pile while
/// others sleep.
const SHARE_BYTES: usize = 4 * 1024;
const SHARE_MAX: usize = 8;
/// How often a worker looks for requests before it sleeps, and how long it pauses between two looks:
/// 3 µs in all, which is what waking it would cost its submitter. Looking all the time would take the
/// cache line away from who writes to it.
const LOOKS: u32 = 8;
const PAUSES: u32 = 8;

impl Inbox {
    pub(crate) fn new(workers: usize) -> Inbox {
        Inbox {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            some: CachePadded::new(AtomicBool::new(false)),
            workers,
        }
    }

    /// Puts a request in, and wakes a worker if one sleeps.
    ///
    /// # Errors
    ///
    /// The request, if the inbox is closed.
    pub(crate) fn push(&self, work: Work) -> Result<(), Work> {
        let mut state = self.lock();
        if state.closed {
            return Err(work);
        }
        state.queue.push_back(work);
        self.show(true);
        let call = state.asleep > state.called;
        state.called += usize::from(call);
        drop(state);
        if call {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Takes what there is into `mine`, which is empty, without waiting.
    pub(crate) fn take(&self, mine: &mut VecDeque<Work>) -> Intake {
        if !self.some.load(Ordering::Relaxed) {
            return Intake::Nothing;
        }
        self.take_from(&mut self.lock(), mine)
    }

    /// The same; if nothing is there, looks for a while, then sleeps, at most until `deadline`.
    pub(crate) fn wait(
        &self,
        mine: &mut VecDeque<Work>,
        look: bool,
        deadline: Option<Instant>,
    ) -> Intake {
        for _ in 0..if look { LOOKS } else { 0 } {
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
            if self.some.load(Ordering::Relaxed) {
                break;
            }
        }
        let mut state = self.lock();
        loop {
            if self.take_from(&mut state, mine) == Intake::Work {
                return Intake::Work;
            }
            if state.stops > 0 {
                state.stops -= 1;
                return Intake::Stop;
            }
            if std::mem::take(&mut state.nudged) {
                return Intake::Nothing;
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Intake::Nothing;
            }
            state.asleep += 1;
            state = match left {
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.work.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.asleep -= 1;
            // If somebody else was called, it comes all the same and finds what there is.
            state.called = state.called.saturating_sub(1);
        }
    }

    fn take_from(&self, state: &mut State, mine: &mut VecDeque<Work>) -> Intake {
        if state.queue.is_empty() {
            return Intake::Nothing;
        }
        if self.workers == 1 {
            // The two buffers go round.
            std::mem::swap(&mut state.queue, mine);
        } else {
            let share = state.queue.len().div_ceil(self.workers).min(SHARE_MAX);
            let mut bytes = 0_usize;
            while mine.len() < share
                && bytes < SHARE_BYTES
                && let Some(work) = state.queue.pop_front()
            {
                bytes = bytes.saturating_add(work.request.bytes());
                mine.push_back(work);
            }
        }
        if state.queue.is_empty() {
            self.show(false);
        }
        Intake::Work
    }

    /// Asks every worker to end once there is no work left.
    pub(crate) fn stop_all(&self) {
        self.lock().stops = self.workers;
        self.work.notify_all();
    }

    /// Has a worker that waits come back without work, to look at something else; or the next one
    /// that would wait.
    pub(crate) fn nudge(&self) {
        self.lock().nudged = true;
        self.work.notify_all();
    }

    /// Lets nothing in any more, and hands over what is left.
    pub(crate) fn close(&self) -> VecDeque<Work> {
        let mut state = self.lock();
        state.closed = true;
        self.show(false);
        std::mem::take(&mut state.queue)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Keeps the line with those who read it unless there is something to say.
    fn show(&self, some: bool) {
        if self.some.load(Ordering::Relaxed) != some {
            self.some.store(some, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use offload::{Op, Pending, Request};
    use waitctx::WaitCtx;

    use super::*;
    use crate::work::Route;

    fn work(id: u64, bytes: usize) -> Work {
        let ctx = WaitCtx::new();
        ctx.set_silent(true).expect("no wake yet");
        let notifier = ctx.notifier().expect("no fd needed");
        // Its answer is of no interest here.
        let (_, completion) = Pending::new(notifier);
        Work {
            request: Request::new(Op::Nop, vec![0; bytes]).with_id(id),
            route: Route::new(completion, 0, 0, None, false),
        }
    }

    fn push(inbox: &Inbox, ids: std::ops::Range<u64>, bytes: usize) {
        for id in ids {
            assert!(inbox.push(work(id, bytes)).is_ok());
        }
    }

    fn ids(mine: &mut VecDeque<Work>) -> Vec<u64> {
        mine.drain(..).map(|work| work.request.id).collect()
    }

    #[test]
    fn one_worker_takes_all_in_order() {
        let inbox = Inbox::new(1);
        let mut mine = VecDeque::new();
        assert_eq!(inbox.take(&mut mine), Intake::Nothing);
        push(&inbox, 0..100, 1);
        assert_eq!(inbox.take(&mut mine), Intake::Work);
        assert!(ids(&mut mine).into_iter().eq(0..100));
        assert_eq!(inbox.take(&mut mine), Intake::Nothing);
        push(&inbox, 100..101, 1);
        assert_eq!(inbox.wait(&mut mine, true, None), Intake::Work);
        assert_eq!(ids(&mut mine), [100]);
    }

    #[test]
    fn several_workers_take_shares() {
        let inbox = Inbox::new(2);
        let mut mine = VecDeque::new();
        let mut take = || {
            inbox.take(&mut mine);
            ids(&mut mine)
        };
        push(&inbox, 0..3, 1);
        assert_eq!(take(), [0, 1]);
        assert_eq!(take(), [2]);
        // No more than a few, and of long ones one.
        push(&inbox, 3..103, 1);
        assert_eq!(take().len(), SHARE_MAX);
        let left = inbox.close();
        assert_eq!(left.len(), 100 - SHARE_MAX);

        let inbox = Inbox::new(2);
        push(&inbox, 0..8, SHARE_BYTES);
        inbox.take(&mut mine);
        assert_eq!(ids(&mut mine), [0]);
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let inbox = Inbox::new(1);
        let mut mine = VecDeque::new();
        let deadline = Instant::now() + Duration::from_millis(2);
        assert_eq!(inbox.wait(&mut mine, true, Some(deadline)), Intake::Nothing);
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn work_goes_before_the_stop_and_nothing_after_the_close() {
        let inbox = Inbox::new(1);
        let mut mine = VecDeque::new();
        push(&inbox, 0..1, 1);
        inbox.stop_all();
        assert_eq!(inbox.wait(&mut mine, false, None), Intake::Work);
        assert_eq!(ids(&mut mine), [0]);
        assert_eq!(inbox.wait(&mut mine, false, None), Intake::Stop);
        push(&inbox, 1..2, 1);
        assert!(!inbox.is_closed());
        assert_eq!(ids(&mut inbox.close()), [1]);
        assert!(inbox.is_closed());
        let refused = inbox.push(work(2, 1));
        assert!(refused.is_err_and(|work| work.request.id == 2));
        assert_eq!(inbox.take(&mut mine), Intake::Nothing);
    }

    #[test]
    fn a_worker_that_sleeps_is_woken_each_time() {
        let inbox = Inbox::new(1);
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut mine = VecDeque::new();
                while inbox.wait(&mut mine, false, None) == Intake::Work {
                    taken.fetch_add(ids(&mut mine).len() as u64, Ordering::Relaxed);
                }
            });
            let until = |what: &dyn Fn() -> bool| {
                // The bound only ends a test that would hang.
                let end = Instant::now() + Duration::from_secs(30);
                while !what() && Instant::now() < end {
                    std::thread::yield_now();
                }
                what()
            };
            let mut woken = true;
            for round in 1..=100 {
                woken &= until(&|| inbox.lock().asleep == 1);
                push(&inbox, 0..1, 1);
                woken &= until(&|| taken.load(Ordering::Relaxed) == round);
                if !woken {
                    break;
                }
            }
            inbox.stop_all();
            assert!(woken, "it sleeps on");
        });
    }

    /// Submitters and workers, with sleeps that end by time beside those that are woken. A wake that
    /// is lost hangs the test.
    #[test]
    fn every_request_is_taken_once() {
        const EACH: u64 = 5_000;
        for workers in [1, 3] {
            let inbox = Inbox::new(workers);
            let taken = AtomicU64::new(0);
            let sum = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for worker in 0..workers {
                    let (inbox, taken, sum) = (&inbox, &taken, &sum);
                    scope.spawn(move || {
                        let mut mine = VecDeque::new();
                        loop {
                            // One of them sleeps until it is woken.
                            let deadline =
                                (worker > 0).then(|| Instant::now() + Duration::from_micros(30));
                            match inbox.wait(&mut mine, worker == 1, deadline) {
                                Intake::Work => {}
                                Intake::Nothing => continue,
                                Intake::Stop => return,
                            }
                            taken.fetch_add(mine.len() as u64, Ordering::Relaxed);
                            sum.fetch_add(ids(&mut mine).iter().sum(), Ordering::Relaxed);
                        }
                    });
                }
                let submitters: Vec<_> = (0..2)
                    .map(|n| {
                        let inbox = &inbox;
                        scope.spawn(move || push(inbox, n * EACH..(n + 1) * EACH, 0))
                    })
                    .collect();
                for submitter in submitters {
                    submitter.join().expect("no panic");
                }
                inbox.stop_all();
            });
            let all = 2 * EACH;
            assert_eq!(taken.load(Ordering::Relaxed), all);
            assert_eq!(sum.load(Ordering::Relaxed), all * (all - 1) / 2);
            assert!(inbox.close().is_empty());
        }
    }
}
