//! Finding libcrypto, and the handle to it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::api::Api;
use crate::raw::RawFns;
use crate::{LoadAttempt, LoadError};

/// The environment variable that names the library to load.
const OVERRIDE: &str = "LIBCRYPTO_PEER";

/// Where libcrypto is looked for without it.
#[cfg(not(target_vendor = "apple"))]
const NAMES: &[&str] = &["libcrypto.so.3", "libcrypto.so"];
/// Where libcrypto is looked for without it. Not the unversioned name: that is the system's own
/// library, and macOS aborts a program that opens it.
#[cfg(target_vendor = "apple")]
const NAMES: &[&str] = &["libcrypto.3.dylib"];

/// The libcrypto of this process. All handles are the same one: a thread has one running job, in one
/// library.
static LOADED: Mutex<Option<&'static Api>> = Mutex::new(None);

/// libcrypto, loaded: the entry to everything else. Cheap to copy, and usable from any thread.
///
/// The library stays loaded until the process ends.
#[derive(Clone, Copy)]
pub struct Libcrypto {
    pub(super) api: &'static Api,
}

impl Libcrypto {
    /// Loads libcrypto, on the first call that succeeds; later calls return the same library.
    ///
    /// The environment variable `LIBCRYPTO_PEER`, if set and not empty, is the name or path to load,
    /// and nothing else is tried. Otherwise it is `libcrypto.so.3`, then `libcrypto.so`
    /// (`libcrypto.3.dylib` on macOS), wherever the dynamic loader finds it. If the program uses a
    /// libcrypto already, the loader returns that one.
    ///
    /// As with `LD_PRELOAD`, whoever sets the variable runs code in this process: a program with more
    /// rights than its user must remove it first.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if none of them can be loaded or what is found is older than OpenSSL 3.0.
    pub fn load() -> Result<Self, LoadError> {
        // A panic cannot leave the slot half written.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let api = match *loaded {
            Some(api) => api,
            None => *loaded.insert(open_first(&candidates(env::var_os(OVERRIDE)))?),
        };
        Ok(Self { api })
    }

    /// The version in words, such as `OpenSSL 3.0.19 27 Jan 2026`.
    #[doc(alias = "OpenSSL_version")]
    #[must_use]
    pub fn version(&self) -> String {
        self.api.version()
    }

    /// The version as a number, `0xMNN00PP0` for release M.NN.PP.
    #[doc(alias = "OpenSSL_version_num")]
    #[must_use]
    pub fn version_num(&self) -> u64 {
        self.api.version_num()
    }

    /// Whether this libcrypto can run jobs on this platform. Where it cannot, every start ends in
    /// [`StartError::NoJobs`](crate::StartError::NoJobs).
    #[doc(alias = "ASYNC_is_capable")]
    #[must_use]
    pub fn is_capable(&self) -> bool {
        self.api.is_capable()
    }

    /// Whether this thread runs inside a job of libcrypto's, whoever started it.
    #[doc(alias = "ASYNC_get_current_job")]
    #[must_use]
    pub fn current_job_exists(&self) -> bool {
        self.api.current_job_exists()
    }

    /// libcrypto's own functions, without this crate in between: see [`raw`](crate::raw).
    #[must_use]
    pub fn raw(&self) -> RawFns {
        self.api.raw()
    }
}

impl fmt::Debug for Libcrypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libcrypto")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

fn candidates(chosen: Option<OsString>) -> Vec<OsString> {
    match chosen {
        Some(name) if !name.is_empty() => vec![name],
        _ => NAMES.iter().map(OsString::from).collect(),
    }
}

fn open_first(names: &[impl AsRef<OsStr>]) -> Result<&'static Api, LoadError> {
    let mut attempts = Vec::new();
    for name in names {
        let name = name.as_ref();
        match Api::open(name) {
            Ok(api) => return Ok(api),
            Err(error) => attempts.push(LoadAttempt {
                name: name.to_owned(),
                reason: error.to_string(),
            }),
        }
    }
    Err(LoadError { attempts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_replaces_the_search() {
        assert_eq!(candidates(Some("/opt/c.so".into())), ["/opt/c.so"]);
        assert_eq!(candidates(Some(OsString::new())), NAMES);
        assert_eq!(candidates(None), NAMES);
    }

    #[test]
    fn the_error_lists_what_was_tried_and_what_to_do() {
        let error = open_first(&["/nonexistent/one.so", "/nonexistent/two.so"])
            .err()
            .expect("neither exists");
        let names: Vec<_> = error.attempts().iter().map(|a| a.name.clone()).collect();
        assert_eq!(names, ["/nonexistent/one.so", "/nonexistent/two.so"]);
        let text = error.to_string();
        for part in ["one.so", "two.so", "LIBCRYPTO_PEER", "libssl3"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn another_library_is_refused() {
        let error = open_first(&["libc.so.6"]).err().expect("not a libcrypto");
        let reason = &error.attempts()[0].reason;
        assert!(reason.contains("ASYNC_is_capable"), "{reason:?}");
    }
}
