//! Operations with private keys against the `openssl` program: keys, signatures, ciphertexts and
//! secrets from either side, taken by the other.
//!
//! Where there is no such program the tests say so and pass.

#[path = "common/asym.rs"]
mod asym;
#[path = "common/openssl.rs"]
mod openssl;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use asym::{DECRYPT, SIGN, decrypt, key, public, result, sign};
use offload::{KeyKind, Op, OpKind, PrivateKey, RsaDecryptPadding, RsaSignPadding};
use openssl::{OPENSSL, openssl};
use tempfile::TempDir;

/// Files for a program that reads its input from them.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("written");
        self.path(name).to_str().expect("UTF-8").to_owned()
    }
}

/// A key that `openssl` made, in the form that it gives by default.
fn their_new_key(kind: KeyKind) -> PrivateKey {
    let options: &[&str] = match kind {
        KeyKind::Rsa2048 => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        KeyKind::Rsa3072 => &["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
        KeyKind::Rsa4096 => &["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
        KeyKind::P256 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        KeyKind::P384 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        KeyKind::X25519 => &["X25519"],
        other => panic!("no options for {other}"),
    };
    let pem = openssl(&[&["genpkey", "-algorithm"], options].concat(), b"");
    let args = ["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"];
    let key = PrivateKey::from_pkcs8(&openssl(&args, &pem)).expect("it has the form");
    assert_eq!(key.kind(), kind);
    key
}

/// One of each kind from `openssl`: RSA's take it a while.
static THEIRS: LazyLock<Vec<PrivateKey>> = LazyLock::new(|| KeyKind::ALL.map(their_new_key).into());

/// Ours and theirs: each side reads what the other made.
fn both_keys(kind: KeyKind) -> [PrivateKey; 2] {
    let theirs = THEIRS.iter().find(|key| key.kind() == kind);
    [key(kind), theirs.expect("one of each kind").clone()]
}

/// The public key in `SubjectPublicKeyInfo`, as `openssl` makes it of the private one.
fn spki(key: &PrivateKey) -> Vec<u8> {
    let args = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER"];
    openssl(&args, key.pkcs8())
}

fn rsa_kind(op: &Op) -> KeyKind {
    op.kind().key_kind().expect("it takes a key")
}

/// The options for `openssl dgst` that make it do what `op` does.
fn digest_options(op: &Op) -> &'static [&'static str] {
    match op {
        Op::RsaSign { padding, .. } if *padding == RsaSignPadding::PssSha256 => &[
            "-sha256",
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            "rsa_pss_saltlen:32",
            "-sigopt",
            "rsa_mgf1_md:sha256",
        ],
        op if op.kind() == OpKind::EcdsaP384Sign => &["-sha384"],
        _ => &["-sha256"],
    }
}

fn signing_ops() -> Vec<Op> {
    let rsa = [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096];
    let rsa = rsa.into_iter().flat_map(both_keys);
    let rsa = rsa.flat_map(|key| SIGN.map(|padding| sign(&key, padding)));
    let ecdsa = [KeyKind::P256, KeyKind::P384]
        .into_iter()
        .flat_map(both_keys);
    rsa.chain(ecdsa.map(|key| Op::EcdsaSign { key })).collect()
}

fn key_of(op: &Op) -> &PrivateKey {
    match op {
        Op::RsaSign { key, .. } | Op::EcdsaSign { key } => key,
        other => panic!("{other:?} does not sign"),
    }
}

#[test]
fn openssl_verifies_what_is_signed_here() {
    if !*OPENSSL {
        return;
    }
    for op in signing_ops() {
        let files = Files::new();
        let public = files.write("public", &spki(key_of(&op)));
        for message in [&b""[..], b"message", &[7; 5000]] {
            let signature = files.write("signature", &result(op.clone(), message));
            let verify = [
                "-keyform",
                "DER",
                "-verify",
                &public,
                "-signature",
                &signature,
            ];
            let args = [&["dgst"], digest_options(&op), &verify].concat();
            // The program fails where it does not verify.
            assert_eq!(openssl(&args, message), b"Verified OK\n", "{op:?}");
        }
    }
}

#[test]
fn what_openssl_signs_is_verified_here() {
    if !*OPENSSL {
        return;
    }
    for op in signing_ops() {
        let files = Files::new();
        let private = files.write("private", key_of(&op).pkcs8());
        let public = public(key_of(&op));
        for message in [&b""[..], b"message", &[7; 5000]] {
            let signing = ["-keyform", "DER", "-sign", &private];
            let args = [&["dgst"], digest_options(&op), &signing].concat();
            let signature = openssl(&args, message);
            assert!(public.verifies(&op, message, &signature), "{op:?}");
            // PKCS#1 v1.5: the very same bytes.
            if let Op::RsaSign { padding, .. } = &op
                && *padding == RsaSignPadding::Pkcs1Sha256
            {
                assert_eq!(result(op.clone(), message), signature, "{op:?}");
            }
        }
    }
}

#[test]
fn what_either_encrypts_the_other_decrypts() {
    if !*OPENSSL {
        return;
    }
    let rsa = [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096];
    for key in rsa.into_iter().flat_map(both_keys) {
        let files = Files::new();
        let private = files.write("private", key.pkcs8());
        assert_eq!(public(&key).as_bytes(), spki(&key));
        for padding in DECRYPT {
            let hash = match padding {
                RsaDecryptPadding::OaepSha1 => "rsa_oaep_md:sha1",
                RsaDecryptPadding::OaepSha256 => "rsa_oaep_md:sha256",
                other => panic!("no hash for {other:?}"),
            };
            let oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", hash];
            let with_key = ["-keyform", "DER", "-inkey", &private];
            for plain in [&b""[..], b"plain", &[9; 190]] {
                let op = decrypt(&key, padding);
                let encrypt = [&["pkeyutl", "-encrypt"], &with_key[..], &oaep].concat();
                let theirs = openssl(&encrypt, plain);
                assert_eq!(Some(theirs.len()), rsa_kind(&op).rsa_modulus_bytes());
                assert_eq!(result(op, &theirs), plain, "{key:?}, {padding:?}");

                let ours = public(&key).encrypt(padding, plain).expect("it fits");
                let decrypt = [&["pkeyutl", "-decrypt"], &with_key[..], &oaep].concat();
                assert_eq!(openssl(&decrypt, &ours), plain, "{key:?}, {padding:?}");
            }
        }
    }
}

#[test]
fn both_derive_the_same_secret() {
    if !*OPENSSL {
        return;
    }
    for kind in [KeyKind::X25519, KeyKind::P256] {
        let [alice, bob] = both_keys(kind);
        for (ours, theirs) in [(&alice, &bob), (&bob, &alice)] {
            let files = Files::new();
            let private = files.write("private", theirs.pkcs8());
            let peer = files.write("peer", &spki(ours));
            let args = [
                "pkeyutl",
                "-derive",
                "-keyform",
                "DER",
                "-inkey",
                &private,
                "-peerform",
                "DER",
                "-peerkey",
                &peer,
            ];
            let secret = openssl(&args, b"");
            // The public key as others take it is the end of the form that openssl takes.
            let public = spki(theirs);
            let len = if kind == KeyKind::X25519 { 32 } else { 65 };
            let point = &public[public.len() - len..];
            assert_eq!(asym::public(theirs).as_bytes(), point);
            let key = ours.clone();
            assert_eq!(result(Op::Derive { key }, point), secret, "{kind}");
        }
    }
}
