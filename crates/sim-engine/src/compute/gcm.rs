//! AES in Galois/counter mode: 96-bit nonces, 128-bit tags.

use aes::cipher::BlockCipherEncrypt;
use aes::cipher::typenum::{U12, U16};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use offload::FailureKind;

/// Encrypts `data` and returns the tag over it and over `aad`.
///
/// GCM only ever encrypts blocks, hence a cipher that need not know how to decrypt them; it is
/// borrowed so that no move leaves a copy of the round keys behind, unwiped.
pub(super) fn seal<C>(
    cipher: &C,
    nonce: &[u8; 12],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; 16], FailureKind>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    AesGcm::<&C, U12>::from(cipher)
        .encrypt_inout_detached(nonce.into(), aad, data.into())
        .map(Into::into)
        // Its limits, 64 GiB of data and more of `aad`, are far above the contract's.
        .map_err(|_| super::bad_request("longer than AES-GCM allows; split it"))
}

/// Decrypts `data` if `tag` fits it and `aad`, else leaves it alone.
///
/// The tag is of the ciphertext, and `decrypt_inout_detached` compares it, in constant time,
/// before it decrypts anything: no plaintext exists, even for a moment, that was not
/// authenticated.
pub(super) fn open<C>(
    cipher: &C,
    nonce: &[u8; 12],
    aad: &[u8],
    tag: &[u8; 16],
    data: &mut [u8],
) -> Result<(), FailureKind>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    AesGcm::<&C, U12>::from(cipher)
        .decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into())
        .map_err(|_| FailureKind::Verify)
}
