//! What an engine takes on, and what it makes of it.

use crate::conformance::case::{Case, Ran, broken, demand, skip};
use crate::conformance::lab::{UnderWay, Watched, all_right, answered, begin, submit};
use crate::conformance::requests::{Requests, any_request, describe, differs};
use crate::engine::{Engine, Reason, Submission};
use crate::pending::Pending;
use crate::request::{FailureKind, Op, OpKind, Output, Request, Response};

/// Lengths at the edges of blocks and pages, and none at all.
const LENGTHS: [usize; 12] = [0, 1, 15, 16, 17, 63, 64, 65, 255, 1024, 4095, 16_384];

pub(super) fn supports_agrees_with_submit(case: &Case) -> Ran {
    let engine = case.engine();
    for (n, kind) in OpKind::ALL.into_iter().enumerate() {
        let n = n as u64;
        let make = || any_request(kind, 48, case.setup.seed, n);
        let Some(request) = make() else {
            continue;
        };
        case.doing(format!("submitting {kind}"));
        if engine.supports(kind) {
            if case.setup.operations.contains(&kind) {
                // An idle engine has room.
                let watched = Watched::new();
                let pending = submit(case, &*engine.engine, request, &watched.notifier())?;
                answered(case, &*engine.engine, &mut [UnderWay::new(n, pending)])?;
            }
            continue;
        }
        let original = make().unwrap_or_else(|| unreachable!("it was made before"));
        let watched = Watched::new();
        let (pending, completion) = Pending::new(watched.notifier());
        let ticket = engine.queue_for_room(&request, &watched.notifier());
        let had_ticket = ticket.is_some();
        let submission = Submission {
            request,
            completion,
            ticket,
        };
        let Err(refused) = engine.submit(submission) else {
            return broken(format!(
                "supports({kind}) is false, and submit took {kind} on"
            ));
        };
        demand(refused.reason == Reason::Unsupported(kind), || {
            format!("{kind} is not supported, and was refused for: {refused}")
        })?;
        let back = refused.submission;
        handed_back(&back, &original, &pending)?;
        demand(back.ticket.is_some() == had_ticket, || {
            format!("{kind} was submitted with a ticket and handed back without")
        })?;
        drop(back.ticket);
        // It is the same completion that answers.
        back.completion.complete(Ok(Response {
            data: back.request.data,
            output: Output::None,
        }));
        demand(pending.take().is_some(), || {
            format!("the completion that came back with {kind} is not the one that was submitted")
        })?;
    }
    Ok(())
}

/// Demands that a refused submission is as it was and nobody has answered it.
pub(super) fn handed_back(back: &Submission, original: &Request, pending: &Pending) -> Ran {
    if let Some(wrong) = differs(&back.request, original) {
        return broken(wrong);
    }
    let what = describe(original);
    match pending.take() {
        None => Ok(()),
        Some(Ok(_)) => broken(format!("{what} was refused and answered all the same")),
        Some(Err(failure)) => broken(format!("{what} was refused, and failed as well: {failure}")),
    }
}

pub(super) fn right_results(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    if !requests.has_software() && !requests.kinds().contains(&OpKind::Nop) {
        return skip("nothing to compare with; give the suite Setup::software");
    }
    // The requests that the other rules use.
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    for n in 0..case.setup.some() {
        let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
        ops.push(op);
        contexts.push(watched);
    }
    answered(case, &*engine.engine, &mut ops)?;
    all_right(&requests, &ops)?;
    // Each kind at each length.
    for kind in requests.kinds() {
        for (at, len) in LENGTHS.into_iter().enumerate() {
            let make = || requests.of(*kind, len, at as u64);
            one_right(case, &*engine.engine, &requests, &make)?;
            if matches!(make().op, Op::GcmSeal { .. }) {
                opens_what_was_sealed(case, &*engine.engine, &requests, &make)?;
            }
        }
    }
    Ok(())
}

/// Runs one request and judges its answer.
fn one_right(
    case: &Case,
    engine: &dyn Engine,
    requests: &Requests,
    make: &dyn Fn() -> Request,
) -> Ran {
    let watched = Watched::new();
    let pending = submit(case, engine, make(), &watched.notifier())?;
    let mut op = [UnderWay::new(0, pending)];
    answered(case, engine, &mut op)?;
    let wrong = op[0].answer.as_ref();
    match wrong.and_then(|answer| requests.judge_request(make(), answer)) {
        Some(wrong) => broken(wrong),
        None => Ok(()),
    }
}

/// A sealed message opens, and a forged one does not.
fn opens_what_was_sealed(
    case: &Case,
    engine: &dyn Engine,
    requests: &Requests,
    make: &dyn Fn() -> Request,
) -> Ran {
    let Some(Ok(sealed)) = requests.right(make()) else {
        return Ok(());
    };
    let Some(tag) = sealed.tag() else {
        return Ok(());
    };
    for forged in [false, true] {
        let open = || {
            let mut request = make();
            let mut tag = tag;
            tag[3] ^= u8::from(forged);
            if let Op::GcmSeal { key, nonce, aad } = request.op.clone() {
                request.op = Op::GcmOpen {
                    key,
                    nonce,
                    aad,
                    tag,
                };
            }
            request.data = sealed.data.clone();
            request
        };
        one_right(case, engine, requests, &open)?;
    }
    Ok(())
}

pub(super) fn buffer_comes_back(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let mut ops = Vec::new();
    let mut contexts = Vec::new();
    // All in flight at once, as far as there is room: so that buffers can be mixed up.
    for n in 0..case.setup.some() {
        let (op, watched) = begin(case, &*engine.engine, &requests, n)?;
        ops.push(op);
        contexts.push(watched);
    }
    answered(case, &*engine.engine, &mut ops)?;
    for op in ops {
        let original = requests.get(op.n);
        let what = describe(&original);
        match op.answer {
            Some(Ok(response)) => {
                let unchanged = matches!(
                    original.op,
                    Op::Nop | Op::Sha256 | Op::Sha512 | Op::HmacSha256 { .. }
                );
                demand(!unchanged || response.data == original.data, || {
                    format!("{what} came back with a buffer that is not its own")
                })?;
                demand(
                    response.data.len() >= original.data.len() || !unchanged,
                    || format!("{what} came back with less data than it went with"),
                )?;
            }
            Some(Err(failure)) => {
                if let Some(request) = failure.request
                    && let Some(wrong) = differs(&request, &original)
                {
                    return broken(wrong);
                }
            }
            None => return broken(format!("{what} was not answered")),
        }
    }
    Ok(())
}

pub(super) fn inline_agrees(case: &Case) -> Ran {
    let engine = case.engine();
    let requests = case.requests(&*engine.engine)?;
    let (mut inline, mut submitted) = (0, 0);
    for n in 0..case.setup.some() {
        let request = requests.get(n);
        let what = describe(&request);
        if !engine.runs_inline(&request) {
            submitted += 1;
            continue;
        }
        inline += 1;
        let on_the_spot = engine.run_inline(request);
        let (op, _watched) = begin(case, &*engine.engine, &requests, n)?;
        let mut op = [op];
        answered(case, &*engine.engine, &mut op)?;
        let same = match (&on_the_spot, &op[0].answer) {
            (Ok(a), Some(Ok(b))) => a.data == b.data && a.output == b.output,
            (Err(a), Some(Err(b))) => a.kind == b.kind,
            _ => false,
        };
        demand(same, || {
            format!("{what} has one result on the spot and another by submission")
        })?;
    }
    if inline > 0 {
        return Ok(());
    }
    // It runs nothing on the spot; asked all the same, it hands the request back or does it.
    let ran = engine.run_inline(requests.get(0));
    if let Err(failure) = ran
        && matches!(failure.kind, FailureKind::BadRequest { .. })
    {
        demand(failure.request.is_some(), || {
            "run_inline refused a request and did not hand it back".into()
        })?;
    }
    skip(format!(
        "the engine runs nothing on the spot: none of {submitted} requests"
    ))
}
