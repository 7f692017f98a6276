//! AddressSanitizer, in programs that are built with it. It takes a thread to have one stack, so it is told where a
//! switch has led, each time that one has: else an exception thrown in a job looks like a bug.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::OnceLock;

use crate::{mem, mode};

struct Hooks {
    start: unsafe extern "C" fn(*mut *mut c_void, *const c_void, usize),
    finish: unsafe extern "C" fn(*mut c_void, *mut *const c_void, *mut usize),
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Looks for the sanitizer.
pub(crate) fn begin() {
    let find = |name: &CStr| {
        // SAFETY: looks a name up.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    };
    let start = find(c"__sanitizer_start_switch_fiber");
    let finish = find(c"__sanitizer_finish_switch_fiber");
    if start.is_null() || finish.is_null() {
        return;
    }
    // SAFETY: the addresses of these functions, with the types of sanitizer/common_interface_defs.h.
    let hooks = unsafe {
        Hooks {
            start: transmute::<
                *mut c_void,
                unsafe extern "C" fn(*mut *mut c_void, *const c_void, usize),
            >(start),
            finish: transmute::<
                *mut c_void,
                unsafe extern "C" fn(*mut c_void, *mut *const c_void, *mut usize),
            >(finish),
        }
    };
    if HOOKS.set(hooks).is_ok() {
        mode::set(mode::ASAN);
    }
}

/// A stack that may be switched to.
#[derive(Clone, Copy)]
struct Stack {
    lowest: *const c_void,
    bytes: usize,
    /// Where the sanitizer keeps the variables of its functions, if not on the stack itself.
    fake: *mut c_void,
}

impl Stack {
    const NONE: Stack = Stack {
        lowest: ptr::null(),
        bytes: 0,
        fake: ptr::null_mut(),
    };
}

/// The two stacks between which a job's switches go.
pub(crate) struct Stacks {
    job: Cell<Stack>,
    caller: Cell<Stack>,
    /// The job is switched out.
    out: Cell<bool>,
}

impl Stacks {
    pub(crate) const fn new() -> Stacks {
        Stacks {
            job: Cell::new(Stack::NONE),
            caller: Cell::new(Stack::NONE),
            out: Cell::new(false),
        }
    }

    /// The job's function is about to be called.
    #[cold]
    #[inline(never)]
    pub(crate) fn job_begins(&self) {
        // Above this frame are few others of ours. It is as good as the top: the sanitizer needs to know up to where
        // the job's variables are.
        let here = 0_u8;
        let top = (&raw const here).addr();
        let bytes = mem::stack_bytes().min(top);
        let lowest = ptr::without_provenance(top - bytes);
        self.job.set(Stack {
            lowest,
            bytes,
            fake: ptr::null_mut(),
        });
        self.out.set(true);
        self.job_goes_on();
    }

    /// A pause is over; a cancelled job's ends without a switch.
    #[cold]
    pub(crate) fn job_goes_on(&self) {
        if self.out.replace(false) {
            self.caller.set(arrived(self.job.get(), false));
        }
    }

    /// A switch has led back to its caller's.
    #[cold]
    pub(crate) fn job_stops(&self, finished: bool) {
        self.out.set(true);
        let job = arrived(self.caller.get(), finished);
        let known = self.job.get();
        self.job.set(Stack {
            fake: job.fake,
            ..known
        });
    }
}

/// Says that this is `now`'s stack, and what the sanitizer took it for. The other is `gone` if nothing will ever
/// run on it again.
fn arrived(now: Stack, gone: bool) -> Stack {
    let mut before = Stack::NONE;
    if let Some(hooks) = HOOKS.get() {
        let fake = match gone {
            true => ptr::null_mut(),
            false => &raw mut before.fake,
        };
        // SAFETY: the two functions belong around a switch. Between the switch and here runs only this library, which
        // is not built with the sanitizer: so it is the same to it if both are called after the switch. The places that
        // are passed can be written.
        unsafe {
            (hooks.start)(fake, now.lowest, now.bytes);
            (hooks.finish)(now.fake, &raw mut before.lowest, &raw mut before.bytes);
        }
    }
    before
}
