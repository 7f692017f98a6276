//! What is counted.

#![expect(unsafe_code, reason = "a promise about how C code is used")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_core::{JobOutcome, JobSet, WakeBy, pause_job, start_job};
use async_tests::peer::{Body, RawPeer};
use libcrypto_peer::Libcrypto;
use offload::{
    Buffer, Counters, Engine, OffloadClient, Op, OpKind, Output, Refused, Request, Response,
    Submission,
};
use sim_engine::{Completions, DeviceConfig, SimDevice};
use waitctx::WaitCtx;

pub(crate) struct Operation {
    /// Its name in `figures.toml`.
    pub(crate) name: &'static str,
    /// Does it so many times.
    pub(crate) run: fn(u64),
}

pub(crate) const OPERATIONS: [Operation; 5] = [
    Operation {
        name: "empty-job",
        run: empty_job,
    },
    Operation {
        name: "pause-resume",
        run: pause_resume,
    },
    Operation {
        name: "start-pause-resume-finish",
        run: start_pause_resume_finish,
    },
    // On an engine that answers before the job pauses.
    Operation {
        name: "submit-complete",
        run: submit_complete,
    },
    // On the simulated device, polled by the thread that runs the jobs.
    Operation {
        name: "submit-pause-complete",
        run: submit_pause_complete,
    },
];

/// Pause and resume of libcrypto's.
pub(crate) const LIBCRYPTO: &str = "libcrypto's pause-resume";

fn empty_job(n: u64) {
    let ctx = WaitCtx::new();
    for i in 0..n {
        let outcome = start_job(&ctx, move || black_box(i)).expect("a job");
        black_box(outcome.finished());
    }
}

fn pause_resume(n: u64) {
    let ctx = WaitCtx::new();
    let mut outcome = start_job(&ctx, move || {
        for _ in 0..n {
            let _ = black_box(pause_job());
        }
    })
    .expect("a job");
    while let JobOutcome::Paused(job) = outcome {
        outcome = job.resume();
    }
}

fn start_pause_resume_finish(n: u64) {
    let ctx = WaitCtx::new();
    for i in 0..n {
        let outcome = start_job(&ctx, move || {
            let _ = black_box(pause_job());
            black_box(i)
        });
        let job = outcome.expect("a job").paused().expect("it pauses");
        black_box(job.resume().finished());
    }
}

pub(crate) fn libcrypto_pause_resume(n: u64) {
    let libcrypto = Libcrypto::load().expect("it was there a moment ago");
    // SAFETY: not used inside a job, and nothing cleans libcrypto's pool up.
    let peer = unsafe { RawPeer::new(&libcrypto) };
    let mut job = peer.job();
    for _ in 0..n {
        black_box(peer.step(&mut job, Body::PausesForEver));
    }
}

fn submit_complete(n: u64) {
    let client = OffloadClient::new(Arc::new(AtOnce));
    let mut set = JobSet::new(1, WakeBy::Callback).expect("a set");
    let done = set.start(0, move || operations(&client, n));
    assert!(done.expect("a job").is_some(), "it never pauses");
}

/// How many jobs share the device.
const JOBS: u64 = 50;

fn submit_pause_complete(n: u64) {
    let mut config = DeviceConfig::preset("ideal").expect("it ships");
    config.completions = Completions::Poll;
    let device = SimDevice::open(&config, 1).expect("a device");
    let client = OffloadClient::new(Arc::clone(&device) as Arc<dyn Engine>);
    let mut set = JobSet::new(JOBS as usize, WakeBy::Callback).expect("a set");
    for _ in 0..JOBS {
        let client = client.clone();
        let done = set.start(0, move || operations(&client, n / JOBS));
        assert!(done.expect("a job").is_none(), "it pauses");
    }
    while !set.is_empty() {
        device.poll(0);
        set.turn(Some(Duration::ZERO), |_, _| {}).expect("a turn");
    }
    assert!(device.shutdown().counters.balance());
}

/// One operation after another, on one buffer.
fn operations(client: &OffloadClient, n: u64) {
    let mut buffer = Buffer::new(vec![7; 64]);
    for _ in 0..n {
        let response = client.run(Request::new(Op::Nop, buffer));
        buffer = response.expect("it succeeds").data;
    }
}

/// Answers in `submit`, on the caller's thread.
struct AtOnce;

impl Engine for AtOnce {
    fn name(&self) -> &str {
        "at-once"
    }

    fn supports(&self, op: OpKind) -> bool {
        op == OpKind::Nop
    }

    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let answer = Response {
            data: submission.request.data,
            output: Output::None,
        };
        let _ = submission.completion.complete(Ok(answer));
        Ok(())
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}
