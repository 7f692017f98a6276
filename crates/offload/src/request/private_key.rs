//! Private keys of asymmetric operations.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pkcs8::der::asn1::UintRef;
use pkcs8::der::{AnyRef, Decode, SliceReader};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

/// `rsaEncryption` (RFC 8017, appendix C).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480, section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `secp384r1` (RFC 5480, section 2.1.1.1).
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `id-X25519` (RFC 8410, section 3).
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");

/// What a private key is for: its algorithm, and its size or curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// The curve P-256: ECDSA, and Diffie-Hellman.
    P256,
    /// The curve P-384: ECDSA.
    P384,
    /// X25519: Diffie-Hellman.
    X25519,
}

impl KeyKind {
    /// Every kind, in a stable order.
    pub const ALL: [KeyKind; 6] = [
        KeyKind::Rsa2048,
        KeyKind::Rsa3072,
        KeyKind::Rsa4096,
        KeyKind::P256,
        KeyKind::P384,
        KeyKind::X25519,
    ];

    /// The kind's name: `rsa-2048`, `p-256`, `x25519`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            KeyKind::Rsa2048 => "rsa-2048",
            KeyKind::Rsa3072 => "rsa-3072",
            KeyKind::Rsa4096 => "rsa-4096",
            KeyKind::P256 => "p-256",
            KeyKind::P384 => "p-384",
            KeyKind::X25519 => "x25519",
        }
    }

    /// Length of the modulus in bytes, for RSA: that of a signature and of a ciphertext.
    #[must_use]
    pub const fn rsa_modulus_bytes(self) -> Option<usize> {
        match self {
            KeyKind::Rsa2048 => Some(256),
            KeyKind::Rsa3072 => Some(384),
            KeyKind::Rsa4096 => Some(512),
            KeyKind::P256 | KeyKind::P384 | KeyKind::X25519 => None,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A private key. Clones share the same memory, which is never moved and is wiped when the last of
/// them is dropped. Never printed.
///
/// It is kept as it came, in PKCS#8 DER, which every crypto library reads. Reading it takes a
/// library longer than some operations do (an RSA key is checked when it is read), so an engine
/// leaves what it has read beside the key: [`prepared`](PrivateKey::prepared).
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    kind: KeyKind,
    pkcs8: Zeroizing<Box<[u8]>>,
    /// What engines made of it; one of each type.
    prepared: Mutex<Vec<(TypeId, Prepared)>>,
}

type Prepared = Arc<dyn Any + Send + Sync>;

impl PrivateKey {
    /// The key in `pkcs8`: PKCS#8 DER, not encrypted (RFC 5208, RFC 5958), as
    /// `openssl pkcs8 -topk8 -nocrypt -outform DER` writes it. The bytes are copied; wiping those
    /// that were given is the caller's.
    ///
    /// The form is checked, the algorithm, and the size or curve. Whether the numbers are a key (the
    /// primes those of the modulus, the point on its curve) is checked by the engine that uses it
    /// first; it fails the operation if they are not.
    ///
    /// # Errors
    ///
    /// [`BadKey`], which says what would be right.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<PrivateKey, BadKey> {
        let kind = kind_of(pkcs8)?;
        Ok(PrivateKey(Arc::new(Inner {
            kind,
            pkcs8: Zeroizing::new(pkcs8.into()),
            prepared: Mutex::default(),
        })))
    }

    /// What the key is for.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The key in PKCS#8 DER, as it was given. Secret: do not copy it to memory that is not wiped.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The 32 bytes of an X25519 key, which some libraries take without anything around them.
    /// `None` for keys of other kinds.
    #[must_use]
    pub fn x25519(&self) -> Option<&[u8; 32]> {
        match self.0.kind {
            KeyKind::X25519 => x25519_bytes(PrivateKeyInfoRef::from_der(&self.0.pkcs8).ok()?),
            _ => None,
        }
    }

    /// The key as `T`, a library's own form of it: made by `prepare` the first time, kept beside the
    /// key, and shared from then on by all clones of it on all threads. It is dropped with the last
    /// clone; that it wipes itself is up to `T`, which must not keep a clone of the key: the two would
    /// keep each other.
    ///
    /// No lock is held while `prepare` runs. If several threads get there first, each prepares, and
    /// all are given the same one. What fails is not kept.
    ///
    /// # Errors
    ///
    /// That of `prepare`.
    pub fn prepared<T, E>(
        &self,
        prepare: impl FnOnce(&PrivateKey) -> Result<T, E>,
    ) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
    {
        if let Some(ready) = find(&self.lock()) {
            return Ok(ready);
        }
        let ours = Arc::new(prepare(self)?);
        let mut list = self.lock();
        if let Some(theirs) = find(&list) {
            drop(list); // before ours is: that may take a while
            return Ok(theirs);
        }
        list.push((TypeId::of::<T>(), ours.clone()));
        Ok(ours)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(TypeId, Prepared)>> {
        // Nothing panics under it, but for memory that has run out; the list is whole even then.
        let lock = self.0.prepared.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<T: Send + Sync + 'static>(list: &[(TypeId, Prepared)]) -> Option<Arc<T>> {
    let (_, found) = list.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
    found.clone().downcast().ok()
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, hidden)", self.kind())
    }
}

/// Why bytes are not a [`PrivateKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// They do not have the form.
    #[error(
        "not a private key in PKCS#8 DER; give one that is not encrypted, as 'openssl pkcs8 -topk8 -nocrypt -outform DER' writes it"
    )]
    NotPkcs8,
    /// They are a key for something else.
    #[error(
        "a private key of an algorithm or curve that is not known here; give one of RSA, P-256, P-384 or X25519"
    )]
    Algorithm,
    /// They are an RSA key of another size.
    #[error("an RSA key of {bits} bits; give one of 2048, 3072 or 4096")]
    RsaBits {
        /// Length of its modulus, in bits.
        bits: usize,
    },
}

fn kind_of(pkcs8: &[u8]) -> Result<KeyKind, BadKey> {
    let key = PrivateKeyInfoRef::from_der(pkcs8).map_err(|_| BadKey::NotPkcs8)?;
    match key.algorithm.oid {
        RSA => match rsa_bits(&key).ok_or(BadKey::NotPkcs8)? {
            2048 => Ok(KeyKind::Rsa2048),
            3072 => Ok(KeyKind::Rsa3072),
            4096 => Ok(KeyKind::Rsa4096),
            bits => Err(BadKey::RsaBits { bits }),
        },
        EC => match key.algorithm.parameters_oid() {
            Ok(P256) => Ok(KeyKind::P256),
            Ok(P384) => Ok(KeyKind::P384),
            _ => Err(BadKey::Algorithm),
        },
        X25519 => match x25519_bytes(key) {
            Some(_) => Ok(KeyKind::X25519),
            None => Err(BadKey::NotPkcs8),
        },
        _ => Err(BadKey::Algorithm),
    }
}

/// Length of the modulus: the number after the version in `RSAPrivateKey` (RFC 8017, appendix A.1.2).
fn rsa_bits(key: &PrivateKeyInfoRef<'_>) -> Option<usize> {
    let numbers = AnyRef::from_der(key.private_key.as_bytes()).ok()?;
    let mut numbers = SliceReader::new(numbers.value()).ok()?;
    let _version = u8::decode(&mut numbers).ok()?;
    let modulus = UintRef::decode(&mut numbers).ok()?;
    let (first, _) = modulus.as_bytes().split_first()?;
    Some(modulus.as_bytes().len() * 8 - first.leading_zeros() as usize)
}

/// `CurvePrivateKey` (RFC 8410, section 7): an octet string within the octet string.
fn x25519_bytes(key: PrivateKeyInfoRef<'_>) -> Option<&[u8; 32]> {
    key.private_key
        .as_bytes()
        .strip_prefix(&[4, 32])?
        .try_into()
        .ok()
}
