//! Bugs that can be built into a device, to show that what is to find them does.

/// A bug of the device itself, as opposed to a fault that it simulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plant {
    /// Answers, and tells nobody.
    LostWake,
    /// Never answers, and keeps the request.
    Forgotten,
    /// Answers wrongly.
    WrongResult,
    /// Counts an answer twice.
    CountedTwice,
    /// Keeps the place in the ring.
    RingLeak,
}

impl Plant {
    /// All of them, with names for a command line.
    pub const ALL: [(&'static str, Plant); 5] = [
        ("lost-wake", Plant::LostWake),
        ("forgotten", Plant::Forgotten),
        ("wrong-result", Plant::WrongResult),
        ("counted-twice", Plant::CountedTwice),
        ("ring-leak", Plant::RingLeak),
    ];

    /// Whether it strikes the operation with this id.
    pub(crate) const fn strikes(id: u64) -> bool {
        id % 31 == 17
    }
}
