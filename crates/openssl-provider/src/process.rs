//! The device of a process: opened when the first operation goes to it, so that each process that a server forks
//! has its own, with its own threads.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use offload::{Engine, OffloadClient, OffloadError, OpKind, Request, Response};
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
    over: AtomicBool,
    /// The counts are told once.
    told: AtomicBool,
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
    fn process(&self) -> Result<&'static Process, String> {
        if let Some(process) = self.opened() {
            return Ok(process);
        }
        let before = self.process.load(Ordering::Acquire);
        let made = Box::into_raw(Box::new(self.open()?));
        match (self.process).compare_exchange(before, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                if let Some(process) = self.opened() {
                    stats::on_signal(self.settings.stats_signal, process);
                }
            }
            // SAFETY: another thread was first, and nobody has seen this one.
            Err(_) => drop(unsafe { Box::from_raw(made) }),
        }
        self.opened()
            .ok_or_else(|| "the device is being opened in another process".to_owned())
    }

    fn open(&self) -> Result<Process, String> {
        let settings = &self.settings;
        let device = SimDevice::open(&settings.device, settings.seed)
            .map_err(|error| format!("simaccel: {error}"))?;
        let engine: Arc<dyn Engine> = device.clone();
        let mut client = OffloadClient::new(engine).with_timeout(settings.timeout);
        if settings.fallback {
            client = client.with_fallback(Arc::new(SoftwareEngine::new()));
        }
        log(
            settings,
            Level::Info,
            &format!("opened {}", settings.device.name),
        );
        Ok(Process {
            pid: std::process::id(),
            device,
            client,
            tally: Tally::default(),
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            told: AtomicBool::new(false),
        })
    }

    /// Runs an operation on the device: the job that runs on this thread pauses for it, and outside a job the
    /// thread waits.
    ///
    /// The error is its text.
    pub(crate) fn run(&self, request: Request) -> Result<Response, String> {
        let process = self.process()?;
        let kind = request.op.kind();
        if process.over.load(Ordering::Acquire) {
            return process.run_at_the_end(request);
        }
        let id = process.next.fetch_add(1, Ordering::Relaxed);
        let request = request.with_id(id);
        let (answer, in_job) = match job::current() {
            Some(job) => {
                let answer = process.client.run_in(&job, request);
                process.tally.paused(job.pauses());
                (answer, true)
            }
            None => (process.client.run(request), false),
        };
        process.tally.ran(kind, in_job, answer.is_ok());
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
        if let Some(process) = self.opened() {
            process.tally.in_software(kind);
        }
    }

    /// Ends this process's device, and tells the counts: what is in flight is finished, lost ones fail. From now
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
    }
}

impl Process {
    /// After the end, in what a program does while it exits.
    fn run_at_the_end(&self, request: Request) -> Result<Response, String> {
        let software = SoftwareEngine::new();
        let answer = software.run_inline(request).map_err(OffloadError::Failed);
        answer.map_err(|error| crate::error::text(&error))
    }
}
