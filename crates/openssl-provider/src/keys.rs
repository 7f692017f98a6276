//! Keys: RSA, RSA-PSS and EC. Each is one of the default provider's in our own library context, which makes, checks,
//! imports and exports it; the device is asked only for what is done with it.

mod making;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use offload::OpKind;

use crate::abi::{Algorithm, Dispatch, Param, ParamCallback, keymgmt as id, operation};
use crate::entry;
use crate::evp::{Fetched, NONE, Pkey, PkeyCtx, check, quietly};
use crate::libcrypto::{Ptr, crypto};
use crate::provider::PROPERTIES;

/// `OSSL_KEYMGMT_SELECT_*`: parts of a key.
mod part {
    use std::ffi::c_int;

    pub(super) const PRIVATE: c_int = 0x01;
    pub(super) const PUBLIC: c_int = 0x02;
    pub(super) const DOMAIN: c_int = 0x04;
    pub(super) const OTHER: c_int = 0x80;
    pub(super) const PAIR: c_int = PRIVATE | PUBLIC;
    pub(super) const ALL: c_int = PAIR | DOMAIN | OTHER;
}

/// A type of keys.
pub(crate) trait KeyType {
    const NAME: &'static CStr;
    fn fetched() -> &'static Fetched;
    /// What an operation with its keys is called.
    fn operation(id: c_int) -> Option<&'static CStr>;
}

/// What OpenSSL calls key data.
pub(crate) struct Key {
    inner: RwLock<Option<Arc<Numbers>>>,
    /// Which of its parts it has; `part`'s bits.
    parts: AtomicI32,
    type_name: &'static CStr,
}

/// The numbers of a key, and what the device takes its operations for: none of those that it does not know are put
/// there.
pub(crate) struct Numbers {
    pub(crate) key: Pkey,
    pub(crate) sign: Option<OpKind>,
    pub(crate) decrypt: Option<OpKind>,
    pub(crate) derive: Option<OpKind>,
}

impl Numbers {
    fn new(key: Pkey) -> Numbers {
        // SAFETY: a key of ours.
        let bits = unsafe { (crypto().EVP_PKEY_get_bits)(key.as_ptr()) };
        let (sign, decrypt, derive) = match group(&key).as_deref() {
            Some("prime256v1") => (Some(OpKind::EcdsaP256Sign), None, Some(OpKind::P256Derive)),
            Some("secp384r1") => (Some(OpKind::EcdsaP384Sign), None, None),
            Some(_) => (None, None, None),
            None => {
                let (sign, decrypt) = match bits {
                    ..2049 => (OpKind::Rsa2048Sign, OpKind::Rsa2048Decrypt),
                    2049..3073 => (OpKind::Rsa3072Sign, OpKind::Rsa3072Decrypt),
                    _ => (OpKind::Rsa4096Sign, OpKind::Rsa4096Decrypt),
                };
                let known = bits <= 4096;
                (known.then_some(sign), known.then_some(decrypt), None)
            }
        };
        Numbers {
            key,
            sign,
            decrypt,
            derive,
        }
    }
}

/// The name of an EC key's curve; none for other keys.
fn group(key: &Pkey) -> Option<String> {
    let mut name = [0_u8; 64];
    let mut len = 0;
    // SAFETY: a key of ours; it writes at most as much as there is room, with a zero at the end.
    let found = quietly(|| unsafe {
        let to: *mut c_char = name.as_mut_ptr().cast();
        let get = crypto().EVP_PKEY_get_utf8_string_param;
        get(
            key.as_ptr(),
            c"group".as_ptr(),
            to,
            name.len(),
            &raw mut len,
        )
    });
    if found != 1 {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    Some(name.to_string_lossy().into_owned())
}

impl Key {
    fn empty(type_name: &'static CStr) -> Key {
        Key {
            inner: RwLock::new(None),
            parts: AtomicI32::new(0),
            type_name,
        }
    }

    /// Its numbers, if it has any yet.
    pub(crate) fn numbers(&self) -> Option<Arc<Numbers>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.clone()
    }

    fn some_numbers(&self) -> Result<Arc<Numbers>, String> {
        self.numbers()
            .ok_or_else(|| "simaccel: the key is empty".to_owned())
    }

    fn set(&self, key: Pkey) {
        let numbers = Numbers::new(key);
        self.parts.store(parts(&numbers.key), Ordering::Relaxed);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        *inner = Some(Arc::new(numbers));
    }

    fn import(&self, selection: c_int, params: *const Param) -> Result<(), String> {
        let context = PkeyCtx::of_type(self.type_name)?;
        let mut made = NONE;
        // SAFETY: a context of ours, and the caller's parameters, which are copied. The key that is made is ours.
        let key = unsafe {
            check(
                (crypto().EVP_PKEY_fromdata_init)(context.as_ptr()),
                "importing a key",
            )?;
            let from_data = crypto().EVP_PKEY_fromdata;
            check(
                from_data(context.as_ptr(), &raw mut made, selection, params),
                "importing a key",
            )?;
            Pkey::own(made, "importing a key")?
        };
        self.set(key);
        Ok(())
    }
}

/// Which parts a key has.
fn parts(key: &Pkey) -> c_int {
    let has_number = |name: &CStr| {
        let mut number = NONE;
        // SAFETY: a key of ours; the number that is made is ours, and is wiped and freed.
        unsafe {
            let found =
                (crypto().EVP_PKEY_get_bn_param)(key.as_ptr(), name.as_ptr(), &raw mut number);
            if !number.is_null() {
                (crypto().BN_clear_free)(number);
            }
            found == 1
        }
    };
    quietly(|| {
        let (private, public) = if group(key).is_some() {
            let mut len = 0;
            // SAFETY: a key of ours, asked for a length.
            let public = unsafe {
                let get = crypto().EVP_PKEY_get_octet_string_param;
                get(
                    key.as_ptr(),
                    c"pub".as_ptr(),
                    ptr::null_mut(),
                    0,
                    &raw mut len,
                )
            };
            (has_number(c"priv"), public == 1)
        } else {
            (has_number(c"d"), has_number(c"n"))
        };
        let mut parts = part::DOMAIN | part::OTHER;
        if private {
            parts |= part::PRIVATE;
        }
        if public {
            parts |= part::PUBLIC;
        }
        parts
    })
}

/// # Safety
///
/// Key data of ours that was not freed.
pub(crate) unsafe fn key<'a>(data: *const c_void) -> &'a Key {
    // SAFETY: the caller's.
    unsafe { &*data.cast::<Key>() }
}

fn into_data(key: Key) -> *mut c_void {
    Box::into_raw(Box::new(key)).cast()
}

unsafe extern "C" fn new<T: KeyType>(_provider: *mut c_void) -> *mut c_void {
    into_data(Key::empty(T::NAME))
}

unsafe extern "C" fn free(data: *mut c_void) {
    if !data.is_null() {
        entry(|| {
            // SAFETY: OpenSSL's: key data of ours, used no more. Operations under way hold its numbers.
            drop(unsafe { Box::from_raw(data.cast::<Key>()) });
            Ok(())
        });
    }
}

unsafe extern "C" fn has(data: *const c_void, selection: c_int) -> c_int {
    if data.is_null() {
        return 0;
    }
    // SAFETY: OpenSSL's.
    let parts = unsafe { key(data) }.parts.load(Ordering::Relaxed);
    c_int::from(selection & part::ALL & !parts == 0)
}

unsafe extern "C" fn matches(one: *const c_void, other: *const c_void, selection: c_int) -> c_int {
    let mut equal = 0;
    entry(|| {
        // SAFETY: OpenSSL's.
        let (one, other) = unsafe { (key(one).numbers(), key(other).numbers()) };
        let (Some(one), Some(other)) = (one, other) else {
            return Ok(());
        };
        let compare = if selection & part::PAIR != 0 {
            crypto().EVP_PKEY_eq
        } else {
            crypto().EVP_PKEY_parameters_eq
        };
        // SAFETY: two keys of ours.
        let same = quietly(|| unsafe { compare(one.key.as_ptr(), other.key.as_ptr()) });
        equal = c_int::from(same == 1);
        Ok(())
    });
    equal
}

unsafe extern "C" fn validate(data: *const c_void, selection: c_int, _how: c_int) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let numbers = unsafe { key(data) }.some_numbers()?;
        let context = PkeyCtx::of(&numbers.key)?;
        let crypto = crypto();
        let validates = match selection & part::PAIR {
            part::PAIR => crypto.EVP_PKEY_check,
            part::PUBLIC => crypto.EVP_PKEY_public_check,
            part::PRIVATE => crypto.EVP_PKEY_private_check,
            _ => crypto.EVP_PKEY_param_check,
        };
        // SAFETY: a context of ours.
        check(
            unsafe { validates(context.as_ptr()) },
            "the key is not valid",
        )
    })
}

unsafe extern "C" fn import(data: *mut c_void, selection: c_int, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        unsafe { key(data) }.import(selection, params)
    })
}

unsafe extern "C" fn export(
    data: *mut c_void,
    selection: c_int,
    callback: ParamCallback,
    arg: *mut c_void,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let numbers = unsafe { key(data) }.some_numbers()?;
        // SAFETY: a key of ours; callback and argument are the caller's, for this call.
        let done =
            unsafe { (crypto().EVP_PKEY_export)(numbers.key.as_ptr(), selection, callback, arg) };
        check(done, "exporting a key")
    })
}

unsafe extern "C" fn types<T: KeyType>(selection: c_int) -> *const Param {
    let mut list = ptr::null();
    entry(|| {
        let context = PkeyCtx::of_type(T::NAME)?;
        // SAFETY: a context of ours. The list is the default provider's own, and constant.
        list = unsafe { (crypto().EVP_PKEY_fromdata_settable)(context.as_ptr(), selection) };
        Ok(())
    });
    list
}

unsafe extern "C" fn get_params(data: *mut c_void, params: *mut Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let numbers = unsafe { key(data) }.some_numbers()?;
        // SAFETY: a key of ours, and the caller's parameters.
        let done = unsafe { (crypto().EVP_PKEY_get_params)(numbers.key.as_ptr(), params) };
        check(done, "a key's parameters")
    })
}

unsafe extern "C" fn set_params(data: *mut c_void, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let key = unsafe { key(data) };
        let numbers = key.some_numbers()?;
        let done = {
            let _alone = key.inner.write().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: a key of ours, and the caller's parameters, which it only reads.
            unsafe { (crypto().EVP_PKEY_set_params)(numbers.key.as_ptr(), params.cast_mut()) }
        };
        check(done, "a key's parameters")?;
        key.parts.store(parts(&numbers.key), Ordering::Relaxed);
        Ok(())
    })
}

/// One of the lists that the default provider has for its keys.
fn list<T: KeyType>(get: unsafe extern "C" fn(Ptr) -> *const Param) -> *const Param {
    let mut list = ptr::null();
    entry(|| {
        let keys = T::fetched().get(crypto().EVP_KEYMGMT_fetch, T::NAME)?;
        // SAFETY: fetched, and kept. The list is constant.
        list = unsafe { get(keys) };
        Ok(())
    });
    list
}

unsafe extern "C" fn gettable_params<T: KeyType>(_provider: *mut c_void) -> *const Param {
    list::<T>(crypto().EVP_KEYMGMT_gettable_params)
}

unsafe extern "C" fn settable_params<T: KeyType>(_provider: *mut c_void) -> *const Param {
    list::<T>(crypto().EVP_KEYMGMT_settable_params)
}

unsafe extern "C" fn duplicate(data: *const c_void, selection: c_int) -> *mut c_void {
    unsafe extern "C" fn into(params: *const Param, to: *mut c_void) -> c_int {
        // SAFETY: as handed over below.
        let (key, selection) = unsafe { *to.cast::<(*const Key, c_int)>() };
        // SAFETY: the key lives below; the parameters are the exporter's.
        entry(|| unsafe { &*key }.import(selection, params))
    }
    let mut made = ptr::null_mut();
    entry(|| {
        // SAFETY: OpenSSL's.
        let from = unsafe { key(data) };
        let copy = Key::empty(from.type_name);
        let selection = selection & from.parts.load(Ordering::Relaxed);
        if let Some(numbers) = from.numbers() {
            if selection & part::PRIVATE != 0 {
                // SAFETY: a key of ours; a new one.
                copy.set(unsafe {
                    Pkey::own(
                        (crypto().EVP_PKEY_dup)(numbers.key.as_ptr()),
                        "a key's copy",
                    )?
                });
            } else {
                let mut to = (&raw const copy, selection);
                // SAFETY: a key of ours; the callback gets what it expects.
                let done = unsafe {
                    let export = crypto().EVP_PKEY_export;
                    export(numbers.key.as_ptr(), selection, into, (&raw mut to).cast())
                };
                check(done, "a key's copy")?;
            }
        }
        made = into_data(copy);
        Ok(())
    });
    made
}

// ---- the tables ----------------------------------------------------------------------------------

unsafe extern "C" fn operation_name<T: KeyType>(id: c_int) -> *const c_char {
    T::operation(id).map_or(ptr::null(), CStr::as_ptr)
}

const fn functions<T: KeyType>() -> [Dispatch; 22] {
    [
        Dispatch::new(id::NEW, new::<T> as *const c_void),
        Dispatch::new(id::FREE, free as *const c_void),
        Dispatch::new(id::HAS, has as *const c_void),
        Dispatch::new(id::MATCH, matches as *const c_void),
        Dispatch::new(id::VALIDATE, validate as *const c_void),
        Dispatch::new(id::IMPORT, import as *const c_void),
        Dispatch::new(id::IMPORT_TYPES, types::<T> as *const c_void),
        Dispatch::new(id::EXPORT, export as *const c_void),
        Dispatch::new(id::EXPORT_TYPES, types::<T> as *const c_void),
        Dispatch::new(id::GET_PARAMS, get_params as *const c_void),
        Dispatch::new(id::GETTABLE_PARAMS, gettable_params::<T> as *const c_void),
        Dispatch::new(id::SET_PARAMS, set_params as *const c_void),
        Dispatch::new(id::SETTABLE_PARAMS, settable_params::<T> as *const c_void),
        Dispatch::new(id::DUP, duplicate as *const c_void),
        Dispatch::new(id::GEN_INIT, making::gen_init::<T> as *const c_void),
        Dispatch::new(
            id::GEN_SET_TEMPLATE,
            making::gen_set_template as *const c_void,
        ),
        Dispatch::new(id::GEN_SET_PARAMS, making::gen_set_params as *const c_void),
        Dispatch::new(
            id::GEN_SETTABLE_PARAMS,
            making::gen_settable_params::<T> as *const c_void,
        ),
        Dispatch::new(id::GEN, making::generate as *const c_void),
        Dispatch::new(id::GEN_CLEANUP, making::gen_cleanup as *const c_void),
        Dispatch::new(
            id::QUERY_OPERATION_NAME,
            operation_name::<T> as *const c_void,
        ),
        Dispatch::END,
    ]
}

macro_rules! key_types {
    ($($name:ident: $c_name:literal, $names:literal, { $($operation:ident => $operation_name:literal),* };)*) => {
        $(
            struct $name;

            impl KeyType for $name {
                const NAME: &'static CStr = $c_name;

                fn fetched() -> &'static Fetched {
                    static FETCHED: Fetched = Fetched::new();
                    &FETCHED
                }

                fn operation(id: c_int) -> Option<&'static CStr> {
                    match id {
                        $(operation::$operation => Some($operation_name),)*
                        _ => None,
                    }
                }
            }
        )*

        /// All of them.
        pub(crate) static ALGORITHMS: &[Algorithm] = &[
            $(Algorithm {
                names: $names.as_ptr(),
                properties: PROPERTIES,
                functions: {
                    static FUNCTIONS: [Dispatch; 22] = functions::<$name>();
                    FUNCTIONS.as_ptr()
                },
                description: c"keys for the simulated accelerator".as_ptr(),
            },)*
            Algorithm::END,
        ];
    };
}

key_types! {
    Rsa: c"RSA", c"RSA:rsaEncryption:1.2.840.113549.1.1.1",
        { SIGNATURE => c"RSA", ASYM_CIPHER => c"RSA" };
    RsaPss: c"RSA-PSS", c"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", { SIGNATURE => c"RSA" };
    Ec: c"EC", c"EC:id-ecPublicKey:1.2.840.10045.2.1", { SIGNATURE => c"ECDSA", KEYEXCH => c"ECDH" };
}
