//! What takes data in pieces and makes a short result of it: digests and MACs.
//!
//! A piece goes to the device if it is long enough; the end is always done here.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offload::{Buffer, CustomWork, FailureKind, Op, OpKind, Output, Request};
use zeroize::Zeroizing;

use crate::abi::{Bytes, BytesMut};
use crate::config::Class;
use crate::evp::quietly;
use crate::process::Provider;
use crate::{entry, piece, wipe};

/// The longest result, in bytes.
pub(crate) const LONGEST: usize = 64;

/// libcrypto's object behind a stream.
pub(crate) trait Sink: Send + Sized + 'static {
    /// Where the settings put it.
    const CLASS: Class;
    /// What it is called in errors.
    const WHAT: &'static str;
    /// One that nothing is in.
    fn new() -> Result<Self, String>;
    /// Another one in the same state.
    fn duplicate(&self) -> Result<Self, String>;
    /// Takes the next piece.
    ///
    /// # Safety
    ///
    /// So many bytes, or as many as libcrypto was told of otherwise.
    unsafe fn update(&self, data: Bytes, len: usize) -> Result<(), String>;
    /// Gives the result, and its length.
    fn finish(&self, result: &mut [u8; LONGEST]) -> Result<usize, String>;
}

/// A digest or a MAC under way: what OpenSSL calls its context.
pub(crate) struct Stream<S> {
    provider: &'static Provider,
    kind: OpKind,
    state: Arc<State<S>>,
    /// Bits that a device got wrong, to be wrong in the end.
    wrong: [u8; LONGEST],
    /// A part of the data was lost with the device: there is no result of the rest.
    is_lost: bool,
    /// Nothing goes to the device.
    pub(crate) stays_here: bool,
    /// For the next piece, to save its allocation.
    spare: Buffer,
}

impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        wipe::discard(&mut self.spare);
    }
}

/// What the device works on. Held by an operation too, so that the context can be freed meanwhile.
struct State<S>(Mutex<S>);

impl<S: Sink> CustomWork for State<S> {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // This may be a thread of the host's, whose queue of errors is its own.
        // SAFETY: the bytes are there; of others nobody has told libcrypto, or the piece were not on the device.
        match quietly(|| unsafe { sink.update(data.as_ptr(), data.len()) }) {
            // A device that gets a bit wrong has one to get wrong here, and it counts in the end.
            Ok(()) => Ok(Output::digest(&[0; 32])),
            Err(_) => Err(FailureKind::BadRequest {
                reason: "libcrypto cannot take the data",
            }),
        }
    }
}

impl<S: Sink> Stream<S> {
    /// An empty one.
    pub(crate) fn new(provider: &'static Provider, kind: OpKind) -> Result<Stream<S>, String> {
        Ok(Stream {
            provider,
            kind,
            state: Arc::new(State(Mutex::new(S::new()?))),
            wrong: [0; LONGEST],
            is_lost: false,
            stays_here: false,
            spare: Buffer::default(),
        })
    }

    /// Begins anew, by `begin` on libcrypto's object.
    pub(crate) fn begin(
        &mut self,
        begin: impl FnOnce(&S) -> Result<(), String>,
    ) -> Result<(), String> {
        begin(&self.sink())?;
        self.is_lost = false;
        self.wrong = [0; LONGEST];
        Ok(())
    }

    /// libcrypto's object. Nobody on the device has it while the job runs.
    pub(crate) fn sink(&self) -> MutexGuard<'_, S> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn duplicate(&self) -> Result<Stream<S>, String> {
        Ok(Stream {
            provider: self.provider,
            kind: self.kind,
            state: Arc::new(State(Mutex::new(self.sink().duplicate()?))),
            wrong: self.wrong,
            is_lost: self.is_lost,
            stays_here: self.stays_here,
            spare: Buffer::default(),
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.is_lost {
            return Err(format!(
                "simaccel: a part of the data of this {} was lost with the device",
                S::WHAT
            ));
        }
        Ok(())
    }

    /// # Safety
    ///
    /// As [`Sink::update`].
    unsafe fn update(&mut self, data: Bytes, len: usize) -> Result<(), String> {
        self.check()?;
        // The length of what stays here may be a secret, and is not looked at.
        if self.stays_here || !piece::is_offloaded(&self.provider.settings, S::CLASS, len) {
            self.provider.in_software(self.kind);
            // SAFETY: the caller's.
            return unsafe { self.sink().update(data, len) };
        }
        // SAFETY: the caller's; there is at least one byte.
        let data = unsafe { slice::from_raw_parts(data, len) };
        let buffer = piece::copy(&mut self.spare, data, 0);
        let op = Op::Custom {
            kind: self.kind,
            work: self.state.clone(),
        };
        let response = match self.provider.run(Request::new(op, buffer)) {
            Ok(response) => response,
            Err(error) => {
                self.lose();
                return Err(error);
            }
        };
        let Some(bits) = response.digest() else {
            self.lose();
            return Err(format!(
                "simaccel: the device models its answers, and computes no {}",
                S::WHAT
            ));
        };
        for (wrong, bits) in self.wrong.iter_mut().zip(bits) {
            *wrong ^= bits;
        }
        self.spare = response.data;
        Ok(())
    }

    /// What was in libcrypto's object is lost, and a worker that is late may still have it: it is left to that one.
    #[cold]
    fn lose(&mut self) {
        self.is_lost = true;
        if let Ok(sink) = S::new() {
            self.state = Arc::new(State(Mutex::new(sink)));
        }
    }

    fn finish(&mut self, room: usize, put: impl FnOnce(&[u8])) -> Result<(), String> {
        self.check()?;
        let mut result = Zeroizing::new([0_u8; LONGEST]);
        let len = self.sink().finish(&mut result)?;
        let result = result.get_mut(..len).unwrap_or_default();
        for (byte, wrong) in result.iter_mut().zip(self.wrong) {
            *byte ^= wrong;
        }
        if room < result.len() {
            return Err(format!("simaccel: no room for the {}", S::WHAT));
        }
        put(result);
        Ok(())
    }
}

// ---- what OpenSSL calls ----------------------------------------------------------------------

/// # Safety
///
/// A context that [`make`] or [`duplicate`] has made and that was not freed, in nobody else's hands.
pub(crate) unsafe fn stream<'a, S>(context: *mut c_void) -> &'a mut Stream<S> {
    // SAFETY: the caller's.
    unsafe { &mut *context.cast::<Stream<S>>() }
}

/// Hands OpenSSL a context; null, and an error in the queue, if it cannot be made.
pub(crate) fn make<S>(make: impl FnOnce() -> Result<Stream<S>, String>) -> *mut c_void {
    let mut made = ptr::null_mut();
    entry(|| {
        made = Box::into_raw(Box::new(make()?)).cast();
        Ok(())
    });
    made
}

/// # Safety
///
/// OpenSSL's: null, or as for [`stream`], and used no more.
pub(crate) unsafe extern "C" fn free<S>(it: *mut c_void) {
    if !it.is_null() {
        entry(|| {
            // SAFETY: the caller's. A job that is paused with it will never be resumed, and what its operation needs
            // it holds itself.
            drop(unsafe { Box::from_raw(it.cast::<Stream<S>>()) });
            Ok(())
        });
    }
}

/// # Safety
///
/// OpenSSL's: as for [`stream`].
pub(crate) unsafe extern "C" fn duplicate<S: Sink>(it: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's.
    make(|| unsafe { stream::<S>(it) }.duplicate())
}

/// # Safety
///
/// OpenSSL's: as for [`stream`], and as many bytes as it says.
pub(crate) unsafe extern "C" fn update<S: Sink>(it: *mut c_void, data: Bytes, len: usize) -> c_int {
    entry(|| {
        // SAFETY: the caller's.
        unsafe { stream::<S>(it).update(data, len) }
    })
}

/// # Safety
///
/// OpenSSL's: as for [`stream`], and room for as many bytes as it says.
pub(crate) unsafe extern "C" fn finish<S: Sink>(
    it: *mut c_void,
    out: BytesMut,
    out_len: *mut usize,
    room: usize,
) -> c_int {
    entry(|| {
        // SAFETY: the caller's.
        let it = unsafe { stream::<S>(it) };
        // SAFETY: the caller's: there is room for so many bytes.
        it.finish(room, |result| unsafe {
            ptr::copy_nonoverlapping(result.as_ptr(), out, result.len());
            *out_len = result.len();
        })
    })
}
