//! What a job asks of an engine, and what it gets back.
//!
//! A [`Request`] owns everything the operation needs. It is moved into the engine on submission
//! and comes back in every case: inside the [`Response`], inside a refusal
//! ([`Refused`](crate::Refused)) or inside a [`Failure`]. Nothing is borrowed, so a job that goes
//! away while its operation is on the device leaves nothing dangling behind.

mod aes_key;
mod failure;
mod kind;
mod op;
mod private_key;
mod response;

use std::fmt;

use zeroize::Zeroizing;

pub use aes_key::{AesKey, AesKeyRef, WrongKeyLength};
pub use failure::{Failure, FailureKind};
pub use kind::OpKind;
pub use op::{CustomWork, Op, Padding, RsaDecryptPadding, RsaSignPadding};
pub use private_key::{BadKey, KeyKind, PrivateKey};
pub use response::{Output, Response};

/// The largest buffer an operation may carry, in bytes: 1 GiB.
///
/// A bound on what is taken from outside; real devices stop far earlier (Intel QAT: 16 KiB for
/// each of 32 buffers in a pipeline).
pub const MAX_DATA_BYTES: usize = 1 << 30;

/// The bytes an operation works on. Wiped when dropped; `std::mem::take(&mut *buffer)` takes the
/// vector out, unwiped, for a caller who keeps it.
pub type Buffer = Zeroizing<Vec<u8>>;

/// One operation on one buffer, owned by whoever holds it.
pub struct Request {
    /// What to do.
    pub op: Op,
    /// The input. Ciphers work in place and hand it back changed, digests hand it back as it was,
    /// and asymmetric operations put their result in its place: see each [`Op`].
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
