//! One thread of a row: its share of the jobs, kept in flight until the round is over.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use offload::{Engine, OffloadClient};

use super::desk::Desk;
use super::options::Runtime;
use super::ours::OurJobs;
use super::payload::Payload;
use super::peer::PeerSet;
use super::tally::{ID_BITS, Tally};
use crate::cli::NotifyName;
use crate::engine::TURN;
use crate::error::RunError;

/// Operations between two looks at the clock and updates of the shared count.
const PROGRESS: u64 = 256;

/// What a thread is to do.
pub(crate) struct Work {
    pub(crate) thread: u64,
    pub(crate) jobs: usize,
    pub(crate) runtime: Runtime,
    pub(crate) notify: NotifyName,
    pub(crate) client: OffloadClient,
    /// What the client turns to when the device refuses or fails.
    pub(crate) fallback: Option<Arc<dyn Engine>>,
    pub(crate) payload: Arc<Payload>,
    pub(crate) timeout: Duration,
    /// Operations done by all threads, for the progress bar.
    pub(crate) done: Arc<AtomicU64>,
}

/// When a thread stops replacing jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    At(Instant),
    /// After so many operations more.
    After(u64),
}

/// Jobs, as the loop below needs them: each carries out the operation that is laid out in its place.
pub(crate) trait Jobs {
    /// Starts the job of a free place. Says whether it has finished already.
    fn start(&mut self, place: usize) -> Result<bool, RunError>;

    /// Waits until a job has finished and says in which place; `None` after `patience`.
    fn next_finished(&mut self, patience: Duration) -> Result<Option<usize>, RunError>;

    /// Jobs that are paused.
    fn in_flight(&self) -> usize;

    /// Ends every job, without the operations that they wait for.
    fn give_up(&mut self);

    /// Enters what they have counted.
    fn account(&self, tally: &mut Tally);
}

/// Runs a thread's share of a row: a round for each order, and after each reports how many operations
/// were completed in it. One report more comes first, when the thread is ready. Returns the account of
/// all rounds, if there could be any.
pub(crate) fn run(
    work: &Work,
    orders: &Receiver<End>,
    reports: &Sender<Result<u64, RunError>>,
) -> Option<Tally> {
    let desk = Rc::new(Desk::new(work.jobs));
    match work.runtime {
        Runtime::Ours => {
            let jobs = OurJobs::new(work, Rc::clone(&desk));
            serve(work, desk, jobs, orders, reports)
        }
        Runtime::Libcrypto(libcrypto) => {
            let jobs = PeerSet::new(work, libcrypto, Rc::clone(&desk));
            serve(work, desk, jobs, orders, reports)
        }
    }
}

fn serve<J: Jobs>(
    work: &Work,
    desk: Rc<Desk>,
    jobs: Result<J, RunError>,
    orders: &Receiver<End>,
    reports: &Sender<Result<u64, RunError>>,
) -> Option<Tally> {
    // Whoever gave the orders may have given up: then nobody listens, and the orders end.
    let mut thread = match jobs {
        Ok(jobs) => Thread {
            work,
            jobs,
            desk,
            // The last place to be free is the next to be used: its buffer is in the cache.
            free: (0..work.jobs).rev().collect(),
            next: 0,
            tally: Tally::new(),
            pending: 0,
        },
        Err(error) => {
            let _ = reports.send(Err(error));
            return None;
        }
    };
    let _ = reports.send(Ok(0));
    for end in orders {
        let before = thread.tally.completed;
        let result = thread.round(end);
        if result.is_err() {
            thread.jobs.give_up();
        }
        let _ = reports.send(result.map(|()| thread.tally.completed - before));
    }
    thread.jobs.account(&mut thread.tally);
    Some(thread.tally)
}

struct Thread<'a, J> {
    work: &'a Work,
    jobs: J,
    desk: Rc<Desk>,
    free: Vec<usize>,
    /// The next operation's number.
    next: u64,
    tally: Tally,
    /// Finished since the shared count was last brought up to date.
    pending: u64,
}

impl<J: Jobs> Thread<'_, J> {
    /// Keeps the jobs in flight until `end`, and then until the last has finished.
    fn round(&mut self, end: End) -> Result<(), RunError> {
        let first = self.next;
        let mut last_progress = Instant::now();
        loop {
            while let Some(&place) = self.free.last()
                && self.goes_on(end, first)
            {
                if !self.start(place)? {
                    self.free.pop();
                }
            }
            if self.jobs.in_flight() == 0 {
                self.show_progress();
                return Ok(());
            }
            match self.jobs.next_finished(TURN)? {
                None if self.pending == 0 => self.check_stuck(last_progress)?,
                None => {
                    last_progress = Instant::now();
                    self.show_progress();
                }
                Some(place) => {
                    self.finished(place);
                    self.free.push(place);
                    if self.pending >= PROGRESS {
                        last_progress = Instant::now();
                        self.show_progress();
                    }
                }
            }
        }
    }

    fn goes_on(&self, end: End, first: u64) -> bool {
        match end {
            End::At(end) => Instant::now() < end,
            End::After(count) => self.next < first + count,
        }
    }

    /// Starts the next operation's job in `place`. Says whether it has finished already.
    fn start(&mut self, place: usize) -> Result<bool, RunError> {
        let n = self.next;
        let id = self.id(n);
        self.desk.at(place, |at| {
            let buffer = at.buffer.take();
            let buffer = buffer.unwrap_or_else(|| self.work.payload.buffer());
            at.request = Some(self.work.payload.request(n, id, buffer));
            at.n = n;
            at.started = Instant::now();
        });
        let at_once = self.jobs.start(place)?;
        self.next += 1;
        if at_once {
            self.finished(place);
            // An engine that never lets a job pause would otherwise show no progress.
            if self.pending >= PROGRESS {
                self.show_progress();
            }
        }
        Ok(at_once)
    }

    /// Takes the answer of the job in `place` into account.
    fn finished(&mut self, place: usize) {
        self.pending += 1;
        // The job has returned, and the answer is the last thing that it leaves.
        let (n, latency, answer) = self.desk.at(place, |at| {
            let answer = at.answer.take();
            let answer = answer.expect("a job that has returned has left its answer");
            (at.n, at.latency, answer)
        });
        let buffer = match answer {
            Ok(response) => {
                let right = self.work.payload.is_right(n, &response);
                self.tally.answered(self.id(n), latency, right);
                Some(response.data)
            }
            Err(error) => {
                self.tally.unanswered(&error);
                error.into_request().map(|request| request.data)
            }
        };
        self.desk.at(place, |at| at.buffer = buffer);
    }

    fn id(&self, n: u64) -> u64 {
        self.work.thread << ID_BITS | n
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
            stuck: self.jobs.in_flight(),
            seconds: patience.as_secs(),
        })
    }
}
