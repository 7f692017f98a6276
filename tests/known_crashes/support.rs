//! A device in virtual time, and an event loop that runs jobs on it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_core::{Job, JobOutcome, WakeBy, start_job};
use offload::{
    Counters, Engine, OffloadClient, OffloadError, Op, Pending, Refused, Request, Response,
    Submission, Ticker,
};
use sim_engine::compute::compute;
use sim_engine::{
    DeviceConfig, DeviceEvent, Observer, SimClock, SimDevice, SoftwareEngine, Step, VirtualClock,
};
use waitctx::{FdPoller, ReadyQueue, WaitCtx};

pub(crate) type Ran = Result<Response, OffloadError>;

/// All ways to be woken.
pub(crate) const WAYS: [WakeBy; 4] = [
    WakeBy::Callback,
    WakeBy::SharedFd,
    WakeBy::Fd,
    WakeBy::Polling,
];

/// A tick of the clients' time-outs.
const TICK_NS: u64 = 1_000_000;
/// What an operation of [`Rig::client`] may take at least, in virtual time.
pub(crate) const TIMEOUT_NS: u64 = TICK_NS * Ticker::TICKS as u64;

/// More than any of these tests takes.
const STEPS_MAX: u32 = 100_000;

/// Request `id`.
pub(crate) fn request(id: u64) -> Request {
    Request::new(Op::Sha256, id.to_le_bytes().to_vec()).with_id(id)
}

/// Whether `response` is what software computes for [`request`]`(id)`.
pub(crate) fn is_right(id: u64, response: &Response) -> bool {
    let right = compute(request(id)).expect("software fails nothing");
    response.digest() == right.digest() && *response.data == *right.data
}

#[track_caller]
pub(crate) fn assert_right(id: u64, ran: Ran) {
    let response = ran.unwrap_or_else(|error| panic!("op {id} failed: {error}"));
    assert!(is_right(id, &response), "the answer to op {id} is another");
}

/// Ids of operations that have ended, in their order.
#[derive(Default)]
struct Ended(Mutex<VecDeque<u64>>);

impl Observer for Ended {
    fn observe(&self, event: &DeviceEvent) {
        if let DeviceEvent::Ended(record) = event {
            self.0.lock().expect("no panic").push_back(record.id);
        }
    }
}

/// A device in virtual time, with a client for ours and bare submissions for the old.
pub(crate) struct Rig {
    pub(crate) clock: VirtualClock,
    pub(crate) device: Arc<SimDevice>,
    pub(crate) client: OffloadClient,
    ended: Arc<Ended>,
    /// Of bare submissions: nobody is woken.
    silent: WaitCtx,
}

impl Rig {
    /// A device of these lines of a device file; 20 µs an operation unless they say otherwise.
    pub(crate) fn new(lines: &str) -> Rig {
        let service = if lines.contains("service_default") {
            ""
        } else {
            "service_default = { fixed_ns = 20_000 }"
        };
        let text = format!("name = 'crash'\n{service}\n{lines}");
        let config = DeviceConfig::from_toml(&text).expect("a device file");
        let clock = SimClock::virtual_time();
        let ended = Arc::new(Ended::default());
        let device = SimDevice::builder(&config)
            .clock(&clock)
            .observer(ended.clone())
            .open()
            .expect("it opens");
        let clock = clock.as_virtual().expect("it is").clone();
        let ticker = Ticker::new();
        clock.tick(&ticker, TICK_NS);
        let client = OffloadClient::new(device.clone())
            .with_timeout(Some(Duration::from_nanos(TIMEOUT_NS)))
            .with_ticker(&ticker);
        let silent = WaitCtx::new();
        silent.set_silent(true).expect("no wake yet");
        Rig {
            clock,
            device,
            client,
            ended,
            silent,
        }
    }

    /// The same with software to turn to.
    pub(crate) fn with_fallback(mut self) -> Rig {
        self.client = self.client.with_fallback(Arc::new(SoftwareEngine::new()));
        self
    }

    /// Lets go of the client, but for what jobs hold of it. The next one is another.
    pub(crate) fn drop_client(&mut self) {
        self.client = OffloadClient::new(self.device.clone());
    }

    /// Submits without a job: what is left of an engine without its waiting.
    ///
    /// # Errors
    ///
    /// What the device refuses.
    pub(crate) fn submit(&self, id: u64) -> Result<Pending, Refused> {
        let notifier = self.silent.notifier().expect("no fd is needed");
        let (pending, completion) = Pending::new(notifier);
        let submitted = self.device.submit(Submission {
            request: request(id),
            completion,
            ticket: None,
        });
        match submitted {
            Ok(()) => Ok(pending),
            Err(refused) => Err(refused),
        }
    }

    /// Lets the next thing happen, and the device be polled if it must be. `None` if nothing will
    /// ever happen; else the operations that have ended.
    pub(crate) fn step(&self) -> Option<Vec<u64>> {
        let step = self.clock.step();
        if self.device.config().completions == sim_engine::Completions::Poll {
            self.device.poll(0);
        }
        (step != Step::Idle).then(|| self.ended())
    }

    /// The operations that have ended since this was last asked.
    pub(crate) fn ended(&self) -> Vec<u64> {
        self.ended.0.lock().expect("no panic").drain(..).collect()
    }

    /// Lets things happen until operation `id` has ended.
    pub(crate) fn until_ended(&self, id: u64) {
        while !self.step().expect("it has not ended yet").contains(&id) {}
    }

    /// Ends the device: everything that was taken on is accounted for.
    pub(crate) fn close(self) -> Counters {
        drop(self.client);
        let counters = self.device.shutdown().counters;
        assert!(counters.balance(), "{counters:?}");
        assert_eq!(counters.in_flight, 0, "{counters:?}");
        counters
    }
}

/// Nothing will ever happen that resumes the jobs that are left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) jobs: usize,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} jobs are paused for ever", self.jobs)
    }
}

enum Source {
    Queue(ReadyQueue),
    Fds(FdPoller),
    Polling,
}

/// An application: an event loop on one thread.
pub(crate) struct Host<R> {
    source: Source,
    places: Vec<Option<(Job<R>, WaitCtx)>>,
    ready: Vec<u64>,
    /// What jobs came to, by place.
    pub(crate) done: Vec<(usize, R)>,
    pub(crate) resumes: u64,
}

impl<R: 'static> Host<R> {
    pub(crate) fn new(wake: WakeBy) -> Host<R> {
        Host {
            source: match wake {
                WakeBy::Callback => Source::Queue(ReadyQueue::new()),
                WakeBy::SharedFd => Source::Queue(ReadyQueue::with_fd().expect("an fd to spare")),
                WakeBy::Fd => Source::Fds(FdPoller::new().expect("an fd to spare")),
                _ => Source::Polling,
            },
            places: Vec::new(),
            ready: Vec::new(),
            done: Vec::new(),
            resumes: 0,
        }
    }

    /// Starts a job on a context of its own. Says which place it has.
    pub(crate) fn start(&mut self, job: impl FnOnce() -> R + 'static) -> usize {
        let ctx = WaitCtx::new();
        match &self.source {
            Source::Queue(queue) => queue.attach(&ctx, self.places.len() as u64),
            Source::Fds(_) => {}
            Source::Polling => ctx.set_silent(true).expect("no wake yet"),
        }
        let outcome = start_job(&ctx, job).expect("a job to spare");
        self.places.push(None);
        let place = self.places.len() - 1;
        self.put(place, outcome, ctx);
        place
    }

    fn put(&mut self, place: usize, outcome: JobOutcome<R>, ctx: WaitCtx) {
        match outcome {
            JobOutcome::Finished(result) => {
                self.forget(&ctx);
                self.done.push((place, result));
            }
            JobOutcome::Paused(job) => {
                if let Source::Fds(poller) = &mut self.source {
                    poller.follow(&ctx, place as u64).expect("an fd of its own");
                }
                self.places[place] = Some((job, ctx));
            }
        }
    }

    fn forget(&mut self, ctx: &WaitCtx) {
        if let Source::Fds(poller) = &mut self.source {
            poller.leave(ctx).expect("it was watched");
        }
    }

    /// Resumes the job in `place`, woken or not. Says whether it has paused again.
    pub(crate) fn resume(&mut self, place: usize) -> bool {
        let Some((job, ctx)) = self.places[place].take() else {
            return false;
        };
        self.resumes += 1;
        let outcome = job.resume();
        self.put(place, outcome, ctx);
        self.places[place].is_some()
    }

    /// Takes a paused job out of the loop.
    pub(crate) fn take(&mut self, place: usize) -> (Job<R>, WaitCtx) {
        let (job, ctx) = self.places[place].take().expect("it is paused");
        self.forget(&ctx);
        (job, ctx)
    }

    /// The fds of a paused job's context.
    pub(crate) fn fds(&self, place: usize) -> Vec<i32> {
        let (_, ctx) = self.places[place].as_ref().expect("it is paused");
        ctx.all_fds()
    }

    /// Jobs that are paused.
    pub(crate) fn paused(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Resumes what was woken. Says how many wakes there were.
    pub(crate) fn resume_ready(&mut self) -> usize {
        match &mut self.source {
            Source::Queue(queue) => {
                queue.drain(&mut self.ready);
            }
            Source::Fds(poller) => {
                let wait = poller.wait(&mut self.ready, Some(Duration::ZERO));
                wait.expect("an epoll set");
            }
            Source::Polling => {
                let paused = (0..).zip(&self.places).filter(|(_, place)| place.is_some());
                self.ready.extend(paused.map(|(at, _): (u64, _)| at));
            }
        }
        let ready = std::mem::take(&mut self.ready);
        for place in &ready {
            self.resume(*place as usize);
        }
        match self.source {
            // Nobody was woken.
            Source::Polling => 0,
            _ => ready.len(),
        }
    }

    /// Runs all jobs to their ends.
    ///
    /// # Errors
    ///
    /// If nothing will ever happen any more with jobs still paused.
    pub(crate) fn run(&mut self, rig: &Rig) -> Result<(), Stuck> {
        let mut nothing = 0;
        for _ in 0..STEPS_MAX {
            let ready = self.resume_ready();
            if self.paused() == 0 {
                return Ok(());
            }
            if ready > 0 {
                continue;
            }
            nothing = match rig.step() {
                None => nothing + 1,
                Some(_) => 0,
            };
            if nothing > 2 {
                break;
            }
        }
        Err(Stuck {
            jobs: self.paused(),
        })
    }
}
