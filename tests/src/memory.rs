//! What the kernel says of this process's memory.

use std::fs;

/// What is in use at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Page tables, in bytes.
    pub page_table_bytes: u64,
}

impl Memory {
    /// What is in use now; `None` where there is no `/proc`.
    #[must_use]
    pub fn now() -> Option<Memory> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        Some(Memory {
            rss_bytes: field(&status, "VmRSS:")?,
            page_table_bytes: field(&status, "VmPTE:")?,
        })
    }
}

/// The memory that programs can still have without swapping, in bytes; `None` where there is no
/// `/proc`.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// How many mappings this process has; `None` where there is no `/proc`.
#[must_use]
pub fn mappings() -> Option<usize> {
    Some(fs::read_to_string("/proc/self/maps").ok()?.lines().count())
}

/// A line of the form `VmRSS:    1234 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
