//! What a job asks of an engine, and what it gets back.
//!
//! A [`Request`] owns everything the operation needs. It is moved into the engine on submission
//! and comes back in every case: inside the [`Response`], inside a refusal
//! ([`Refused`](crate::Refused)) or inside a [`Failure`]. Nothing is borrowed, so a job that goes
//! away while its operation is on the device leaves nothing dangling behind.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The largest buffer an operation may carry, in bytes: 1 GiB.
///
/// A bound on what is taken from outside; real devices stop far earlier (Intel QAT: 16 KiB for
/// each of 32 buffers in a pipeline).
pub const MAX_DATA_BYTES: usize = 1 << 30;

/// The bytes an operation works on. Wiped when dropped; `std::mem::take(&mut *buffer)` takes the
/// vector out, unwiped, for a caller who keeps it.
pub type Buffer = Zeroizing<Vec<u8>>;

/// The operations that the contract knows, without their parameters.
///
/// Used for listing, for parsing names and for tables of service times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OpKind {
    /// Nothing: a round trip through the device, for measuring it.
    Nop,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// HMAC with SHA-256 (RFC 2104).
    HmacSha256,
    /// AES-128 in counter mode, 128-bit big-endian counter (NIST SP 800-38A).
    Aes128Ctr,
    /// AES-256 in counter mode, 128-bit big-endian counter (NIST SP 800-38A).
    Aes256Ctr,
    /// AES-128 in Galois/counter mode, 96-bit nonce, 128-bit tag (NIST SP 800-38D).
    Aes128Gcm,
    /// AES-256 in Galois/counter mode, 96-bit nonce, 128-bit tag (NIST SP 800-38D).
    Aes256Gcm,
    /// AES-128 in cipher block chaining mode (NIST SP 800-38A), PKCS#7 padding optional.
    Aes128Cbc,
    /// AES-256 in cipher block chaining mode (NIST SP 800-38A), PKCS#7 padding optional.
    Aes256Cbc,
}

impl OpKind {
    /// Every operation, in a stable order.
    pub const ALL: [OpKind; 10] = [
        OpKind::Nop,
        OpKind::Sha256,
        OpKind::Sha512,
        OpKind::HmacSha256,
        OpKind::Aes128Ctr,
        OpKind::Aes256Ctr,
        OpKind::Aes128Gcm,
        OpKind::Aes256Gcm,
        OpKind::Aes128Cbc,
        OpKind::Aes256Cbc,
    ];

    /// The operation's name, as OpenSSL spells it where OpenSSL has it: `sha256`, `aes-128-ctr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            OpKind::Nop => "nop",
            OpKind::Sha256 => "sha256",
            OpKind::Sha512 => "sha512",
            OpKind::HmacSha256 => "hmac-sha256",
            OpKind::Aes128Ctr => "aes-128-ctr",
            OpKind::Aes256Ctr => "aes-256-ctr",
            OpKind::Aes128Gcm => "aes-128-gcm",
            OpKind::Aes256Gcm => "aes-256-gcm",
            OpKind::Aes128Cbc => "aes-128-cbc",
            OpKind::Aes256Cbc => "aes-256-cbc",
        }
    }

    /// The operation called `name`, or nothing. Exact, lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<OpKind> {
        OpKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Length of the AES key in bytes, for the operations that take one.
    #[must_use]
    pub const fn aes_key_bytes(self) -> Option<usize> {
        match self {
            OpKind::Aes128Ctr | OpKind::Aes128Gcm | OpKind::Aes128Cbc => Some(16),
            OpKind::Aes256Ctr | OpKind::Aes256Gcm | OpKind::Aes256Cbc => Some(32),
            OpKind::Nop | OpKind::Sha256 | OpKind::Sha512 | OpKind::HmacSha256 => None,
        }
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An AES key. Clones share the same memory, which is never moved and is wiped when the last of
/// them is dropped: a request on its way through queues leaves no copies behind. Never printed.
#[derive(Clone)]
pub struct AesKey(Arc<KeyBytes>);

#[derive(Zeroize, ZeroizeOnDrop)]
enum KeyBytes {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

/// A look at an [`AesKey`], by length.
#[derive(Clone, Copy)]
pub enum AesKeyRef<'a> {
    /// 128 bits.
    Aes128(&'a [u8; 16]),
    /// 256 bits.
    Aes256(&'a [u8; 32]),
}

impl AesKey {
    /// A key of the bytes in `key`: 16 of them for AES-128, 32 for AES-256.
    ///
    /// # Errors
    ///
    /// [`WrongKeyLength`] for any other length.
    pub fn new(key: &[u8]) -> Result<AesKey, WrongKeyLength> {
        if let Ok(key) = <[u8; 16]>::try_from(key) {
            Ok(key.into())
        } else if let Ok(key) = <[u8; 32]>::try_from(key) {
            Ok(key.into())
        } else {
            Err(WrongKeyLength { bytes: key.len() })
        }
    }

    /// The key itself.
    #[must_use]
    pub fn view(&self) -> AesKeyRef<'_> {
        match &*self.0 {
            KeyBytes::Aes128(key) => AesKeyRef::Aes128(key),
            KeyBytes::Aes256(key) => AesKeyRef::Aes256(key),
        }
    }

    /// The key's length in bytes: 16 or 32.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &*self.0 {
            KeyBytes::Aes128(_) => 16,
            KeyBytes::Aes256(_) => 32,
        }
    }
}

/// A key for AES-128. The array that is given here is wiped.
impl From<[u8; 16]> for AesKey {
    fn from(mut key: [u8; 16]) -> AesKey {
        let shared = AesKey(Arc::new(KeyBytes::Aes128(key)));
        key.zeroize();
        shared
    }
}

/// A key for AES-256. The array that is given here is wiped.
impl From<[u8; 32]> for AesKey {
    fn from(mut key: [u8; 32]) -> AesKey {
        let shared = AesKey(Arc::new(KeyBytes::Aes256(key)));
        key.zeroize();
        shared
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({} bits, hidden)", self.bytes() * 8)
    }
}

impl fmt::Debug for AesKeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKeyRef(hidden)")
    }
}

/// A key of a length that AES does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an AES key of {bytes} bytes: give 16 bytes for AES-128 or 32 for AES-256")]
pub struct WrongKeyLength {
    /// The length that was given, in bytes.
    pub bytes: usize,
}

/// Padding of a block mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None: the data must be whole blocks of 16 bytes.
    None,
    /// PKCS#7, as `openssl enc` does: 1 to 16 bytes are added.
    Pkcs7,
}

/// One operation with its parameters. Secrets are wiped when it is dropped and never printed.
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
}

impl Op {
    /// Which operation this is.
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

/// One operation on one buffer, owned by whoever holds it.
pub struct Request {
    /// What to do.
    pub op: Op,
    /// The input. Ciphers work in place and hand it back changed, digests hand it back as it was.
    pub data: Buffer,
    /// A number that names this operation in traces and decides its faults: the same seed and
    /// the same id meet the same fault, on any clock and in any order of arrival.
    pub id: u64,
}

impl Request {
    /// A request with id 0. Give each its own with [`with_id`](Request::with_id): on a device with
    /// faults, operations of the same id meet the same fate.
    #[must_use]
    pub fn new(op: Op, data: impl Into<Buffer>) -> Request {
        Request {
            op,
            data: data.into(),
            id: 0,
        }
    }

    /// How many bytes the operation works through: the data, what is authenticated beside it, and a
    /// key that may be of any length.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let beside = match &self.op {
            Op::HmacSha256 { key } => key.len(),
            Op::GcmSeal { aad, .. } | Op::GcmOpen { aad, .. } => aad.len(),
            _ => 0,
        };
        self.data.len().saturating_add(beside)
    }

    /// The same request under another id.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Request {
        self.id = id;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("op", &self.op)
            .field("data_bytes", &self.data.len())
            .finish()
    }
}

/// What an operation produced beside the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Nothing: all there is to see is in the buffer.
    None,
    /// A digest or MAC of `bytes[..len]`; read it with [`Response::digest`].
    Digest {
        /// The digest, then zeros.
        bytes: [u8; 64],
        /// Its length in bytes.
        len: u8,
    },
    /// The tag of an authenticated encryption.
    Tag([u8; 16]),
}

impl Output {
    /// A digest of `digest`'s bytes.
    ///
    /// # Panics
    ///
    /// If `digest` is longer than 64 bytes, which no digest of [`OpKind`] is.
    #[must_use]
    pub fn digest(digest: &[u8]) -> Output {
        let mut bytes = [0; 64];
        bytes[..digest.len()].copy_from_slice(digest);
        Output::Digest {
            bytes,
            len: digest.len() as u8, // at most 64: checked by the copy above
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A digest can be of a secret and a MAC can be one: only the kind is shown.
        f.write_str(match self {
            Output::None => "Output::None",
            Output::Digest { .. } => "Output::Digest(hidden)",
            Output::Tag(_) => "Output::Tag(hidden)",
        })
    }
}

/// A finished operation: its output, and its request's buffer handed back.
pub struct Response {
    /// The buffer of the request: transformed by a cipher, unchanged by a digest.
    pub data: Buffer,
    /// What there is beside it.
    pub output: Output,
}

impl Response {
    /// The digest or MAC, if the operation makes one.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8]> {
        match &self.output {
            Output::Digest { bytes, len } => bytes.get(..usize::from(*len)),
            _ => None,
        }
    }

    /// The authentication tag, if the operation makes one.
    #[must_use]
    pub fn tag(&self) -> Option<[u8; 16]> {
        match self.output {
            Output::Tag(tag) => Some(tag),
            _ => None,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("data_bytes", &self.data.len())
            .field("output", &self.output)
            .finish()
    }
}

/// Why an operation that was accepted did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The device answered with an error status.
    #[error("the device reported status {status}; try again, or run it in software")]
    Device {
        /// The device's own number.
        status: i32,
    },
    /// The device is gone, or went with the operation on it.
    #[error("the device went down with the operation on it; reset it, or run it in software")]
    Down,
    /// No answer came within the time-out.
    #[error("no answer from the engine within {millis} ms; the operation was abandoned")]
    TimedOut {
        /// The time-out, in milliseconds.
        millis: u64,
    },
    /// The tag does not fit the data: forged or corrupted input, not a device fault.
    #[error("authentication failed: the tag does not fit the data")]
    Verify,
    /// The parameters cannot work, as data that is not whole blocks for CBC without padding.
    #[error("the request cannot be carried out: {reason}")]
    BadRequest {
        /// What is wrong with it and what would be right.
        reason: &'static str,
    },
    /// The engine dropped the completion without answering: a bug in the engine.
    #[error("the engine dropped the operation without answering; report it to the engine's author")]
    Dropped,
    /// Nobody waits for the answer any more; the engine did not start it.
    #[error("the operation was cancelled before the engine started it")]
    Cancelled,
}

/// A failed operation, with its request as it was before where the engine still has it.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// The request, unchanged, to be tried again elsewhere. `None` if it is lost on the device.
    pub request: Option<Request>,
}

impl Failure {
    /// A failure that hands the request back.
    #[must_use]
    pub fn with_request(kind: FailureKind, request: Request) -> Failure {
        Failure {
            kind,
            request: Some(request),
        }
    }

    /// A failure whose request is lost on the device.
    #[must_use]
    pub fn lost(kind: FailureKind) -> Failure {
        Failure {
            kind,
            request: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Failure {}
