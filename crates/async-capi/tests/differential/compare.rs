//! One script on both implementations; and the smallest part of it on which they differ.

use std::fmt::Write;

use crate::api::{Api, Process};
use crate::run::run;
use crate::script::{Op, script};
use crate::trace::{Coverage, Event};

/// The first is the reference.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) reference: &'static Api,
    pub(crate) tested: &'static Api,
    pub(crate) process: &'static Process,
}

impl Pair {
    /// What both did.
    pub(crate) fn traces(&self, script: &[Op]) -> (Vec<Event>, Vec<Event>) {
        let reference = run(self.reference, self.process, script);
        let tested = run(self.tested, self.process, script);
        (reference, tested)
    }

    fn differ(&self, script: &[Op]) -> bool {
        let (reference, tested) = self.traces(script);
        reference != tested
    }

    /// Runs the script of this number, and tells of a difference.
    pub(crate) fn check(
        &self,
        seed: u64,
        number: u64,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        let ops = script(seed, number);
        let (reference, tested) = self.traces(&ops);
        coverage.add(&reference);
        if reference == tested {
            return Ok(());
        }
        Err(self.report(seed, number, ops))
    }

    fn report(&self, seed: u64, number: u64, ops: Vec<Op>) -> String {
        let whole = ops.len();
        let ops = shrink(ops, |ops| self.differ(ops));
        let mut text = format!("sequence {number} of seed {seed} differs.\n");
        let _ = writeln!(
            text,
            "Again: ASYNC_CAPI_SEED={seed} ASYNC_CAPI_SEQUENCE={number} cargo test -p async-capi \
             --test differential"
        );
        let _ = writeln!(text, "{} of its {whole} steps are enough:", ops.len());
        for op in &ops {
            let _ = writeln!(text, "  {op:?}");
        }
        let (reference, tested) = self.traces(&ops);
        let same = reference.iter().zip(&tested);
        let same = same.take_while(|(one, other)| one == other).count();
        if same == reference.len() && same == tested.len() {
            text.push_str("but not when it is run again: something is left over from before\n");
        }
        list(&mut text, "both", &reference[..same]);
        list(&mut text, "then libcrypto", &reference[same..]);
        list(&mut text, "then ours", &tested[same..]);
        text
    }
}

fn list(text: &mut String, whose: &str, events: &[Event]) {
    let _ = writeln!(text, "{whose}:");
    for event in events {
        let _ = writeln!(text, "  {event:?}");
    }
}

/// Drops steps, and steps of jobs, while what is left still `fails`.
pub(crate) fn shrink(mut ops: Vec<Op>, fails: impl Fn(&[Op]) -> bool) -> Vec<Op> {
    loop {
        let before = ops.clone();
        ops = drop_steps(ops, &fails);
        for at in 0..ops.len() {
            let Op::Start(start) = &ops[at] else { continue };
            let with = |body: &[Op]| {
                let mut start = start.clone();
                start.body = body.to_vec();
                let mut ops = ops.clone();
                ops[at] = Op::Start(start);
                ops
            };
            let body = drop_steps(start.body.clone(), &|body: &[Op]| fails(&with(body)));
            ops = with(&body);
        }
        for at in 0..ops.len() {
            let Op::Start(start) = &ops[at] else { continue };
            let mut plain = start.clone();
            plain.args = None;
            plain.size_of_null = 0;
            let mut simpler = ops.clone();
            simpler[at] = Op::Start(plain);
            if fails(&simpler) {
                ops = simpler;
            }
        }
        if ops == before {
            return ops;
        }
    }
}

/// Drops large parts first, then single steps.
fn drop_steps(mut steps: Vec<Op>, fails: &dyn Fn(&[Op]) -> bool) -> Vec<Op> {
    let mut size = steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < steps.len() {
            let end = (at + size).min(steps.len());
            let mut fewer = steps.clone();
            fewer.drain(at..end);
            if fails(&fewer) {
                steps = fewer;
            } else {
                at = end;
            }
        }
        if size == 1 {
            return steps;
        }
        size /= 2;
    }
}
