//! Many paused jobs, resumed in turn: the working set is theirs, no longer the caches'.
//!
//! Each job has its own wait context, on both sides. A set resumes all of its jobs in turn
//! ([`WakeBy::Polling`]), and fetches the next ones meanwhile; libcrypto has nothing of the kind, and is compared with its loop.

use async_core::{Job, JobSet, WakeBy, pause_job, start_job};
use async_tests::peer::{Body, RawJob, RawPeer};
use waitctx::WaitCtx;

use crate::harness::{Bound, Row, Side, Table};

const ROUNDS: usize = 9;

/// The side that resumes one job after another.
pub(crate) const RESUME: &str = "Job::resume";
/// The side that resumes them in batches.
pub(crate) const SET: &str = "JobSet";

pub(crate) const BOUNDS: [Bound; 2] = [
    Bound {
        ours: RESUME,
        other: "libcrypto",
        at_most: 0.35,
    },
    Bound {
        ours: SET,
        other: "libcrypto",
        at_most: 0.25,
    },
];

pub(crate) fn run(peer: Option<&RawPeer>, table: &mut Table) {
    table.heading("Round robin over paused jobs, in this process");
    for (jobs, passes) in [(10_000, 20), (100_000, 4)] {
        let name = format!("resume each of {jobs} paused jobs");
        if ![RESUME, SET].iter().any(|side| table.wants(&name, side)) {
            continue;
        }
        let mut plain = Plain::start(jobs);
        let mut set = Set::start(jobs);
        let theirs = peer.map(|peer| Theirs::start(peer, jobs));
        table.row(Row {
            name: &name,
            rounds: ROUNDS,
            operations: jobs as u64 * passes,
            ours: vec![
                Side::new(RESUME, |_| (0..passes).for_each(|_| plain.pass())),
                Side::new(SET, |_| (0..passes).for_each(|_| set.pass())),
            ],
            others: theirs
                .into_iter()
                .map(|mut theirs| {
                    Side::new("libcrypto", move |_| {
                        (0..passes).for_each(|_| theirs.pass());
                    })
                })
                .collect(),
            bounds: &BOUNDS,
        });
    }
}

/// Many paused jobs.
pub(crate) trait Paused {
    /// Resumes each of them once; each pauses again.
    fn pass(&mut self);
}

/// Our jobs, in a list.
pub(crate) struct Plain(Vec<Option<Job<()>>>);

impl Plain {
    pub(crate) fn start(jobs: usize) -> Plain {
        let mut list = Vec::with_capacity(jobs);
        for _ in 0..jobs {
            let outcome = start_job(&WaitCtx::new(), pauses_until_cancelled);
            list.push(outcome.expect("a job").paused());
        }
        Plain(list)
    }
}

impl Paused for Plain {
    fn pass(&mut self) {
        for place in &mut self.0 {
            *place = place.take().and_then(|job| job.resume().paused());
        }
    }
}

/// Our jobs, in a set.
pub(crate) struct Set(JobSet<()>);

impl Set {
    pub(crate) fn start(jobs: usize) -> Set {
        let mut set = JobSet::new(jobs, WakeBy::Polling).expect("no fd is needed");
        for _ in 0..jobs {
            let done = set.start(0, pauses_until_cancelled).expect("a job");
            assert!(done.is_none(), "it pauses");
        }
        Set(set)
    }
}

impl Paused for Set {
    fn pass(&mut self) {
        let mut left = self.0.in_flight();
        while left > 0 {
            // A turn resumes some of them, and the next one goes on.
            left -= self.0.turn(None, |_, ()| {}).expect("a turn");
        }
    }
}

fn pauses_until_cancelled() {
    while pause_job().is_ok() {}
}

/// libcrypto's jobs, in a list.
pub(crate) struct Theirs<'a> {
    peer: &'a RawPeer,
    jobs: Vec<RawJob>,
}

impl Theirs<'_> {
    pub(crate) fn start(peer: &RawPeer, jobs: usize) -> Theirs<'_> {
        let mut list = Vec::with_capacity(jobs);
        for _ in 0..jobs {
            let mut job = peer.job();
            assert!(!peer.step(&mut job, Body::PausesForEver), "it pauses");
            list.push(job);
        }
        Theirs { peer, jobs: list }
    }
}

impl Paused for Theirs<'_> {
    fn pass(&mut self) {
        for job in &mut self.jobs {
            assert!(!self.peer.step(job, Body::PausesForEver), "it pauses");
        }
    }
}
