//! What a seed decides before anything runs: the device, its faults, and what the application is
//! given to.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sim_engine::DeviceConfig;

/// Random choices that depend on a seed only.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Apart from the device's faults, which have a stream for each operation.
        rng.set_stream(u64::MAX);
        Dice(rng)
    }

    /// A whole number below `bound`; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // Not quite even, by less than one in 2^32 for the small bounds here.
        match bound {
            0 => 0,
            _ => self.0.next_u64() % bound,
        }
    }

    /// Yes, once in `n`; never for 0.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        let drawn = self.0.next_u64();
        n > 0 && drawn.is_multiple_of(n)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// How jobs are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Callback,
    SharedFd,
    Fd,
    Polling,
}

/// What the application does how often: once in so many turns, 0 for never. Each seed leaves some
/// out, so that others are not cut short by them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) cancel: u64,
    pub(super) drop: u64,
    pub(super) spurious: u64,
    pub(super) outside: u64,
    pub(super) work: u64,
    pub(super) strike: u64,
    /// The device is shut down or killed before the end.
    pub(super) end: u64,
    /// In each operation of a job.
    pub(super) blocked: u64,
    pub(super) nested: u64,
}

/// All that is decided beforehand.
pub(super) struct Plan {
    pub(super) device: DeviceConfig,
    pub(super) wake: Wake,
    pub(super) fallback: bool,
    pub(super) habits: Habits,
    /// An eighth of a time-out, in nanoseconds.
    pub(super) tick_ns: u64,
}

impl Plan {
    pub(super) fn new(device: &DeviceConfig, jobs: usize, dice: &mut Dice) -> Plan {
        let mut device = device.clone();
        strengthen(&mut device, dice);
        // Descriptors cost far more than all the rest.
        let wake = match dice.below(16) {
            0 => Wake::Fd,
            1 => Wake::SharedFd,
            2..=5 => Wake::Polling,
            _ => Wake::Callback,
        };
        let mut habit = |n: u64| if dice.one_in(2) { n } else { 0 };
        let habits = Habits {
            cancel: habit(20),
            drop: habit(30),
            spurious: habit(10),
            outside: habit(40),
            work: habit(4),
            strike: habit(60),
            end: habit(400),
            blocked: habit(20),
            nested: habit(10),
        };
        Plan {
            tick_ns: tick_ns(&device, jobs),
            wake,
            fallback: dice.one_in(3),
            habits,
            device,
        }
    }
}

/// In words, for the top of a trace.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wake = match self.wake {
            Wake::Callback => "woken by callback",
            Wake::SharedFd => "woken by a shared fd",
            Wake::Fd => "woken by fds",
            Wake::Polling => "resumed in turn",
        };
        let fallback = if self.fallback { "with" } else { "without" };
        write!(
            f,
            "jobs are {wake}, {fallback} fallback, time-out {} ns; once in so many turns:",
            self.tick_ns.saturating_mul(8)
        )?;
        let h = &self.habits;
        for (what, often) in [
            ("cancel", h.cancel),
            ("drop", h.drop),
            ("resume unasked", h.spurious),
            ("run outside", h.outside),
            ("work", h.work),
            ("strike", h.strike),
            ("end the device", h.end),
            ("block pausing", h.blocked),
            ("start inside", h.nested),
        ] {
            if often > 0 {
                write!(f, " {what} {often},")?;
            }
        }
        f.write_str(" or never")
    }
}

/// Leaves each fault as it is, leaves it out, or makes it five times as frequent.
fn strengthen(device: &mut DeviceConfig, dice: &mut Dice) {
    let faults = &mut device.faults;
    for share in [
        &mut faults.ring_full,
        &mut faults.throttled,
        &mut faults.no_descriptor,
        &mut faults.slow.share,
        &mut faults.late.share,
        &mut faults.lost,
        &mut faults.error,
        &mut faults.wrong,
        &mut faults.duplicate,
        &mut faults.untold,
        &mut faults.spurious,
        &mut faults.stall.share,
        &mut faults.death,
    ] {
        *share = match dice.below(3) {
            0 => 0.0,
            1 => *share,
            // A fifth at most, so that the three that exclude one another stay below one.
            _ => (*share * 5.0).min(share.max(0.2)),
        };
    }
    let sum = faults.lost + faults.error + faults.wrong;
    if sum > 1.0 {
        for share in [&mut faults.lost, &mut faults.error, &mut faults.wrong] {
            *share /= sum;
        }
    }
}

/// So that no operation times out that is not struck by a fault: twice the time that all requests take
/// that can be on the device at once, or a millisecond.
fn tick_ns(device: &DeviceConfig, jobs: usize) -> u64 {
    let times = device.service.values().chain([&device.service_default]);
    let service = times
        .map(|time| time.fixed_ns + (time.per_byte_ns * super::job::BYTES_MAX as f64) as u64)
        .max()
        .unwrap_or(0);
    let faults = &device.faults;
    let longest = service
        .saturating_mul(8)
        .saturating_add(faults.slow.extra_ns)
        .saturating_add(faults.stall.for_ns);
    let turns = jobs as u64 / u64::from(device.engines.max(1)) + 2;
    let link = 2 * device.link_time(super::job::BYTES_MAX).as_nanos() as u64;
    let rest = link
        .saturating_add(device.detection.every_ns)
        .saturating_add(device.detection.coalesce_ns)
        .saturating_add(device.batch.flush_ns)
        .saturating_add(faults.late.extra_ns);
    let all = longest.saturating_mul(turns).saturating_add(rest);
    (all / 4).max(1_000_000)
}
