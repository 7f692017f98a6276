//! Stacks from elsewhere.

use std::io;
use std::ptr::NonNull;

/// Where a pool gets its stacks from, in place of the built-in one: huge pages, memory that is
/// locked or wiped, a fixed region. OpenSSL's `ASYNC_set_mem_functions`, per pool.
///
/// Set it in [`PoolConfig::stack_source`](crate::PoolConfig::stack_source).
///
/// # Safety
///
/// Memory from [`allocate`](StackSource::allocate) must be
/// - readable and writable, for all of the length it states,
/// - used by nobody else until it is handed to [`release`](StackSource::release), whatever happens
///   to the source meanwhile,
/// - released without a panic: one leaks the pool's other idle stacks, and at the end of a thread it
///   aborts the process,
/// - protected against overflow, by a page without access below it or by the user's knowledge of
///   what the jobs do. Nothing checks.
#[doc(alias = "ASYNC_set_mem_functions")]
pub unsafe trait StackSource: Send + Sync {
    /// A stack of about `bytes` bytes. It may be of another size; at least
    /// [`PoolConfig::MIN_STACK_BYTES`](crate::PoolConfig::MIN_STACK_BYTES), or it is refused and
    /// released at once. Its start need not be aligned.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from doing so; it reaches the caller in
    /// [`StartError::Stack`](crate::StartError::Stack).
    fn allocate(&self, bytes: usize) -> io::Result<StackMemory>;

    /// Takes a stack back. On the thread that allocated it.
    ///
    /// # Safety
    ///
    /// `memory` came from [`allocate`](StackSource::allocate) of this source, was not released
    /// before, and nothing on it will be used again.
    unsafe fn release(&self, memory: StackMemory);
}

/// The memory of a stack.
#[derive(Debug, PartialEq, Eq)]
pub struct StackMemory {
    /// Its lowest byte.
    pub lowest: NonNull<u8>,
    /// Its length in bytes.
    pub bytes: usize,
}
