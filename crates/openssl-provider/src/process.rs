//! The device of a process: opened when the first operation goes to it, so that each process that a server forks
//! has its own, with its own threads.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use offload::{
    Engine, FailureKind, OffloadClient, OffloadError, OpKind, Reason, Request, Response, Ticker,
};
use sim_engine::{SimDevice, SoftwareEngine};

use crate::config::{Level, Settings};
use crate::stats::{self, Tally};
use crate::{job, log};

/// What one process has of a provider.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) device: Arc<SimDevice>,
    pub(crate) client: OffloadClient,
    pub(crate) tally: Tally,
    /// The number of the next operation, which decides its faults.
    next: AtomicU64,
    /// The end has begun: nothing goes to the device any more.
    over: Arc<AtomicBool>,
    /// The counts are told once at the end.
    told: AtomicBool,
    /// What wakes the thread that tells them on a signal.
    pub(crate) asked: OnceLock<&'static stats::Semaphore>,
}

/// A provider that was loaded: what OpenSSL calls its context.
pub(crate) struct Provider {
    pub(crate) settings: Settings,
    /// The process's, or that of the process that this one was forked from, or null. What it points to is never
    /// freed: some operation may have it still.
    process: AtomicPtr<Process>,
}

impl Provider {
    pub(crate) fn new(settings: Settings) -> Provider {
        Provider {
            settings,
            process: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// This process's device, if it has been opened.
    pub(crate) fn opened(&self) -> Option<&'static Process> {
        let process = self.process.load(Ordering::Acquire);
        // SAFETY: null, or a box that was leaked.
        let process = unsafe { process.as_ref() }?;
        (process.pid == std::process::id()).then_some(process)
    }

    /// This process's device. No lock: a fork could leave it held.
    fn process(&'static self) -> Result<&'static Process, String> {
        if let Some(process) = self.opened() {
            return Ok(process);
        }
        let before = self.process.load(Ordering::Acquire);
        let made = Box::into_raw(Box::new(without_signals(|| self.open())?));
        match (self.process).compare_exchange(before, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                log(
                    &self.settings,
                    Level::Info,
                    &format!("opened {}", self.settings.device.name),
                );
                if let Some(process) = self.opened() {
                    without_signals(|| stats::on_signal(&self.settings, process));
                }
            }
            Err(_) => {
                // SAFETY: another thread was first, and nobody has seen this one.
                let made = unsafe { Box::from_raw(made) };
                made.over.store(true, Ordering::Release);
            }
        }
        self.opened()
            .ok_or_else(|| "the device is being opened in another process".to_owned())
    }

    fn open(&self) -> Result<Process, String> {
        let settings = &self.settings;
        let device = SimDevice::open(&settings.device, settings.seed)
            .map_err(|error| format!("simaccel: {error}"))?;
        let engine: Arc<dyn Engine> = device.clone();
        let over = Arc::new(AtomicBool::new(false));
        let mut client = OffloadClient::new(engine).with_timeout(settings.timeout);
        if let Some(timeout) = settings.timeout {
            let ticker = count_time(timeout, &over)
                .map_err(|error| format!("simaccel: no thread for time-outs: {error}"))?;
            client = client.with_ticker(&ticker);
        }
        if settings.fallback {
            client = client.with_fallback(Arc::new(SoftwareEngine::new()));
        }
        Ok(Process {
            pid: std::process::id(),
            device,
            client,
            tally: Tally::default(),
            next: AtomicU64::new(0),
            over,
            told: AtomicBool::new(false),
            asked: OnceLock::new(),
        })
    }

    /// Runs an operation on the device: the job that runs on this thread pauses for it, and outside a job the
    /// thread waits.
    ///
    /// The error is its text.
    pub(crate) fn run(&'static self, request: Request) -> Result<Response, String> {
        let process = match self.process() {
            Ok(process) => process,
            Err(error) if self.settings.fallback => {
                log(&self.settings, Level::Warn, &error);
                return run_in_software(request);
            }
            Err(error) => return Err(error),
        };
        let kind = request.op.kind();
        if process.over.load(Ordering::Acquire) {
            return run_in_software(request);
        }
        let id = process.next.fetch_add(1, Ordering::Relaxed);
        let request = request.with_id(id);
        let (answer, in_job) = match job::current() {
            Some(job) => {
                let answer = process.client.run_in(&job, request);
                process.tally.paused(job.pauses());
                match answer {
                    // As outside a job: slow, and right.
                    Err(OffloadError::NoNotifier { source, request }) => {
                        let text = format!(
                            "operation {id}, {kind}: no descriptor for its job to wait with, so it waits on the spot: {source}"
                        );
                        log(&self.settings, Level::Warn, &text);
                        (process.client.run(request), false)
                    }
                    answer => (answer, true),
                }
            }
            None => (process.client.run(request), false),
        };
        process.tally.ran(kind, in_job, answer.is_ok());
        let answer = match answer {
            // The end has come in between. What was not carried out is handed back.
            Err(error) if process.over.load(Ordering::Acquire) && is_down(&error) => {
                let text = crate::error::text(&error);
                return match error.into_request() {
                    Some(request) => run_in_software(request),
                    None => Err(text),
                };
            }
            answer => answer,
        };
        answer.map_err(|error| {
            let text = crate::error::text(&error);
            log(
                &self.settings,
                Level::Warn,
                &format!("operation {id}, {kind}: {text}"),
            );
            text
        })
    }

    /// An operation that is too small for the device, or of a kind that is not put there.
    pub(crate) fn in_software(&self, kind: OpKind) {
        // Also that of another process, which nobody tells here: asking the system which process this is takes longer
        // than a small digest.
        let process = self.process.load(Ordering::Acquire);
        // SAFETY: null, or a box that was leaked.
        if let Some(process) = unsafe { process.as_ref() } {
            process.tally.in_software(kind);
        }
    }

    /// Ends this process's device, and tells the counts: what is in flight fails, or is done in software. From now
    /// on everything is done in software.
    pub(crate) fn end(&self) {
        let Some(process) = self.opened() else {
            return;
        };
        process.over.store(true, Ordering::Release);
        // Not shutdown(): whoever ends a program does not wait for a card that takes an hour.
        process.device.kill();
        if !process.told.swap(true, Ordering::AcqRel) {
            stats::tell(&self.settings, process);
        }
        if let Some(asked) = process.asked.get() {
            // Its thread ends, as it sees that all is over.
            asked.post();
        }
    }
}

impl Process {
    /// Whether the end has begun.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// On this thread: without a device, or after the end, in what a program does while it exits.
fn run_in_software(request: Request) -> Result<Response, String> {
    let software = SoftwareEngine::new();
    let answer = software.run_inline(request).map_err(OffloadError::Failed);
    answer.map_err(|error| crate::error::text(&error))
}

/// Whether there was no device to carry it out.
fn is_down(error: &OffloadError) -> bool {
    match error {
        OffloadError::Refused { reason, .. } => *reason == Reason::Down,
        OffloadError::Failed(failure) => failure.kind == FailureKind::Down,
        _ => false,
    }
}

/// A thread that counts time-outs, until `over`. The client would start one of its own in the first job, with that
/// job's signals.
fn count_time(timeout: Duration, over: &Arc<AtomicBool>) -> io::Result<Ticker> {
    let ticker = Ticker::new();
    let length = (timeout / Ticker::TICKS).max(Duration::from_millis(1));
    let (ticks, over) = (ticker.clone(), Arc::clone(over));
    thread::Builder::new()
        .name("simaccel-time".into())
        .spawn(move || {
            while !over.load(Ordering::Acquire) {
                thread::sleep(length);
                ticks.tick();
            }
        })?;
    Ok(ticker)
}

/// Runs what starts threads, with all signals blocked: so the threads have them blocked for ever, and the program's
/// signals come to its own threads, as it expects.
pub(crate) fn without_signals<T>(run: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is used; it and the place for the other one are good for the calls.
    let blocked = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    /// Also if `run` panics.
    struct PutBack(Option<libc::sigset_t>);

    impl Drop for PutBack {
        fn drop(&mut self) {
            if let Some(before) = &self.0 {
                // SAFETY: the set that this thread had.
                unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
            }
        }
    }

    // SAFETY: it was filled, as the call has succeeded.
    let _put_back = PutBack(blocked.then(|| unsafe { before.assume_init() }));
    run()
}
