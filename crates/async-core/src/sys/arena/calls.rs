//! What an arena asks of the system. Each call can be made to fail in this crate's own tests.

use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use rustix::io::Errno;
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::mm::Advice;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// Linux 6.13; not in libc's headers of older systems.
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Maps memory that is backed only where it is touched.
pub(super) fn map(bytes: usize) -> Result<NonNull<u8>, Errno> {
    #[cfg(test)]
    fake::asked(
        |k| &mut k.maps,
        |k| k.map.filter(|(most, _)| bytes > *most).map(|(_, e)| e),
    )?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new anonymous mapping where the system chooses touches no memory in use.
    let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, access, flags)? };
    // A huge page would back sixteen stacks at once with memory that most of them never touch. A
    // kernel without huge pages refuses the advice, and needs none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the mapping is ours and the advice does not change its contents.
    let _ = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxNoHugepage) };
    NonNull::new(start.cast()).ok_or(Errno::NOMEM)
}

/// How many mappings a process may have.
pub(super) fn max_mappings() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        /// Where nobody says: Linux's default.
        const DEFAULT: usize = 65_530;
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let max = text.ok().and_then(|text| text.trim().parse().ok());
        max.unwrap_or(DEFAULT)
    })
}

/// Guards the first page of each of `count` slots, in one call. Says how many it did, from the
/// first on, at least one: the system may stop on the way.
///
/// # Safety
///
/// `count` slots of `slot_bytes` begin at `first`. They are mapped, and nobody uses the first
/// `page` bytes of any.
#[cfg(target_os = "linux")]
pub(super) unsafe fn advise_guards(
    first: NonNull<u8>,
    slot_bytes: usize,
    count: usize,
    page: usize,
) -> Result<usize, Errno> {
    let mut pages = Vec::new();
    // Where memory is short, guards are installed one by one.
    pages.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
    pages.extend((0..count).map(|at| libc::iovec {
        // In the slots: wrapping only for the compiler, which cannot know.
        iov_base: first.as_ptr().wrapping_add(at * slot_bytes).cast(),
        iov_len: page,
    }));
    /// Names the calling thread's own process where a pidfd is wanted: Linux 6.14.
    const PIDFD_SELF: libc::c_int = -10_000;
    // SAFETY: the pages are the caller's to guard.
    let done = match unsafe { process_madvise(PIDFD_SELF, &pages) } {
        Err(Errno::BADF) => {
            // Opened for this call only: one that is kept names the parent after a fork.
            let own = open_own_pidfd()?;
            // SAFETY: as above.
            unsafe { process_madvise(std::os::fd::AsRawFd::as_raw_fd(&own), &pages) }
        }
        done => done,
    };
    match done? / page {
        0 => Err(Errno::AGAIN),
        done => Ok(done),
    }
}

/// Elsewhere there is no such call.
///
/// # Safety
///
/// None is needed.
#[cfg(not(target_os = "linux"))]
pub(super) unsafe fn advise_guards(
    _: NonNull<u8>,
    _: usize,
    _: usize,
    _: usize,
) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(target_os = "linux")]
fn open_own_pidfd() -> Result<rustix::fd::OwnedFd, Errno> {
    #[cfg(test)]
    fake::asked(|k| &mut k.pidfds, |k| k.pidfd)?;
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    pidfd_open(getpid(), PidfdFlags::empty())
}

/// Installs guards in these pages, and says how many bytes of them it did.
///
/// # Safety
///
/// The pages are mapped by the calling process, which `pidfd` names, and nobody uses them.
#[cfg(target_os = "linux")]
unsafe fn process_madvise(pidfd: libc::c_int, pages: &[libc::iovec]) -> Result<usize, Errno> {
    #[cfg(test)]
    fake::asked(
        |k| &mut k.batches,
        |k| k.batch.or(k.sentinel.filter(|_| pidfd < 0)),
    )?;
    #[cfg(test)]
    let pages = &pages[..pages.len().min(fake::batch_limit())];
    let no_flags = 0_u32;
    // SAFETY: `pages` is a list of that length, which the system only reads. What is done to the
    // pages themselves is the caller's duty. An older kernel answers EINVAL or ENOSYS, and does
    // nothing.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            pidfd,
            pages.as_ptr(),
            pages.len(),
            MADV_GUARD_INSTALL,
            no_flags,
        )
    };
    usize::try_from(done).map_err(|_| last_errno())
}

/// Makes the page at `page` end the process when it is touched, with an entry in the page table.
///
/// # Safety
///
/// The page is mapped and nobody uses it.
#[cfg(target_os = "linux")]
pub(super) unsafe fn advise_guard(page: NonNull<u8>, bytes: usize) -> Result<(), Errno> {
    #[cfg(test)]
    fake::asked(|k| &mut k.advices, |k| k.advise)?;
    // SAFETY: the caller says that the page is ours. An older kernel, or one that has the page
    // locked in memory, answers EINVAL and does nothing.
    match unsafe { libc::madvise(page.as_ptr().cast(), bytes, MADV_GUARD_INSTALL) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Elsewhere there is no such advice.
///
/// # Safety
///
/// None is needed.
#[cfg(not(target_os = "linux"))]
pub(super) unsafe fn advise_guard(_: NonNull<u8>, _: usize) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Makes the page at `page` end the process when it is touched, by taking its access rights.
///
/// # Safety
///
/// The page is mapped and nobody uses it.
pub(super) unsafe fn protect(page: NonNull<u8>, bytes: usize) -> Result<(), Errno> {
    #[cfg(test)]
    fake::asked(|k| &mut k.protects, |k| k.protect)?;
    // SAFETY: the caller's.
    unsafe { rustix::mm::mprotect(page.as_ptr().cast(), bytes, MprotectFlags::empty()) }
}

#[cfg(target_os = "linux")]
fn last_errno() -> Errno {
    // Some: it is made of a number.
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Gives memory back to the system, which hands out zeroed pages in its place. Says whether it
/// did: not where the memory is locked. Guards stay.
///
/// # Safety
///
/// `[lowest, lowest + bytes)` are whole pages of an arena and hold nothing that is used again.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::sys) unsafe fn discard(lowest: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's; for a private anonymous mapping this means zeroes from now on.
    unsafe { rustix::mm::madvise(lowest.as_ptr().cast(), bytes, Advice::LinuxDontNeed) }.is_ok()
}

/// Elsewhere nothing promises zeroes: the caller writes them.
///
/// # Safety
///
/// None is needed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in crate::sys) unsafe fn discard(_: NonNull<u8>, _: usize) -> bool {
    false
}

/// A system that refuses what a test wants refused, to the calling thread.
#[cfg(test)]
pub(super) mod fake {
    use std::cell::Cell;

    use rustix::io::Errno;

    /// What is refused, with what, and how often each call was made.
    #[derive(Clone, Copy, Default)]
    pub(in super::super) struct Kernel {
        /// Mappings above this many bytes.
        pub(in super::super) map: Option<(usize, Errno)>,
        /// Any `process_madvise`.
        pub(in super::super) batch: Option<Errno>,
        /// `process_madvise` with the sentinel in place of a pidfd.
        pub(in super::super) sentinel: Option<Errno>,
        /// How many pages `process_madvise` does at most; 0 for all.
        pub(in super::super) batch_limit: usize,
        pub(in super::super) pidfd: Option<Errno>,
        pub(in super::super) advise: Option<Errno>,
        pub(in super::super) protect: Option<Errno>,
        pub(in super::super) maps: usize,
        pub(in super::super) batches: usize,
        pub(in super::super) pidfds: usize,
        pub(in super::super) advices: usize,
        pub(in super::super) protects: usize,
    }

    thread_local! {
        static KERNEL: Cell<Kernel> = Cell::default();
    }

    /// From now on the system is like this. Says what it was, with its counts.
    pub(in super::super) fn become_kernel(kernel: Kernel) -> Kernel {
        KERNEL.replace(kernel)
    }

    /// The calls made since it became what it is.
    pub(in super::super) fn kernel() -> Kernel {
        KERNEL.get()
    }

    pub(super) fn asked(
        count: impl FnOnce(&mut Kernel) -> &mut usize,
        refusal: impl FnOnce(&Kernel) -> Option<Errno>,
    ) -> Result<(), Errno> {
        let mut kernel = KERNEL.get();
        *count(&mut kernel) += 1;
        KERNEL.set(kernel);
        refusal(&kernel).map_or(Ok(()), Err)
    }

    pub(super) fn batch_limit() -> usize {
        match KERNEL.get().batch_limit {
            0 => usize::MAX,
            most => most,
        }
    }
}
