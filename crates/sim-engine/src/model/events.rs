//! What is to happen, in order.

use std::cmp::Ordering;

use offload::OpKind;

use super::Nanos;

/// Something that happens to the request, the engine or the batch with this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A request comes to the endpoint.
    Arrive(u32),
    /// A batch that is not full starts, if it is still this one.
    Flush(OpKind, u32),
    /// Some engine works again that stood still without work.
    Free,
    /// An engine is done, if nothing has delayed it.
    Done(u32, u32),
    /// A request is done, where engines have no bound.
    DoneAlone(u32),
    /// The host sees the answer of a request.
    Seen(u32),
    /// The answers that are held are told, if they are still these.
    Tell(u32),
}

/// An event and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) at: Nanos,
    /// The order of those of the same time: that in which they were planned.
    pub(super) number: u64,
    pub(super) event: Event,
}

/// The earliest first: a heap gives its greatest first.
impl Ord for At {
    fn cmp(&self, other: &At) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &At) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for At {
    fn eq(&self, other: &At) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for At {}
