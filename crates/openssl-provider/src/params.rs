//! Lists of `OSSL_PARAM`.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use crate::abi::{CoreGetParams, PARAM_UNMODIFIED, PARAM_UTF8_PTR, Param};

/// What the core's configuration says under `name`.
///
/// # Safety
///
/// `get` is the core's function, and `handle` the core's handle.
pub(crate) unsafe fn core_value(
    get: CoreGetParams,
    handle: *const c_void,
    name: &CStr,
) -> Option<String> {
    let mut value: *const c_char = ptr::null();
    let mut asked = [
        Param {
            key: name.as_ptr(),
            data_type: PARAM_UTF8_PTR,
            data: (&raw mut value).cast(),
            data_size: 0,
            return_size: PARAM_UNMODIFIED,
        },
        Param::END,
    ];
    // SAFETY: the caller's; the list ends as it must. It stores a pointer to a string of its own.
    let got = unsafe { get(handle, asked.as_mut_ptr()) };
    if got != 1 || value.is_null() {
        return None;
    }
    // SAFETY: a string of the core's, which ends with a zero.
    Some(
        unsafe { CStr::from_ptr(value) }
            .to_string_lossy()
            .into_owned(),
    )
}
