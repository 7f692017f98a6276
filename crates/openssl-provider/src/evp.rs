//! libcrypto's objects with owners: in a library context of our own, with the default provider alone in it, so
//! that what we fetch is never ourselves.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::OnceLock;

use crate::libcrypto::{Ptr, Str, crypto};

/// What every object is fetched with.
pub(crate) const DEFAULT: Str = c"provider=default".as_ptr();

/// A pointer that is only handed to libcrypto.
pub(crate) struct Shared(pub(crate) Ptr);

// SAFETY: made for objects that libcrypto lets any thread use: library contexts and fetched algorithms.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The library context.
pub(crate) fn library_context() -> Result<Ptr, String> {
    Ok(ours()?.context.0)
}

/// The default provider in it.
pub(crate) fn default_provider() -> Result<Ptr, String> {
    Ok(ours()?.default.0)
}

/// What we fetch from.
struct Ours {
    context: Shared,
    default: Shared,
}

/// Made once, and never freed: what is computed with it may end later than everything else.
fn ours() -> Result<&'static Ours, String> {
    static OURS: OnceLock<Result<Ours, &'static str>> = OnceLock::new();
    let made = OURS.get_or_init(|| {
        let crypto = crypto();
        // SAFETY: it takes nothing.
        let context = unsafe { (crypto.OSSL_LIB_CTX_new)() };
        if context.is_null() {
            return Err("simaccel: no memory for a library context");
        }
        // SAFETY: a context of our own.
        let default = unsafe { (crypto.OSSL_PROVIDER_load)(context, c"default".as_ptr()) };
        if default.is_null() {
            return Err("simaccel: libcrypto has no default provider, which computes the results");
        }
        Ok(Ours {
            context: Shared(context),
            default: Shared(default),
        })
    });
    made.as_ref().map_err(|error| (*error).to_owned())
}

/// What libcrypto said when it gave no object, or 0.
pub(crate) fn failed(what: &str) -> String {
    format!("simaccel: {what}: {}", crate::error::newest())
}

/// Whether libcrypto has done what it was asked on this thread. If not, its own errors are in the queue and say why,
/// as they would without us: nothing is added.
pub(crate) fn checked(done: c_int) -> Result<(), String> {
    if done > 0 { Ok(()) } else { Err(String::new()) }
}

/// An owner of one kind of object.
macro_rules! owned {
    ($(#[$doc:meta])* $name:ident: $free:ident) => {
        $(#[$doc])*
        pub(crate) struct $name(Ptr);

        // SAFETY: libcrypto's object of this kind may be used by any thread, one at a time; and this is its only
        // owner, or it counts its owners.
        unsafe impl Send for $name {}

        impl $name {
            /// Owns what libcrypto has made; the error is why it has not.
            ///
            /// # Safety
            ///
            /// Null, or an object of this kind that belongs to the caller.
            pub(crate) unsafe fn own(object: Ptr, what: &str) -> Result<$name, String> {
                if object.is_null() {
                    return Err(failed(what));
                }
                Ok($name(object))
            }

            /// For libcrypto's functions. Good as long as this is.
            pub(crate) fn as_ptr(&self) -> Ptr {
                self.0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: ours, and used no more.
                unsafe { (crypto().$free)(self.0) }
            }
        }
    };
}

owned!(
    /// `EVP_MD_CTX`: a digest, or a signature, under way.
    MdCtx: EVP_MD_CTX_free
);

impl MdCtx {
    /// An empty one.
    pub(crate) fn new() -> Result<MdCtx, String> {
        // SAFETY: a new object.
        unsafe { MdCtx::own((crypto().EVP_MD_CTX_new)(), "a digest's context") }
    }

    /// Another one in the same state.
    pub(crate) fn duplicate(&self) -> Result<MdCtx, String> {
        let copy = MdCtx::new()?;
        // SAFETY: two contexts of ours.
        match unsafe { (crypto().EVP_MD_CTX_copy_ex)(copy.as_ptr(), self.as_ptr()) } {
            1 => Ok(copy),
            _ => Err(failed("a digest's copy")),
        }
    }
}

owned!(
    /// `EVP_PKEY`: a key. What uses a key does not change it; so threads share one.
    Pkey: EVP_PKEY_free
);

// SAFETY: libcrypto's keys have locks for what they keep beside their numbers. They are changed only by
// `EVP_PKEY_set_params` and the like, which OpenSSL's users call when nobody else has the key.
unsafe impl Sync for Pkey {}

owned!(
    /// `EVP_PKEY_CTX`: an operation with a key, set up.
    PkeyCtx: EVP_PKEY_CTX_free
);

impl PkeyCtx {
    /// An operation with `key`, which it keeps.
    pub(crate) fn of(key: &Pkey) -> Result<PkeyCtx, String> {
        let context = library_context()?;
        // SAFETY: a key and a context of ours; a new object.
        unsafe {
            let made = (crypto().EVP_PKEY_CTX_new_from_pkey)(context, key.as_ptr(), DEFAULT);
            PkeyCtx::own(made, "an operation's context")
        }
    }

    /// For keys of this type that are yet to be made.
    pub(crate) fn of_type(name: &CStr) -> Result<PkeyCtx, String> {
        let context = library_context()?;
        // SAFETY: a context of ours, and strings that end with a zero; a new object.
        unsafe {
            let made = (crypto().EVP_PKEY_CTX_new_from_name)(context, name.as_ptr(), DEFAULT);
            PkeyCtx::own(made, "a key type's context")
        }
    }

    /// Another one in the same state.
    pub(crate) fn duplicate(&self) -> Result<PkeyCtx, String> {
        // SAFETY: a context of ours; a new object.
        unsafe {
            let made = (crypto().EVP_PKEY_CTX_dup)(self.as_ptr());
            PkeyCtx::own(made, "an operation's copy")
        }
    }
}

/// Runs what may fail as a matter of course, and leaves this thread's error queue as it was.
pub(crate) fn quietly<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: they take nothing, and are paired.
    unsafe { (crypto().ERR_set_mark)() };
    let result = run();
    // SAFETY: as above.
    unsafe { (crypto().ERR_pop_to_mark)() };
    result
}

/// 1 is libcrypto's yes; anything else an error in its queue.
pub(crate) fn check(yes: std::ffi::c_int, what: &str) -> Result<(), String> {
    if yes == 1 { Ok(()) } else { Err(failed(what)) }
}

owned!(
    /// `EVP_CIPHER_CTX`: a cipher under way.
    CipherCtx: EVP_CIPHER_CTX_free
);

impl CipherCtx {
    /// One for this `EVP_CIPHER`, without a key.
    pub(crate) fn new(cipher: Ptr) -> Result<CipherCtx, String> {
        let crypto = crypto();
        // SAFETY: a new object.
        let made = unsafe { CipherCtx::own((crypto.EVP_CIPHER_CTX_new)(), "a cipher's context") }?;
        // SAFETY: a context of ours, and a cipher; the rest is left out.
        checked(unsafe {
            (crypto.EVP_CipherInit_ex2)(
                made.as_ptr(),
                cipher,
                ptr::null(),
                ptr::null(),
                1,
                ptr::null(),
            )
        })?;
        Ok(made)
    }

    /// Another one in the same state.
    pub(crate) fn duplicate(&self) -> Result<CipherCtx, String> {
        let crypto = crypto();
        // SAFETY: a new object.
        let copy = unsafe { CipherCtx::own((crypto.EVP_CIPHER_CTX_new)(), "a cipher's context") }?;
        // SAFETY: two contexts of ours.
        checked(unsafe { (crypto.EVP_CIPHER_CTX_copy)(copy.as_ptr(), self.as_ptr()) })?;
        Ok(copy)
    }
}

owned!(
    /// `EVP_MAC_CTX`: a MAC under way.
    MacCtx: EVP_MAC_CTX_free
);

impl MacCtx {
    /// One for this `EVP_MAC`, without a key.
    pub(crate) fn new(mac: Ptr) -> Result<MacCtx, String> {
        // SAFETY: a new object.
        unsafe { MacCtx::own((crypto().EVP_MAC_CTX_new)(mac), "a MAC's context") }
    }

    /// Another one in the same state.
    pub(crate) fn duplicate(&self) -> Result<MacCtx, String> {
        // SAFETY: a new object, made of one of ours.
        unsafe { MacCtx::own((crypto().EVP_MAC_CTX_dup)(self.as_ptr()), "a MAC's copy") }
    }
}

/// An algorithm that was fetched, and is kept. A fetch that has failed, for want of memory say, is tried again.
pub(crate) struct Fetched(OnceLock<Shared>);

impl Fetched {
    pub(crate) const fn new() -> Fetched {
        Fetched(OnceLock::new())
    }

    /// The algorithm, by one of libcrypto's `EVP_*_fetch`.
    pub(crate) fn get(
        &self,
        fetch: unsafe extern "C" fn(Ptr, Str, Str) -> Ptr,
        name: &CStr,
    ) -> Result<Ptr, String> {
        if let Some(found) = self.0.get() {
            return Ok(found.0);
        }
        // SAFETY: a context of ours, and strings that end with a zero.
        let found = unsafe { fetch(library_context()?, name.as_ptr(), DEFAULT) };
        if found.is_null() {
            return Err(failed(&name.to_string_lossy()));
        }
        // Another thread may have fetched it too: the same algorithm, one reference more.
        Ok(self.0.get_or_init(|| Shared(found)).0)
    }
}

/// For arguments that are left out.
pub(crate) const NONE: Ptr = ptr::null_mut();
