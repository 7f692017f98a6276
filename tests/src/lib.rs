//! Nothing but tests: see the `tests` and `benches` folders.
