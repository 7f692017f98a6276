//! Interleaved rounds, their ratios, and the bounds to reach. Nothing here asserts on time.

use std::time::Instant;

/// One way of doing a number of operations.
pub(crate) struct Side<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut(u64) + 'a) -> Side<'a> {
        Side {
            name,
            run: Box::new(run),
        }
    }
}

/// Several ways of doing the same: each of ours is compared with each of the others.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) rounds: usize,
    /// In each round, by each side.
    pub(crate) operations: u64,
    pub(crate) ours: Vec<Side<'a>>,
    pub(crate) others: Vec<Side<'a>>,
    pub(crate) bounds: &'a [Bound],
}

/// What ours, by its side's name, is to reach: a part of the other's time.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) ours: &'static str,
    pub(crate) other: &'static str,
    pub(crate) at_most: f64,
}

/// What each round gave, for one side.
pub(crate) struct Samples {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Samples {
    pub(crate) fn new(name: &'static str) -> Samples {
        Samples {
            name,
            values: Vec::new(),
        }
    }
}

/// Prints lines as they come, and keeps count of the bounds.
pub(crate) struct Table {
    filter: Option<String>,
    /// Printed before the first line below it.
    heading: Option<String>,
    started: Instant,
    lines: usize,
    met: usize,
    missed: Vec<String>,
}

impl Table {
    pub(crate) fn new(filter: Option<String>) -> Table {
        Table {
            filter,
            heading: None,
            started: Instant::now(),
            lines: 0,
            met: 0,
            missed: Vec::new(),
        }
    }

    /// What the lines from here on are about.
    pub(crate) fn heading(&mut self, text: &str) {
        self.heading = Some(text.to_owned());
    }

    fn line(&mut self, line: &str) {
        if let Some(heading) = self.heading.take() {
            println!(
                "\n{heading}\n{:<50} {:>9} {:>9} {:<10} {:>6} [least–most]      bound",
                "", "ours", "other", "", "ratio"
            );
        }
        println!("{}", line.trim_end());
        self.lines += 1;
    }

    /// Whether the filter lets a line of this name through.
    pub(crate) fn wants(&self, row: &str, side: &str) -> bool {
        let filter = self.filter.as_ref();
        filter.is_none_or(|f| full_name(row, side).contains(f.as_str()))
    }

    /// Runs a row: a round to warm up, then the counted ones. Sides take turns within a round, and
    /// each round begins with another one.
    pub(crate) fn row(&mut self, row: Row<'_>) {
        let mut ours = row.ours;
        ours.retain(|side| self.wants(row.name, side.name));
        if ours.is_empty() {
            return;
        }
        let split = ours.len();
        let mut sides: Vec<Side<'_>> = ours.into_iter().chain(row.others).collect();
        let mut samples: Vec<Samples> = sides.iter().map(|s| Samples::new(s.name)).collect();
        for round in 0..=row.rounds {
            for turn in 0..sides.len() {
                let at = (round + turn) % sides.len();
                let start = Instant::now();
                (sides[at].run)(row.operations);
                let ns = start.elapsed().as_nanos() as f64 / row.operations as f64;
                if round > 0 {
                    samples[at].values.push(ns);
                }
            }
        }
        drop(sides);
        let others = samples.split_off(split);
        self.report(row.name, "ns", &samples, &others, row.bounds);
    }

    /// The lines of what was measured, round by round.
    pub(crate) fn report(
        &mut self,
        row: &str,
        unit: &str,
        ours: &[Samples],
        others: &[Samples],
        bounds: &[Bound],
    ) {
        for our in ours {
            let name = full_name(row, our.name);
            let (least, median, most) = spread(&our.values);
            if others.is_empty() {
                self.line(&format!(
                    "{name:<50} {:>9} [{}–{}], nothing to compare with",
                    value(median, unit),
                    value(least, unit),
                    value(most, unit),
                ));
            }
            for other in others {
                let pairs = our.values.iter().zip(&other.values);
                let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
                let (least, ratio, most) = spread(&ratios);
                let bound = bounds
                    .iter()
                    .find(|b| b.ours == our.name && b.other == other.name);
                let verdict = bound.map_or_else(String::new, |bound| {
                    self.verdict(&format!("{name} / {}", other.name), ratio, bound.at_most)
                });
                let range = format!("[{least:.3}–{most:.3}]");
                self.line(&format!(
                    "{name:<50} {:>9} {:>9} {:<10} {ratio:>6.3} {range:<16}  {verdict}",
                    value(median, unit),
                    value(spread(&other.values).1, unit),
                    other.name,
                ));
            }
        }
    }

    /// The line of a count, which is compared with nothing.
    pub(crate) fn count(&mut self, row: &str, samples: &Samples, at_most: f64) {
        if !self.wants(row, samples.name) || samples.values.is_empty() {
            return;
        }
        let name = full_name(row, samples.name);
        let (least, median, most) = spread(&samples.values);
        let verdict = self.verdict(&name, median, at_most);
        let range = format!("[{least:.1}–{most:.1}]");
        self.line(&format!("{name:<72} {median:>5.1} {range:<16} {verdict}"));
    }

    fn verdict(&mut self, name: &str, value: f64, at_most: f64) -> String {
        if value <= at_most {
            self.met += 1;
            format!("≤ {at_most:.2} ok")
        } else {
            self.missed.push(name.to_owned());
            format!("≤ {at_most:.2} missed")
        }
    }

    pub(crate) fn end(&self) {
        if self.lines == 0 {
            println!("no line has that word in its name");
            return;
        }
        let seconds = self.started.elapsed().as_secs();
        println!(
            "\n{} bounds met, {} missed, in {seconds} s",
            self.met,
            self.missed.len()
        );
        for name in &self.missed {
            println!("missed: {name}");
        }
    }
}

fn full_name(row: &str, side: &str) -> String {
    if side.is_empty() {
        row.to_owned()
    } else {
        format!("{row}, {side}")
    }
}

fn value(value: f64, unit: &str) -> String {
    if value < 100.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Least, median and most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    )
}
