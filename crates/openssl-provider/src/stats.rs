//! The counts, as one line of JSON for each process.

use std::cell::UnsafeCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use offload::{Engine, OpKind};
use serde_json::{Map, Value, json};
use sim_engine::DeviceStats;

use crate::config::{Level, Settings, Stats};
use crate::log;
use crate::process::Process;

/// What became of the operations of one kind.
#[derive(Default)]
struct Counts {
    /// On the device, in a job.
    in_jobs: AtomicU64,
    /// On the device, while the thread waited.
    waited: AtomicU64,
    /// Of both, those without an answer.
    failed: AtomicU64,
    /// Never meant for the device.
    software: AtomicU64,
}

/// What a process has counted beside its device.
#[derive(Default)]
pub(crate) struct Tally {
    pauses: AtomicU64,
    kinds: [Counts; OpKind::ALL.len()],
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Tally {
    fn of(&self, kind: OpKind) -> Option<&Counts> {
        let place = OpKind::ALL.into_iter().position(|one| one == kind)?;
        self.kinds.get(place)
    }

    /// An operation on the device has ended.
    pub(crate) fn ran(&self, kind: OpKind, in_job: bool, success: bool) {
        let Some(counts) = self.of(kind) else { return };
        add(
            if in_job {
                &counts.in_jobs
            } else {
                &counts.waited
            },
            1,
        );
        if !success {
            add(&counts.failed, 1);
        }
    }

    /// One was done in software.
    pub(crate) fn in_software(&self, kind: OpKind) {
        if let Some(counts) = self.of(kind) {
            add(&counts.software, 1);
        }
    }

    /// A job has paused so often for an operation.
    pub(crate) fn paused(&self, times: u64) {
        add(&self.pauses, times);
    }
}

/// The counts of a process.
pub(crate) fn json(process: &Process) -> Value {
    let DeviceStats {
        counters,
        engine_utilisation,
        deaths,
        restarts,
        ..
    } = process.device.stats();
    let client = process.client.stats();
    let kinds: Map<String, Value> = OpKind::ALL
        .into_iter()
        .zip(&process.tally.kinds)
        .filter_map(|(kind, counts)| {
            let (in_jobs, waited) = (get(&counts.in_jobs), get(&counts.waited));
            let (failed, software) = (get(&counts.failed), get(&counts.software));
            (in_jobs + waited + software > 0).then(|| {
                let counts = json!({
                    "in_jobs": in_jobs,
                    "waited": waited,
                    "failed": failed,
                    "software": software,
                });
                (kind.name().to_owned(), counts)
            })
        })
        .collect();
    json!({
        "simaccel": 1,
        "pid": process.pid,
        "device": process.device.config().name,
        "submitted": counters.submitted,
        "completed": counters.completed,
        "failed": counters.failed,
        "orphaned": counters.orphaned,
        "in_flight": counters.in_flight,
        "refused": counters.refused,
        "duplicates": counters.duplicates,
        "deaths": deaths,
        "restarts": restarts,
        "engine_utilisation": engine_utilisation,
        "pauses": get(&process.tally.pauses),
        "resumed_early": client.resumed_early,
        "ring_full": client.ring_full,
        "timed_out": client.timed_out,
        "abandoned": client.abandoned,
        "fell_back": client.fell_back,
        "ops": kinds,
        "engine": process.device.name(),
    })
}

/// Tells the counts where the settings say.
pub(crate) fn tell(settings: &Settings, process: &Process) {
    let told = match &settings.stats {
        Stats::None => Ok(()),
        Stats::Stderr => write(std::io::stderr().lock(), process),
        Stats::File(path) => OpenOptions::new()
            .create(true)
            .append(true)
            // A FIFO that nobody reads is an error, and no end that never comes.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .and_then(|file| write(file, process)),
    };
    if let Err(error) = told {
        log(
            settings,
            Level::Error,
            &format!("the counts cannot be written: {error}"),
        );
    }
}

/// One write, so that the lines of several processes do not mix.
fn write(mut to: impl Write, process: &Process) -> std::io::Result<()> {
    to.write_all(format!("{}\n", json(process)).as_bytes())
}

/// Tells the counts each time that the signal comes, until the end: by a thread, which a handler wakes. Handlers that
/// were there before are called too. In a process that was forked off, whose handlers are the same, this one does
/// nothing.
pub(crate) fn on_signal(settings: &'static Settings, process: &'static Process) {
    let Some(signal) = settings.stats_signal else {
        return;
    };
    let begun = listen(signal, process.pid).and_then(|(wake, handler)| {
        let _ = process.asked.set(wake);
        thread::Builder::new()
            .name("simaccel-stats".into())
            .spawn(move || {
                loop {
                    wake.wait();
                    if process.is_over() {
                        break;
                    }
                    tell(settings, process);
                }
                signal_hook::low_level::unregister(handler);
            })
    });
    if let Err(error) = begun {
        log(
            settings,
            Level::Error,
            &format!("no counts on a signal: {error}"),
        );
    }
}

/// Has the signal counted in the semaphore.
fn listen(signal: i32, pid: u32) -> io::Result<(&'static Semaphore, signal_hook::SigId)> {
    let wake = Semaphore::new()?;
    let handler = move || {
        if std::process::id() == pid {
            wake.post();
        }
    };
    // SAFETY: the handler calls getpid() and sem_post() only, which are safe in handlers.
    let handler = unsafe { signal_hook::low_level::register(signal, handler) }?;
    Ok((wake, handler))
}

/// What a handler may use to wake a thread, without a descriptor.
pub(crate) struct Semaphore(UnsafeCell<libc::sem_t>);

// SAFETY: for any thread to use; that is what it is for.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// A new one, which is never freed: a handler may be at it at any time.
    fn new() -> io::Result<&'static Semaphore> {
        // SAFETY: plain numbers, which the call sets.
        let semaphore: &Semaphore = Box::leak(Box::new(Semaphore(unsafe { std::mem::zeroed() })));
        // SAFETY: memory of ours that stays where it is.
        match unsafe { libc::sem_init(semaphore.0.get(), 0, 0) } {
            0 => Ok(semaphore),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(crate) fn post(&self) {
        // SAFETY: it was set up. It fails only if nobody has looked after two thousand million posts.
        unsafe { libc::sem_post(self.0.get()) };
    }

    fn wait(&self) {
        // SAFETY: it was set up. A failure is an interruption.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
    }
}
