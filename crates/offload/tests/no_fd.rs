//! A process without a descriptor to spare. One test in a process of its own: it lowers the limit
//! for all threads.

#![cfg(not(loom))]

mod common;

use std::fs::File;
use std::sync::Arc;

use common::*;
use offload::{
    Counters, Engine, Failure, OffloadClient, OffloadError, OpKind, Refused, Request, Response,
    Submission,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waitctx::WaitCtx;

#[test]
fn a_job_s_operation_fails_before_it_is_submitted() {
    let low = Rlimit {
        current: Some(64),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, low).expect("a lower limit");
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }

    let engine = at_once();
    let client = OffloadClient::new(engine.clone());
    let ctx = WaitCtx::new();
    let ran = start(&ctx, &client, request(1)).finished();
    let error = ran.expect("it did not pause").expect_err("no descriptor");
    let text = error.to_string();
    assert!(text.contains("raise the limit on open files"), "{text}");
    let OffloadError::NoNotifier {
        source,
        request: back,
    } = error
    else {
        panic!("{text}");
    };
    let emfile = rustix::io::Errno::MFILE.raw_os_error();
    assert_eq!(source.raw_os_error(), Some(emfile));
    assert_untouched(Some(back), 1);
    assert_eq!(engine.counters(), counters(0, 0, 0, 0));
    assert_figures(&client, Figures::default());

    // A fallback that computes on the spot needs none.
    let client = client.with_fallback(Arc::new(OnTheSpot));
    let ran = start(&ctx, &client, request(5)).finished();
    assert_flipped(ran.expect("it did not pause"), 5);
    let fell_back = Figures {
        fell_back: 1,
        ..Figures::default()
    };
    assert_figures(&client, fell_back);
    assert_eq!(engine.counters(), counters(0, 0, 0, 0));

    // With a callback there is no need for one, nor outside a job.
    let wakes = Wakes::default();
    let ran = start(&wakes.ctx(), &client, request(2)).finished();
    assert_flipped(ran.expect("it did not pause"), 2);
    assert_eq!(wakes.count(), 1);
    assert_flipped(client.run(request(3)), 3);
    assert_eq!(engine.counters(), counters(0, 2, 0, 0));

    // And the same context works when there are descriptors again.
    drop(files);
    let ran = start(&ctx, &client, request(4)).finished();
    assert_flipped(ran.expect("it did not pause"), 4);
    assert_eq!(engine.counters(), counters(0, 3, 0, 0));
}

struct OnTheSpot;

impl Engine for OnTheSpot {
    fn name(&self) -> &str {
        "on-the-spot"
    }
    fn supports(&self, _: OpKind) -> bool {
        true
    }
    fn submit(&self, submission: Submission) -> Result<(), Refused> {
        panic!("it runs inline: {submission:?}");
    }
    fn runs_inline(&self, _: &Request) -> bool {
        true
    }
    fn run_inline(&self, request: Request) -> Result<Response, Failure> {
        flip(request)
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
