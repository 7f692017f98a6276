//! A place for one value of any type: in place if it is small, else in a box.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// Values up to this size, and alignment 16, are kept in place.
pub(super) const INLINE_BYTES: usize = 128;

/// Room for one value. Which type it holds, if any, is known to its user only.
#[repr(C, align(16))]
pub(super) struct Store(UnsafeCell<MaybeUninit<[u8; INLINE_BYTES]>>);

impl Store {
    pub(super) const fn new() -> Store {
        Store(UnsafeCell::new(MaybeUninit::uninit()))
    }

    const fn fits<T>() -> bool {
        size_of::<T>() <= INLINE_BYTES && align_of::<T>() <= align_of::<Store>()
    }

    /// Puts a value in.
    ///
    /// # Safety
    ///
    /// The store is empty (else its value is forgotten), and nobody else uses it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn put<T>(&self, value: T) {
        if const { Store::fits::<T>() } {
            // SAFETY: `fits` says that a T has room here and that the store's alignment is enough
            // for it; the caller, that nobody else reads or writes it.
            unsafe { self.0.get().cast::<T>().write(value) }
        } else {
            let boxed = Box::into_raw(Box::new(value));
            // SAFETY: a thin pointer fits; otherwise as above.
            unsafe { self.0.get().cast::<*mut T>().write(boxed) }
        }
    }

    /// Takes the value out; the store is empty then.
    ///
    /// # Safety
    ///
    /// The store holds a `T` that was put in as a `T`, and nobody else uses it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn take<T>(&self) -> T {
        if const { Store::fits::<T>() } {
            // SAFETY: the caller says that there is a T, which `put` wrote to the same place.
            unsafe { self.0.get().cast::<T>().read() }
        } else {
            // SAFETY: the caller says that there is a T, so `put` wrote its box's pointer here.
            let boxed = unsafe { self.0.get().cast::<*mut T>().read() };
            // SAFETY: the pointer is of `Box::into_raw` in `put`, and the store gives it up here.
            *unsafe { Box::from_raw(boxed) }
        }
    }

    /// Overwrites what was left in place by a value that was taken out.
    ///
    /// # Safety
    ///
    /// The store is empty, and nobody else uses it meanwhile.
    pub(super) unsafe fn wipe(&self) {
        // SAFETY: the caller says that nobody else reads or writes it.
        unsafe { self.0.get().write_bytes(0, 1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[repr(align(64))]
    struct Aligned(u8);

    /// One value of each way of keeping it: goes in, comes out once, is dropped once.
    #[test]
    fn every_size_and_alignment_comes_back() {
        let store = Store::new();
        // SAFETY: one value at a time, taken as what it was put in as.
        unsafe {
            store.put(());
            store.take::<()>();
            store.put(7_u64);
            assert_eq!(store.take::<u64>(), 7);
            store.put([3_u8; INLINE_BYTES]);
            assert_eq!(store.take::<[u8; INLINE_BYTES]>(), [3; INLINE_BYTES]);
            store.put([4_u8; INLINE_BYTES + 1]);
            assert_eq!(
                store.take::<[u8; INLINE_BYTES + 1]>(),
                [4; INLINE_BYTES + 1]
            );
            store.put(Aligned(5));
            assert_eq!(store.take::<Aligned>().0, 5);
            let counted = Rc::new(());
            store.put((Rc::clone(&counted), [0_u8; 500]));
            assert_eq!(Rc::strong_count(&counted), 2);
            drop(store.take::<(Rc<()>, [u8; 500])>());
            assert_eq!(Rc::strong_count(&counted), 1);
        }
    }
}
