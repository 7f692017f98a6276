//! Our side: a JobSet and an OffloadClient, with the time-out that it has unless told otherwise.

use std::sync::Arc;

use async_core::{JobSet, WakeBy};
use offload::{Buffer, Engine, OffloadClient, Op, Request};
use sim_engine::SimDevice;

use super::Task;
use crate::harness::Samples;

pub(super) struct Ours {
    pub(super) name: &'static str,
    client: OffloadClient,
    set: JobSet<Buffer>,
    op: Op,
    buffers: Vec<Buffer>,
    /// Wakes per 1000 completions, round by round.
    wakes: Vec<f64>,
}

impl Ours {
    pub(super) fn new(
        name: &'static str,
        device: &Arc<SimDevice>,
        task: &Task,
        wake: WakeBy,
    ) -> Ours {
        Ours {
            name,
            client: OffloadClient::new(Arc::clone(device) as Arc<dyn Engine>),
            set: JobSet::new(task.in_flight, wake).expect("a set"),
            op: task.op.clone(),
            buffers: task.buffers(),
            wakes: Vec::new(),
        }
    }

    /// A job for each operation, as many at once as the set takes.
    pub(super) fn run(&mut self, n: u64) {
        let wakes_before = self.set.stats().wakes;
        let Ours {
            client,
            set,
            op,
            buffers,
            ..
        } = self;
        let mut started = 0;
        loop {
            while started < n
                && set.has_room()
                && let Some(buffer) = buffers.pop()
            {
                started += 1;
                let (client, op) = (client.clone(), op.clone());
                let done = set.start(0, move || {
                    client
                        .run(Request::new(op, buffer))
                        .expect("it succeeds")
                        .data
                });
                buffers.extend(done.expect("a job"));
            }
            if set.is_empty() {
                break;
            }
            set.turn(None, |_, buffer| buffers.push(buffer))
                .expect("a turn");
        }
        let wakes = self.set.stats().wakes - wakes_before;
        self.wakes.push(wakes as f64 * 1000.0 / n as f64);
    }

    /// What was counted since the round that warms up.
    pub(super) fn take_wakes(&mut self) -> Samples {
        Samples {
            name: self.name,
            values: self.wakes.drain(..).skip(1).collect(),
        }
    }
}
