//! AES in counter mode.

use aes::cipher::array::Array;
use aes::cipher::typenum::U16;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, StreamCipherCore};
use ctr::CtrCore;
use ctr::flavors::{Ctr64BE, Ctr128BE, CtrFlavor};

/// Adds the keystream that starts at counter block `iv` to `data`.
///
/// The counter is the whole block: 128 bits, big endian, wrapping, as in libcrypto. Counting in
/// 128 bits costs about 30 % at 16 KiB, for the carry into the high half runs through every block
/// of every batch. A carry that never comes need not be computed: if the low half does not wrap
/// within `data`, the high half is constant and a 64-bit counter yields the same blocks. A random
/// IV meets the slow path with a probability of 2^-60 per 256 bytes.
pub(super) fn apply<C>(cipher: &C, iv: &[u8; 16], data: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    if low_half_wraps(iv, data.len()) {
        apply_with::<C, Ctr128BE>(cipher, iv, data);
    } else {
        apply_with::<C, Ctr64BE>(cipher, iv, data);
    }
}

/// Whether the low 64 bits of the counter wrap before the last block of `len` bytes.
fn low_half_wraps(iv: &[u8; 16], len: usize) -> bool {
    let low = u128::from_be_bytes(*iv) as u64; // the low half: truncation is meant
    let steps = len.div_ceil(16).saturating_sub(1); // the first block uses the IV itself
    low.checked_add(steps as u64).is_none()
}

/// The counter is built on a borrowed cipher: nothing moves the round keys about on the stack,
/// where a copy would escape wiping.
fn apply_with<C, F>(cipher: &C, iv: &[u8; 16], data: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
    F: CtrFlavor<U16>,
{
    let iv: &Array<u8, U16> = iv.into();
    // Does not panic: the keystream of one IV is 2^64 blocks or more, whatever the IV.
    CtrCore::<&C, F>::inner_iv_init(cipher, iv).apply_keystream_partial(data.into());
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit;
    use aes::{Aes128Enc, Aes256Enc};
    use proptest::prelude::*;

    use super::*;

    /// A counter block of the two halves.
    fn iv(high: u64, low: u64) -> [u8; 16] {
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    #[test]
    fn the_low_half_wraps_exactly_when_a_block_is_needed_beyond_it() {
        for (low, len, wraps) in [
            (0, 0, false),
            (0, offload::MAX_DATA_BYTES, false),
            (u64::MAX, 0, false),
            (u64::MAX, 1, false),
            (u64::MAX, 16, false),
            (u64::MAX, 17, true),
            (u64::MAX - 1, 16, false),
            (u64::MAX - 1, 17, false),
            (u64::MAX - 1, 32, false),
            (u64::MAX - 1, 33, true),
            (u64::MAX - ((1 << 26) - 1), offload::MAX_DATA_BYTES, false),
            (u64::MAX - ((1 << 26) - 2), offload::MAX_DATA_BYTES, true),
        ] {
            for high in [0, 1, u64::MAX] {
                assert_eq!(
                    low_half_wraps(&iv(high, low), len),
                    wraps,
                    "low half {low:#x}, {len} bytes"
                );
            }
        }
    }

    /// The keystream as SP 800-38A defines it, block by block.
    fn by_definition(cipher: &Aes128Enc, iv: &[u8; 16], len: usize) -> Vec<u8> {
        let mut counter = u128::from_be_bytes(*iv);
        let mut stream = Vec::new();
        while stream.len() < len {
            let mut block = Array::from(counter.to_be_bytes());
            cipher.encrypt_block(&mut block);
            stream.extend_from_slice(&block);
            counter = counter.wrapping_add(1);
        }
        stream.truncate(len);
        stream
    }

    fn stream_of<F: CtrFlavor<U16>>(cipher: &Aes128Enc, iv: &[u8; 16], len: usize) -> Vec<u8> {
        let mut stream = vec![0; len];
        apply_with::<_, F>(cipher, iv, &mut stream);
        stream
    }

    #[test]
    fn around_the_wrap_every_length_is_as_defined() {
        let cipher = Aes128Enc::new(&[7; 16].into());
        for high in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            for low in [u64::MAX, u64::MAX - 1, u64::MAX - 7] {
                let iv = iv(high, low);
                for len in 0..=200 {
                    let expected = by_definition(&cipher, &iv, len);
                    let mut stream = vec![0; len];
                    apply(&cipher, &iv, &mut stream);
                    assert_eq!(stream, expected, "IV {iv:02x?}, {len} bytes");

                    // The 128-bit counter is right everywhere, the 64-bit one wherever it is used.
                    assert_eq!(stream_of::<Ctr128BE>(&cipher, &iv, len), expected);
                    assert_eq!(
                        stream_of::<Ctr64BE>(&cipher, &iv, len) == expected,
                        !low_half_wraps(&iv, len),
                        "IV {iv:02x?}, {len} bytes"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn both_counters_agree_where_both_apply(
            key: [u8; 32],
            iv: [u8; 16],
            data in proptest::collection::vec(any::<u8>(), 0..5000),
        ) {
            prop_assume!(!low_half_wraps(&iv, data.len()));
            let cipher = Aes256Enc::new(&key.into());
            let (mut short, mut long) = (data.clone(), data);
            apply_with::<_, Ctr64BE>(&cipher, &iv, &mut short);
            apply_with::<_, Ctr128BE>(&cipher, &iv, &mut long);
            prop_assert_eq!(short, long);
        }

        #[test]
        fn near_the_wrap_the_stream_is_as_defined(
            key: [u8; 16],
            high in prop_oneof![Just(u64::MAX), any::<u64>()],
            before_wrap in 0..320_u64,
            len in 0..5000_usize,
        ) {
            let cipher = Aes128Enc::new(&key.into());
            let iv = iv(high, u64::MAX - before_wrap);
            let mut stream = vec![0; len];
            apply(&cipher, &iv, &mut stream);
            prop_assert_eq!(stream, by_definition(&cipher, &iv, len));
        }
    }
}
