//! Everything at once, and the counters meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_core::{Job, JobOutcome, start_job};
use waitctx::{ReadyQueue, WaitCtx};

use super::ends::still_works;
use super::jobs::patient_client;
use crate::client::OffloadClient;
use crate::conformance::case::{Case, Ran, broken, demand, skip};
use crate::conformance::lab::{UnderWay, Watched, all_right, answered, begin, judge, run, submit};
use crate::conformance::requests::{Random, Requests};
use crate::engine::{Counters, Drive, Engine};

/// What went down from `then` to `now`, or is beyond belief.
fn moved_wrong(then: &Counters, now: &Counters) -> Option<String> {
    let fell = [
        ("submitted", then.submitted, now.submitted),
        ("completed", then.completed, now.completed),
        ("failed", then.failed, now.failed),
        ("orphaned", then.orphaned, now.orphaned),
        ("duplicates", then.duplicates, now.duplicates),
        ("refused", then.refused, now.refused),
    ]
    .into_iter()
    .find(|(_, then, now)| now < then);
    if let Some((name, then, now)) = fell {
        return Some(format!("{name} went down, from {then} to {now}"));
    }
    // A count below nothing is a very large one here.
    let absurd = now.in_flight > u64::MAX / 2;
    absurd.then(|| format!("in_flight went below nothing: {}", now.in_flight as i64))
}

pub(super) fn counters_are_true(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let before = engine.counters();
    demand(before == Counters::default(), || {
        format!("the counters of a fresh engine: {before:?}")
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let looker = {
        let (engine, stop) = (engine.engine.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut then = Counters::default();
            while !stop.load(Ordering::Relaxed) {
                let now = engine.counters();
                if let Some(wrong) = moved_wrong(&then, &now) {
                    return Some(wrong);
                }
                then = now;
                std::thread::yield_now();
            }
            None
        })
    };
    let count = case.setup.some();
    let ran = (|| -> Ran {
        let mut ops = Vec::new();
        let mut contexts = Vec::new();
        for n in 0..count {
            let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
            contexts.push(watched);
            ops.push(op);
        }
        answered(case, &*engine.engine, &mut ops)
    })();
    stop.store(true, Ordering::Relaxed);
    let seen = looker.join();
    ran?;
    match seen {
        Ok(None) => {}
        Ok(Some(wrong)) => return broken(wrong),
        Err(_) => return broken("counters() panicked"),
    }
    let now = case.at_rest(&*engine.engine)?;
    demand(now.submitted == count, || {
        format!("{count} operations were submitted; the counters: {now:?}")
    })
}

pub(super) fn random_interleaving(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let client = patient_client(&engine);
    let next = Arc::new(AtomicU64::new(0));
    case.doing("running operations on several threads");
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (case, engine, client) = (case.clone(), engine.engine.clone(), client.clone());
            let (requests, next) = (requests.clone(), Arc::clone(&next));
            std::thread::spawn(move || {
                let mut player = Player {
                    random: Random::new(case.setup.seed, 1000 + thread),
                    case,
                    engine,
                    client,
                    requests,
                    next,
                    queue: ReadyQueue::new(),
                    seats: Vec::new(),
                    ops: Vec::new(),
                };
                player.play()
            })
        })
        .collect();
    let mut ran = Ok(());
    for thread in threads {
        let this = match thread.join() {
            Ok(this) => this,
            Err(_) => broken("a thread of the application's panicked"),
        };
        ran = ran.and(this);
    }
    ran?;
    drop(client);
    still_works(case, &engine, &requests)?;
    let counters = engine.counters();
    demand(counters.balance() && counters.in_flight == 0, || {
        format!("the counters do not balance at the end: {counters:?}")
    })
}

/// One thread of an application that does things in random order.
struct Player {
    case: Case,
    engine: Arc<dyn Engine>,
    client: OffloadClient,
    requests: Requests,
    random: Random,
    /// The next operation's number, for all threads.
    next: Arc<AtomicU64>,
    queue: ReadyQueue,
    seats: Vec<Seat>,
    ops: Vec<(UnderWay, Watched)>,
}

/// A place for one job after the other.
struct Seat {
    ctx: WaitCtx,
    job: Option<Job<Option<String>>>,
}

const SEATS: u64 = 24;

impl Player {
    fn play(&mut self) -> Ran {
        for at in 0..SEATS {
            let ctx = WaitCtx::new();
            self.queue.attach(&ctx, at);
            self.seats.push(Seat { ctx, job: None });
        }
        let all = self.case.setup.operation_count;
        while self.next.load(Ordering::Relaxed) < all {
            let at = self.random.below(SEATS) as usize;
            match self.random.below(100) {
                0..50 => self.start(at)?,
                50..62 => self.submit_bare()?,
                62..66 => self.wait_on_the_spot()?,
                66..70 => self.resume(at)?, // for no reason
                70..74 => {
                    // Its result is that it was cancelled, or an answer.
                    drop(self.seats[at].job.take().map(Job::cancel));
                }
                74..77 => drop(self.seats[at].job.take()),
                77..80 => self.new_context(at),
                80..83 => drop(self.ops.pop()),
                _ => self.go_on()?,
            }
            self.case.step();
        }
        self.end()
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn start(&mut self, at: usize) -> Ran {
        if self.seats[at].job.is_some() {
            return self.go_on();
        }
        let (client, requests) = (self.client.clone(), self.requests.clone());
        let ns: Vec<_> = (0..1 + self.random.below(3))
            .map(|_| self.number())
            .collect();
        let job = move || {
            let mut ns = ns.into_iter();
            ns.find_map(|n| judge(&requests, n, run(&client, requests.get(n))))
        };
        match start_job(&self.seats[at].ctx, job) {
            Ok(JobOutcome::Finished(judged)) => fine(judged),
            Ok(JobOutcome::Paused(job)) => {
                self.seats[at].job = Some(job);
                Ok(())
            }
            Err(error) => skip(format!("a job could not be started: {error}")),
        }
    }

    fn resume(&mut self, at: usize) -> Ran {
        match self.seats[at].job.take().map(Job::resume) {
            None => Ok(()),
            Some(JobOutcome::Finished(judged)) => fine(judged),
            Some(JobOutcome::Paused(job)) => {
                self.seats[at].job = Some(job);
                Ok(())
            }
        }
    }

    /// The context of a job goes; the job keeps it until it ends.
    fn new_context(&mut self, at: usize) {
        let ctx = WaitCtx::new();
        self.queue.attach(&ctx, at as u64);
        let seat = &mut self.seats[at];
        seat.ctx = ctx;
        drop(seat.job.take());
    }

    fn submit_bare(&mut self) -> Ran {
        let n = self.number();
        let watched = Watched::new();
        let request = self.requests.get(n);
        // Not while jobs of this thread have room kept for them, which they must come for.
        if self.seats.iter().any(|seat| seat.job.is_some()) {
            let (pending, completion) = crate::pending::Pending::new(watched.notifier());
            let submission = crate::engine::Submission {
                request,
                completion,
                ticket: None,
            };
            match self.engine.submit(submission) {
                Ok(()) => self.ops.push((UnderWay::new(n, pending), watched)),
                Err(refused) => refused.submission.completion.withdraw(),
            }
            return Ok(());
        }
        let pending = submit(&self.case, &*self.engine, request, &watched.notifier())?;
        self.ops.push((UnderWay::new(n, pending), watched));
        Ok(())
    }

    fn wait_on_the_spot(&mut self) -> Ran {
        let n = self.number();
        fine(judge(
            &self.requests,
            n,
            run(&self.client, self.requests.get(n)),
        ))
    }

    /// Takes what has come.
    fn go_on(&mut self) -> Ran {
        if self.engine.drive() == Drive::Poll {
            self.engine.poll(self.random.below(4) as usize);
        }
        let mut tokens = Vec::new();
        self.queue.drain(&mut tokens);
        for token in tokens {
            self.resume(token as usize)?;
        }
        let (mut done, mut at) = (Vec::new(), 0);
        while at < self.ops.len() {
            if self.ops[at].0.look() {
                done.push(self.ops.swap_remove(at).0);
            } else {
                at += 1;
            }
        }
        all_right(&self.requests, &done)
    }

    /// Everything that is still there comes to its end.
    fn end(&mut self) -> Ran {
        let engine = Arc::clone(&self.engine);
        let case = self.case.clone();
        let mut wrong = Ok(());
        case.until(&*engine, "jobs and operations at the end", || {
            if wrong.is_ok() {
                wrong = self.go_on();
            }
            let jobs = self.seats.iter().filter(|seat| seat.job.is_some()).count();
            if wrong.is_ok() {
                jobs + self.ops.len()
            } else {
                0
            }
        })?;
        wrong
    }
}

fn fine(judged: Option<String>) -> Ran {
    match judged {
        None => Ok(()),
        Some(wrong) => broken(wrong),
    }
}
