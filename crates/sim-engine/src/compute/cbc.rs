//! AES in cipher block chaining mode, with PKCS#7 padding or without.

use aes::cipher::array::Array;
use aes::cipher::typenum::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
};
use cbc::{Decryptor, Encryptor};
use offload::{Buffer, FailureKind, MAX_DATA_BYTES, Padding};
use zeroize::Zeroizing;

use super::bad_request;

const BLOCK: usize = 16;

/// Encrypts `data`, after padding it if asked to; on failure it is as it was.
pub(super) fn encrypt<C>(
    cipher: &C,
    iv: &[u8; BLOCK],
    padding: Padding,
    data: &mut Buffer,
) -> Result<(), FailureKind>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    match padding {
        Padding::Pkcs7 => pad(data)?,
        Padding::None if !data.len().is_multiple_of(BLOCK) => {
            return Err(bad_request(
                "CBC without padding encrypts whole blocks only; make the data a multiple of \
                 16 bytes, or ask for PKCS#7 padding",
            ));
        }
        Padding::None => {}
    }
    let (blocks, _) = data.as_chunks_mut(); // no remainder: padded or checked
    Encryptor::inner_iv_init(cipher, iv.into())
        .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    Ok(())
}

/// Decrypts `data` and takes the padding off if asked to; on failure it is as it was.
pub(super) fn decrypt<C>(
    cipher: &C,
    iv: &[u8; BLOCK],
    padding: Padding,
    data: &mut Buffer,
) -> Result<(), FailureKind>
where
    C: BlockCipherDecrypt<BlockSize = U16>,
{
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    if !rest.is_empty() {
        return Err(bad_request(
            "CBC ciphertext is whole blocks; this is not a multiple of 16 bytes",
        ));
    }
    let (blocks, padded) = match padding {
        Padding::None => (blocks, 0),
        Padding::Pkcs7 => {
            // Decrypting in place destroys what a failure must hand back, so the padding is looked
            // at first, on a copy of the last block, and decryption starts only if it is good.
            let Some((last, before)) = blocks.split_last_mut() else {
                return Err(bad_request(
                    "padded CBC ciphertext has at least one block of 16 bytes; this is empty",
                ));
            };
            let mut plain = Zeroizing::new(*last);
            Decryptor::inner_iv_init(cipher, before.last().unwrap_or(iv).into())
                .decrypt_block((&mut *plain).into());
            let Some(padded) = padding_len(&plain) else {
                return Err(bad_request(
                    "bad PKCS#7 padding; check key, IV and ciphertext",
                ));
            };
            *last = *plain;
            (before, padded)
        }
    };
    Decryptor::inner_iv_init(cipher, iv.into())
        .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    let len = data.len() - padded;
    data.truncate(len);
    Ok(())
}

/// Appends 1 to 16 bytes, each of them their number.
fn pad(data: &mut Buffer) -> Result<(), FailureKind> {
    let len = data.len();
    let padding = BLOCK - len % BLOCK;
    if len + padding > MAX_DATA_BYTES {
        return Err(bad_request(
            "more than 1 GiB of data once it is padded; split it into smaller requests",
        ));
    }
    if data.capacity() - len < padding {
        // Not `reserve`: `Vec` would free the old bytes unwiped, with the plaintext in them.
        let mut larger = Zeroizing::new(Vec::with_capacity(len + padding));
        larger.extend_from_slice(data);
        *data = larger; // wipes what it replaces
    }
    data.resize(len + padding, padding as u8); // at most 16
    Ok(())
}

/// The number of padding bytes at the end of `block`, or nothing if they are not PKCS#7.
///
/// Looks at all bytes in all cases: the time taken does not tell which one is wrong.
fn padding_len(block: &[u8; BLOCK]) -> Option<usize> {
    let [.., len] = *block;
    let mut wrong = u8::from(len == 0) | u8::from(usize::from(len) > BLOCK);
    for (at, byte) in block.iter().enumerate() {
        let is_padding = u8::from(BLOCK - at <= usize::from(len));
        wrong |= is_padding.wrapping_neg() & (byte ^ len);
    }
    (wrong == 0).then_some(usize::from(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// PKCS#7 as RFC 5652, section 6.3, words it.
    fn by_definition(block: &[u8; BLOCK]) -> Option<usize> {
        (1..=BLOCK).find(|&len| block[BLOCK - len..].iter().all(|&byte| byte == len as u8))
    }

    #[test]
    fn every_padding_is_found_and_every_wrong_byte_in_it() {
        for len in 1..=BLOCK {
            let mut block = [0xaa; BLOCK];
            block[BLOCK - len..].fill(len as u8);
            assert_eq!(padding_len(&block), Some(len));
            for at in BLOCK - len..BLOCK - 1 {
                let mut wrong = block;
                wrong[at] ^= 0x80;
                assert_eq!(padding_len(&wrong), None, "{len} bytes, byte {at} is wrong");
            }
        }
        for last in (0..=u8::MAX).filter(|last| !(1..=16).contains(last)) {
            assert_eq!(padding_len(&[last; BLOCK]), None, "last byte {last}");
        }
    }

    proptest! {
        #[test]
        fn any_block_is_judged_as_defined(block in proptest::array::uniform16(0..=4_u8)) {
            prop_assert_eq!(padding_len(&block), by_definition(&block));
        }

        #[test]
        fn padding_comes_off_as_it_went_on(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut padded = Buffer::from(data.clone());
            prop_assert_eq!(pad(&mut padded), Ok(()));
            let (blocks, rest) = padded.as_chunks::<BLOCK>();
            prop_assert!(rest.is_empty());
            let len = blocks.last().and_then(padding_len);
            prop_assert_eq!(len, Some(padded.len() - data.len()));
            prop_assert_eq!(&padded[..data.len()], &data[..]);
        }
    }

    #[test]
    fn a_buffer_with_room_is_padded_where_it_is() {
        let mut data = Buffer::from(Vec::with_capacity(48));
        data.extend_from_slice(&[1; 32]);
        let before = data.as_ptr();
        assert_eq!(pad(&mut data), Ok(()));
        assert_eq!((data.len(), data.as_ptr()), (48, before));
    }
}
