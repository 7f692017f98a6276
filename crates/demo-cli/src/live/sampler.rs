//! From what is told to what is shown: rates, percentiles of the last seconds, parts of a second that
//! engines were busy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::feed::{Feed, KINDS, REFUSALS};
use super::latencies::{BUCKETS, quantile};
use super::log::Log;
use super::picture::{Counts, Device, Engines, Latency, Model, Ring, Throughput};
use crate::bench::FailedBy;

/// The number that is shown large is that of so long.
const RATE_OVER: Duration = Duration::from_secs(1);
/// Percentiles are those of so long.
const LATENCY_OVER: Duration = Duration::from_secs(3);
/// A point of what is shown over time.
pub(super) const POINT: Duration = Duration::from_millis(250);
/// Points that are kept.
const POINTS_MAX: usize = 1000;

/// What is known of one lane.
pub(super) struct Sampler {
    feed: Arc<Feed>,
    /// Whose jobs they are.
    pub(super) runtime: &'static str,
    /// The last seconds, oldest first.
    samples: VecDeque<Sample>,
    /// Points of the past, and where the next one begins.
    points: VecDeque<(f64, Option<Latency>)>,
    point: Option<Sample>,
    peak: f64,
    /// When the lane's turn began, and what was done in those before.
    turn: Option<(Instant, u64)>,
    spent: Duration,
    spent_ns: u64,
    failed: [u64; KINDS],
    refused: [u64; REFUSALS.len()],
}

/// Everything that was told, at one moment.
#[derive(Clone)]
struct Sample {
    at: Instant,
    now_ns: u64,
    completed: u64,
    latencies: Vec<u64>,
    worst_ns: u64,
    busy_ns: Vec<u64>,
}

impl Sampler {
    pub(super) fn new(feed: Arc<Feed>, runtime: &'static str) -> Sampler {
        Sampler {
            feed,
            runtime,
            samples: VecDeque::new(),
            points: VecDeque::new(),
            point: None,
            peak: 0.0,
            turn: None,
            spent: Duration::ZERO,
            spent_ns: 0,
            failed: [0; KINDS],
            refused: [0; REFUSALS.len()],
        }
    }

    /// It is the lane's turn: nothing has happened on it since the last one was over.
    pub(super) fn begin_turn(&mut self) {
        self.turn = Some((Instant::now(), self.feed.now_ns()));
        self.samples.clear();
        self.point = None;
        let sample = self.sample();
        self.samples.push_back(sample);
    }

    /// The turn is over.
    pub(super) fn end_turn(&mut self) {
        if let Some((began, began_ns)) = self.turn.take() {
            self.spent += began.elapsed();
            self.spent_ns += self.feed.now_ns().saturating_sub(began_ns);
        }
    }

    /// How long the lane has run: by the wall, and by its clock.
    pub(super) fn elapsed(&self) -> (Duration, Duration) {
        let (mut wall, mut ns) = (self.spent, self.spent_ns);
        if let Some((began, began_ns)) = self.turn {
            wall += began.elapsed();
            ns += self.feed.now_ns().saturating_sub(began_ns);
        }
        (wall, Duration::from_nanos(ns))
    }

    /// Looks, and enters into the log what is new.
    pub(super) fn look(&mut self, log: &mut Log) {
        let sample = self.sample();
        let at = self.elapsed().1;
        for event in self.feed.take_events() {
            log.befell(at, event);
        }
        let failed = self.failed_now();
        let names = FailedBy::default().kinds();
        for (kind, (name, _)) in names.into_iter().enumerate() {
            log.failed(at, name, failed[kind].saturating_sub(self.failed[kind]));
        }
        self.failed = failed;
        let refused = self.feed.refused();
        let more = std::array::from_fn(|why| refused[why].saturating_sub(self.refused[why]));
        log.refused(at, more);
        self.refused = refused;

        let point = self.point.get_or_insert_with(|| sample.clone());
        point.worst_ns = point.worst_ns.max(sample.worst_ns);
        if sample.at - point.at >= POINT {
            let rate = rate(point, &sample);
            self.points
                .push_back((rate, latency(point, &sample, point.worst_ns)));
            self.peak = self.peak.max(rate);
            if self.points.len() > POINTS_MAX {
                self.points.pop_front();
            }
            // Its worst has been shown.
            self.point = Some(Sample {
                worst_ns: 0,
                ..sample.clone()
            });
        }
        self.samples.push_back(sample);
        // One that is older than the span stays, or there would be none of all of it.
        while let (Some(second), Some(last)) = (self.samples.get(1), self.samples.back())
            && last.at - second.at > LATENCY_OVER
        {
            self.samples.pop_front();
        }
    }

    fn sample(&self) -> Sample {
        let feed = &self.feed;
        let mut latencies = vec![0; BUCKETS];
        let (mut completed, mut worst_ns) = (0, 0);
        for thread in &feed.threads {
            completed += thread.completed.load(Relaxed);
            worst_ns = worst_ns.max(thread.worst_ns.swap(0, Relaxed));
            for (sum, count) in latencies.iter_mut().zip(&thread.latencies) {
                *sum += count.load(Relaxed);
            }
        }
        let now_ns = feed.now_ns();
        let busy_ns = feed
            .engines
            .iter()
            .map(|e| e.busy_ns(now_ns, feed.shape.service_ns_max))
            .collect();
        Sample {
            at: Instant::now(),
            now_ns,
            completed,
            latencies,
            worst_ns,
            busy_ns,
        }
    }

    fn failed_now(&self) -> [u64; KINDS] {
        let of = |kind: usize| {
            let threads = self.feed.threads.iter();
            threads.map(|t| t.failed[kind].load(Relaxed)).sum()
        };
        std::array::from_fn(of)
    }

    /// The oldest sample that is not older than `over`, and the newest.
    fn span(&self, over: Duration) -> Option<(&Sample, &Sample)> {
        let last = self.samples.back()?;
        let first = self.samples.iter().find(|s| last.at - s.at <= over)?;
        (first.at < last.at).then_some((first, last))
    }

    pub(super) fn throughput(&self) -> Throughput {
        let completed = self.samples.back().map_or(0, |last| last.completed);
        let elapsed = self.elapsed().1.as_secs_f64();
        Throughput {
            now: self
                .span(RATE_OVER)
                .map_or(0.0, |(first, last)| rate(first, last)),
            mean: if elapsed > 0.0 {
                completed as f64 / elapsed
            } else {
                0.0
            },
            peak: self.peak,
            over_time: self.points.iter().map(|(rate, _)| *rate).collect(),
        }
    }

    /// Of the last seconds.
    pub(super) fn latency(&self) -> Option<Latency> {
        let (first, last) = self.span(LATENCY_OVER)?;
        let worst = self.samples.iter().skip(1).map(|s| s.worst_ns).max();
        latency(first, last, worst.unwrap_or(0))
    }

    pub(super) fn latencies(&self) -> Vec<Option<Latency>> {
        self.points.iter().map(|(_, latency)| *latency).collect()
    }

    /// What became of the operations, of at most `jobs` at a time.
    pub(super) fn counts(&self, jobs: usize) -> Counts {
        let sum = |of: fn(&super::feed::Counts) -> u64| self.feed.threads.iter().map(of).sum();
        let failed = self.failed_now();
        let names = FailedBy::default().kinds();
        let failed_by = names.iter().zip(failed).map(|((name, _), n)| (*name, n));
        Counts {
            in_flight: sum(|t| t.in_flight.load(Relaxed)),
            jobs: jobs as u64,
            completed: sum(|t| t.completed.load(Relaxed)),
            failed: failed.iter().sum(),
            failed_by: failed_by.filter(|(_, n)| *n > 0).collect(),
            cancelled: sum(|t| t.cancelled.load(Relaxed)),
            retries: sum(|t| t.retries.load(Relaxed)),
        }
    }

    pub(super) fn device(&self) -> Option<Device> {
        let (feed, shape) = (&self.feed, self.feed.shape);
        if feed.rings.is_empty() {
            return None;
        }
        let (deaths, restarts) = feed.deaths_and_restarts().unwrap_or_default();
        let ring = |(at, ring): (usize, &super::feed::Ring)| {
            let (endpoint, instance) = (at / shape.instances, at % shape.instances);
            Ring {
                name: match (shape.endpoints, shape.instances) {
                    (1, 1) => String::new(),
                    (1, _) => instance.to_string(),
                    (_, 1) => endpoint.to_string(),
                    _ => format!("{endpoint}.{instance}"),
                },
                fill: ring.fill(),
                depth: shape.depth,
                health: feed.health(endpoint),
            }
        };
        let engines = match (shape.models_time, shape.engines) {
            (false, _) => Engines::NotModelled,
            (true, 0) => Engines::Unbounded(feed.on_engines.fill()),
            (true, engines) => {
                let busy = self.busy();
                Engines::Bounded(busy.chunks(engines).map(<[f64]>::to_vec).collect())
            }
        };
        let refused = REFUSALS.into_iter().zip(self.feed.refused());
        Some(Device {
            rings: feed.rings.iter().enumerate().map(ring).collect(),
            engines,
            deaths,
            restarts,
            refused: refused.filter(|(_, n)| *n > 0).collect(),
        })
    }

    /// The part of the last second that each engine was busy.
    fn busy(&self) -> Vec<f64> {
        let Some((first, last)) = self.span(RATE_OVER) else {
            return vec![0.0; self.feed.engines.len()];
        };
        let took = last.now_ns.saturating_sub(first.now_ns).max(1) as f64;
        let both = first.busy_ns.iter().zip(&last.busy_ns);
        both.map(|(before, after)| (after.saturating_sub(*before) as f64 / took).min(1.0))
            .collect()
    }

    /// A virtual clock's time, and how fast it passes.
    pub(super) fn model(&self) -> Model {
        let now_s = self.elapsed().1.as_secs_f64();
        let speed = self.span(RATE_OVER).map_or(0.0, |(first, last)| {
            let wall = (last.at - first.at).as_secs_f64();
            last.now_ns.saturating_sub(first.now_ns) as f64 / 1e9 / wall
        });
        Model { now_s, speed }
    }
}

fn rate(first: &Sample, last: &Sample) -> f64 {
    let seconds = last.now_ns.saturating_sub(first.now_ns) as f64 / 1e9;
    match seconds > 0.0 {
        true => last.completed.saturating_sub(first.completed) as f64 / seconds,
        false => 0.0,
    }
}

/// What the operations between two samples took.
fn latency(first: &Sample, last: &Sample, worst_ns: u64) -> Option<Latency> {
    let both = first.latencies.iter().zip(&last.latencies);
    let counts: Vec<u64> = both
        .map(|(before, after)| after.saturating_sub(*before))
        .collect();
    let (p50, p99) = (quantile(&counts, 0.5)?, quantile(&counts, 0.99)?);
    // A bucket's middle may be above the longest in it.
    let max = p99.max(worst_ns as f64);
    Some(Latency { p50, p99, max })
}
