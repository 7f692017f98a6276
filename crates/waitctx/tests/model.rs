//! Random histories of one context, against two models that know nothing of the source: one of
//! the wait fds and their record, one of the wakes. Everything that can be seen is compared after
//! every step.

#![cfg(not(loom))]

mod common;

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use waitctx::{Callback, Key, Notified, Status, WaitCtx, WaitFd};

use common::{Count, readable};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 4096,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

// ---- wait fds --------------------------------------------------------------------------------

/// What the model keeps of an fd: when it came and when it went, never what to report.
struct Known {
    id: usize,
    key: usize,
    number: RawFd,
    set_in: usize,
    cleared_in: Option<usize>,
}

/// The record by its definition: every fd there ever was, and which round it is.
#[derive(Default)]
struct Fds {
    history: Vec<Known>,
    round: usize,
}

impl Fds {
    fn list(&self, which: impl Fn(&Known) -> bool) -> Vec<RawFd> {
        let newest_first = self.history.iter().rev();
        newest_first
            .filter(|k| which(k))
            .map(|k| k.number)
            .collect()
    }

    fn all(&self) -> Vec<RawFd> {
        self.list(|k| k.cleared_in.is_none())
    }

    fn added(&self) -> Vec<RawFd> {
        self.list(|k| k.cleared_in.is_none() && k.set_in == self.round)
    }

    fn removed(&self) -> Vec<RawFd> {
        self.list(|k| k.cleared_in == Some(self.round) && k.set_in < self.round)
    }

    fn newest(&mut self, key: usize) -> Option<&mut Known> {
        let mut newest_first = self.history.iter_mut().rev();
        newest_first.find(|k| k.key == key && k.cleared_in.is_none())
    }
}

#[derive(Clone, Debug)]
enum FdOp {
    Set(usize, RawFd),
    Push(usize, RawFd),
    Clear(usize),
    BeginRound,
    SetCallback,
    ClearCallback,
    SetStatus(i32),
}

const KEYS: usize = 4;

fn fd_op() -> impl Strategy<Value = FdOp> {
    // Few numbers, so that they meet again; among them one that no fd has.
    let number = prop_oneof![Just(-1), 3..6_i32, Just(99)];
    prop_oneof![
        3 => (0..KEYS, number.clone()).prop_map(|(k, n)| FdOp::Set(k, n)),
        3 => (0..KEYS, number).prop_map(|(k, n)| FdOp::Push(k, n)),
        4 => (0..KEYS).prop_map(FdOp::Clear),
        2 => Just(FdOp::BeginRound),
        1 => Just(FdOp::SetCallback),
        1 => Just(FdOp::ClearCallback),
        1 => prop_oneof![-6..6_i32, any::<i32>()].prop_map(FdOp::SetStatus),
    ]
}

/// What a cleanup function was given: the id in its captures, key, number, and the id in the data.
type Cleaned = (usize, Key, RawFd, Option<usize>);

fn wait_fd(id: usize, number: RawFd, log: &Arc<Mutex<Vec<Cleaned>>>) -> WaitFd {
    let log = Arc::clone(log);
    WaitFd::foreign(number)
        .with_data(Arc::new(id))
        .on_cleanup(move |_, key, number, data| {
            let data = data.and_then(|data| data.downcast_ref().copied());
            log.lock().expect("log").push((id, key, number, data));
        })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn wait_fds_do_as_the_model(ops in prop::collection::vec(fd_op(), 0..60)) {
        let keys = [Key::from_address(0), Key::from_address(8), Key::new(), Key::new()];
        let ctx = WaitCtx::new();
        let log = Arc::default();
        let called = Arc::new(Mutex::new(Vec::new()));
        let mut model = Fds::default();
        let (mut callback, mut status) = (None, 0);

        for (id, op) in ops.into_iter().enumerate() {
            match op {
                FdOp::Set(key, number) => {
                    let refused = ctx.set_wait_fd(keys[key], wait_fd(id, number, &log)).is_err();
                    prop_assert_eq!(refused, model.newest(key).is_some());
                    if !refused {
                        let set_in = model.round;
                        model.history.push(Known { id, key, number, set_in, cleared_in: None });
                    }
                }
                FdOp::Push(key, number) => {
                    ctx.push_wait_fd(keys[key], wait_fd(id, number, &log));
                    let set_in = model.round;
                    model.history.push(Known { id, key, number, set_in, cleared_in: None });
                }
                FdOp::Clear(key) => {
                    let round = model.round;
                    let expected = model.newest(key).map(|known| {
                        known.cleared_in = Some(round);
                        (known.number, known.id)
                    });
                    let cleared = ctx.clear_fd(keys[key]);
                    let cleared = cleared.map(|fd| (fd.raw(), id_in(fd.data())));
                    prop_assert_eq!(cleared, expected.map(|(number, id)| (number, Some(id))));
                }
                FdOp::BeginRound => {
                    ctx.begin_round();
                    model.round += 1;
                }
                FdOp::SetCallback => {
                    let called_too = Arc::clone(&called);
                    let new = Callback::new(move || called_too.lock().expect("called").push(id));
                    let old = ctx.set_callback(new).expect("nothing to tell");
                    prop_assert_eq!(name(old, &called), callback.replace(id));
                }
                FdOp::ClearCallback => {
                    let old = ctx.clear_callback().expect("nothing to tell");
                    prop_assert_eq!(name(old, &called), callback.take());
                }
                FdOp::SetStatus(raw) => {
                    ctx.set_status(Status::from_raw(raw));
                    status = raw;
                }
            }

            prop_assert_eq!(ctx.all_fds(), model.all());
            let changes = ctx.changes();
            prop_assert_eq!(&changes.added, &model.added());
            prop_assert_eq!(&changes.removed, &model.removed());
            let changed = !changes.added.is_empty() || !changes.removed.is_empty();
            prop_assert_eq!(ctx.has_changes(), changed);
            for (key, known_as) in keys.into_iter().enumerate() {
                let newest = model.newest(key).map(|known| (known.number, known.id));
                prop_assert_eq!(ctx.fd(known_as), newest.map(|(number, _)| number));
                let data = ctx.fd_data(known_as);
                prop_assert_eq!(id_in(data.as_ref()), newest.map(|(_, id)| id));
            }
            prop_assert!(ctx.owned_fds().is_empty());
            prop_assert!(ctx.wake_fd().is_none());
            prop_assert_eq!(name(ctx.callback(), &called), callback);
            prop_assert_eq!(ctx.status().to_raw(), status);
            prop_assert_eq!(Status::from_raw(status), ctx.status());
            prop_assert!(log.lock().expect("log").is_empty(), "cleaned up too early");
        }

        drop(ctx);
        let live = model.history.iter().rev().filter(|k| k.cleared_in.is_none());
        let expected: Vec<Cleaned> =
            live.map(|k| (k.id, keys[k.key], k.number, Some(k.id))).collect();
        prop_assert_eq!(&*log.lock().expect("log"), &expected);
    }
}

fn id_in(data: Option<&Arc<dyn std::any::Any + Send + Sync>>) -> Option<usize> {
    data.and_then(|data| data.downcast_ref().copied())
}

/// Which callback this is: it says so itself when it is called.
fn name(callback: Option<Callback>, called: &Mutex<Vec<usize>>) -> Option<usize> {
    callback?.call().expect("no queue");
    called.lock().expect("called").pop()
}

// ---- wakes -----------------------------------------------------------------------------------

/// The wakes by their definition: there is one that nobody has seen, or there is none.
#[derive(Default)]
struct Wakes {
    unseen: bool,
    silent: bool,
    callback: Option<usize>,
    has_fd: bool,
    /// How often each callback was called.
    told: Vec<usize>,
}

impl Wakes {
    fn readable(&self) -> bool {
        self.unseen && self.route() == Notified::Fd
    }

    fn route(&self) -> Notified {
        match (self.silent, self.callback, self.has_fd) {
            (true, _, _) => Notified::Silent,
            (false, Some(_), _) => Notified::Callback,
            (false, None, true) => Notified::Fd,
            (false, None, false) => Notified::Kept,
        }
    }

    fn notify(&mut self) -> Notified {
        let route = self.route();
        self.unseen |= route != Notified::Silent;
        self.tell();
        route
    }

    /// A callback sees what is unseen.
    fn tell(&mut self) {
        if let (Notified::Callback, Some(callback)) = (self.route(), self.callback) {
            self.told[callback] += usize::from(std::mem::take(&mut self.unseen));
        }
    }
}

#[derive(Clone, Debug)]
enum WakeOp {
    Notify(i32),
    Acknowledge,
    SetCallback,
    ClearCallback,
    SetSilent(bool),
    MakeNotifier,
}

fn wake_op() -> impl Strategy<Value = WakeOp> {
    prop_oneof![
        4 => (-2..6_i32).prop_map(WakeOp::Notify),
        2 => Just(WakeOp::Acknowledge),
        2 => Just(WakeOp::SetCallback),
        2 => Just(WakeOp::ClearCallback),
        2 => any::<bool>().prop_map(WakeOp::SetSilent),
        1 => Just(WakeOp::MakeNotifier),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn wakes_do_as_the_model(ops in prop::collection::vec(wake_op(), 0..60)) {
        let ctx = WaitCtx::new();
        // Asked for while polling, so that there is no fd yet.
        ctx.set_silent(true).expect("nothing to tell");
        let notifier = ctx.notifier().expect("no fd needed");
        ctx.set_silent(false).expect("nothing to tell");
        let mut model = Wakes::default();
        let mut counts: Vec<Count> = Vec::new();
        let mut status = 0;

        for op in ops {
            match op {
                WakeOp::Notify(raw) => {
                    let notified = notifier.notify(Status::from_raw(raw)).expect("told");
                    prop_assert_eq!(notified, model.notify());
                    status = raw;
                }
                WakeOp::Acknowledge => {
                    prop_assert_eq!(ctx.acknowledge().expect("read"), model.readable());
                    model.unseen &= !model.readable();
                }
                WakeOp::SetCallback => {
                    counts.push(Count::default());
                    model.told.push(0);
                    let new = counts[counts.len() - 1].callback();
                    let old = ctx.set_callback(new).expect("told");
                    prop_assert_eq!(old.is_some(), model.callback.is_some());
                    model.callback = Some(counts.len() - 1);
                    model.tell();
                }
                WakeOp::ClearCallback => {
                    let old = ctx.clear_callback().expect("told");
                    prop_assert_eq!(old.is_some(), model.callback.take().is_some());
                }
                WakeOp::SetSilent(silent) => {
                    ctx.set_silent(silent).expect("told");
                    model.silent = silent;
                    model.tell();
                }
                WakeOp::MakeNotifier => {
                    ctx.notifier().expect("an fd to spare");
                    model.has_fd |= model.route() == Notified::Kept;
                }
            }

            prop_assert_eq!(ctx.wake_fd().is_some(), model.has_fd);
            let numbers: Vec<RawFd> =
                ctx.wake_fd().map(|fd| std::os::fd::AsFd::as_fd(fd).as_raw_fd()).into_iter().collect();
            prop_assert_eq!(ctx.all_fds(), numbers);
            prop_assert_eq!(ctx.wake_fd().is_some_and(readable), model.readable());
            let told: Vec<usize> = counts.iter().map(Count::get).collect();
            prop_assert_eq!(&told, &model.told);
            prop_assert_eq!(ctx.callback().is_some(), model.callback.is_some());
            prop_assert_eq!(ctx.status().to_raw(), status);
        }

        let told: Vec<usize> = counts.iter().map(Count::get).collect();
        drop(ctx);
        prop_assert_eq!(notifier.notify(Status::Ok).expect("nobody"), Notified::Gone);
        prop_assert_eq!(told, counts.iter().map(Count::get).collect::<Vec<_>>());
    }
}
