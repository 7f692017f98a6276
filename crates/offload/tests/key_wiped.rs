//! A private key leaves nothing behind in the memory that it frees.

#[path = "common/watch.rs"]
mod watch;

use offload::{Op, PrivateKey, Request};
use watch::{SECRET, left_by};

/// One test, for other threads free memory too.
#[test]
fn a_key_is_wiped_when_its_last_clone_is_dropped() {
    assert_eq!(left_by(|| drop(SECRET.to_vec())), 1, "the watch sees it");

    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20";
    let mut der = [0; 48];
    der[..16].copy_from_slice(prefix);
    der[16..].copy_from_slice(&SECRET);
    let mut key = None;
    let made = left_by(|| key = PrivateKey::from_pkcs8(&der).ok());
    assert_eq!(made, 0);
    let key = key.expect("it has the form");
    let request = Request::new(Op::Derive { key: key.clone() }, vec![1; 32]);
    assert_eq!(left_by(|| drop(request)), 0);
    assert_eq!(key.x25519(), Some(&SECRET), "a clone is left");
    assert_eq!(left_by(|| drop(key)), 0);

    // A key that is refused was not copied anywhere.
    der[15] = 31;
    let refused = left_by(|| assert!(PrivateKey::from_pkcs8(&der).is_err()));
    assert_eq!(refused, 0);
}
