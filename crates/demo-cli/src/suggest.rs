//! What was probably meant by a name that is not known.

/// Names less alike than this, from 0 to 1, are no slip of the hand.
const ALIKE: f64 = 0.75;

/// `; did you mean qat-c62x-1?` for a name that is nearly one of those known, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let alike = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        // The first of those that are equally alike.
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    alike.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand() {
        let known = ["ideal", "qat-c62x-1", "qat-c62x-3", "flaky"];
        assert_eq!(
            did_you_mean("qat-c62x", known),
            "; did you mean qat-c62x-1?"
        );
        assert_eq!(did_you_mean("flakey", known), "; did you mean flaky?");
        assert_eq!(did_you_mean("abacus", known), "");
        assert_eq!(did_you_mean("", known), "");
    }
}
