//! Private keys: what is taken for one, what is shared, and what is never shown.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use offload::{
    BadKey, KeyKind, Op, OpKind, PrivateKey, Request, RsaDecryptPadding, RsaSignPadding,
};

/// A DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut element = match len {
        0..=127 => vec![tag, len as u8],
        128..=255 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    element.extend_from_slice(content);
    element
}

/// PKCS#8 of an algorithm, with what is in it.
fn pkcs8(algorithm: &[&[u8]], private: &[u8]) -> Vec<u8> {
    let parts = [
        der(2, &[0]),
        der(0x30, &algorithm.concat()),
        der(4, private),
    ];
    der(0x30, &parts.concat())
}

const RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x22];
const P521: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x23];
const X25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x6e];
const ED25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x70];

/// Something of the form of an RSA key, whose modulus has `bits` bits.
fn rsa(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0xab; bits.div_ceil(8)];
    let spare = modulus.len() * 8 - bits;
    modulus[0] = 0xff >> spare;
    if spare == 0 {
        modulus.insert(0, 0); // or it would be negative
    }
    let numbers = [der(2, &[0]), der(2, &modulus), der(2, &[1, 0, 1])];
    pkcs8(&[&RSA, &[5, 0]], &der(0x30, &numbers.concat()))
}

fn ec(curve: &[u8]) -> Vec<u8> {
    let numbers = [der(2, &[1]), der(4, &[0x5e; 32])];
    pkcs8(&[&EC, curve], &der(0x30, &numbers.concat()))
}

fn x25519(bytes: &[u8]) -> Vec<u8> {
    pkcs8(&[&X25519], &der(4, bytes))
}

fn all() -> [(KeyKind, Vec<u8>); 6] {
    [
        (KeyKind::Rsa2048, rsa(2048)),
        (KeyKind::Rsa3072, rsa(3072)),
        (KeyKind::Rsa4096, rsa(4096)),
        (KeyKind::P256, ec(&P256)),
        (KeyKind::P384, ec(&P384)),
        (KeyKind::X25519, x25519(&[0x5e; 32])),
    ]
}

fn key(der: &[u8]) -> PrivateKey {
    PrivateKey::from_pkcs8(der).expect("it has the form")
}

fn refused(der: &[u8]) -> BadKey {
    PrivateKey::from_pkcs8(der).expect_err("not a key that is taken")
}

#[test]
fn a_key_knows_what_it_is_for() {
    for (at, (kind, der)) in all().into_iter().enumerate() {
        let key = key(&der);
        assert_eq!(key.kind(), kind);
        assert_eq!(KeyKind::ALL[at], kind);
        assert_eq!(key.pkcs8(), der);
        let bare = (kind == KeyKind::X25519).then_some(&[0x5e; 32]);
        assert_eq!(key.x25519(), bare);
    }
}

#[test]
fn what_is_not_a_key_is_refused_with_what_would_be_right() {
    for (kind, der) in all() {
        for len in 0..der.len() {
            assert_eq!(
                refused(&der[..len]),
                BadKey::NotPkcs8,
                "{kind}, cut at {len}"
            );
        }
        let longer = [&der[..], &[0]].concat();
        assert_eq!(refused(&longer), BadKey::NotPkcs8, "{kind}, one byte more");
    }
    for bits in [512, 1024, 2047, 2049, 2056, 3071, 4095, 4097, 8192] {
        assert_eq!(refused(&rsa(bits)), BadKey::RsaBits { bits });
    }
    for der in [
        ec(&P521),
        ec(&[]),
        ec(&[5, 0]),
        pkcs8(&[&ED25519], &der(4, &[1; 32])),
    ] {
        assert_eq!(refused(&der), BadKey::Algorithm);
    }
    for der in [
        x25519(&[1; 31]),
        x25519(&[1; 33]),
        pkcs8(&[&X25519], &[1; 32]),
        pkcs8(&[&RSA, &[5, 0]], &[]),
        pkcs8(&[&RSA, &[5, 0]], &der(0x30, &[2, 1, 0])),
        pkcs8(&[&RSA, &[5, 0]], &der(0x30, &[2, 1, 0, 2, 1, 0x80])), // negative
    ] {
        assert_eq!(refused(&der), BadKey::NotPkcs8, "{der:02x?}");
    }
    // The key without its envelope, as `openssl rsa -traditional` writes it.
    let numbers = [der(2, &[0]), der(2, &[1; 256]), der(2, &[1, 0, 1])];
    assert_eq!(refused(&der(0x30, &numbers.concat())), BadKey::NotPkcs8);

    assert!(
        BadKey::NotPkcs8
            .to_string()
            .contains("openssl pkcs8 -topk8 -nocrypt")
    );
    assert!(
        BadKey::Algorithm
            .to_string()
            .contains("RSA, P-256, P-384 or X25519")
    );
    let bits = BadKey::RsaBits { bits: 1024 }.to_string();
    assert_eq!(
        bits,
        "an RSA key of 1024 bits; give one of 2048, 3072 or 4096"
    );
}

#[test]
fn a_key_is_never_printed() {
    let key = key(&x25519(&[0xab; 32]));
    assert_eq!(format!("{key:?}"), "PrivateKey(x25519, hidden)");
    let op = Op::Derive { key };
    let request = Request::new(op, vec![0xcd; 32]);
    for shown in [
        format!("{:?}", request.op),
        format!("{request:?}"),
        format!("{request:#?}"),
        format!("{:?}", refused(&x25519(&[0xab; 31]))),
    ] {
        let shown = shown.to_lowercase();
        for secret in ["ab", "171", "cd", "205"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn an_operation_is_named_after_its_key() {
    let keys = all();
    let ops = |key: &PrivateKey| {
        let padding = RsaSignPadding::PssSha256;
        let sign = Op::RsaSign {
            key: key.clone(),
            padding,
        };
        let padding = RsaDecryptPadding::OaepSha1;
        let decrypt = Op::RsaDecrypt {
            key: key.clone(),
            padding,
        };
        let ecdsa = Op::EcdsaSign { key: key.clone() };
        let derive = Op::Derive { key: key.clone() };
        [sign, decrypt, ecdsa, derive].map(|op| op.kind())
    };
    // What an operation with this key is called, where it takes the key, and where it does not.
    use OpKind as K;
    let (sign, decrypt) = (K::Rsa2048Sign, K::Rsa2048Decrypt);
    let (ecdsa, derive) = (K::EcdsaP256Sign, K::P256Derive);
    let expected = [
        [K::Rsa2048Sign, K::Rsa2048Decrypt, ecdsa, derive],
        [K::Rsa3072Sign, K::Rsa3072Decrypt, ecdsa, derive],
        [K::Rsa4096Sign, K::Rsa4096Decrypt, ecdsa, derive],
        [sign, decrypt, K::EcdsaP256Sign, K::P256Derive],
        [sign, decrypt, K::EcdsaP384Sign, derive],
        [sign, decrypt, ecdsa, K::X25519Derive],
    ];
    for ((kind, der), expected) in keys.iter().zip(expected) {
        let key = key(der);
        assert_eq!(ops(&key), expected, "{kind}");
        // Those that take the key say so, and are the only ones.
        let taken = expected
            .into_iter()
            .filter(|op| op.key_kind() == Some(*kind));
        let takers = OpKind::ALL
            .into_iter()
            .filter(|op| op.key_kind() == Some(*kind));
        assert_eq!(
            taken.collect::<Vec<_>>(),
            takers.collect::<Vec<_>>(),
            "{kind}"
        );
    }
}

#[test]
fn asymmetric_operations_are_those_with_a_private_key() {
    let names: Vec<&str> = OpKind::ALL
        .into_iter()
        .filter(|kind| kind.is_asymmetric())
        .map(OpKind::name)
        .collect();
    assert_eq!(
        names.join(" "),
        "rsa2048-sign rsa3072-sign rsa4096-sign rsa2048-decrypt rsa3072-decrypt rsa4096-decrypt \
         ecdsa-p256-sign ecdsa-p384-sign x25519-derive p256-derive"
    );
    for (at, kind) in OpKind::ALL.into_iter().enumerate() {
        assert_eq!(OpKind::from_name(kind.name()), Some(kind));
        let first = OpKind::ALL.into_iter().position(|other| other == kind);
        assert_eq!(first, Some(at), "{kind} is listed twice");
        assert!(!kind.is_asymmetric() || kind.aes_key_bytes().is_none());
    }
}

#[test]
fn what_an_engine_made_of_a_key_is_shared_by_its_clones() {
    struct Parsed(usize);
    struct Other;

    let key = key(&x25519(&[1; 32]));
    let failed: Result<Arc<Parsed>, &str> = key.prepared(|_| Err("no"));
    assert_eq!(failed.err(), Some("no"), "what fails is not kept");

    let first = key.prepared(|key| Ok::<_, ()>(Parsed(key.pkcs8().len())));
    let first = first.expect("it did not fail");
    assert_eq!(first.0, key.pkcs8().len());
    let again = key
        .clone()
        .prepared(|_| -> Result<Parsed, ()> { panic!("it is there") });
    assert!(Arc::ptr_eq(&first, &again.expect("it is there")));

    // Another type lives beside it; another key has its own.
    let mut made = false;
    key.prepared(|_| {
        made = true;
        Ok::<_, ()>(Other)
    })
    .expect("it did not fail");
    assert!(made);
    let stranger = PrivateKey::from_pkcs8(key.pkcs8()).expect("as above");
    let theirs = stranger
        .prepared(|_| Ok::<_, ()>(Parsed(0)))
        .expect("it did not fail");
    assert_eq!(theirs.0, 0);

    // It goes with the last clone.
    let (weak, clone) = (Arc::downgrade(&first), key.clone());
    drop((first, key));
    assert!(weak.upgrade().is_some());
    drop(clone);
    assert!(weak.upgrade().is_none());
}

#[test]
fn threads_that_prepare_at_once_are_given_the_same() {
    let threads = 8;
    let (key, made) = (key(&x25519(&[1; 32])), AtomicUsize::new(0));
    let barrier = Barrier::new(threads);
    let all: Vec<Arc<usize>> = std::thread::scope(|scope| {
        let prepare = || {
            // All are in here at once: none can wait for another.
            key.prepared(|_| {
                barrier.wait();
                Ok::<_, ()>(made.fetch_add(1, Ordering::SeqCst))
            })
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(prepare)).collect();
        let join = handles.into_iter().map(|h| h.join().expect("no panic"));
        join.map(|made| made.expect("it did not fail")).collect()
    });
    assert_eq!(made.into_inner(), threads);
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
}
