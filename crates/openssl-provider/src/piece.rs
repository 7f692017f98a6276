//! The pieces of data that go to the device: which do, and in what memory.

use offload::{Buffer, MAX_DATA_BYTES};

use crate::config::{Class, Settings};
use crate::wipe;

/// Whether a call with so many bytes is worth the way to the device.
pub(crate) fn is_offloaded(settings: &Settings, class: Class, len: usize) -> bool {
    let threshold = match class {
        Class::Digest => settings.digest_threshold,
        Class::Cipher => settings.cipher_threshold,
        Class::Mac => settings.mac_threshold,
        Class::Sign | Class::Decrypt | Class::Derive => 0,
    };
    len >= threshold.max(1) && len <= MAX_DATA_BYTES && settings.offloads(class)
}

/// Makes room for so many bytes. A buffer that is too small is wiped, and another one takes its place: a vector
/// that grows leaves its old memory as it was.
pub(crate) fn reserve(buffer: &mut Buffer, room: usize) {
    if buffer.capacity() < room {
        wipe::discard(buffer);
        *buffer = Buffer::new(Vec::with_capacity(room));
    }
}

/// A copy of `data` in the memory of `spare`, with room for so many bytes more.
pub(crate) fn copy(spare: &mut Buffer, data: &[u8], more: usize) -> Buffer {
    let mut buffer = std::mem::take(spare);
    buffer.clear();
    reserve(&mut buffer, data.len().saturating_add(more));
    buffer.extend_from_slice(data);
    buffer
}
