//! What two reports differ in, beside their figures.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::matching::{FIELDS, Matched, listed, name_of_both};
use super::outcome::{Change, Verdicts};
use super::source::Named;
use crate::bench::FailedBy;
use crate::human::{printable, show_number, show_rate};
use crate::report::{Report, Row, size_with_unit};
use crate::units::{show_count, show_seconds};

/// What there is none of.
const NONE: &str = "none";
/// What is shown of lists of sentences, at most.
const SENTENCES_MAX: usize = 8;

/// All of it: options, machine, what failed, what is not verified.
pub(super) fn changed(base: &Report, other: &Report, matched: &Matched<'_>) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.add("seed", base.seed, other.seed);
    changes.settings(&base.options, &other.options);
    // What the rows have beside the options: a device file may say who completes.
    for field in FIELDS {
        let values = |report: &Report| listed(&field.values(&report.rows));
        if !changes.has(field.heading) {
            changes.add(field.heading, values(base), values(other));
        }
    }
    changes.settings(&base.host, &other.host);
    changes.failures(matched);
    let sentences = |lines: &[String]| match lines.is_empty() {
        true => NONE.to_owned(),
        false => lines.join("; "),
    };
    let problems = |report: &Report| {
        let all = report.rows.iter().flat_map(|row| row.problems.clone());
        sentences(&all.take(SENTENCES_MAX).collect::<Vec<_>>())
    };
    changes.add("problems", problems(base), problems(other));
    changes.list
}

/// What bounds the rows, where that is not the same.
pub(super) fn verdicts(base: &Report, other: &Report) -> Option<Verdicts> {
    let sentences = |report: &Report| -> Vec<String> {
        let lines = report.verdict.iter().take(SENTENCES_MAX);
        lines.map(|line| printable(line)).collect()
    };
    (base.verdict != other.verdict).then(|| Verdicts {
        base: sentences(base),
        other: sentences(other),
    })
}

/// Why the ratios may not say what they seem to.
pub(super) fn warnings(base: &Named<Report>, other: &Named<Report>) -> Vec<String> {
    let (a, b) = (&base.name, &other.name);
    let (base, other) = (&base.what, &other.what);
    let mut warnings = Vec::new();
    for (name, report) in [(a, base), (b, other)] {
        if let Some(error) = &report.error {
            let error = printable(error);
            warnings.push(format!("the run of {name} ended early: {error}"));
        }
    }
    let clocks = (&*base.options.clock, &*other.options.clock);
    if clocks.0 != clocks.1 {
        warnings.push(
            "one is of a model's time and the other of real time: ratios compare the model with a machine"
                .to_owned(),
        );
    }
    // On a virtual clock times are the same whatever the build and the machine.
    if clocks == ("virtual", "virtual") {
        return warnings;
    }
    match (base.host.debug_build, other.host.debug_build) {
        (false, false) => {}
        (true, true) => warnings.push(
            "BOTH ARE OF DEBUG BUILDS, whose figures are not worth comparing; build with --release"
                .to_owned(),
        ),
        (debug, _) => {
            let (debug, release) = if debug { (a, b) } else { (b, a) };
            warnings.push(format!(
                "{debug} IS OF A DEBUG BUILD, and {release} is not: the ratios compare the builds; build both with --release"
            ));
        }
    }
    let machine = |report: &Report| {
        let host = &report.host;
        let kernel = host.kernel.clone();
        (host.os.clone(), host.arch.clone(), host.cpus, kernel)
    };
    if machine(base) != machine(other) {
        warnings.push(
            "they are of different machines or kernels, and the ratios compare these too"
                .to_owned(),
        );
    }
    warnings
}

/// What is not the same so far.
#[derive(Default)]
struct Changes {
    list: Vec<Change>,
}

impl Changes {
    /// Adds what differs, as it is shown.
    fn add(&mut self, what: &str, base: impl ToString, other: impl ToString) {
        let (base, other) = (printable(&base.to_string()), printable(&other.to_string()));
        if base != other {
            self.list.push(Change {
                what: what.to_owned(),
                base,
                other,
            });
        }
    }

    fn has(&self, what: &str) -> bool {
        self.list.iter().any(|change| change.what == what)
    }

    /// All fields of `base` and `other`, whatever they are.
    fn settings(&mut self, base: &impl Serialize, other: &impl Serialize) {
        let (base, mut other) = (flat(base), flat(other));
        for (name, value) in base {
            let value_other = other.remove(&name).unwrap_or_else(|| NONE.to_owned());
            self.add(&name, value, value_other);
        }
        for (name, value) in other {
            self.add(&name, NONE, value);
        }
    }

    /// What failed in the rows that belong together, by kind; what was left; what is verified.
    fn failures(&mut self, matched: &Matched<'_>) {
        let count = |rows: &dyn Fn(&Row) -> u64| {
            let sum = |group: &[&Row]| {
                group
                    .iter()
                    .map(|row| rows(row))
                    .fold(0, u64::saturating_add)
            };
            let pairs = matched.pairs.iter();
            pairs.fold((0_u64, 0_u64), |(a, b), (base, other)| {
                (a.saturating_add(sum(base)), b.saturating_add(sum(other)))
            })
        };
        let ended = count(&|row| {
            let failed = row.failed.saturating_add(row.cancelled);
            row.completed.saturating_add(failed)
        });
        let mut tell = |what: &str, (a, b): (u64, u64)| {
            // Of 0 operations and of 10 none have failed.
            if a == 0 && b == 0 {
                return;
            }
            let of = |part: u64, all: u64| format!("{} of {}", show_count(part), show_count(all));
            self.add(what, of(a, ended.0), of(b, ended.1));
        };
        let kinds = FailedBy::default().kinds();
        for (at, (kind, _)) in kinds.into_iter().enumerate() {
            let what = format!("failed, {}", kind.replace('_', " "));
            tell(&what, count(&|row| row.failed_by.kinds()[at].1));
        }
        tell("cancelled", count(&|row| row.cancelled));
        tell("not begun", count(&|row| row.not_begun));
        for (base, other) in &matched.pairs {
            let verified = |rows: &[&Row]| match rows.iter().all(|row| row.verified) {
                true => "verified",
                false => match rows.iter().any(|row| row.results == "modelled") {
                    true => "modelled, not verified",
                    false => "NOT VERIFIED",
                },
            };
            let name = name_of_both(base[0], other[0], &matched.naming);
            self.add(&name, verified(base), verified(other));
        }
    }
}

/// The fields of an object by their names for people, and so their values.
fn flat(object: &impl Serialize) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let Ok(Value::Object(object)) = serde_json::to_value(object) else {
        return fields;
    };
    for (name, value) in &object {
        let lists = object.get("lists").and_then(Value::as_object);
        match (name.as_str(), value) {
            // The lists have all of them.
            ("size_bytes" | "jobs", _) if lists.is_some() => {}
            ("lists", Value::Object(lists)) => {
                for (name, value) in lists {
                    fields.insert(heading(name), show(name, value));
                }
            }
            _ => {
                fields.insert(heading(name), show(name, value));
            }
        }
    }
    fields
}

/// A field's name without its unit.
fn heading(name: &str) -> String {
    let units = ["_per_s", "_bytes", "_s"];
    let stripped = units.iter().find_map(|unit| name.strip_suffix(unit));
    let stripped = match stripped.unwrap_or(name) {
        // As it is called beside the rows.
        "sizes" => "size",
        name => name,
    };
    stripped.replace('_', " ")
}

/// A field's value with its unit.
fn show(name: &str, value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| show(name, value)).collect();
            listed(&values)
        }
        Value::Number(number) => match (number.as_f64(), number.as_u64()) {
            (Some(rate), _) if name.ends_with("_per_s") => show_rate(rate),
            (Some(seconds), _) if name.ends_with("_s") => show_seconds(seconds),
            (Some(bytes), _) if name == "memory_bytes" => format!("{}B", show_number(bytes)),
            (_, Some(bytes)) if name.ends_with("_bytes") => size_with_unit(bytes as usize),
            (_, Some(count)) => show_count(count),
            _ => number.to_string(),
        },
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_names_and_units_for_people() {
        let options = serde_json::json!({
            "duration_s": 0.5, "rate_per_s": 2000.0, "total": null, "fallback": true, "jobs": 8,
            "lists": { "sizes_bytes": [64, 1024], "jobs": [8, 1000] }, "memory_bytes": 8_000_000_000_u64,
        });
        let shown = flat(&options);
        let shown: Vec<String> = shown
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "duration: 500ms",
                "fallback: yes",
                "jobs: 8, 1,000",
                "memory: 8 GB",
                "rate: 2 k ops/s",
                "size: 64 B, 1KiB",
                "total: none",
            ]
        );
    }
}
