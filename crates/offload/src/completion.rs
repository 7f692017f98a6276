//! The answer's way back.

use std::fmt;
use std::sync::Arc;

use waitctx::{Notifier, Status, WakeBatch};

use crate::request::{Failure, FailureKind, Response};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};

/// An operation's answer.
pub(crate) type Answer = Result<Response, Failure>;

/// Where one operation's answer is left and picked up. Used for one operation after another, each
/// with its own number, so that an answer to an earlier one cannot be taken for the next one's.
///
/// It goes back and forth between two threads, so no two slots share a cache line.
#[repr(align(128))]
pub(crate) struct OpSlot {
    state: Mutex<SlotState>,
    /// The client's tick when the operation was submitted, 0 if none is under way. Relaxed: it
    /// decides only when somebody looks more closely.
    pub(crate) since: AtomicU64,
    /// There may be an answer to pick up: saves the lock when there is none, as always before the
    /// first pause. Written under the lock; set before anybody is told.
    answered: AtomicBool,
}

struct SlotState {
    /// The number of the operation.
    operation: u64,
    phase: Phase,
    /// Who is told. Kept from operation to operation: mostly they are of the same context.
    notifier: Option<Notifier>,
    /// A wake is owed to whoever waits. The answer does away with it, so that there is one wake per
    /// operation, unless nobody could be told: then the watchdog does.
    owed: bool,
}

enum Phase {
    /// No operation: its answer was picked up, or it was withdrawn.
    Idle,
    /// The client waits for the answer.
    Waiting,
    /// The answer is there; the client has not picked it up.
    Answered(Answer),
    /// The client has given up; the answer will be thrown away. The slot is not used again.
    Abandoned,
}

impl OpSlot {
    pub(crate) fn new() -> OpSlot {
        OpSlot {
            state: Mutex::new(SlotState {
                operation: 0,
                phase: Phase::Idle,
                notifier: None,
                owed: false,
            }),
            since: AtomicU64::new(0),
            answered: AtomicBool::new(false),
        }
    }

    /// Begins an operation. The slot is idle. Without a `notifier`, the one of the operation before
    /// is told again.
    pub(crate) fn begin(slot: &Arc<OpSlot>, notifier: Option<Notifier>) -> Completion {
        match OpSlot::try_begin(slot, notifier) {
            Ok(completion) => completion,
            Err(_) => unreachable!("an operation is begun in an idle slot"),
        }
    }

    /// The same if the slot is idle; otherwise the notifier comes back.
    pub(crate) fn try_begin(
        slot: &Arc<OpSlot>,
        notifier: Option<Notifier>,
    ) -> Result<Completion, Option<Notifier>> {
        let mut state = lock(&slot.state);
        if !matches!(state.phase, Phase::Idle) {
            return Err(notifier);
        }
        state.operation += 1;
        state.phase = Phase::Waiting;
        if notifier.is_some() {
            state.notifier = notifier;
        }
        debug_assert!(state.notifier.is_some());
        state.owed = true;
        Ok(Completion {
            slot: Arc::clone(slot),
            operation: state.operation,
            on_drop: OnDrop::Fail,
        })
    }

    /// Who is told.
    pub(crate) fn notifier(&self) -> Option<Notifier> {
        lock(&self.state).notifier.clone()
    }

    /// Picks the answer up, if it is there.
    #[inline]
    pub(crate) fn take(&self) -> Option<Answer> {
        if !self.answered.load(Ordering::Relaxed) {
            return None;
        }
        self.take_answer()
    }

    fn take_answer(&self) -> Option<Answer> {
        let mut state = lock(&self.state);
        self.answered.store(false, Ordering::Relaxed);
        match std::mem::replace(&mut state.phase, Phase::Idle) {
            Phase::Answered(answer) => {
                state.owed = false;
                Some(answer)
            }
            other => {
                state.phase = other;
                None
            }
        }
    }

    /// Gives up waiting. An answer that came first is picked up instead.
    pub(crate) fn abandon(&self) -> Option<Answer> {
        let mut state = lock(&self.state);
        self.answered.store(false, Ordering::Relaxed);
        match std::mem::replace(&mut state.phase, Phase::Abandoned) {
            Phase::Answered(answer) => {
                state.phase = Phase::Idle;
                state.owed = false;
                Some(answer)
            }
            _ => None,
        }
    }

    /// Wakes who waits, without an answer: to look at the clock.
    pub(crate) fn nudge(&self) {
        let notifier = {
            let state = lock(&self.state);
            state.notifier.clone().filter(|_| state.owed)
        };
        if let Some(notifier) = notifier {
            // A failed write is no worse than no nudge: there will be another.
            let _ = notifier.notify(Status::Again);
        }
    }
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It is where the client picks it up, and the client has been told.
    Delivered,
    /// Nobody waits for it any more; it was thrown away. The context has been told all the same.
    Orphaned,
    /// The operation had been answered before; this answer was thrown away and nobody was told.
    Duplicate,
}

/// The duty to answer one operation: held by the engine, used up by answering.
///
/// It owns what an answer needs, so it can come at any time and from any thread, also when the
/// job, its context and its thread are gone. Dropping it without an answer fails the operation
/// with [`FailureKind::Dropped`].
#[must_use = "dropping it fails the operation"]
pub struct Completion {
    slot: Arc<OpSlot>,
    operation: u64,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    /// The duty was not done: fail the operation.
    Fail,
    /// It was done, or is somebody else's.
    Nothing,
}

impl Completion {
    /// Answers, and wakes whoever waits: through the wait context's callback, on this thread, or
    /// through its fd.
    ///
    /// # Panics
    ///
    /// If the application's callback panics. The answer is delivered.
    pub fn complete(mut self, answer: Result<Response, Failure>) -> Delivery {
        let status = status(&answer);
        let (delivery, notifier) = self.deliver(answer, Tell::Now);
        self.tell(notifier, status);
        delivery
    }

    /// Answers, and leaves the wake in `batch` if whoever waits does so at a
    /// [`ReadyQueue`](waitctx::ReadyQueue): for an engine that completes many operations at once.
    /// Otherwise wakes at once, as [`complete`](Completion::complete). The answer can be picked up
    /// before the batch is flushed.
    ///
    /// # Panics
    ///
    /// As for [`complete`](Completion::complete).
    pub fn complete_with(
        mut self,
        answer: Result<Response, Failure>,
        batch: &mut WakeBatch,
    ) -> Delivery {
        let status = status(&answer);
        let (delivery, notifier) = self.deliver(answer, Tell::With(status, batch));
        self.tell(notifier, status);
        delivery
    }

    /// Answers and tells nobody: what a device does that loses its interrupt. For fault injection.
    pub fn complete_untold(mut self, answer: Result<Response, Failure>) -> Delivery {
        self.deliver(answer, Tell::Nobody).0
    }

    /// Leaves the answer. Hands the notifier over if it is still to be told.
    fn deliver(&mut self, answer: Answer, tell: Tell<'_>) -> (Delivery, Option<Notifier>) {
        self.on_drop = OnDrop::Nothing;
        let mut state = lock(&self.slot.state);
        if state.operation != self.operation {
            return (Delivery::Duplicate, None);
        }
        match state.phase {
            Phase::Waiting => {
                state.phase = Phase::Answered(answer);
                self.slot.answered.store(true, Ordering::Relaxed);
                if matches!(tell, Tell::Nobody) {
                    // It stays owed.
                    return (Delivery::Delivered, None);
                }
                (Delivery::Delivered, state.pay(tell))
            }
            // Once: from now on no wake is owed.
            Phase::Abandoned if state.owed => (Delivery::Orphaned, state.pay(tell)),
            _ => (Delivery::Duplicate, None),
        }
    }

    /// Wakes whoever waits. If that fails, or the callback panics, the answer is in its slot all
    /// the same, and the client's watchdog resumes the job when its time is up. There is nobody
    /// here to report it to.
    fn tell(&self, notifier: Option<Notifier>, status: Status) {
        if let Some(notifier) = notifier {
            let mut telling = Telling {
                completion: self,
                told: false,
            };
            telling.told = notifier.notify(status).is_ok();
        }
    }

    /// Asks the processor for the memory that the answer will go to, which the submitter has written
    /// last: for an engine that knows which operations come next.
    #[inline]
    pub fn prefetch(&self) {
        async_core::prefetch_for_write(&*self.slot);
    }

    /// Wakes whoever waits, without an answer: a spurious interrupt. For fault injection.
    pub fn nudge(&self) {
        self.slot.nudge();
    }

    /// Whether the client has given up: then the operation need not be carried out. It must still
    /// be completed, with whatever answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        let state = lock(&self.slot.state);
        state.operation != self.operation || matches!(state.phase, Phase::Abandoned)
    }

    /// Gives the duty up without an answer and without a wake: for whoever takes a refusal back.
    pub fn withdraw(mut self) {
        self.on_drop = OnDrop::Nothing;
        let mut state = lock(&self.slot.state);
        if state.operation == self.operation && matches!(state.phase, Phase::Waiting) {
            state.phase = Phase::Idle;
            state.owed = false;
        }
    }

    /// A second completion of the same operation, which is not missed when it is dropped: what a
    /// device has that answers twice. For fault injection.
    pub fn twin(&self) -> Completion {
        Completion {
            slot: Arc::clone(&self.slot),
            operation: self.operation,
            on_drop: OnDrop::Nothing,
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Fail {
            let (_, notifier) = self.deliver(Err(Failure::lost(FailureKind::Dropped)), Tell::Now);
            self.tell(notifier, Status::Err);
        }
    }
}

/// How whoever waits is told of an answer.
enum Tell<'a> {
    Now,
    /// In a batch, if it can be.
    With(Status, &'a mut WakeBatch),
    Nobody,
}

impl SlotState {
    /// The wake that is owed: held in the batch, or handed over to be told outside the lock.
    fn pay(&mut self, tell: Tell<'_>) -> Option<Notifier> {
        self.owed = false;
        let notifier = self.notifier.as_ref()?;
        let held = match tell {
            Tell::Nobody => true,
            Tell::With(status, batch) => notifier.hold_in(status, batch),
            Tell::Now => false,
        };
        (!held).then(|| notifier.clone())
    }
}

fn status(answer: &Answer) -> Status {
    match answer {
        Ok(_) => Status::Ok,
        Err(_) => Status::Err,
    }
}

/// Unless somebody was told, the wake is owed again, for the watchdog.
struct Telling<'a> {
    completion: &'a Completion,
    told: bool,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut state = lock(&self.completion.slot.state);
        // The answer may have been picked up meanwhile, and the slot used again.
        let ours = state.operation == self.completion.operation;
        if ours && matches!(state.phase, Phase::Answered(_)) {
            state.owed = true;
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("abandoned", &self.is_abandoned())
            .finish_non_exhaustive()
    }
}

/// For the client: how long an operation has been under way.
impl OpSlot {
    pub(crate) fn set_since(&self, tick: u64) {
        self.since.store(tick, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> u64 {
        self.since.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod loom_models;
