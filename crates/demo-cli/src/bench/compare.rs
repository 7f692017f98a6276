//! Two runtimes, round by round.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::options::Case;
use crate::report::{Name, Spread};

/// How our jobs compare with libcrypto's, told in one way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Comparison {
    pub(crate) notify: Name,
    pub(crate) jobs: usize,
    pub(crate) size_bytes: usize,
    /// Which repeat of the rows it is of, counted from 0.
    #[serde(default)]
    pub(crate) repeat: usize,
    /// Which rows it is of, where there are others.
    #[serde(skip)]
    pub(crate) name: String,
    /// Rounds in which both completed operations.
    pub(crate) rounds: usize,
    /// What an operation took with our jobs, in parts of what it took with libcrypto's in the same
    /// round: less than 1 where ours are faster. `None` without rounds.
    pub(crate) ns_per_op_ours_over_libcrypto: Option<Spread>,
}

impl Comparison {
    /// Of rounds that each took so many nanoseconds per operation in each lane, ours first.
    pub(crate) fn new(case: Case, name: String, rounds: &[Vec<Option<f64>>]) -> Comparison {
        let ratio = |round: &Vec<Option<f64>>| match round[..] {
            [Some(ours), Some(libcrypto)] => Some(ours / libcrypto),
            _ => None,
        };
        let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
        Comparison {
            notify: case.notify.name().into(),
            jobs: case.jobs,
            size_bytes: case.size,
            repeat: case.repeat,
            name,
            rounds: ratios.len(),
            ns_per_op_ours_over_libcrypto: Spread::of(ratios),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ns_per_op_ours_over_libcrypto {
            None => write!(f, "{}: nothing to compare", self.name),
            Some(ratio) => write!(
                f,
                "{}: time per operation, ours / libcrypto: {:.2} (median of {} rounds, {:.2} to {:.2})",
                self.name, ratio.median, self.rounds, ratio.least, ratio.most
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::NotifyName;

    #[test]
    fn the_median_and_the_spread_of_the_rounds_that_both_completed() {
        let rounds = [
            vec![Some(100.0), Some(200.0)],
            vec![Some(300.0), Some(200.0)],
            vec![None, Some(200.0)],
            vec![Some(180.0), Some(200.0)],
        ];
        let case = Case {
            size: 64,
            jobs: 8,
            completion: None,
            notify: NotifyName::Fd,
            repeat: 0,
        };
        let comparison = Comparison::new(case, "fd, 8 jobs".to_owned(), &rounds);
        assert_eq!(
            comparison.to_string(),
            "fd, 8 jobs: time per operation, ours / libcrypto: 0.90 (median of 3 rounds, 0.50 to 1.50)"
        );
        let none = Comparison::new(case, "fd".to_owned(), &rounds[2..3]);
        assert_eq!(none.to_string(), "fd: nothing to compare");
    }
}
