//! Making keys.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use super::{Key, KeyType, into_data, key, list, part};
use crate::abi::{Param, ParamCallback};
use crate::entry;
use crate::evp::{NONE, Pkey, PkeyCtx, check};
use crate::libcrypto::crypto;

/// A key to be made.
struct Making {
    context: PkeyCtx,
    type_name: &'static CStr,
}

/// # Safety
///
/// What [`gen_init`] has made.
unsafe fn making<'a>(context: *mut c_void) -> &'a mut Making {
    // SAFETY: the caller's.
    unsafe { &mut *context.cast::<Making>() }
}

pub(super) unsafe extern "C" fn gen_init<T: KeyType>(
    _provider: *mut c_void,
    selection: c_int,
    params: *const Param,
) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        let context = PkeyCtx::of_type(T::NAME)?;
        let init = if selection & part::PAIR != 0 {
            crypto().EVP_PKEY_keygen_init
        } else {
            crypto().EVP_PKEY_paramgen_init
        };
        // SAFETY: a context of ours, and the caller's parameters.
        unsafe {
            check(init(context.as_ptr()), "making a key")?;
            if !params.is_null() {
                let set = crypto().EVP_PKEY_CTX_set_params;
                check(set(context.as_ptr(), params), "making a key")?;
            }
        }
        let making = Making {
            context,
            type_name: T::NAME,
        };
        made = Box::into_raw(Box::new(making)).cast();
        Ok(())
    });
    made
}

pub(super) unsafe extern "C" fn gen_set_template(
    context: *mut c_void,
    template: *mut c_void,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let (making, numbers) = unsafe { (making(context), key(template).some_numbers()?) };
        let context = PkeyCtx::of(&numbers.key)?;
        // SAFETY: a context of ours.
        let done = unsafe { (crypto().EVP_PKEY_keygen_init)(context.as_ptr()) };
        check(done, "making a key")?;
        making.context = context;
        Ok(())
    })
}

pub(super) unsafe extern "C" fn gen_set_params(
    context: *mut c_void,
    params: *const Param,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's, with its parameters.
        let done =
            unsafe { (crypto().EVP_PKEY_CTX_set_params)(making(context).context.as_ptr(), params) };
        check(done, "making a key")
    })
}

pub(super) unsafe extern "C" fn gen_settable_params<T: KeyType>(
    _context: *mut c_void,
    _provider: *mut c_void,
) -> *const Param {
    list::<T>(crypto().EVP_KEYMGMT_gen_settable_params)
}

pub(super) unsafe extern "C" fn generate(
    context: *mut c_void,
    _progress: Option<ParamCallback>,
    _arg: *mut c_void,
) -> *mut c_void {
    let mut data = ptr::null_mut();
    entry(|| {
        // SAFETY: OpenSSL's.
        let making = unsafe { making(context) };
        let mut made = NONE;
        // SAFETY: a context of ours; what is made is ours.
        let made = unsafe {
            let done = (crypto().EVP_PKEY_generate)(making.context.as_ptr(), &raw mut made);
            check(done, "making a key")?;
            Pkey::own(made, "making a key")?
        };
        let key = Key::empty(making.type_name);
        key.set(made);
        data = into_data(key);
        Ok(())
    });
    data
}

pub(super) unsafe extern "C" fn gen_cleanup(context: *mut c_void) {
    if !context.is_null() {
        entry(|| {
            // SAFETY: OpenSSL's: made by `gen_init`, and used no more.
            drop(unsafe { Box::from_raw(context.cast::<Making>()) });
            Ok(())
        });
    }
}
