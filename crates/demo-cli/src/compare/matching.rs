//! Which rows of two reports belong together.
//!
//! A row is what it ran: on which engine and device, how its jobs were woken, how many there were. Rows
//! of two reports belong together if they are the same in all of that; but what is one value throughout
//! one report and another throughout the other, such as the device where two devices are compared, is
//! what the reports differ in, and does not keep their rows apart.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::human::{printable, show_rate};
use crate::report::{Row, size_with_unit};
use crate::units::show_count;

/// Values of a field that are listed, at most.
const VALUES_MAX: usize = 12;

/// Something that tells rows apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// As in JSON.
    pub(super) name: &'static str,
    /// For people.
    pub(super) heading: &'static str,
    of: fn(&Row) -> String,
    data: fn(&Row) -> Value,
}

/// All of them, in the order in which rows are named by them.
pub(super) const FIELDS: [Field; 12] = [
    Field {
        name: "engine",
        heading: "engine",
        of: |row| row.engine.to_string(),
        data: |row| (*row.engine).into(),
    },
    Field {
        name: "device",
        heading: "device",
        of: |row| row.device.clone().unwrap_or_else(|| "none".to_owned()),
        data: |row| row.device.clone().into(),
    },
    Field {
        name: "clock",
        heading: "clock",
        of: |row| row.clock.to_string(),
        data: |row| (*row.clock).into(),
    },
    Field {
        name: "op",
        heading: "op",
        of: |row| row.op.to_string(),
        data: |row| (*row.op).into(),
    },
    Field {
        name: "notify",
        heading: "notify",
        of: |row| row.notify.to_string(),
        data: |row| (*row.notify).into(),
    },
    Field {
        name: "runtime",
        heading: "runtime",
        of: |row| row.runtime.to_string(),
        data: |row| (*row.runtime).into(),
    },
    Field {
        name: "completion",
        heading: "completion",
        of: |row| row.completion.to_string(),
        data: |row| (*row.completion).into(),
    },
    Field {
        name: "threads",
        heading: "threads",
        of: |row| row.threads.to_string(),
        data: |row| row.threads.into(),
    },
    Field {
        name: "loop",
        heading: "loop",
        of: |row| row.load.to_string(),
        data: |row| (*row.load).into(),
    },
    Field {
        name: "rate_per_s",
        heading: "rate",
        of: |row| row.rate_per_s.map_or_else(|| "none".to_owned(), show_rate),
        data: |row| row.rate_per_s.into(),
    },
    Field {
        name: "jobs",
        heading: "jobs",
        of: |row| show_count(row.jobs as u64),
        data: |row| row.jobs.into(),
    },
    Field {
        name: "size_bytes",
        heading: "size",
        of: |row| size_with_unit(row.size_bytes),
        data: |row| row.size_bytes.into(),
    },
];

impl Field {
    /// Its value in a row, for people.
    pub(super) fn of(self, row: &Row) -> String {
        printable(&(self.of)(row))
    }

    /// Its value in a row, as data.
    pub(super) fn data(self, row: &Row) -> Value {
        match (self.data)(row) {
            Value::String(text) => Value::String(printable(&text)),
            other => other,
        }
    }

    /// Its values in some rows, each once, in their order.
    pub(super) fn values(self, rows: &[Row]) -> Vec<String> {
        let mut seen = HashSet::new();
        let values = rows.iter().map(|row| self.of(row));
        values.filter(|value| seen.insert(value.clone())).collect()
    }

    /// The value in the words of a row's name.
    fn named(self, row: &Row) -> String {
        let of = self.of(row);
        let many = |what: &str, one: bool| match one {
            true => format!("{of} {what}"),
            false => format!("{of} {what}s"),
        };
        match self.name {
            "jobs" => many("job", row.jobs == 1),
            "threads" => many("thread", row.threads == 1),
            "loop" => format!("{of} loop"),
            _ => of,
        }
    }
}

/// Rows of a report that are repeats of one another.
pub(super) type Group<'a> = Vec<&'a Row>;

/// The rows of two reports.
pub(super) struct Matched<'a> {
    /// Those that belong together, in the order of the base.
    pub(super) pairs: Vec<(Group<'a>, Group<'a>)>,
    pub(super) only_in_base: Vec<Group<'a>>,
    pub(super) only_in_other: Vec<Group<'a>>,
    /// What has several values within a report, or the way of being woken if nothing has: what rows
    /// are named by.
    pub(super) naming: Vec<Field>,
}

/// Matches the rows of two reports.
pub(super) fn matched<'a>(base: &'a [Row], other: &'a [Row]) -> Matched<'a> {
    let (mut keys, mut naming) = (Vec::new(), Vec::new());
    for field in FIELDS {
        let (a, b) = (field.values(base), field.values(other));
        if a.len() > 1 || b.len() > 1 {
            keys.push(field);
            naming.push(field);
        }
    }
    if naming.is_empty() {
        naming.extend(FIELDS.iter().filter(|field| field.name == "notify"));
    }
    let base = groups(base, &keys);
    let mut others = groups(other, &keys);
    let mut matched = Matched {
        pairs: Vec::new(),
        only_in_base: Vec::new(),
        only_in_other: Vec::new(),
        naming,
    };
    for (key, group) in base.in_order {
        let found = others.index.get(&key).copied();
        match found.and_then(|at| others.in_order.get_mut(at)) {
            // Each group of the base has another key: none is taken twice.
            Some((_, rows)) => matched.pairs.push((group, std::mem::take(rows))),
            None => matched.only_in_base.push(group),
        }
    }
    let left = others.in_order.into_iter().map(|(_, rows)| rows);
    matched.only_in_other = left.filter(|rows| !rows.is_empty()).collect();
    matched
}

/// The rows of a report by what they are.
struct Groups<'a> {
    in_order: Vec<(Vec<String>, Group<'a>)>,
    /// Where in it.
    index: HashMap<Vec<String>, usize>,
}

fn groups<'a>(rows: &'a [Row], keys: &[Field]) -> Groups<'a> {
    let mut groups = Groups {
        in_order: Vec::new(),
        index: HashMap::new(),
    };
    for row in rows {
        let key: Vec<String> = keys.iter().map(|field| field.of(row)).collect();
        let at = *groups.index.entry(key.clone()).or_insert_with(|| {
            groups.in_order.push((key, Vec::new()));
            groups.in_order.len() - 1
        });
        groups.in_order[at].1.push(row);
    }
    groups
}

/// A row's name: `callback, 8 jobs`.
pub(super) fn name(row: &Row, naming: &[Field]) -> String {
    let words: Vec<String> = naming.iter().map(|field| field.named(row)).collect();
    words.join(", ")
}

/// The name of two rows that belong together: `callback → fd` where it is not one.
pub(super) fn name_of_both(base: &Row, other: &Row, naming: &[Field]) -> String {
    let (base, other) = (name(base, naming), name(other, naming));
    match base == other {
        true => base,
        false => format!("{base} → {other}"),
    }
}

/// Why no rows of two reports belong together, in words.
pub(super) fn why_none(base: &[Row], other: &[Row]) -> String {
    if base.is_empty() || other.is_empty() {
        let which = if base.is_empty() { "first" } else { "second" };
        return format!("the {which} has no rows at all");
    }
    for field in FIELDS {
        let (a, b) = (field.values(base), field.values(other));
        let known: HashSet<&String> = a.iter().collect();
        if a.len().max(b.len()) > 1 && !b.iter().any(|value| known.contains(value)) {
            let (a, b) = (listed(&a), listed(&b));
            return format!(
                "{} is {a} in the first and {b} in the second",
                field.heading
            );
        }
    }
    "each combination is in one of them only".to_owned()
}

/// Some values: the first of them, if they are many.
pub(super) fn listed(values: &[String]) -> String {
    match values.len().checked_sub(VALUES_MAX) {
        None | Some(0) => values.join(", "),
        Some(more) => format!("{} and {more} more", values[..VALUES_MAX].join(", ")),
    }
}
