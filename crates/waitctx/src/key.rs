//! Names of wait fds within a context.

use std::sync::atomic::{AtomicU64, Ordering};

/// The name under which an engine keeps its fd in a context. Opaque: keys are only compared.
///
/// An engine makes one, once, and uses it for every context, so that it finds its fd again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Repr);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Repr {
    /// The context's own wake fd, made by [`WaitCtx::notifier`](crate::WaitCtx::notifier).
    Wake,
    /// From [`Key::new`].
    Unique(u64),
    /// From [`Key::from_address`].
    Address(usize),
}

impl Key {
    pub(crate) const WAKE: Key = Key(Repr::Wake);

    /// A key that equals no other key of this process.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "two defaults would differ, which nobody expects"
    )]
    pub fn new() -> Key {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Key(Repr::Unique(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The key of an address, as C programs use them: equal addresses are equal keys. The address
    /// is never followed; 0 is a key like any other.
    #[must_use]
    pub const fn from_address(address: usize) -> Key {
        Key(Repr::Address(address))
    }

    /// The address this key was made of, if it was.
    #[must_use]
    pub const fn address(self) -> Option<usize> {
        match self.0 {
            Repr::Address(address) => Some(address),
            _ => None,
        }
    }
}
