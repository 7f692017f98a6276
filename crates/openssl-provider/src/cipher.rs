//! Ciphers: AES-128 and AES-256 in CBC, CTR and GCM.
//!
//! What is given in one call goes to the device if it is long enough: a piece of a message, or a record of TLS.
//! Associated data, and what is left at the end, is done here. libcrypto's results are handed on as they are; a
//! record that is no good is one of them, and no failure of the device.

mod dispatch;

use std::ffi::{CStr, c_int};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offload::{Buffer, CustomWork, FailureKind, Op, OpKind, Output, Request};

use crate::abi::{Bytes, BytesMut, Param};
use crate::config::Class;
use crate::evp::{CipherCtx, Fetched, checked, failed, quietly};
use crate::libcrypto::{Ptr, crypto};
use crate::process::Provider;
use crate::{params, piece, wipe};

pub(crate) use dispatch::ALGORITHMS;

/// The longest block: so much more than it is given a call can put out.
const BLOCK: usize = 16;

/// The protocol's version, with which records are ciphered that a MAC is in.
const TLS_VERSION: &CStr = c"tls-version";

const NO_ROOM: &str = "simaccel: no room for what the cipher can put out";

/// One of the ciphers.
trait Cipher {
    const NAME: &'static CStr;
    /// What the device takes it for.
    const KIND: OpKind;
    /// How much more than it is given a call can put out.
    const MORE: usize;
    fn fetched() -> &'static Fetched;
}

/// The default provider's `EVP_CIPHER`.
fn fetched<C: Cipher>() -> Result<Ptr, String> {
    C::fetched().get(crypto().EVP_CIPHER_fetch, C::NAME)
}

/// A cipher under way: what OpenSSL calls its context.
struct Context {
    provider: &'static Provider,
    kind: OpKind,
    /// How much more than it is given a call can put out.
    more: usize,
    /// Makes libcrypto's context.
    make: fn() -> Result<CipherCtx, String>,
    state: Arc<State>,
    /// An operation was lost with the device, and with it where the message stood, the key and all settings.
    is_lost: bool,
    /// It has settings beside key and IV.
    is_set: bool,
    /// Nothing goes to the device.
    stays_here: bool,
    /// For the next call's data, to save its allocation.
    spare: Buffer,
}

impl Drop for Context {
    fn drop(&mut self) {
        wipe::discard(&mut self.spare);
    }
}

/// What the device works on. Held by an operation too, so that the context can be freed meanwhile.
struct State(Mutex<Inner>);

struct Inner {
    cipher: CipherCtx,
    /// How the next piece is worked on.
    call: Call,
    /// For the next output, to save its allocation.
    spare: Buffer,
    /// How much the last piece has put out, or what libcrypto says that is wrong with it.
    answer: Option<Result<usize, String>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        wipe::discard(&mut self.spare);
    }
}

/// What a caller has called, and how.
#[derive(Clone, Copy)]
struct Call {
    /// The one-shot function: no piece of a message, and nothing is kept back.
    is_whole: bool,
    /// The output takes the input's place. The default provider takes records of TLS in no other way.
    in_place: bool,
}

impl State {
    fn new(cipher: CipherCtx) -> Arc<State> {
        Arc::new(State(Mutex::new(Inner {
            cipher,
            call: Call {
                is_whole: false,
                in_place: false,
            },
            spare: Buffer::default(),
            answer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// libcrypto ciphers so many bytes.
    ///
    /// # Safety
    ///
    /// The memory is there, with room for as much more as the cipher can put out; but for `out` where there is none.
    unsafe fn run(
        &self,
        is_whole: bool,
        out: BytesMut,
        data: Bytes,
        len: usize,
    ) -> Result<usize, String> {
        let Ok(int) = c_int::try_from(len) else {
            return Err("simaccel: more than 2 GiB of data in one call".to_owned());
        };
        let made = if is_whole {
            // SAFETY: the caller's; the context is ours.
            unsafe { (crypto().EVP_Cipher)(self.cipher.as_ptr(), out, data, int.unsigned_abs()) }
        } else {
            let mut made = 0;
            // SAFETY: as above.
            checked(unsafe {
                (crypto().EVP_CipherUpdate)(self.cipher.as_ptr(), out, &raw mut made, data, int)
            })?;
            made
        };
        // It says -1 for an error.
        usize::try_from(made).map_err(|_| String::new())
    }

    /// The same in memory of our own: what is put out takes the data's place. In place that is all the data, and
    /// how much of it counts is what is returned: in records of TLS that is not the first part of it, and
    /// how much it is must not be seen from outside.
    fn run_in_buffer(&mut self, data: &mut Buffer) -> Result<usize, String> {
        let Call { is_whole, in_place } = self.call;
        let len = data.len();
        let room = len + BLOCK;
        if in_place {
            // The copy was made with so much room.
            data.resize(room, 0);
            let place = data.as_mut_ptr();
            // SAFETY: there is as much room.
            let made = unsafe { self.run(is_whole, place, place, len) };
            data.truncate(made.as_ref().map_or(len, |made| len.max(*made)));
            return made;
        }
        piece::reserve(&mut self.spare, room);
        self.spare.resize(room, 0);
        let out = self.spare.as_mut_ptr();
        // SAFETY: there is as much room.
        let made = unsafe { self.run(is_whole, out, data.as_ptr(), len) }?;
        self.spare.truncate(made);
        std::mem::swap(&mut self.spare, data);
        Ok(made)
    }
}

impl CustomWork for State {
    fn carry_out(&self, data: &mut Buffer) -> Result<Output, FailureKind> {
        let mut inner = self.lock();
        // This may be a thread of the host's, whose queue of errors is its own.
        let answer = quietly(|| {
            let made = inner.run_in_buffer(data);
            // What libcrypto has to say is in the queue.
            made.map_err(|error| match error.is_empty() {
                true => failed("a cipher"),
                false => error,
            })
        });
        inner.answer = Some(answer);
        Ok(Output::None)
    }
}

impl Context {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock()
    }

    fn check(&self) -> Result<(), String> {
        if self.is_lost {
            return Err(
                "simaccel: a part of the message was lost with the device; make a new cipher context"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Takes note of settings that libcrypto is given.
    ///
    /// # Safety
    ///
    /// Null, or a list that ends as it must.
    unsafe fn note(&mut self, params: *const Param) {
        if params.is_null() {
            return;
        }
        self.is_set = true;
        // Without blocks, a record's MAC is left where it was put out, and asked for by its address. Only a GCM's has none.
        let is_ctr = matches!(self.kind, OpKind::Aes128Ctr | OpKind::Aes256Ctr);
        // SAFETY: the caller's.
        self.stays_here |= is_ctr && unsafe { params::has(params, TLS_VERSION) };
    }

    /// Where the message stood is lost, and a worker that is late may still have it: it is left to that one.
    #[cold]
    fn lose(&mut self) {
        self.is_lost = true;
        if let Ok(cipher) = (self.make)() {
            self.state = State::new(cipher);
        }
    }

    /// Ciphers what the caller has, and says how much was put out.
    ///
    /// # Safety
    ///
    /// `len` bytes at `data`, and `room` bytes at `out`; or both are the same memory, or `out` is null.
    unsafe fn call(
        &mut self,
        is_whole: bool,
        out: BytesMut,
        room: usize,
        data: Bytes,
        len: usize,
    ) -> Result<usize, String> {
        self.check()?;
        let settings = &self.provider.settings;
        let has_room = room.checked_sub(len).is_some_and(|more| more >= self.more);
        if out.is_null()
            || data.is_null()
            || self.stays_here
            || !piece::is_offloaded(settings, Class::Cipher, len)
        {
            if !out.is_null() {
                self.provider.in_software(self.kind);
                if !has_room {
                    return Err(NO_ROOM.to_owned());
                }
            }
            // SAFETY: the caller's, and there is enough room.
            return unsafe { self.lock().run(is_whole, out, data, len) };
        }
        if !has_room {
            return Err(NO_ROOM.to_owned());
        }
        let in_place = ptr::eq(data, out);
        {
            let mut inner = self.lock();
            inner.call = Call { is_whole, in_place };
            inner.answer = None;
        }
        // SAFETY: the caller's; there is at least one byte.
        let data = unsafe { slice::from_raw_parts(data, len) };
        let buffer = piece::copy(&mut self.spare, data, BLOCK);
        let result = self.on_device(buffer)?;
        // SAFETY: the caller's: nothing longer than the data and `more` is put out.
        unsafe { ptr::copy_nonoverlapping(self.spare.as_ptr(), out, self.spare.len()) };
        Ok(result)
    }

    /// What was put out is in `spare` then.
    fn on_device(&mut self, buffer: Buffer) -> Result<usize, String> {
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
        self.spare = response.data;
        let answer = self.lock().answer.take();
        answer.unwrap_or_else(|| {
            self.lose();
            Err("simaccel: the device models its answers, and ciphers nothing".to_owned())
        })
    }
}
