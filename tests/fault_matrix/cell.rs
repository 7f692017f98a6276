//! One cell of the matrix: what is run in it, and what may come of each operation.

use std::fmt;
use std::time::Duration;

use async_core::WakeBy;
use offload::{FailureKind, OffloadError, Op, Reason, Request, Response};
use sim_engine::compute::compute;
use sim_engine::{DeviceConfig, Fate, FaultName, Outcome};

/// A fault, or none, met in one way.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) fault: Option<FaultName>,
    pub(crate) wake: WakeBy,
    pub(crate) fallback: bool,
    pub(crate) real_time: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Some(fault) => write!(f, "{fault:?}")?,
            None => f.write_str("no fault")?,
        }
        write!(
            f,
            " × {:?} × {} × {}",
            self.wake,
            if self.fallback {
                "fallback"
            } else {
                "no fallback"
            },
            if self.real_time {
                "real time"
            } else {
                "virtual time"
            },
        )
    }
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    Right,
    Wrong,
    Refused(Reason),
    /// The device's own status.
    Status(i32),
    Down,
    TimedOut,
    /// Any other error: none of the matrix.
    Other,
}

impl Cell {
    /// All of them.
    pub(crate) fn all(real_time: bool) -> Vec<Cell> {
        let faults = FaultName::ALL.into_iter().map(Some).chain([None]);
        let mut cells = Vec::new();
        for fault in faults {
            for wake in [
                WakeBy::Callback,
                WakeBy::SharedFd,
                WakeBy::Fd,
                WakeBy::Polling,
            ] {
                for fallback in [false, true] {
                    cells.push(Cell {
                        fault,
                        wake,
                        fallback,
                        real_time,
                    });
                }
            }
        }
        cells
    }

    /// Operations that are run.
    pub(crate) fn operations(&self) -> u64 {
        if self.real_time { 48 } else { 400 }
    }

    /// The device: two endpoints, so that one can die, with less room than there are jobs.
    pub(crate) fn device(&self) -> DeviceConfig {
        let heartbeat = if self.real_time {
            "period_ns = 2_000_000, misses = 1, restart_ns = 3_000_000"
        } else {
            "period_ns = 100_000, misses = 2, restart_ns = 300_000"
        };
        let mut text = format!(
            "name = 'matrix'\n endpoints = 2\n engines = 4\n ring_depth_max = 4\n \
             service_default = {{ fixed_ns = 20_000 }}\n heartbeat = {{ {heartbeat} }}\n[faults]\n"
        );
        text += match self.fault {
            None => "",
            Some(FaultName::RingFull) => "ring_full = 0.1",
            Some(FaultName::Throttled) => "throttled = 0.1",
            Some(FaultName::NoDescriptor) => "no_descriptor = 0.1",
            Some(FaultName::Slow) => "slow = { share = 0.1, extra_ns = 100_000 }",
            Some(FaultName::Late) => "late = { share = 0.1, extra_ns = 100_000 }",
            Some(FaultName::Lost) => "lost = 0.1",
            Some(FaultName::Error) => "error = 0.1",
            Some(FaultName::Wrong) => "wrong = 0.1",
            Some(FaultName::Duplicate) => "duplicate = 0.1",
            Some(FaultName::Untold) => "untold = 0.1",
            Some(FaultName::Spurious) => "spurious = 0.1",
            Some(FaultName::Stall) => "stall = { share = 0.1, for_ns = 100_000 }",
            Some(FaultName::Death) => "death = 0.05",
            Some(other) => panic!("{other:?} is not in the matrix yet"),
        };
        DeviceConfig::from_toml(&text).expect("a device file")
    }

    /// Whether whoever waits may have to wait for the time-out.
    fn waits_for_the_time_out(&self) -> bool {
        matches!(self.fault, Some(FaultName::Lost | FaultName::Untold))
    }

    /// In virtual time far beyond what anything takes. In real time short only where it is needed:
    /// how long a healthy operation takes there is the host's affair.
    pub(crate) fn timeout(&self) -> Duration {
        match (self.real_time, self.waits_for_the_time_out()) {
            (false, _) => Duration::from_millis(2),
            (true, true) => Duration::from_millis(120),
            (true, false) => Duration::from_secs(30),
        }
    }

    /// Whether an operation that met `fate` may end so.
    pub(crate) fn allows(&self, fate: &Fate, ending: Ending) -> bool {
        let struck = |yes: bool| yes && !self.fallback;
        match ending {
            // Nobody can do without a place for which it was not let in, and a wrong bit stays.
            Ending::Right => match fate.outcome {
                Outcome::Right => fate.refused.is_none() || self.fallback || self.is_let_in_again(),
                Outcome::Wrong(_) => false,
                Outcome::Error(_) => self.fallback,
                // Only if it was given up before it was let in.
                _ => self.fallback,
            },
            Ending::Wrong => matches!(fate.outcome, Outcome::Wrong(_)),
            Ending::Status(status) => struck(fate.outcome == Outcome::Error(status)),
            Ending::Refused(Reason::Throttled) => {
                struck(self.fault == Some(FaultName::Throttled) && fate.refused.is_some())
            }
            Ending::Refused(Reason::NoDescriptor) => {
                struck(self.fault == Some(FaultName::NoDescriptor) && fate.refused.is_some())
            }
            Ending::Down | Ending::Refused(Reason::Down) => {
                struck(self.fault == Some(FaultName::Death))
            }
            // A request that is lost keeps its place, so others may have to wait for it in line.
            Ending::TimedOut => match self.fault {
                Some(FaultName::Lost) => true,
                Some(FaultName::Untold) => self.real_time,
                _ => false,
            },
            Ending::Refused(_) | Ending::Other => false,
        }
    }

    fn is_let_in_again(&self) -> bool {
        self.fault == Some(FaultName::RingFull)
    }

    /// Whether an operation that met `fate` may take as long as a time-out.
    pub(crate) fn may_take_long(&self, fate: &Fate) -> bool {
        self.fault == Some(FaultName::Lost) || fate.untold
    }
}

/// The request with this id.
pub(crate) fn request(id: u64) -> Request {
    Request::new(Op::Sha256, id.to_le_bytes().to_vec()).with_id(id)
}

/// How the request with this id ended. Whatever hands it back hands it back whole.
pub(crate) fn ending(id: u64, ran: Result<Response, OffloadError>) -> Ending {
    let error = match ran {
        Ok(response) => {
            let right = compute(request(id)).expect("software fails nothing");
            return if response.digest() == right.digest() && *response.data == *right.data {
                Ending::Right
            } else {
                Ending::Wrong
            };
        }
        Err(error) => error,
    };
    let ending = match &error {
        OffloadError::Refused { reason, .. } => Ending::Refused(*reason),
        OffloadError::Failed(failure) => match failure.kind {
            FailureKind::Device { status } => Ending::Status(status),
            FailureKind::Down => Ending::Down,
            FailureKind::TimedOut { .. } => Ending::TimedOut,
            _ => Ending::Other,
        },
        _ => Ending::Other,
    };
    let lost = ending == Ending::TimedOut;
    match error.into_request() {
        Some(back) if back.id == id && *back.data == *request(id).data => ending,
        None if lost => ending,
        _ => Ending::Other,
    }
}
