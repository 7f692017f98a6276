//! All unsafe code of the crate: calls into libcrypto, and the C functions that it calls back.
//!
//! Who runs on which stack:
//!
//! ```text
//!  host stack (the thread's)                 job stack (32 KiB, OPENSSL_malloc, no guard page)
//!  ─────────────────────────                 ──────────────────────────────────────────────────
//!  PeerJob::resume / start_job
//!    job::switch
//!      ASYNC_start_job ───── first time ───▶ libcrypto's fibre entry (endless loop)
//!            ▲         \                       job::run_body::<F>     catches panics
//!            │          \                        F                    the caller's closure
//!            │           ╲                         Libcrypto::pause_job
//!            ├─────── PAUSE ─────────────────────── ASYNC_pause_job
//!            │             ╲─────── resumed ──────▶ returns 1
//!            └─────── FINISH ──────── run_body has returned
//! ```
//!
//! While a job is paused its frames are frozen; nothing but the handle ([`job::PeerJob`]) can wake
//! them. The handle owns the record (`job::JobState`) that `run_body` writes to at its end, and that
//! record owns the wait context that libcrypto writes to when a pause returns. So both outlive the
//! frames: they are freed after FINISH, or leaked together with a job that is given up.
//!
//! [`jobs::PeerJobs`] does the same for a closure that serves many jobs: record and handle of a place
//! are used again for its next job, and `jobs::run_body` puts a guard page ([`guard`]) into the job's
//! stack first.
//!
//! Per thread, [`thread`] records which job this crate has switched to (to refuse a pause from any
//! other stack) and counts pool clean-ups (to refuse a resume across one).

pub(crate) mod api;
mod guard;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod library;
pub(crate) mod thread;
pub(crate) mod wait_ctx;
