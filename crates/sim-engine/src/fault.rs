//! Which operation meets which fault: a function of the seed and the operation's id, so that it
//! does not depend on the order of arrival, on the clock or on the threads.

use std::time::Duration;

use offload::{Output, Response};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::config::Faults;

/// The plan of a whole run.
pub(crate) struct FaultPlan {
    faults: Faults,
    seed: u64,
    none: bool,
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Fate {
    pub(crate) ring_full: bool,
    pub(crate) outcome: Outcome,
    pub(crate) delay: Duration,
    pub(crate) duplicate: bool,
    pub(crate) untold: bool,
    pub(crate) spurious: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Outcome {
    #[default]
    Right,
    /// An error with this status.
    Error(i32),
    /// This bit of the result is flipped, counted modulo its length.
    Wrong(u32),
    Lost,
}

impl FaultPlan {
    pub(crate) fn new(faults: Faults, seed: u64) -> FaultPlan {
        FaultPlan {
            faults,
            seed,
            none: faults.is_none(),
        }
    }

    /// What happens to operation `id`.
    pub(crate) fn fate(&self, id: u64) -> Fate {
        if self.none {
            return Fate::default();
        }
        let faults = &self.faults;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(id);
        // Every operation draws the same numbers in the same order, so that changing one fault's
        // share does not move another's victims.
        let mut draw = || f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0);
        let ring_full = draw() < faults.ring_full;
        let outcome = draw();
        let slow = draw() < faults.slow.share;
        let duplicate = draw() < faults.duplicate;
        let untold = draw() < faults.untold;
        let spurious = draw() < faults.spurious;
        let detail = rng.next_u32();
        let outcome = if outcome < faults.lost {
            Outcome::Lost
        } else if outcome < faults.lost + faults.error {
            // Statuses of real drivers are small negative numbers.
            Outcome::Error(-1 - (detail % 16) as i32)
        } else if outcome < faults.lost + faults.error + faults.wrong {
            Outcome::Wrong(detail)
        } else {
            Outcome::Right
        };
        let delay = if slow { faults.slow.extra_ns } else { 0 };
        Fate {
            ring_full,
            outcome,
            delay: Duration::from_nanos(delay),
            duplicate,
            untold,
            spurious,
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
        let plan = FaultPlan::new(some(), 7);
        let forwards: Vec<Fate> = (0..1000).map(|id| plan.fate(id)).collect();
        let mut backwards: Vec<Fate> = (0..1000).rev().map(|id| plan.fate(id)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        let other = FaultPlan::new(some(), 8);
        assert_ne!(
            forwards,
            (0..1000).map(|id| other.fate(id)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn shares_are_met() {
        let plan = FaultPlan::new(some(), 1);
        let n = 100_000;
        let count = |f: &dyn Fn(Fate) -> bool| {
            (0..n).filter(|id| f(plan.fate(*id))).count() as f64 / n as f64
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
            let plan = FaultPlan::new(faults, 3);
            (0..1000).map(|id| plan.fate(id).spurious).collect()
        };
        let mut more = some();
        more.error = 0.9;
        assert_eq!(spurious(some()), spurious(more));
    }
}
