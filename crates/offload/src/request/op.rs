//! Operations with their parameters.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{AesKey, AesKeyRef, Buffer, FailureKind, KeyKind, OpKind, Output, PrivateKey};

/// Padding of a block mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None: the data must be whole blocks of 16 bytes.
    None,
    /// PKCS#7, as `openssl enc` does: 1 to 16 bytes are added.
    Pkcs7,
}

/// How a message is made into the number that RSA signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RsaSignPadding {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2). The same message always gets the
    /// same signature.
    Pkcs1Sha256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 random bytes (RFC 8017, section
    /// 8.1). Each signature is different.
    PssSha256,
}

/// How a plaintext was made into the number that RSA decrypts.
///
/// The padding of PKCS#1 v1.5 is left out on purpose. Whoever can tell by an answer, or by the time
/// it takes, whether that padding was right can decrypt anything and sign anything with the key
/// (Bleichenbacher 1998), and a contract that reports failures as failures cannot hide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RsaDecryptPadding {
    /// OAEP with SHA-1, MGF1 with SHA-1 and no label (RFC 8017, section 7.1): the default of
    /// OpenSSL and of many smart cards. SHA-1's collisions do not weaken it.
    OaepSha1,
    /// OAEP with SHA-256, MGF1 with SHA-256 and no label.
    OaepSha256,
}

/// One operation with its parameters. Secrets are wiped when it is dropped and never printed.
///
/// The asymmetric operations put their result where their input was, in the request's data, and
/// leave [`Output::None`](super::Output::None): a signature of 512 bytes would make every response
/// of every operation larger, and a secret belongs in memory that is wiped. A caller who still
/// needs the input keeps a copy. On failure it comes back as it was. A buffer with 512 bytes of
/// capacity has room for every result and is not moved.
#[derive(Clone)]
#[non_exhaustive]
pub enum Op {
    /// Nothing; the data comes back as it went.
    Nop,
    /// SHA-256 of the data.
    Sha256,
    /// SHA-512 of the data.
    Sha512,
    /// HMAC-SHA-256 of the data under a key of any length.
    HmacSha256 {
        /// The key. An empty one is allowed, as in RFC 2104.
        key: Zeroizing<Vec<u8>>,
    },
    /// AES in counter mode, in place; encryption and decryption are the same.
    Ctr {
        /// The key.
        key: AesKey,
        /// The first counter block, big endian; it wraps at 2^128.
        iv: [u8; 16],
    },
    /// Authenticated encryption, in place; the tag comes back in the response.
    GcmSeal {
        /// The key.
        key: AesKey,
        /// The nonce; never use one twice with the same key.
        nonce: [u8; 12],
        /// Data that is authenticated but not encrypted.
        aad: Vec<u8>,
    },
    /// Authenticated decryption, in place.
    GcmOpen {
        /// The key.
        key: AesKey,
        /// The nonce that was used to seal.
        nonce: [u8; 12],
        /// The data that was authenticated beside it.
        aad: Vec<u8>,
        /// The tag that sealing gave.
        tag: [u8; 16],
    },
    /// AES-CBC encryption, in place (the buffer grows by the padding).
    CbcEncrypt {
        /// The key.
        key: AesKey,
        /// The initialisation vector.
        iv: [u8; 16],
        /// The padding.
        padding: Padding,
    },
    /// AES-CBC decryption, in place (the buffer shrinks by the padding).
    CbcDecrypt {
        /// The key.
        key: AesKey,
        /// The initialisation vector.
        iv: [u8; 16],
        /// The padding.
        padding: Padding,
    },
    /// An RSA signature. The data is the message, of any length; the engine hashes it. It becomes
    /// the signature, as long as the key's modulus.
    RsaSign {
        /// An RSA key.
        key: PrivateKey,
        /// The padding, with its hash.
        padding: RsaSignPadding,
    },
    /// RSA decryption. The data is the ciphertext, exactly as long as the key's modulus. It becomes
    /// the plaintext, which can be empty.
    RsaDecrypt {
        /// An RSA key.
        key: PrivateKey,
        /// The padding, with its hash.
        padding: RsaDecryptPadding,
    },
    /// An ECDSA signature. The data is the message, of any length; the engine hashes it with the
    /// hash of the curve's strength. It becomes the signature, ASN.1 DER as in TLS and X.509: at
    /// most 72 bytes for P-256 and 104 for P-384, each time a different one.
    EcdsaSign {
        /// A key of P-256 (SHA-256) or P-384 (SHA-384).
        key: PrivateKey,
    },
    /// The secret that this key and a peer's share. The data is the peer's public key: 32 bytes for
    /// X25519, an uncompressed point of 65 bytes (`04`, x, y) for P-256. It becomes the secret, 32
    /// bytes that are not uniform: derive keys from them, with a hash.
    Derive {
        /// A key of X25519 or P-256.
        key: PrivateKey,
    },
    /// An operation that brings its own arithmetic: what a host computes with a library of its own, on
    /// the device's workers and in the device's time.
    Custom {
        /// What it counts as: for service times, rings, limits and reports.
        kind: OpKind,
        /// What is done with the data.
        work: Arc<dyn CustomWork>,
    },
}

/// What an [`Op::Custom`] does.
///
/// An engine carries it out at most once for an answer that arrives. It may do so before the time of the
/// answer has come, and then lose it with the device; only where [`is_repeatable`](CustomWork::is_repeatable)
/// says so.
pub trait CustomWork: Send + Sync {
    /// Works on the request's data, on a thread of the engine's or, where an engine or a fallback runs it
    /// inline, on the caller's. The result takes the data's place, or is returned beside it.
    ///
    /// # Errors
    ///
    /// Why it cannot be done. The data is then as it was.
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind>;

    /// Whether it may be carried out again with the same data, for another answer as good as the first: a
    /// signature, say, but not the next piece of a stream.
    fn is_repeatable(&self) -> bool {
        false
    }
}

impl Op {
    /// Which operation this is.
    ///
    /// With a private key that the operation does not take it goes by the name of the smallest that
    /// it takes, RSA-2048 or P-256; no engine carries it out
    /// ([`FailureKind::BadRequest`](super::FailureKind::BadRequest)).
    #[must_use]
    pub fn kind(&self) -> OpKind {
        let pick = |key: &AesKey, small, large| match key.view() {
            AesKeyRef::Aes128(_) => small,
            AesKeyRef::Aes256(_) => large,
        };
        match self {
            Op::Nop => OpKind::Nop,
            Op::Sha256 => OpKind::Sha256,
            Op::Sha512 => OpKind::Sha512,
            Op::HmacSha256 { .. } => OpKind::HmacSha256,
            Op::Ctr { key, .. } => pick(key, OpKind::Aes128Ctr, OpKind::Aes256Ctr),
            Op::GcmSeal { key, .. } | Op::GcmOpen { key, .. } => {
                pick(key, OpKind::Aes128Gcm, OpKind::Aes256Gcm)
            }
            Op::CbcEncrypt { key, .. } | Op::CbcDecrypt { key, .. } => {
                pick(key, OpKind::Aes128Cbc, OpKind::Aes256Cbc)
            }
            Op::RsaSign { key, .. } => match key.kind() {
                KeyKind::Rsa4096 => OpKind::Rsa4096Sign,
                KeyKind::Rsa3072 => OpKind::Rsa3072Sign,
                _ => OpKind::Rsa2048Sign,
            },
            Op::RsaDecrypt { key, .. } => match key.kind() {
                KeyKind::Rsa4096 => OpKind::Rsa4096Decrypt,
                KeyKind::Rsa3072 => OpKind::Rsa3072Decrypt,
                _ => OpKind::Rsa2048Decrypt,
            },
            Op::EcdsaSign { key } => match key.kind() {
                KeyKind::P384 => OpKind::EcdsaP384Sign,
                _ => OpKind::EcdsaP256Sign,
            },
            Op::Derive { key } => match key.kind() {
                KeyKind::X25519 => OpKind::X25519Derive,
                _ => OpKind::P256Derive,
            },
            Op::Custom { kind, .. } => *kind,
        }
    }

    /// Whether it may be carried out again, on the same data, when the first answer is lost. Everything but
    /// an [`Op::Custom`] that says otherwise.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Op::Custom { work, .. } => work.is_repeatable(),
            _ => true,
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self {
            Op::GcmSeal { .. } | Op::CbcEncrypt { .. } => ", encrypt",
            Op::GcmOpen { .. } | Op::CbcDecrypt { .. } => ", decrypt",
            _ => "",
        };
        write!(f, "Op({}{direction})", self.kind())
    }
}
