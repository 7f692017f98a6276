//! Models of a slot that is used again, run by the model checker; see `tests/loom.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;
use waitctx::{Callback, WaitCtx};

use super::*;
use crate::request::Output;

/// As in `tests/loom.rs`.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(f);
}

/// A context whose wakes are counted.
fn counted() -> (WaitCtx, Notifier, Arc<AtomicUsize>) {
    let ctx = WaitCtx::new();
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let callback = Callback::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    ctx.set_callback(callback).expect("no wake to move");
    let notifier = ctx.notifier().expect("no fd needed");
    (ctx, notifier, wakes)
}

fn answer(byte: u8) -> Answer {
    Ok(Response {
        data: vec![byte].into(),
        output: Output::None,
    })
}

fn byte(answer: Answer) -> u8 {
    answer.expect("a success").data[0]
}

/// Looks until the answer is there.
fn wait(slot: &OpSlot) -> u8 {
    loop {
        if let Some(answer) = slot.take() {
            return byte(answer);
        }
        thread::yield_now();
    }
}

#[test]
fn a_second_answer_is_never_delivered_to_the_next_operation() {
    model(|| {
        let slot = Arc::new(OpSlot::new());
        let (_ctx, notifier, wakes) = counted();
        let first = OpSlot::begin(&slot, Some(notifier.clone()));
        let twin = first.twin();
        let engine = thread::spawn(move || first.complete(answer(1)));
        let again = thread::spawn(move || twin.complete(answer(2)));

        // One of the two; whichever it is, the other one finds the next operation or nothing.
        assert!(matches!(wait(&slot), 1 | 2));
        let next = OpSlot::begin(&slot, Some(notifier));
        assert!(slot.take().is_none(), "nobody has answered the next one");

        let said = [engine.join(), again.join()].map(|said| said.expect("no panic"));
        let count = |delivery| said.iter().filter(|d| **d == delivery).count();
        assert_eq!(count(Delivery::Delivered), 1);
        assert_eq!(count(Delivery::Duplicate), 1);
        assert!(slot.take().is_none());
        assert_eq!(wakes.load(Ordering::Relaxed), 1);

        assert_eq!(next.complete(answer(3)), Delivery::Delivered);
        assert_eq!(wait(&slot), 3);
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn an_answer_that_came_untold_leaves_nothing_to_the_next_operation() {
    model(|| {
        let slot = Arc::new(OpSlot::new());
        let (_first_ctx, notifier, first_wakes) = counted();
        let first = OpSlot::begin(&slot, Some(notifier));
        let engine = thread::spawn(move || first.complete_untold(answer(1)));

        assert_eq!(wait(&slot), 1);
        let (_next_ctx, notifier, next_wakes) = counted();
        let next = OpSlot::begin(&slot, Some(notifier));
        let said = engine.join().expect("no panic");
        assert_eq!(said, Delivery::Delivered);
        assert_eq!(next.complete(answer(2)), Delivery::Delivered);
        assert_eq!(first_wakes.load(Ordering::Relaxed), 0);
        assert_eq!(next_wakes.load(Ordering::Relaxed), 1);
        assert_eq!(wait(&slot), 2);
    });
}

#[test]
fn a_watchdog_that_looked_at_the_last_operation_wakes_the_next_at_worst_for_nothing() {
    model(|| {
        let slot = Arc::new(OpSlot::new());
        let (_ctx, notifier, wakes) = counted();
        let first = OpSlot::begin(&slot, Some(notifier.clone()));
        let watched = Arc::clone(&slot);
        let watchdog = thread::spawn(move || watched.nudge());
        let engine = thread::spawn(move || first.complete(answer(1)));

        assert_eq!(wait(&slot), 1);
        let next = OpSlot::begin(&slot, Some(notifier));
        watchdog.join().expect("no panic");
        assert_eq!(engine.join().expect("no panic"), Delivery::Delivered);
        assert!(matches!(wakes.load(Ordering::Relaxed), 1 | 2));
        assert!(slot.take().is_none());
        assert_eq!(next.complete(answer(2)), Delivery::Delivered);
        assert_eq!(wait(&slot), 2);
    });
}

#[test]
fn a_withdrawn_operation_and_its_twin_leave_the_slot_to_the_next() {
    model(|| {
        let slot = Arc::new(OpSlot::new());
        let (_ctx, notifier, wakes) = counted();
        let refused = OpSlot::begin(&slot, Some(notifier.clone()));
        let twin = refused.twin();
        refused.withdraw();
        let stray = thread::spawn(move || twin.complete(answer(1)));
        let next = OpSlot::begin(&slot, Some(notifier));
        assert!(slot.take().is_none());
        let said = stray.join().expect("no panic");
        assert_eq!(said, Delivery::Duplicate);
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        assert_eq!(next.complete(answer(2)), Delivery::Delivered);
        assert_eq!(wait(&slot), 2);
    });
}
