//! What is wrong with a device file.

use offload::OpKind;
use toml::de::{DeTable, DeValue};

/// What is wrong with a device file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFileError {
    /// It is not TOML, or a value is of the wrong type, or a name is not known.
    #[error("{}", one_line(.0))]
    Parse(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{}{field} is {value}; give {expected}", place(.line))]
    Range {
        /// The line of the file, counted from 1; `None` if it was not read from one, or the value is
        /// not in it.
        line: Option<usize>,
        /// The value's name.
        field: String,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table of `service` is for an operation that does not exist.
    #[error(
        "{}[service.{name}] is for no operation; the operations are {}",
        place(.line),
        all_ops()
    )]
    UnknownOp {
        /// The line of the file, counted from 1; `None` if it was not read from one.
        line: Option<usize>,
        /// The table's name.
        name: String,
    },
}

/// TOML's errors draw a picture over several lines; here is the sentence.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let place = text.lines().next().unwrap_or("").trim_end_matches(':');
    let place = place.strip_prefix("TOML parse error at ").unwrap_or(place);
    format!("{place}: {}", error.message().replace('\n', "; "))
}

/// The compiler is not shown how many there are: it unrolls twenty and then takes four minutes over them (LLVM's
/// `ConstraintElimination`, Rust 1.95).
fn all_ops() -> String {
    let ops = std::hint::black_box(OpKind::ALL.as_slice());
    let names: Vec<&str> = ops.iter().map(|op| op.name()).collect();
    names.join(", ")
}

fn place(line: &Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

impl DeviceFileError {
    /// The same, with where it is in the file.
    pub(super) fn found_in(mut self, text: &str) -> DeviceFileError {
        match &mut self {
            DeviceFileError::Parse(_) => {}
            DeviceFileError::Range { line, field, .. } => *line = line_of(text, field),
            DeviceFileError::UnknownOp { line, name } => {
                *line = line_of(text, &format!("service.{name}"));
            }
        }
        self
    }
}

/// The line of a value, called as `faults.script[2].for_ns`, or of the innermost table around it that
/// is there; of a product the last one that is. What is behind a space in the name is a remark.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let factors = field.rsplit(" × ");
    factors
        .filter_map(|factor| line_of_one(text, factor))
        .next()
}

fn line_of_one(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut table = Some(table.get_ref());
    let path = field.split(' ').next().unwrap_or(field);
    for step in path.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else {
            break;
        };
        let mut span = key.span();
        let mut value = value;
        if let (Some(index), DeValue::Array(values)) = (index, value.get_ref())
            && let Some(one) = values.get(index)
        {
            (span, value) = (one.span(), one);
        }
        at = Some(span.start);
        table = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
    }
    let before = text.get(..at?)?;
    Some(before.matches('\n').count() + 1)
}
