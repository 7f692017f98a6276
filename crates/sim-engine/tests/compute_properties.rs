//! What holds of `compute` for every request, and what it refuses.

use offload::{AesKey, Failure, FailureKind, MAX_DATA_BYTES, Op, OpKind, Padding, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use sim_engine::compute::{compute, supports};
use zeroize::Zeroizing;

fn any_key() -> impl Strategy<Value = AesKey> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(AesKey::from),
        any::<[u8; 32]>().prop_map(AesKey::from),
    ]
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..5000)
}

/// Every operation that can succeed on any data at all.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Nop),
        Just(Op::Sha256),
        Just(Op::Sha512),
        vec(any::<u8>(), 0..200).prop_map(|key| Op::HmacSha256 {
            key: Zeroizing::new(key)
        }),
        (any_key(), any::<[u8; 16]>()).prop_map(|(key, iv)| Op::Ctr { key, iv }),
        (any_key(), any::<[u8; 12]>(), vec(any::<u8>(), 0..100))
            .prop_map(|(key, nonce, aad)| Op::GcmSeal { key, nonce, aad }),
        (any_key(), any::<[u8; 16]>()).prop_map(|(key, iv)| Op::CbcEncrypt {
            key,
            iv,
            padding: Padding::Pkcs7
        }),
    ]
}

/// The buffer of a request that succeeds.
fn transformed(op: Op, data: Vec<u8>) -> Vec<u8> {
    let mut response = compute(Request::new(op, data)).expect("a valid request");
    std::mem::take(&mut *response.data)
}

/// The kind of a failure whose request came back with `data` and `id` in it, and with its `op`.
fn refused(op: Op, data: &[u8]) -> FailureKind {
    let expected = format!("{op:?}");
    let failure = compute(Request::new(op, data.to_vec()).with_id(7)).expect_err("a bad request");
    let Failure { kind, request } = failure;
    let request = request.expect("the request comes back");
    assert_eq!(format!("{:?}", request.op), expected);
    assert_eq!(request.id, 7);
    assert_eq!(*request.data, data, "the data was changed");
    kind
}

fn reason(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::BadRequest { reason } => reason,
        other => panic!("not a bad request: {other}"),
    }
}

#[test]
fn every_operation_is_supported() {
    assert!(OpKind::ALL.into_iter().all(supports));
}

proptest! {
    #[test]
    fn nop_and_digests_leave_the_data_alone(data in any_data(), key in vec(any::<u8>(), 0..200)) {
        let key = Zeroizing::new(key);
        for op in [Op::Nop, Op::Sha256, Op::Sha512, Op::HmacSha256 { key }] {
            prop_assert_eq!(transformed(op, data.clone()), data.clone());
        }
    }

    #[test]
    fn the_same_request_gives_the_same_response(op in any_op(), data in any_data()) {
        let once = compute(Request::new(op.clone(), data.clone())).expect("a valid request");
        let again = compute(Request::new(op, data).with_id(1)).expect("a valid request");
        prop_assert_eq!(once.data, again.data);
        prop_assert_eq!(once.output, again.output);
    }

    #[test]
    fn ctr_undoes_itself(key in any_key(), iv: [u8; 16], data in any_data()) {
        let op = Op::Ctr { key, iv };
        let there = transformed(op.clone(), data.clone());
        prop_assert_eq!(there.len(), data.len());
        prop_assert_eq!(transformed(op, there), data);
    }

    /// A stream is one stream wherever it is cut: the counter goes on, through its wrap too.
    #[test]
    fn ctr_can_be_cut_between_blocks(
        key in any_key(),
        before_wrap in 0..400_u64,
        high in prop_oneof![Just(u64::MAX), any::<u64>()],
        data in any_data(),
        cut in 0..300_usize,
    ) {
        let first = u128::from(high) << 64 | u128::from(u64::MAX - before_wrap);
        let at = |block: u128, data: &[u8]| {
            let iv = first.wrapping_add(block).to_be_bytes();
            transformed(Op::Ctr { key: key.clone(), iv }, data.to_vec())
        };
        let cut = cut.min(data.len() / 16);
        let (head, tail) = data.split_at(cut * 16);
        let pieces = [at(0, head), at(cut as u128, tail)].concat();
        prop_assert_eq!(pieces, at(0, &data));
    }

    #[test]
    fn gcm_opens_what_it_sealed(
        key in any_key(),
        nonce: [u8; 12],
        aad in vec(any::<u8>(), 0..100),
        data in any_data(),
    ) {
        let seal = Op::GcmSeal { key: key.clone(), nonce, aad: aad.clone() };
        let sealed = compute(Request::new(seal, data.clone())).expect("a valid request");
        prop_assert_eq!(sealed.data.len(), data.len());
        let tag = sealed.tag().expect("a tag");
        let open = Op::GcmOpen { key, nonce, aad, tag };
        prop_assert_eq!(transformed(open, sealed.data.to_vec()), data);
    }

    /// One flipped bit, in the tag, the ciphertext, the nonce or the associated data, is seen.
    #[test]
    fn gcm_refuses_what_was_tampered_with(
        key in any_key(),
        nonce: [u8; 12],
        aad in vec(any::<u8>(), 1..100),
        data in vec(any::<u8>(), 1..1000),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let flip = |bytes: &mut [u8]| bytes[place.index(bytes.len())] ^= 1 << bit;
        let seal = Op::GcmSeal { key: key.clone(), nonce, aad: aad.clone() };
        let sealed = compute(Request::new(seal, data)).expect("a valid request");
        let tag = sealed.tag().expect("a tag");

        for part in 0..4 {
            let (mut data, mut nonce, mut aad, mut tag) =
                (sealed.data.to_vec(), nonce, aad.clone(), tag);
            match part {
                0 => flip(&mut data),
                1 => flip(&mut nonce),
                2 => flip(&mut aad),
                _ => flip(&mut tag),
            }
            let open = Op::GcmOpen { key: key.clone(), nonce, aad, tag };
            prop_assert_eq!(refused(open, &data), FailureKind::Verify);
        }
    }

    #[test]
    fn cbc_undoes_itself(key in any_key(), iv: [u8; 16], data in any_data()) {
        let padding = Padding::Pkcs7;
        let there = transformed(Op::CbcEncrypt { key: key.clone(), iv, padding }, data.clone());
        prop_assert_eq!(there.len(), (data.len() / 16 + 1) * 16);
        let back = Op::CbcDecrypt { key: key.clone(), iv, padding };
        prop_assert_eq!(transformed(back, there), data.clone());

        let padding = Padding::None;
        let whole = &data[..data.len() / 16 * 16];
        let there = transformed(Op::CbcEncrypt { key: key.clone(), iv, padding }, whole.to_vec());
        prop_assert_eq!(there.len(), whole.len());
        prop_assert_eq!(transformed(Op::CbcDecrypt { key, iv, padding }, there), whole);
    }

    #[test]
    fn cbc_refuses_data_that_is_not_whole_blocks(
        key in any_key(),
        iv: [u8; 16],
        blocks in 0..20_usize,
        odd in 1..16_usize,
    ) {
        let data = vec![0x5a; blocks * 16 + odd];
        let encrypt = Op::CbcEncrypt { key: key.clone(), iv, padding: Padding::None };
        prop_assert!(reason(refused(encrypt, &data)).contains("multiple of 16 bytes"));
        for padding in [Padding::None, Padding::Pkcs7] {
            let decrypt = Op::CbcDecrypt { key: key.clone(), iv, padding };
            prop_assert!(reason(refused(decrypt, &data)).contains("multiple of 16 bytes"));
        }
    }

    /// Blocks that end in no padding, encrypted without any: whatever is wrong with it, the reason
    /// is the same and the ciphertext comes back as it went.
    #[test]
    fn cbc_hands_badly_padded_data_back(
        key in any_key(),
        iv: [u8; 16],
        blocks in 1..20_usize,
        last in prop_oneof![Just([0; 16]), Just([17; 16]), Just([0xff; 16]), wrong_padding()],
    ) {
        let mut plain = vec![0x5a; blocks * 16];
        plain[(blocks - 1) * 16..].copy_from_slice(&last);
        let encrypt = Op::CbcEncrypt { key: key.clone(), iv, padding: Padding::None };
        let data = transformed(encrypt, plain);
        let decrypt = Op::CbcDecrypt { key, iv, padding: Padding::Pkcs7 };
        let reason = reason(refused(decrypt, &data));
        prop_assert_eq!(reason, "bad PKCS#7 padding; check key, IV and ciphertext");
    }
}

/// Padding of 2 to 16 bytes of which one is wrong, but not the last, which says how many.
fn wrong_padding() -> impl Strategy<Value = [u8; 16]> {
    (2..=16_u8, any::<prop::sample::Index>(), 1..=u8::MAX).prop_map(|(len, place, difference)| {
        let mut block = [0xaa; 16];
        let padding = &mut block[16 - usize::from(len)..];
        padding.fill(len);
        padding[place.index(usize::from(len) - 1)] ^= difference;
        block
    })
}

#[test]
fn padded_cbc_refuses_no_data_at_all() {
    let decrypt = Op::CbcDecrypt {
        key: AesKey::from([1; 16]),
        iv: [2; 16],
        padding: Padding::Pkcs7,
    };
    assert!(reason(refused(decrypt, b"")).contains("at least one block"));
}

/// Asks for `op` on `len` zeros and returns the reason of its refusal. The buffer is taken out
/// before it is wiped: untouched zero pages cost nothing, wiping them would take a gigabyte.
fn refused_for_length(op: Op, len: usize) -> &'static str {
    let failure = compute(Request::new(op, vec![0; len])).expect_err("too long");
    let mut request = failure.request.expect("the request comes back");
    assert_eq!(std::mem::take(&mut *request.data).len(), len);
    if let Op::HmacSha256 { key } = &mut request.op {
        drop(std::mem::take(&mut **key)); // as the data
    }
    reason(failure.kind)
}

#[test]
fn more_than_the_contract_allows_is_refused() {
    let key = AesKey::from([1; 32]);
    for op in [
        Op::Nop,
        Op::Sha256,
        Op::Ctr {
            key: key.clone(),
            iv: [2; 16],
        },
        Op::GcmSeal {
            key: key.clone(),
            nonce: [3; 12],
            aad: Vec::new(),
        },
    ] {
        let reason = refused_for_length(op, MAX_DATA_BYTES + 1);
        assert!(reason.starts_with("more than 1 GiB of data;"), "{reason}");
    }

    let padded = Op::CbcEncrypt {
        key: key.clone(),
        iv: [2; 16],
        padding: Padding::Pkcs7,
    };
    let reason = refused_for_length(padded, MAX_DATA_BYTES);
    assert!(reason.contains("once it is padded"), "{reason}");

    let sealed = Op::GcmSeal {
        key,
        nonce: [3; 12],
        aad: vec![0; MAX_DATA_BYTES + 1],
    };
    let reason = refused_for_length(sealed, 0);
    assert!(reason.contains("associated data"), "{reason}");

    let keyed = Op::HmacSha256 {
        key: Zeroizing::new(vec![0; MAX_DATA_BYTES + 1]),
    };
    let reason = refused_for_length(keyed, 0);
    assert!(reason.contains("HMAC key"), "{reason}");

    // The largest buffer there may be is not too large.
    let response = compute(Request::new(Op::Nop, vec![0; MAX_DATA_BYTES]));
    let mut response = response.expect("as long as the contract allows");
    drop(std::mem::take(&mut *response.data)); // unwiped, as above
}
