//! Opening a device.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use offload::{Drive, Engine};

use super::{Live, Shared, SimDevice, lock};
use crate::clock::{SimClock, Timed};
use crate::config::{DeviceConfig, DeviceFileError};
use crate::fault::FaultPlan;
use crate::observe::Observer;
use crate::plant::Plant;
use crate::work::Worker;

/// Why a device was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration is not one.
    #[error("the device cannot be opened: {0}")]
    Config(#[from] DeviceFileError),
    /// A worker thread could not be started.
    #[error("a worker thread of the device could not be started: {0}; lower `workers`")]
    Worker(#[source] io::Error),
}

/// How a device is opened: see [`SimDevice::builder`].
#[must_use = "nothing is opened before `open`"]
pub struct Builder<'a> {
    config: &'a DeviceConfig,
    seed: u64,
    clock: SimClock,
    observer: Option<Arc<dyn Observer>>,
    plant: Option<Plant>,
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.config.name)
            .field("seed", &self.seed)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Builder<'_> {
    pub(super) fn new(config: &DeviceConfig) -> Builder<'_> {
        Builder {
            config,
            seed: 0,
            clock: SimClock::real(),
            observer: None,
            plant: None,
        }
    }

    /// Decides which operations its faults strike, and by how much service times vary. Unless said, 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Its time. Unless said, the wall's.
    pub fn clock(mut self, clock: &SimClock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Told of all that happens on it. Unless said, nobody is; it costs two looks at the clock for
    /// each operation, and more.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Builds a bug in, to show that it is found.
    #[doc(hidden)]
    pub fn plant(mut self, bug: Option<Plant>) -> Self {
        self.plant = bug;
        self
    }

    /// Opens it, and starts its workers, if it has any.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(self) -> Result<Arc<SimDevice>, OpenError> {
        let config = self.config;
        config.check()?;
        let plan = FaultPlan::new(&config.faults, config.jitter, self.seed, self.plant);
        let shared = Arc::new(Shared::new(config, plan, self.clock, self.observer));
        if let Some(clock) = shared.clock.as_virtual() {
            let timed: Arc<dyn Timed> = shared.clone();
            clock.join(Arc::downgrade(&timed));
        }
        // Dropped, and so ended, if a worker cannot be started.
        let mut device = SimDevice {
            shared,
            workers: Mutex::new(Vec::new()),
            threads: Vec::new(),
        };
        // Those of a device that completes before the pause look after what it loses.
        if device.drive() != Drive::Poll {
            for n in 0..config.workers {
                let live = Live::new(&device.shared);
                let worker = std::thread::Builder::new()
                    .name(format!("{}-{n}", config.name))
                    .spawn(move || Worker::new().run(&live.0, &live.0.inbox))
                    .map_err(OpenError::Worker)?;
                device.threads.push(worker.thread().id());
                lock(&device.workers).push(worker);
            }
        }
        Ok(Arc::new(device))
    }
}
