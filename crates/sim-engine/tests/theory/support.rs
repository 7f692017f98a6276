//! A device in virtual time, and requests without jobs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use offload::{Engine, Op, Pending, Request, Submission};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::Distribution;
use sim_engine::{
    DeviceConfig, DeviceEvent, Observer, OpRecord, SimClock, SimDevice, Step, VirtualClock,
};
use waitctx::{Notifier, WaitCtx};

/// Keeps the records of all that has ended.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<OpRecord>>);

impl Records {
    pub(crate) fn take(&self) -> Vec<OpRecord> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Observer for Records {
    fn observe(&self, event: &DeviceEvent) {
        if let DeviceEvent::Ended(record) = event {
            self.0.lock().expect("no panic").push(*record);
        }
    }
}

/// A device that nobody's host delays.
pub(crate) struct Bench {
    pub(crate) clock: VirtualClock,
    pub(crate) device: Arc<SimDevice>,
    pub(crate) records: Arc<Records>,
    notifier: Notifier,
    _ctx: WaitCtx,
    next: u64,
    /// Those under way, the oldest first, and those that can be used again.
    under_way: VecDeque<Pending>,
    spare: Vec<Pending>,
}

impl Bench {
    pub(crate) fn new(device: &str, seed: u64) -> Bench {
        let config = DeviceConfig::from_toml(device).expect("a device file");
        let clock = SimClock::virtual_time();
        let records = Arc::new(Records::default());
        let device = SimDevice::builder(&config)
            .seed(seed)
            .clock(&clock)
            .observer(records.clone())
            .open()
            .expect("it opens");
        let ctx = WaitCtx::new();
        ctx.set_silent(true).expect("no wake yet");
        Bench {
            clock: clock.as_virtual().expect("it is").clone(),
            device,
            records,
            notifier: ctx.notifier().expect("no fd needed"),
            _ctx: ctx,
            next: 0,
            under_way: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn submit(&mut self) {
        let request = Request::new(Op::Nop, Vec::new()).with_id(self.next);
        self.next += 1;
        let (pending, completion) = match self.spare.pop() {
            Some(mut pending) => {
                let completion = pending.again(None);
                (pending, completion)
            }
            None => Pending::new(self.notifier.clone()),
        };
        let submission = Submission {
            request,
            completion,
            ticket: None,
        };
        self.device.submit(submission).expect("there is room");
        self.under_way.push_back(pending);
    }

    /// Takes the answers that are there. Says how many.
    pub(crate) fn collect(&mut self) -> usize {
        let before = self.under_way.len();
        for _ in 0..before {
            let Some(pending) = self.under_way.pop_front() else {
                break;
            };
            match pending.take() {
                Some(answer) => {
                    answer.expect("nothing fails");
                    self.spare.push(pending);
                }
                None => self.under_way.push_back(pending),
            }
        }
        before - self.under_way.len()
    }

    /// Requests of a Poisson process of `rate_hz`, until `count` have been submitted and answered.
    pub(crate) fn poisson(&mut self, rate_hz: f64, count: u64, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Apart from the service times.
        rng.set_stream(u64::MAX);
        let mut at = 0.0_f64;
        for n in 0..count {
            let gap: f64 = rand_distr::Exp1.sample(&mut rng);
            at += gap * 1e9 / rate_hz;
            while self.clock.step_until(at as u64) != Step::Limit {}
            self.submit();
            if n % 64 == 0 {
                self.collect();
            }
        }
        while matches!(self.clock.step(), Step::Happened { .. }) {}
        self.collect();
        assert!(self.under_way.is_empty(), "all were answered");
    }
}
