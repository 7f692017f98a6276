//! The software engine.

mod common;

use std::sync::Arc;

use async_core::{JobSet, WakeBy};
use common::*;
use offload::{Counters, Drive, Engine, OffloadClient, OpKind, Pending, Submission};
use sim_engine::SoftwareEngine;
use std::sync::atomic::Ordering;

#[test]
fn no_job_pauses_for_it_and_nobody_is_woken() {
    let engine = Arc::new(SoftwareEngine::new());
    let client = OffloadClient::new(engine.clone());
    let mut set = JobSet::new(4, WakeBy::Callback).expect("no descriptor");
    let jobs = (0..100).map(|id| {
        let client = client.clone();
        move || client.run(request(id))
    });
    let mut done = 0;
    set.run(jobs, |id, ran| {
        assert_right(ran, id);
        done += 1;
        let expected = Counters {
            submitted: done,
            completed: done,
            ..Counters::default()
        };
        assert_eq!(engine.counters(), expected);
    })
    .expect("it goes on");
    assert_eq!((set.stats().pauses, set.stats().wakes), (0, 0));
    assert_eq!(done, 100);
}

#[test]
fn it_knows_every_operation() {
    let engine = SoftwareEngine::new();
    assert_eq!(
        (engine.name(), engine.drive()),
        ("software", Drive::Threads)
    );
    assert!(OpKind::ALL.into_iter().all(|kind| engine.supports(kind)));
    assert_eq!(engine.poll(0), 0);
}

#[test]
fn what_is_submitted_is_answered_in_submit() {
    let engine = SoftwareEngine::new();
    let (ctx, wakes) = counted_ctx();
    let submit = |request| {
        let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
        let submission = Submission {
            request,
            completion,
            ticket: None,
        };
        (pending, submission)
    };
    let (pending, submission) = submit(request(1));
    engine.submit(submission).expect("it refuses nothing");
    let answer = pending.take().expect("answered").expect("computed");
    assert!(same(&answer, &right(1)));
    assert_eq!(wakes.load(Ordering::SeqCst), 1);

    let (pending, submission) = submit(request(2));
    drop(pending);
    engine.submit(submission).expect("it refuses nothing");
    assert_eq!(wakes.load(Ordering::SeqCst), 2);

    let bad = offload::Op::CbcEncrypt {
        key: offload::AesKey::from([0; 32]),
        iv: [0; 16],
        padding: offload::Padding::None,
    };
    let (pending, submission) = submit(offload::Request::new(bad, vec![0; 3]));
    engine.submit(submission).expect("it refuses nothing");
    assert!(pending.take().expect("answered").is_err());

    let counters = engine.counters();
    assert_eq!((counters.submitted, counters.completed), (3, 1));
    assert_eq!((counters.failed, counters.orphaned), (1, 1));
    assert!(counters.balance());
}
