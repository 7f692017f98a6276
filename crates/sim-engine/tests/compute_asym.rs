//! Operations with private keys: known answers, both sides of each, and what is refused.

#[path = "common/asym.rs"]
mod asym;

use asym::{DECRYPT, KEYS, RSA, SIGN, decrypt, key, public, result, sign, signing, signing_key};
use offload::{Failure, FailureKind, KeyKind, Op, OpKind, PrivateKey, Request, RsaSignPadding};
use proptest::collection::vec;
use proptest::prelude::*;
use sim_engine::compute::{PublicKey, compute, generate_key};

fn hex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// PKCS#8 of an X25519 key.
fn x25519(bytes: &str) -> PrivateKey {
    let der = [hex("302e020100300506032b656e04220420"), hex(bytes)].concat();
    PrivateKey::from_pkcs8(&der).expect("it has the form")
}

/// PKCS#8 of a P-256 key of this number, without its point.
fn p256(number: &str) -> PrivateKey {
    let head = hex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420");
    PrivateKey::from_pkcs8(&[head, hex(number)].concat()).expect("it has the form")
}

/// Why a request is refused; it comes back as it was.
fn refusal(op: Op, data: &[u8]) -> &'static str {
    let shown = format!("{op:?}");
    let failure = compute(Request::new(op, data.to_vec()).with_id(7)).expect_err("a bad request");
    let Failure { kind, request } = failure;
    let request = request.expect("the request comes back");
    assert_eq!((format!("{:?}", request.op), request.id), (shown, 7));
    assert_eq!(*request.data, data, "the data was changed");
    match kind {
        FailureKind::BadRequest { reason } => reason,
        other => panic!("not a bad request: {other}"),
    }
}

/// RFC 7748, sections 5.2 and 6.1.
#[test]
fn x25519_is_that_of_the_rfc() {
    let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
    let alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
    let bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    for (private, peer, expected) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (alice, bob_public, shared),
        (bob, alice_public, shared),
    ] {
        let key = x25519(private);
        assert_eq!(result(Op::Derive { key }, &hex(peer)), hex(expected));
    }
    assert_eq!(public(&x25519(alice)).as_bytes(), hex(alice_public));
    assert_eq!(public(&x25519(bob)).as_bytes(), hex(bob_public));
}

/// NIST CAVP, ECC CDH primitive, P-256, count 0.
#[test]
fn p256_is_that_of_nist() {
    let key = p256("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534");
    let peer = "04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287\
                db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac";
    let ours = "04ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230\
                28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141";
    let shared = "46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b";
    assert_eq!(public(&key).as_bytes(), hex(ours));
    assert_eq!(result(Op::Derive { key }, &hex(peer)), hex(shared));
}

/// What `openssl` made with the key in `asym/`: `dgst -sha256 -sign`, and `pkeyutl -encrypt` with
/// `rsa_padding_mode:oaep` and each hash.
#[test]
fn rsa_is_that_of_openssl() {
    let key = include_bytes!("asym/rsa2048.pk8");
    let key = PrivateKey::from_pkcs8(key).expect("it has the form");
    let message = b"A message to be signed.";
    let theirs = include_bytes!("asym/rsa2048.sha256.sig");
    assert_eq!(
        result(sign(&key, RsaSignPadding::Pkcs1Sha256), message),
        theirs
    );
    assert!(public(&key).verifies(&sign(&key, RsaSignPadding::Pkcs1Sha256), message, theirs));

    let sha1 = include_bytes!("asym/rsa2048.oaep-sha1.enc");
    let sha256 = include_bytes!("asym/rsa2048.oaep-sha256.enc");
    let [one, other] = DECRYPT;
    assert_eq!(result(decrypt(&key, one), sha1), b"A plaintext.");
    assert_eq!(result(decrypt(&key, other), sha256), b"A plaintext.");
    // The hash is part of the padding.
    assert_eq!(
        refusal(decrypt(&key, one), sha256),
        refusal(decrypt(&key, other), sha1)
    );
}

/// RFC 6979, appendix A.2.5: what verifies does so for the published signature too.
#[test]
fn ecdsa_verifies_that_of_the_rfc() {
    let key = p256("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let signature = hex(
        "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    );
    let (public, op) = (public(&key), Op::EcdsaSign { key });
    assert!(public.verifies(&op, b"sample", &signature));
    assert!(!public.verifies(&op, b"samples", &signature));
}

#[test]
fn messages_of_any_length_are_signed() {
    for op in signing() {
        let public = public(signing_key(&op));
        for len in [0, 1, 31, 32, 64, 511, 512, 513, 100_000] {
            let message = vec![len as u8; len];
            let signature = result(op.clone(), &message);
            assert!(public.verifies(&op, &message, &signature), "{op:?}, {len}");
            let most = match op.kind() {
                OpKind::EcdsaP256Sign => 72,
                OpKind::EcdsaP384Sign => 104,
                kind => kind
                    .key_kind()
                    .and_then(KeyKind::rsa_modulus_bytes)
                    .expect("RSA"),
            };
            assert!(signature.len() <= most, "{op:?}: {} bytes", signature.len());
        }
    }
}

#[test]
fn only_pkcs1_signs_twice_the_same() {
    for op in signing() {
        let same = result(op.clone(), b"message") == result(op.clone(), b"message");
        let deterministic = matches!(
            op,
            Op::RsaSign {
                padding: RsaSignPadding::Pkcs1Sha256,
                ..
            }
        );
        assert_eq!(same, deterministic, "{op:?}");
    }
}

/// Each verifies what it signed itself, and what it signed of that message.
#[test]
fn a_signature_is_of_one_message_one_key_and_one_operation() {
    let ops = signing();
    for op in &ops {
        let signature = result(op.clone(), b"message");
        for other in &ops {
            let public = public(signing_key(other));
            let own = format!("{op:?}") == format!("{other:?}") && same_padding(op, other);
            assert_eq!(
                public.verifies(other, b"message", &signature),
                own,
                "{op:?} {other:?}"
            );
            assert!(
                !public.verifies(other, b"massage", &signature),
                "{op:?} {other:?}"
            );
        }
        let derive = Op::Derive {
            key: key(KeyKind::P256),
        };
        assert!(!public(signing_key(op)).verifies(&derive, b"message", &signature));
    }
}

fn same_padding(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::RsaSign { padding: a, .. }, Op::RsaSign { padding: b, .. }) => a == b,
        _ => true,
    }
}

#[test]
fn what_is_encrypted_is_decrypted_up_to_the_longest() {
    for kind in RSA {
        let key = key(kind);
        let public = public(&key);
        let modulus = kind.rsa_modulus_bytes().expect("RSA");
        for (padding, overhead) in DECRYPT.into_iter().zip([42, 66]) {
            let most = modulus - overhead;
            for len in [0, 1, 48, most] {
                let plain = vec![0xa5; len];
                let cipher = public.encrypt(padding, &plain).expect("it fits");
                assert_eq!(cipher.len(), modulus);
                assert_eq!(
                    result(decrypt(&key, padding), &cipher),
                    plain,
                    "{kind}, {len}"
                );
            }
            let failure = public
                .encrypt(padding, &vec![0; most + 1])
                .expect_err("too long");
            assert!(failure.to_string().contains("less 42 bytes"), "{failure}");
        }
    }
    let failure = public(&key(KeyKind::P256))
        .encrypt(DECRYPT[0], b"")
        .expect_err("not RSA");
    assert!(failure.to_string().contains("not RSA"), "{failure}");
}

#[test]
fn every_other_ciphertext_is_refused_in_the_same_words() {
    let key = key(KeyKind::Rsa2048);
    let public = public(&key);
    for padding in DECRYPT {
        let cipher = public.encrypt(padding, b"plain").expect("it fits");
        let length = "an RSA ciphertext is as long as the key's modulus";
        let longer = [&cipher[..], &[0]].concat();
        for data in [
            &cipher[..255],
            &cipher[1..],
            &cipher[..0],
            &longer,
            &[0; 384],
        ] {
            let reason = refusal(decrypt(&key, padding), data);
            assert!(reason.starts_with(length), "{reason}");
        }
        let mut reasons = Vec::new();
        for at in [0, 1, 100, 255] {
            let mut altered = cipher.clone();
            altered[at] ^= 1;
            reasons.push(refusal(decrypt(&key, padding), &altered));
        }
        // Numbers above the modulus, and ones that decrypt to themselves.
        reasons.push(refusal(decrypt(&key, padding), &[0xff; 256]));
        reasons.push(refusal(decrypt(&key, padding), &[0; 256]));
        let mut one = [0; 256];
        one[255] = 1;
        reasons.push(refusal(decrypt(&key, padding), &one));
        // Another key's.
        let stranger = generate_key(KeyKind::Rsa2048).expect("a key");
        reasons.push(refusal(decrypt(&stranger, padding), &cipher));
        assert!(
            reasons
                .iter()
                .all(|r| r.contains("does not decrypt; check")),
            "{reasons:?}"
        );
        reasons.dedup();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused_with_the_right_ones() {
    for kind in KeyKind::ALL {
        let key = key(kind);
        let rsa = kind.rsa_modulus_bytes().is_some();
        let curve = matches!(kind, KeyKind::P256 | KeyKind::P384);
        let agrees = matches!(kind, KeyKind::P256 | KeyKind::X25519);
        let ecdsa = Op::EcdsaSign { key: key.clone() };
        let derive = Op::Derive { key: key.clone() };
        for (op, takes, right) in [
            (
                sign(&key, SIGN[0]),
                rsa,
                "give one of RSA with 2048, 3072 or 4096 bits",
            ),
            (
                sign(&key, SIGN[1]),
                rsa,
                "give one of RSA with 2048, 3072 or 4096 bits",
            ),
            (
                decrypt(&key, DECRYPT[0]),
                rsa,
                "give one of RSA with 2048, 3072 or 4096 bits",
            ),
            (ecdsa, curve, "give one of P-256 or P-384"),
            (derive, agrees, "give one of X25519 or P-256"),
        ] {
            if !takes {
                let reason = refusal(op, &[4; 65]);
                assert!(reason.ends_with(right), "{kind}: {reason}");
            }
        }
    }
}

#[test]
fn a_peers_key_that_is_none_is_refused() {
    let x25519 = Op::Derive {
        key: key(KeyKind::X25519),
    };
    for len in [0, 31, 33, 65] {
        let reason = refusal(x25519.clone(), &vec![9; len]);
        assert!(reason.contains("32 bytes"), "{reason}");
    }
    // Points of small order (RFC 7748, section 6.1): the secret would be known to everybody.
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one] {
        let reason = refusal(x25519.clone(), &point);
        assert!(reason.contains("small order"), "{reason}");
    }

    let ours = key(KeyKind::P256);
    let good = public(&ours).as_bytes().to_vec();
    let p256 = Op::Derive { key: ours };
    let compressed = [&[2 + (good[64] & 1)], &good[1..33]].concat();
    let hybrid = [&[6 + (good[64] & 1)], &good[1..]].concat();
    let longer = [&good[..], &[0]].concat();
    for data in [
        &good[..64],
        &good[1..],
        &longer,
        &compressed,
        &hybrid,
        &[],
        &[0],
    ] {
        let reason = refusal(p256.clone(), data);
        assert!(
            reason.contains("65 bytes, an uncompressed point"),
            "{reason}"
        );
    }
    let mut beside = good.clone();
    beside[64] ^= 1;
    let infinity = [&[4][..], &[0; 64]].concat();
    let above = [&[4][..], &[0xff; 64]].concat();
    for data in [beside, infinity, above] {
        let reason = refusal(p256.clone(), &data);
        assert!(reason.contains("no point of the curve"), "{reason}");
    }
}

/// The form of a key, with numbers that are none.
#[test]
fn numbers_that_are_no_key_are_refused_when_they_are_used() {
    let zero = "00".repeat(32);
    let too_large = "ff".repeat(32);
    for number in [&zero, &too_large] {
        let key = p256(number);
        for op in [
            Op::EcdsaSign { key: key.clone() },
            Op::Derive { key: key.clone() },
        ] {
            let peer = public(&self::key(KeyKind::P256));
            let reason = refusal(op, peer.as_bytes());
            assert!(reason.contains("numbers are not a key"), "{reason}");
        }
        assert!(PublicKey::of(&key).is_err());
    }
    // A bit of each of an RSA key's larger numbers flipped: in the modulus, in the exponent, in a
    // prime, in what speeds the operation up.
    let good = include_bytes!("asym/rsa2048.pk8");
    for at in [200, 400, 700, 850, 950, 1100, 1200] {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        let key = PrivateKey::from_pkcs8(&bad).expect("it has the form");
        for op in [sign(&key, SIGN[0]), decrypt(&key, DECRYPT[0])] {
            let reason = refusal(op, &[0; 256]);
            assert!(
                reason.contains("numbers are not a key"),
                "byte {at}: {reason}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_verifies(message in vec(any::<u8>(), 0..2000), bit in 0..512_usize) {
        for key in [key(KeyKind::P256), key(KeyKind::P384)] {
            let (public, op) = (public(&key), Op::EcdsaSign { key });
            let mut signature = result(op.clone(), &message);
            prop_assert!(public.verifies(&op, &message, &signature));
            let at = bit % (signature.len() * 8);
            signature[at / 8] ^= 1 << (at % 8);
            prop_assert!(!public.verifies(&op, &message, &signature), "bit {}", at);
        }
    }

    #[test]
    fn both_sides_derive_the_same(kind in prop_oneof![Just(KeyKind::P256), Just(KeyKind::X25519)]) {
        let [alice, bob] = [(); 2].map(|()| generate_key(kind).expect("a key"));
        let [for_bob, for_alice] = [&alice, &bob].map(|key| public(key).as_bytes().to_vec());
        prop_assert_ne!(&for_bob, &for_alice);
        let ours = result(Op::Derive { key: alice }, &for_alice);
        prop_assert_eq!(ours.len(), 32);
        prop_assert_eq!(ours, result(Op::Derive { key: bob }, &for_bob));
    }

    /// Whatever is in the data, the request fails with it unchanged or succeeds.
    #[test]
    fn any_data_is_taken_or_refused(data in vec(any::<u8>(), 0..600), cut in 0..600_usize) {
        for key in KEYS.iter().filter(|key| key.kind() != KeyKind::Rsa4096) {
            for op in [
                decrypt(key, DECRYPT[1]),
                Op::Derive { key: key.clone() },
            ] {
                // Of the right length too.
                let right = op.kind().key_kind().and_then(KeyKind::rsa_modulus_bytes);
                for len in [data.len(), right.unwrap_or(32), 65, cut] {
                    let mut data = data.clone();
                    data.resize(len, 4);
                    if let Err(failure) = compute(Request::new(op.clone(), data.clone())) {
                        let request = failure.request.expect("it comes back");
                        prop_assert_eq!(&*request.data, &data);
                    }
                }
            }
        }
    }

    /// A key with bytes changed is refused, or used, or fails its operation: it never ends anything.
    #[test]
    fn any_bytes_are_a_key_or_are_refused(
        which in 0..6_usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut der = KEYS[which].pkcs8().to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut der) = byte;
        }
        if let Ok(key) = PrivateKey::from_pkcs8(&der) {
            let shown = format!("{key:?}");
            prop_assert!(shown.ends_with(", hidden)"), "{}", shown);
            for op in [
                sign(&key, SIGN[0]),
                Op::EcdsaSign { key: key.clone() },
                Op::Derive { key: key.clone() },
            ] {
                if let Err(failure) = compute(Request::new(op, vec![9; 32])) {
                    let bad = matches!(failure.kind, FailureKind::BadRequest { .. });
                    prop_assert!(bad, "{}", failure);
                }
            }
        }
    }
}
