//! Payload for operations with private keys.

use offload::{Op, OpKind, Request, RsaDecryptPadding, RsaSignPadding};
use rand_core::Rng;
use sim_engine::compute::{PublicKey, compute, generate_key};

use super::{Case, Expected, PayloadError};

/// The most different inputs: each costs an operation before the run, and RSA's are milliseconds.
pub(super) const INPUTS_MAX: usize = 16;
/// What is encrypted to be decrypted: as much as TLS encrypts with RSA, and room in any key.
const PLAINTEXT_BYTES: usize = 48;

/// An operation with a fresh key, its inputs and what must come of them.
pub(super) struct Plan {
    pub(super) op: Op,
    pub(super) public: PublicKey,
    pub(super) cases: Vec<Case>,
}

/// How long each input is where the operation decides that, and not who asks for it: a ciphertext,
/// or a peer's public key.
pub(super) fn input_bytes(kind: OpKind) -> Option<usize> {
    match kind {
        OpKind::Rsa2048Decrypt | OpKind::Rsa3072Decrypt | OpKind::Rsa4096Decrypt => {
            kind.key_kind()?.rsa_modulus_bytes()
        }
        OpKind::X25519Derive => Some(32),
        OpKind::P256Derive => Some(65),
        _ => None,
    }
}

/// The plan for `kind`, which is asymmetric; what is signed is `messages`.
pub(super) fn plan(
    kind: OpKind,
    messages: Vec<Vec<u8>>,
    rng: &mut impl Rng,
) -> Result<Option<Plan>, PayloadError> {
    let Some(key_kind) = kind.key_kind() else {
        return Ok(None);
    };
    let key = generate_key(key_kind)?;
    let public = PublicKey::of(&key)?;
    let op = match kind {
        OpKind::Rsa2048Sign | OpKind::Rsa3072Sign | OpKind::Rsa4096Sign => Op::RsaSign {
            key,
            padding: RsaSignPadding::Pkcs1Sha256,
        },
        OpKind::Rsa2048Decrypt | OpKind::Rsa3072Decrypt | OpKind::Rsa4096Decrypt => {
            Op::RsaDecrypt {
                key,
                padding: RsaDecryptPadding::OaepSha256,
            }
        }
        OpKind::EcdsaP256Sign | OpKind::EcdsaP384Sign => Op::EcdsaSign { key },
        OpKind::X25519Derive | OpKind::P256Derive => Op::Derive { key },
        // What this version does not know.
        _ => return Ok(None),
    };
    let cases = match &op {
        Op::RsaDecrypt { padding, .. } => (0..INPUTS_MAX)
            .map(|_| {
                let mut plaintext = vec![0; PLAINTEXT_BYTES];
                rng.fill_bytes(&mut plaintext);
                let input = public.encrypt(*padding, &plaintext)?;
                Ok(Case::becomes(input, plaintext))
            })
            .collect::<Result<_, PayloadError>>()?,
        // The secret as the peer derives it.
        Op::Derive { .. } => (0..INPUTS_MAX)
            .map(|_| {
                let key = generate_key(key_kind)?;
                let input = PublicKey::of(&key)?.as_bytes().to_vec();
                let request = Request::new(Op::Derive { key }, public.as_bytes().to_vec());
                let secret = compute(request)?.data;
                Ok(Case::becomes(input, secret.to_vec()))
            })
            .collect::<Result<_, PayloadError>>()?,
        Op::RsaSign { .. } => messages
            .into_iter()
            .map(|input| {
                let signature = compute(Request::new(op.clone(), input.clone()))?.data;
                Ok(Case::becomes(input, signature.to_vec()))
            })
            .collect::<Result<_, PayloadError>>()?,
        _ => messages
            .into_iter()
            .map(|input| Case {
                input,
                expected: Expected::Signature,
            })
            .collect(),
    };
    Ok(Some(Plan { op, public, cases }))
}
