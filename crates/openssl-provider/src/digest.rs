//! Digests: SHA-256, SHA-384, SHA-512.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use offload::OpKind;

use crate::abi::{Algorithm, Bytes, Dispatch, Param, digest as id};
use crate::config::Class;
use crate::entry;
use crate::evp::{Fetched, MdCtx, checked};
use crate::libcrypto::{Ptr, crypto};
use crate::provider::{self, PROPERTIES};
use crate::stream::{self, LONGEST, Sink, Stream};

/// One of the digests.
trait Digest {
    const NAME: &'static CStr;
    /// What the device takes it for.
    const KIND: OpKind;
    fn fetched() -> &'static Fetched;
}

impl Sink for MdCtx {
    const CLASS: Class = Class::Digest;
    const WHAT: &'static str = "digest";

    fn new() -> Result<MdCtx, String> {
        MdCtx::new()
    }

    fn duplicate(&self) -> Result<MdCtx, String> {
        MdCtx::duplicate(self)
    }

    unsafe fn update(&self, data: Bytes, len: usize) -> Result<(), String> {
        // SAFETY: a context of ours, and the caller's bytes.
        checked(unsafe { (crypto().EVP_DigestUpdate)(self.as_ptr(), data.cast(), len) })
    }

    fn finish(&self, result: &mut [u8; LONGEST]) -> Result<usize, String> {
        let mut len: c_uint = 0;
        // SAFETY: a context of ours, and room for the longest digest there is.
        checked(unsafe {
            (crypto().EVP_DigestFinal_ex)(self.as_ptr(), result.as_mut_ptr(), &raw mut len)
        })?;
        Ok(len as usize)
    }
}

unsafe extern "C" fn new<D: Digest>(provider: *mut c_void) -> *mut c_void {
    stream::make(|| {
        // SAFETY: OpenSSL's.
        let provider = unsafe { provider::of(provider) };
        Stream::<MdCtx>::new(provider, D::KIND)
    })
}

unsafe extern "C" fn init<D: Digest>(it: *mut c_void, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { stream::stream::<MdCtx>(it) };
        let digest = D::fetched().get(crypto().EVP_MD_fetch, D::NAME)?;
        it.begin(|md| {
            // SAFETY: a context of ours, a digest, and the caller's parameters.
            checked(unsafe { (crypto().EVP_DigestInit_ex2)(md.as_ptr(), digest, params) })
        })
    })
}

unsafe extern "C" fn get_params<D: Digest>(params: *mut Param) -> c_int {
    entry(|| {
        let digest = D::fetched().get(crypto().EVP_MD_fetch, D::NAME)?;
        // SAFETY: a digest, and the caller's parameters.
        checked(unsafe { (crypto().EVP_MD_get_params)(digest, params) })
    })
}

unsafe extern "C" fn gettable_params<D: Digest>(_provider: *mut c_void) -> *const Param {
    let mut list = ptr::null();
    entry(|| {
        let digest: Ptr = D::fetched().get(crypto().EVP_MD_fetch, D::NAME)?;
        // SAFETY: a digest. The list is the default provider's own, and constant.
        list = unsafe { (crypto().EVP_MD_gettable_params)(digest) };
        Ok(())
    });
    list
}

/// The functions of one digest.
const fn functions<D: Digest>() -> [Dispatch; 9] {
    [
        Dispatch::new(id::NEWCTX, new::<D> as *const c_void),
        Dispatch::new(id::FREECTX, stream::free::<MdCtx> as *const c_void),
        Dispatch::new(id::DUPCTX, stream::duplicate::<MdCtx> as *const c_void),
        Dispatch::new(id::INIT, init::<D> as *const c_void),
        Dispatch::new(id::UPDATE, stream::update::<MdCtx> as *const c_void),
        Dispatch::new(id::FINAL, stream::finish::<MdCtx> as *const c_void),
        Dispatch::new(id::GET_PARAMS, get_params::<D> as *const c_void),
        Dispatch::new(id::GETTABLE_PARAMS, gettable_params::<D> as *const c_void),
        Dispatch::END,
    ]
}

macro_rules! digests {
    ($($name:ident: $c_name:literal, $names:literal, $kind:ident;)*) => {
        $(
            struct $name;

            impl Digest for $name {
                const NAME: &'static CStr = $c_name;
                const KIND: OpKind = OpKind::$kind;

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
                    static FUNCTIONS: [Dispatch; 9] = functions::<$name>();
                    FUNCTIONS.as_ptr()
                },
                description: c"on the simulated accelerator".as_ptr(),
            },)*
            Algorithm::END,
        ];
    };
}

digests! {
    Sha256: c"SHA256", c"SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1", Sha256;
    Sha384: c"SHA384", c"SHA2-384:SHA-384:SHA384:2.16.840.1.101.3.4.2.2", Sha512;
    Sha512: c"SHA512", c"SHA2-512:SHA-512:SHA512:2.16.840.1.101.3.4.2.3", Sha512;
}
