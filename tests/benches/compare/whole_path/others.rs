//! Other ways to have the same done: tokio's tasks with a thread behind them, and no offload.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::thread::JoinHandle;

use offload::{Buffer, Op, Request, Response};
use sim_engine::compute::compute;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::Task;

type Call = (Request, oneshot::Sender<Response>);

/// As many tasks as there are operations in flight, on this thread. Each does one operation after
/// another: none is spawned per operation, where our side starts a job for each. The thread that
/// answers computes with the device's own code.
pub(super) struct Tokio {
    runtime: Runtime,
    op: Op,
    buffers: Vec<Buffer>,
    calls: Option<mpsc::Sender<Call>>,
    worker: Option<JoinHandle<()>>,
}

impl Tokio {
    pub(super) fn new(task: &Task) -> Tokio {
        // Room for all: nobody waits to send.
        let (calls, mut inbox) = mpsc::channel::<Call>(task.in_flight);
        let worker = std::thread::spawn(move || {
            while let Some((request, answer)) = inbox.blocking_recv() {
                // A task that is gone wants no answer.
                let _ = answer.send(compute(request).expect("it succeeds"));
            }
        });
        Tokio {
            runtime: Builder::new_current_thread().build().expect("a runtime"),
            op: task.op.clone(),
            buffers: task.buffers(),
            calls: Some(calls),
            worker: Some(worker),
        }
    }

    pub(super) fn run(&mut self, n: u64) {
        let left = Rc::new(Cell::new(n));
        let tasks = LocalSet::new();
        let handles: Vec<_> = self
            .buffers
            .drain(..)
            .map(|buffer| {
                let calls = self.calls.clone().expect("open until the end");
                tasks.spawn_local(operations(Rc::clone(&left), calls, self.op.clone(), buffer))
            })
            .collect();
        let Tokio {
            runtime, buffers, ..
        } = self;
        runtime.block_on(tasks.run_until(async {
            for handle in handles {
                buffers.push(handle.await.expect("no task panics"));
            }
        }));
    }
}

/// One task: operations for as long as any are left to do.
async fn operations(
    left: Rc<Cell<u64>>,
    calls: mpsc::Sender<Call>,
    op: Op,
    mut buffer: Buffer,
) -> Buffer {
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        let (answer, answered) = oneshot::channel();
        let request = Request::new(op.clone(), buffer);
        let sent = calls.send((request, answer)).await;
        assert!(sent.is_ok(), "the worker runs until the end");
        buffer = answered.await.expect("an answer").data;
    }
    buffer
}

impl Drop for Tokio {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(worker) = self.worker.take() {
            worker.join().expect("the worker");
        }
    }
}

/// The same operations on as many buffers, computed on the spot by the device's own code.
pub(super) struct Inline {
    op: Op,
    buffers: Vec<Buffer>,
}

impl Inline {
    pub(super) fn new(task: &Task) -> Inline {
        Inline {
            op: task.op.clone(),
            buffers: task.buffers(),
        }
    }

    pub(super) fn run(&mut self, n: u64) {
        let places = self.buffers.len();
        for at in (0..places).cycle().take(n as usize) {
            let buffer = std::mem::take(&mut self.buffers[at]);
            let response = compute(Request::new(self.op.clone(), buffer)).expect("it succeeds");
            self.buffers[at] = black_box(response).data;
        }
    }
}
