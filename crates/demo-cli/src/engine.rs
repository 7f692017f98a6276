//! From the engine's name to an engine that runs, and its account when it is closed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_core::WakeBy;
use offload::{Counters, Engine, OffloadClient};
use sim_engine::{DeviceConfig, SimDevice, SoftwareEngine, presets};

use crate::cli::{EngineArgs, EngineName, NotifyName};
use crate::error::InputError;

/// The device that is simulated unless another is asked for.
const DEFAULT_DEVICE: &str = "ideal";

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

    /// Opens the engine, with fresh counts.
    pub(crate) fn open(&self) -> Result<OpenEngine, InputError> {
        let (engine, device): (Arc<dyn Engine>, _) = match &self.kind {
            EngineKind::Sim(config) => {
                let device =
                    SimDevice::open(config, self.seed).map_err(|e| InputError::Device {
                        name: config.name.clone(),
                        message: e.to_string(),
                    })?;
                (Arc::clone(&device) as _, Some(device))
            }
            EngineKind::Software => (Arc::new(SoftwareEngine::new()), None),
        };
        let mut client = OffloadClient::new(Arc::clone(&engine)).with_timeout(Some(self.timeout));
        if self.fallback {
            client = client.with_fallback(Arc::new(SoftwareEngine::new()));
        }
        Ok(OpenEngine {
            client,
            engine,
            device,
        })
    }
}

/// An engine that runs, and the client of it.
pub(crate) struct OpenEngine {
    pub(crate) client: OffloadClient,
    engine: Arc<dyn Engine>,
    device: Option<Arc<SimDevice>>,
}

impl OpenEngine {
    /// Finishes what is in flight and ends the engine's threads. Returns its final counts, and the
    /// share of the modelled engines' time that was used, where they are bounded.
    pub(crate) fn close(self) -> (Counters, Option<f64>) {
        match &self.device {
            Some(device) => {
                let stats = device.shutdown();
                let bounded = device.config().engines > 0;
                (stats.counters, bounded.then_some(stats.engine_utilisation))
            }
            None => (self.engine.counters(), None),
        }
    }
}

fn device_config(name: &str) -> Result<DeviceConfig, InputError> {
    match DeviceConfig::preset(name) {
        Some(config) => Ok(config),
        None => device_file(Path::new(name)).map_err(|e| match e {
            InputError::Unreadable { source, .. } => InputError::NoSuchDevice {
                name: name.to_owned(),
                presets: preset_names(),
                source,
            },
            other => other,
        }),
    }
}

/// Reads a device file.
pub(crate) fn device_file(path: &Path) -> Result<DeviceConfig, InputError> {
    let text = std::fs::read_to_string(path).map_err(|source| InputError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
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
