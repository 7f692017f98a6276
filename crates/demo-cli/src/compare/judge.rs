//! Whether a comparison passes.

use super::figures::{Figure, Measured};
use super::outcome::{Compared, Pair};

/// Says why `compared` fails, if it does: rows that take more than `most` times as long, or cannot be
/// judged, or are missing, or are not verified any more.
pub(super) fn judge(compared: &mut Compared, base: &str, most: f64) {
    let file = compared.file.clone();
    let mut failed = Vec::new();
    for name in &compared.only_in_base {
        failed.push(format!("{name}: a row of {base} that {file} does not have"));
    }
    for pair in &compared.rows {
        let sentences: Vec<String> = (pair.judged_by.iter())
            .filter_map(|&figure| too_slow(pair, figure, base, &file, most))
            .collect();
        compared.slower += usize::from(!sentences.is_empty());
        failed.extend(sentences);
        if pair.verified.base && !pair.verified.other {
            failed.push(format!(
                "{}: verified in {base}, and not verified in {file}",
                pair.name
            ));
        }
    }
    compared.failed.extend(failed);
}

/// Why a row fails by a figure.
fn too_slow(pair: &Pair, figure: Figure, base: &str, file: &str, most: f64) -> Option<String> {
    let (name, words) = (&pair.name, figure.words());
    match pair.figures.get(&figure)? {
        Measured {
            ratio: Some(ratio), ..
        } if *ratio <= most => None,
        measured @ Measured {
            ratio: Some(ratio), ..
        } => Some(format!(
            "{name}: {words} is {} times that of {base} ({}), above {most}",
            show_above(*ratio, most),
            measured.both()
        )),
        Measured {
            base_us: Some(_),
            other_us: None,
            ..
        } => Some(format!(
            "{name}: there is no {words} in {file}: too few operations were completed"
        )),
        // Nothing, compared with something.
        measured if measured.base_us.is_some() => Some(format!(
            "{name}: {words} cannot be compared ({})",
            measured.both()
        )),
        // What the base does not have bounds nothing.
        _ => None,
    }
}

/// A ratio with as many digits as it takes to see that it is above another.
fn show_above(ratio: f64, most: f64) -> String {
    let mut shown = format!("{ratio:.2}");
    for digits in 3..=9 {
        if shown.parse::<f64>().is_ok_and(|shown| shown > most) {
            break;
        }
        shown = format!("{ratio:.digits$}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_that_fails_looks_like_it() {
        assert_eq!(show_above(2.0, 1.1), "2.00");
        assert_eq!(show_above(1.1004, 1.1), "1.1004");
    }
}
