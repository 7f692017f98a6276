//! An engine for jobs to wait for: it answers from a thread of its own.

#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_core::{Cancelled, current_job, pause_job};
use waitctx::{Notifier, Status};

type Answer = Arc<Mutex<Option<u64>>>;

/// An operation in flight.
pub(crate) struct Operation {
    number: u64,
    answer: Answer,
    notifier: Notifier,
}

impl Operation {
    /// The number itself is the answer.
    pub(crate) fn complete(self) {
        *self.answer.lock().expect("not poisoned") = Some(self.number);
        self.notifier.notify(Status::Ok).expect("the fd is open");
    }
}

/// Where jobs send their operations.
#[derive(Clone)]
pub(crate) struct Engine(Sender<Operation>);

impl Engine {
    /// An engine that does nothing: the test completes the operations.
    pub(crate) fn by_hand() -> (Engine, Receiver<Operation>) {
        let (send, operations) = channel();
        (Engine(send), operations)
    }

    /// An engine that waits for `batch` operations, and then completes them, the last one first.
    pub(crate) fn in_batches(batch: usize) -> (Engine, JoinHandle<()>) {
        let (engine, operations) = Engine::by_hand();
        let thread = std::thread::spawn(move || {
            loop {
                let taken: Vec<_> = operations.iter().take(batch).collect();
                if taken.is_empty() {
                    return;
                }
                taken.into_iter().rev().for_each(Operation::complete);
            }
        });
        (engine, thread)
    }

    /// What a job does: submits an operation, and pauses until the answer is there.
    pub(crate) fn ask(&self, number: u64) -> Result<u64, Cancelled> {
        let ctx = current_job().expect("in a job").wait_ctx();
        let answer = Answer::default();
        let operation = Operation {
            number,
            answer: Arc::clone(&answer),
            notifier: ctx.notifier().expect("a descriptor is left"),
        };
        self.0.send(operation).expect("the engine lives");
        loop {
            // In this order, so that an answer that comes in between wakes the job again.
            ctx.acknowledge().expect("the fd is open");
            if let Some(answer) = answer.lock().expect("not poisoned").take() {
                return Ok(answer);
            }
            pause_job()?;
        }
    }
}
