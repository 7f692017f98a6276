//! What this machine has and what this process uses: memory, files, processor time.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use zeroize::Zeroizing;

use crate::error::InputError;

/// Descriptors that a run needs beside those of its jobs: standard streams, epoll, the terminal,
/// the payload, and some to spare.
const FD_HEADROOM: u64 = 32;

/// Descriptors of each thread that runs jobs: an epoll and an eventfd.
const FDS_PER_THREAD: usize = 2;

/// Makes room for the descriptors of `jobs`, one each, and of `threads`: raises the soft limit to the
/// hard one if it must. Otherwise says how many are needed and what the hard limit is.
pub(crate) fn make_room_for_fds(jobs: usize, threads: usize) -> Result<(), (u64, u64)> {
    let open = open_fds().unwrap_or(0) as u64;
    let ours = threads.saturating_mul(FDS_PER_THREAD).saturating_add(jobs) as u64;
    let need = ours.saturating_add(open).saturating_add(FD_HEADROOM);
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

/// Reads the text of a `what` file of at most `most` bytes. It is wiped when it is dropped: it may
/// hold a key.
pub(crate) fn read_text(
    path: &Path,
    what: &'static str,
    most: u64,
) -> Result<Zeroizing<String>, InputError> {
    // Never grows: no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most as usize + 64));
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|source| InputError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let path = || path.to_owned();
    if bytes.len() as u64 > most {
        let path = path();
        return Err(InputError::TooLargeFile { path, what, most });
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(InputError::NotText { path: path(), what }),
    }
}

/// Reads the text of a `what` file of at most `most` bytes that holds nothing secret; `-` is standard
/// input.
pub(crate) fn read_plain_text(
    path: &Path,
    what: &'static str,
    most: u64,
) -> Result<String, InputError> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin()
            .lock()
            .take(most + 1)
            .read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
    };
    let path = || path.to_owned();
    read.map_err(|source| InputError::Unreadable {
        path: path(),
        source,
    })?;
    if bytes.len() as u64 > most {
        let path = path();
        return Err(InputError::TooLargeFile { path, what, most });
    }
    String::from_utf8(bytes).map_err(|_| InputError::NotText { path: path(), what })
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    total: Duration,
    /// By another clock of the kernel's, that of its ticks.
    system: Duration,
}

/// Processor time between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSpent {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl std::ops::AddAssign for CpuSpent {
    fn add_assign(&mut self, more: CpuSpent) {
        self.user += more.user;
        self.system += more.system;
    }
}

impl CpuTime {
    pub(crate) fn now() -> CpuTime {
        let total = clock_gettime(ClockId::ProcessCPUTime);
        CpuTime {
            total: Duration::try_from(total).unwrap_or_default(),
            system: system_time().unwrap_or_default(),
        }
    }

    /// User and system add up to the nanosecond; where one ends and the other begins is known to
    /// the kernel's tick (10 ms).
    pub(crate) fn since(self, earlier: CpuTime) -> CpuSpent {
        let total = self.total.saturating_sub(earlier.total);
        let system = self.system.saturating_sub(earlier.system).min(total);
        CpuSpent {
            user: total - system,
            system,
        }
    }
}

/// Processor time of the calling thread so far.
pub(crate) fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// How often the threads that this process has now were taken off their processors, or gave them up;
/// where that can be told.
pub(crate) fn context_switches() -> Option<u64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let mut total = 0;
    for thread in threads {
        // One that has ended meanwhile is not there any more.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("status")) else {
            continue;
        };
        let counts = text.lines().filter_map(|line| {
            let (name, count) = line.split_once(':')?;
            name.ends_with("voluntary_ctxt_switches")
                .then(|| count.trim().parse::<u64>().ok())?
        });
        total += counts.sum::<u64>();
    }
    Some(total)
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
    fn user_and_system_add_up() {
        let ms = Duration::from_millis;
        let at = |total, system| CpuTime {
            total: ms(total),
            system: ms(system),
        };
        for (later, user, system) in [(at(25, 20), 5, 10), (at(25, 10), 15, 0), (at(12, 20), 0, 2)]
        {
            let spent = later.since(at(10, 10));
            assert_eq!((spent.user, spent.system), (ms(user), ms(system)));
        }
    }

    #[test]
    fn no_limit_holds_a_billion_fds() {
        if let Err((need, limit)) = make_room_for_fds(2_000_000_000, 1) {
            assert!(need > limit);
        }
        if let Err((need, limit)) = make_room_for_fds(usize::MAX, usize::MAX) {
            assert!(need > limit);
        }
    }
}
