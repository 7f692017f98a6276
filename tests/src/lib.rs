//! Nothing but tests and benches, in their folders, and what they share.

pub mod soak;

/// The example of the README, compiled and run as a test.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
