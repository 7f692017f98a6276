//! RSA encryption, done here, and decryption, done on the device.

use std::ffi::{c_int, c_void};

use crate::abi::{Algorithm, Bytes, BytesMut, Dispatch, Param, asym_cipher as id};
use crate::asym::{self, Inner, bytes, call, context, with_key};
use crate::config::Class;
use crate::entry;
use crate::libcrypto::crypto;
use crate::provider::PROPERTIES;

unsafe extern "C" fn encrypt_init(
    it: *mut c_void,
    key: *mut c_void,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        context(it).begin(key, |key| {
            with_key(key, crypto().EVP_PKEY_encrypt_init_ex, params)
        })
    })
}

unsafe extern "C" fn encrypt(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int {
        call(inner, crypto().EVP_PKEY_encrypt, (out, len), data)
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe { context(it).compute(None, compute, bytes(data, data_len), (out, len, room)) })
}

unsafe extern "C" fn decrypt_init(
    it: *mut c_void,
    key: *mut c_void,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        context(it).begin(key, |key| {
            with_key(key, crypto().EVP_PKEY_decrypt_init_ex, params)
        })
    })
}

unsafe extern "C" fn decrypt(
    it: *mut c_void,
    out: BytesMut,
    len: *mut usize,
    room: usize,
    data: Bytes,
    data_len: usize,
) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int {
        call(inner, crypto().EVP_PKEY_decrypt, (out, len), data)
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let it = context(it);
        let kind = it.kind(Class::Decrypt, out, |key| key.decrypt);
        it.compute(kind, compute, bytes(data, data_len), (out, len, room))
    })
}

static FUNCTIONS: [Dispatch; 12] = [
    Dispatch::new(id::NEWCTX, asym::new as *const c_void),
    Dispatch::new(id::FREECTX, asym::free as *const c_void),
    Dispatch::new(id::DUPCTX, asym::duplicate as *const c_void),
    Dispatch::new(id::ENCRYPT_INIT, encrypt_init as *const c_void),
    Dispatch::new(id::ENCRYPT, encrypt as *const c_void),
    Dispatch::new(id::DECRYPT_INIT, decrypt_init as *const c_void),
    Dispatch::new(id::DECRYPT, decrypt as *const c_void),
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
pub(crate) static ALGORITHMS: [Algorithm; 2] = [
    Algorithm {
        names: c"RSA:rsaEncryption:1.2.840.113549.1.1.1".as_ptr(),
        properties: PROPERTIES,
        functions: FUNCTIONS.as_ptr(),
        description: c"RSA decryption on the simulated accelerator".as_ptr(),
    },
    Algorithm::END,
];
