//! Nothing but tests and benches, in their folders, and what they share.

pub mod soak;
