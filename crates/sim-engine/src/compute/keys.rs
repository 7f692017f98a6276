//! Keys to try things with: private ones made, public ones taken out.

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaKeyPair, VerificationAlgorithm,
};
use offload::{BadKey, FailureKind, KeyKind, Op, PrivateKey, RsaDecryptPadding, RsaSignPadding};
use zeroize::Zeroizing;

use super::asym::{agreement_key, not_a_key};
use super::bad_request;

/// What PKCS#8 puts before the 32 bytes of an X25519 key (RFC 8410, section 7).
const X25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
];

/// A key could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {kind} key could be made; see whether the system is out of memory, and try again")]
pub struct NoKey {
    /// What kind of key.
    pub kind: KeyKind,
}

/// A fresh key of the system's randomness: another one each time.
///
/// It is a real key. One of a curve takes microseconds, one of RSA looks for primes: a tenth of a
/// second or so at 2048 bits, and several seconds if luck is out at 4096.
///
/// ```
/// use offload::{KeyKind, Op, Request};
/// use sim_engine::compute::{PublicKey, compute, generate_key};
///
/// let key = generate_key(KeyKind::P256)?;
/// let public = PublicKey::of(&key)?;
/// let op = Op::EcdsaSign { key };
/// let response = compute(Request::new(op.clone(), b"message".to_vec()))?;
/// assert!(public.verifies(&op, b"message", &response.data)); // the signature is in the buffer
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`NoKey`] if the library fails: out of memory, or a kind that this version does not know.
pub fn generate_key(kind: KeyKind) -> Result<PrivateKey, NoKey> {
    let key = match kind {
        KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
        KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
        KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
        KeyKind::P256 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::P384 => ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyKind::X25519 => x25519(),
        _ => None,
    };
    key.ok_or(NoKey { kind })?.map_err(|_| NoKey { kind })
}

type Made = Option<Result<PrivateKey, BadKey>>;

fn rsa(size: KeySize) -> Made {
    let pair = RsaKeyPair::generate(size).ok()?;
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).ok()?;
    Some(PrivateKey::from_pkcs8(der.as_ref()))
}

fn ec(algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> Made {
    let pair = EcdsaKeyPair::generate(algorithm).ok()?;
    let der = pair.to_pkcs8v1().ok()?;
    Some(PrivateKey::from_pkcs8(der.as_ref()))
}

fn x25519() -> Made {
    let key = agreement::PrivateKey::generate(&agreement::X25519).ok()?;
    let bytes: Curve25519SeedBin<'_> = key.as_be_bytes().ok()?;
    let mut der = Zeroizing::new([0; 48]);
    der[..16].copy_from_slice(&X25519_PREFIX);
    der[16..].copy_from_slice(bytes.as_ref().get(..32)?);
    Some(PrivateKey::from_pkcs8(&*der))
}

/// The public part of a [`PrivateKey`], and what the other side does with it: what shows that an
/// asymmetric operation was carried out right.
#[derive(Debug)]
pub struct PublicKey {
    bytes: Vec<u8>,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    Rsa {
        pkcs1: ParsedPublicKey,
        pss: ParsedPublicKey,
        encrypting: OaepPublicEncryptingKey,
    },
    Ecdsa(ParsedPublicKey),
    Peer,
}

impl PublicKey {
    /// The public part of `key`.
    ///
    /// # Errors
    ///
    /// [`FailureKind::BadRequest`] if the numbers in `key` are not a key.
    pub fn of(key: &PrivateKey) -> Result<PublicKey, FailureKind> {
        let parsed = |algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]| {
            ParsedPublicKey::new(algorithm, bytes).map_err(|_| not_a_key())
        };
        let (bytes, parts) = match key.kind() {
            KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => {
                let pair = RsaKeyPair::from_pkcs8(key.pkcs8()).map_err(|_| not_a_key())?;
                let der: PublicKeyX509Der<'_> =
                    pair.public_key().as_der().map_err(|_| not_a_key())?;
                let bytes = der.as_ref().to_vec();
                let encrypting = PublicEncryptingKey::from_der(&bytes).map_err(|_| not_a_key())?;
                let parts = Parts::Rsa {
                    pkcs1: parsed(&RSA_PKCS1_2048_8192_SHA256, &bytes)?,
                    pss: parsed(&RSA_PSS_2048_8192_SHA256, &bytes)?,
                    encrypting: OaepPublicEncryptingKey::new(encrypting)
                        .map_err(|_| not_a_key())?,
                };
                (bytes, parts)
            }
            kind @ (KeyKind::P256 | KeyKind::P384) => {
                let (signing, verifying) = if kind == KeyKind::P256 {
                    (&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1)
                } else {
                    (&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1)
                };
                let pair =
                    EcdsaKeyPair::from_pkcs8(signing, key.pkcs8()).map_err(|_| not_a_key())?;
                let bytes = pair.public_key().as_ref().to_vec();
                let parts = Parts::Ecdsa(parsed(verifying, &bytes)?);
                (bytes, parts)
            }
            _ => {
                let public = agreement_key(key)?.compute_public_key();
                let public = public.map_err(|_| not_a_key())?;
                (public.as_ref().to_vec(), Parts::Peer)
            }
        };
        Ok(PublicKey { bytes, parts })
    }

    /// The key for others: of RSA a `SubjectPublicKeyInfo` in DER; of a curve what [`Op::Derive`]
    /// takes from a peer, 32 bytes of X25519 or an uncompressed point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `plaintext`, encrypted for [`Op::RsaDecrypt`] with `padding`: a different ciphertext each
    /// time.
    ///
    /// # Errors
    ///
    /// [`FailureKind::BadRequest`] if this is not an RSA key, or if `plaintext` is too long: the
    /// modulus, less 42 bytes with SHA-1 and less 66 with SHA-256, is the most.
    pub fn encrypt(
        &self,
        padding: RsaDecryptPadding,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, FailureKind> {
        let Parts::Rsa { encrypting, .. } = &self.parts else {
            return Err(bad_request(
                "encryption with a key that is not RSA's; give one that is",
            ));
        };
        let algorithm = match padding {
            RsaDecryptPadding::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
            RsaDecryptPadding::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
            _ => return Err(bad_request("this version does not know the padding")),
        };
        if plaintext.len() > encrypting.max_plaintext_size(algorithm) {
            return Err(bad_request(
                "OAEP takes at most the modulus less 42 bytes (SHA-1) or less 66 (SHA-256); encrypt \
                 a key, and with that the data",
            ));
        }
        let mut ciphertext = vec![0; encrypting.ciphertext_size()];
        match encrypting.encrypt(algorithm, plaintext, &mut ciphertext, None) {
            Ok(written) => {
                let len = written.len();
                ciphertext.truncate(len);
                Ok(ciphertext)
            }
            Err(_) => Err(bad_request(
                "the public key does not encrypt; make a new one",
            )),
        }
    }

    /// Whether `signature` is one of `message`, as `op` with the private key would make. Never for
    /// an operation that does not sign, or not with a key of this kind.
    #[must_use]
    pub fn verifies(&self, op: &Op, message: &[u8], signature: &[u8]) -> bool {
        let key = match (op, &self.parts) {
            (Op::RsaSign { padding, .. }, Parts::Rsa { pkcs1, pss, .. }) => match padding {
                RsaSignPadding::Pkcs1Sha256 => pkcs1,
                RsaSignPadding::PssSha256 => pss,
                _ => return false,
            },
            (Op::EcdsaSign { .. }, Parts::Ecdsa(key)) => key,
            _ => return false,
        };
        key.verify_sig(message, signature).is_ok()
    }
}
