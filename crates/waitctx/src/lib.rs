//! Wait contexts: how a paused job is told that it can go on.
//!
//! A [`WaitCtx`] is OpenSSL's `ASYNC_WAIT_CTX` with its ownership typed. The application makes
//! one per job (or per connection) and watches it; the engine that works for the job tells it,
//! through a [`Notifier`], when an operation is done. There are four ways to be told:
//!
//! | way | how to ask for it | what it costs |
//! |---|---|---|
//! | an fd of its own | nothing; the engine makes an eventfd when it needs one | a file descriptor per context, a system call per wake |
//! | one fd for many contexts | [`ReadyQueue::with_fd`] and [`ReadyQueue::attach`] | one descriptor; a system call per sleep |
//! | a callback | [`WaitCtx::set_callback`], or [`ReadyQueue::new`] which parks the thread | a call |
//! | polling | [`WaitCtx::set_silent`] | nothing, and nobody is told |
//!
//! ```text
//!   owner thread                                    engine's thread
//!   ────────────                                    ───────────────
//!   WaitCtx ──▶ Owner ─▶ table of wait fds
//!                 └────▶ Wake ◀──────────────────── Notifier
//!                         status                     notify(status):
//!                         callback ── set? ── call it (on the engine's thread)
//!                         wake fd ─── else ── make it readable
//!                         pending ─── else ── remember, fire when one of the two is set
//! ```
//!
//! The engine holds only the lower half. When the last [`WaitCtx`] goes, its fds are cleaned up
//! on that thread; a notifier that fires later finds the context closed and does nothing, and the
//! context waits for one that is in the middle of writing, so the number cannot have become
//! somebody else's socket.
//!
//! Everything here can be used from any thread. There is no unsafe code.
//!
//! # Example
//!
//! ```
//! use waitctx::{ReadyQueue, Status, WaitCtx};
//!
//! let ready = ReadyQueue::new();
//! let ctx = WaitCtx::new();
//! ready.attach(&ctx, 7);
//!
//! let notifier = ctx.notifier()?;
//! std::thread::spawn(move || notifier.notify(Status::Ok));
//!
//! let mut tokens = Vec::new();
//! ready.wait(&mut tokens, None)?;
//! assert_eq!(tokens, [7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod callback;
mod closing;
mod ctx;
mod key;
mod notifier;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod poller;
mod ready;
mod status;
mod sync;
mod table;
mod wait_fd;
mod wake;
mod wake_batch;
mod wake_fd;

pub use callback::Callback;
pub use closing::Closing;
pub use ctx::{Changes, WaitCtx, change_epoch};
pub use key::Key;
pub use notifier::{Notified, Notifier, NotifyError};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use poller::{FdPoller, PollerError};
pub use ready::ReadyQueue;
pub use status::Status;
pub use table::FdTable;
pub use wait_fd::{SetFdError, WaitFd};
pub use wake_batch::WakeBatch;
pub use wake_fd::WakeFd;
