//! `compute` against the `openssl` program, on random data and around every counter wrap.
//!
//! Where there is no such program the tests say so and pass.

#[path = "common/openssl.rs"]
mod openssl;

use offload::{AesKey, Op, Padding, Request};
use openssl::{OPENSSL, openssl};
use proptest::collection::vec;
use proptest::prelude::*;
use sim_engine::compute::compute;
use zeroize::Zeroizing;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn aes_key(key: &[u8]) -> AesKey {
    AesKey::new(key).expect("16 or 32 bytes")
}

/// `openssl enc` of the mode `mode` with AES of `key`'s length.
fn enc(mode: &str, key: &[u8], iv: [u8; 16], options: &[&str], input: &[u8]) -> Vec<u8> {
    let cipher = format!("-aes-{}-{mode}", key.len() * 8);
    let (key, iv) = (hex(key), hex(&iv));
    let args = [&["enc", &cipher, "-K", &key, "-iv", &iv], options].concat();
    openssl(&args, input)
}

fn transformed(op: Op, data: &[u8]) -> Vec<u8> {
    let response = compute(Request::new(op, data.to_vec())).expect("a valid request");
    response.data.to_vec()
}

fn ctr(key: &[u8], iv: [u8; 16], data: &[u8]) -> Vec<u8> {
    let key = aes_key(key);
    transformed(Op::Ctr { key, iv }, data)
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 32)]
}

/// Every case starts a process or several, of some milliseconds each.
fn few_cases() -> ProptestConfig {
    ProptestConfig::with_cases(32)
}

/// IVs that wrap, in 32, 64, 96 and 128 bits, at every distance from the start that matters.
#[test]
fn ctr_wraps_as_in_openssl() {
    if !*OPENSSL {
        return;
    }
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(1000).collect();
    let key: Vec<u8> = (0..32).collect();
    for bits in [32, 64, 96, 128] {
        for high in [0, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, u128::MAX] {
            for before_wrap in [0, 1, 2, 7, 8, 30, 61, 62] {
                let ones = u128::MAX >> (128 - bits);
                let iv = ((high & !ones) | (ones - before_wrap)).to_be_bytes();
                for key in [&key[..16], &key[..]] {
                    assert_eq!(
                        ctr(key, iv, &data),
                        enc("ctr", key, iv, &[], &data),
                        "AES-{}, IV {}",
                        key.len() * 8,
                        hex(&iv)
                    );
                }
            }
        }
    }
}

#[test]
fn ctr_of_a_long_buffer_is_that_of_openssl() {
    if !*OPENSSL {
        return;
    }
    let data: Vec<u8> = (0..=u8::MAX).cycle().take((1 << 20) + 5).collect();
    for iv in [0, u128::MAX, u128::MAX - 40_000, u128::from(u64::MAX)] {
        let iv = iv.to_be_bytes();
        assert_eq!(
            ctr(&[3; 16], iv, &data),
            enc("ctr", &[3; 16], iv, &[], &data)
        );
    }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn ctr_is_that_of_openssl(
        key in any_key(),
        iv: [u8; 16],
        data in vec(any::<u8>(), 0..5000),
    ) {
        if *OPENSSL {
            prop_assert_eq!(ctr(&key, iv, &data), enc("ctr", &key, iv, &[], &data));
        }
    }

    #[test]
    fn padded_cbc_is_that_of_openssl(
        key in any_key(),
        iv: [u8; 16],
        data in vec(any::<u8>(), 0..5000),
    ) {
        if *OPENSSL {
            let padding = Padding::Pkcs7;
            let theirs = enc("cbc", &key, iv, &[], &data);
            let encrypt = Op::CbcEncrypt { key: aes_key(&key), iv, padding };
            prop_assert_eq!(&transformed(encrypt, &data), &theirs);
            let decrypt = Op::CbcDecrypt { key: aes_key(&key), iv, padding };
            prop_assert_eq!(transformed(decrypt, &theirs), data);
        }
    }

    #[test]
    fn bare_cbc_is_that_of_openssl(
        key in any_key(),
        iv: [u8; 16],
        data in vec(any::<[u8; 16]>(), 0..300),
    ) {
        if *OPENSSL {
            let (padding, data) = (Padding::None, data.concat());
            let theirs = enc("cbc", &key, iv, &["-nopad"], &data);
            let encrypt = Op::CbcEncrypt { key: aes_key(&key), iv, padding };
            prop_assert_eq!(&transformed(encrypt, &data), &theirs);
            // Random blocks, decrypted: every input is somebody's ciphertext.
            let decrypt = Op::CbcDecrypt { key: aes_key(&key), iv, padding };
            let theirs = enc("cbc", &key, iv, &["-nopad", "-d"], &data);
            prop_assert_eq!(transformed(decrypt, &data), theirs);
        }
    }

    #[test]
    fn digests_are_those_of_openssl(
        data in vec(any::<u8>(), 0..5000),
        key in vec(any::<u8>(), 1..200),
    ) {
        if *OPENSSL {
            let mac = format!("hexkey:{}", hex(&key));
            let key = Zeroizing::new(key);
            for (op, args) in [
                (Op::Sha256, &["dgst", "-binary", "-sha256"][..]),
                (Op::Sha512, &["dgst", "-binary", "-sha512"]),
                (
                    Op::HmacSha256 { key },
                    &["dgst", "-binary", "-sha256", "-mac", "HMAC", "-macopt", &mac],
                ),
            ] {
                let response = compute(Request::new(op, data.clone())).expect("a valid request");
                prop_assert_eq!(response.digest(), Some(&openssl(args, &data)[..]));
            }
        }
    }
}
