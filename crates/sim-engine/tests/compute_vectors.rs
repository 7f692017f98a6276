//! `compute` against the vectors of the standards themselves.

use offload::{AesKey, Op, Padding, Request, Response};
use sim_engine::compute::compute;
use zeroize::Zeroizing;

/// The bytes of a hexadecimal string; blanks are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("two hexadecimal digits")
        })
        .collect()
}

fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("a vector of the right length")
}

fn key(text: &str) -> AesKey {
    AesKey::new(&hex(text)).expect("an AES key")
}

fn run(op: Op, data: &[u8]) -> Response {
    compute(Request::new(op, data.to_vec())).expect("a valid request")
}

/// Runs a digest or MAC and checks that it leaves its input alone.
fn assert_digest(op: Op, data: &[u8], expected: &str) {
    let name = op.kind();
    let response = run(op, data);
    assert_eq!(response.digest(), Some(&hex(expected)[..]), "{name}");
    assert_eq!(response.tag(), None);
    assert_eq!(*response.data, data, "{name} changed its input");
}

/// Runs a cipher that has no output but the buffer.
fn assert_cipher(op: Op, data: &[u8], expected: &[u8]) {
    let name = format!("{op:?}");
    let response = run(op, data);
    assert_eq!(*response.data, expected, "{name}");
    assert_eq!((response.digest(), response.tag()), (None, None), "{name}");
}

/// FIPS 180-4's examples, as NIST's "Examples with Intermediate Values" gives them.
#[test]
fn sha256_of_fips_180() {
    for (data, expected) in [
        (
            &b""[..],
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            &[b'a'; 1_000_000],
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ),
    ] {
        assert_digest(Op::Sha256, data, expected);
    }
}

#[test]
fn sha512_of_fips_180() {
    for (data, expected) in [
        (
            &b""[..],
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce
             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
        ),
        (
            b"abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn\
              hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018
             501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
        ),
        (
            &[b'a'; 1_000_000],
            "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb
             de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b",
        ),
    ] {
        assert_digest(Op::Sha512, data, expected);
    }
}

/// RFC 4231, cases 1 to 4, 6 and 7; 6 and 7 have keys longer than the hash's block.
#[test]
fn hmac_sha256_of_rfc_4231() {
    let counting: Vec<u8> = (1..=25).collect();
    for (key, data, expected) in [
        (
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &counting,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size \
              data. The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ] {
        let key = Zeroizing::new(key.to_vec());
        assert_digest(Op::HmacSha256 { key }, data, expected);
    }
}

/// An empty key is a block of zeros (RFC 2104, section 2).
#[test]
fn hmac_sha256_of_an_empty_key() {
    for key in [Vec::new(), vec![0; 64]] {
        let key = Zeroizing::new(key);
        let expected = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert_digest(Op::HmacSha256 { key }, b"", expected);
    }
}

/// SP 800-38A, appendix F: the same four blocks and keys for every mode.
const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const KEY_256: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                     30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

/// SP 800-38A, F.5.1, F.5.2, F.5.5 and F.5.6.
#[test]
fn ctr_of_sp_800_38a() {
    for (aes, expected) in [
        (
            KEY_128,
            "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
             5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
        ),
        (
            KEY_256,
            "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
             2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
        ),
    ] {
        let op = Op::Ctr {
            key: key(aes),
            iv: hex_array("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        };
        assert_cipher(op.clone(), &hex(PLAIN), &hex(expected));
        assert_cipher(op, &hex(expected), &hex(PLAIN));
    }
}

/// SP 800-38A, F.2.1, F.2.2, F.2.5 and F.2.6.
#[test]
fn cbc_of_sp_800_38a() {
    let iv = hex_array("000102030405060708090a0b0c0d0e0f");
    for (aes, expected) in [
        (
            KEY_128,
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
             73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            KEY_256,
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
             39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        let encrypt = Op::CbcEncrypt {
            key: key(aes),
            iv,
            padding: Padding::None,
        };
        let decrypt = Op::CbcDecrypt {
            key: key(aes),
            iv,
            padding: Padding::None,
        };
        assert_cipher(encrypt, &hex(PLAIN), &hex(expected));
        assert_cipher(decrypt, &hex(expected), &hex(PLAIN));
    }
}

/// One of the test cases of "The Galois/Counter Mode of Operation" (McGrew and Viega).
struct Gcm {
    key: &'static str,
    nonce: &'static str,
    aad: &'static str,
    plain: &'static str,
    sealed: &'static str,
    tag: &'static str,
}

const GCM_KEY_256: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const GCM_KEY_128: &str = "feffe9928665731c6d6a8f9467308308";
const GCM_NONCE: &str = "cafebabefacedbaddecaf888";
const GCM_AAD: &str = "feedfacedeadbeeffeedfacedeadbeef abaddad2";
const GCM_PLAIN_60: &str = "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
                            1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39";
const GCM_PLAIN_64: &str = "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
                            1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b391aafd255";
const ZEROS_12: &str = "000000000000000000000000";
const ZEROS_16: &str = "00000000000000000000000000000000";
const ZEROS_32: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Test cases 1 to 4 (AES-128) and 13 to 16 (AES-256): all that have 96-bit nonces.
const GCM: [Gcm; 8] = [
    Gcm {
        key: ZEROS_16,
        nonce: ZEROS_12,
        aad: "",
        plain: "",
        sealed: "",
        tag: "58e2fccefa7e3061367f1d57a4e7455a",
    },
    Gcm {
        key: ZEROS_16,
        nonce: ZEROS_12,
        aad: "",
        plain: ZEROS_16,
        sealed: "0388dace60b6a392f328c2b971b2fe78",
        tag: "ab6e47d42cec13bdf53a67b21257bddf",
    },
    Gcm {
        key: GCM_KEY_128,
        nonce: GCM_NONCE,
        aad: "",
        plain: GCM_PLAIN_64,
        sealed: "42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e
                 21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091473f5985",
        tag: "4d5c2af327cd64a62cf35abd2ba6fab4",
    },
    Gcm {
        key: GCM_KEY_128,
        nonce: GCM_NONCE,
        aad: GCM_AAD,
        plain: GCM_PLAIN_60,
        sealed: "42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e
                 21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091",
        tag: "5bc94fbc3221a5db94fae95ae7121a47",
    },
    Gcm {
        key: ZEROS_32,
        nonce: ZEROS_12,
        aad: "",
        plain: "",
        sealed: "",
        tag: "530f8afbc74536b9a963b4f1c4cb738b",
    },
    Gcm {
        key: ZEROS_32,
        nonce: ZEROS_12,
        aad: "",
        plain: ZEROS_16,
        sealed: "cea7403d4d606b6e074ec5d3baf39d18",
        tag: "d0d1c8a799996bf0265b98b5d48ab919",
    },
    Gcm {
        key: GCM_KEY_256,
        nonce: GCM_NONCE,
        aad: "",
        plain: GCM_PLAIN_64,
        sealed: "522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
                 8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662898015ad",
        tag: "b094dac5d93471bdec1a502270e3cc6c",
    },
    Gcm {
        key: GCM_KEY_256,
        nonce: GCM_NONCE,
        aad: GCM_AAD,
        plain: GCM_PLAIN_60,
        sealed: "522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
                 8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
];

#[test]
fn gcm_of_its_specification() {
    for case in GCM {
        let seal = Op::GcmSeal {
            key: key(case.key),
            nonce: hex_array(case.nonce),
            aad: hex(case.aad),
        };
        let sealed = run(seal, &hex(case.plain));
        assert_eq!(*sealed.data, hex(case.sealed), "tag {}", case.tag);
        assert_eq!(sealed.tag(), Some(hex_array(case.tag)));
        assert_eq!(sealed.digest(), None);

        let open = Op::GcmOpen {
            key: key(case.key),
            nonce: hex_array(case.nonce),
            aad: hex(case.aad),
            tag: hex_array(case.tag),
        };
        assert_cipher(open, &hex(case.sealed), &hex(case.plain));
    }
}
