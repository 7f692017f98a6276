//! Operations with private keys leave no secret behind in the memory that they free.

#[path = "common/asym.rs"]
mod asym;
#[path = "../../offload/tests/common/watch.rs"]
mod watch;

use asym::{DECRYPT, SIGN, decrypt, key, public, sign};
use offload::{KeyKind, Op, PrivateKey, Request};
use sim_engine::compute::compute;
use watch::{SECRET, left_by};

/// One test, for other threads free memory too.
#[test]
fn secrets_are_wiped() {
    assert_eq!(left_by(|| drop(SECRET.to_vec())), 1, "the watch sees it");
    let rsa = key(KeyKind::Rsa2048);

    // A message in a buffer that the signature outgrows.
    let request = Request::new(sign(&rsa, SIGN[0]), SECRET.to_vec());
    let left = left_by(|| {
        let response = compute(request).expect("a valid request");
        assert_eq!(response.data.len(), 256);
    });
    assert_eq!(left, 0, "the message");

    let cipher = public(&rsa).encrypt(DECRYPT[0], &SECRET).expect("it fits");
    for _ in 0..2 {
        let request = Request::new(decrypt(&rsa, DECRYPT[0]), cipher.clone());
        let left = left_by(|| {
            let response = compute(request).expect("a valid request");
            assert_eq!(*response.data, SECRET);
        });
        assert_eq!(left, 0, "the plaintext");
    }

    // The key, as the library reads it too.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20".to_vec();
    der.extend_from_slice(&SECRET);
    let key = PrivateKey::from_pkcs8(&der).expect("it has the form");
    der.fill(0);
    let peer = public(&asym::key(KeyKind::X25519)).as_bytes().to_vec();
    let left = left_by(|| {
        compute(Request::new(Op::Derive { key }, peer)).expect("a valid request");
    });
    assert_eq!(left, 0, "the key");
}
