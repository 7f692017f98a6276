//! MACs: HMAC, with whatever digest libcrypto's default provider has.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use offload::OpKind;

use crate::abi::{Algorithm, Bytes, Dispatch, Param, mac as id};
use crate::config::Class;
use crate::evp::{Fetched, MacCtx, checked};
use crate::libcrypto::{Ptr, crypto};
use crate::provider::{self, PROPERTIES};
use crate::stream::{self, LONGEST, Sink, Stream};
use crate::{entry, params};

/// The default provider's `EVP_MAC`.
fn hmac() -> Result<Ptr, String> {
    static FETCHED: Fetched = Fetched::new();
    FETCHED.get(crypto().EVP_MAC_fetch, c"HMAC")
}

/// With what properties the digest is to be fetched. They are the program's, and could name us, of whom our own
/// library context does not know.
const PROPERTIES_PARAM: &CStr = c"properties";

/// How long a record of TLS is with its padding: from then on libcrypto hashes in constant time, what is behind the
/// data included, as how long the data is must not be seen.
const TLS_DATA_SIZE: &CStr = c"tls-data-size";

impl Sink for MacCtx {
    const CLASS: Class = Class::Mac;
    const WHAT: &'static str = "MAC";

    fn new() -> Result<MacCtx, String> {
        MacCtx::new(hmac()?)
    }

    fn duplicate(&self) -> Result<MacCtx, String> {
        MacCtx::duplicate(self)
    }

    unsafe fn update(&self, data: Bytes, len: usize) -> Result<(), String> {
        // SAFETY: a context of ours, and the caller's bytes.
        checked(unsafe { (crypto().EVP_MAC_update)(self.as_ptr(), data, len) })
    }

    fn finish(&self, result: &mut [u8; LONGEST]) -> Result<usize, String> {
        let mut len = 0;
        // SAFETY: a context of ours, and as much room as it is told.
        checked(unsafe {
            (crypto().EVP_MAC_final)(
                self.as_ptr(),
                result.as_mut_ptr(),
                &raw mut len,
                result.len(),
            )
        })?;
        Ok(len)
    }
}

/// # Safety
///
/// OpenSSL's: a context of ours.
unsafe fn mac<'a>(it: *mut c_void) -> &'a mut Stream<MacCtx> {
    // SAFETY: the caller's.
    unsafe { stream::stream(it) }
}

/// Takes parameters to libcrypto: `set` is given those that are for it.
///
/// # Safety
///
/// Null, or a list that ends as it must.
unsafe fn with_params(
    it: &mut Stream<MacCtx>,
    list: *const Param,
    set: impl FnOnce(&mut Stream<MacCtx>, *const Param) -> Result<(), String>,
) -> Result<(), String> {
    // SAFETY: the caller's.
    unsafe {
        it.stays_here |= params::has(list, TLS_DATA_SIZE);
        if params::has(list, PROPERTIES_PARAM) {
            set(it, params::without(list, PROPERTIES_PARAM).as_ptr())
        } else {
            set(it, list)
        }
    }
}

unsafe extern "C" fn new(provider: *mut c_void) -> *mut c_void {
    stream::make(|| {
        // SAFETY: OpenSSL's.
        let provider = unsafe { provider::of(provider) };
        Stream::<MacCtx>::new(provider, OpKind::HmacSha256)
    })
}

unsafe extern "C" fn init(
    it: *mut c_void,
    key: Bytes,
    key_len: usize,
    params: *const Param,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { mac(it) };
        // SAFETY: OpenSSL's: the key is as long as it says, or null for the one before.
        unsafe {
            with_params(it, params, |it, params| {
                it.begin(|mac| checked((crypto().EVP_MAC_init)(mac.as_ptr(), key, key_len, params)))
            })
        }
    })
}

unsafe extern "C" fn set_ctx_params(it: *mut c_void, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { mac(it) };
        // SAFETY: OpenSSL's.
        unsafe {
            with_params(it, params, |it, params| {
                checked((crypto().EVP_MAC_CTX_set_params)(
                    it.sink().as_ptr(),
                    params,
                ))
            })
        }
    })
}

unsafe extern "C" fn get_ctx_params(it: *mut c_void, params: *mut Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's: the context, and the caller's parameters.
        unsafe {
            checked((crypto().EVP_MAC_CTX_get_params)(
                mac(it).sink().as_ptr(),
                params,
            ))
        }
    })
}

unsafe extern "C" fn get_params(params: *mut Param) -> c_int {
    entry(|| {
        let hmac = hmac()?;
        // SAFETY: a MAC, and the caller's parameters.
        checked(unsafe { (crypto().EVP_MAC_get_params)(hmac, params) })
    })
}

/// One of the default provider's own lists, which are constant.
fn list(of: unsafe extern "C" fn(Ptr) -> *const Param) -> *const Param {
    let mut list = ptr::null();
    entry(|| {
        let hmac = hmac()?;
        // SAFETY: a MAC.
        list = unsafe { of(hmac) };
        Ok(())
    });
    list
}

unsafe extern "C" fn gettable_params(_provider: *mut c_void) -> *const Param {
    list(crypto().EVP_MAC_gettable_params)
}

unsafe extern "C" fn gettable_ctx_params(_: *mut c_void, _provider: *mut c_void) -> *const Param {
    list(crypto().EVP_MAC_gettable_ctx_params)
}

unsafe extern "C" fn settable_ctx_params(_: *mut c_void, _provider: *mut c_void) -> *const Param {
    list(crypto().EVP_MAC_settable_ctx_params)
}

static FUNCTIONS: [Dispatch; 13] = [
    Dispatch::new(id::NEWCTX, new as *const c_void),
    Dispatch::new(id::DUPCTX, stream::duplicate::<MacCtx> as *const c_void),
    Dispatch::new(id::FREECTX, stream::free::<MacCtx> as *const c_void),
    Dispatch::new(id::INIT, init as *const c_void),
    Dispatch::new(id::UPDATE, stream::update::<MacCtx> as *const c_void),
    Dispatch::new(id::FINAL, stream::finish::<MacCtx> as *const c_void),
    Dispatch::new(id::GET_PARAMS, get_params as *const c_void),
    Dispatch::new(id::GET_CTX_PARAMS, get_ctx_params as *const c_void),
    Dispatch::new(id::SET_CTX_PARAMS, set_ctx_params as *const c_void),
    Dispatch::new(id::GETTABLE_PARAMS, gettable_params as *const c_void),
    Dispatch::new(
        id::GETTABLE_CTX_PARAMS,
        gettable_ctx_params as *const c_void,
    ),
    Dispatch::new(
        id::SETTABLE_CTX_PARAMS,
        settable_ctx_params as *const c_void,
    ),
    Dispatch::END,
];

/// All of them.
pub(crate) static ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        names: c"HMAC".as_ptr(),
        properties: PROPERTIES,
        functions: FUNCTIONS.as_ptr(),
        description: c"on the simulated accelerator".as_ptr(),
    },
    Algorithm::END,
];
