//! Requests by number, and what their answers should be.

use std::sync::Arc;

use super::case::{Ran, skip};
use super::setup::{Setup, Software};
use crate::completion::Answer;
use crate::engine::Engine;
use crate::request::{AesKey, Op, OpKind, Output, Padding, Request, Response};

/// Random numbers: SplitMix64, so that a seed gives the same ones everywhere.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, number: u64) -> Random {
        let mut random = Random(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn vec(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// One operation of each kind that the suite has parameters for.
fn ops(random: &mut Random) -> Vec<Op> {
    let key16 = AesKey::from(random.bytes::<16>());
    let key32 = AesKey::from(random.bytes::<32>());
    let mut ops = vec![
        Op::Nop,
        Op::Sha256,
        Op::Sha512,
        Op::HmacSha256 {
            key: random.vec(20).into(),
        },
    ];
    for key in [key16, key32] {
        ops.push(Op::Ctr {
            key: key.clone(),
            iv: random.bytes(),
        });
        ops.push(Op::GcmSeal {
            key: key.clone(),
            nonce: random.bytes(),
            aad: random.vec(7),
        });
        ops.push(Op::CbcEncrypt {
            key,
            iv: random.bytes(),
            padding: Padding::Pkcs7,
        });
    }
    ops
}

/// Requests for one engine. Request number n is the same each time it is made.
#[derive(Clone)]
pub(super) struct Requests {
    seed: u64,
    kinds: Vec<OpKind>,
    own: Option<Arc<dyn Fn(u64) -> Request + Send + Sync>>,
    software: Option<Arc<Software>>,
}

impl Requests {
    pub(super) fn new(setup: &Setup, engine: &dyn Engine) -> Ran<Requests> {
        let known = ops(&mut Random::new(0, 0));
        let usable = |kind: &OpKind| {
            setup.operations.contains(kind)
                && engine.supports(*kind)
                && known.iter().any(|op| op.kind() == *kind)
        };
        let kinds: Vec<_> = OpKind::ALL.into_iter().filter(usable).collect();
        if kinds.is_empty() && setup.requests.is_none() {
            return skip(
                "of the operations that the engine supports and the setup allows, the suite has \
                 parameters for none; give it requests of your own with Setup::requests",
            );
        }
        Ok(Requests {
            seed: setup.seed,
            kinds,
            own: setup.requests.clone(),
            software: setup.software.clone(),
        })
    }

    /// The kinds of the suite's own requests.
    pub(super) fn kinds(&self) -> &[OpKind] {
        match self.own {
            Some(_) => &[],
            None => &self.kinds,
        }
    }

    /// Whether results other than a nop's can be judged.
    pub(super) fn has_software(&self) -> bool {
        self.software.is_some()
    }

    /// Request number `n`, under id `n`: the kinds in turn, of a length that varies.
    pub(super) fn get(&self, n: u64) -> Request {
        if let Some(own) = &self.own {
            return own(n).with_id(n);
        }
        let kind = self.kinds[(n % self.kinds.len() as u64) as usize];
        let len = Random::new(self.seed ^ 0x5a5a, n).below(200) as usize;
        self.of(kind, len, n)
    }

    /// One of `kind` with `len` bytes of data.
    pub(super) fn of(&self, kind: OpKind, len: usize, n: u64) -> Request {
        any_request(kind, len, self.seed, n).expect("the kinds are those that the suite knows")
    }

    /// What software answers to `request`, if anybody can say.
    pub(super) fn right(&self, request: Request) -> Option<Answer> {
        match (&self.software, &request.op) {
            (Some(software), _) => Some(software(request)),
            (None, Op::Nop) => Some(Ok(Response {
                data: request.data,
                output: Output::None,
            })),
            _ => None,
        }
    }

    /// What is wrong with `answer` to request number `n`, if anything.
    pub(super) fn judge(&self, n: u64, answer: &Answer) -> Option<String> {
        self.judge_request(self.get(n), answer)
    }

    /// What is wrong with `answer` to `request`, if anything.
    pub(super) fn judge_request(&self, request: Request, answer: &Answer) -> Option<String> {
        let what = describe(&request);
        let Some(right) = self.right(request) else {
            return match answer {
                Ok(_) => None,
                Err(failure) => Some(format!("{what} failed: {failure}")),
            };
        };
        match (&right, answer) {
            (Ok(right), Ok(response)) => {
                if response.data != right.data {
                    Some(format!("{what}: the data differs from software's"))
                } else if response.output != right.output {
                    Some(format!("{what}: the output differs from software's"))
                } else {
                    None
                }
            }
            (Err(right), Err(failure)) if right.kind == failure.kind => None,
            (Err(right), Err(failure)) => Some(format!(
                "{what} failed with \"{failure}\", in software with \"{right}\""
            )),
            (Err(right), Ok(_)) => Some(format!("{what} succeeded; in software: {right}")),
            (Ok(_), Err(failure)) => Some(format!("{what} failed: {failure}")),
        }
    }
}

/// A request of `kind`, if the suite has parameters for it.
pub(super) fn any_request(kind: OpKind, len: usize, seed: u64, n: u64) -> Option<Request> {
    let mut random = Random::new(seed, n);
    let mut ops = ops(&mut random).into_iter();
    let op = ops.find(|op| op.kind() == kind)?;
    Some(Request::new(op, random.vec(len)).with_id(n))
}

pub(super) fn describe(request: &Request) -> String {
    let (id, kind, len) = (request.id, request.op.kind(), request.data.len());
    format!("operation {id} ({kind} of {len} bytes)")
}

/// What is wrong with `request`, which should be number `n` untouched.
pub(super) fn differs(request: &Request, original: &Request) -> Option<String> {
    let what = describe(original);
    if request.id != original.id || request.op.kind() != original.op.kind() {
        return Some(format!("{what} came back as {}", describe(request)));
    }
    (request.data != original.data).then(|| format!("{what} came back with other data"))
}
