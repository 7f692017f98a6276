//! The device in virtual time against the theory of queues, by way of the public API.

mod closed;
mod open;
mod support;
