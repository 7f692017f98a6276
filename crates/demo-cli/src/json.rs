//! Data that is printed as JSON, where a terminal may be shown it.

use std::fmt::Write;

use serde::Serialize;

use crate::human::steers;

/// On several lines.
pub(crate) fn pretty(data: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string_pretty(data)?;
    Ok(by_number(&json, |c| c != '\n' && steers(c)))
}

/// Writes some characters by their numbers. They may be those that JSON has in strings only: there it
/// means the same.
pub(crate) fn by_number(json: &str, of: impl Fn(char) -> bool) -> String {
    let mut written = String::with_capacity(json.len());
    for c in json.chars() {
        match of(c) {
            true => {
                let mut halves = [0; 2];
                for half in c.encode_utf16(&mut halves) {
                    // Writing to a string does not fail.
                    let _ = write!(written, "\\u{half:04x}");
                }
            }
            false => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal_and_all_is_read_back() {
        let text = "\u{1b}[2J\n\u{9b}\u{7f}\u{202e}µ\u{1f600}";
        let json = pretty(&[text]).expect("JSON");
        assert!(!json.replace('\n', "").contains(steers), "{json:?}");
        assert!(json.contains("µ\u{1f600}"), "{json}");
        let read: [String; 1] = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read[0], text);
        let both = by_number(&json, |c| c == '\u{1f600}');
        assert!(both.contains("\\ud83d\\ude00"), "{both}");
    }
}
