//! The cipher: its key, its IV, and the counter of each piece.

use std::path::Path;

use offload::{AesKey, Op, OpKind, Padding};
use zeroize::Zeroizing;

use crate::error::InputError;
use crate::system;

/// The length of an IV, and of a cipher block.
pub(crate) const BLOCK_BYTES: usize = 16;

/// The most bytes of a key file.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What a file can be encrypted with.
const CIPHERS: [OpKind; 4] = [
    OpKind::Aes128Ctr,
    OpKind::Aes256Ctr,
    OpKind::Aes128Cbc,
    OpKind::Aes256Cbc,
];

/// Their names, for messages.
fn names() -> String {
    CIPHERS.map(OpKind::name).join(", ")
}

/// Parses a cipher's name. Another operation's is told apart later, in better words.
pub(crate) fn parse_cipher(text: &str) -> Result<OpKind, String> {
    OpKind::from_name(text).ok_or_else(|| format!("the ciphers are {}", names()))
}

/// A cipher with its key and IV.
pub(crate) struct Cipher {
    kind: OpKind,
    key: AesKey,
    iv: [u8; BLOCK_BYTES],
    decrypt: bool,
}

impl Cipher {
    /// Checks what was given. The hex of the key is wiped with `key`.
    pub(crate) fn new(
        kind: OpKind,
        key: Zeroizing<String>,
        iv: &str,
        decrypt: bool,
    ) -> Result<Cipher, InputError> {
        let bytes = match kind {
            OpKind::Aes128Ctr | OpKind::Aes128Cbc => 16,
            OpKind::Aes256Ctr | OpKind::Aes256Cbc => 32,
            op => {
                let ciphers = names();
                return Err(InputError::NotACipher { op, ciphers });
            }
        };
        let key = parse_hex("the key", kind, key.trim(), bytes)?;
        let iv = parse_hex("the IV", kind, iv.trim(), BLOCK_BYTES)?;
        let mut first = [0; BLOCK_BYTES];
        first.copy_from_slice(&iv);
        // Both lengths were checked just now.
        let key = AesKey::new(&key).map_err(|e| InputError::HexLength {
            what: "the key".to_owned(),
            op: kind,
            got: 2 * e.bytes,
            expected: 2 * bytes,
        })?;
        Ok(Cipher {
            kind,
            key,
            iv: first,
            decrypt,
        })
    }

    /// Whether pieces of the data can be worked on independently of each other.
    pub(crate) fn can_be_split(&self) -> bool {
        matches!(self.kind, OpKind::Aes128Ctr | OpKind::Aes256Ctr)
    }

    pub(crate) fn kind(&self) -> OpKind {
        self.kind
    }

    /// The operation for the data from byte `offset` on, a multiple of the block. For a cipher
    /// that cannot be split, 0.
    pub(crate) fn at(&self, offset: u64) -> Op {
        let (key, iv) = (self.key.clone(), self.iv);
        let padding = Padding::Pkcs7;
        match (self.can_be_split(), self.decrypt) {
            (true, _) => Op::Ctr {
                key,
                iv: counter_at(iv, offset),
            },
            (false, false) => Op::CbcEncrypt { key, iv, padding },
            (false, true) => Op::CbcDecrypt { key, iv, padding },
        }
    }
}

/// The counter block for the data from byte `offset` on: 128 bits, big endian, wrapping.
fn counter_at(iv: [u8; BLOCK_BYTES], offset: u64) -> [u8; BLOCK_BYTES] {
    let blocks = u128::from(offset / BLOCK_BYTES as u64);
    u128::from_be_bytes(iv).wrapping_add(blocks).to_be_bytes()
}

/// Reads the hex of a key from a file.
pub(crate) fn key_from_file(path: &Path) -> Result<Zeroizing<String>, InputError> {
    system::read_text(path, "key", KEY_FILE_BYTES_MAX)
}

/// Exactly `bytes` bytes of hex. No message repeats what was given: it may be a key.
fn parse_hex(
    what: &str,
    op: OpKind,
    hex: &str,
    bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, InputError> {
    let mut nibbles = Zeroizing::new(Vec::with_capacity(hex.len()));
    for (at, digit) in hex.chars().enumerate() {
        let nibble = digit.to_digit(16).ok_or_else(|| InputError::NotHex {
            what: what.to_owned(),
            at: at + 1,
        })?;
        nibbles.push(nibble as u8); // below 16
    }
    if nibbles.len() != 2 * bytes {
        return Err(InputError::HexLength {
            what: what.to_owned(),
            op,
            got: nibbles.len(),
            expected: 2 * bytes,
        });
    }
    let pairs = nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]);
    Ok(Zeroizing::new(pairs.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_wraps_at_the_end_of_128_bits() {
        let iv = |n: u128| n.to_be_bytes();
        assert_eq!(counter_at(iv(0), 0), iv(0));
        assert_eq!(counter_at(iv(7), 16), iv(8));
        assert_eq!(counter_at(iv(u128::MAX), 0), iv(u128::MAX));
        assert_eq!(counter_at(iv(u128::MAX), 16), iv(0));
        assert_eq!(counter_at(iv(u128::MAX - 1), 16 * 5), iv(3));
        // A carry over the middle, where a 64-bit counter would lose it.
        assert_eq!(counter_at(iv(u128::from(u64::MAX)), 16), iv(1 << 64));
        assert_eq!(
            counter_at(iv(u128::MAX), u64::MAX / 16 * 16),
            iv(u128::from(u64::MAX / 16) - 1)
        );
    }

    #[test]
    fn hex() {
        let parse = |hex| parse_hex("the key", OpKind::Aes128Ctr, hex, 2);
        assert_eq!(*parse("00fF").expect("hex"), [0, 255]);
        for (hex, why) in [
            ("00f", "has 3 hex digits; aes-128-ctr takes 4"),
            ("00fFa", "has 5 hex digits"),
            ("00fg", "digit 4 is none of"),
            ("", "has 0 hex digits"),
            ("0é00", "digit 2"),
        ] {
            let error = parse(hex).expect_err("not four digits of hex").to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
