//! The contract between jobs and engines that answer later.
//!
//! A job asks an [`OffloadClient`] to run a [`Request`]. The client submits it to an [`Engine`]
//! with a [`Completion`], pauses the job, and takes the answer when the engine has given it. To
//! the job it is one call:
//!
//! ```text
//!  job (owner thread)                     engine (its own threads)
//!  ──────────────────                     ────────────────────────
//!  client.run(request)
//!    engine.submit(request, completion) ─▶ ring ─▶ work
//!    pause_job()                           completion.complete(answer)
//!        ⋮   the thread runs other jobs      answer → slot, then wake the wait context
//!    pause_job() returns ◀───────────────────
//!    slot empty? pause again. full? take the answer.
//! ```
//!
//! What holds for every engine and every job:
//!
//! - The answer goes to a slot that the completion and the client share. The job, its stack and
//!   its context can be gone by then: the answer is thrown away, and the engine is told so
//!   ([`Delivery::Orphaned`]). It still wakes the context once, since hosts wait for that before
//!   they free a connection.
//! - A request owns its buffers. They come back with the answer, with the refusal or with the
//!   failure.
//! - A full ring ([`Reason::RingFull`]) pauses the job; it is let in, first come, first served,
//!   when the engine has room ([`Gate`]).
//! - Every operation ends: with an answer, or after the client's time-out.
//!
//! Outside a job, or where pausing is blocked, the client waits on the spot.
//!
//! # Writing an engine
//!
//! Implement [`Engine`]: take the [`Submission`], and call [`Completion::complete`] when the
//! answer is there, from any thread. A [`Gate`] bounds what is in flight and wakes who waits. The
//! suite in [`conformance`] checks every rule of the contract.

#![forbid(unsafe_code)]

mod client;
mod completion;
// Not for the model checker: it is a test with threads of its own.
#[cfg(not(loom))]
pub mod conformance;
mod engine;
mod error;
mod figures;
mod gate;
mod host_job;
mod pending;
mod request;
mod slots;
mod sync;
mod waiter;
mod watchdog;

pub use client::OffloadClient;
pub use completion::{Completion, Delivery};
pub use engine::{Counters, Drive, Engine, Reason, Refused, Submission};
pub use error::OffloadError;
pub use figures::ClientStats;
pub use gate::{Gate, Ticket};
pub use host_job::{Held, HostJob};
pub use pending::Pending;
pub use request::*;
pub use watchdog::Ticker;
