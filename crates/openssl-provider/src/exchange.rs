//! The secret that two EC keys share: on the device for P-256, here for other curves.

use std::ffi::{c_int, c_void};

use crate::abi::{Algorithm, BytesMut, Dispatch, Param, keyexch as id};
use crate::asym::{self, Inner, context, with_key};
use crate::config::Class;
use crate::entry;
use crate::evp::check;
use crate::keys;
use crate::libcrypto::crypto;
use crate::provider::PROPERTIES;

unsafe extern "C" fn init(it: *mut c_void, key: *mut c_void, params: *const Param) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        context(it).begin(key, |key| {
            with_key(key, crypto().EVP_PKEY_derive_init_ex, params)
        })
    })
}

unsafe extern "C" fn set_peer(it: *mut c_void, peer: *mut c_void) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let (it, peer) = unsafe { (context(it), keys::key(peer).numbers()) };
        let peer = peer.ok_or("simaccel: the other side's key is empty")?;
        it.at_once(|inner| match inner {
            Inner::Key(context) => {
                // SAFETY: a context and a key of ours; it counts a reference to the key.
                let done = unsafe {
                    (crypto().EVP_PKEY_derive_set_peer)(context.as_ptr(), peer.key.as_ptr())
                };
                check(done, "the other side's key")
            }
            Inner::Digest(_) => Err("simaccel: it was not set up to derive".to_owned()),
        })
    })
}

unsafe extern "C" fn derive(it: *mut c_void, out: BytesMut, len: *mut usize, room: usize) -> c_int {
    fn compute(inner: &Inner, out: BytesMut, len: &mut usize, _: &[u8]) -> c_int {
        match inner {
            // SAFETY: a context of ours, and room for `len` bytes unless null asks how many.
            Inner::Key(context) => unsafe {
                (crypto().EVP_PKEY_derive)(context.as_ptr(), out, len)
            },
            Inner::Digest(_) => 0,
        }
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe {
        let it = context(it);
        let kind = it.kind(Class::Derive, out, |key| key.derive);
        it.compute(kind, compute, &[], (out, len, room))
    })
}

static FUNCTIONS: [Dispatch; 11] = [
    Dispatch::new(id::NEWCTX, asym::new as *const c_void),
    Dispatch::new(id::FREECTX, asym::free as *const c_void),
    Dispatch::new(id::DUPCTX, asym::duplicate as *const c_void),
    Dispatch::new(id::INIT, init as *const c_void),
    Dispatch::new(id::SET_PEER, set_peer as *const c_void),
    Dispatch::new(id::DERIVE, derive as *const c_void),
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
        names: c"ECDH".as_ptr(),
        properties: PROPERTIES,
        functions: FUNCTIONS.as_ptr(),
        description: c"ECDH on the simulated accelerator".as_ptr(),
    },
    Algorithm::END,
];
