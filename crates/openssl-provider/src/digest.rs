//! Digests: SHA-256, SHA-384, SHA-512.
//!
//! What is hashed in one call goes to the device if it is long enough; the end of a digest is always done here.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use offload::{Buffer, CustomWork, FailureKind, Op, OpKind, Output, Request};

use crate::abi::{Algorithm, Bytes, BytesMut, Dispatch, Param, digest as id};
use crate::config::Class;
use crate::entry;
use crate::evp::{Fetched, MdCtx, failed, quietly};
use crate::libcrypto::{Ptr, crypto};
use crate::process::Provider;
use crate::provider::{self, PROPERTIES};
use crate::wipe;

/// One of the digests.
trait Digest {
    const NAME: &'static CStr;
    /// What the device takes it for.
    const KIND: OpKind;
    fn fetched() -> &'static Fetched;
}

/// A digest under way: what OpenSSL calls its context.
struct Context {
    provider: &'static Provider,
    kind: OpKind,
    state: Arc<State>,
    /// Bits that a device got wrong, to be wrong in the end.
    wrong: [u8; 64],
    /// A part of the data was lost with the device: there is no digest of the rest.
    is_lost: bool,
    /// For the next piece, to save its allocation.
    spare: Buffer,
}

impl Drop for Context {
    fn drop(&mut self) {
        wipe::discard(&mut self.spare);
    }
}

/// What the device works on. Held by an operation too, so that the context can be freed meanwhile.
struct State(Mutex<MdCtx>);

impl State {
    fn update(&self, data: &[u8]) -> Result<(), String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a context of ours, which nobody else uses under the lock.
        let done = unsafe {
            (crypto().EVP_DigestUpdate)(state.as_ptr(), data.as_ptr().cast(), data.len())
        };
        if done == 1 {
            Ok(())
        } else {
            Err(failed("a digest"))
        }
    }
}

impl CustomWork for State {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        // This may be a thread of the host's, whose queue of errors is its own.
        match quietly(|| self.update(data)) {
            // A device that gets a bit wrong has one to get wrong here, and it counts in the end.
            Ok(()) => Ok(Output::digest(&[0; 32])),
            Err(_) => Err(FailureKind::BadRequest {
                reason: "libcrypto cannot hash it",
            }),
        }
    }
}

impl Context {
    fn update(&mut self, data: &[u8]) -> Result<(), String> {
        if self.is_lost {
            return Err(
                "simaccel: a part of this digest's data was lost with the device".to_owned(),
            );
        }
        let settings = &self.provider.settings;
        if data.len() < settings.digest_threshold.max(1) || !settings.offloads(Class::Digest) {
            self.provider.in_software(self.kind);
            return self.state.update(data);
        }
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        buffer.extend_from_slice(data);
        let op = Op::Custom {
            kind: self.kind,
            work: self.state.clone(),
        };
        let response = self
            .provider
            .run(Request::new(op, buffer))
            .inspect_err(|_| self.is_lost = true)?;
        for (wrong, bits) in self
            .wrong
            .iter_mut()
            .zip(response.digest().unwrap_or_default())
        {
            *wrong ^= bits;
        }
        self.spare = response.data;
        Ok(())
    }
}

/// # Safety
///
/// A context that [`new`] or [`duplicate`] has made and that was not freed, in nobody else's hands.
unsafe fn context<'a>(context: *mut c_void) -> &'a mut Context {
    // SAFETY: the caller's.
    unsafe { &mut *context.cast::<Context>() }
}

unsafe extern "C" fn new<D: Digest>(provider: *mut c_void) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        let context = Context {
            // SAFETY: OpenSSL's.
            provider: unsafe { provider::of(provider) },
            kind: D::KIND,
            state: Arc::new(State(Mutex::new(MdCtx::new()?))),
            wrong: [0; 64],
            is_lost: false,
            spare: Buffer::default(),
        };
        made = Box::into_raw(Box::new(context)).cast();
        Ok(())
    });
    made
}

unsafe extern "C" fn free(it: *mut c_void) {
    if !it.is_null() {
        entry(|| {
            // SAFETY: OpenSSL's: made by `new` or `duplicate`, and used no more. A job that is paused with it will never be
            // resumed, and what its operation needs it holds itself.
            drop(unsafe { Box::from_raw(it.cast::<Context>()) });
            Ok(())
        });
    }
}

unsafe extern "C" fn duplicate(it: *mut c_void) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        let state = it.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = Context {
            provider: it.provider,
            kind: it.kind,
            state: Arc::new(State(Mutex::new(state.duplicate()?))),
            wrong: it.wrong,
            is_lost: it.is_lost,
            spare: Buffer::default(),
        };
        made = Box::into_raw(Box::new(copy)).cast();
        Ok(())
    });
    made
}

unsafe extern "C" fn init<D: Digest>(it: *mut c_void, params: *const Param) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        let digest = D::fetched().get(crypto().EVP_MD_fetch, D::NAME)?;
        // Whoever still computes the digest before has its state.
        if it.is_lost || Arc::strong_count(&it.state) > 1 {
            it.state = Arc::new(State(Mutex::new(MdCtx::new()?)));
        }
        it.is_lost = false;
        it.wrong = [0; 64];
        let state = it.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a context of ours, a digest, and the caller's parameters.
        match unsafe { (crypto().EVP_DigestInit_ex2)(state.as_ptr(), digest, params) } {
            1 => Ok(()),
            _ => Err(failed("a digest's beginning")),
        }
    })
}

unsafe extern "C" fn update(it: *mut c_void, data: Bytes, len: usize) -> c_int {
    entry(|| {
        if len == 0 {
            return Ok(());
        }
        // SAFETY: OpenSSL's: the context, and as many bytes.
        let (it, data) = unsafe { (context(it), slice::from_raw_parts(data, len)) };
        it.update(data)
    })
}

unsafe extern "C" fn finish(
    it: *mut c_void,
    out: BytesMut,
    out_len: *mut usize,
    room: usize,
) -> c_int {
    entry(|| {
        // SAFETY: OpenSSL's.
        let it = unsafe { context(it) };
        if it.is_lost {
            return it.update(&[]);
        }
        let mut digest = [0_u8; 64];
        let mut len: c_uint = 0;
        let state = it.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a context of ours, and room for the longest digest there is.
        let done = unsafe {
            (crypto().EVP_DigestFinal_ex)(state.as_ptr(), digest.as_mut_ptr(), &raw mut len)
        };
        if done != 1 {
            return Err(failed("a digest's end"));
        }
        let digest = digest.get_mut(..len as usize).unwrap_or_default();
        for (byte, wrong) in digest.iter_mut().zip(it.wrong) {
            *byte ^= wrong;
        }
        if room < digest.len() {
            return Err("simaccel: no room for the digest".to_owned());
        }
        // SAFETY: OpenSSL's: there is room for so many bytes.
        unsafe {
            ptr::copy_nonoverlapping(digest.as_ptr(), out, digest.len());
            *out_len = digest.len();
        }
        Ok(())
    })
}

unsafe extern "C" fn get_params<D: Digest>(params: *mut Param) -> c_int {
    entry(|| {
        let digest = D::fetched().get(crypto().EVP_MD_fetch, D::NAME)?;
        // SAFETY: a digest, and the caller's parameters.
        match unsafe { (crypto().EVP_MD_get_params)(digest, params) } {
            1 => Ok(()),
            _ => Err(failed("a digest's parameters")),
        }
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
        Dispatch::new(id::FREECTX, free as *const c_void),
        Dispatch::new(id::DUPCTX, duplicate as *const c_void),
        Dispatch::new(id::INIT, init::<D> as *const c_void),
        Dispatch::new(id::UPDATE, update as *const c_void),
        Dispatch::new(id::FINAL, finish as *const c_void),
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
