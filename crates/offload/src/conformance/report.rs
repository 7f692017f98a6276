//! What the suite found.

use std::fmt;

use super::rules::Rule;
use super::setup::Setup;

/// What became of each rule.
#[derive(Clone, Debug)]
pub struct Report {
    engine: String,
    seed: u64,
    rules: Vec<Checked>,
}

/// A rule that was checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checked {
    /// Its name, in kebab-case. Stable.
    pub rule: &'static str,
    /// What it demands, in one sentence.
    pub demands: &'static str,
    /// Why: the kind of bug that it keeps out.
    pub why: &'static str,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, as far as was seen.
    Passed,
    /// It could not be checked on this engine, and why.
    Skipped(String),
    /// It does not hold: what was seen.
    Failed(String),
}

impl Report {
    pub(super) fn new(setup: &Setup) -> Report {
        Report {
            engine: String::new(),
            seed: setup.seed,
            rules: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, rule: &Rule, (engine, verdict): (Option<String>, Verdict)) {
        if let Some(engine) = engine {
            self.engine = engine;
        }
        self.rules.push(Checked {
            rule: rule.name,
            demands: rule.demands,
            why: rule.why,
            verdict,
        });
    }

    /// Each rule, in the order in which they ran.
    #[must_use]
    pub fn rules(&self) -> &[Checked] {
        &self.rules
    }

    /// The rules that the engine breaks.
    pub fn failed(&self) -> impl Iterator<Item = &Checked> {
        let failed = |rule: &&Checked| matches!(rule.verdict, Verdict::Failed(_));
        self.rules.iter().filter(failed)
    }

    /// What became of the rule called `name`, if it ran.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Option<&Verdict> {
        let found = self.rules.iter().find(|rule| rule.rule == name);
        found.map(|rule| &rule.verdict)
    }

    /// Whether no rule is broken.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The report as an error if a rule is broken.
    ///
    /// # Errors
    ///
    /// [`Nonconforming`], with the report.
    pub fn into_result(self) -> Result<Report, Nonconforming> {
        if self.is_ok() {
            Ok(self)
        } else {
            Err(Nonconforming(self))
        }
    }

    /// For tests.
    ///
    /// # Panics
    ///
    /// If a rule is broken, with the report.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.is_ok(), "{self}");
    }
}

/// A line for each rule, and for a broken one what was seen and why it matters.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.engine[..] {
            "" => "unnamed",
            name => name,
        };
        writeln!(f, "conformance of engine {name}, seed {}", self.seed)?;
        let (mut passed, mut skipped, mut failed) = (0, 0, 0);
        for rule in &self.rules {
            match &rule.verdict {
                Verdict::Passed => {
                    passed += 1;
                    writeln!(f, "  passed   {}", rule.rule)?;
                }
                Verdict::Skipped(reason) => {
                    skipped += 1;
                    writeln!(f, "  skipped  {}: {reason}", rule.rule)?;
                }
                Verdict::Failed(seen) => {
                    failed += 1;
                    writeln!(f, "  FAILED   {}", rule.rule)?;
                    writeln!(f, "           rule: {}", rule.demands)?;
                    writeln!(f, "           seen: {seen}")?;
                    writeln!(f, "           why:  {}", rule.why)?;
                }
            }
        }
        write!(f, "{passed} passed, {skipped} skipped, {failed} failed")
    }
}

/// An engine that breaks rules.
#[derive(Clone)]
pub struct Nonconforming(
    /// The report, with at least one failure.
    pub Report,
);

impl fmt::Display for Nonconforming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The report too: it is what a `main` that ends with `?` prints.
impl fmt::Debug for Nonconforming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Nonconforming {}
