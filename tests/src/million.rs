//! Very many jobs paused at once, woken from another thread and run to their ends.

use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use async_core::{
    Guard, InitError, Job, PoolConfig, init_thread, pause_job, pool_stats, start_job,
};
use libcrypto_peer::{JOB_STACK_BYTES, Libcrypto, LoadError};
use waitctx::{ReadyQueue, Status, WaitCtx};

use crate::memory::{Memory, available_bytes, mappings};
use crate::peer::{Body, RawJob, RawPeer};

/// Whose jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Ours.
    Ours,
    /// libcrypto's.
    Libcrypto,
}

/// What was measured. Times and bytes are per job.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Jobs that were paused at once, and that finished.
    pub jobs: usize,
    /// How stacks are guarded; `None` for libcrypto's, which are not.
    pub guard: Option<Guard>,
    /// The size of a stack.
    pub stack_bytes: usize,
    /// Resident memory with all jobs paused: stack, control block, wait context, handles.
    pub rss_bytes: f64,
    /// Page tables.
    pub page_table_bytes: f64,
    /// Mappings of the process, all of them.
    pub mappings: usize,
    /// To start one until it pauses.
    pub start_ns: f64,
    /// To wake one, on the other thread.
    pub wake_ns: f64,
    /// To resume one, which finishes.
    pub finish_ns: f64,
}

/// Why there was nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum MillionError {
    /// Not enough memory. Nothing was started.
    #[error(
        "{jobs} paused jobs need about {} MiB of memory, and {} MiB are free; free some, or give \
         fewer --jobs",
        needed >> 20, available >> 20
    )]
    Memory {
        /// Jobs.
        jobs: usize,
        /// What they need, in bytes.
        needed: u64,
        /// What there is, in bytes.
        available: u64,
    },
    /// The kernel does not say what is in use.
    #[error("there is no /proc to read the memory's use from; run it on Linux")]
    NoProc,
    /// libcrypto's jobs were asked for.
    #[error(transparent)]
    NoLibcrypto(#[from] LoadError),
    /// The pool was not set up.
    #[error(transparent)]
    Pool(#[from] InitError),
    /// A job did not start.
    #[error("only {number} jobs could be started: {message}; give fewer --jobs")]
    Start {
        /// Its number, from 0.
        number: usize,
        /// What was said.
        message: String,
    },
}

/// A page of stack, the contexts and handles, page tables: more than what was measured (4,400 bytes
/// of ours, 5,700 of libcrypto's).
const BYTES_PER_JOB: u64 = 5_000;
const BYTES_PER_JOB_LIBCRYPTO: u64 = 6_000;
/// For everything else.
const BYTES_BESIDE: u64 = 64 << 20;

/// Starts `jobs` jobs that pause, each with a wait context of its own; when all are paused, wakes
/// them from another thread, and resumes them as their wakes come.
///
/// # Errors
///
/// [`MillionError`].
///
/// # Panics
///
/// If a job finishes before it was woken, or a wake is lost.
pub fn run(jobs: usize, runtime: Runtime) -> Result<Report, MillionError> {
    let per_job = match runtime {
        Runtime::Ours => BYTES_PER_JOB,
        Runtime::Libcrypto => BYTES_PER_JOB_LIBCRYPTO,
    };
    let needed = per_job
        .saturating_mul(jobs as u64)
        .saturating_add(BYTES_BESIDE);
    let available = available_bytes().ok_or(MillionError::NoProc)?;
    if available < needed {
        return Err(MillionError::Memory {
            jobs,
            needed,
            available,
        });
    }
    match runtime {
        Runtime::Ours => ours(jobs),
        Runtime::Libcrypto => libcrypto(jobs),
    }
}

fn ours(jobs: usize) -> Result<Report, MillionError> {
    // As libcrypto's. What a job does not touch costs no memory.
    let config = PoolConfig {
        stack_bytes: JOB_STACK_BYTES,
        ..PoolConfig::default()
    };
    init_thread(&config)?;
    let queue = ReadyQueue::new();
    let mut watch = Watch::start(jobs)?;
    let mut paused: Vec<Option<Job<usize>>> = Vec::with_capacity(jobs);
    for number in 0..jobs {
        let ctx = WaitCtx::new();
        queue.attach(&ctx, number as u64);
        let outcome = start_job(&ctx, move || {
            // Cancelled when one after it could not be started.
            let _ = pause_job();
            number
        });
        let outcome = outcome.map_err(|e| MillionError::Start {
            number,
            message: e.to_string(),
        })?;
        paused.push(Some(outcome.paused().expect("it pauses")));
    }
    watch.all_paused()?;
    let pool = pool_stats().expect("jobs were started");
    assert_eq!(pool.in_use, jobs, "all are paused");

    let notifiers = paused.iter().flatten().map(|job| {
        let notifier = job.wait_ctx().notifier();
        notifier.expect("a queue needs no fd")
    });
    let notifiers: Vec<_> = notifiers.collect();
    let waker = thread::spawn(move || {
        let clock = Instant::now();
        for notifier in notifiers {
            notifier.notify(Status::Ok).expect("no fd can fail");
        }
        clock.elapsed()
    });
    let mut tokens = Vec::new();
    while watch.finished < jobs {
        queue.wait(&mut tokens, None).expect("no fd can fail");
        let clock = Instant::now();
        for (at, &token) in tokens.iter().enumerate() {
            // As a `JobSet` does: the memory of the jobs that come next is on its way meanwhile.
            if let Some(next) = tokens
                .get(at + 4)
                .and_then(|t| paused[*t as usize].as_ref())
            {
                next.prefetch();
            }
            let number = token as usize;
            let job = paused[number].take().expect("each is woken once");
            assert_eq!(job.resume().finished(), Some(number));
            watch.finished += 1;
        }
        tokens.clear();
        watch.resuming += clock.elapsed();
    }
    watch.waking = waker.join().expect("the waker");
    assert_eq!(
        pool_stats().map(|pool| pool.in_use),
        Some(0),
        "all finished"
    );
    Ok(watch.report(pool.guard, pool.stack_bytes))
}

/// The same with libcrypto's jobs. It has contexts, but nothing that collects their wakes: the
/// numbers come through a channel, as a callback of the host's would send them.
fn libcrypto(jobs: usize) -> Result<Report, MillionError> {
    let libcrypto = Libcrypto::load()?;
    // SAFETY: not used inside a job, and nothing cleans libcrypto's pool up.
    let peer = unsafe { RawPeer::new(&libcrypto) };
    let mut watch = Watch::start(jobs)?;
    let mut paused: Vec<Option<RawJob>> = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        let mut job = peer.job();
        let step = peer.try_step(&mut job, Body::PausesOnce);
        let finished = step.map_err(|message| MillionError::Start {
            number: paused.len(),
            message,
        })?;
        assert!(!finished, "it pauses");
        paused.push(Some(job));
    }
    watch.all_paused()?;

    // Room for all: the waker does not wait for us, nor does it on our side.
    let (send, wakes) = mpsc::sync_channel(jobs);
    let waker = thread::spawn(move || {
        let clock = Instant::now();
        for number in 0..jobs {
            send.send(number).expect("the jobs wait");
        }
        clock.elapsed()
    });
    while let Ok(first) = wakes.recv() {
        let clock = Instant::now();
        for number in std::iter::once(first).chain(wakes.try_iter()) {
            let mut job = paused[number].take().expect("each is woken once");
            assert!(peer.step(&mut job, Body::PausesOnce), "it finishes");
            peer.free(job);
            watch.finished += 1;
        }
        watch.resuming += clock.elapsed();
    }
    watch.waking = waker.join().expect("the waker");
    assert_eq!(watch.finished, jobs);
    Ok(watch.report(None, JOB_STACK_BYTES))
}

/// What is measured on the way.
struct Watch {
    jobs: usize,
    clock: Instant,
    before: Memory,
    paused: Memory,
    mappings: usize,
    starting: Duration,
    waking: Duration,
    resuming: Duration,
    finished: usize,
}

impl Watch {
    fn start(jobs: usize) -> Result<Watch, MillionError> {
        let before = Memory::now().ok_or(MillionError::NoProc)?;
        Ok(Watch {
            jobs,
            clock: Instant::now(),
            before,
            paused: before,
            mappings: 0,
            starting: Duration::ZERO,
            waking: Duration::ZERO,
            resuming: Duration::ZERO,
            finished: 0,
        })
    }

    fn all_paused(&mut self) -> Result<(), MillionError> {
        self.starting = self.clock.elapsed();
        self.paused = Memory::now().ok_or(MillionError::NoProc)?;
        self.mappings = mappings().ok_or(MillionError::NoProc)?;
        Ok(())
    }

    fn report(&self, guard: Option<Guard>, stack_bytes: usize) -> Report {
        let jobs = self.jobs.max(1) as f64;
        let ns = |time: Duration| time.as_nanos() as f64 / jobs;
        let grown = |after: u64, before: u64| after.saturating_sub(before) as f64 / jobs;
        Report {
            jobs: self.finished,
            guard,
            stack_bytes,
            rss_bytes: grown(self.paused.rss_bytes, self.before.rss_bytes),
            page_table_bytes: grown(self.paused.page_table_bytes, self.before.page_table_bytes),
            mappings: self.mappings,
            start_ns: ns(self.starting),
            wake_ns: ns(self.waking),
            finish_ns: ns(self.resuming),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = match self.guard {
            Some(Guard::Advised) => "a guard page each, in the page table (MADV_GUARD_INSTALL)",
            Some(Guard::Protected) => "a guard page each, as a mapping (mprotect)",
            Some(_) => "guarded by their source",
            None => "no guard pages",
        };
        writeln!(f, "{} jobs paused at once, all finished", self.jobs)?;
        writeln!(f, "stacks of {} KiB, {guard}", self.stack_bytes / 1024)?;
        writeln!(f, "memory        {:>8.0} B per job", self.rss_bytes)?;
        writeln!(f, "page tables   {:>8.1} B per job", self.page_table_bytes)?;
        writeln!(f, "mappings      {:>8}", self.mappings)?;
        writeln!(f, "start + pause {:>8.0} ns per job", self.start_ns)?;
        writeln!(
            f,
            "wake          {:>8.0} ns per job, on another thread",
            self.wake_ns
        )?;
        write!(f, "resume + finish {:>6.0} ns per job", self.finish_ns)
    }
}
