//! Who polls, and when.
