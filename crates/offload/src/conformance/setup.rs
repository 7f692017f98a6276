//! What the suite is told of an engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::rules;
use crate::engine::Engine;
use crate::request::{Failure, OpKind, Request, Response};

/// An engine to check: how to make one, and what to expect of it.
///
/// Only the factory is needed. [`software`](Setup::software) makes the suite check results of more
/// than [`OpKind::Nop`], and [`ring_bound`](Setup::ring_bound) makes it sure of the bound.
#[derive(Clone)]
pub struct Setup {
    pub(super) make: Arc<dyn Fn() -> Made + Send + Sync>,
    pub(super) software: Option<Arc<Software>>,
    pub(super) requests: Option<Arc<dyn Fn(u64) -> Request + Send + Sync>>,
    pub(super) operations: Vec<OpKind>,
    pub(super) ring_bound: Option<u32>,
    pub(super) rings: u32,
    pub(super) seed: u64,
    pub(super) patience: Duration,
    pub(super) operation_count: u64,
    only: Vec<String>,
}

pub(super) type Software = dyn Fn(Request) -> Result<Response, Failure> + Send + Sync;

/// A fresh engine, and how to shut it down.
pub(super) struct Made {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) shutdown: Option<Box<dyn FnOnce() + Send>>,
}

impl Setup {
    /// An engine that is made by `make`, afresh for each rule and several times for some, and that is
    /// shut down by dropping its last handle.
    pub fn new(make: impl Fn() -> Arc<dyn Engine> + Send + Sync + 'static) -> Setup {
        Setup::build(move || Made {
            engine: make(),
            shutdown: None,
        })
    }

    /// The same for an engine that `shutdown` ends, also while operations are in flight and while
    /// others hold it. It is dropped afterwards.
    pub fn with_shutdown<E: Engine + 'static>(
        make: impl Fn() -> Arc<E> + Send + Sync + 'static,
        shutdown: impl Fn(&E) + Send + Sync + 'static,
    ) -> Setup {
        let shutdown = Arc::new(shutdown);
        Setup::build(move || {
            let (engine, shutdown) = (make(), Arc::clone(&shutdown));
            Made {
                engine: engine.clone(),
                shutdown: Some(Box::new(move || shutdown(&*engine))),
            }
        })
    }

    fn build(make: impl Fn() -> Made + Send + Sync + 'static) -> Setup {
        Setup {
            make: Arc::new(make),
            software: None,
            requests: None,
            operations: OpKind::ALL.to_vec(),
            ring_bound: None,
            rings: 1,
            seed: 1,
            patience: Duration::from_secs(10),
            operation_count: 10_000,
            only: Vec::new(),
        }
    }

    /// What gives the right answer to a request, to compare the engine's with. Without it only what
    /// [`OpKind::Nop`] and the data of digests come back with is checked.
    #[must_use]
    pub fn software(
        mut self,
        software: impl Fn(Request) -> Result<Response, Failure> + Send + Sync + 'static,
    ) -> Setup {
        self.software = Some(Arc::new(software));
        self
    }

    /// The operations to use, of those that the engine supports. Default: all.
    #[must_use]
    pub fn operations(mut self, operations: impl IntoIterator<Item = OpKind>) -> Setup {
        self.operations = operations.into_iter().collect();
        self
    }

    /// Requests of your own in place of the suite's: request number n, always the same for the same
    /// n, which is not its id: the suite gives it that. For operations that the suite has no
    /// parameters for, as those with keys of the engine's own.
    #[must_use]
    pub fn requests(mut self, requests: impl Fn(u64) -> Request + Send + Sync + 'static) -> Setup {
        self.requests = Some(Arc::new(requests));
        self
    }

    /// How many operations may be in flight, in all rings together. Without it the suite looks for
    /// the bound, and cannot tell when it is exceeded.
    #[must_use]
    pub fn ring_bound(mut self, bound: u32) -> Setup {
        self.ring_bound = Some(bound);
        self
    }

    /// How many rings there are, each with a line of its own; default: one. With several, who came
    /// first to one ring can get in after who came later to another.
    #[must_use]
    pub fn rings(mut self, rings: u32) -> Setup {
        self.rings = rings.max(1);
        self
    }

    /// Decides the requests and the order of what is done in random order. Default: 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Setup {
        self.seed = seed;
        self
    }

    /// How long nothing may move before it counts as hung, in real time; default: 10 s. An engine may
    /// take as long as this for one operation. At least 10 ms.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Setup {
        self.patience = patience.max(Duration::from_millis(10));
        self
    }

    /// How many operations are run in random order; default: 10,000. Other rules take a
    /// fiftieth of it, from 8 to 200: fewer for an engine that takes long for each.
    #[must_use]
    pub fn operation_count(mut self, count: u64) -> Setup {
        self.operation_count = count.max(1);
        self
    }

    /// Runs the rules of these names and no others: for whoever works on one.
    ///
    /// # Panics
    ///
    /// If there is no rule of such a name.
    #[must_use]
    pub fn only<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Setup {
        for name in names {
            let known = rules::RULES.iter().any(|rule| rule.name == name);
            assert!(known, "there is no rule called {name}");
            self.only.push(name.to_owned());
        }
        self
    }

    pub(super) fn wants(&self, rule: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == rule)
    }

    /// How many operations a rule takes for which some are as good as many.
    pub(super) fn some(&self) -> u64 {
        (self.operation_count / 50).clamp(8, 200)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("operations", &self.operations)
            .field("ring_bound", &self.ring_bound)
            .field("rings", &self.rings)
            .field("seed", &self.seed)
            .field("patience", &self.patience)
            .field("operation_count", &self.operation_count)
            .finish_non_exhaustive()
    }
}
