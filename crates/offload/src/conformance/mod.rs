//! The suite for engine authors: every rule of the [`Engine`](crate::Engine) contract, against any
//! engine, in one call.
//!
//! Each rule is named after what has to hold and says why it matters: most are bugs that shipped
//! drivers and engines were reported for. A rule makes engines of its own by the factory in
//! [`Setup`], runs on a thread of its own, and is given up when nothing has moved for the
//! [patience](Setup::patience), so a hanging engine fails a rule and not the suite.
//!
//! ```
//! # use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
//! # use offload::*;
//! # #[derive(Default)]
//! # struct Echo(AtomicU64);
//! # impl Engine for Echo {
//! #     fn name(&self) -> &str { "echo" }
//! #     fn supports(&self, op: OpKind) -> bool { op == OpKind::Nop }
//! #     fn submit(&self, submission: Submission) -> Result<(), Refused> {
//! #         let kind = submission.request.op.kind();
//! #         if kind != OpKind::Nop {
//! #             return Err(Refused { reason: Reason::Unsupported(kind), submission });
//! #         }
//! #         self.0.fetch_add(1, Relaxed);
//! #         let data = submission.request.data;
//! #         submission.completion.complete(Ok(Response { data, output: Output::None }));
//! #         Ok(())
//! #     }
//! #     fn counters(&self) -> Counters {
//! #         let n = self.0.load(Relaxed);
//! #         Counters { submitted: n, completed: n, ..Counters::default() }
//! #     }
//! # }
//! use offload::conformance::{self, Setup};
//!
//! let setup = Setup::new(|| Arc::new(Echo::default())).operation_count(200);
//! let report = conformance::check(&setup);
//! println!("{report}");
//! report.assert();
//! ```
//!
//! The suite checks what a contract can say. It does not know whether the engine is fast, and it
//! injects no faults: it expects an engine in good order, which carries out what it takes on.
//!
//! To have operations in flight for sure, some rules stall the engine: they do not poll it, or
//! block its threads in a callback for as long as they need. Applications must not do that.

mod case;
mod lab;
mod report;
mod requests;
mod rules;
mod setup;

pub use report::{Checked, Nonconforming, Report, Verdict};
pub use setup::Setup;

/// Runs every rule against the engine, one after the other.
///
/// It takes seconds for an engine that passes; one that hangs costs twice the
/// [patience](Setup::patience) for each rule that it hangs in, and leaves that rule's thread behind.
#[must_use]
pub fn check(setup: &Setup) -> Report {
    let rules = rules::RULES.iter().filter(|rule| setup.wants(rule.name));
    let mut report = Report::new(setup);
    for rule in rules {
        report.add(rule, case::run(rule, setup));
    }
    report
}

/// The name of each rule and what it demands, in the order in which they run. Names are stable.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    rules::RULES.iter().map(|rule| (rule.name, rule.demands))
}
