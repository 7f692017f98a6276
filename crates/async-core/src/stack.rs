//! How deep jobs go, and what is said when one goes too deep.

use std::io;

use crate::sys;

/// From now on, a job that overflows its stack says so before the process ends:
///
/// ```text
/// job 1.42 has overflowed its stack of 65536 bytes; raise PoolConfig::stack_bytes, in C ASYNC_CAPI_STACK_BYTES
/// ```
///
/// on standard error, then the process aborts (SIGABRT). Without it the process ends by a bare
/// SIGSEGV, since Rust's own message is about its threads' stacks. For a program's `main`; a library
/// should leave the choice to the program.
///
/// It installs a handler for SIGSEGV and SIGBUS, for the whole process and for good. Every fault but
/// one in the guard page below the running job's stack goes to the handler that was there before,
/// Rust's own or the program's, as if this one were not there. So call it after installing handlers
/// that replace others without passing on to them. A second call does nothing more.
///
/// A handler needs an alternate signal stack. Threads of Rust's standard library have one. Any
/// other thread that has none gets one when its pool is opened after this call, or when it calls
/// this function, which is freed when the thread ends: about 80 KiB of address space.
///
/// What steps over the guard page at once (C code with a large frame, compiled without stack
/// probes) is not noticed by it. With a [`StackSource`](crate::StackSource), the page below the
/// memory that it gave is taken for its guard.
///
/// # Errors
///
/// The system's, where it refuses the handler or the alternate stack. Nothing else changes, and jobs
/// run as before.
pub fn report_stack_overflow() -> io::Result<()> {
    sys::report_stack_overflow()
}

/// The largest [high-water mark](crate::Job::stack_high_water) of all stacks that this thread's pool
/// has made with its present settings, idle ones included: what
/// [`PoolConfig::stack_bytes`](crate::PoolConfig::stack_bytes) must be at least, for what ran so far.
/// In bytes. What was [trimmed](crate::trim_thread) since, or wiped, is forgotten: ask before.
///
/// `None` without a pool, for stacks of a [`StackSource`](crate::StackSource), and elsewhere than on
/// Linux.
///
/// **It looks at every stack**: a system call and a page read each, about 1.7 µs per stack, so
/// 0.2 s for 100,000. For tests and for measuring; not for a program at work.
#[must_use]
pub fn scan_high_water() -> Option<usize> {
    sys::scan_high_water()
}
