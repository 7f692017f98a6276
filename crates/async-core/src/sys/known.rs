//! Where a thread's data is.
//!
//! In a program, Rust's thread-locals cost an instruction or two. In a shared library they cost a function call each
//! time, which is a tenth of a pause and a resume. With the feature `shared-library`, each thread has a word
//! that is read in two instructions in both ("initial-exec") and says where the data is. For a library that is loaded
//! later, the loader keeps some room for that (glibc: 1664 bytes, `glibc.rtld.optional_static_tls` asks for more); all
//! thread-locals of the library are put there then, not the word alone, so they should be few.

use std::thread::LocalKey;

use super::thread::Thread;

pub(super) use word::here;

#[cfg(not(all(
    feature = "shared-library",
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "gnu"
)))]
mod word {
    use super::{LocalKey, Thread};

    /// The address of this thread's `key`, which is the only key that this is called with.
    #[inline(always)]
    pub(in super::super) fn here(key: &'static LocalKey<Thread>) -> *const Thread {
        key.with(|thread| &raw const *thread)
    }
}

#[cfg(all(
    feature = "shared-library",
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "gnu"
))]
mod word {
    use std::arch::{asm, global_asm};

    use super::{LocalKey, Thread};

    // The version is in its name, since two versions of this crate can be in one program.
    macro_rules! name {
        () => {
            concat!(
                "async_core_known_thread_",
                env!("CARGO_PKG_VERSION_MAJOR"),
                "_",
                env!("CARGO_PKG_VERSION_MINOR"),
                "_",
                env!("CARGO_PKG_VERSION_PATCH")
            )
        };
    }

    global_asm!(
        concat!(".pushsection .tbss.", name!(), ",\"awT\",@nobits"),
        concat!(".hidden ", name!()),
        concat!(".globl ", name!()),
        concat!(".type ", name!(), ", @object"),
        concat!(".size ", name!(), ", 8"),
        ".balign 8",
        concat!(name!(), ": .zero 8"),
        ".popsection",
    );

    /// The address of this thread's `key`, which is the only key that this is called with.
    #[inline(always)]
    pub(in super::super) fn here(key: &'static LocalKey<Thread>) -> *const Thread {
        let known: *const Thread;
        // SAFETY: reads this thread's word, which is null or what `find` wrote. `pure` and `nomem` take it for a
        // constant, which it is for a thread, once it is not null; a null that was read too early leads to
        // `find` again. What was read is never used on another thread: jobs stay on theirs, and no other
        // function's frame moves. Nothing but this module's assembly names the word, so to the compiler it is
        // no memory of the program's.
        unsafe {
            asm!(
                concat!("mov {0}, qword ptr [rip + ", name!(), "@GOTTPOFF]"),
                "mov {0}, qword ptr fs:[{0}]",
                out(reg) known,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        if known.is_null() { find(key) } else { known }
    }

    #[cold]
    fn find(key: &'static LocalKey<Thread>) -> *const Thread {
        let thread = key.with(|thread| &raw const *thread);
        // SAFETY: writes this thread's word, which nothing else writes. It may have been read before, as
        // null.
        unsafe {
            asm!(
                concat!("mov {0}, qword ptr [rip + ", name!(), "@GOTTPOFF]"),
                "mov qword ptr fs:[{0}], {1}",
                out(reg) _,
                in(reg) thread,
                options(nostack, preserves_flags),
            );
        }
        thread
    }
}
