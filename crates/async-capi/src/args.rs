//! A job's arguments: a copy of the caller's bytes, for as long as the job runs.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use zeroize::Zeroize;

/// Where a copy is kept. It moves onto the job's stack with the closure, and its address is taken there.
pub(crate) trait Args {
    /// What the job's function gets. Aligned for any scalar.
    fn pointer(&mut self) -> *mut c_void;
}

/// No arguments, or no bytes of them: the function gets NULL.
pub(crate) struct None;

impl Args for None {
    fn pointer(&mut self) -> *mut c_void {
        ptr::null_mut()
    }
}

/// Few bytes, in place.
#[repr(align(16))]
pub(crate) struct Inline([MaybeUninit<u8>; Inline::ROOM]);

impl Inline {
    /// What fits in place with the rest of a closure; libssl's own arguments take 48.
    pub(crate) const ROOM: usize = 64;

    /// # Safety
    ///
    /// `args` are `size` bytes that can be read, and `size` is at most [`Inline::ROOM`].
    #[inline(always)]
    pub(crate) unsafe fn copy(args: *const u8, size: usize) -> Inline {
        let mut copy = Inline([MaybeUninit::uninit(); Inline::ROOM]);
        // SAFETY: the caller's; what is copied to is new.
        unsafe { ptr::copy_nonoverlapping(args, copy.0.as_mut_ptr().cast(), size) };
        copy
    }
}

impl Args for Inline {
    fn pointer(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// More bytes, on the heap.
pub(crate) struct Boxed {
    /// Allocated with `layout`, freed at the drop.
    bytes: NonNull<u8>,
    layout: Layout,
}

impl Boxed {
    /// A copy, or `None` if there is no memory for it.
    ///
    /// # Safety
    ///
    /// `args` are `size` bytes that can be read; `size` is not 0.
    pub(crate) unsafe fn copy(args: *const u8, size: usize) -> Option<Boxed> {
        let layout = Layout::from_size_align(size, align_of::<Inline>()).ok()?;
        // SAFETY: the size is not 0, by the caller.
        let bytes = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: the caller's; what is copied to is new and as large.
        unsafe { ptr::copy_nonoverlapping(args, bytes.as_ptr(), size) };
        Some(Boxed { bytes, layout })
    }
}

impl Args for Boxed {
    fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_ptr().cast()
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        // SAFETY: they were written by `copy`, and nobody else uses them: the job is over.
        let bytes = unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr(), self.layout.size()) };
        // They may hold keys. What is kept in place is wiped with the stack, if that is asked for.
        bytes.zeroize();
        // SAFETY: allocated with this layout by `copy`, and freed here only.
        unsafe { dealloc(self.bytes.as_ptr(), self.layout) };
    }
}
