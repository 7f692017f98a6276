//! Lists of `OSSL_PARAM`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::abi::{
    CoreGetParams, PARAM_INTEGER, PARAM_UNMODIFIED, PARAM_UTF8_PTR, PARAM_UTF8_STRING, Param,
};

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

/// The text under `key` in a list.
///
/// # Safety
///
/// A list that ends as it must, which stays as it is while the text is used.
pub(crate) unsafe fn text<'a>(mut list: *const Param, key: &CStr) -> Option<&'a CStr> {
    // SAFETY: the caller's: every entry but the last has a key, and a text of libcrypto's own ends with a zero.
    unsafe {
        while !(*list).key.is_null() {
            let one = &*list;
            if CStr::from_ptr(one.key) == key && one.data_type == PARAM_UTF8_STRING {
                return Some(CStr::from_ptr(one.data.cast::<c_char>()));
            }
            list = list.add(1);
        }
    }
    None
}

/// Whether a list has a parameter of this name.
///
/// # Safety
///
/// Null, or a list that ends as it must.
pub(crate) unsafe fn has(params: *const Param, name: &CStr) -> bool {
    // SAFETY: the caller's.
    unsafe { all(params) }
        .iter()
        .any(|param| is_called(param, name))
}

/// A list without the parameters of this name; the values are those of the old one.
///
/// # Safety
///
/// As [`has`]; the new one is good as long as the old one.
pub(crate) unsafe fn without(params: *const Param, name: &CStr) -> Vec<Param> {
    // SAFETY: the caller's.
    let kept = unsafe { all(params) }
        .iter()
        .filter(|param| !is_called(param, name));
    kept.chain(&[Param::END]).copied().collect()
}

fn is_called(param: &Param, name: &CStr) -> bool {
    // SAFETY: a parameter's name is a string that ends with a zero; the one without a name ends the list.
    unsafe { CStr::from_ptr(param.key) == name }
}

/// The parameters of a list, without its end.
///
/// # Safety
///
/// Null, or a list that ends as it must, and is there as long as this.
unsafe fn all<'a>(params: *const Param) -> &'a [Param] {
    if params.is_null() {
        return &[];
    }
    let mut len = 0;
    // SAFETY: the caller's: there are parameters up to the one without a name.
    unsafe {
        while !(*params.add(len)).key.is_null() {
            len += 1;
        }
        std::slice::from_raw_parts(params, len)
    }
}

/// The value under `key` in a list to be filled in, if it is asked for.
///
/// # Safety
///
/// A list that ends as it must, in nobody else's hands.
unsafe fn asked<'a>(mut list: *mut Param, key: &CStr) -> Option<&'a mut Param> {
    // SAFETY: the caller's: every entry but the last has a key.
    unsafe {
        while !list.is_null() && !(*list).key.is_null() {
            if CStr::from_ptr((*list).key) == key {
                return Some(&mut *list);
            }
            list = list.add(1);
        }
    }
    None
}

/// Gives a text, by a pointer to it, to who asks for it under `key`.
///
/// # Safety
///
/// As [`asked`], with good places for what is asked for.
pub(crate) unsafe fn set_text(list: *mut Param, key: &CStr, text: &'static CStr) {
    // SAFETY: the caller's.
    if let Some(one) = unsafe { asked(list, key) }
        && one.data_type == PARAM_UTF8_PTR
        && !one.data.is_null()
    {
        // SAFETY: a place for a pointer.
        unsafe { *one.data.cast::<*const c_char>() = text.as_ptr() };
        one.return_size = text.count_bytes();
    }
}

/// Gives an `int` to who asks for it under `key`.
///
/// # Safety
///
/// As [`asked`], with good places for what is asked for.
pub(crate) unsafe fn set_int(list: *mut Param, key: &CStr, number: c_int) {
    // SAFETY: the caller's.
    if let Some(one) = unsafe { asked(list, key) }
        && one.data_type == PARAM_INTEGER
        && one.data_size == size_of::<c_int>()
        && !one.data.is_null()
    {
        // SAFETY: a place for an `int`.
        unsafe { *one.data.cast::<c_int>() = number };
        one.return_size = size_of::<c_int>();
    }
}
