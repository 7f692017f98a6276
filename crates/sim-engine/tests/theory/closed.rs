//! Closed loops: so many requests in flight, each replaced when the host sees its answer.

use crate::support::Bench;

/// What a host needs for an operation, one after the other, in nanoseconds.
const HOST: u64 = 8_000;

/// Operations a second, and mean microseconds from when an operation may begin, as the one before it
/// in its place is answered, to its answer: the wait for the host and its work included.
fn closed(engines: u32, in_flight: u64, rounds: u64) -> (f64, f64) {
    let mut bench = Bench::new(
        &format!(
            "name = 'card'\nengines = {engines}\nring_depth_max = 1024\n\
             [service_default]\nfixed_ns = 300_000\n\
             [detection]\nevery_ns = 100_000"
        ),
        0,
    );
    // When each operation may begin, in the order of submission.
    let mut may_begin = vec![0; in_flight as usize];
    for _ in 0..in_flight {
        bench.clock.spend(HOST);
        bench.submit();
    }
    let mut left = rounds * in_flight;
    while left > 0 {
        let done = bench.collect();
        if done == 0 {
            bench.clock.step();
        }
        let now = bench.clock.now_ns();
        for _ in 0..done {
            may_begin.push(now);
            bench.clock.spend(HOST);
            bench.submit();
        }
        left = left.saturating_sub(done as u64);
    }
    let seconds = bench.clock.now_ns() as f64 / 1e9;
    let records = bench.records.take();
    let latency = records
        .iter()
        .map(|r| r.answered_ns - may_begin[r.id as usize]);
    let latency: u64 = latency.sum();
    let count = records.len() as f64;
    (count / seconds, latency as f64 / count / 1e3)
}

/// Intel's C62x and DH895x with RSA-2048, 300 µs on an engine, answers seen each 100 µs: the table
/// that is derived from what their users report.
#[test]
fn throughput_rises_to_the_knee_and_then_only_latency_does() {
    let (c62x, c62x_3, dh895x) = (10, 30, 12);
    let table = [
        (c62x, 1, 2_500.0, Some(392.0)),
        (c62x, 8, 20_000.0, Some(392.0)),
        (c62x, 16, 33_300.0, Some(472.0)),
        (c62x, 24, 33_300.0, Some(712.0)),
        (c62x, 32, 33_300.0, Some(952.0)),
        (c62x, 48, 33_400.0, Some(1_432.0)),
        (c62x, 64, 33_400.0, Some(1_911.0)),
        (c62x, 128, 33_400.0, Some(3_829.0)),
        (c62x, 648, 33_700.0, Some(19_340.0)),
        (c62x_3, 1, 2_500.0, None),
        (c62x_3, 16, 40_000.0, None),
        (c62x_3, 32, 80_000.0, None),
        (c62x_3, 48, 100_000.0, None),
        (c62x_3, 128, 100_000.0, None),
        (dh895x, 8, 20_000.0, None),
        (dh895x, 16, 40_000.0, None),
        (dh895x, 648, 40_000.0, None),
    ];
    for (engines, in_flight, ops, latency) in table {
        let (measured, us) = closed(engines, in_flight, 200);
        let off = (measured / ops - 1.0).abs();
        assert!(
            off < 0.05,
            "{engines}, {in_flight}: {measured} ops/s, not {ops}"
        );
        if let Some(latency) = latency {
            let off = (us / latency - 1.0).abs();
            assert!(off < 0.05, "{engines}, {in_flight}: {us} us, not {latency}");
        }
    }
}
