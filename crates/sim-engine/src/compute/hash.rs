//! SHA-2 and HMAC.

use hmac::{Hmac, KeyInit, Mac};
use offload::Output;
use sha2::{Digest, Sha256, Sha512};

pub(super) fn sha256(data: &[u8]) -> Output {
    Output::digest(&Sha256::digest(data))
}

pub(super) fn sha512(data: &[u8]) -> Output {
    Output::digest(&Sha512::digest(data))
}

pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> Output {
    let mac = Hmac::<Sha256>::new_from_slice(key)
        // HMAC pads a short key and hashes a long one (RFC 2104, section 2).
        .expect("HMAC takes a key of any length")
        .chain_update(data);
    Output::digest(&mac.finalize().into_bytes())
}
