//! Interleaved rounds and their ratios.

use std::time::Instant;

/// Two ways of doing the same number of operations.
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a str,
    pub(crate) rounds: usize,
    pub(crate) operations: u64,
    pub(crate) ours: &'a mut dyn FnMut(u64),
    pub(crate) theirs: &'a mut dyn FnMut(u64),
}

pub(crate) struct Table {
    filter: Option<String>,
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn new(filter: Option<String>) -> Table {
        Table {
            filter,
            lines: Vec::new(),
        }
    }

    /// Runs a pair: a round to warm up, then the counted ones, each side first in turn.
    pub(crate) fn add(&mut self, pair: Pair<'_>) {
        let Pair {
            name,
            rounds,
            operations,
            ours,
            theirs,
        } = pair;
        if self
            .filter
            .as_ref()
            .is_some_and(|f| !name.contains(f.as_str()))
        {
            return;
        }
        let time = |f: &mut dyn FnMut(u64)| {
            let start = Instant::now();
            f(operations);
            start.elapsed().as_nanos() as f64 / operations as f64
        };
        time(ours);
        time(theirs);
        let mut times: Vec<(f64, f64)> = Vec::new();
        for round in 0..rounds {
            let (a, b) = if round % 2 == 0 {
                let a = time(ours);
                (a, time(theirs))
            } else {
                let b = time(theirs);
                (time(ours), b)
            };
            times.push((a, b));
        }
        let (_, a, _) = spread(times.iter().map(|t| t.0));
        let (_, b, _) = spread(times.iter().map(|t| t.1));
        let (least, ratio, most) = spread(times.iter().map(|t| t.0 / t.1));
        let line = format!("{name:<44} {a:>8.1} {b:>10.1} {ratio:>8.3} [{least:.3}–{most:.3}]");
        eprintln!("{line}");
        self.lines.push(line);
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<44} {:>8} {:>10} {:>8} [least–most]",
            "ns per operation, median", "ours", "libcrypto", "ratio"
        );
        for line in &self.lines {
            println!("{line}");
        }
    }
}

/// Least, median and most.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    )
}
