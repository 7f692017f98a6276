//! What the jobs of a simulation do, and what they check.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use async_core::{StartError, block_pause, start_job};
use offload::{
    AesKey, FailureKind, OffloadClient, OffloadError, Op, Padding, Reason, Request, Response,
};
use sim_engine::compute::compute;
use sim_engine::{Fate, Outcome, SimDevice, VirtualClock};
use waitctx::WaitCtx;

use super::checker::Checker;
use super::plan::{Dice, Habits};

/// The most bytes of an operation.
pub(super) const BYTES_MAX: usize = 128;

/// What all jobs of a simulation share.
pub(super) struct World {
    pub(super) clock: VirtualClock,
    pub(super) device: Arc<SimDevice>,
    pub(super) client: OffloadClient,
    pub(super) checker: Arc<Checker>,
    pub(super) habits: Habits,
    pub(super) dice: RefCell<Dice>,
    pub(super) next_id: Cell<u64>,
    /// An operation of a kind that strikes others too has been submitted: requests that are lost
    /// keep their place in the ring.
    pub(super) hold_ups: Cell<bool>,
}

/// How an operation is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// In a job that may pause.
    Pausing,
    /// In one that must not.
    Blocked,
    Outside,
}

impl World {
    pub(super) fn note(&self, what: impl std::fmt::Display) {
        self.checker.note(self.clock.now_ns(), what);
    }

    /// A job: a few operations, one after the other. `cancelled` tells what becomes of it.
    pub(super) fn job(self: &Rc<World>, number: u64, cancelled: &Rc<Cell<bool>>) {
        let ops = 1 + self.dice.borrow_mut().below(3);
        for _ in 0..ops {
            let (blocked, nested) = {
                let mut dice = self.dice.borrow_mut();
                let habits = self.habits;
                (dice.one_in(habits.blocked), dice.one_in(habits.nested))
            };
            if nested {
                self.start_inside();
            }
            let goes_on = if blocked {
                let _blocked = block_pause();
                self.operation(number, How::Blocked, cancelled)
            } else {
                self.operation(number, How::Pausing, cancelled)
            };
            if !goes_on {
                break;
            }
        }
    }

    /// An operation outside any job.
    pub(super) fn outside(&self) {
        let never = Cell::new(false);
        self.operation(u64::MAX, How::Outside, &never);
    }

    /// A job cannot be started inside another, and the other goes on.
    fn start_inside(&self) {
        match start_job(&WaitCtx::new(), || ()) {
            Err(StartError::InsideJob(_)) => {}
            Ok(_) => self.checker.problem("a job was started inside a job"),
            Err(other) => self.checker.problem(format_args!(
                "a job inside a job was refused for another reason: {other}"
            )),
        }
    }

    /// Runs one operation. Says whether the job should go on.
    fn operation(&self, job: u64, how: How, cancelled: &Cell<bool>) -> bool {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let fate = self.device.fate(id);
        if fate.outcome == Outcome::Lost || fate.late_ns > 0 || fate.kills {
            self.hold_ups.set(true);
        }
        let (op, data) = self.request(id);
        let right = compute(Request::new(op.clone(), data.clone()));
        if how == How::Outside {
            self.note(format_args!("op {id} outside a job"));
        } else {
            let blocked = if how == How::Blocked {
                ", pausing blocked"
            } else {
                ""
            };
            self.note(format_args!("job {job} runs op {id}{blocked}"));
        }
        self.checker.expect(id, &fate);
        let request = Request::new(op, data.clone()).with_id(id);
        let ran = self.client.run(request);
        self.checker.seen(id);
        match ran {
            Ok(response) => {
                self.note(format_args!("op {id} came back with an answer"));
                self.check_result(id, &fate, right.as_ref().ok(), &response);
                true
            }
            Err(error) => {
                self.note(format_args!("op {id} came back without: {error}"));
                self.check_error(id, &fate, &error, cancelled.get());
                let was_cancelled = matches!(error, OffloadError::Cancelled { .. });
                if let Some(request) = error.into_request()
                    && *request.data != data
                {
                    self.checker.problem(format_args!(
                        "op {id} gave its request back with other data"
                    ));
                }
                !was_cancelled
            }
        }
    }

    fn request(&self, id: u64) -> (Op, Vec<u8>) {
        let mut dice = self.dice.borrow_mut();
        let mut data = vec![0; dice.below(BYTES_MAX as u64) as usize];
        dice.fill(&mut data);
        let key = AesKey::from([id as u8; 16]);
        let op = match dice.below(5) {
            0 => Op::Sha256,
            1 => Op::Ctr {
                key,
                iv: [id as u8; 16],
            },
            2 => Op::GcmSeal {
                key,
                nonce: [id as u8; 12],
                aad: Vec::new(),
            },
            3 => Op::CbcEncrypt {
                key,
                iv: [id as u8; 16],
                padding: Padding::Pkcs7,
            },
            _ => Op::Nop,
        };
        (op, data)
    }

    fn check_result(&self, id: u64, fate: &Fate, right: Option<&Response>, response: &Response) {
        let same = right
            .is_some_and(|right| *right.data == *response.data && right.output == response.output);
        if !same && !matches!(fate.outcome, Outcome::Wrong(_)) {
            self.checker.problem(format_args!(
                "the result of op {id} is not what software computes, and no fault is to blame"
            ));
        }
    }

    fn check_error(&self, id: u64, fate: &Fate, error: &OffloadError, cancelled: bool) {
        let down = self.checker.was_down();
        let expected = match error {
            OffloadError::Cancelled { .. } => cancelled,
            OffloadError::Refused { reason, .. } => match reason {
                Reason::Down => down,
                Reason::Throttled | Reason::NoDescriptor => true,
                _ => false,
            },
            OffloadError::Failed(failure) => match &failure.kind {
                FailureKind::Device { status } => fate.outcome == Outcome::Error(*status),
                FailureKind::Down => down,
                FailureKind::TimedOut { .. } => {
                    let in_line = failure.request.is_some();
                    let lost = fate.outcome == Outcome::Lost || fate.late_ns > 0;
                    lost || down || (in_line && self.hold_ups.get())
                }
                _ => false,
            },
            _ => false,
        };
        if !expected {
            self.checker.problem(format_args!(
                "op {id} failed, and no fault is to blame: {error}"
            ));
        }
    }
}
