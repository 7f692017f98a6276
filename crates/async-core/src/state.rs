//! The states of a job. Only the states: who may change them, and what cannot be in each.
//!
//! ```text
//!            start_job                 pause_job
//!   Idle ───────────────▶ Running ◀──────────────▶ Paused
//!    ▲                       │        resume
//!    │   result taken        │ closure returned or panicked
//!    └────────────────── Finished
//! ```
//!
//! Beside the state, a job has a *cancelled* mark. It is set while Paused, by `Job::cancel` and
//! by dropping a `Job`, and stays until Idle. While it is set the job cannot become Paused:
//! `pause_job` returns at once.

/// What a job's slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// In its pool, or on the way into or out of it. No closure, no result, no wait context, no
    /// handle. Left by `start_job`, on the owner thread.
    Idle,
    /// Its closure is on its stack and the thread is executing it, or a job that it resumed. No
    /// handle exists: `start_job` or `resume` has not returned. Left by the job itself.
    Running,
    /// Suspended in `pause_job`. Exactly one handle exists (or it was forgotten, and the slot
    /// stays as it is for ever). Left by whoever has the handle.
    Paused,
    /// The closure is gone; its result or its panic is in the slot. No handle exists: `start_job`
    /// or `resume` is about to return. Left by them, when they have taken the result.
    Finished,
}
