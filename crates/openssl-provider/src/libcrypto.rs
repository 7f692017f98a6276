//! libcrypto's functions: found at run time in the very library that loads this one, never linked.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute_copy;
use std::sync::OnceLock;

use crate::abi::{Bytes, BytesMut, Param, ParamCallback};

/// A pointer to one of libcrypto's objects.
pub(crate) type Ptr = *mut c_void;
/// A string of C's.
pub(crate) type Str = *const c_char;

/// `ASYNC_callback_fn`.
pub(crate) type AsyncCallback = unsafe extern "C" fn(arg: *mut c_void) -> c_int;
/// What cleans a wait fd up.
pub(crate) type FdCleanup =
    unsafe extern "C" fn(ctx: Ptr, key: *const c_void, fd: c_int, data: *mut c_void);

macro_rules! functions {
    ($table:ident: $($name:ident: fn($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        /// Functions, each under its C name.
        #[allow(non_snake_case, reason = "the names are C's")]
        pub(crate) struct $table {
            $(pub(crate) $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl $table {
            /// # Safety
            ///
            /// `library` is open, and is an OpenSSL 3's libcrypto or has its functions.
            unsafe fn find(library: *mut c_void) -> Result<$table, &'static CStr> {
                Ok($table {
                    $($name: {
                        const NAME: &CStr = {
                            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                                Ok(name) => name,
                                Err(_) => panic!(),
                            }
                        };
                        // SAFETY: the type is that of OpenSSL's headers, by the caller's word.
                        unsafe { function(library, NAME) }.ok_or(NAME)?
                    },)*
                })
            }
        }
    };
}

functions!(Crypto:
    OSSL_LIB_CTX_new: fn() -> Ptr;
    OSSL_PROVIDER_load: fn(Ptr, Str) -> Ptr;
    OSSL_PROVIDER_get_capabilities: fn(Ptr, Str, ParamCallback, *mut c_void) -> c_int;
    OPENSSL_atexit: fn(extern "C" fn()) -> c_int;
    RAND_set_DRBG_type: fn(Ptr, Str, Str, Str, Str) -> c_int;
    ERR_get_next_error_library: fn() -> c_int;
    ERR_new: fn();
    ERR_set_debug: fn(Str, c_int, Str);
    ERR_set_mark: fn() -> c_int;
    ERR_pop_to_mark: fn() -> c_int;
    ERR_peek_last_error: fn() -> std::ffi::c_ulong;
    ERR_error_string_n: fn(std::ffi::c_ulong, *mut c_char, usize);

    EVP_MD_fetch: fn(Ptr, Str, Str) -> Ptr;
    EVP_MD_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_MD_gettable_params: fn(Ptr) -> *const Param;
    EVP_MD_CTX_new: fn() -> Ptr;
    EVP_MD_CTX_free: fn(Ptr);
    EVP_MD_CTX_get_pkey_ctx: fn(Ptr) -> Ptr;
    EVP_MD_CTX_copy_ex: fn(Ptr, Ptr) -> c_int;
    EVP_DigestInit_ex2: fn(Ptr, Ptr, *const Param) -> c_int;
    EVP_DigestUpdate: fn(Ptr, *const c_void, usize) -> c_int;
    EVP_DigestFinal_ex: fn(Ptr, BytesMut, *mut std::ffi::c_uint) -> c_int;

    EVP_CIPHER_fetch: fn(Ptr, Str, Str) -> Ptr;
    EVP_CIPHER_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_CIPHER_gettable_params: fn(Ptr) -> *const Param;
    EVP_CIPHER_gettable_ctx_params: fn(Ptr) -> *const Param;
    EVP_CIPHER_settable_ctx_params: fn(Ptr) -> *const Param;
    EVP_CIPHER_CTX_new: fn() -> Ptr;
    EVP_CIPHER_CTX_free: fn(Ptr);
    EVP_CIPHER_CTX_copy: fn(Ptr, Ptr) -> c_int;
    EVP_CIPHER_CTX_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_CIPHER_CTX_set_params: fn(Ptr, *const Param) -> c_int;
    EVP_CipherInit_ex2: fn(Ptr, Ptr, Bytes, Bytes, c_int, *const Param) -> c_int;
    EVP_CipherUpdate: fn(Ptr, BytesMut, *mut c_int, Bytes, c_int) -> c_int;
    EVP_CipherFinal_ex: fn(Ptr, BytesMut, *mut c_int) -> c_int;
    EVP_Cipher: fn(Ptr, BytesMut, Bytes, std::ffi::c_uint) -> c_int;

    EVP_MAC_fetch: fn(Ptr, Str, Str) -> Ptr;
    EVP_MAC_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_MAC_gettable_params: fn(Ptr) -> *const Param;
    EVP_MAC_gettable_ctx_params: fn(Ptr) -> *const Param;
    EVP_MAC_settable_ctx_params: fn(Ptr) -> *const Param;
    EVP_MAC_CTX_new: fn(Ptr) -> Ptr;
    EVP_MAC_CTX_free: fn(Ptr);
    EVP_MAC_CTX_dup: fn(Ptr) -> Ptr;
    EVP_MAC_CTX_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_MAC_CTX_set_params: fn(Ptr, *const Param) -> c_int;
    EVP_MAC_init: fn(Ptr, Bytes, usize, *const Param) -> c_int;
    EVP_MAC_update: fn(Ptr, Bytes, usize) -> c_int;
    EVP_MAC_final: fn(Ptr, BytesMut, *mut usize, usize) -> c_int;

    EVP_KEYMGMT_fetch: fn(Ptr, Str, Str) -> Ptr;
    EVP_KEYMGMT_gettable_params: fn(Ptr) -> *const Param;
    EVP_KEYMGMT_settable_params: fn(Ptr) -> *const Param;
    EVP_KEYMGMT_gen_settable_params: fn(Ptr) -> *const Param;
    EVP_PKEY_free: fn(Ptr);
    EVP_PKEY_dup: fn(Ptr) -> Ptr;
    EVP_PKEY_eq: fn(Ptr, Ptr) -> c_int;
    EVP_PKEY_parameters_eq: fn(Ptr, Ptr) -> c_int;
    EVP_PKEY_get_bits: fn(Ptr) -> c_int;
    EVP_PKEY_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_PKEY_set_params: fn(Ptr, *mut Param) -> c_int;
    EVP_PKEY_get_bn_param: fn(Ptr, Str, *mut Ptr) -> c_int;
    EVP_PKEY_get_octet_string_param: fn(Ptr, Str, BytesMut, usize, *mut usize) -> c_int;
    EVP_PKEY_get_utf8_string_param: fn(Ptr, Str, *mut c_char, usize, *mut usize) -> c_int;
    EVP_PKEY_export: fn(Ptr, c_int, ParamCallback, *mut c_void) -> c_int;
    EVP_PKEY_fromdata_init: fn(Ptr) -> c_int;
    EVP_PKEY_fromdata_settable: fn(Ptr, c_int) -> *const Param;
    EVP_PKEY_fromdata: fn(Ptr, *mut Ptr, c_int, *const Param) -> c_int;
    EVP_PKEY_CTX_new_from_name: fn(Ptr, Str, Str) -> Ptr;
    EVP_PKEY_CTX_new_from_pkey: fn(Ptr, Ptr, Str) -> Ptr;
    EVP_PKEY_CTX_dup: fn(Ptr) -> Ptr;
    EVP_PKEY_CTX_free: fn(Ptr);
    EVP_PKEY_CTX_get_params: fn(Ptr, *mut Param) -> c_int;
    EVP_PKEY_CTX_set_params: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_CTX_gettable_params: fn(Ptr) -> *const Param;
    EVP_PKEY_CTX_settable_params: fn(Ptr) -> *const Param;
    EVP_PKEY_check: fn(Ptr) -> c_int;
    EVP_PKEY_public_check: fn(Ptr) -> c_int;
    EVP_PKEY_param_check: fn(Ptr) -> c_int;
    EVP_PKEY_private_check: fn(Ptr) -> c_int;
    EVP_PKEY_keygen_init: fn(Ptr) -> c_int;
    EVP_PKEY_paramgen_init: fn(Ptr) -> c_int;
    EVP_PKEY_generate: fn(Ptr, *mut Ptr) -> c_int;
    EVP_PKEY_sign_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_sign: fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int;
    EVP_PKEY_verify_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_verify: fn(Ptr, Bytes, usize, Bytes, usize) -> c_int;
    EVP_PKEY_verify_recover_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_verify_recover: fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int;
    EVP_PKEY_encrypt_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_encrypt: fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int;
    EVP_PKEY_decrypt_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_decrypt: fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int;
    EVP_PKEY_derive_init_ex: fn(Ptr, *const Param) -> c_int;
    EVP_PKEY_derive_set_peer: fn(Ptr, Ptr) -> c_int;
    EVP_PKEY_derive: fn(Ptr, BytesMut, *mut usize) -> c_int;
    EVP_DigestSignInit_ex: fn(Ptr, *mut Ptr, Str, Ptr, Str, Ptr, *const Param) -> c_int;
    EVP_DigestSignUpdate: fn(Ptr, *const c_void, usize) -> c_int;
    EVP_DigestSignFinal: fn(Ptr, BytesMut, *mut usize) -> c_int;
    EVP_DigestSign: fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int;
    EVP_DigestVerifyInit_ex: fn(Ptr, *mut Ptr, Str, Ptr, Str, Ptr, *const Param) -> c_int;
    EVP_DigestVerifyUpdate: fn(Ptr, *const c_void, usize) -> c_int;
    EVP_DigestVerifyFinal: fn(Ptr, Bytes, usize) -> c_int;
    EVP_DigestVerify: fn(Ptr, Bytes, usize, Bytes, usize) -> c_int;
    BN_clear_free: fn(Ptr);
);

functions!(Async:
    ASYNC_get_current_job: fn() -> Ptr;
    ASYNC_get_wait_ctx: fn(Ptr) -> Ptr;
    ASYNC_pause_job: fn() -> c_int;
    ASYNC_WAIT_CTX_set_wait_fd: fn(Ptr, *const c_void, c_int, *mut c_void, FdCleanup) -> c_int;
    ASYNC_WAIT_CTX_get_fd: fn(Ptr, *const c_void, *mut c_int, *mut *mut c_void) -> c_int;
    ASYNC_WAIT_CTX_clear_fd: fn(Ptr, *const c_void) -> c_int;
    ASYNC_WAIT_CTX_get_callback: fn(Ptr, *mut Option<AsyncCallback>, *mut *mut c_void) -> c_int;
    ASYNC_WAIT_CTX_set_status: fn(Ptr, c_int) -> c_int;
);

/// Those with variable arguments.
pub(crate) struct Variadic {
    pub(crate) set_error: unsafe extern "C" fn(c_int, c_int, Str, ...),
}

/// All that is needed of libcrypto.
pub(crate) struct Libcrypto {
    pub(crate) crypto: Crypto,
    pub(crate) jobs: Async,
    pub(crate) variadic: Variadic,
}

static LIBCRYPTO: OnceLock<Libcrypto> = OnceLock::new();

/// The functions. Found by [`load`], before anything else of this crate runs.
#[inline]
pub(crate) fn get() -> &'static Libcrypto {
    match LIBCRYPTO.get() {
        Some(found) => found,
        None => unreachable!("the provider was initialised first"),
    }
}

/// The functions of EVP and the like.
#[inline]
pub(crate) fn crypto() -> &'static Crypto {
    &get().crypto
}

/// Why libcrypto was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFound {
    /// The caller is in no library that the loader knows.
    #[error("the library that loads the provider is not known to the dynamic loader")]
    Library,
    /// It lacks a function.
    #[error("libcrypto has no {0:?}; the provider needs OpenSSL 3.0 or newer, with ASYNC jobs")]
    Function(&'static CStr),
}

/// Finds libcrypto's functions. `of_core` is the address of one of its functions: so they are those of the
/// library that called, also where a program has loaded it for itself (`RTLD_LOCAL`), or more than one.
///
/// The `ASYNC_*` functions are those of async-capi where that is preloaded.
pub(crate) fn load(of_core: *const c_void) -> Result<(), NotFound> {
    if LIBCRYPTO.get().is_some() {
        return Ok(());
    }
    // SAFETY: it fills the record in, which may be all zeros before.
    let library = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(of_core, &raw mut info) == 0 || info.dli_fname.is_null() {
            return Err(NotFound::Library);
        }
        let found = libc::dlopen(info.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        // A program that has libcrypto linked in is not found by name.
        if found.is_null() {
            libc::dlopen(std::ptr::null(), libc::RTLD_LAZY)
        } else {
            found
        }
    };
    if library.is_null() {
        return Err(NotFound::Library);
    }
    // SAFETY: looks a name up.
    let ours = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"async_capi_version".as_ptr()) };
    let jobs = if ours.is_null() {
        library
    } else {
        libc::RTLD_DEFAULT
    };
    // SAFETY: the libraries are open and stay so, as nothing closes them; the types are those of OpenSSL 3's headers.
    let found = unsafe {
        Libcrypto {
            crypto: Crypto::find(library).map_err(NotFound::Function)?,
            jobs: Async::find(jobs).map_err(NotFound::Function)?,
            variadic: Variadic {
                set_error: function(library, c"ERR_set_error")
                    .ok_or(NotFound::Function(c"ERR_set_error"))?,
            },
        }
    };
    // Another thread may have found the same.
    let _ = LIBCRYPTO.set(found);
    Ok(())
}

/// # Safety
///
/// `library` is open, or `RTLD_DEFAULT`, and `F` is the type of its C function of that name.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the caller's.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    // SAFETY: not null, so it is the address of that function, and `F` is a pointer to it.
    (!address.is_null()).then(|| unsafe { transmute_copy(&address) })
}
