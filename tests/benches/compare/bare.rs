//! libcrypto's bare functions, for these benches.

#![expect(unsafe_code, reason = "a promise about how the benches use C code")]

use async_tests::peer::RawPeer;
use libcrypto_peer::Libcrypto;

pub(crate) fn bare(peer: &Libcrypto) -> RawPeer {
    // SAFETY: no bench starts or resumes a job of libcrypto's inside another, and none cleans
    // libcrypto's pool up.
    unsafe { RawPeer::new(peer) }
}
