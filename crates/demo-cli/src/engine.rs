//! From the engine's name to an engine that runs, and its account when it is closed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_core::{JobSet, JobSetError, WakeBy};
use offload::{Counters, Drive, Engine, OffloadClient, OpKind, Ticker};
use sim_engine::{
    Completions, DeviceConfig, Observer, SimClock, SimDevice, SoftwareEngine, presets,
};

use crate::cli::{ClockName, CompletionName, EngineArgs, EngineName, NotifyName, RuntimeName};
use crate::error::{InputError, as_typed};
use crate::out::say;
use crate::suggest::did_you_mean;
use crate::system;

/// The device that is simulated unless another is asked for.
const DEFAULT_DEVICE: &str = "ideal";

/// The most bytes of a device file.
const DEVICE_FILE_BYTES_MAX: u64 = 1 << 20;

/// How long [`next_finished`] waits at most where its caller has nothing else to look at.
pub(crate) const TURN: Duration = Duration::from_millis(250);

/// An engine that can be opened, checked.
#[derive(Clone, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) kind: EngineKind,
    pub(crate) seed: u64,
    pub(crate) timeout: Duration,
    pub(crate) fallback: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum EngineKind {
    Sim(Box<DeviceConfig>),
    Software,
}

impl EngineOptions {
    pub(crate) fn new(args: &EngineArgs) -> Result<EngineOptions, InputError> {
        let kind = match (args.engine, &args.device) {
            (EngineName::Sim, device) => {
                let name = device.as_deref().unwrap_or(DEFAULT_DEVICE);
                EngineKind::Sim(Box::new(device_config(name)?))
            }
            (EngineName::Software, None) => EngineKind::Software,
            (EngineName::Software, Some(device)) => {
                let device = device.clone();
                return Err(InputError::DeviceWithoutSim { device });
            }
        };
        Ok(EngineOptions {
            kind,
            seed: args.seed,
            timeout: args.timeout,
            fallback: args.fallback,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            EngineKind::Sim(_) => "sim",
            EngineKind::Software => "software",
        }
    }

    /// The simulated device, if there is one.
    pub(crate) fn device(&self) -> Option<&DeviceConfig> {
        match &self.kind {
            EngineKind::Sim(config) => Some(config),
            EngineKind::Software => None,
        }
    }

    /// Whether `op` on `size` bytes may be computed on the stack of the job that asks for it.
    pub(crate) fn computes_in_jobs(&self, op: OpKind, size: usize) -> bool {
        self.fallback
            || self.device().is_none_or(|device| {
                device.completions == Completions::BeforePause
                    || (!op.is_asymmetric() && size < device.inline_below_bytes)
            })
    }

    /// Says on standard error that results will be wrong, where the device is made to err and
    /// nobody compares them.
    pub(crate) fn warn_of_wrong_results(&self) {
        if let Some(device) = self.device()
            && device.faults.wrong > 0.0
        {
            let _ = say(format_args!(
                "warning: the device {} gives wrong results (faults.wrong is {}), and they are not checked here; do not use the output",
                device.name, device.faults.wrong
            ));
        }
    }

    /// Opens the engine, with fresh counts.
    pub(crate) fn open(&self) -> Result<OpenEngine, InputError> {
        self.open_with(Setup::default())
    }

    /// The same, with more said of the device. On a virtual clock time-outs pass in its time.
    pub(crate) fn open_with(&self, setup: Setup<'_>) -> Result<OpenEngine, InputError> {
        let (engine, device): (Arc<dyn Engine>, _) = match &self.kind {
            EngineKind::Sim(config) => {
                let mut config = config.clone();
                if let Some(completions) = setup.completions {
                    config.completions = completions;
                }
                let mut builder = SimDevice::builder(&config).seed(self.seed);
                if let Some(clock) = setup.clock {
                    builder = builder.clock(clock);
                }
                if let Some(observer) = setup.observer {
                    builder = builder.observer(observer);
                }
                let device = builder.open().map_err(|e| InputError::Device {
                    name: config.name.clone(),
                    message: as_typed(&e.to_string()),
                })?;
                (Arc::clone(&device) as _, Some(device))
            }
            EngineKind::Software => (Arc::new(SoftwareEngine::new()), None),
        };
        let mut client = OffloadClient::new(Arc::clone(&engine)).with_timeout(Some(self.timeout));
        if let Some(clock) = setup.clock.and_then(SimClock::as_virtual) {
            let ticker = Ticker::new();
            let tick = self.timeout / Ticker::TICKS;
            clock.tick(&ticker, u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX));
            client = client.with_ticker(&ticker);
        }
        let fallback = self
            .fallback
            .then(|| Arc::new(SoftwareEngine::new()) as Arc<dyn Engine>);
        if let Some(fallback) = &fallback {
            client = client.with_fallback(Arc::clone(fallback));
        }
        Ok(OpenEngine {
            client,
            fallback,
            engine,
            device,
        })
    }
}

/// What a device is opened with, beside its file and the seed.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Unless given, the wall's.
    pub(crate) clock: Option<&'a SimClock>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Instead of the device file's.
    pub(crate) completions: Option<Completions>,
}

/// An engine that runs, and the client of it.
pub(crate) struct OpenEngine {
    pub(crate) client: OffloadClient,
    /// What the client turns to when the engine refuses or fails, for who is a client of another kind.
    pub(crate) fallback: Option<Arc<dyn Engine>>,
    engine: Arc<dyn Engine>,
    pub(crate) device: Option<Arc<SimDevice>>,
}

impl OpenEngine {
    /// Ends the engine's threads, when no job is left. Returns its final counts, and the share of
    /// the modelled engines' time that was used, where they are bounded.
    ///
    /// What is in flight now was given up by whoever waited for it, and fails: a device that takes
    /// an hour over it does not hold up the exit.
    pub(crate) fn close(self) -> (Counters, Option<f64>) {
        match &self.device {
            Some(device) => {
                if device.counters().in_flight > 0 {
                    device.kill();
                }
                let stats = device.shutdown();
                let bounded = device.config().engines > 0;
                (stats.counters, bounded.then_some(stats.engine_utilisation))
            }
            None => (self.engine.counters(), None),
        }
    }
}

/// Waits until one of the set's jobs has finished and takes its result, as
/// [`JobSet::next_finished`] does; `None` after `patience`. An engine that has no threads of its
/// own is polled first, and then there is no wait.
pub(crate) fn next_finished<R: 'static>(
    set: &mut JobSet<R>,
    client: &OffloadClient,
    patience: Duration,
) -> Result<Option<(u64, R)>, JobSetError> {
    let engine = client.engine();
    if engine.drive() == Drive::Poll {
        engine.poll(0);
        return set.next_finished(Some(Duration::ZERO));
    }
    set.next_finished(Some(patience))
}

pub(crate) fn device_config(name: &str) -> Result<DeviceConfig, InputError> {
    match DeviceConfig::preset(name) {
        Some(config) => Ok(config),
        None => device_file(Path::new(name)).map_err(|e| match e {
            InputError::Unreadable { source, .. } => InputError::NoSuchDevice {
                name: name.to_owned(),
                presets: preset_names(),
                source,
                meant: did_you_mean(name, presets().iter().map(|p| p.name)),
            },
            other => other,
        }),
    }
}

/// Reads a device file.
pub(crate) fn device_file(path: &Path) -> Result<DeviceConfig, InputError> {
    let text = system::read_text(path, "device", DEVICE_FILE_BYTES_MAX)?;
    DeviceConfig::from_toml(&text).map_err(|e| InputError::DeviceFile {
        path: path.to_owned(),
        message: e.to_string(),
    })
}

/// The names of all presets, for messages.
pub(crate) fn preset_names() -> String {
    let names: Vec<_> = presets().iter().map(|p| p.name).collect();
    names.join(", ")
}

impl NotifyName {
    /// Every way, in the order of the report's rows.
    pub(crate) const ALL: [NotifyName; 4] = [
        NotifyName::Fd,
        NotifyName::SharedFd,
        NotifyName::Callback,
        NotifyName::Poll,
    ];

    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            NotifyName::Fd => "fd",
            NotifyName::SharedFd => "shared-fd",
            NotifyName::Callback => "callback",
            NotifyName::Poll => "poll",
        }
    }

    pub(crate) const fn wake_by(self) -> WakeBy {
        match self {
            NotifyName::Fd => WakeBy::Fd,
            NotifyName::SharedFd => WakeBy::SharedFd,
            NotifyName::Callback => WakeBy::Callback,
            NotifyName::Poll => WakeBy::Polling,
        }
    }
}

impl ClockName {
    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ClockName::Real => "real",
            ClockName::Virtual => "virtual",
        }
    }
}

impl CompletionName {
    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            CompletionName::Threads => "threads",
            CompletionName::Poll => "poll",
            CompletionName::Heuristic => "heuristic",
        }
    }

    /// What that is for the device.
    pub(crate) const fn completions(self) -> Completions {
        match self {
            CompletionName::Threads => Completions::Threads,
            CompletionName::Poll | CompletionName::Heuristic => Completions::Poll,
        }
    }
}

impl RuntimeName {
    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            RuntimeName::Ours => "ours",
            RuntimeName::Libcrypto => "libcrypto",
            RuntimeName::Both => "both",
        }
    }
}
