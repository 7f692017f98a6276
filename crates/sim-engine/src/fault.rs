//! Which operation meets which fault: a function of the seed and the operation's id, so that it
//! does not depend on the order of arrival, on the clock or on the threads.

use std::collections::HashMap;

use offload::{Output, Response};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, LogNormal};

use crate::config::{FaultName, Faults, Jitter, JitterKind, ScriptedFault};
use crate::plant::Plant;

/// The plan of a whole run.
pub(crate) struct FaultPlan {
    faults: Faults,
    jitter: Jitter,
    seed: u64,
    /// Nothing is ever drawn.
    none: bool,
    plant: Option<Plant>,
    /// Faults of the script that strike one operation.
    scripted: HashMap<u64, Vec<ScriptedFault>>,
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fate {
    /// It is refused once for this reason.
    pub refused: Option<Refusal>,
    /// What its answer is.
    pub outcome: Outcome,
    /// So much longer on an engine, in nanoseconds.
    pub slow_ns: u64,
    /// So much later, with no engine busy for it, in nanoseconds.
    pub late_ns: u64,
    /// The engine that comes to it stands still for so long first, in nanoseconds.
    pub stall_ns: u64,
    /// The endpoint dies when it comes to it.
    pub kills: bool,
    /// Answered twice.
    pub duplicate: bool,
    /// Nobody is told of the answer.
    pub untold: bool,
    /// Somebody is told before there is an answer.
    pub spurious: bool,
    /// What its service time is multiplied by.
    pub jitter: f64,
    /// A bug of the device strikes it.
    pub(crate) planted: Option<Plant>,
}

impl Default for Fate {
    fn default() -> Fate {
        Fate {
            refused: None,
            outcome: Outcome::Right,
            slow_ns: 0,
            late_ns: 0,
            stall_ns: 0,
            kills: false,
            duplicate: false,
            untold: false,
            spurious: false,
            jitter: 1.0,
            planted: None,
        }
    }
}

/// Why an operation is refused once that could be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// As if the ring were full.
    RingFull,
    /// As if the rate were too high.
    Throttled,
    /// As if no descriptor could be had for the notification.
    NoDescriptor,
}

/// What the answer of an operation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The right one.
    #[default]
    Right,
    /// An error with this status.
    Error(i32),
    /// This bit of the result is flipped, counted modulo its length.
    Wrong(u32),
    /// None comes.
    Lost,
}

impl FaultPlan {
    pub(crate) fn new(
        faults: &Faults,
        jitter: Jitter,
        seed: u64,
        plant: Option<Plant>,
    ) -> FaultPlan {
        let mut scripted: HashMap<u64, Vec<ScriptedFault>> = HashMap::new();
        for fault in &faults.script {
            if let Some(id) = fault.at_op {
                scripted.entry(id).or_default().push(fault.clone());
            }
        }
        let drawn = Faults {
            script: Vec::new(),
            ..faults.clone()
        };
        FaultPlan {
            none: drawn.is_none() && jitter.kind == JitterKind::None,
            plant,
            faults: drawn,
            jitter,
            seed,
            scripted,
        }
    }

    /// What happens to operation `id`, if anything does.
    #[inline]
    pub(crate) fn fate(&self, id: u64) -> Option<Box<Fate>> {
        if self.none && self.scripted.is_empty() && self.plant.is_none() {
            return None;
        }
        self.some_fate(id)
    }

    fn some_fate(&self, id: u64) -> Option<Box<Fate>> {
        let mut fate = self.planned(id);
        if let Some(plant) = self.plant
            && Plant::strikes(id)
        {
            fate.planted = Some(plant);
            if plant == Plant::WrongResult && fate.outcome == Outcome::Right {
                fate.outcome = Outcome::Wrong(0);
            }
        }
        (fate != Fate::default()).then(|| Box::new(fate))
    }

    /// The same, as far as it is planned: without a bug of the device.
    #[inline]
    pub(crate) fn planned(&self, id: u64) -> Fate {
        if self.none && self.scripted.is_empty() {
            return Fate::default();
        }
        let mut fate = if self.none {
            Fate::default()
        } else {
            self.draw(id)
        };
        for fault in self.scripted.get(&id).into_iter().flatten() {
            fate.strike(fault);
        }
        fate
    }

    fn draw(&self, id: u64) -> Fate {
        let faults = &self.faults;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(id);
        // Every operation draws the same numbers in the same order, so that changing one fault's
        // share does not move another's victims.
        let mut draw = || f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0);
        let ring_full = draw() < faults.ring_full;
        let outcome = draw();
        let mut hits = |share: f64| draw() < share;
        let slow = hits(faults.slow.share);
        let duplicate = hits(faults.duplicate);
        let untold = hits(faults.untold);
        let spurious = hits(faults.spurious);
        let late = hits(faults.late.share);
        let throttled = hits(faults.throttled);
        let no_descriptor = hits(faults.no_descriptor);
        let stall = hits(faults.stall.share);
        let kills = hits(faults.death);
        let detail = rng.next_u32();
        let outcome = if outcome < faults.lost {
            Outcome::Lost
        } else if outcome < faults.lost + faults.error {
            Outcome::Error(status(detail))
        } else if outcome < faults.lost + faults.error + faults.wrong {
            Outcome::Wrong(detail)
        } else {
            Outcome::Right
        };
        let refused = [
            (ring_full, Refusal::RingFull),
            (throttled, Refusal::Throttled),
            (no_descriptor, Refusal::NoDescriptor),
        ];
        let when = |struck: bool, ns: u64| if struck { ns } else { 0 };
        Fate {
            refused: refused.iter().find(|(hit, _)| *hit).map(|(_, why)| *why),
            outcome,
            slow_ns: when(slow, faults.slow.extra_ns),
            late_ns: when(late, faults.late.extra_ns),
            stall_ns: when(stall, faults.stall.for_ns),
            kills,
            duplicate,
            untold,
            spurious,
            jitter: factor(self.jitter, &mut rng),
            planted: None,
        }
    }
}

/// Statuses of real drivers are small negative numbers.
fn status(detail: u32) -> i32 {
    -1 - (detail % 16) as i32
}

/// A random factor with a mean of 1.
fn factor(jitter: Jitter, rng: &mut ChaCha8Rng) -> f64 {
    match jitter.kind {
        JitterKind::None => 1.0,
        JitterKind::Uniform => {
            let half = f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
            1.0 + jitter.spread * half
        }
        JitterKind::Exponential => rand_distr::Exp1.sample(rng),
        JitterKind::LogNormal => {
            // The median that makes the mean 1.
            let sigma = jitter.spread;
            LogNormal::new(-sigma * sigma / 2.0, sigma).map_or(1.0, |factor| factor.sample(rng))
        }
    }
}

impl Fate {
    /// What a fault of the script does to it.
    fn strike(&mut self, fault: &ScriptedFault) {
        match fault.fault {
            FaultName::RingFull => self.refused = Some(Refusal::RingFull),
            FaultName::Throttled => self.refused = Some(Refusal::Throttled),
            FaultName::NoDescriptor => self.refused = Some(Refusal::NoDescriptor),
            FaultName::Slow => self.slow_ns = fault.for_ns,
            FaultName::Late => self.late_ns = fault.for_ns,
            FaultName::Lost => self.outcome = Outcome::Lost,
            FaultName::Error => self.outcome = Outcome::Error(status(0)),
            FaultName::Wrong => self.outcome = Outcome::Wrong(0),
            FaultName::Duplicate => self.duplicate = true,
            FaultName::Untold => self.untold = true,
            FaultName::Spurious => self.spurious = true,
            FaultName::Stall => self.stall_ns = fault.for_ns,
            FaultName::Death => self.kills = true,
        }
    }
}

/// Flips one bit of a result: of the digest or the tag if there is one, else of the buffer. A
/// result without a byte cannot be wrong.
pub(crate) fn corrupt(response: &mut Response, bit: u32) {
    let flip = |bytes: &mut [u8]| {
        if !bytes.is_empty() {
            let at = bit as usize % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
    };
    match &mut response.output {
        Output::Digest { bytes, len } => flip(&mut bytes[..usize::from(*len)]),
        Output::Tag(tag) => flip(tag),
        _ => flip(&mut response.data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Faults {
        Faults {
            error: 0.1,
            lost: 0.05,
            wrong: 0.05,
            spurious: 0.5,
            ..Faults::default()
        }
    }

    #[test]
    fn the_same_seed_and_id_meet_the_same_fate_in_any_order() {
        let plan = FaultPlan::new(&some(), Jitter::default(), 7, None);
        let forwards: Vec<Fate> = (0..1000).map(|id| plan.planned(id)).collect();
        let mut backwards: Vec<Fate> = (0..1000).rev().map(|id| plan.planned(id)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        let other = FaultPlan::new(&some(), Jitter::default(), 8, None);
        assert_ne!(
            forwards,
            (0..1000).map(|id| other.planned(id)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn shares_are_met() {
        let plan = FaultPlan::new(&some(), Jitter::default(), 1, None);
        let n = 100_000;
        let count = |f: &dyn Fn(Fate) -> bool| {
            (0..n).filter(|id| f(plan.planned(*id))).count() as f64 / n as f64
        };
        // Four standard deviations of the largest share: 4 × sqrt(0.25 / 100000) = 0.0063.
        let near = |share: f64, expected: f64| (share - expected).abs() < 0.0064;
        assert!(near(
            count(&|f| matches!(f.outcome, Outcome::Error(_))),
            0.1
        ));
        assert!(near(
            count(&|f| matches!(f.outcome, Outcome::Wrong(_))),
            0.05
        ));
        assert!(near(count(&|f| f.outcome == Outcome::Lost), 0.05));
        assert!(near(count(&|f| f.spurious), 0.5));
        assert!(near(count(&|f| f.duplicate), 0.0));
    }

    #[test]
    fn changing_one_share_moves_no_other_faults_victims() {
        let spurious = |faults: Faults| -> Vec<bool> {
            let plan = FaultPlan::new(&faults, Jitter::default(), 3, None);
            (0..1000).map(|id| plan.planned(id).spurious).collect()
        };
        let mut more = some();
        more.error = 0.9;
        assert_eq!(spurious(some()), spurious(more));
    }
}
