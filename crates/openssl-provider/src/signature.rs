//! Signatures: RSA (PKCS#1 v1.5 and PSS) and ECDSA. Signing goes to the device. Verifying, which is quick with RSA and
//! which HSMs do not do, is done here, and so is hashing a message.

use std::ffi::{c_char, c_int, c_void};

use crate::abi::{Algorithm, Bytes, BytesMut, Dispatch, Param, signature as id};
use crate::asym::{self, Inner, bytes, call, context, with_key};
use crate::config::Class;
use crate::entry;
use crate::evp::{DEFAULT, MdCtx, NONE, check, checked, library_context};
use crate::keys::Numbers;
use crate::libcrypto::{Ptr, Str, crypto};
use crate::provider::PROPERTIES;

unsafe extern "C" fn new(provider: *mut c_void, _properties: *const c_char) -> *mut c_void {
    // SAFETY: OpenSSL's.
    unsafe { asym::new(provider) }
}

// ---- of a digest, or whatever is given whole ----------------------------------------------------

unsafe extern "C" fn sign_init(it: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        context(it).begin(key, |key| {
            with_key(key, crypto().EVP_PKEY_sign_init_ex, params)
        })
    })
}

unsafe extern "C" fn sign(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int {
        call(inner, crypto().EVP_PKEY_sign, (out, len), data)
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let it = context(it);
        let kind = it.kind(Class::Sign, out, |key| key.sign);
        it.compute(kind, compute, bytes(data, data_len), (out, len, room))
    })
}

unsafe extern "C" fn verify_init(it: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        context(it).begin(key, |key| {
            with_key(key, crypto().EVP_PKEY_verify_init_ex, params)
        })
    })
}

/// Whether a signature is right, for which libcrypto says 1 and nothing else. Whoever asks is told no more.
fn verified(yes: c_int) -> Result<(), String> {
    checked(c_int::from(yes == 1))
}

unsafe extern "C" fn verify(
    it: *mut c_void,
    signature: Bytes,
    len: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe { context(it) }.at_once(|inner| match inner {
            // SAFETY: a context of ours; the rest is OpenSSL's.
            Inner::Key(context) => verified(unsafe {
                (crypto().EVP_PKEY_verify)(context.as_ptr(), signature, len, data, data_len)
            }),
            Inner::Digest(_) => Err("simaccel: it was set up to verify a message".to_owned()),
        })
    })
}

unsafe extern "C" fn recover_init(
    it: *mut c_void,
    key: *mut c_void,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let init = crypto().EVP_PKEY_verify_recover_init_ex;
        context(it).begin(key, |key| with_key(key, init, params))
    })
}

unsafe extern "C" fn recover(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
    signature: Bytes,
    signature_len: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int {
        call(inner, crypto().EVP_PKEY_verify_recover, (out, len), data)
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let signature = bytes(signature, signature_len);
        context(it).compute(None, compute, signature, (out, len, room))
    })
}

// ---- of a message -------------------------------------------------------------------------------

/// `EVP_DigestSignInit_ex` and its sibling.
type Init = unsafe extern "C" fn(Ptr, *mut Ptr, Str, Ptr, Str, Ptr, *const Param) -> c_int;

fn with_message(
    key: &Numbers,
    init: Init,
    digest: *const c_char,
    params: *const Param,
) -> Result<Inner, String> {
    let made = MdCtx::new()?;
    let mut key_context = NONE;
    // SAFETY: contexts and a key of ours, the caller's name and parameters. The key's context belongs to the other.
    let done = unsafe {
        let library = library_context()?;
        let key = key.key.as_ptr();
        init(
            made.as_ptr(),
            &raw mut key_context,
            digest,
            library,
            DEFAULT,
            key,
            params,
        )
    };
    check(done, "an operation on a message")?;
    Ok(Inner::Digest(made))
}

unsafe extern "C" fn digest_sign_init(
    it: *mut c_void,
    digest: *const c_char,
    key: *mut c_void,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let init = crypto().EVP_DigestSignInit_ex;
        context(it).begin(key, |key| with_message(key, init, digest, params))
    })
}

unsafe extern "C" fn digest_verify_init(
    it: *mut c_void,
    digest: *const c_char,
    key: *mut c_void,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let init = crypto().EVP_DigestVerifyInit_ex;
        context(it).begin(key, |key| with_message(key, init, digest, params))
    })
}

/// Another piece of the message.
unsafe fn update(
    it: *mut c_void,
    function: unsafe extern "C" fn(Ptr, *const c_void, usize) -> c_int,
    data: Bytes,
    len: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe { context(it) }.at_once(|inner| match inner {
            // SAFETY: a context of ours; the data is OpenSSL's.
            Inner::Digest(context) => check(
                unsafe { function(context.as_ptr(), data.cast(), len) },
                "a message",
            ),
            Inner::Key(_) => Err("simaccel: it was not set up for a message".to_owned()),
        })
    })
}

unsafe extern "C" fn digest_sign_update(it: *mut c_void, data: Bytes, len: usize) -> c_int {
    // SAFETY: OpenSSL's.
    unsafe { update(it, crypto().EVP_DigestSignUpdate, data, len) }
}

unsafe extern "C" fn digest_verify_update(it: *mut c_void, data: Bytes, len: usize) -> c_int {
    // SAFETY: OpenSSL's.
    unsafe { update(it, crypto().EVP_DigestVerifyUpdate, data, len) }
}

unsafe extern "C" fn digest_sign_final(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, _: &[u8]) -> c_int {
        match inner {
            // SAFETY: a context of ours, which it leaves as it was; room for `len` bytes, or null.
            Inner::Digest(context) => unsafe {
                (crypto().EVP_DigestSignFinal)(context.as_ptr(), out, len)
            },
            Inner::Key(_) => 0,
        }
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let it = context(it);
        let kind = it.kind(Class::Sign, out, |key| key.sign);
        it.compute(kind, compute, &[], (out, len, room))
    })
}

unsafe extern "C" fn digest_sign(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int {
        let Inner::Digest(context) = inner else {
            return 0;
        };
        // Of a copy: it takes the message in, and may be repeated.
        let Ok(copy) = context.duplicate() else {
            return 0;
        };
        // SAFETY: a context of ours, as many bytes as said, and room for `len` bytes unless null asks how many.
        unsafe { (crypto().EVP_DigestSign)(copy.as_ptr(), out, len, data.as_ptr(), data.len()) }
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let it = context(it);
        let kind = it.kind(Class::Sign, out, |key| key.sign);
        it.compute(kind, compute, bytes(data, data_len), (out, len, room))
    })
}

unsafe extern "C" fn digest_verify_final(it: *mut c_void, signature: Bytes, len: usize) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe { context(it) }.at_once(|inner| match inner {
            // SAFETY: a context of ours; the signature is OpenSSL's.
            Inner::Digest(context) => verified(unsafe {
                (crypto().EVP_DigestVerifyFinal)(context.as_ptr(), signature, len)
            }),
            Inner::Key(_) => Err("simaccel: it was not set up for a message".to_owned()),
        })
    })
}

unsafe extern "C" fn digest_verify(
    it: *mut c_void,
    signature: Bytes,
    len: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe { context(it) }.at_once(|inner| match inner {
            // SAFETY: a context of ours; the rest is OpenSSL's.
            Inner::Digest(context) => verified(unsafe {
                (crypto().EVP_DigestVerify)(context.as_ptr(), signature, len, data, data_len)
            }),
            Inner::Key(_) => Err("simaccel: it was not set up for a message".to_owned()),
        })
    })
}

static FUNCTIONS: [Dispatch; 22] = [
    Dispatch::new(id::NEWCTX, new as *const c_void),
    Dispatch::new(id::FREECTX, asym::free as *const c_void),
    Dispatch::new(id::DUPCTX, asym::duplicate as *const c_void),
    Dispatch::new(id::SIGN_INIT, sign_init as *const c_void),
    Dispatch::new(id::SIGN, sign as *const c_void),
    Dispatch::new(id::VERIFY_INIT, verify_init as *const c_void),
    Dispatch::new(id::VERIFY, verify as *const c_void),
    Dispatch::new(id::VERIFY_RECOVER_INIT, recover_init as *const c_void),
    Dispatch::new(id::VERIFY_RECOVER, recover as *const c_void),
    Dispatch::new(id::DIGEST_SIGN_INIT, digest_sign_init as *const c_void),
    Dispatch::new(id::DIGEST_SIGN_UPDATE, digest_sign_update as *const c_void),
    Dispatch::new(id::DIGEST_SIGN_FINAL, digest_sign_final as *const c_void),
    Dispatch::new(id::DIGEST_SIGN, digest_sign as *const c_void),
    Dispatch::new(id::DIGEST_VERIFY_INIT, digest_verify_init as *const c_void),
    Dispatch::new(
        id::DIGEST_VERIFY_UPDATE,
        digest_verify_update as *const c_void,
    ),
    Dispatch::new(
        id::DIGEST_VERIFY_FINAL,
        digest_verify_final as *const c_void,
    ),
    Dispatch::new(id::DIGEST_VERIFY, digest_verify as *const c_void),
    Dispatch::new(id::GET_CTX_PARAMS, asym::get_params as *const c_void),
    Dispatch::new(
        id::GETTABLE_CTX_PARAMS,
        asym::gettable_params as *const c_void,
    ),
    Dispatch::new(id::SET_CTX_PARAMS, asym::set_params as *const c_void),
    Dispatch::new(
        id::SETTABLE_CTX_PARAMS,
        asym::settable_params as *const c_void,
    ),
    Dispatch::END,
];

/// All of them.
pub(crate) static ALGORITHMS: [Algorithm; 3] = [
    Algorithm {
        names: c"RSA:rsaEncryption:1.2.840.113549.1.1.1".as_ptr(),
        properties: PROPERTIES,
        functions: FUNCTIONS.as_ptr(),
        description: c"RSA signatures on the simulated accelerator".as_ptr(),
    },
    Algorithm {
        names: c"ECDSA".as_ptr(),
        properties: PROPERTIES,
        functions: FUNCTIONS.as_ptr(),
        description: c"ECDSA on the simulated accelerator".as_ptr(),
    },
    Algorithm::END,
];
