//! What software takes for the same operations, to compare with what handing them over costs.

use std::time::Duration;

use sim_engine::compute::compute;

use super::options::BenchOptions;
use super::payload::Payload;
use crate::system;

/// Processor time that is spent on it, and operations at most.
const SPENT: Duration = Duration::from_millis(20);
const OPS_MAX: u32 = 100_000;

/// Processor time of an operation that software carries out on the spot. `None` without a device, in
/// virtual time, and where software fails.
pub(crate) fn software_cpu(options: &BenchOptions, payload: &Payload) -> Option<Duration> {
    if options.is_virtual() || options.engine.device().is_none() {
        return None;
    }
    // The first one brings code and data into the caches.
    let mut buffer = compute(payload.request(0, 0, payload.buffer())).ok()?.data;
    let start = system::thread_cpu();
    let mut done = 0;
    loop {
        let n = u64::from(done);
        buffer = compute(payload.request(n, n, buffer)).ok()?.data;
        done += 1;
        let spent = system::thread_cpu().saturating_sub(start);
        if spent >= SPENT || done >= OPS_MAX {
            return Some(spent / done);
        }
    }
}
