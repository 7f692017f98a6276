//! An OpenSSL 3 provider that puts the simulated accelerator behind unmodified programs: `libsimaccel.so`.
//!
//! It is loaded by OpenSSL's configuration (`OPENSSL_CONF=sim.cnf haproxy ...`) and offers digests, ciphers, MACs,
//! RSA and EC. An operation runs on the device of [`sim_engine`], whose workers compute it with libcrypto's default
//! provider, so that results are real; the `ASYNC_JOB` that it runs in pauses meanwhile. How to use it is in
//! `docs/test-your-server.md`.
//!
//! # How it is built
//!
//! - `abi`: the records and numbers that OpenSSL and a provider exchange; `libcrypto`: its functions, found at run time.
//! - `config`: the settings; `process`: the device of a process; `job`: how OpenSSL's jobs wait; `stats`: the counts.
//! - `stream` and `piece`: what digests, ciphers and MACs have in common.
//! - `digest`, `cipher`, `mac`, `keys`, `signature`, `asym_cipher`, `exchange`: the algorithms. Each forwards to the
//!   default provider, in a library context of our own (`evp`), and what is worth it goes by way of the device.
//!
//! # What holds everywhere
//!
//! - The device works in its own memory: a request's buffer goes in and comes out, and the job copies the result to
//!   the caller after it was resumed. A caller that frees everything meanwhile, as a server does that hangs up on a
//!   client, leaves the device nothing of its own to write to.
//! - Objects of libcrypto's that an operation needs are reference counted, and held by the operation.
//! - No lock is held over a pause, and none over a fork.
//! - No panic crosses into C.

mod abi;
mod asym;
mod asym_cipher;
mod cipher;
mod config;
mod digest;
mod error;
mod evp;
mod exchange;
mod job;
mod keys;
mod libcrypto;
mod mac;
mod params;
mod piece;
mod process;
mod provider;
mod signature;
mod stats;
mod stream;
mod wipe;

use std::ffi::c_int;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use config::{Level, Settings};

/// Says something on stderr, if the settings want it said.
fn log(settings: &Settings, level: Level, text: &str) {
    if level <= settings.log {
        // Nobody is there to be told that stderr is closed.
        let _ = writeln!(std::io::stderr(), "simaccel: {text}");
    }
}

/// Runs what C has called: 1 for success. What went wrong goes into the error queue.
fn entry(run: impl FnOnce() -> Result<(), String>) -> c_int {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => 1,
        Ok(Err(text)) => {
            if !text.is_empty() {
                error::raise(&text);
            }
            0
        }
        Err(panic) => {
            std::mem::forget(panic);
            error::raise("simaccel: a panic in the provider; report it");
            0
        }
    }
}
