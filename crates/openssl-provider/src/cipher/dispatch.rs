//! What OpenSSL calls of a cipher, and the list of ciphers.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use offload::{Buffer, OpKind};
use zeroize::Zeroizing;

use super::{BLOCK, Cipher, Context, NO_ROOM, State, fetched};
use crate::abi::{Algorithm, Bytes, BytesMut, Dispatch, Param, cipher as id};
use crate::entry;
use crate::evp::{CipherCtx, Fetched, checked};
use crate::libcrypto::{Ptr, crypto};
use crate::provider::{self, PROPERTIES};

/// # Safety
///
/// A context that [`new`] or [`duplicate`] has made and that was not freed, in nobody else's hands.
unsafe fn context<'a>(context: *mut c_void) -> &'a mut Context {
    // SAFETY: the caller's.
    unsafe { &mut *context.cast::<Context>() }
}

unsafe extern "C" fn new<C: Cipher>(provider: *mut c_void) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        let make = || CipherCtx::new(fetched::<C>()?);
        let context = Context {
            // SAFETY: OpenSSL's.
            provider: unsafe { provider::of(provider) },
            kind: C::KIND,
            more: C::MORE,
            make,
            state: State::new(make()?),
            is_lost: false,
            is_set: false,
            stays_here: false,
            spare: Buffer::default(),
        };
        made = Box::into_raw(Box::new(context)).cast();
        Ok(())
    });
    made
}

unsafe extern "C" fn free(it: *mut c_void) {
    if !it.is_null() {
        entry(|| {
            // SAFETY: OpenSSL's: made by `new` or `duplicate`, and used no more. A job that is paused with it will never be
            // resumed, and what its operation needs it holds itself.
            drop(unsafe { Box::from_raw(it.cast::<Context>()) });
            Ok(())
        });
    }
}

unsafe extern "C" fn duplicate(it: *mut c_void) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        let state = State::new(it.lock().cipher.duplicate()?);
        let copy = Context {
            provider: it.provider,
            kind: it.kind,
            more: it.more,
            make: it.make,
            state,
            is_lost: it.is_lost,
            is_set: it.is_set,
            stays_here: it.stays_here,
            spare: Buffer::default(),
        };
        made = Box::into_raw(Box::new(copy)).cast();
        Ok(())
    });
    made
}

/// # Safety
///
/// OpenSSL's: a context of ours; key and IV, if there are any, as long as the context has said; parameters.
unsafe fn init(
    it: *mut c_void,
    encrypt: c_int,
    key: Bytes,
    iv: Bytes,
    params: *const Param,
) -> c_int {
    entry(|| {
        // SAFETY: the caller's.
        let it = unsafe { context(it) };
        // SAFETY: the caller's.
        unsafe { it.note(params) };
        // What went with the device does not come back with a new IV alone, or a new key alone: libcrypto would take
        // a message on with the IV that it had, and now has none.
        if key.is_null() || iv.is_null() || it.is_set {
            it.check()?;
        }
        // SAFETY: a context of ours that has its cipher, locked for the call, and the caller's.
        checked(unsafe {
            let inner = it.lock();
            let cipher = inner.cipher.as_ptr();
            (crypto().EVP_CipherInit_ex2)(cipher, ptr::null_mut(), key, iv, encrypt, params)
        })?;
        it.is_lost = false;
        Ok(())
    })
}

unsafe extern "C" fn encrypt_init(
    it: *mut c_void,
    key: Bytes,
    _key_len: usize,
    iv: Bytes,
    _iv_len: usize,
    params: *const Param,
) -> c_int {
    // SAFETY: OpenSSL's. The lengths are those that it has asked us for, or libcrypto's own, which are ours.
    unsafe { init(it, 1, key, iv, params) }
}

unsafe extern "C" fn decrypt_init(
    it: *mut c_void,
    key: Bytes,
    _key_len: usize,
    iv: Bytes,
    _iv_len: usize,
    params: *const Param,
) -> c_int {
    // SAFETY: as in `encrypt_init`.
    unsafe { init(it, 0, key, iv, params) }
}

unsafe extern "C" fn call<const IS_WHOLE: bool>(
    it: *mut c_void,
    out: BytesMut,
    out_len: *mut usize,
    room: usize,
    data: Bytes,
    len: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe {
            *out_len = context(it).call(IS_WHOLE, out, room, data, len)?;
        }
        Ok(())
    })
}

unsafe extern "C" fn finish(
    it: *mut c_void,
    out: BytesMut,
    out_len: *mut usize,
    room: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        it.check()?;
        let mut last = Zeroizing::new([0_u8; BLOCK]);
        let mut made = 0;
        // SAFETY: a context of ours, locked for the call, and room for a block.
        checked(unsafe {
            let inner = it.lock();
            let cipher = inner.cipher.as_ptr();
            (crypto().EVP_CipherFinal_ex)(cipher, last.as_mut_ptr(), &raw mut made)
        })?;
        let made = usize::try_from(made).unwrap_or_default();
        let last = last.get(..made).unwrap_or_default();
        if last.len() > room || (out.is_null() && !last.is_empty()) {
            return Err(NO_ROOM.to_owned());
        }
        // SAFETY: OpenSSL's: there is so much room; where there is none, nothing is copied.
        unsafe {
            if !last.is_empty() {
                ptr::copy_nonoverlapping(last.as_ptr(), out, last.len());
            }
            *out_len = last.len();
        }
        Ok(())
    })
}

unsafe extern "C" fn get_params<C: Cipher>(params: *mut Param) -> c_int {
    entry(|| {
        let cipher = fetched::<C>()?;
        // SAFETY: a cipher, and the caller's parameters.
        checked(unsafe { (crypto().EVP_CIPHER_get_params)(cipher, params) })
    })
}

unsafe extern "C" fn get_ctx_params(it: *mut c_void, params: *mut Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's: the context, and the caller's parameters. The MAC of a record is told by its address, which is
        // in libcrypto's context, or where the caller has had the record put.
        checked(unsafe {
            let inner = context(it).lock();
            (crypto().EVP_CIPHER_CTX_get_params)(inner.cipher.as_ptr(), params)
        })
    })
}

unsafe extern "C" fn set_ctx_params(it: *mut c_void, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's: the context, and the caller's parameters.
        checked(unsafe {
            let it = context(it);
            it.note(params);
            let inner = it.lock();
            (crypto().EVP_CIPHER_CTX_set_params)(inner.cipher.as_ptr(), params)
        })
    })
}

/// One of the default provider's own lists, which are constant.
fn list<C: Cipher>(of: unsafe extern "C" fn(Ptr) -> *const Param) -> *const Param {
    let mut list = ptr::null();
    entry(|| {
        let cipher = fetched::<C>()?;
        // SAFETY: a cipher.
        list = unsafe { of(cipher) };
        Ok(())
    });
    list
}

unsafe extern "C" fn gettable_params<C: Cipher>(_provider: *mut c_void) -> *const Param {
    list::<C>(crypto().EVP_CIPHER_gettable_params)
}

unsafe extern "C" fn gettable_ctx_params<C: Cipher>(
    _: *mut c_void,
    _provider: *mut c_void,
) -> *const Param {
    list::<C>(crypto().EVP_CIPHER_gettable_ctx_params)
}

unsafe extern "C" fn settable_ctx_params<C: Cipher>(
    _: *mut c_void,
    _provider: *mut c_void,
) -> *const Param {
    list::<C>(crypto().EVP_CIPHER_settable_ctx_params)
}

/// The functions of one cipher.
const fn functions<C: Cipher>() -> [Dispatch; 15] {
    [
        Dispatch::new(id::NEWCTX, new::<C> as *const c_void),
        Dispatch::new(id::FREECTX, free as *const c_void),
        Dispatch::new(id::DUPCTX, duplicate as *const c_void),
        Dispatch::new(id::ENCRYPT_INIT, encrypt_init as *const c_void),
        Dispatch::new(id::DECRYPT_INIT, decrypt_init as *const c_void),
        Dispatch::new(id::UPDATE, call::<false> as *const c_void),
        Dispatch::new(id::FINAL, finish as *const c_void),
        Dispatch::new(id::CIPHER, call::<true> as *const c_void),
        Dispatch::new(id::GET_PARAMS, get_params::<C> as *const c_void),
        Dispatch::new(id::GET_CTX_PARAMS, get_ctx_params as *const c_void),
        Dispatch::new(id::SET_CTX_PARAMS, set_ctx_params as *const c_void),
        Dispatch::new(id::GETTABLE_PARAMS, gettable_params::<C> as *const c_void),
        Dispatch::new(
            id::GETTABLE_CTX_PARAMS,
            gettable_ctx_params::<C> as *const c_void,
        ),
        Dispatch::new(
            id::SETTABLE_CTX_PARAMS,
            settable_ctx_params::<C> as *const c_void,
        ),
        Dispatch::END,
    ]
}

macro_rules! ciphers {
    ($($name:ident: $c_name:literal, $names:literal, $more:expr;)*) => {
        $(
            struct $name;

            impl Cipher for $name {
                const NAME: &'static CStr = $c_name;
                const KIND: OpKind = OpKind::$name;
                const MORE: usize = $more;

                fn fetched() -> &'static Fetched {
                    static FETCHED: Fetched = Fetched::new();
                    &FETCHED
                }
            }
        )*

        /// All of them.
        pub(crate) static ALGORITHMS: &[Algorithm] = &[
            $(Algorithm {
                names: $names.as_ptr(),
                properties: PROPERTIES,
                functions: {
                    static FUNCTIONS: [Dispatch; 15] = functions::<$name>();
                    FUNCTIONS.as_ptr()
                },
                description: c"on the simulated accelerator".as_ptr(),
            },)*
            Algorithm::END,
        ];
    };
}

ciphers! {
    Aes128Cbc: c"AES-128-CBC", c"AES-128-CBC:AES128:2.16.840.1.101.3.4.1.2", BLOCK;
    Aes256Cbc: c"AES-256-CBC", c"AES-256-CBC:AES256:2.16.840.1.101.3.4.1.42", BLOCK;
    Aes128Ctr: c"AES-128-CTR", c"AES-128-CTR", 0;
    Aes256Ctr: c"AES-256-CTR", c"AES-256-CTR", 0;
    Aes128Gcm: c"AES-128-GCM", c"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", 0;
    Aes256Gcm: c"AES-256-GCM", c"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", 0;
}
