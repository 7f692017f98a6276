//! Errors, as OpenSSL's programs see them: in the thread's error queue, with a text.

use std::ffi::{CStr, CString, c_int};
use std::sync::OnceLock;

use offload::{FailureKind, OffloadError, Reason};

use crate::libcrypto;

/// `ERR_R_OPERATION_FAIL`: libcrypto's own reason for what failed elsewhere. The text says what did.
const OPERATION_FAIL: c_int = 263 | 0xC_0000;

/// Puts an error into this thread's queue. `text` says what happened and what to do.
pub(crate) fn raise(text: &str) {
    static LIBRARY: OnceLock<c_int> = OnceLock::new();
    let libcrypto = libcrypto::get();
    // SAFETY: it takes nothing.
    let library =
        *LIBRARY.get_or_init(|| unsafe { (libcrypto.crypto.ERR_get_next_error_library)() });
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the types are OpenSSL's; the strings are copied within the calls, but for the file's and
    // the function's name, which are constants.
    unsafe {
        (libcrypto.crypto.ERR_new)();
        (libcrypto.crypto.ERR_set_debug)(c"simaccel".as_ptr(), 0, c"simaccel".as_ptr());
        (libcrypto.variadic.set_error)(library, OPERATION_FAIL, c"%s".as_ptr(), text.as_ptr());
    }
}

/// What an operation's error is called in the queue.
pub(crate) fn text(error: &OffloadError) -> String {
    match error {
        OffloadError::Failed(failure) => match &failure.kind {
            FailureKind::Device { status } => {
                format!("simaccel: the device answered with status {status}")
            }
            FailureKind::Down => "simaccel: the device is down".to_owned(),
            FailureKind::TimedOut { millis } => {
                format!("simaccel: no answer from the device within {millis} ms")
            }
            other => format!("simaccel: {other}"),
        },
        OffloadError::Refused { reason, .. } => match reason {
            Reason::Throttled => {
                "simaccel: the device throttles; it refuses what is beyond its rate".to_owned()
            }
            Reason::Down => "simaccel: the device is down, and takes nothing on".to_owned(),
            other => format!("simaccel: {other}"),
        },
        other => format!("simaccel: {other}"),
    }
}

/// The newest error of this thread's queue, as OpenSSL prints it. It stays there.
pub(crate) fn newest() -> String {
    let crypto = libcrypto::crypto();
    let mut text = [0_u8; 256];
    // SAFETY: the buffer is as long as it says; the text ends with a zero.
    unsafe {
        let code = (crypto.ERR_peek_last_error)();
        (crypto.ERR_error_string_n)(code, text.as_mut_ptr().cast(), text.len());
    }
    CStr::from_bytes_until_nul(&text).map_or_else(
        |_| String::new(),
        |text| text.to_string_lossy().into_owned(),
    )
}
