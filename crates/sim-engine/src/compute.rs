//! What the device does with a request: the operations themselves, in software.
//!
//! [`compute`] is the device's arithmetic unit. It has no queue, no thread and no state: one
//! request in, one response or failure out, on the caller's thread. An engine's workers call it;
//! so may anyone who wants an operation done at once, as when a device has refused it.
//!
//! Ciphers and digests are [RustCrypto]'s, with the processor's AES and SHA instructions where it
//! has them; what takes a private key is [AWS-LC]'s. Every operation works in the request's own
//! buffer, which comes back in the response; no second buffer is allocated, but for CBC padding or
//! the result of an asymmetric operation that does not fit.
//!
//! A private key is read by the library, and checked, when it is first used, and kept with the
//! [`PrivateKey`](offload::PrivateKey): the first operation with an RSA key takes longer. Workers
//! share what was read.
//!
//! For tests and benches there are keys to be had ([`generate_key`]), and the other side's part of
//! each operation ([`PublicKey`]).
//!
//! # What is wiped, and what is not
//!
//! Buffers and keys wipe themselves when dropped: they are [`Buffer`]s and [`AesKey`](offload::AesKey)s. The crates
//! are built with their `zeroize` features, so AES round keys, GHASH keys, hash states, counters
//! and chaining values are wiped too. What remains is what those crates leave on the stack: the
//! last blocks of keystream or plaintext they worked on, and the padded key block of an HMAC. AWS-LC
//! wipes the numbers of a private key when it frees them. An asymmetric operation's input is not
//! wiped at once where a shorter result takes its place: it is in the rest of the buffer until that
//! is used again or dropped.
//!
//! [RustCrypto]: https://github.com/RustCrypto
//! [AWS-LC]: https://github.com/aws/aws-lc

mod asym;
mod cbc;
mod ctr;
mod gcm;
mod hash;
mod keys;

use aes::cipher::KeyInit;
use aes::{Aes128Dec, Aes128Enc, Aes256Dec, Aes256Enc};
use offload::{
    AesKeyRef, Buffer, Failure, FailureKind, MAX_DATA_BYTES, Op, OpKind, Output, Request, Response,
};

pub use keys::{NoKey, PublicKey, generate_key};

/// The reasons below say "1 GiB".
const _: () = assert!(MAX_DATA_BYTES == 1 << 30);

/// Whether [`compute`] knows the operation `kind`. It knows every one of [`OpKind::ALL`].
#[must_use]
pub const fn supports(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Nop
            | OpKind::Sha256
            | OpKind::Sha512
            | OpKind::HmacSha256
            | OpKind::Aes128Ctr
            | OpKind::Aes256Ctr
            | OpKind::Aes128Gcm
            | OpKind::Aes256Gcm
            | OpKind::Aes128Cbc
            | OpKind::Aes256Cbc
            | OpKind::Rsa2048Sign
            | OpKind::Rsa3072Sign
            | OpKind::Rsa4096Sign
            | OpKind::Rsa2048Decrypt
            | OpKind::Rsa3072Decrypt
            | OpKind::Rsa4096Decrypt
            | OpKind::EcdsaP256Sign
            | OpKind::EcdsaP384Sign
            | OpKind::X25519Derive
            | OpKind::P256Derive
    )
}

/// Carries out `request` in software, on this thread, in the request's own buffer.
///
/// Ciphers hand the buffer back transformed, digests and [`Op::Nop`] as it was. The counter of
/// AES-CTR has 128 bits and wraps, as libcrypto's has. CBC with padding grows the buffer; one with
/// 16 bytes of spare capacity grows without being moved. Signatures, what RSA decrypts and derived
/// secrets take the place of the data; one with a capacity of 512 bytes is not moved for them.
///
/// ```
/// use offload::{Op, Request};
/// use sim_engine::compute::compute;
///
/// let response = compute(Request::new(Op::Sha256, b"abc".to_vec()))?;
/// let digest = response.digest().ok_or("a digest")?;
/// assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
/// assert_eq!(*response.data, b"abc"); // the buffer comes back
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The failure always carries the request, its data untouched. It is
///
/// - [`FailureKind::Verify`] for [`Op::GcmOpen`] with a tag that does not fit;
/// - [`FailureKind::BadRequest`] for data that is not whole blocks (CBC without padding, and all
///   CBC decryption), for bad padding, for anything longer than [`MAX_DATA_BYTES`], for a private
///   key of another kind than the operation takes or whose numbers are not a key, for a peer's
///   public key or an RSA ciphertext that does not fit it, and for an operation that this version
///   does not know.
///
/// Bad padding is reported as such, not by position. Telling even that much to a peer who can
/// choose ciphertexts lets it decrypt them (Vaudenay 2002): authenticate before you decrypt, or
/// use GCM. RSA decrypts OAEP only, where what is wrong with a ciphertext of the right length is never
/// told; there is no padding of PKCS#1 v1.5 ([`offload::RsaDecryptPadding`] says why).
pub fn compute(mut request: Request) -> Result<Response, Failure> {
    match carry_out(&request.op, &mut request.data) {
        Ok(output) => Ok(Response {
            data: request.data,
            output,
        }),
        Err(kind) => Err(Failure::with_request(kind, request)),
    }
}

/// Carries out `op` on `data`; on failure `data` is as it was.
fn carry_out(op: &Op, data: &mut Buffer) -> Result<Output, FailureKind> {
    check_lengths(op, data)?;
    match op {
        Op::Nop => Ok(Output::None),
        Op::Sha256 => Ok(hash::sha256(data)),
        Op::Sha512 => Ok(hash::sha512(data)),
        Op::HmacSha256 { key } => Ok(hash::hmac_sha256(key, data)),
        Op::Ctr { key, iv } => {
            match key.view() {
                AesKeyRef::Aes128(key) => ctr::apply(&Aes128Enc::new(key.into()), iv, data),
                AesKeyRef::Aes256(key) => ctr::apply(&Aes256Enc::new(key.into()), iv, data),
            }
            Ok(Output::None)
        }
        Op::GcmSeal { key, nonce, aad } => match key.view() {
            AesKeyRef::Aes128(key) => gcm::seal(&Aes128Enc::new(key.into()), nonce, aad, data),
            AesKeyRef::Aes256(key) => gcm::seal(&Aes256Enc::new(key.into()), nonce, aad, data),
        }
        .map(Output::Tag),
        Op::GcmOpen {
            key,
            nonce,
            aad,
            tag,
        } => match key.view() {
            AesKeyRef::Aes128(key) => gcm::open(&Aes128Enc::new(key.into()), nonce, aad, tag, data),
            AesKeyRef::Aes256(key) => gcm::open(&Aes256Enc::new(key.into()), nonce, aad, tag, data),
        }
        .map(|()| Output::None),
        Op::CbcEncrypt { key, iv, padding } => match key.view() {
            AesKeyRef::Aes128(key) => cbc::encrypt(&Aes128Enc::new(key.into()), iv, *padding, data),
            AesKeyRef::Aes256(key) => cbc::encrypt(&Aes256Enc::new(key.into()), iv, *padding, data),
        }
        .map(|()| Output::None),
        Op::CbcDecrypt { key, iv, padding } => match key.view() {
            AesKeyRef::Aes128(key) => cbc::decrypt(&Aes128Dec::new(key.into()), iv, *padding, data),
            AesKeyRef::Aes256(key) => cbc::decrypt(&Aes256Dec::new(key.into()), iv, *padding, data),
        }
        .map(|()| Output::None),
        Op::RsaSign { key, padding } => asym::rsa_sign(key, *padding, data).map(|()| Output::None),
        Op::RsaDecrypt { key, padding } => {
            asym::rsa_decrypt(key, *padding, data).map(|()| Output::None)
        }
        Op::EcdsaSign { key } => asym::ecdsa_sign(key, data).map(|()| Output::None),
        Op::Derive { key } => asym::derive(key, data).map(|()| Output::None),
        Op::Custom { work, .. } => work.carry_out(data),
        _ => Err(bad_request(
            "this engine does not know the operation; run it on one that does",
        )),
    }
}

/// Refuses whatever comes from outside and is longer than the contract allows.
fn check_lengths(op: &Op, data: &[u8]) -> Result<(), FailureKind> {
    if data.len() > MAX_DATA_BYTES {
        return Err(bad_request(
            "more than 1 GiB of data; split it into smaller requests",
        ));
    }
    match op {
        Op::GcmSeal { aad, .. } | Op::GcmOpen { aad, .. } if aad.len() > MAX_DATA_BYTES => Err(
            bad_request("more than 1 GiB of associated data; authenticate a digest of it instead"),
        ),
        Op::HmacSha256 { key } if key.len() > MAX_DATA_BYTES => Err(bad_request(
            "an HMAC key of more than 1 GiB; use its SHA-256 digest, which gives the same MAC",
        )),
        _ => Ok(()),
    }
}

fn bad_request(reason: &'static str) -> FailureKind {
    FailureKind::BadRequest { reason }
}
