//! Operations with private keys, through engines.

#[path = "common/asym.rs"]
mod asym;
mod common;

use std::sync::Arc;

use asym::{DECRYPT, SIGN, decrypt, key, public, result, sign, signing_key};
use async_core::{JobSet, WakeBy};
use common::*;
use offload::{OffloadClient, Op, OpKind, Output, PrivateKey, Request};
use sim_engine::SoftwareEngine;
use sim_engine::compute::{PublicKey, compute, generate_key};

fn asymmetric() -> impl Iterator<Item = OpKind> {
    OpKind::ALL.into_iter().filter(|kind| kind.is_asymmetric())
}

type Right = Box<dyn Fn(&[u8]) -> bool>;

/// A request for each asymmetric operation, and whether a response to it is right.
fn request_for(kind: OpKind) -> (Request, Right) {
    let ours = key(kind.key_kind().expect("it is asymmetric"));
    let public = public(&ours);
    let message = kind.name().as_bytes().to_vec();
    let signed = |op: Op| -> (Request, Right) {
        let request = Request::new(op.clone(), message.clone());
        let (message, public) = (message.clone(), PublicKey::of(signing_key(&op)));
        let public = public.expect("the numbers are a key");
        let right = move |data: &[u8]| public.verifies(&op, &message, data);
        (request, Box::new(right))
    };
    match kind {
        OpKind::Rsa2048Sign | OpKind::Rsa3072Sign => signed(sign(&ours, SIGN[0])),
        OpKind::Rsa4096Sign => signed(sign(&ours, SIGN[1])),
        OpKind::EcdsaP256Sign | OpKind::EcdsaP384Sign => signed(Op::EcdsaSign { key: ours }),
        OpKind::Rsa2048Decrypt | OpKind::Rsa3072Decrypt | OpKind::Rsa4096Decrypt => {
            let cipher = public.encrypt(DECRYPT[1], &message).expect("it fits");
            let request = Request::new(decrypt(&ours, DECRYPT[1]), cipher);
            (request, Box::new(move |data| data == message))
        }
        _ => {
            let theirs = generate_key(ours.kind()).expect("a key");
            let peer = PublicKey::of(&theirs).expect("a key");
            let secret = result(Op::Derive { key: theirs }, public.as_bytes());
            let request = Request::new(Op::Derive { key: ours }, peer.as_bytes().to_vec());
            (request, Box::new(move |data| data == secret))
        }
    }
}

/// Each operation in jobs that pause for it, on a device with threads.
#[test]
fn each_runs_on_a_device_from_a_job() {
    let _deadline = Deadline::new("asymmetric operations in jobs");
    // A bound in bytes is no reason to compute an asymmetric operation in the job.
    let device = open("workers = 2\ninline_below_bytes = 4096");
    let client = OffloadClient::new(device.clone());
    let mut set = JobSet::new(64, WakeBy::Callback).expect("no descriptor");
    let jobs = asymmetric().chain(asymmetric()).map(|kind| {
        let (client, (request, right)) = (client.clone(), request_for(kind));
        move || {
            let response = client.run(request).expect("it is carried out");
            assert_eq!(response.output, Output::None);
            assert!(right(&response.data), "{kind}");
        }
    });
    let mut done = 0;
    set.run(jobs, |_, ()| done += 1).expect("it goes on");
    assert_eq!(done, 20);
    let counters = device.shutdown().counters;
    assert_eq!(counters.submitted, 20, "none was computed in the job");
    assert_eq!(counters.completed, 20);
    assert!(counters.balance());
}

/// On the stack of the job itself, which has the default size.
#[test]
fn each_runs_in_software_on_the_stack_of_a_job() {
    let _deadline = Deadline::new("asymmetric operations on the stacks of jobs");
    let client = OffloadClient::new(Arc::new(SoftwareEngine::new()));
    let mut set = JobSet::new(4, WakeBy::Callback).expect("no descriptor");
    let jobs = asymmetric().map(|kind| {
        let (client, (request, right)) = (client.clone(), request_for(kind));
        // So that the job reads the key too.
        let request = with_unread_key(request);
        move || {
            let response = client.run(request).expect("it is carried out");
            assert!(right(&response.data), "{kind}");
        }
    });
    let mut done = 0;
    set.run(jobs, |_, ()| done += 1).expect("it goes on");
    assert_eq!(done, 10);
}

fn with_unread_key(mut request: Request) -> Request {
    if let Op::RsaSign { key, .. }
    | Op::RsaDecrypt { key, .. }
    | Op::EcdsaSign { key }
    | Op::Derive { key } = &mut request.op
    {
        *key = PrivateKey::from_pkcs8(key.pkcs8()).expect("it was taken before");
    }
    request
}

#[test]
fn a_result_with_a_flipped_bit_is_found_out() {
    let device = open("[faults]\nwrong = 1.0");
    let client = OffloadClient::new(device.clone());
    let software = OffloadClient::new(Arc::new(SoftwareEngine::new()));
    for kind in asymmetric() {
        let (request, right) = request_for(kind);
        let again = Request::new(request.op.clone(), request.data.to_vec());
        let response = client
            .run(request.with_id(kind as u64))
            .expect("wrong, but an answer");
        assert!(!right(&response.data), "{kind}");
        assert!(
            right(&software.run(again).expect("it is carried out").data),
            "{kind}"
        );
    }
}

/// A buffer with room for the result stays where it is.
#[test]
fn a_buffer_with_room_is_not_moved() {
    for kind in asymmetric() {
        let (mut request, right) = request_for(kind);
        let mut data = Vec::with_capacity(512);
        data.extend_from_slice(&request.data);
        let before = data.as_ptr();
        request.data = data.into();
        let response = compute(request).expect("a valid request");
        assert!(right(&response.data), "{kind}");
        assert_eq!(response.data.as_ptr(), before, "{kind}");
    }
}
