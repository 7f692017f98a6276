//! The operations, by name.

use std::fmt;

use super::KeyKind;

/// The operations that the contract knows, without their parameters.
///
/// Used for listing, for parsing names and for tables of service times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OpKind {
    /// Nothing: a round trip through the device, for measuring it.
    Nop,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// HMAC with SHA-256 (RFC 2104).
    HmacSha256,
    /// AES-128 in counter mode, 128-bit big-endian counter (NIST SP 800-38A).
    Aes128Ctr,
    /// AES-256 in counter mode, 128-bit big-endian counter (NIST SP 800-38A).
    Aes256Ctr,
    /// AES-128 in Galois/counter mode, 96-bit nonce, 128-bit tag (NIST SP 800-38D).
    Aes128Gcm,
    /// AES-256 in Galois/counter mode, 96-bit nonce, 128-bit tag (NIST SP 800-38D).
    Aes256Gcm,
    /// AES-128 in cipher block chaining mode (NIST SP 800-38A), PKCS#7 padding optional.
    Aes128Cbc,
    /// AES-256 in cipher block chaining mode (NIST SP 800-38A), PKCS#7 padding optional.
    Aes256Cbc,
    /// A signature with a 2048-bit RSA key (RFC 8017).
    Rsa2048Sign,
    /// A signature with a 3072-bit RSA key (RFC 8017).
    Rsa3072Sign,
    /// A signature with a 4096-bit RSA key (RFC 8017).
    Rsa4096Sign,
    /// Decryption with a 2048-bit RSA key (RFC 8017).
    Rsa2048Decrypt,
    /// Decryption with a 3072-bit RSA key (RFC 8017).
    Rsa3072Decrypt,
    /// Decryption with a 4096-bit RSA key (RFC 8017).
    Rsa4096Decrypt,
    /// An ECDSA signature on P-256 with SHA-256 (FIPS 186-5).
    EcdsaP256Sign,
    /// An ECDSA signature on P-384 with SHA-384 (FIPS 186-5).
    EcdsaP384Sign,
    /// A secret shared by X25519 (RFC 7748).
    X25519Derive,
    /// A secret shared by Diffie-Hellman on P-256 (NIST SP 800-56A).
    P256Derive,
}

impl OpKind {
    /// Every operation, in a stable order.
    pub const ALL: [OpKind; 20] = [
        OpKind::Nop,
        OpKind::Sha256,
        OpKind::Sha512,
        OpKind::HmacSha256,
        OpKind::Aes128Ctr,
        OpKind::Aes256Ctr,
        OpKind::Aes128Gcm,
        OpKind::Aes256Gcm,
        OpKind::Aes128Cbc,
        OpKind::Aes256Cbc,
        OpKind::Rsa2048Sign,
        OpKind::Rsa3072Sign,
        OpKind::Rsa4096Sign,
        OpKind::Rsa2048Decrypt,
        OpKind::Rsa3072Decrypt,
        OpKind::Rsa4096Decrypt,
        OpKind::EcdsaP256Sign,
        OpKind::EcdsaP384Sign,
        OpKind::X25519Derive,
        OpKind::P256Derive,
    ];

    /// The operation's name, as OpenSSL spells it where OpenSSL has it: `sha256`, `aes-128-ctr`;
    /// asymmetric ones after their key and what is done with it: `rsa2048-sign`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            OpKind::Nop => "nop",
            OpKind::Sha256 => "sha256",
            OpKind::Sha512 => "sha512",
            OpKind::HmacSha256 => "hmac-sha256",
            OpKind::Aes128Ctr => "aes-128-ctr",
            OpKind::Aes256Ctr => "aes-256-ctr",
            OpKind::Aes128Gcm => "aes-128-gcm",
            OpKind::Aes256Gcm => "aes-256-gcm",
            OpKind::Aes128Cbc => "aes-128-cbc",
            OpKind::Aes256Cbc => "aes-256-cbc",
            OpKind::Rsa2048Sign => "rsa2048-sign",
            OpKind::Rsa3072Sign => "rsa3072-sign",
            OpKind::Rsa4096Sign => "rsa4096-sign",
            OpKind::Rsa2048Decrypt => "rsa2048-decrypt",
            OpKind::Rsa3072Decrypt => "rsa3072-decrypt",
            OpKind::Rsa4096Decrypt => "rsa4096-decrypt",
            OpKind::EcdsaP256Sign => "ecdsa-p256-sign",
            OpKind::EcdsaP384Sign => "ecdsa-p384-sign",
            OpKind::X25519Derive => "x25519-derive",
            OpKind::P256Derive => "p256-derive",
        }
    }

    /// The operation called `name`, or nothing. Exact, lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<OpKind> {
        OpKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Length of the AES key in bytes, for the operations that take one.
    #[must_use]
    pub const fn aes_key_bytes(self) -> Option<usize> {
        match self {
            OpKind::Aes128Ctr | OpKind::Aes128Gcm | OpKind::Aes128Cbc => Some(16),
            OpKind::Aes256Ctr | OpKind::Aes256Gcm | OpKind::Aes256Cbc => Some(32),
            _ => None,
        }
    }

    /// The private key that the operation takes, for the asymmetric ones.
    #[must_use]
    pub const fn key_kind(self) -> Option<KeyKind> {
        match self {
            OpKind::Rsa2048Sign | OpKind::Rsa2048Decrypt => Some(KeyKind::Rsa2048),
            OpKind::Rsa3072Sign | OpKind::Rsa3072Decrypt => Some(KeyKind::Rsa3072),
            OpKind::Rsa4096Sign | OpKind::Rsa4096Decrypt => Some(KeyKind::Rsa4096),
            OpKind::EcdsaP256Sign | OpKind::P256Derive => Some(KeyKind::P256),
            OpKind::EcdsaP384Sign => Some(KeyKind::P384),
            OpKind::X25519Derive => Some(KeyKind::X25519),
            OpKind::Nop
            | OpKind::Sha256
            | OpKind::Sha512
            | OpKind::HmacSha256
            | OpKind::Aes128Ctr
            | OpKind::Aes256Ctr
            | OpKind::Aes128Gcm
            | OpKind::Aes256Gcm
            | OpKind::Aes128Cbc
            | OpKind::Aes256Cbc => None,
        }
    }

    /// Whether the operation is one with a private key: tens of microseconds to milliseconds of
    /// work whatever the length of its data, where the others' work is in proportion to it.
    #[must_use]
    pub const fn is_asymmetric(self) -> bool {
        self.key_kind().is_some()
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
