//! What becomes of a request on the device: it is computed, and answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use offload::{Completion, Delivery, Failure, FailureKind, OpKind, Output, Request, Response};
use waitctx::WakeBatch;

use crate::compute::compute;
use crate::device::Shared;
use crate::fault::{Fate, Outcome, corrupt};
use crate::model::{Load, NO_ENGINE, Nanos, Times};
use crate::observe::{DeviceEvent, OpEnd, OpRecord};
use crate::plant::Plant;

mod worker;

pub(crate) use worker::Worker;

/// A request on its way through the device.
pub(crate) struct Work {
    pub(crate) request: Request,
    pub(crate) route: Route,
}

/// What stays of a request's work when the request itself is used up.
pub(crate) struct Route {
    pub(crate) completion: Completion,
    /// The ring it holds a place in.
    pub(crate) ring: u32,
    /// When it was submitted, if that is of interest; else 0.
    pub(crate) submitted: Nanos,
    /// Boxed, as there is none on most devices, and works are moved a lot.
    fate: Option<Box<Fate>>,
    /// Its start is reported.
    observed: bool,
}

impl Route {
    pub(crate) fn new(
        completion: Completion,
        ring: u32,
        submitted: Nanos,
        fate: Option<Box<Fate>>,
        observed: bool,
    ) -> Route {
        Route {
            completion,
            ring,
            submitted,
            fate,
            observed,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.fate
            .as_ref()
            .map_or(Outcome::Right, |fate| fate.outcome)
    }

    pub(crate) fn is_spurious(&self) -> bool {
        self.fate.as_ref().is_some_and(|fate| fate.spurious)
    }

    pub(crate) fn fate(&self) -> Fate {
        self.fate.as_deref().copied().unwrap_or_default()
    }
}

/// A request inside the model of an endpoint.
pub(crate) enum Job {
    /// Computed when it is answered: in virtual time.
    Asked(Work),
    /// Computed beforehand: in real time, where computing takes some.
    Computed(Box<Computed>),
}

pub(crate) struct Computed {
    route: Route,
    answer: Result<Response, Failure>,
    /// As it was, for when the endpoint dies.
    request: Request,
}

/// The start of a request that sets something off.
pub(crate) struct Start {
    pub(crate) id: u64,
    /// To be told before there is an answer.
    pub(crate) nudge: Option<Completion>,
}

impl Job {
    fn route(&self) -> &Route {
        match self {
            Job::Asked(work) => &work.route,
            Job::Computed(computed) => &computed.route,
        }
    }

    fn request(&self) -> &Request {
        match self {
            Job::Asked(work) => &work.request,
            Job::Computed(computed) => &computed.request,
        }
    }

    /// Computed or not: as it came.
    pub(crate) fn into_work(self) -> Work {
        match self {
            Job::Asked(work) => work,
            Job::Computed(computed) => Work {
                request: computed.request,
                route: computed.route,
            },
        }
    }
}

impl Load for Job {
    type Start = Start;

    fn is_abandoned(&self) -> bool {
        self.route().completion.is_abandoned()
    }

    fn start(&self) -> Option<Start> {
        let route = self.route();
        (route.observed || route.is_spurious()).then(|| Start {
            id: self.request().id,
            nudge: route.is_spurious().then(|| route.completion.twin()),
        })
    }
}

/// What is said of a request when it has ended, if anybody looks on.
struct Record {
    id: u64,
    op: OpKind,
    bytes: usize,
    engine: u32,
    times: Times,
}

impl Record {
    fn new(device: &Shared, request: &Request, engine: u32, times: Times) -> Option<Box<Record>> {
        device.is_observed().then(|| {
            Box::new(Record {
                id: request.id,
                op: request.op.kind(),
                bytes: request.data.len(),
                engine,
                times,
            })
        })
    }
}

/// An answer and where it goes.
pub(crate) struct Answered {
    answer: Result<Response, Failure>,
    route: Route,
    record: Option<Box<Record>>,
}

/// Computes the answer of a request, to be given later.
pub(crate) fn compute_early(device: &Shared, work: Work) -> Job {
    // What cannot be repeated is not handed back unchanged once it was carried out.
    if work.route.outcome() == Outcome::Lost || !work.request.op.is_repeatable() {
        return Job::Asked(work);
    }
    let copy = Request {
        op: work.request.op.clone(),
        data: work.request.data.clone(),
        id: work.request.id,
    };
    let answer = answer(device, work.request, work.route.outcome());
    Job::Computed(Box::new(Computed {
        route: work.route,
        answer,
        request: copy,
    }))
}

/// The answer of a request whose time has come.
pub(crate) fn finish(device: &Shared, job: Job, engine: u32, times: Times) -> Answered {
    let record = Record::new(device, job.request(), engine, times);
    let (answer, route) = match job {
        Job::Asked(work) => {
            let outcome = work.route.outcome();
            (answer(device, work.request, outcome), work.route)
        }
        Job::Computed(computed) => (computed.answer, computed.route),
    };
    Answered {
        answer,
        route,
        record,
    }
}

/// Carries a request out on the spot.
#[inline]
pub(crate) fn carry_out(device: &Shared, work: Work) -> Answered {
    let Work { request, route } = work;
    let mut record = Record::new(device, &request, NO_ENGINE, Times::default());
    if let Some(record) = &mut record {
        record.times.submitted = route.submitted;
        record.times.arrived = route.submitted;
        record.times.started = device.now();
    }
    let answer = answer(device, request, route.outcome());
    if let Some(record) = &mut record {
        record.times.done = device.now();
        record.times.seen = record.times.done;
    }
    Answered {
        answer,
        route,
        record,
    }
}

/// The answer, with the fault that the operation meets.
fn answer(device: &Shared, request: Request, outcome: Outcome) -> Result<Response, Failure> {
    match outcome {
        Outcome::Error(status) => {
            let kind = FailureKind::Device { status };
            Err(Failure::with_request(kind, request))
        }
        Outcome::Wrong(bit) => result(device, request).map(|mut response| {
            corrupt(&mut response, bit);
            response
        }),
        _ => result(device, request),
    }
}

fn result(device: &Shared, request: Request) -> Result<Response, Failure> {
    if device.computes(request.op.kind()) {
        return compute(request);
    }
    Ok(Response {
        data: request.data,
        output: Output::None,
    })
}

/// Gives the place in the ring up and answers. The wake may be left in `wakes`.
pub(crate) fn complete(device: &Shared, answered: Answered, wakes: &mut WakeBatch) {
    let Answered {
        answer,
        route,
        record,
    } = answered;
    let Route {
        completion,
        ring,
        fate,
        ..
    } = route;
    let (duplicate, untold, planted) = match &fate {
        None => (false, false, None),
        Some(fate) => (fate.duplicate, fate.untold, fate.planted),
    };
    if planted == Some(Plant::Forgotten) {
        std::mem::forget(completion);
        return;
    }
    // First the place, as drivers do: whoever is woken by the answer may submit at once.
    if planted != Some(Plant::RingLeak) {
        survive(|| device.leave_ring(ring));
    }
    let success = answer.is_ok();
    let twin = duplicate.then(|| completion.twin());
    let delivery = survive(|| {
        if untold || planted == Some(Plant::LostWake) {
            completion.complete_untold(answer)
        } else {
            completion.complete_with(answer, wakes)
        }
    });
    // Delivered: the answer is in place before the callback, which has panicked, is called.
    let delivery = delivery.unwrap_or(Delivery::Delivered);
    device.count().answered(delivery, success);
    if planted == Some(Plant::CountedTwice) {
        device.count().answered(delivery, success);
    }
    if let Some(record) = record {
        let times = record.times;
        let (endpoint, instance) = device.place_of(ring);
        device.observe(&DeviceEvent::Ended(OpRecord {
            id: record.id,
            op: record.op,
            bytes: record.bytes,
            endpoint,
            instance,
            engine: (record.engine != NO_ENGINE).then_some(record.engine),
            submitted_ns: times.submitted,
            arrived_ns: times.arrived,
            started_ns: times.started,
            done_ns: times.done,
            answered_ns: times.seen,
            end: match delivery {
                Delivery::Delivered if success => OpEnd::Completed,
                Delivery::Delivered => OpEnd::Failed,
                _ => OpEnd::Orphaned,
            },
        }));
    }
    if let Some(twin) = twin {
        let second = twin.complete(Err(Failure::lost(FailureKind::Device { status: 0 })));
        device.count().answered(second, false);
    }
}

/// Answers without having carried the request out, which goes back.
pub(crate) fn fail(device: &Shared, work: Work, kind: FailureKind, wakes: &mut WakeBatch) {
    let Work { request, route } = work;
    let mut record = Record::new(device, &request, NO_ENGINE, Times::default());
    if let Some(record) = &mut record {
        record.times.submitted = route.submitted;
        record.times.seen = device.now();
    }
    let answered = Answered {
        answer: Err(Failure::with_request(kind, request)),
        // What would have befallen its answer befalls this one no more.
        route: Route {
            fate: None,
            ..route
        },
        record,
    };
    complete(device, answered, wakes);
}

/// Runs what may call an application's callback. A device does not die of an application's panic,
/// which the panic hook has reported.
pub(crate) fn survive<T>(f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(panic) => {
            // Its own drop could panic in turn: it is left alone.
            std::mem::forget(panic);
            None
        }
    }
}
