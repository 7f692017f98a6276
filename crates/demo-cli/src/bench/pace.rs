//! Rows that are more than a closed loop in real time: virtual time, open loops, devices that the
//! jobs' thread polls, stages and traces.
//!
//! Beside the plain loop of [`Thread`], which pays for none of it. One turn of this one:
//!
//! ```text
//!  resume what is ready ─▶ begin what is due ─▶ poll, if that is due ─▶ nothing done? wait, or step
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offload::OffloadError;
use sim_engine::{SimClock, SimDevice, Step};

use super::arrivals::{Arrivals, Rate};
use super::stages::{Stages, Waited};
use super::tally::describe;
use super::trace::{Carried, Ended, RowTrace};
use super::worker::{End, Jobs, PROGRESS, Thread, Work};
use crate::error::RunError;

/// How often the timer polls: nginx's async mode does it as often.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(1);

/// A sleep may last so much longer than it was asked to; the rest of a wait for a start is spun.
const SLEEP_SLACK: Duration = Duration::from_micros(150);

/// With so many starts, and ten for each job, in no time at all a virtual clock is taken to stand
/// still.
const STARTS_AT_ONCE: u64 = 100_000;

/// How a row goes.
pub(crate) struct Pace {
    pub(crate) clock: SimClock,
    pub(crate) device: Option<Arc<SimDevice>>,
    /// What an operation costs its host, on a virtual clock.
    pub(crate) op_ns: u64,
    pub(crate) polling: Polling,
    /// Of an open loop.
    pub(crate) rate: Option<Rate>,
    pub(crate) stages: Option<Arc<Stages>>,
    pub(crate) trace: Option<Arc<RowTrace>>,
    /// The number of the thread's first job among those of the row.
    pub(crate) first_job: usize,
}

/// When the jobs' thread polls the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// The device has threads.
    Never,
    /// Each [`POLL_EVERY`].
    Timer,
    /// With so many in flight, when all jobs wait, and each [`POLL_EVERY`].
    Heuristic { threshold: usize },
    /// Whenever there is nothing else to do.
    Always,
}

/// A thread's jobs, paced.
pub(super) struct Paced<'a> {
    pace: &'a Pace,
    /// Places without a job and when they became free; the one that has been longest comes first.
    free: VecDeque<(usize, u64)>,
    /// For each place its operation's times.
    times: Vec<Times>,
    next_poll: u64,
    last_progress: u64,
    /// When the round began.
    round_began: u64,
    /// Starts since the virtual clock moved, and when that was.
    at_once: (u64, u64),
}

#[derive(Clone, Copy, Default)]
struct Times {
    /// When the operation was to begin.
    intended: u64,
    begun: u64,
}

/// What of a round is still to begin.
struct Plan {
    until: Option<u64>,
    /// The number of the first operation that does not belong to it.
    last: u64,
    arrivals: Option<Arrivals>,
}

impl Plan {
    /// When the next operation is to begin, in a place that is free since `free`; `None` if it is not
    /// due, or there is none.
    fn due(&self, now: u64, next: u64, free: u64) -> Option<u64> {
        if !self.goes_on(now, next) {
            return None;
        }
        match &self.arrivals {
            None => Some(free),
            Some(arrivals) => Some(arrivals.next()).filter(|at| *at <= now),
        }
    }

    /// No operation from this one on is to begin: what was due by now counts.
    fn end(&mut self, now: u64, next: u64) {
        self.last = self.last.min(next);
        self.until = self.until.map(|until| until.min(now));
    }

    /// Whether any operation is still to begin.
    fn goes_on(&self, now: u64, next: u64) -> bool {
        let in_time = |at: u64| self.until.is_none_or(|until| at < until);
        let arrives = |a: &Arrivals| in_time(a.next());
        next < self.last && in_time(now) && self.arrivals.as_ref().is_none_or(arrives)
    }
}

impl<'a> Paced<'a> {
    pub(super) fn new(pace: &'a Pace, work: &Work) -> Paced<'a> {
        Paced {
            pace,
            free: (0..work.jobs).map(|place| (place, 0)).collect(),
            times: vec![Times::default(); work.jobs],
            next_poll: 0,
            last_progress: 0,
            round_began: 0,
            at_once: (0, 0),
        }
    }

    /// Runs a round, until its last operation has ended.
    pub(super) fn round<J: Jobs>(
        &mut self,
        thread: &mut Thread<'_, J>,
        end: End,
    ) -> Result<(), RunError> {
        let start = self.now();
        let mut plan = Plan {
            until: match end {
                End::Lasting(time) => Some(start.saturating_add(nanos(time))),
                End::At(_) | End::After(_) => None,
            },
            last: match end {
                End::After(count) => thread.next.saturating_add(count),
                End::At(_) | End::Lasting(_) => u64::MAX,
            },
            arrivals: (self.pace.rate).map(|rate| Arrivals::new(rate, start)),
        };
        for (_, since) in &mut self.free {
            *since = start;
        }
        self.next_poll = start.saturating_add(nanos(POLL_EVERY));
        self.last_progress = start;
        self.round_began = start;
        loop {
            if thread.work.is_stopped() {
                plan.end(self.now(), thread.next);
            }
            let resumed = self.resume_ready(thread)?;
            let began = self.begin_due(thread, &mut plan)?;
            let polled = self.poll_if_due(thread, true);
            if resumed || began || polled {
                self.last_progress = self.now();
                if thread.pending >= PROGRESS {
                    thread.show_progress();
                }
                continue;
            }
            if thread.jobs.in_flight() == 0 && !plan.goes_on(self.now(), thread.next) {
                thread.show_progress();
                thread.end_round(self.now() - start);
                if let (Some(arrivals), Some(until)) = (&mut plan.arrivals, plan.until) {
                    thread.tally.not_begun += arrivals.count_until(until);
                }
                return Ok(());
            }
            self.wait(thread, &plan)?;
        }
    }

    fn now(&self) -> u64 {
        self.pace.clock.now_ns()
    }

    /// Resumes the jobs that are ready. In real time one of them, and a place is filled again before
    /// the next: the device does not run dry.
    fn resume_ready<J: Jobs>(&mut self, thread: &mut Thread<'_, J>) -> Result<bool, RunError> {
        let mut any = false;
        while let Some(place) = thread.jobs.next_ready(Duration::ZERO)? {
            self.ended(thread, place);
            any = true;
            if self.pace.clock.as_virtual().is_none() {
                break;
            }
        }
        Ok(any)
    }

    /// Begins what is due and finds a place. Says whether anything was.
    fn begin_due<J: Jobs>(
        &mut self,
        thread: &mut Thread<'_, J>,
        plan: &mut Plan,
    ) -> Result<bool, RunError> {
        let mut any = false;
        // Jobs that end as they begin leave a place free for ever.
        while !thread.work.is_stopped()
            && let Some(&(place, since)) = self.free.front()
        {
            let begun = self.now();
            let Some(intended) = plan.due(begun, thread.next, since) else {
                break;
            };
            if let Some(arrivals) = &mut plan.arrivals {
                arrivals.advance();
            }
            self.free.pop_front();
            any = true;
            self.times[place] = Times { intended, begun };
            if let Some(clock) = self.pace.clock.as_virtual() {
                clock.spend(self.pace.op_ns);
                self.check_clock(thread.work)?;
            }
            if thread.begin(place)? {
                self.ended(thread, place);
            }
            if thread.pending >= PROGRESS {
                thread.show_progress();
            }
            self.poll_if_due(thread, false);
        }
        Ok(any)
    }

    /// Polls the device, if it is time. Says whether that completed anything.
    fn poll_if_due<J: Jobs>(&mut self, thread: &Thread<'_, J>, all_wait: bool) -> bool {
        let (Some(device), in_flight) = (&self.pace.device, thread.jobs.in_flight()) else {
            return false;
        };
        let due = match self.pace.polling {
            Polling::Never => return false,
            // By an event loop's timer: not before it has turned to it.
            Polling::Timer => all_wait && self.now() >= self.next_poll,
            Polling::Heuristic { threshold } => {
                all_wait || in_flight >= threshold || self.now() >= self.next_poll
            }
            Polling::Always => all_wait,
        };
        if !due || in_flight == 0 {
            return false;
        }
        self.next_poll = self.now().saturating_add(nanos(POLL_EVERY));
        device.poll_at_rest(0) > 0
    }

    /// A job has returned.
    fn ended<J: Jobs>(&mut self, thread: &mut Thread<'_, J>, place: usize) {
        let pace = self.pace;
        let mut times = self.times[place];
        let now = self.now();
        let (mut resumed, mut n) = (now, 0);
        let (began, elapsed) = (self.round_began, thread.elapsed_ns);
        let mut end = Ended::Completed;
        let wrong = thread.tally.wrong;
        let completed = thread.settle(place, |at| {
            if let SimClock::Real(clock) = &pace.clock {
                // By the job's own clock, to the moment.
                times.begun = clock.at(at.started);
                resumed = clock.at(at.started + at.latency);
                times.intended = times.intended.min(times.begun);
            }
            n = at.n;
            if pace.trace.is_some()
                && let Some(Err(error)) = &at.answer
            {
                end = match error {
                    OffloadError::Cancelled { .. } => Ended::Cancelled,
                    error => Ended::Failed(describe(error)),
                };
            }
            let ended = elapsed + resumed.saturating_sub(began);
            (
                Duration::from_nanos(resumed.saturating_sub(times.intended)),
                ended,
            )
        });
        if completed {
            let late = times.begun.saturating_sub(times.intended);
            thread.tally.late_sum += Duration::from_nanos(late);
        }
        let id = thread.id(n);
        if let Some(stages) = &pace.stages
            && completed
        {
            let intended = times.intended;
            stages.resumed(id, Waited { intended, resumed });
        }
        if let Some(trace) = &pace.trace {
            if thread.tally.wrong > wrong {
                end = Ended::Wrong;
            }
            let carried = Carried {
                id,
                due: times.intended,
                begun: times.begun,
                resumed,
                end,
            };
            trace.in_job(pace.first_job + place, &carried);
        }
        self.free.push_back((place, resumed));
    }

    /// Nothing is to be done now.
    fn wait<J: Jobs>(&mut self, thread: &mut Thread<'_, J>, plan: &Plan) -> Result<(), RunError> {
        thread.tell_while_idle();
        let now = self.now();
        let in_flight = thread.jobs.in_flight();
        if in_flight > 0 && now - self.last_progress.min(now) > nanos(thread.patience()) {
            return Err(thread.stuck());
        }
        let mut until = u64::MAX;
        if let Some(arrivals) = &plan.arrivals
            && !self.free.is_empty()
            && plan.goes_on(now, thread.next)
        {
            until = arrivals.next();
        }
        if in_flight > 0
            && matches!(
                self.pace.polling,
                Polling::Timer | Polling::Heuristic { .. }
            )
        {
            until = until.min(self.next_poll);
        }
        match &self.pace.clock {
            SimClock::Virtual(clock) => match clock.step_until(until) {
                Step::Happened { .. } | Step::Limit => Ok(()),
                Step::Idle | Step::Moving => Err(thread.stuck()),
            },
            _ => self.wait_in_real_time(thread, Duration::from_nanos(until.saturating_sub(now))),
        }
    }

    fn wait_in_real_time<J: Jobs>(
        &mut self,
        thread: &mut Thread<'_, J>,
        patience: Duration,
    ) -> Result<(), RunError> {
        // Woken too late, an operation would begin too late.
        let patience = patience.min(thread.turn()).saturating_sub(SLEEP_SLACK);
        let told = self.pace.polling == Polling::Never && thread.jobs.in_flight() > 0;
        if told {
            if let Some(place) = thread.jobs.next_ready(patience)? {
                self.ended(thread, place);
                self.last_progress = self.now();
            }
        } else if patience > Duration::ZERO && !self.polls_on() {
            std::thread::sleep(patience);
            return Ok(());
        }
        if patience.is_zero() || !told {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Whether it polls without a pause while all jobs wait.
    fn polls_on(&self) -> bool {
        matches!(
            self.pace.polling,
            Polling::Heuristic { .. } | Polling::Always
        )
    }

    /// Ends what would never end, as the clock does not come to it.
    fn check_clock(&mut self, work: &Work) -> Result<(), RunError> {
        let now = self.now();
        let (starts, since) = &mut self.at_once;
        if *since != now {
            self.at_once = (0, now);
            return Ok(());
        }
        *starts += 1;
        if *starts < STARTS_AT_ONCE + 10 * work.jobs as u64 {
            return Ok(());
        }
        Err(RunError::StandsStill { starts: *starts })
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
