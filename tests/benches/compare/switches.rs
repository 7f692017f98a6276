//! What one job costs, without any engine: on a warm pool, by one thread.

use std::hint::black_box;

use async_core::{JobOutcome, pause_job, start_job};
use async_tests::peer::{Body, RawPeer};
use waitctx::WaitCtx;

use crate::harness::{Bound, Row, Side, Table};

const ROUNDS: usize = 15;
const OPERATIONS: u64 = 200_000;

pub(crate) fn run(peer: Option<&RawPeer>, table: &mut Table) {
    table.heading("One job");
    let ctx = WaitCtx::new();
    let theirs = |body: Body| {
        // One place, used again and again: what it holds between operations is what the body leaves.
        let job = peer.map(|peer| (peer, peer.job()));
        let side = job.map(|(peer, mut job)| {
            Side::new("libcrypto", move |n| {
                for _ in 0..n {
                    black_box(peer.step(&mut job, body));
                }
            })
        });
        side.into_iter().collect()
    };

    table.row(Row {
        name: "pause + resume",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: vec![Side::new("", |n| {
            let mut outcome = start_job(&ctx, move || {
                for _ in 0..n {
                    let _ = black_box(pause_job());
                }
            })
            .expect("a job");
            while let JobOutcome::Paused(job) = outcome {
                outcome = job.resume();
            }
        })],
        others: theirs(Body::PausesForEver),
        bounds: &bound(0.06),
    });
    table.row(Row {
        name: "start + finish, empty job",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: vec![Side::new("", |n| {
            for i in 0..n {
                let outcome = start_job(&ctx, move || black_box(i)).expect("a job");
                black_box(outcome.finished());
            }
        })],
        others: theirs(Body::Returns),
        bounds: &bound(0.10),
    });
    let start_and_finish = peer.map(|peer| {
        let mut job = peer.job();
        Side::new("libcrypto", move |n| {
            for _ in 0..n {
                assert!(!peer.step(&mut job, Body::PausesOnce));
                assert!(peer.step(&mut job, Body::PausesOnce));
            }
        })
    });
    table.row(Row {
        name: "start + pause + resume + finish",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: vec![Side::new("", |n| {
            for i in 0..n {
                let outcome = start_job(&ctx, move || {
                    let _ = black_box(pause_job());
                    black_box(i)
                });
                let job = outcome.expect("a job").paused().expect("it pauses");
                black_box(job.resume().finished());
            }
        })],
        others: start_and_finish.into_iter().collect(),
        bounds: &bound(0.20),
    });
}

fn bound(at_most: f64) -> [Bound; 1] {
    [Bound {
        ours: "",
        other: "libcrypto",
        at_most,
    }]
}
