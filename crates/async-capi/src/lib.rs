//! OpenSSL's `ASYNC_*` functions as a C library: programs that were written for them run on
//! [`async_core`]'s jobs without a change. See `docs/c-api.md` for every function, and how to link.
//!
//! C programs use `include/openssl/async.h`, made from this crate, and `include/async_capi.h` for what OpenSSL
//! does not have. The functions are public here for tests and for programs that link the Rust library.
//!
//! # How it is built
//!
//! - What C holds as `ASYNC_JOB *` and `ASYNC_WAIT_CTX *` are handles, looked up and never followed
//!   (`slots.rs`): a stale or foreign one is an error.
//! - `job.rs` starts and resumes async-core's jobs and keeps what C adds: a count of blocks, a default library
//!   context, the wait context. `ctx.rs` is the wait context, on the rules of [`waitctx::FdTable`].
//! - `libcrypto.rs` finds libcrypto if it is in the process, for its error queue and its library contexts.
//! - `jobs.rs`, `wait_ctx.rs` and `extra.rs` are the functions that C sees. They check, and tell what went wrong
//!   (`error.rs`).

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod abi;
mod args;
mod asan;
mod check;
mod ctx;
mod error;
mod extra;
mod fork;
mod job;
mod jobs;
mod libcrypto;
mod mem;
mod mode;
mod slots;
mod stats;
mod thread;
mod wait_ctx;

pub use abi::*;
pub use extra::*;
pub use jobs::{
    ASYNC_block_pause, ASYNC_cleanup_thread, ASYNC_get_current_job, ASYNC_get_mem_functions,
    ASYNC_get_wait_ctx, ASYNC_init_thread, ASYNC_is_capable, ASYNC_pause_job,
    ASYNC_set_mem_functions, ASYNC_start_job, ASYNC_unblock_pause,
};
pub use wait_ctx::*;
