//! One thread of a row: its share of the jobs, kept in flight until the row is over.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_core::{JobSet, SetStats, WakeBy};
use hdrhistogram::Histogram;
use offload::{Buffer, FailureKind, OffloadClient, OffloadError, Request, Response};

use super::payload::Payload;
use crate::engine::{TURN, next_finished};
use crate::error::{RunError, as_typed};

/// Operation ids are the thread's number above these bits and the operation's below, so that the
/// same seed meets the same faults however the threads are scheduled.
const ID_BITS: u32 = 40;
/// Operations between two looks at the clock and updates of the shared count.
const PROGRESS: u64 = 256;
/// Latencies are told apart to this many significant digits.
const LATENCY_DIGITS: u8 = 3;

/// What a thread is to do.
pub(crate) struct Work {
    pub(crate) thread: u64,
    pub(crate) jobs: usize,
    pub(crate) wake: WakeBy,
    pub(crate) client: OffloadClient,
    pub(crate) payload: Arc<Payload>,
    pub(crate) end: End,
    pub(crate) timeout: Duration,
    /// Operations done by all threads, for the progress bar.
    pub(crate) done: Arc<AtomicU64>,
}

/// When a thread stops replacing jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    At(Instant),
    After(u64),
}

/// What a thread has done.
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Responses that were not what software computes.
    pub(crate) wrong: u64,
    /// The lowest id of one of them: the same for the same seed.
    pub(crate) first_wrong: Option<u64>,
    /// What the first failed operation said.
    pub(crate) first_failure: Option<String>,
    /// From the start of the job to its result, in nanoseconds.
    pub(crate) latency_ns: Histogram<u64>,
    pub(crate) latency_sum: Duration,
    pub(crate) set: SetStats,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            completed: 0,
            failed: 0,
            cancelled: 0,
            wrong: 0,
            first_wrong: None,
            first_failure: None,
            // Invariant: 1 to 5 digits are what the crate takes.
            latency_ns: Histogram::new(LATENCY_DIGITS).expect("3 digits are supported"),
            latency_sum: Duration::ZERO,
            set: SetStats::default(),
        }
    }

    /// Adds what another thread has done.
    pub(crate) fn add(&mut self, other: Tally) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.wrong += other.wrong;
        self.first_wrong = lower(self.first_wrong, other.first_wrong);
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.latency_sum += other.latency_sum;
        // Invariant: both grow as they must, so nothing is out of range.
        self.latency_ns
            .add(&other.latency_ns)
            .expect("histograms that resize take any value");
        self.set.started += other.set.started;
        self.set.finished += other.set.finished;
        self.set.pauses += other.set.pauses;
        self.set.resumes += other.set.resumes;
        self.set.wakes += other.set.wakes;
        self.set.in_flight_max += other.set.in_flight_max;
    }
}

/// What the jobs of a thread share with it. Borrowed only between pauses.
struct Desk {
    client: OffloadClient,
    places: RefCell<Vec<Place>>,
}

/// One of the jobs in flight, over and over.
struct Place {
    n: u64,
    started: Instant,
    latency: Duration,
    /// Between operations.
    buffer: Option<Buffer>,
    /// For the job to take, so that its closure is small enough to be stored in place.
    request: Option<Request>,
    answer: Option<Result<Response, OffloadError>>,
}

/// Runs a thread's share of a row.
pub(crate) fn run(work: &Work) -> Result<Tally, RunError> {
    let set = JobSet::new(work.jobs, work.wake).map_err(RunError::WakeSource)?;
    let now = Instant::now();
    let place = |_| Place {
        n: 0,
        started: now,
        latency: Duration::ZERO,
        buffer: Some(work.payload.buffer()),
        request: None,
        answer: None,
    };
    let desk = Desk {
        client: work.client.clone(),
        places: RefCell::new((0..work.jobs).map(place).collect()),
    };
    let mut thread = Thread {
        work,
        set,
        desk: Rc::new(desk),
        next: 0,
        tally: Tally::new(),
        pending: 0,
    };
    let result = thread.run();
    if result.is_err() {
        thread.set.cancel_all(|_, ()| {});
    }
    result?;
    let mut tally = thread.tally;
    tally.set = thread.set.stats();
    Ok(tally)
}

struct Thread<'a> {
    work: &'a Work,
    set: JobSet<()>,
    desk: Rc<Desk>,
    /// The next operation's number.
    next: u64,
    tally: Tally,
    /// Finished since the shared count was last brought up to date.
    pending: u64,
}

impl Thread<'_> {
    fn run(&mut self) -> Result<(), RunError> {
        // The last place to be free is the next to be used: its buffer is in the cache.
        let mut free: Vec<usize> = (0..self.work.jobs).rev().collect();
        let mut last_progress = Instant::now();
        loop {
            while let Some(&place) = free.last()
                && self.goes_on()
            {
                if !self.start(place)? {
                    free.pop();
                }
            }
            if self.set.is_empty() {
                self.show_progress();
                return Ok(());
            }
            match next_finished(&mut self.set, &self.work.client, TURN)? {
                None if self.pending == 0 => self.check_stuck(last_progress)?,
                None => {
                    last_progress = Instant::now();
                    self.show_progress();
                }
                Some((place, ())) => {
                    // An index of ours.
                    let place = place as usize;
                    self.finished(place);
                    free.push(place);
                    if self.pending >= PROGRESS {
                        last_progress = Instant::now();
                        self.show_progress();
                    }
                }
            }
        }
    }

    fn goes_on(&self) -> bool {
        match self.work.end {
            End::At(end) => Instant::now() < end,
            End::After(total) => self.next < total,
        }
    }

    /// Starts the next operation's job in `place`. Says whether it has finished already.
    fn start(&mut self, place: usize) -> Result<bool, RunError> {
        let n = self.next;
        let id = self.work.thread << ID_BITS | n;
        {
            let mut places = self.desk.places.borrow_mut();
            let at = &mut places[place];
            let buffer = at.buffer.take();
            let buffer = buffer.unwrap_or_else(|| self.work.payload.buffer());
            at.request = Some(self.work.payload.request(n, id, buffer));
            at.n = n;
            at.started = Instant::now();
        }
        let desk = Rc::clone(&self.desk);
        let job = move || {
            let request = desk.places.borrow_mut()[place].request.take();
            let answer = request.map(|request| desk.client.run(request));
            let mut places = desk.places.borrow_mut();
            let at = &mut places[place];
            at.latency = at.started.elapsed();
            at.answer = answer;
        };
        let at_once = self.set.start(place as u64, job).map_err(|e| {
            let started = self.set.in_flight();
            RunError::Start {
                started,
                wanted: self.work.jobs,
                reason: as_typed(&e.to_string()),
            }
        })?;
        self.next += 1;
        if at_once.is_some() {
            self.finished(place);
            // An engine that never lets a job pause would otherwise show no progress.
            if self.pending >= PROGRESS {
                self.show_progress();
            }
        }
        Ok(at_once.is_some())
    }

    /// Takes the answer of the job in `place` into account.
    fn finished(&mut self, place: usize) {
        let mut places = self.desk.places.borrow_mut();
        let at = &mut places[place];
        self.pending += 1;
        let error = match at.answer.take() {
            Some(Ok(response)) => {
                self.tally.completed += 1;
                self.tally.latency_sum += at.latency;
                let ns = u64::try_from(at.latency.as_nanos()).unwrap_or(u64::MAX);
                // Invariant: the histogram grows as it must, so nothing is out of range.
                let recorded = self.tally.latency_ns.record(ns);
                recorded.expect("a histogram that resizes takes any value");
                if !self.work.payload.is_right(at.n, &response) {
                    self.tally.wrong += 1;
                    let id = self.work.thread << ID_BITS | at.n;
                    self.tally.first_wrong = lower(self.tally.first_wrong, Some(id));
                }
                at.buffer = Some(response.data);
                return;
            }
            Some(Err(error)) => error,
            // The job has returned, and the answer is the last thing that it leaves.
            None => unreachable!("a job that has returned has left its answer"),
        };
        if matches!(error, OffloadError::Cancelled { .. }) {
            self.tally.cancelled += 1;
        } else {
            self.tally.failed += 1;
        }
        self.tally
            .first_failure
            .get_or_insert_with(|| describe(&error));
        at.buffer = error.into_request().map(|request| request.data);
    }

    fn show_progress(&mut self) {
        self.work.done.fetch_add(self.pending, Ordering::Relaxed);
        self.pending = 0;
    }

    /// Every operation ends within its time-out, or nine eighths of it; so must every job.
    fn check_stuck(&self, last_progress: Instant) -> Result<(), RunError> {
        let patience = self.work.timeout * 3 + Duration::from_secs(5);
        if last_progress.elapsed() < patience {
            return Ok(());
        }
        Err(RunError::Stuck {
            stuck: self.set.in_flight(),
            seconds: patience.as_secs(),
        })
    }
}

/// The lower of the two, where there are two.
fn lower(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// An operation's id in words.
pub(crate) fn name_of(id: u64) -> String {
    let n = id & ((1 << ID_BITS) - 1);
    format!("operation {n} of thread {}", id >> ID_BITS)
}

fn describe(error: &OffloadError) -> String {
    match error {
        OffloadError::Failed(failure) => match &failure.kind {
            FailureKind::TimedOut { millis } => format!("no answer within {millis} ms"),
            kind => kind.to_string(),
        },
        other => as_typed(&other.to_string()),
    }
}
