//! Keys, and operations with them, for the tests of asymmetric operations.

#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::sync::LazyLock;

use offload::{KeyKind, Op, Output, PrivateKey, Request, RsaDecryptPadding, RsaSignPadding};
use sim_engine::compute::{PublicKey, compute, generate_key};

/// A key of each kind, made once: those of RSA take a while.
pub(crate) static KEYS: LazyLock<Vec<PrivateKey>> = LazyLock::new(|| {
    let keys = KeyKind::ALL.map(|kind| generate_key(kind).expect("a key"));
    keys.into()
});

pub(crate) fn key(kind: KeyKind) -> PrivateKey {
    let found = KEYS.iter().find(|key| key.kind() == kind);
    found.expect("one of each kind").clone()
}

pub(crate) fn public(key: &PrivateKey) -> PublicKey {
    PublicKey::of(key).expect("the numbers are a key")
}

/// The data after an operation that leaves nothing beside it.
pub(crate) fn result(op: Op, data: &[u8]) -> Vec<u8> {
    let response = compute(Request::new(op, data.to_vec())).expect("a valid request");
    assert_eq!(response.output, Output::None);
    response.data.to_vec()
}

pub(crate) fn sign(key: &PrivateKey, padding: RsaSignPadding) -> Op {
    let key = key.clone();
    Op::RsaSign { key, padding }
}

pub(crate) fn decrypt(key: &PrivateKey, padding: RsaDecryptPadding) -> Op {
    let key = key.clone();
    Op::RsaDecrypt { key, padding }
}

pub(crate) const SIGN: [RsaSignPadding; 2] =
    [RsaSignPadding::Pkcs1Sha256, RsaSignPadding::PssSha256];
pub(crate) const DECRYPT: [RsaDecryptPadding; 2] =
    [RsaDecryptPadding::OaepSha1, RsaDecryptPadding::OaepSha256];
pub(crate) const RSA: [KeyKind; 3] = [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096];

/// Every operation that signs, with a key of each kind that it takes.
pub(crate) fn signing() -> Vec<Op> {
    let rsa = RSA
        .into_iter()
        .flat_map(|kind| SIGN.map(|padding| sign(&key(kind), padding)));
    let ecdsa = [KeyKind::P256, KeyKind::P384].map(|kind| Op::EcdsaSign { key: key(kind) });
    rsa.chain(ecdsa).collect()
}

pub(crate) fn signing_key(op: &Op) -> &PrivateKey {
    match op {
        Op::RsaSign { key, .. } | Op::EcdsaSign { key } => key,
        other => panic!("{other:?} does not sign"),
    }
}
