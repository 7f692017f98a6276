//! Operations with private keys: RSA, ECDSA, X25519 and Diffie-Hellman on P-256.

use aws_lc_rs::agreement;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use offload::{Buffer, FailureKind, KeyKind, PrivateKey, RsaDecryptPadding, RsaSignPadding};
use zeroize::Zeroizing;

use super::bad_request;

/// Length of the largest modulus in bytes, and so of the longest result.
const RSA_BYTES_MAX: usize = 512;

/// Replaces `data`, a message, by its signature.
pub(super) fn rsa_sign(
    key: &PrivateKey,
    padding: RsaSignPadding,
    data: &mut Buffer,
) -> Result<(), FailureKind> {
    let bytes = modulus_bytes(key)?;
    let pair = key.prepared(|key| RsaKeyPair::from_pkcs8(key.pkcs8()).map_err(|_| not_a_key()))?;
    let encoding: &dyn aws_lc_rs::signature::RsaEncoding = match padding {
        RsaSignPadding::Pkcs1Sha256 => &RSA_PKCS1_SHA256,
        RsaSignPadding::PssSha256 => &RSA_PSS_SHA256,
        _ => return Err(unknown_padding()),
    };
    let mut signature = [0; RSA_BYTES_MAX];
    let signature = &mut signature[..bytes];
    // It checks each signature with the public key before it gives it out: one that a fault had
    // spoiled would tell the primes (Boneh, DeMillo, Lipton 1997).
    let signed = pair.sign(encoding, &SystemRandom::new(), data, signature);
    signed.map_err(|_| cannot_sign())?;
    put(data, signature);
    Ok(())
}

/// Replaces `data`, a ciphertext, by its plaintext.
pub(super) fn rsa_decrypt(
    key: &PrivateKey,
    padding: RsaDecryptPadding,
    data: &mut Buffer,
) -> Result<(), FailureKind> {
    let bytes = modulus_bytes(key)?;
    if data.len() != bytes {
        return Err(bad_request(
            "an RSA ciphertext is as long as the key's modulus: 256 bytes for RSA-2048, 384 for \
             RSA-3072, 512 for RSA-4096",
        ));
    }
    let decrypting = key.prepared(|key| {
        PrivateDecryptingKey::from_pkcs8(key.pkcs8())
            .map_err(|_| not_a_key())
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(|_| not_a_key()))
    })?;
    let algorithm = match padding {
        RsaDecryptPadding::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        RsaDecryptPadding::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
        _ => return Err(unknown_padding()),
    };
    let mut plain = Zeroizing::new([0; RSA_BYTES_MAX]);
    // One answer for everything that can be wrong: which it was decrypts other ciphertexts (Manger
    // 2001).
    let plain = decrypting
        .decrypt(algorithm, data, &mut plain[..bytes], None)
        .map_err(|_| {
            bad_request(
                "the ciphertext does not decrypt; check the key, the padding (OAEP, with the hash \
                 that was asked for) and the ciphertext",
            )
        })?;
    put(data, plain);
    Ok(())
}

/// Replaces `data`, a message, by its signature.
pub(super) fn ecdsa_sign(key: &PrivateKey, data: &mut Buffer) -> Result<(), FailureKind> {
    let algorithm = match key.kind() {
        KeyKind::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyKind::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        _ => {
            return Err(bad_request(
                "ECDSA with a key of another kind; give one of P-256 or P-384",
            ));
        }
    };
    let pair = key.prepared(|key| {
        EcdsaKeyPair::from_pkcs8(algorithm, key.pkcs8()).map_err(|_| not_a_key())
    })?;
    let signature = pair.sign(&SystemRandom::new(), data);
    put(data, signature.map_err(|_| cannot_sign())?.as_ref());
    Ok(())
}

/// Replaces `data`, a peer's public key, by the secret shared with it.
pub(super) fn derive(key: &PrivateKey, data: &mut Buffer) -> Result<(), FailureKind> {
    let algorithm = match (key.kind(), data.as_slice()) {
        (KeyKind::X25519, peer) if peer.len() == 32 => &agreement::X25519,
        (KeyKind::X25519, _) => {
            return Err(bad_request(
                "an X25519 public key is 32 bytes; give them bare",
            ));
        }
        (KeyKind::P256, [4, point @ ..]) if point.len() == 64 => &agreement::ECDH_P256,
        (KeyKind::P256, _) => {
            return Err(bad_request(
                "a P-256 public key is 65 bytes, an uncompressed point: 04, x, y",
            ));
        }
        _ => {
            return Err(bad_request(
                "Diffie-Hellman with a key of another kind; give one of X25519 or P-256",
            ));
        }
    };
    let ours = key.prepared(agreement_key)?;
    let refused = bad_request(
        "no secret can be shared with this public key: it is no point of the curve, or one of \
         small order; give the peer's own",
    );
    let peer = agreement::UnparsedPublicKey::new(algorithm, data.as_slice());
    // 32 bytes on both curves; here only until they are in the buffer.
    let mut secret = Zeroizing::new([0; 32]);
    agreement::agree(&ours, peer, refused.clone(), |shared| {
        *secret = shared.try_into().map_err(|_| refused)?;
        Ok(())
    })?;
    put(data, &*secret);
    Ok(())
}

/// A key of X25519 or P-256, as the library has it.
pub(super) fn agreement_key(key: &PrivateKey) -> Result<agreement::PrivateKey, FailureKind> {
    match key.x25519() {
        Some(bytes) => agreement::PrivateKey::from_private_key(&agreement::X25519, bytes),
        None => agreement::PrivateKey::from_private_key_der(&agreement::ECDH_P256, key.pkcs8()),
    }
    .map_err(|_| not_a_key())
}

fn modulus_bytes(key: &PrivateKey) -> Result<usize, FailureKind> {
    let bytes = key.kind().rsa_modulus_bytes();
    bytes.ok_or_else(|| {
        bad_request("RSA with a key of another kind; give one of RSA with 2048, 3072 or 4096 bits")
    })
}

/// Puts `result` in place of `data`, in the same memory if there is room.
fn put(data: &mut Buffer, result: &[u8]) {
    if data.capacity() < result.len() {
        // Not `extend`: `Vec` would free the old bytes unwiped.
        *data = Zeroizing::new(result.to_vec()); // wipes what it replaces
    } else {
        data.clear();
        data.extend_from_slice(result);
    }
}

pub(super) fn not_a_key() -> FailureKind {
    bad_request(
        "the private key has the right form, but its numbers are not a key; make a new one, and \
         see what spoiled this",
    )
}

fn cannot_sign() -> FailureKind {
    bad_request("the private key does not sign; make a new one, and see what spoiled this")
}

fn unknown_padding() -> FailureKind {
    bad_request("this engine does not know the padding; run it on one that does")
}
