//! A simulated crypto accelerator: an [`offload::Engine`] that queues, refuses, computes, is slow,
//! fails and dies as real ones do, on worker threads of its own.
//!
//! ```
//! use offload::{OffloadClient, Op, Request};
//! use sim_engine::{DeviceConfig, SimDevice};
//!
//! let config = DeviceConfig::preset("ideal").expect("a preset that ships");
//! let device = SimDevice::open(&config, 42)?;
//! let client = OffloadClient::new(device.clone());
//! let response = client.run(Request::new(Op::Sha256, b"abc".to_vec()))?;
//! assert_eq!(response.digest().expect("a digest")[..4], [0xba, 0x78, 0x16, 0xbf]);
//! assert!(device.shutdown().counters.balance());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The model
//!
//! A real accelerator is not one fast engine but *k slow ones behind bounded rings*: one request at
//! a time is no faster than a processor, and throughput comes from having many in flight.
//!
//! ```text
//!            ring (bounded, FIFO)            k modelled engines
//!  submit ─▶ │ │ │ │ │ │ │ │ │ ─── link ───▶ [ service = fixed + bytes × per_byte ] ─── link ─▶ completion
//!    full? refused, wait in line
//! ```
//!
//! `engines` is the modelled parallelism; `workers` is the number of host threads that compute the
//! results. The results are real: they are computed with RustCrypto and AWS-LC ([`compute`]), and a
//! device that is modelled slower than the host holds them back until their time.
//!
//! # Two kinds of time
//!
//! In real time the device has threads. On a [`VirtualClock`] it has none: whoever runs the jobs moves
//! the clock, and the same seed gives the same events at the same times.
//!
//! ```
//! use offload::{Engine, OffloadClient, Op, Request};
//! use sim_engine::{DeviceConfig, SimClock, SimDevice};
//!
//! let config = DeviceConfig::preset("qat-c62x-1").expect("a preset that ships");
//! let clock = SimClock::virtual_time();
//! let device = SimDevice::builder(&config).seed(42).clock(&clock).open()?;
//! let client = OffloadClient::new(device.clone());
//! client.run(Request::new(Op::Sha256, b"abc".to_vec()))?;
//! // 2 µs and a little on an engine, 0.7 µs on the link each way, and the host looks each 100 µs.
//! assert_eq!(clock.now_ns(), 100_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Supported and not
//!
//! Modelled: endpoints with engines and rings of their own, refusal and fair waiting, service and link
//! times with jitter, batches with a flush timer, polling and coalesced notifications, throttling,
//! faults by seed and operation or by a script, death, heartbeat and reset, draining. What the device
//! does not know it refuses ([`offload::Reason::Unsupported`]); what it cannot carry out it fails
//! ([`offload::FailureKind::BadRequest`]). Not modelled: pipelines of several buffers in a request,
//! service of one kind on part of the engines only, and queues in software behind a full ring.

#![forbid(unsafe_code)]

mod clock;
pub mod compute;
mod config;
mod counters;
mod device;
mod fault;
mod inbox;
mod model;
mod observe;
mod plant;
mod preset;
mod software;
mod work;

pub use clock::{RealClock, SimClock, Step, VirtualClock};
pub use config::{
    Batch, Completions, Detection, DeviceConfig, DeviceFileError, FaultName, Faults, Heartbeat,
    HostCost, InstanceChoice, Jitter, JitterKind, Late, LinkTime, Results, ScriptedFault,
    ServiceTime, Slow, Stall, Throttle,
};
pub use device::{Builder, DeviceStats, Health, OpenError, SimDevice, Strike};
pub use fault::{Fate, Outcome, Refusal};
pub use observe::{DeviceEvent, Observer, OpEnd, OpRecord};
#[doc(hidden)]
pub use plant::Plant;
pub use preset::{Preset, presets};
pub use software::SoftwareEngine;
