//! An engine from nothing: a worker thread, a ring with a bound, completions. It runs some jobs, and
//! then the suite that finds what is wrong with an engine: `cargo run --example engine_from_scratch`.

use std::error::Error;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use async_core::{JobSet, WakeBy};
use offload::conformance::{self, Setup};
use offload::{
    Counters, Delivery, Engine, Failure, Gate, OffloadClient, Op, OpKind, Output, Reason, Refused,
    Request, Response, Submission, Ticket,
};
use waitctx::Notifier;

/// Answers nops, one after the other, on a thread of its own.
struct Scratch {
    /// Who has passed has room in the ring.
    ring: Gate,
    /// `None` once the engine ends.
    inbox: Option<Sender<Submission>>,
    worker: Option<JoinHandle<()>>,
    counters: Arc<Mutex<Counters>>,
}

impl Scratch {
    fn open(room: u32) -> Arc<Scratch> {
        let (inbox, work) = mpsc::channel();
        let (ring, counters) = (Gate::new(room), Arc::<Mutex<Counters>>::default());
        let (gate, count) = (ring.clone(), Arc::clone(&counters));
        let worker = thread::spawn(move || serve(&work, &gate, &count));
        Arc::new(Scratch {
            ring,
            inbox: Some(inbox),
            worker: Some(worker),
            counters,
        })
    }
}

/// The worker: until the engine is dropped and the last operation is answered.
fn serve(work: &Receiver<Submission>, ring: &Gate, counters: &Mutex<Counters>) {
    for submission in work {
        let answer = carry_out(submission.request);
        let success = answer.is_ok();
        // The place first: whoever is woken by the answer may submit at once.
        ring.leave();
        // Leaves the answer and wakes the job. No lock is held: a callback may run in here.
        let delivery = submission.completion.complete(answer);
        let mut counters = lock(counters);
        counters.in_flight -= 1;
        match delivery {
            Delivery::Delivered if success => counters.completed += 1,
            Delivery::Delivered => counters.failed += 1,
            Delivery::Orphaned => counters.orphaned += 1,
            Delivery::Duplicate => counters.duplicates += 1,
        }
    }
}

/// What a device would do.
fn carry_out(request: Request) -> Result<Response, Failure> {
    Ok(Response {
        data: request.data,
        output: Output::None,
    })
}

impl Engine for Scratch {
    fn name(&self) -> &str {
        "scratch"
    }

    fn supports(&self, op: OpKind) -> bool {
        op == OpKind::Nop
    }

    fn submit(&self, mut submission: Submission) -> Result<(), Refused> {
        let kind = submission.request.op.kind();
        let refuse = |reason, submission| {
            lock(&self.counters).refused += 1;
            Err(Refused { reason, submission })
        };
        if !self.supports(kind) {
            return refuse(Reason::Unsupported(kind), submission);
        }
        if let Err(ticket) = self.ring.enter(submission.ticket.take()) {
            submission.ticket = ticket; // it keeps its place in line
            return refuse(Reason::RingFull, submission);
        }
        // Counted before the worker can count it out again.
        let mut counters = lock(&self.counters);
        counters.submitted += 1;
        counters.in_flight += 1;
        drop(counters);
        if let Some(inbox) = &self.inbox {
            // A worker that is gone drops it, and so fails it.
            let _ = inbox.send(submission);
        }
        Ok(())
    }

    fn queue_for_room(&self, _: &Request, notifier: &Notifier) -> Option<Ticket> {
        Some(self.ring.wait(notifier))
    }

    fn counters(&self) -> Counters {
        *lock(&self.counters)
    }
}

impl Drop for Scratch {
    /// Answers what is in flight first.
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(worker) = self.worker.take() {
            // On its own thread it cannot wait for itself: a callback held the last handle.
            if worker.thread().id() != thread::current().id() {
                let _ = worker.join();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> Result<(), Box<dyn Error>> {
    // A thousand jobs, a hundred at a time, through a ring of sixteen.
    let engine = Scratch::open(16);
    let client = OffloadClient::new(engine.clone());
    let jobs = (0..1000_u64).map(|id| {
        let client = client.clone();
        move || client.run(Request::new(Op::Nop, id.to_le_bytes().to_vec()).with_id(id))
    });
    let mut right = 0;
    let mut set = JobSet::new(100, WakeBy::Callback)?;
    set.run(jobs, |id, answer| {
        right += u32::from(answer.is_ok_and(|response| response.data[..] == id.to_le_bytes()));
    })?;
    println!("{right} of 1000 right; {:?}\n", engine.counters());
    if right != 1000 {
        return Err("not all answers are right".into());
    }

    // And every rule of the contract.
    let setup = Setup::new(|| Scratch::open(16)).ring_bound(16);
    let report = conformance::check(&setup);
    println!("{report}");
    if !report.is_ok() {
        return Err("a rule is broken".into());
    }
    Ok(())
}

#[test]
fn it_conforms() -> Result<(), Box<dyn Error>> {
    main()
}
