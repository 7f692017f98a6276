//! One thread of a row: its share of the jobs, kept in flight until the round is over.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use offload::{Engine, OffloadClient};

use super::desk::{Desk, Place};
use super::options::Runtime;
use super::ours::OurJobs;
use super::pace::{Pace, Paced, nanos};
use super::payload::Payload;
use super::peer::PeerSet;
use super::tally::{ID_BITS, Tally};
use crate::cli::NotifyName;
use crate::engine::TURN;
use crate::error::RunError;
use crate::live::feed::{Feed, TELL_EVERY, Teller, Told};
use crate::system;

/// Operations between two looks at the clock and updates of the shared count.
pub(super) const PROGRESS: u64 = 256;

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
    /// Responses are compared with what software computes.
    pub(crate) verifies: bool,
    /// What makes this more than a closed loop in real time, if anything does.
    pub(crate) pace: Option<Pace>,
    /// Operations done by all threads, for the progress bar.
    pub(crate) done: Arc<AtomicU64>,
    /// Set once no operation is to begin any more, whatever the order said.
    pub(crate) stop: Arc<AtomicBool>,
    /// Who looks on, if anybody does.
    pub(crate) live: Option<Arc<Feed>>,
}

impl Work {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// When a thread stops replacing jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    At(Instant),
    /// After so long by the row's clock.
    Lasting(Duration),
    /// After so many operations more.
    After(u64),
}

/// Jobs, as the loop below needs them: each carries out the operation that is laid out in its place.
pub(crate) trait Jobs {
    /// Starts the job of a free place. Says whether it has finished already.
    fn start(&mut self, place: usize) -> Result<bool, RunError>;

    /// Waits until a job has finished and says in which place; `None` after `patience`.
    fn next_finished(&mut self, patience: Duration) -> Result<Option<usize>, RunError>;

    /// The same without polling an engine that has to be polled.
    fn next_ready(&mut self, patience: Duration) -> Result<Option<usize>, RunError>;

    /// Jobs that are paused.
    fn in_flight(&self) -> usize;

    /// Ends every job, without the operations that they wait for.
    fn give_up(&mut self);

    /// Submissions so far that met a full ring, as far as this thread is to tell.
    fn retries(&self) -> u64;

    /// Enters what they have counted.
    fn account(&self, tally: &mut Tally);
}

/// Says that a thread panics: somebody waits for its report.
struct TellsOfPanic<'a>(&'a Sender<Result<u64, RunError>>);

impl Drop for TellsOfPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Err(RunError::Panicked));
        }
    }
}

/// Runs a thread's share of a row: a round for each order, and after each reports how many operations
/// were completed in it. One report more comes first, when the thread is ready. Returns the account of
/// all rounds, if there could be any.
pub(crate) fn run(
    work: &Work,
    orders: &Receiver<End>,
    reports: &Sender<Result<u64, RunError>>,
) -> Option<Tally> {
    let _tells = TellsOfPanic(reports);
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
            elapsed_ns: 0,
            round_began: Instant::now(),
            retries_told: 0,
            live: work.live.clone().map(|feed| Teller::new(feed, work.thread)),
        },
        Err(error) => {
            let _ = reports.send(Err(error));
            return None;
        }
    };
    let mut paced = work.pace.as_ref().map(|pace| Paced::new(pace, work));
    let _ = reports.send(Ok(0));
    for end in orders {
        let before = thread.tally.completed;
        let cpu = system::thread_cpu();
        let result = match &mut paced {
            None => thread.round(end),
            Some(paced) => paced.round(&mut thread, end),
        };
        thread.tally.host_cpu += system::thread_cpu().saturating_sub(cpu);
        if result.is_err() {
            thread.jobs.give_up();
        }
        let _ = reports.send(result.map(|()| thread.tally.completed - before));
    }
    thread.jobs.account(&mut thread.tally);
    Some(thread.tally)
}

pub(super) struct Thread<'a, J> {
    pub(super) work: &'a Work,
    pub(super) jobs: J,
    pub(super) desk: Rc<Desk>,
    free: Vec<usize>,
    /// The next operation's number.
    pub(super) next: u64,
    pub(super) tally: Tally,
    /// Finished since the shared count was last brought up to date.
    pub(super) pending: u64,
    /// How long the rounds before this one lasted.
    pub(super) elapsed_ns: u64,
    round_began: Instant,
    /// Of the retries, those that are in a slot of the timeline.
    retries_told: u64,
    /// Who looks on is told here.
    pub(super) live: Option<Teller>,
}

impl<J: Jobs> Thread<'_, J> {
    /// Keeps the jobs in flight until `end`, and then until the last has finished.
    fn round(&mut self, end: End) -> Result<(), RunError> {
        let first = self.next;
        self.round_began = Instant::now();
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
                self.end_round(nanos(self.round_began.elapsed()));
                return Ok(());
            }
            match self.jobs.next_finished(self.turn())? {
                None if self.pending == 0 => {
                    self.check_stuck(last_progress)?;
                    self.tell_while_idle();
                }
                None => {
                    last_progress = Instant::now();
                    self.show_progress();
                    self.tell_while_idle();
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
        if self.work.is_stopped() {
            return false;
        }
        match end {
            // One at least: a machine that does something else for all of a short round gets to it too.
            End::At(end) => self.next == first || Instant::now() < end,
            // For rows with a pace.
            End::Lasting(_) => false,
            End::After(count) => self.next < first + count,
        }
    }

    /// Starts the next operation's job in `place`. Says whether it has finished already.
    fn start(&mut self, place: usize) -> Result<bool, RunError> {
        let at_once = self.begin(place)?;
        if at_once {
            self.finished(place);
            // An engine that never lets a job pause would otherwise show no progress.
            if self.pending >= PROGRESS {
                self.show_progress();
            }
        }
        Ok(at_once)
    }

    /// Lays the next operation out in `place` and starts its job. Says whether it has finished already.
    #[inline]
    pub(super) fn begin(&mut self, place: usize) -> Result<bool, RunError> {
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
        Ok(at_once)
    }

    /// Takes the answer of the job in `place` into account.
    fn finished(&mut self, place: usize) {
        let (began, elapsed) = (self.round_began, self.elapsed_ns);
        self.settle(place, |at| {
            let ended = (at.started + at.latency).saturating_duration_since(began);
            (at.latency, elapsed + nanos(ended))
        });
    }

    /// The same, with the latency that is to be counted, and when since the row began the operation
    /// ended, in nanoseconds. Says whether it was completed.
    #[inline]
    pub(super) fn settle(
        &mut self,
        place: usize,
        times: impl FnOnce(&Place) -> (Duration, u64),
    ) -> bool {
        self.pending += 1;
        // The job has returned, and the answer is the last thing that it leaves.
        let (n, (latency, ended_ns), answer) = self.desk.at(place, |at| {
            let times = times(at);
            let answer = at.answer.take();
            let answer = answer.expect("a job that has returned has left its answer");
            (at.n, times, answer)
        });
        let completed = answer.is_ok();
        let new_slot = match completed {
            true => self.tally.timeline.completed(ended_ns, latency),
            false => {
                let (slot, new) = self.tally.timeline.at(ended_ns);
                slot.failed += 1;
                new
            }
        };
        if new_slot {
            self.tell_retries(ended_ns);
        }
        let buffer = match answer {
            Ok(response) => {
                let work = self.work;
                let right = !work.verifies || work.payload.is_right(n, &response);
                self.tally.answered(self.id(n), latency, right);
                Some(response.data)
            }
            Err(error) => {
                self.tally.unanswered(&error);
                error.into_request().map(|request| request.data)
            }
        };
        self.desk.at(place, |at| at.buffer = buffer);
        if self.live.is_some() {
            self.tell(completed.then_some(latency));
        }
        completed
    }

    /// Counts an operation that took so long, if one did, and tells who looks on, if it is time.
    #[cold]
    fn tell(&mut self, latency: Option<Duration>) {
        let Some(live) = &mut self.live else { return };
        if let Some(latency) = latency {
            live.took(latency);
        }
        if live.is_due() {
            self.tell_now();
        }
    }

    fn tell_now(&mut self) {
        let Some(live) = &mut self.live else { return };
        live.tell(&Told {
            completed: self.tally.completed,
            failed_by: &self.tally.failed_by,
            cancelled: self.tally.cancelled,
            retries: self.jobs.retries(),
            in_flight: self.jobs.in_flight(),
        });
    }

    /// Nothing happens: what happened before is told all the same.
    pub(super) fn tell_while_idle(&mut self) {
        if self.live.is_some() {
            self.tell(None);
        }
    }

    /// How long nothing may happen before the thread looks after other things.
    pub(super) fn turn(&self) -> Duration {
        match self.live {
            None => TURN,
            Some(_) => TELL_EVERY,
        }
    }

    /// Enters the retries since the last time. Only now and then: to ask is not free.
    #[cold]
    fn tell_retries(&mut self, at_ns: u64) {
        let retries = self.jobs.retries();
        let (slot, _) = self.tally.timeline.at(at_ns);
        slot.retries += retries - self.retries_told;
        self.retries_told = retries;
    }

    /// A round is over that lasted so long.
    pub(super) fn end_round(&mut self, lasted_ns: u64) {
        self.elapsed_ns += lasted_ns;
        if self.jobs.retries() > self.retries_told {
            self.tell_retries(self.elapsed_ns);
        }
        self.tell_now();
    }

    pub(super) fn id(&self, n: u64) -> u64 {
        self.work.thread << ID_BITS | n
    }

    pub(super) fn show_progress(&mut self) {
        self.work.done.fetch_add(self.pending, Ordering::Relaxed);
        self.pending = 0;
    }

    fn check_stuck(&self, last_progress: Instant) -> Result<(), RunError> {
        if last_progress.elapsed() < self.patience() {
            return Ok(());
        }
        Err(self.stuck())
    }

    /// Every operation ends within its time-out, or nine eighths of it; so must every job.
    pub(super) fn patience(&self) -> Duration {
        self.work.timeout * 3 + Duration::from_secs(5)
    }

    pub(super) fn stuck(&self) -> RunError {
        RunError::Stuck {
            stuck: self.jobs.in_flight(),
            seconds: self.patience().as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_reports_all_the_same() {
        let (reports, reported) = std::sync::mpsc::channel();
        // As long as this one lives, the channel does not end.
        let other = reports.clone();
        let thread = std::thread::spawn(move || {
            let _tells = TellsOfPanic(&reports);
            panic!("planted");
        });
        assert!(thread.join().is_err());
        assert!(matches!(reported.try_recv(), Ok(Err(RunError::Panicked))));
        drop(TellsOfPanic(&other));
        assert!(reported.try_recv().is_err());
    }
}
