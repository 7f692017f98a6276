//! Models of the races, run by the model checker: every interleaving of the threads' steps, up to
//! the bound on pre-emptions below. Those that need a slot's inside are in
//! `src/completion/loom_models.rs`.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p offload --profile optimised --lib --test loom
//! ```

#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;
use offload::{
    Completion, Delivery, Failure, FailureKind, Gate, Output, Pending, Response, Ticket,
};
use waitctx::{Callback, Notifier, ReadyQueue, WaitCtx};

/// Threads are pre-empted at most this often in one run; switches where a thread blocks or ends
/// are not counted. `LOOM_MAX_PREEMPTIONS` overrides it.
const PREEMPTIONS: usize = 3;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(f);
}

/// A context whose wakes are counted. The count is no step to the checker.
struct Counted {
    _ctx: WaitCtx,
    notifier: Notifier,
    wakes: Arc<AtomicUsize>,
}

impl Counted {
    fn new() -> Counted {
        let ctx = WaitCtx::new();
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        let callback = Callback::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        ctx.set_callback(callback).expect("no wake to move");
        Counted {
            notifier: ctx.notifier().expect("no fd needed"),
            _ctx: ctx,
            wakes,
        }
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}

// ---- the gate --------------------------------------------------------------------------------

/// A gate, and a count beside it of those who are inside, which it must keep within its capacity.
#[derive(Clone)]
struct Room {
    gate: Gate,
    occupied: Arc<AtomicUsize>,
}

impl Room {
    /// With as many inside as there may be.
    fn full(capacity: u32) -> Room {
        let room = Room {
            gate: Gate::new(capacity),
            occupied: Arc::default(),
        };
        for _ in 0..capacity {
            assert!(room.enter(None).is_ok());
        }
        room
    }

    fn enter(&self, ticket: Option<Ticket>) -> Result<(), Option<Ticket>> {
        self.gate.enter(ticket)?;
        let before = self.occupied.fetch_add(1, Ordering::Relaxed);
        assert!(before < self.gate.capacity() as usize, "more than fit");
        Ok(())
    }

    fn leave(&self) {
        self.occupied.fetch_sub(1, Ordering::Relaxed);
        self.gate.leave();
    }

    /// Goes in on a ticket whose turn it is, and leaves.
    #[track_caller]
    fn pass(&self, ticket: Ticket) {
        assert!(ticket.is_granted(), "its turn has come");
        assert!(self.enter(Some(ticket)).is_ok());
        self.leave();
    }

    /// Asserts that nobody is inside and no room is lost.
    #[track_caller]
    fn assert_empty(&self) {
        assert_eq!((self.gate.inside(), self.gate.kept()), (0, 0));
        for _ in 0..self.gate.capacity() {
            assert!(self.enter(None).is_ok());
        }
        assert!(self.enter(None).is_err());
    }
}

/// Whoever gets in line may find the room for the one before it, when who left that room has not come
/// to it yet. The one before it is told all the same.
#[test]
fn the_first_in_line_is_told_by_whoever_lets_it_in() {
    model(|| {
        let room = Room::full(1);
        let (first, second) = (Counted::new(), Counted::new());
        let ticket = room.gate.wait(&first.notifier);
        assert!(!ticket.is_granted());
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        let behind = room.gate.wait(&second.notifier);
        leaver.join().expect("no panic");
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        room.pass(ticket);
        assert_eq!(second.wakes(), 1);
        room.pass(behind);
        room.assert_empty();
    });
}

#[test]
fn one_who_gets_in_line_while_two_leave_is_let_in() {
    model(|| {
        let room = Room::full(2);
        let counted = Counted::new();
        let leavers = [room.clone(), room.clone()].map(|r| thread::spawn(move || r.leave()));
        let ticket = room.gate.wait(&counted.notifier);
        let at_once = ticket.is_granted();
        for leaver in leavers {
            leaver.join().expect("no panic");
        }
        // It was told, unless it had its turn from the beginning.
        assert!(counted.wakes() == 1 || at_once);
        room.pass(ticket);
        room.assert_empty();
    });
}

#[test]
fn one_who_comes_beside_the_line_takes_nobody_s_room_away() {
    model(|| {
        let room = Room::full(1);
        let counted = Counted::new();
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        let passer = room.clone();
        let passer = thread::spawn(move || {
            if passer.enter(None).is_ok() {
                passer.leave();
            }
        });
        let ticket = room.gate.wait(&counted.notifier);
        leaver.join().expect("no panic");
        passer.join().expect("no panic");
        room.pass(ticket);
        room.assert_empty();
    });
}

#[test]
fn two_leave_one_waits_and_one_comes_beside() {
    model(|| {
        let room = Room::full(2);
        let counted = Counted::new();
        let leavers = [room.clone(), room.clone()].map(|r| thread::spawn(move || r.leave()));
        let passer = room.clone();
        let passer = thread::spawn(move || {
            if passer.enter(None).is_ok() {
                passer.leave();
            }
        });
        let ticket = room.gate.wait(&counted.notifier);
        for thread in leavers {
            thread.join().expect("no panic");
        }
        passer.join().expect("no panic");
        room.pass(ticket);
        room.assert_empty();
    });
}

#[test]
fn the_first_in_line_is_the_first_to_get_in() {
    model(|| {
        let room = Room::full(1);
        let (first, second) = (Counted::new(), Counted::new());
        let tickets = [&first, &second].map(|c| room.gate.wait(&c.notifier));
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        let passer = room.clone();
        let passer = thread::spawn(move || passer.enter(None).is_ok());
        assert!(!passer.join().expect("no panic"), "not beside the line");
        leaver.join().expect("no panic");

        let [one, two] = tickets;
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        let two = match room.enter(Some(two)) {
            Err(Some(ticket)) => ticket,
            _ => panic!("not its turn"),
        };
        room.pass(one);
        assert_eq!((first.wakes(), second.wakes()), (1, 1));
        room.pass(two);
        room.assert_empty();
    });
}

#[test]
fn two_who_get_in_line_while_one_leaves_are_let_in_one_after_the_other() {
    model(|| {
        let room = Room::full(1);
        let counted = [Counted::new(), Counted::new()];
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        let (gate, notifier) = (room.gate.clone(), counted[0].notifier.clone());
        let other = thread::spawn(move || gate.wait(&notifier));
        let mine = room.gate.wait(&counted[1].notifier);
        let other = other.join().expect("no panic");
        leaver.join().expect("no panic");

        assert!(mine.is_granted() ^ other.is_granted(), "room for one");
        let (one, two) = if mine.is_granted() {
            (mine, other)
        } else {
            (other, mine)
        };
        room.pass(one);
        room.pass(two);
        room.assert_empty();
    });
}

#[test]
fn a_ticket_that_is_dropped_while_it_is_granted_passes_the_room_on() {
    model(|| {
        let room = Room::full(1);
        let (first, second) = (Counted::new(), Counted::new());
        let one = room.gate.wait(&first.notifier);
        let two = room.gate.wait(&second.notifier);
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        drop(one);
        leaver.join().expect("no panic");
        assert_eq!(second.wakes(), 1);
        room.pass(two);
        room.assert_empty();
    });
}

#[test]
fn the_only_ticket_is_dropped_while_it_is_granted() {
    model(|| {
        let room = Room::full(2);
        let counted = Counted::new();
        let ticket = room.gate.wait(&counted.notifier);
        let leavers = [room.clone(), room.clone()].map(|r| thread::spawn(move || r.leave()));
        drop(ticket);
        for leaver in leavers {
            leaver.join().expect("no panic");
        }
        room.assert_empty();
    });
}

#[test]
fn a_ticket_that_is_tried_too_early_keeps_its_place() {
    model(|| {
        let room = Room::full(1);
        let counted = Counted::new();
        let ticket = room.gate.wait(&counted.notifier);
        let leaver = room.clone();
        let leaver = thread::spawn(move || leaver.leave());
        let tried = room.enter(Some(ticket));
        leaver.join().expect("no panic");
        match tried {
            Ok(()) => room.leave(),
            Err(ticket) => room.pass(ticket.expect("it comes back")),
        }
        assert_eq!(counted.wakes(), 1);
        room.assert_empty();
    });
}

// ---- the answer ------------------------------------------------------------------------------

fn answer(byte: u8) -> Result<Response, Failure> {
    Ok(Response {
        data: vec![byte].into(),
        output: Output::None,
    })
}

fn begin(counted: &Counted) -> (Pending, Completion) {
    Pending::new(counted.notifier.clone())
}

#[test]
fn an_answer_and_the_end_of_waiting() {
    model(|| {
        let counted = Counted::new();
        let (pending, completion) = begin(&counted);
        let engine = thread::spawn(move || completion.complete(answer(1)));
        drop(pending);
        let said = engine.join().expect("no panic");
        assert!(matches!(said, Delivery::Delivered | Delivery::Orphaned));
        assert_eq!(counted.wakes(), 1, "told in either case");
    });
}

#[test]
fn two_answers_and_somebody_who_looks() {
    model(|| {
        let counted = Counted::new();
        let (pending, completion) = begin(&counted);
        let twin = completion.twin();
        let engine = thread::spawn(move || completion.complete(answer(1)));
        let again = thread::spawn(move || twin.complete(answer(2)));
        let early = pending.take();
        let said = [engine.join(), again.join()].map(|said| said.expect("no panic"));
        let first = match said {
            [Delivery::Delivered, Delivery::Duplicate] => 1,
            [Delivery::Duplicate, Delivery::Delivered] => 2,
            other => panic!("{other:?}"),
        };
        let answer = early.or_else(|| pending.take()).expect("answered");
        assert_eq!(answer.expect("a success").data[..], [first]);
        assert!(pending.take().is_none(), "once");
        assert_eq!(counted.wakes(), 1);
    });
}

#[test]
fn two_answers_and_the_end_of_waiting() {
    for untold in [false, true] {
        model(move || {
            let counted = Counted::new();
            let (pending, completion) = begin(&counted);
            let twin = completion.twin();
            let engine = thread::spawn(move || {
                if untold {
                    completion.complete_untold(answer(1))
                } else {
                    completion.complete(answer(1))
                }
            });
            let again = thread::spawn(move || twin.complete(answer(2)));
            drop(pending);
            let said = [engine.join(), again.join()].map(|said| said.expect("no panic"));
            let duplicates = said.iter().filter(|d| **d == Delivery::Duplicate);
            assert_eq!(duplicates.count(), 1, "delivered or orphaned once");
            let untold = untold && said[0] != Delivery::Duplicate;
            assert_eq!(counted.wakes(), usize::from(!untold));
        });
    }
}

#[test]
fn a_completion_is_dropped_beside_an_answer() {
    model(|| {
        let counted = Counted::new();
        let (pending, completion) = begin(&counted);
        let twin = completion.twin();
        let engine = thread::spawn(move || drop(completion));
        let said = twin.complete(answer(1));
        engine.join().expect("no panic");
        match (said, pending.take().expect("answered")) {
            (Delivery::Delivered, Ok(response)) => assert_eq!(response.data[..], [1]),
            (Delivery::Duplicate, Err(failure)) => assert_eq!(failure.kind, FailureKind::Dropped),
            (said, _) => panic!("{said:?}"),
        }
        assert_eq!(counted.wakes(), 1);
    });
}

#[test]
fn whoever_sleeps_until_the_answer_comes_wakes_up() {
    model(|| {
        let queue = ReadyQueue::new();
        let ctx = WaitCtx::new();
        queue.attach(&ctx, 7);
        let (pending, completion) = Pending::new(ctx.notifier().expect("no fd needed"));
        let engine = thread::spawn(move || {
            completion.nudge();
            completion.complete(answer(1))
        });
        let mut tokens = Vec::new();
        // The checker reports a sleep that nobody ends.
        let found = loop {
            if let Some(answer) = pending.take() {
                break answer;
            }
            queue.wait(&mut tokens, None).expect("parked");
        };
        assert_eq!(found.expect("a success").data[..], [1]);
        let said = engine.join().expect("no panic");
        assert_eq!(said, Delivery::Delivered);
        assert!(tokens.iter().all(|token| *token == 7));
    });
}
