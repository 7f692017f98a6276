//! The arguments of `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::figures::Figure;
use crate::cli::Format;

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Results that were printed with --format json, two at least: the first is the base, with which
    /// each other is compared. - is standard input.
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    pub(crate) files: Vec<PathBuf>,
    /// End with status 1 if a row takes more than R times as long as in the base: 1.1 is ten percent
    /// slower. So too if a row of the base is missing, or is not verified any more.
    #[arg(long, value_parser = parse_ratio, value_name = "R")]
    pub(crate) fail_above: Option<f64>,
    /// What rows are judged by. Unless given, closed loops by time, open loops by p50; results of
    /// 'simulate' always by the time of a seed.
    #[arg(
        long,
        value_enum,
        value_name = "FIGURE,...",
        value_delimiter = ',',
        num_args = 1
    )]
    pub(crate) figure: Vec<FigureName>,
    /// How the comparison is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FigureName {
    /// The time per operation: one second ÷ operations a second.
    Time,
    /// The median of the latency.
    P50,
    /// The latency that one in a hundred exceeds.
    P99,
    /// Processor time per operation, of the whole process; none on a virtual clock.
    Cpu,
}

impl FigureName {
    pub(super) const fn figure(self) -> Figure {
        match self {
            FigureName::Time => Figure::Time,
            FigureName::P50 => Figure::P50,
            FigureName::P99 => Figure::P99,
            FigureName::Cpu => Figure::Cpu,
        }
    }
}

/// Parses a ratio that is not to be exceeded.
fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (1e-6..=1e6).contains(&ratio) => Ok(ratio),
        _ => Err("give a number above 0, as in 1.1 for ten percent slower".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios() {
        assert_eq!(parse_ratio("1.1"), Ok(1.1));
        assert_eq!(parse_ratio("2"), Ok(2.0));
        for text in ["", "0", "-1", "nan", "inf", "10%", "1,1"] {
            assert!(parse_ratio(text).is_err(), "{text}");
        }
    }
}
