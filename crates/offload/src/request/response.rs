//! What comes back from an operation that succeeded.

use std::fmt;

use super::Buffer;

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
    /// If `digest` is longer than 64 bytes, which no digest of [`OpKind`](super::OpKind) is.
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
    /// The buffer of the request: transformed by a cipher, unchanged by a digest; of an asymmetric
    /// operation the result.
    pub data: Buffer,
    /// What there is beside it.
    pub output: Output,
}

/// A response is moved several times on the way from an engine to a job: what is large goes into the
/// buffer.
const _: () = assert!(size_of::<Response>() <= 96);

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
