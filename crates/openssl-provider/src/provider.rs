//! What OpenSSL calls: loading, the list of algorithms, unloading.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::abi::{
    Algorithm, CoreGetLibctx, CoreGetParams, Dispatch, PARAM_INTEGER, PARAM_UTF8_PTR, Param,
    ParamCallback, core, operation, provider,
};
use crate::config::{self, Level, Settings};
use crate::process::{Provider, without_signals};
use crate::{
    asym_cipher, cipher, digest, entry, error, evp, exchange, keys, libcrypto, log, mac, params,
    signature,
};

/// What every algorithm is offered with. OpenSSL takes no name without a dot for a property of one's own.
pub(crate) const PROPERTIES: *const std::ffi::c_char =
    c"provider=simaccel,simaccel.accel=yes".as_ptr();

/// Those that were loaded and not torn down, for the end of the program. Never held over a call into libcrypto, and
/// not over a fork but for one by another thread while a provider is loaded.
static LOADED: Mutex<Vec<&'static Provider>> = Mutex::new(Vec::new());

fn loaded() -> std::sync::MutexGuard<'static, Vec<&'static Provider>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// OpenSSL loads the provider: reads its settings and says which functions it has.
///
/// # Safety
///
/// OpenSSL's: `handle` is the core's, `from_core` the table of its functions, the others are written to.
#[unsafe(no_mangle)]
#[allow(unreachable_pub, reason = "C calls it")]
pub unsafe extern "C" fn OSSL_provider_init(
    handle: *const c_void,
    from_core: *const c_void,
    to_core: *mut *const c_void,
    context: *mut *mut c_void,
) -> c_int {
    let run = AssertUnwindSafe(|| {
        if from_core.is_null() || to_core.is_null() || context.is_null() {
            return 0;
        }
        // SAFETY: the caller's.
        let Some(get_params) = (unsafe { core_function(from_core.cast(), core::CORE_GET_PARAMS) })
        else {
            return 0;
        };
        if let Err(error) = libcrypto::load(get_params) {
            // There is no error queue to put it in.
            eprintln!("simaccel: {error}");
            return 0;
        }
        // SAFETY: the function under this id is of this type.
        let get_params = unsafe { std::mem::transmute::<*const c_void, CoreGetParams>(get_params) };
        // SAFETY: the caller's.
        let given = unsafe { given(get_params, handle) };
        let read = given.and_then(|given| Ok((settings(&given)?, said(&given))));
        let (settings, said) = match read {
            Ok(read) => read,
            Err(bad) => {
                error::raise(&bad.to_string());
                // Most programs go on without what their configuration asks for, and say nothing.
                eprintln!("{bad}");
                return 0;
            }
        };
        // SAFETY: the caller's.
        unsafe { leave_random_numbers(handle, from_core.cast()) };
        begin(settings, &said, to_core, context);
        1
    });
    catch_unwind(run).unwrap_or(0)
}

/// `said` is what the settings were made of.
fn begin(settings: Settings, said: &str, to_core: *mut *const c_void, context: *mut *mut c_void) {
    let crypto = libcrypto::crypto();
    // SAFETY: it takes a function, at any time before OPENSSL_cleanup().
    unsafe { (crypto.OPENSSL_atexit)(at_exit) };
    log(
        &settings,
        Level::Info,
        &format!("loaded, with device {}; {said}", settings.device.name),
    );
    // Never freed: an operation may still have it when OpenSSL is done with it.
    let provider: &'static Provider = Box::leak(Box::new(Provider::new(settings)));
    loaded().push(provider);
    // SAFETY: not null, and OpenSSL's to be written to.
    unsafe {
        *to_core = FUNCTIONS.as_ptr().cast();
        *context = ptr::from_ref(provider).cast_mut().cast();
    }
}

/// Has the generator of random numbers use the default provider's cipher. Ours must not be in it: it keeps state
/// between two calls of its cipher, and a job that paused between them would lend it to another. Refused if there is
/// a generator already.
///
/// # Safety
///
/// The core's handle, and the table of its functions.
unsafe fn leave_random_numbers(handle: *const c_void, from_core: *const Dispatch) {
    let crypto = libcrypto::crypto();
    // SAFETY: the caller's; the function under this id is of this type. What it returns is a library context of the
    // libcrypto that this provider was loaded by, which is the one whose functions are called here.
    unsafe {
        let Some(get_libctx) = core_function(from_core, core::CORE_GET_LIBCTX) else {
            return;
        };
        let get_libctx = std::mem::transmute::<*const c_void, CoreGetLibctx>(get_libctx);
        let library = get_libctx(handle);
        (crypto.ERR_set_mark)();
        (crypto.RAND_set_DRBG_type)(
            library,
            ptr::null(),
            c"?provider=default".as_ptr(),
            ptr::null(),
            ptr::null(),
        );
        (crypto.ERR_pop_to_mark)();
    }
}

/// The core's function with this id.
///
/// # Safety
///
/// A table of the core's.
unsafe fn core_function(mut functions: *const Dispatch, id: c_int) -> Option<*const c_void> {
    // SAFETY: the table ends with the id 0.
    unsafe {
        while (*functions).id != 0 {
            if (*functions).id == id && !(*functions).function.is_null() {
                return Some((*functions).function);
            }
            functions = functions.add(1);
        }
    }
    None
}

/// # Safety
///
/// `get` is the core's function, and `handle` the core's handle.
unsafe fn given(
    get: CoreGetParams,
    handle: *const c_void,
) -> Result<BTreeMap<String, String>, config::BadSetting> {
    let mut given = BTreeMap::new();
    for name in config::NAMES {
        let key = CString::new(name).unwrap_or_default();
        // SAFETY: the caller's.
        if let Some(value) = unsafe { params::core_value(get, handle, &key) } {
            given.insert(name.to_owned(), value);
        }
    }
    config::from_environment(&mut given, std::env::vars_os())?;
    Ok(given)
}

/// What was given, for who wonders which of it has arrived.
fn said(given: &BTreeMap<String, String>) -> String {
    let all: Vec<_> = (given.iter())
        .map(|(name, value)| format!("{name} = {}", value.trim()))
        .collect();
    match all.as_slice() {
        [] => "no settings".to_owned(),
        all => format!("settings: {}", all.join("; ")),
    }
}

fn settings(given: &BTreeMap<String, String>) -> Result<Settings, config::BadSetting> {
    // A program whose first use of libcrypto is in a job loads us there, and a job's stack is too small for the reader
    // of a device file.
    let read = || Settings::new(given);
    thread::scope(|scope| {
        let reader = without_signals(|| thread::Builder::new().spawn_scoped(scope, read));
        match reader.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(settings)) => settings,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No thread is to be had, and nor will the device's.
            Err(_) => Settings::new(given),
        }
    })
}

/// `OPENSSL_cleanup()` begins.
extern "C" fn at_exit() {
    let all = loaded().clone();
    for provider in all {
        let _ = entry(|| {
            provider.end();
            Ok(())
        });
    }
}

/// The provider of one of its algorithms' calls.
///
/// # Safety
///
/// What [`OSSL_provider_init`] has given OpenSSL.
pub(crate) unsafe fn of(context: *mut c_void) -> &'static Provider {
    // SAFETY: the caller's; it is never freed.
    unsafe { &*context.cast::<Provider>() }
}

unsafe extern "C" fn teardown(context: *mut c_void) {
    // SAFETY: OpenSSL's, with what it was given.
    let provider = unsafe { of(context) };
    let _ = entry(|| {
        provider.end();
        loaded().retain(|one| !ptr::eq(*one, provider));
        Ok(())
    });
}

unsafe extern "C" fn query(
    _context: *mut c_void,
    operation_id: c_int,
    no_store: *mut c_int,
) -> *const Algorithm {
    if !no_store.is_null() {
        // SAFETY: OpenSSL's, to be written to.
        unsafe { *no_store = 0 };
    }
    match operation_id {
        operation::DIGEST => digest::ALGORITHMS.as_ptr(),
        operation::KEYMGMT => keys::ALGORITHMS.as_ptr(),
        operation::SIGNATURE => signature::ALGORITHMS.as_ptr(),
        operation::ASYM_CIPHER => asym_cipher::ALGORITHMS.as_ptr(),
        operation::KEYEXCH => exchange::ALGORITHMS.as_ptr(),
        operation::CIPHER => cipher::ALGORITHMS.as_ptr(),
        operation::MAC => mac::ALGORITHMS.as_ptr(),
        _ => ptr::null(),
    }
}

/// What `openssl list -providers` says of it.
const ABOUT: [(&CStr, &CStr); 3] = [
    (c"name", c"Simulated accelerator"),
    (c"version", VERSION),
    (c"buildinfo", VERSION),
];

const VERSION: &CStr = {
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!(),
    }
};

unsafe extern "C" fn gettable_params(_context: *mut c_void) -> *const Param {
    const fn one(key: &'static CStr, data_type: std::ffi::c_uint) -> Param {
        Param {
            key: key.as_ptr(),
            data_type,
            ..Param::END
        }
    }
    static LIST: [Param; 5] = [
        one(ABOUT[0].0, PARAM_UTF8_PTR),
        one(ABOUT[1].0, PARAM_UTF8_PTR),
        one(ABOUT[2].0, PARAM_UTF8_PTR),
        one(c"status", PARAM_INTEGER),
        Param::END,
    ];
    LIST.as_ptr()
}

unsafe extern "C" fn get_params(_context: *mut c_void, params: *mut Param) -> c_int {
    entry(|| {
        for (key, value) in ABOUT {
            // SAFETY: OpenSSL's list.
            unsafe { params::set_text(params, key, value) };
        }
        // SAFETY: OpenSSL's list.
        unsafe { params::set_int(params, c"status", 1) };
        Ok(())
    })
}

/// The groups of TLS whose keys are ours: libssl takes a group only from the provider that has its keys.
unsafe extern "C" fn get_capabilities(
    _context: *mut c_void,
    capability: *const c_char,
    callback: ParamCallback,
    arg: *mut c_void,
) -> c_int {
    /// Whom to tell.
    struct Listener(ParamCallback, *mut c_void);

    /// Hands on those of the default provider that are on curves.
    unsafe extern "C" fn hand_on(params: *const Param, listener: *mut c_void) -> c_int {
        // SAFETY: as handed over below; the parameters are the default provider's.
        unsafe {
            let Listener(callback, arg) = &*listener.cast::<Listener>();
            match params::text(params, c"tls-group-alg") {
                Some(algorithm) if algorithm == c"EC" => callback(params, *arg),
                _ => 1,
            }
        }
    }

    let run = || {
        // SAFETY: OpenSSL's: a string that ends with a zero.
        if capability.is_null() || unsafe { CStr::from_ptr(capability) } != c"TLS-GROUP" {
            return Ok(());
        }
        let listener = Listener(callback, arg);
        let (default, get) = (
            evp::default_provider()?,
            libcrypto::crypto().OSSL_PROVIDER_get_capabilities,
        );
        // SAFETY: a provider of ours, and a callback that gets what it expects.
        let done = unsafe {
            let listener = (&raw const listener).cast_mut().cast();
            get(default, capability, hand_on, listener)
        };
        evp::check(done, "the groups of TLS")
    };
    entry(run)
}

static FUNCTIONS: [Dispatch; 6] = [
    Dispatch::new(provider::PROVIDER_TEARDOWN, teardown as *const c_void),
    Dispatch::new(
        provider::PROVIDER_GETTABLE_PARAMS,
        gettable_params as *const c_void,
    ),
    Dispatch::new(provider::PROVIDER_GET_PARAMS, get_params as *const c_void),
    Dispatch::new(provider::PROVIDER_QUERY_OPERATION, query as *const c_void),
    Dispatch::new(
        provider::PROVIDER_GET_CAPABILITIES,
        get_capabilities as *const c_void,
    ),
    Dispatch::END,
];
