//! What OpenSSL 3 and a provider say to each other: the records and numbers of `openssl/core.h` and
//! `openssl/core_dispatch.h`. A test compares each number with the headers.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};
use std::ptr;

/// `OSSL_DISPATCH`: one function of a table that ends with the id 0.
#[repr(C)]
pub(crate) struct Dispatch {
    pub(crate) id: c_int,
    /// The function, of the type that its id says.
    pub(crate) function: *const c_void,
}

// SAFETY: the tables are constants, and functions can be called from any thread.
unsafe impl Sync for Dispatch {}

impl Dispatch {
    /// The end of a table.
    pub(crate) const END: Dispatch = Dispatch {
        id: 0,
        function: ptr::null(),
    };

    /// A function under its id. `function` is an `extern "C"` function of the type that
    /// `core_dispatch.h` gives for the id.
    pub(crate) const fn new(id: c_int, function: *const c_void) -> Dispatch {
        Dispatch { id, function }
    }
}

/// `OSSL_ALGORITHM`: one algorithm of a list that ends with null names.
#[repr(C)]
pub(crate) struct Algorithm {
    pub(crate) names: *const c_char,
    pub(crate) properties: *const c_char,
    pub(crate) functions: *const Dispatch,
    pub(crate) description: *const c_char,
}

// SAFETY: all pointers are to constants.
unsafe impl Sync for Algorithm {}

impl Algorithm {
    /// The end of a list.
    pub(crate) const END: Algorithm = Algorithm {
        names: ptr::null(),
        properties: ptr::null(),
        functions: ptr::null(),
        description: ptr::null(),
    };
}

/// `OSSL_PARAM`: one value of a list that ends with a null key.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Param {
    pub(crate) key: *const c_char,
    pub(crate) data_type: c_uint,
    pub(crate) data: *mut c_void,
    pub(crate) data_size: usize,
    pub(crate) return_size: usize,
}

// SAFETY: shared ones are constants that describe parameters, without data.
unsafe impl Sync for Param {}

impl Param {
    /// The end of a list.
    pub(crate) const END: Param = Param {
        key: ptr::null(),
        data_type: 0,
        data: ptr::null_mut(),
        data_size: 0,
        return_size: 0,
    };
}

pub(crate) const PARAM_INTEGER: c_uint = 1;
pub(crate) const PARAM_UTF8_STRING: c_uint = 4;
pub(crate) const PARAM_UTF8_PTR: c_uint = 6;
/// A size that has not been set.
pub(crate) const PARAM_UNMODIFIED: usize = usize::MAX;

/// Names the numbers of one kind.
macro_rules! numbers {
    ($module:ident: $($name:ident = $number:literal,)*) => {
        #[allow(dead_code, reason = "whole lists, as the headers have them")]
        pub(crate) mod $module {
            $(pub(crate) const $name: std::ffi::c_int = $number;)*
            /// All of them, for the test.
            #[cfg(test)]
            pub(crate) const ALL: &[(&str, std::ffi::c_int)] = &[$((stringify!($name), $name)),*];
        }
    };
}

numbers!(operation:
    DIGEST = 1,
    CIPHER = 2,
    MAC = 3,
    KEYMGMT = 10,
    KEYEXCH = 11,
    SIGNATURE = 12,
    ASYM_CIPHER = 13,
);

numbers!(core:
    CORE_GET_PARAMS = 2,
    CORE_GET_LIBCTX = 4,
);

numbers!(provider:
    PROVIDER_TEARDOWN = 1024,
    PROVIDER_GETTABLE_PARAMS = 1025,
    PROVIDER_GET_PARAMS = 1026,
    PROVIDER_QUERY_OPERATION = 1027,
    PROVIDER_GET_CAPABILITIES = 1030,
);

numbers!(digest:
    NEWCTX = 1,
    INIT = 2,
    UPDATE = 3,
    FINAL = 4,
    DIGEST = 5,
    FREECTX = 6,
    DUPCTX = 7,
    GET_PARAMS = 8,
    SET_CTX_PARAMS = 9,
    GET_CTX_PARAMS = 10,
    GETTABLE_PARAMS = 11,
    SETTABLE_CTX_PARAMS = 12,
    GETTABLE_CTX_PARAMS = 13,
);

numbers!(cipher:
    NEWCTX = 1,
    ENCRYPT_INIT = 2,
    DECRYPT_INIT = 3,
    UPDATE = 4,
    FINAL = 5,
    CIPHER = 6,
    FREECTX = 7,
    DUPCTX = 8,
    GET_PARAMS = 9,
    GET_CTX_PARAMS = 10,
    SET_CTX_PARAMS = 11,
    GETTABLE_PARAMS = 12,
    GETTABLE_CTX_PARAMS = 13,
    SETTABLE_CTX_PARAMS = 14,
);

numbers!(mac:
    NEWCTX = 1,
    DUPCTX = 2,
    FREECTX = 3,
    INIT = 4,
    UPDATE = 5,
    FINAL = 6,
    GET_PARAMS = 7,
    GET_CTX_PARAMS = 8,
    SET_CTX_PARAMS = 9,
    GETTABLE_PARAMS = 10,
    GETTABLE_CTX_PARAMS = 11,
    SETTABLE_CTX_PARAMS = 12,
);

numbers!(keymgmt:
    NEW = 1,
    GEN_INIT = 2,
    GEN_SET_TEMPLATE = 3,
    GEN_SET_PARAMS = 4,
    GEN_SETTABLE_PARAMS = 5,
    GEN = 6,
    GEN_CLEANUP = 7,
    LOAD = 8,
    FREE = 10,
    GET_PARAMS = 11,
    GETTABLE_PARAMS = 12,
    SET_PARAMS = 13,
    SETTABLE_PARAMS = 14,
    QUERY_OPERATION_NAME = 20,
    HAS = 21,
    VALIDATE = 22,
    MATCH = 23,
    IMPORT = 40,
    IMPORT_TYPES = 41,
    EXPORT = 42,
    EXPORT_TYPES = 43,
    DUP = 44,
);

numbers!(keyexch:
    NEWCTX = 1,
    INIT = 2,
    DERIVE = 3,
    SET_PEER = 4,
    FREECTX = 5,
    DUPCTX = 6,
    SET_CTX_PARAMS = 7,
    SETTABLE_CTX_PARAMS = 8,
    GET_CTX_PARAMS = 9,
    GETTABLE_CTX_PARAMS = 10,
);

numbers!(signature:
    NEWCTX = 1,
    SIGN_INIT = 2,
    SIGN = 3,
    VERIFY_INIT = 4,
    VERIFY = 5,
    VERIFY_RECOVER_INIT = 6,
    VERIFY_RECOVER = 7,
    DIGEST_SIGN_INIT = 8,
    DIGEST_SIGN_UPDATE = 9,
    DIGEST_SIGN_FINAL = 10,
    DIGEST_SIGN = 11,
    DIGEST_VERIFY_INIT = 12,
    DIGEST_VERIFY_UPDATE = 13,
    DIGEST_VERIFY_FINAL = 14,
    DIGEST_VERIFY = 15,
    FREECTX = 16,
    DUPCTX = 17,
    GET_CTX_PARAMS = 18,
    GETTABLE_CTX_PARAMS = 19,
    SET_CTX_PARAMS = 20,
    SETTABLE_CTX_PARAMS = 21,
    GET_CTX_MD_PARAMS = 22,
    GETTABLE_CTX_MD_PARAMS = 23,
    SET_CTX_MD_PARAMS = 24,
    SETTABLE_CTX_MD_PARAMS = 25,
);

numbers!(asym_cipher:
    NEWCTX = 1,
    ENCRYPT_INIT = 2,
    ENCRYPT = 3,
    DECRYPT_INIT = 4,
    DECRYPT = 5,
    FREECTX = 6,
    DUPCTX = 7,
    GET_CTX_PARAMS = 8,
    GETTABLE_CTX_PARAMS = 9,
    SET_CTX_PARAMS = 10,
    SETTABLE_CTX_PARAMS = 11,
);

/// `OSSL_FUNC_provider_*` and the like.
pub(crate) type CoreGetParams =
    unsafe extern "C" fn(handle: *const c_void, params: *mut Param) -> c_int;

/// The library context that a provider is loaded into.
pub(crate) type CoreGetLibctx = unsafe extern "C" fn(handle: *const c_void) -> *mut c_void;

/// `OSSL_CALLBACK`.
pub(crate) type ParamCallback =
    unsafe extern "C" fn(params: *const Param, arg: *mut c_void) -> c_int;

/// A buffer of bytes, as C has it.
pub(crate) type Bytes = *const c_uchar;
/// One to write to.
pub(crate) type BytesMut = *mut c_uchar;

#[cfg(test)]
mod tests;
