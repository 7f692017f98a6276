//! How a set is told, and what it counts.

/// How a [`JobSet`](super::JobSet) is told which of its jobs can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WakeBy {
    /// Engines queue the job and wake the parked thread, if it sleeps. The cheapest, and the one
    /// to take unless an event loop must watch something else too.
    Callback,
    /// The same with an eventfd in place of parking: one descriptor for the whole set.
    SharedFd,
    /// An eventfd per job, watched with epoll: what most OpenSSL programs do. A descriptor per
    /// job, so keep the set's limit below that on open files: a job that gets none finds its
    /// operations fail with `EMFILE`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Fd,
    /// Nobody tells: every job is resumed in turn, to look for itself.
    Polling,
}

/// What a [`JobSet`](super::JobSet) has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStats {
    /// Jobs started.
    pub started: u64,
    /// Jobs that returned.
    pub finished: u64,
    /// Times that a job paused.
    pub pauses: u64,
    /// Times that a job was resumed.
    pub resumes: u64,
    /// Times that the thread was woken: writes to the shared fd, wakes of the parked thread, or
    /// fds reported readable. 0 when polling.
    pub wakes: u64,
    /// The most jobs that were in the set at once.
    pub in_flight_max: usize,
}
