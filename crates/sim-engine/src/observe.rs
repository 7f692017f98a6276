//! What can be seen of a device from outside: for traces, for the stages of an operation, for tests.

use offload::{OpKind, Reason};

/// Told of everything that happens on a device.
///
/// Called on whatever thread it happens, in the order of time on a virtual clock, and of each
/// thread's doing in real time. It must not call the device, and what it takes holds the device up.
pub trait Observer: Send + Sync {
    /// Something has happened.
    fn observe(&self, event: &DeviceEvent);
}

/// Something that happens on a device. Times are nanoseconds of its clock
/// ([`SimClock`](crate::SimClock)).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// A request was taken on.
    Submitted {
        /// When.
        at_ns: u64,
        /// The request's id.
        id: u64,
        /// The endpoint it goes to, counted from 0.
        endpoint: u32,
        /// Which of the endpoint's instances, counted from 0.
        instance: u32,
    },
    /// A request was refused.
    Refused {
        /// When.
        at_ns: u64,
        /// The request's id.
        id: u64,
        /// Why.
        reason: Reason,
    },
    /// A request has come to an engine. Only on a device that models time.
    Started {
        /// When.
        at_ns: u64,
        /// The request's id.
        id: u64,
        /// The endpoint, counted from 0.
        endpoint: u32,
        /// Which of its engines, counted from 0; `None` where they have no bound.
        engine: Option<u32>,
    },
    /// A request has ended.
    Ended(OpRecord),
    /// An endpoint has died: nothing happens on it any more, and nobody knows yet.
    Died {
        /// When.
        at_ns: u64,
        /// The endpoint, counted from 0.
        endpoint: u32,
    },
    /// The driver has found it dead: what was in flight there fails. Intel's driver says FATAL.
    FoundDead {
        /// When.
        at_ns: u64,
        /// The endpoint, counted from 0.
        endpoint: u32,
    },
    /// It works again. Intel's driver says RESTARTED.
    Restarted {
        /// When.
        at_ns: u64,
        /// The endpoint, counted from 0.
        endpoint: u32,
    },
}

/// A request's way through the device. A time is 0 where it did not come so far.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpRecord {
    /// The request's id.
    pub id: u64,
    /// What it asked for.
    pub op: OpKind,
    /// Of how many bytes.
    pub bytes: usize,
    /// The endpoint, counted from 0.
    pub endpoint: u32,
    /// Which of the endpoint's instances, counted from 0.
    pub instance: u32,
    /// Which of its engines; `None` where they have no bound, or it did not come to one.
    pub engine: Option<u32>,
    /// Taken on.
    pub submitted_ns: u64,
    /// At the endpoint.
    pub arrived_ns: u64,
    /// On an engine.
    pub started_ns: u64,
    /// The engine is done.
    pub done_ns: u64,
    /// Answered, and whoever waits was told or is about to be.
    pub answered_ns: u64,
    /// How it ended.
    pub end: OpEnd,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpEnd {
    /// Answered with success to somebody who waited.
    Completed,
    /// Answered with a failure to somebody who waited.
    Failed,
    /// Answered when nobody waited any more.
    Orphaned,
}
