//! A long mixed load: every notify mode in turn, on a device with faults, with jobs cancelled and
//! dropped while their operation is in flight. Watches what must not grow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_core::{JobSet, PoolStats, WakeBy, pool_stats};
use offload::{Counters, Engine, OffloadClient, OffloadError, Op, Request};
use sim_engine::{DeviceConfig, SimDevice};

/// What was in use at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Open file descriptors of the process.
    pub fds: usize,
    /// Resident memory of the process, in KiB.
    pub rss_kib: u64,
}

impl Usage {
    /// What is in use now; `None` where there is no `/proc`.
    #[must_use]
    pub fn now() -> Option<Usage> {
        let fds = std::fs::read_dir("/proc/self/fd").ok()?.count();
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let rss_kib = rss.split_whitespace().next()?.parse().ok()?;
        Some(Usage { fds, rss_kib })
    }
}

/// What one round did.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The notify mode.
    pub wake: WakeBy,
    /// Operations that gave the right result.
    pub right: u64,
    /// Operations that gave a wrong one, as the device was asked to.
    pub wrong: u64,
    /// Operations that failed or timed out.
    pub failed: u64,
    /// Operations whose job was cancelled or dropped.
    pub cancelled: u64,
    /// What the device counted, after its end.
    pub counters: Counters,
    /// This thread's jobs after the round.
    pub pool: Option<PoolStats>,
}

/// The modes that take turns.
pub const MODES: [WakeBy; 4] = [
    WakeBy::Callback,
    WakeBy::SharedFd,
    WakeBy::Fd,
    WakeBy::Polling,
];

#[derive(Clone, Copy)]
enum End {
    Right,
    Wrong,
    Failed,
    Cancelled,
}

/// One round of `time`: up to 200 jobs at once on a faulty device.
///
/// # Panics
///
/// If an invariant is broken: counters that do not balance, operations left in flight, jobs left
/// in use.
#[must_use]
pub fn round(wake: WakeBy, seed: u64, time: Duration) -> Round {
    let mut config = DeviceConfig::preset("flaky").expect("it ships");
    config.faults.slow.extra_ns = 200_000;
    let device = SimDevice::open(&config, seed).expect("a device");
    let client = OffloadClient::new(Arc::clone(&device) as Arc<dyn Engine>)
        .with_timeout(Some(Duration::from_millis(50)));
    let mut set = JobSet::new(200, wake).expect("a set");
    let mut ends = [0; 4];
    let start = Instant::now();
    let mut id = 0;
    while start.elapsed() < time {
        for _ in 0..500 {
            if !set.has_room() {
                break;
            }
            id += 1;
            let (client, n) = (client.clone(), id);
            let done = set.start(n, move || one(&client, n)).expect("a job");
            if let Some(end) = done {
                ends[end as usize] += 1;
            }
        }
        let wait = Some(Duration::from_millis(20));
        set.turn(wait, |_, end| ends[end as usize] += 1)
            .expect("a turn");
        if id % 5_000 < 50 {
            // A host that closes all its connections at once.
            set.cancel_all(|_, end| ends[end as usize] += 1);
        }
        if id % 7_000 < 50 {
            // And one that just goes away.
            let gone = set.in_flight() as u64;
            set = JobSet::new(200, wake).expect("a set");
            ends[End::Cancelled as usize] += gone;
        }
    }
    set.cancel_all(|_, end| ends[end as usize] += 1);
    drop(set);
    let counters = device.shutdown().counters;
    assert!(counters.balance(), "{counters:?}");
    assert_eq!(counters.in_flight, 0, "{counters:?}");
    let [right, wrong, failed, cancelled] = ends;
    assert_eq!(
        right + wrong + failed + cancelled,
        id,
        "every job ended once"
    );
    let pool = pool_stats();
    assert_eq!(pool.map_or(0, |p| p.in_use), 0, "no job is left");
    Round {
        wake,
        right,
        wrong,
        failed,
        cancelled,
        counters,
        pool,
    }
}

fn one(client: &OffloadClient, n: u64) -> End {
    let data = n.to_le_bytes().repeat(16);
    let request = |data: Vec<u8>| Request::new(Op::Sha256, data).with_id(n);
    let expected = sim_engine::compute::compute(request(data.clone())).expect("software");
    match client.run(request(data)) {
        Ok(response) if response.digest() == expected.digest() => End::Right,
        Ok(_) => End::Wrong,
        Err(OffloadError::Cancelled { .. }) => End::Cancelled,
        Err(_) => End::Failed,
    }
}
