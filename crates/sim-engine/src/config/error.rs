//! What is wrong with a device file.

use offload::OpKind;

/// What is wrong with a device file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceFileError {
    /// It is not TOML, or a value is of the wrong type, or a name is not known.
    #[error("{}", one_line(.0))]
    Parse(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{field} is {value}; give {expected}")]
    Range {
        /// The value's name.
        field: String,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A table of `service` is for an operation that does not exist.
    #[error(
        "[service.{name}] is for no operation; the operations are {}",
        all_ops()
    )]
    UnknownOp {
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

fn all_ops() -> String {
    OpKind::ALL.map(OpKind::name).join(", ")
}
