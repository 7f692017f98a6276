//! What this machine has and what this process uses: memory, open files, processor time.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Descriptors that a run needs beside those of its jobs: standard streams, epoll, the terminal,
/// the payload, and some to spare.
const FD_HEADROOM: u64 = 32;

/// Makes room for `jobs` descriptors: raises the soft limit to the hard one if it must. Otherwise
/// says how many are needed and what the hard limit is.
pub(crate) fn make_room_for_fds(jobs: usize) -> Result<(), (u64, u64)> {
    let open = open_fds().unwrap_or(0) as u64;
    let need = jobs as u64 + open + FD_HEADROOM;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|soft| need <= soft) {
        return Ok(());
    }
    if let Some(hard) = limit.maximum
        && need > hard
    {
        return Err((need, hard));
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| (need, limit.current.unwrap_or(need)))
}

/// How many descriptors this process has open, where that can be told.
pub(crate) fn open_fds() -> Option<usize> {
    // One of them is that of the listing itself, every time.
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// This machine's memory in bytes, where that can be told.
pub(crate) fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many processors this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Processor time of the whole process so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    /// The sum is exact to the nanosecond, the share of the system to the kernel's tick (10 ms).
    pub(crate) fn now() -> CpuTime {
        let total = clock_gettime(ClockId::ProcessCPUTime);
        let total = Duration::try_from(total).unwrap_or_default();
        let system = system_time().unwrap_or_default().min(total);
        CpuTime {
            user: total - system,
            system,
        }
    }

    pub(crate) fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

fn system_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything; field 3 comes after the last of them.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_ascii_whitespace().nth(12)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Some(Duration::from_secs_f64(ticks / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_passes() {
        let before = CpuTime::now();
        let mut x = 0_u64;
        while CpuTime::now().since(before).user + CpuTime::now().since(before).system
            < Duration::from_millis(30)
        {
            x = std::hint::black_box(x + 1);
        }
    }

    #[test]
    fn no_limit_holds_a_billion_fds() {
        if let Err((need, limit)) = make_room_for_fds(2_000_000_000) {
            assert!(need > limit);
        }
    }
}
