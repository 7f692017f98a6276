//! Numbers as people read them: three digits and a unit.

use std::time::Duration;

/// A number with three significant digits and the prefix that suits it: `1.23 M`, `414 k`, `37`, `0.25`.
/// A unit goes right behind it.
pub(crate) fn show_number(number: f64) -> String {
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    for (factor, prefix) in prefixes {
        // What is rounded up to the next prefix has it.
        if number.abs() >= factor * 0.9995 {
            return format!("{} {prefix}", three_digits(number / factor));
        }
    }
    format!("{} ", three_digits(number))
}

/// Operations a second: `1.23 M ops/s`.
pub(crate) fn show_rate(ops_per_s: f64) -> String {
    let number = show_number(ops_per_s);
    match number.ends_with(' ') {
        true => format!("{number}ops/s"),
        false => format!("{number} ops/s"),
    }
}

/// Bytes a second, in powers of ten: `848 MB/s`.
pub(crate) fn show_byte_rate(bytes_per_s: f64) -> String {
    format!("{}B/s", show_number(bytes_per_s))
}

/// A time in microseconds: `740 ns`, `37 µs`, `2.40 ms`, `1.50 s`.
pub(crate) fn show_us(us: f64) -> String {
    let units = [(1e6, "s"), (1e3, "ms"), (1.0, "µs")];
    for (factor, unit) in units {
        if us.abs() >= factor * 0.9995 {
            return format!("{} {unit}", three_digits(us / factor));
        }
    }
    format!("{:.0} ns", us * 1e3)
}

/// The same, `-` where there is none.
pub(crate) fn show_us_or_none(us: Option<f64>) -> String {
    us.map_or_else(|| "-".to_owned(), show_us)
}

/// Three significant digits, and those before the point whatever their number.
fn three_digits(number: f64) -> String {
    let digits = match number.abs() {
        // No run has as much; a file that was made up may.
        n if n >= 1e15 => return format!("{number:.2e}"),
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    let shown = format!("{number:.digits$}");
    // A whole number is one: 37, not 37.0.
    match shown.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => shown,
    }
}

/// Whether a terminal obeys a character, or shows what comes after it in another order.
pub(crate) fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// Characters of a text that is quoted in a sentence, at most.
const QUOTED_MAX: usize = 400;

/// The same of a text that may be long and goes into a sentence: its beginning will do.
pub(crate) fn printable_start(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        None => printable(text),
        Some((end, _)) => printable(&text[..end]) + "…",
    }
}

/// Text that was read, as a terminal may be shown it: what could steer the terminal is spelled out.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// A time that is left: `8 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn show_time_left(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let shown = [
            (0.0, "0 "),
            (0.254, "0.25 "),
            (9.999, "10 "),
            (37.0, "37 "),
            (413.7, "414 "),
            (999.6, "1 k"),
            (413_691.0, "414 k"),
            (999_999.0, "1 M"),
            (1_234_567.0, "1.23 M"),
            (8.0e15, "8000 T"),
        ];
        for (number, expected) in shown {
            assert_eq!(show_number(number), expected);
        }
        assert_eq!(show_rate(1_234_567.0), "1.23 M ops/s");
        assert_eq!(show_rate(12.0), "12 ops/s");
        assert_eq!(show_byte_rate(848.0e6), "848 MB/s");
        assert_eq!(show_byte_rate(12.5), "12.5 B/s");
    }

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        assert_eq!(printable("37 µs – fine"), "37 µs – fine");
        assert_eq!(
            printable("\u{1b}[2J\n\u{9b}\u{202e}\u{200f}"),
            "\\u{1b}[2J\\u{a}\\u{9b}\\u{202e}\\u{200f}"
        );
        assert_eq!(printable_start("short\r"), "short\\u{d}");
        let long = "µ".repeat(5000);
        assert_eq!(printable_start(&long), "µ".repeat(QUOTED_MAX) + "…");
    }

    #[test]
    fn times() {
        let shown = [
            (0.74, "740 ns"),
            (0.9999, "1 µs"),
            (37.04, "37 µs"),
            (37.5, "37.5 µs"),
            (2395.2, "2.40 ms"),
            (999.7, "1 ms"),
            (1_500_000.0, "1.50 s"),
            (0.0, "0 ns"),
            (-37.5, "-37.5 µs"),
            (-1e308, "-1.00e302 s"),
        ];
        for (us, expected) in shown {
            assert_eq!(show_us(us), expected);
        }
        let left = |s| show_time_left(Duration::from_secs(s));
        assert_eq!(
            (left(8), left(200), left(7500)),
            ("8 s".into(), "3 min 20 s".into(), "2 h 5 min".into())
        );
    }
}
