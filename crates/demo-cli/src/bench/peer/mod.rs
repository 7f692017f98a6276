//! libcrypto's jobs, under the same load.
//!
//! Each place has a wait context of libcrypto's, which is how its host is told, and one of ours, which
//! is what the engine tells:
//!
//! ```text
//!  --notify    engine's notifier writes or calls …        … and the host finds the place by
//!  fd          an eventfd, held by both contexts          epoll
//!  shared-fd   libcrypto's callback, as it was stored     a ReadyQueue with an eventfd
//!  callback    libcrypto's callback, as it was stored     a ReadyQueue that parks the thread
//!  poll        nothing                                    resuming every job in turn
//! ```
//!
//! Jobs run on libcrypto's stacks of 32 KiB, of which [`PeerJobs`] leaves 23 KiB behind a guard page.
//! Submitting and taking an answer needs 3 KiB, computing in the job up to 12 KiB (AES-GCM with
//! fallback; x86-64, Rust 1.95, optimised); in debug builds 15 KiB and more than there is.
//!
//! Costs that a C program would not have: the checks of [`PeerJobs`], and the queue being told through
//! two contexts. The guard pages cost nothing that could be told from the noise once they are made;
//! they keep huge pages out of libcrypto's heap, where the system would use them unasked.

mod client;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_core::SetStats;
use libcrypto_peer::{Libcrypto, PeerError, PeerJobs, Progress, RunError as PeerRunError};
use offload::Drive;
use waitctx::{Callback, FdPoller, ReadyQueue, Status, WaitCtx};

use self::client::{PeerClient, Place};
use super::desk::Desk;
use super::tally::Tally;
use super::worker::{Jobs, Work};
use crate::cli::NotifyName;
use crate::error::{RunError, as_typed};

/// The key of a place's eventfd in libcrypto's context.
const WAKE_KEY: usize = 1;
/// How often, in a time-out, the jobs are looked through for operations whose time is over.
const LOOKS: u32 = 8;

/// A set of libcrypto's jobs, and where their thread waits for them.
pub(crate) struct PeerSet {
    jobs: PeerJobs,
    shared: Rc<Shared>,
    source: Source,
    /// Places to resume.
    ready: VecDeque<u64>,
    tokens: Vec<u64>,
    in_flight: usize,
    timeout: Duration,
    /// When the time-outs are looked after next.
    next_look: Instant,
    stats: SetStats,
}

/// What the jobs share with the set.
struct Shared {
    client: PeerClient,
    desk: Rc<Desk>,
    slots: Vec<Slot>,
}

/// How a place's job is told.
struct Slot {
    /// What the engine tells and where its answer is.
    place: Place,
    /// What libcrypto's callback tells: attached to the queue.
    _queued: Option<WaitCtx>,
}

enum Source {
    Queue(ReadyQueue),
    Fds(FdPoller),
    Polling,
}

impl PeerSet {
    pub(crate) fn new(
        work: &Work,
        libcrypto: Libcrypto,
        desk: Rc<Desk>,
    ) -> Result<PeerSet, RunError> {
        let source = match work.notify {
            NotifyName::Fd => FdPoller::new().map(Source::Fds),
            NotifyName::SharedFd => ReadyQueue::with_fd().map(Source::Queue),
            NotifyName::Callback => Ok(Source::Queue(ReadyQueue::new())),
            NotifyName::Poll => Ok(Source::Polling),
        };
        let mut source = source.map_err(RunError::WakeSource)?;
        let slots = (0..work.jobs).map(|_| Slot::new(&source));
        let shared = Rc::new(Shared {
            client: PeerClient::new(libcrypto, work),
            desk,
            slots: slots.collect(),
        });
        let in_jobs = Rc::clone(&shared);
        let jobs = PeerJobs::new(libcrypto, work.jobs, move |place| in_jobs.serve(place))
            .map_err(|e| not_set_up(&e))?;
        for (place, slot) in shared.slots.iter().enumerate() {
            slot.connect(place, &jobs, &mut source)?;
        }
        Ok(PeerSet {
            jobs,
            shared,
            source,
            ready: VecDeque::new(),
            tokens: Vec::new(),
            in_flight: 0,
            timeout: work.timeout,
            next_look: Instant::now(),
            stats: SetStats::default(),
        })
    }

    /// Starts or resumes the job in a place. Says whether it has finished.
    fn run(&mut self, place: usize) -> Result<bool, RunError> {
        let was_paused = self.jobs.is_paused(place);
        let progress = self.jobs.run(place).map_err(|error| RunError::Start {
            started: self.in_flight,
            wanted: self.jobs.places(),
            reason: in_words(&error),
        })?;
        if was_paused {
            self.stats.resumes += 1;
            self.in_flight -= 1;
        } else {
            self.stats.started += 1;
        }
        match progress {
            Progress::Finished => self.stats.finished += 1,
            Progress::Paused => {
                self.stats.pauses += 1;
                self.in_flight += 1;
                self.stats.in_flight_max = self.stats.in_flight_max.max(self.in_flight);
            }
        }
        Ok(progress == Progress::Finished)
    }

    /// Waits until some place is ready, at most for `patience`.
    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        match &mut self.source {
            Source::Queue(queue) => {
                queue.wait(&mut self.tokens, Some(patience))?;
            }
            Source::Fds(poller) => {
                self.stats.wakes += poller.wait(&mut self.tokens, Some(patience))? as u64;
            }
            Source::Polling => {
                // Whoever we wait for may want this processor.
                std::thread::yield_now();
                let paused = (0..self.jobs.places()).filter(|at| self.jobs.is_paused(*at));
                self.tokens.extend(paused.map(|at| at as u64));
            }
        }
        self.ready.extend(self.tokens.drain(..));
        Ok(())
    }

    /// Has the jobs resumed whose operations' time is over: each sees that for itself.
    fn look_after_time_outs(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        for place in 0..self.jobs.places() {
            let since = self.shared.desk.started(place);
            if self.jobs.is_paused(place) && now.saturating_duration_since(since) >= self.timeout {
                self.ready.push_back(place as u64);
            }
        }
        self.next_look = now + (self.timeout / LOOKS).max(Duration::from_millis(1));
    }
}

impl Jobs for PeerSet {
    fn start(&mut self, place: usize) -> Result<bool, RunError> {
        self.run(place)
    }

    fn next_finished(&mut self, patience: Duration) -> Result<Option<usize>, RunError> {
        let engine = self.shared.client.engine();
        if engine.drive() == Drive::Poll {
            engine.poll(0);
            return self.next_ready(Duration::ZERO);
        }
        self.next_ready(patience)
    }

    fn next_ready(&mut self, patience: Duration) -> Result<Option<usize>, RunError> {
        let mut deadline = None;
        loop {
            while let Some(token) = self.ready.pop_front() {
                let place = token as usize; // one of our own tokens, an index
                if self.jobs.is_paused(place) {
                    if self.run(place)? {
                        return Ok(Some(place));
                    }
                } else {
                    // Its job took the answer before. An fd that stays readable would be reported for
                    // ever; a read that fails is tried again then.
                    let _ = self.shared.slots[place].place.ctx.acknowledge();
                }
            }
            let now = Instant::now();
            self.shared.client.set_now(now);
            let until = match deadline {
                None => *deadline.insert(now + patience),
                Some(until) if now >= until => return Ok(None),
                Some(until) => until,
            };
            self.look_after_time_outs(now);
            let until = until.min(self.next_look);
            let left = match self.ready.is_empty() {
                true => until.saturating_duration_since(now),
                false => Duration::ZERO,
            };
            self.wait(left).map_err(RunError::Wait)?;
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn give_up(&mut self) {
        // libcrypto has nothing to end a job with: each is resumed, and asks its client.
        self.shared.client.give_up();
        for place in 0..self.jobs.places() {
            while self.jobs.is_paused(place) {
                if self.run(place).is_err() {
                    // It is leaked, and `account` shows it.
                    break;
                }
            }
        }
        self.ready.clear();
    }

    fn retries(&self) -> u64 {
        self.shared.client.ring_full()
    }

    fn account(&self, tally: &mut Tally) {
        tally.set = self.stats;
        if let Source::Queue(queue) = &self.source {
            tally.set.wakes = queue.wakes();
        }
        tally.retries = self.shared.client.ring_full();
        tally.resumed_early = self.shared.client.resumed_early();
    }
}

impl Shared {
    /// What each job runs, on a stack of libcrypto's.
    fn serve(&self, place: usize) {
        let slot = &self.slots[place].place;
        let since = self.desk.started(place);
        self.desk
            .serve(place, |request| self.client.run(slot, since, request));
    }
}

impl Slot {
    fn new(source: &Source) -> Slot {
        Slot {
            place: Place {
                ctx: WaitCtx::new(),
                kept: Cell::new(None),
            },
            _queued: matches!(source, Source::Queue(_)).then(WaitCtx::new),
        }
    }

    /// Lets what the engine tells reach the host by way of libcrypto's context.
    fn connect(&self, place: usize, jobs: &PeerJobs, source: &mut Source) -> Result<(), RunError> {
        let ctx = &self.place.ctx;
        let peer_ctx = jobs.wait_ctx(place);
        match (source, &self._queued) {
            (Source::Fds(poller), _) => {
                ctx.notifier().map_err(RunError::WakeSource)?;
                poller
                    .follow(ctx, place as u64)
                    .map_err(|e| RunError::WakeSource(io::Error::other(e)))?;
                if let Some(fd) = ctx.wake_fd() {
                    let shared = peer_ctx.share_wait_fd(WAKE_KEY, Arc::clone(fd));
                    shared.map_err(|e| not_set_up(&e))?;
                }
            }
            (Source::Queue(queue), Some(queued)) => {
                queue.attach(queued, place as u64);
                let notifier = queued.notifier().map_err(RunError::WakeSource)?;
                peer_ctx
                    .set_callback(move || {
                        // It fails with the queue's own fd only, and then so does waiting for it.
                        let _ = notifier.notify(Status::Ok);
                    })
                    .map_err(|e| not_set_up(&e))?;
                // As an engine finds it there. A new context had no wake that could be lost.
                if let Some(callback) = peer_ctx.callback() {
                    let call = Callback::new(move || _ = callback.call());
                    drop(ctx.set_callback(call));
                }
            }
            _ => drop(ctx.set_silent(true)),
        }
        Ok(())
    }
}

fn not_set_up(error: &PeerError) -> RunError {
    RunError::Libcrypto(error.to_string())
}

fn in_words(error: &PeerRunError) -> String {
    as_typed(&error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use offload::{OffloadError, OpKind};
    use sim_engine::DeviceConfig;

    use super::*;
    use crate::bench::Runtime;
    use crate::bench::payload::Payload;
    use crate::engine::{EngineKind, EngineOptions};

    #[test]
    fn jobs_that_are_given_up_end_and_are_counted() {
        let Ok(libcrypto) = Libcrypto::load() else {
            return; // the tests of the binary say so
        };
        let slow = "name = 'slow'\nengines = 1\nring_depth_max = 2\n\
                    [service_default]\nfixed_ns = 60_000_000_000";
        let slow = DeviceConfig::from_toml(slow).expect("a device file");
        let options = EngineOptions {
            kind: EngineKind::Sim(Box::new(slow)),
            seed: 1,
            timeout: Duration::from_secs(60),
            fallback: false,
        };
        let payload = Payload::random(OpKind::Nop, 16, 1).expect("software computes it");
        for notify in NotifyName::ALL {
            let engine = options.open().expect("it opens");
            let work = Work {
                thread: 0,
                jobs: 4,
                runtime: Runtime::Libcrypto(libcrypto),
                notify,
                client: engine.client.clone(),
                fallback: None,
                payload: Arc::new(Payload::random(OpKind::Nop, 16, 1).expect("as above")),
                timeout: options.timeout,
                verifies: true,
                pace: None,
                done: Arc::new(AtomicU64::new(0)),
                stop: Arc::default(),
                live: None,
            };
            let desk = Rc::new(Desk::new(4));
            let mut set = PeerSet::new(&work, libcrypto, Rc::clone(&desk)).expect("a set");
            for place in 0..4 {
                let n = place as u64;
                let request = payload.request(n, n, payload.buffer());
                desk.at(place, |at| {
                    (at.request, at.started) = (Some(request), Instant::now());
                });
                assert!(!set.start(place).expect("it starts"));
            }
            assert_eq!(set.in_flight(), 4);
            set.give_up();
            assert_eq!(set.in_flight(), 0);
            // Two are on the device, and two were waiting in line.
            let given_back = (0..4).filter(|place| {
                let answer = desk.at(*place, |at| at.answer.take());
                let Some(Err(OffloadError::Cancelled { request })) = answer else {
                    panic!("{answer:?}")
                };
                request.is_some()
            });
            assert_eq!(given_back.count(), 2);
            let mut tally = Tally::new();
            set.account(&mut tally);
            assert_eq!((tally.set.started, tally.set.finished), (4, 4));
            assert_eq!((tally.set.pauses, tally.set.resumes), (4, 4));
            assert_eq!((tally.retries, tally.set.in_flight_max), (2, 4));
            drop((set, work));
            let (counters, _) = engine.close();
            assert_eq!((counters.submitted, counters.orphaned), (2, 2));
        }
    }
}
