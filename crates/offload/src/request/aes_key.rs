//! Keys for AES.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop};

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
