//! Stacks from the heap, with a record of what was allocated and released.

#![allow(
    unsafe_code,
    reason = "a stack source promises what the compiler cannot check"
)]
#![allow(dead_code, reason = "each test binary takes what it needs")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_core::{StackMemory, StackSource};

type OnAllocate = Box<dyn Fn() -> io::Result<()> + Send + Sync>;
type OnRelease = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Heap memory, without a guard page: the jobs of these tests are known to be shallow.
#[derive(Default)]
pub(crate) struct HeapStacks {
    /// What was asked for, call by call.
    asked: Mutex<Vec<usize>>,
    /// What is out, by the address that was handed out.
    out: Mutex<Vec<(usize, Block)>>,
    released: AtomicUsize,
    /// In place of what is asked for.
    bytes: Option<usize>,
    /// How far the start of the memory is from being aligned.
    skew: usize,
    on_allocate: Option<OnAllocate>,
    on_release: Option<OnRelease>,
}

struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is memory that its record owns; where it is freed from does not matter.
unsafe impl Send for Block {}

impl HeapStacks {
    /// Gives this many bytes whatever is asked for.
    pub(crate) fn of_size(mut self, bytes: usize) -> HeapStacks {
        self.bytes = Some(bytes);
        self
    }

    /// Gives memory that starts this far beyond a multiple of 64.
    pub(crate) fn skewed(mut self, by: usize) -> HeapStacks {
        self.skew = by;
        self
    }

    /// Asks `f` before each allocation.
    pub(crate) fn on_allocate(
        mut self,
        f: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> HeapStacks {
        self.on_allocate = Some(Box::new(f));
        self
    }

    /// Shows `f` each stack that was released.
    pub(crate) fn on_release(mut self, f: impl Fn(&[u8]) + Send + Sync + 'static) -> HeapStacks {
        self.on_release = Some(Box::new(f));
        self
    }

    pub(crate) fn shared(self) -> Arc<HeapStacks> {
        Arc::new(self)
    }

    /// How many bytes were asked for, call by call.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// Stacks handed out and not released.
    pub(crate) fn out(&self) -> usize {
        self.out.lock().expect("not poisoned").len()
    }

    /// Stacks released so far.
    pub(crate) fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }

    /// Whether `address` is in a stack that is out.
    pub(crate) fn owns(&self, address: usize) -> bool {
        let out = self.out.lock().expect("not poisoned");
        out.iter().any(|(_, block)| {
            let start = block.start.as_ptr() as usize;
            (start..start + block.layout.size()).contains(&address)
        })
    }
}

// SAFETY: each block is zeroed memory of the stated length, in nobody else's hands until it is
// released, and never freed otherwise. No guard page: see the type.
unsafe impl StackSource for HeapStacks {
    fn allocate(&self, bytes: usize) -> io::Result<StackMemory> {
        self.asked.lock().expect("not poisoned").push(bytes);
        if let Some(ask) = &self.on_allocate {
            ask()?;
        }
        let bytes = self.bytes.unwrap_or(bytes);
        let layout = Layout::from_size_align(bytes + self.skew, 64).expect("a sound layout");
        // SAFETY: the length is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("there is memory");
        // SAFETY: the block is that much longer than `bytes`.
        let lowest = unsafe { start.add(self.skew) };
        let mut out = self.out.lock().expect("not poisoned");
        out.push((lowest.as_ptr() as usize, Block { start, layout }));
        Ok(StackMemory { lowest, bytes })
    }

    unsafe fn release(&self, memory: StackMemory) {
        let block = {
            let mut out = self.out.lock().expect("not poisoned");
            let at = memory.lowest.as_ptr() as usize;
            let found = out.iter().position(|(lowest, _)| *lowest == at);
            out.swap_remove(found.expect("it came from here and was not released before"))
                .1
        };
        self.released.fetch_add(1, Ordering::Relaxed);
        if let Some(look) = &self.on_release {
            // SAFETY: it was zeroed at first, so it is initialised, and it is ours again.
            look(unsafe { std::slice::from_raw_parts(memory.lowest.as_ptr(), memory.bytes) });
        }
        // SAFETY: `allocate` made it with this layout; its record is gone, so this happens once.
        unsafe { dealloc(block.start.as_ptr(), block.layout) };
    }
}
