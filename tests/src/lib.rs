//! Nothing but tests and benches, in their folders, and what they share.

pub mod memory;
#[expect(unsafe_code, reason = "a promise about how C code is used")]
pub mod million;
#[expect(
    unsafe_code,
    reason = "libcrypto's bare functions, to measure them and not a wrapper"
)]
pub mod peer;
pub mod soak;

/// The example of the README, compiled and run as a test.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
