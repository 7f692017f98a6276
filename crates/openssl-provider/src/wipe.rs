//! Wiping buffers at the speed of memory.

use offload::Buffer;

/// Wipes a buffer and frees it. What it does by itself when it is dropped, byte by byte, takes longer for 16 KiB than
/// AES does.
pub(crate) fn discard(buffer: &mut Buffer) {
    let mut bytes = std::mem::take(&mut **buffer);
    // SAFETY: the vector's own memory, all that it has allocated.
    unsafe { libc::explicit_bzero(bytes.as_mut_ptr().cast(), bytes.capacity()) };
}
