//! Sizes, durations, and how numbers are shown.

use std::time::Duration;

use offload::{MAX_DATA_BYTES, OpKind};

use crate::suggest::did_you_mean;

/// The most jobs in flight.
const JOBS_MAX: usize = 1_000_000;
/// The most threads that run jobs.
const THREADS_MAX: usize = 1024;
/// The most times that the rows are run over.
const REPEAT_MAX: usize = 1000;
/// The shortest time-out.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// Parses a size: `64`, `4k`, `1KiB`, `1MiB`. Binary units; 1 byte to 1 GiB.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    const EXPECTED: &str = "give 1 byte to 1GiB, as in 64, 4k, 1KiB or 1MiB";
    let (digits, unit) = split(text);
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| EXPECTED.to_owned())?;
    match number.checked_mul(factor) {
        Some(bytes) if (1..=MAX_DATA_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// Parses a duration: `500ms`, `2s`, `1.5s`, `1m`. More than nothing, at most a day.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "give more than 0 and at most 24h, with a unit, as in 500ms, 2s or 1m";
    let (digits, unit) = split(text);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| EXPECTED.to_owned())?;
    let seconds = number * factor;
    if !(1e-6..=86_400.0).contains(&seconds) {
        return Err(EXPECTED.to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses an operation's name.
pub(crate) fn parse_op(text: &str) -> Result<OpKind, String> {
    OpKind::from_name(text).ok_or_else(|| {
        let names = OpKind::ALL.map(OpKind::name);
        let meant = did_you_mean(text, names);
        format!("the operations are {}{meant}", names.join(", "))
    })
}

/// Parses which operation of which thread: `17`, `2:17`.
pub(crate) fn parse_op_id(text: &str) -> Result<(u64, u64), String> {
    let (thread, n) = text.split_once(':').unwrap_or(("0", text));
    let id = thread.parse().ok().zip(n.parse().ok());
    id.ok_or_else(|| "give an operation's number, as 17, or that of its thread too, as 2:17".into())
}

/// Parses a count of at least 1.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count >= 1 => Ok(count),
        _ => Err("give a whole number of at least 1".to_owned()),
    }
}

/// Parses a number of jobs: 1 to a million.
pub(crate) fn parse_jobs(text: &str) -> Result<usize, String> {
    parse_within(text, JOBS_MAX)
}

/// Parses a range of seeds: `0..1000`.
pub(crate) fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let range = text.split_once("..").and_then(|(start, end)| {
        let range = start.parse::<u64>().ok()?..end.parse::<u64>().ok()?;
        (!range.is_empty() && range.end < u64::MAX / 2).then_some(range)
    });
    range.ok_or_else(|| "give the first seed and the one behind the last, as 0..1000".to_owned())
}

/// Parses the name of a bug that can be built into a device.
pub(crate) fn parse_plant(text: &str) -> Result<sim_engine::Plant, String> {
    let bugs = sim_engine::Plant::ALL;
    let found = bugs.iter().find(|(name, _)| *name == text);
    found.map(|(_, bug)| *bug).ok_or_else(|| {
        let names = bugs.map(|(name, _)| name);
        format!("give one of {}", names.join(", "))
    })
}

/// Parses a number of threads: 1 to 1024.
pub(crate) fn parse_threads(text: &str) -> Result<usize, String> {
    parse_within(text, THREADS_MAX)
}

/// Parses how often the rows are run: 1 to 1000 times.
pub(crate) fn parse_repeat(text: &str) -> Result<usize, String> {
    parse_within(text, REPEAT_MAX)
}

/// Parses a rate: operations a second, from one in a thousand seconds to a billion, as in `500`, `20k` or
/// `1.5M`.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (text, 1.0),
    };
    match digits.parse::<f64>().map(|rate| rate * factor) {
        Ok(rate) if (1e-3..=1e9).contains(&rate) => Ok(rate),
        _ => Err(
            "give operations a second, from 0.001 to 1000000000, as in 500, 20k or 1.5M".to_owned(),
        ),
    }
}

/// Parses a seed.
pub(crate) fn parse_seed(text: &str) -> Result<u64, String> {
    let seed = text.parse();
    seed.map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

fn parse_within(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!(
            "give a whole number of at least 1 and at most {most}"
        )),
    }
}

/// Parses a time-out: a duration that the clients' watchdog can tell.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        timeout if timeout >= TIMEOUT_MIN => Ok(timeout),
        _ => Err(format!(
            "time-outs are told apart to {}; give at least that",
            show_duration(TIMEOUT_MIN)
        )),
    }
}

/// Where the digits end and the unit begins.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.trim_start())
}

/// A size as it would be typed: `1KiB`, `1000`.
pub(crate) fn show_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (factor, unit) in units {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// A duration as it would be typed.
pub(crate) fn show_duration(duration: Duration) -> String {
    format!("{duration:?}").replace('µ', "u")
}

/// A number of seconds, as it would be typed; one that was read may be no duration.
pub(crate) fn show_seconds(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => show_duration(duration),
        Err(_) => format!("{seconds}s"),
    }
}

/// A whole number with its thousands apart: `1,234,567`.
pub(crate) fn show_count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let good = [
            ("1", 1),
            ("64", 64),
            ("64b", 64),
            ("4k", 4096),
            ("1KiB", 1024),
            ("1kib", 1024),
            ("1 MiB", 1 << 20),
            ("3M", 3 << 20),
            ("1GiB", MAX_DATA_BYTES),
            ("1073741824", MAX_DATA_BYTES),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        let bad = [
            "",
            "0",
            "0k",
            "-1",
            "k",
            "1.5k",
            "1kB",
            "1 TiB",
            "2GiB",
            "1073741825",
            "ten",
            "99999999999999999999",
            "18446744073709551615k",
        ];
        for text in bad {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        let good = [
            ("500ms", 500_000),
            ("2s", 2_000_000),
            ("1.5s", 1_500_000),
            ("1m", 60_000_000),
            ("1us", 1),
            ("24h", 86_400_000_000),
        ];
        for (text, micros) in good {
            let parsed = parse_duration(text).map(|d| d.as_micros());
            assert_eq!(parsed, Ok(micros), "{text}");
        }
        for text in [
            "", "0s", "0ms", "2", "-1s", "25h", "1.2.3s", "s", "1d", "infs", "NaNs",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for bytes in [1, 64, 1000, 1024, 1536, 4096, 1 << 20, MAX_DATA_BYTES] {
            assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
        for text in ["500ms", "2s", "1.5s", "10us"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Ok(text));
        }
    }

    #[test]
    fn operations() {
        assert_eq!(parse_op_id("17"), Ok((0, 17)));
        assert_eq!(parse_op_id("2:17"), Ok((2, 17)));
        for text in ["", ":", "1:", ":1", "-1", "1:2:3", "one", "1.5"] {
            assert!(parse_op_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts() {
        assert_eq!(show_count(0), "0");
        assert_eq!(show_count(999), "999");
        assert_eq!(show_count(1000), "1,000");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert!(parse_count("0").is_err());
        assert!(parse_count("-3").is_err());
        assert_eq!(parse_count("5000"), Ok(5000));
        assert_eq!(parse_jobs("1000000"), Ok(JOBS_MAX));
        assert!(parse_jobs("1000001").is_err());
        assert_eq!(parse_threads("1024"), Ok(THREADS_MAX));
        assert!(parse_threads("1025").is_err());
        assert_eq!(parse_rate("500"), Ok(500.0));
        assert_eq!(parse_rate("20k"), Ok(20_000.0));
        assert_eq!(parse_rate("1.5M"), Ok(1_500_000.0));
        for bad in ["", "k", "20kk", "20K", "-1k", "0", "2000M", "NaN", "inf"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_seed("0"), Ok(0));
        assert!(parse_seed("x").is_err_and(|said| said.contains("whole number")));
        assert_eq!(parse_timeout("10ms"), Ok(TIMEOUT_MIN));
        assert!(parse_timeout("9.9ms").is_err());
    }
}
