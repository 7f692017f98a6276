//! What operations with keys have in common: set up here, with the default provider's context of the operation,
//! and carried out on the device.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offload::{Buffer, CustomWork, FailureKind, MAX_DATA_BYTES, Op, OpKind, Output, Request};

use crate::abi::{Bytes, BytesMut, Param};
use crate::config::Class;
use crate::entry;
use crate::evp::{MdCtx, PkeyCtx, check, failed, quietly};
use crate::keys::{self, Numbers};
use crate::libcrypto::{Ptr, crypto};
use crate::process::Provider;
use crate::provider;

/// An operation with a key: what OpenSSL calls its context.
pub(crate) struct Context {
    pub(crate) provider: &'static Provider,
    key: Option<Arc<Numbers>>,
    state: Option<Arc<State>>,
}

/// The default provider's context. Held by what is on the device too, so that ours can be freed meanwhile.
pub(crate) struct State(Mutex<Inner>);

/// On what libcrypto computes.
pub(crate) enum Inner {
    /// Data that is given whole.
    Key(PkeyCtx),
    /// A message that is hashed first.
    Digest(MdCtx),
}

impl Inner {
    fn key_context(&self) -> Ptr {
        match self {
            Inner::Key(context) => context.as_ptr(),
            // SAFETY: a context of ours, set up for signing or verifying: it has one.
            Inner::Digest(context) => unsafe {
                (crypto().EVP_MD_CTX_get_pkey_ctx)(context.as_ptr())
            },
        }
    }

    fn duplicate(&self) -> Result<Inner, String> {
        Ok(match self {
            Inner::Key(context) => Inner::Key(context.duplicate()?),
            Inner::Digest(context) => Inner::Digest(context.duplicate()?),
        })
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of libcrypto's functions that read some bytes and write a result: to `out`, or, where that is null, only its
/// longest length.
pub(crate) type Compute = fn(inner: &Inner, out: BytesMut, len: &mut usize, data: &[u8]) -> c_int;

/// Does it on the device.
struct Work {
    state: Arc<State>,
    compute: Compute,
    /// The longest result.
    room: usize,
    /// What libcrypto says against it.
    problem: Mutex<Option<String>>,
}

impl CustomWork for Work {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        let mut result = Buffer::new(vec![0; self.room]);
        let mut len = self.room;
        // This may be a thread of the host's, whose queue of errors is its own.
        let problem = quietly(|| {
            let done = (self.compute)(&self.state.lock(), result.as_mut_ptr(), &mut len, data);
            (done != 1 || len > self.room).then(|| failed("with the key"))
        });
        if problem.is_some() {
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
            return Err(FailureKind::BadRequest {
                reason: "libcrypto cannot do it with this key and this data",
            });
        }
        result.truncate(len);
        *data = result;
        Ok(Output::None)
    }

    /// What is computed does not change the state.
    fn is_repeatable(&self) -> bool {
        true
    }
}

impl Context {
    /// Sets the operation up with a key; none means the one before.
    ///
    /// # Safety
    ///
    /// Null, or key data of ours.
    pub(crate) unsafe fn begin(
        &mut self,
        data: *const c_void,
        set_up: impl FnOnce(&Numbers) -> Result<Inner, String>,
    ) -> Result<(), String> {
        if !data.is_null() {
            // SAFETY: the caller's.
            self.key = unsafe { keys::key(data) }.numbers();
        }
        self.state = None;
        let key = self.key.as_ref().ok_or("simaccel: no key to use")?;
        self.state = Some(Arc::new(State(Mutex::new(set_up(key)?))));
        Ok(())
    }

    /// What the device takes a result with this key for; none if it is not put there, or only asked how long it is.
    pub(crate) fn kind(
        &self,
        class: Class,
        out: BytesMut,
        of: impl FnOnce(&Numbers) -> Option<OpKind>,
    ) -> Option<OpKind> {
        let kind = self
            .key
            .as_deref()
            .filter(|_| !out.is_null())
            .and_then(of)?;
        if self.provider.settings.offloads(class) {
            return Some(kind);
        }
        self.provider.in_software(kind);
        None
    }

    fn state(&self) -> Result<&Arc<State>, String> {
        (self.state.as_ref()).ok_or_else(|| "simaccel: the operation was not set up".to_owned())
    }

    /// Something short, here and now.
    pub(crate) fn at_once<T>(
        &self,
        run: impl FnOnce(&Inner) -> Result<T, String>,
    ) -> Result<T, String> {
        run(&self.state()?.lock())
    }

    /// Computes a result for OpenSSL: on the device as `kind`, or here without one. With a null `out` it says how
    /// long the result can be.
    ///
    /// # Safety
    ///
    /// OpenSSL's: `room` bytes at `out`, unless it is null, and `len` to be written to.
    pub(crate) unsafe fn compute(
        &self,
        kind: Option<OpKind>,
        compute: Compute,
        data: &[u8],
        (out, len, room): (BytesMut, *mut usize, usize),
    ) -> Result<(), String> {
        let state = self.state()?;
        let mut longest = 0;
        let done = compute(&state.lock(), ptr::null_mut(), &mut longest, data);
        check(done, "the length of a result")?;
        if out.is_null() {
            // SAFETY: the caller's.
            unsafe { *len = longest };
            return Ok(());
        }
        let result = match kind.filter(|_| data.len() <= MAX_DATA_BYTES) {
            Some(kind) => self.on_device(kind, compute, longest, data)?,
            None => {
                let mut result = Buffer::new(vec![0; longest]);
                let mut len = longest;
                let done = compute(&state.lock(), result.as_mut_ptr(), &mut len, data);
                check(done, "with the key")?;
                result.truncate(len);
                result
            }
        };
        if result.len() > room {
            return Err(format!(
                "simaccel: the result has {} bytes, and there is room for {room}",
                result.len()
            ));
        }
        // SAFETY: the caller's: there is room for so many bytes.
        unsafe {
            ptr::copy_nonoverlapping(result.as_ptr(), out, result.len());
            *len = result.len();
        }
        Ok(())
    }

    fn on_device(
        &self,
        kind: OpKind,
        compute: Compute,
        room: usize,
        data: &[u8],
    ) -> Result<Buffer, String> {
        let work = Arc::new(Work {
            state: Arc::clone(self.state()?),
            compute,
            room,
            problem: Mutex::new(None),
        });
        let op = Op::Custom {
            kind,
            work: work.clone(),
        };
        match self.provider.run(Request::new(op, data.to_vec())) {
            Ok(response) => Ok(response.data),
            Err(error) => {
                let problem = work
                    .problem
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                Err(problem.unwrap_or(error))
            }
        }
    }

    /// # Safety
    ///
    /// The caller's parameters, for one of these two functions.
    unsafe fn params(
        &self,
        run: unsafe extern "C" fn(Ptr, *mut Param) -> c_int,
        params: *mut Param,
    ) -> Result<(), String> {
        self.at_once(|inner| {
            // SAFETY: a context of ours; the rest is the caller's.
            check(
                unsafe { run(inner.key_context(), params) },
                "an operation's parameters",
            )
        })
    }
}

/// Bytes of OpenSSL's.
///
/// # Safety
///
/// `len` bytes at `data`, for as long as the call; null for none.
pub(crate) unsafe fn bytes<'a>(data: Bytes, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { slice::from_raw_parts(data, len) }
}

/// # Safety
///
/// A context that [`new`] or [`duplicate`] has made and that was not freed, in nobody else's hands.
pub(crate) unsafe fn context<'a>(it: *mut c_void) -> &'a mut Context {
    // SAFETY: the caller's.
    unsafe { &mut *it.cast::<Context>() }
}

fn into_raw(context: Context) -> *mut c_void {
    Box::into_raw(Box::new(context)).cast()
}

// ---- the functions that all kinds of operations have -------------------------------------------

pub(crate) unsafe extern "C" fn new(provider: *mut c_void) -> *mut c_void {
    into_raw(Context {
        // SAFETY: OpenSSL's.
        provider: unsafe { provider::of(provider) },
        key: None,
        state: None,
    })
}

pub(crate) unsafe extern "C" fn free(it: *mut c_void) {
    if !it.is_null() {
        entry(|| {
            // SAFETY: OpenSSL's: made by `new` or `duplicate`, and used no more. A job that is paused with it will never
            // be resumed, and what its operation needs it holds itself.
            drop(unsafe { Box::from_raw(it.cast::<Context>()) });
            Ok(())
        });
    }
}

pub(crate) unsafe extern "C" fn duplicate(it: *mut c_void) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        let state = match &it.state {
            None => None,
            Some(state) => Some(Arc::new(State(Mutex::new(state.lock().duplicate()?)))),
        };
        made = into_raw(Context {
            provider: it.provider,
            key: it.key.clone(),
            state,
        });
        Ok(())
    });
    made
}

pub(crate) unsafe extern "C" fn get_params(it: *mut c_void, params: *mut Param) -> c_int {
    // SAFETY: OpenSSL's.
    entry(|| unsafe { context(it).params(crypto().EVP_PKEY_CTX_get_params, params) })
}

pub(crate) unsafe extern "C" fn set_params(it: *mut c_void, params: *const Param) -> c_int {
    /// As its neighbour's type: it only reads them.
    unsafe extern "C" fn set(context: Ptr, params: *mut Param) -> c_int {
        // SAFETY: the caller's.
        unsafe { (crypto().EVP_PKEY_CTX_set_params)(context, params) }
    }
    if params.is_null() {
        return 1;
    }
    // SAFETY: OpenSSL's.
    entry(|| unsafe { context(it).params(set, params.cast_mut()) })
}

/// One of the default provider's lists for an operation that was set up; an empty one before.
fn list(it: *mut c_void, get: unsafe extern "C" fn(Ptr) -> *const Param) -> *const Param {
    static EMPTY: [Param; 1] = [Param::END];
    let mut list = ptr::null();
    if !it.is_null() {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        if it.state.is_some() {
            entry(|| {
                it.at_once(|inner| {
                    // SAFETY: a context of ours. The list is constant.
                    list = unsafe { get(inner.key_context()) };
                    Ok(())
                })
            });
        }
    }
    if list.is_null() { EMPTY.as_ptr() } else { list }
}

pub(crate) unsafe extern "C" fn gettable_params(
    it: *mut c_void,
    _provider: *mut c_void,
) -> *const Param {
    list(it, crypto().EVP_PKEY_CTX_gettable_params)
}

pub(crate) unsafe extern "C" fn settable_params(
    it: *mut c_void,
    _provider: *mut c_void,
) -> *const Param {
    list(it, crypto().EVP_PKEY_CTX_settable_params)
}

/// An operation on a key with data that is given whole, set up by one of libcrypto's functions.
pub(crate) fn with_key(
    numbers: &Numbers,
    init: unsafe extern "C" fn(Ptr, *const Param) -> c_int,
    params: *const Param,
) -> Result<Inner, String> {
    let made = PkeyCtx::of(&numbers.key)?;
    // SAFETY: a context of ours, and the caller's parameters.
    let done = unsafe { init(made.as_ptr(), params) };
    check(done, "an operation with a key")?;
    Ok(Inner::Key(made))
}

/// Calls one of libcrypto's functions on an operation of [`with_key`].
pub(crate) fn call(
    inner: &Inner,
    function: unsafe extern "C" fn(Ptr, BytesMut, *mut usize, Bytes, usize) -> c_int,
    (out, len): (BytesMut, &mut usize),
    data: &[u8],
) -> c_int {
    match inner {
        Inner::Key(context) => {
            // SAFETY: a context of ours, as many bytes as said, and room for `len` bytes unless null asks how many.
            unsafe { function(context.as_ptr(), out, len, data.as_ptr(), data.len()) }
        }
        Inner::Digest(_) => 0,
    }
}
