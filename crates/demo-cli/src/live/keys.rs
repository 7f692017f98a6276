//! Keys, from the bytes that a terminal sends for them.
//!
//! Read here and not by a library: that of the screen never returns from a terminal that has hung up, nor
//! from the beginning of a sequence that does not go on.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    EndRun,
    EndRow,
    Freeze,
    Help,
    /// To end at once.
    Interrupt,
}

/// Standard input, as keys.
#[derive(Default)]
pub(super) struct Keys {
    at: At,
}

/// Where in a sequence of bytes that is one key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum At {
    #[default]
    Between,
    /// Escape has come: a key of its own, or the beginning of a sequence.
    Escape,
    /// In a sequence that ends with the first letter.
    Sequence,
    /// Before the last byte of a sequence.
    Last,
}

/// The byte of the key Escape, which sequences begin with.
const ESCAPE: u8 = 0x1b;
/// That of Ctrl-C.
const CTRL_C: u8 = 3;

impl Keys {
    /// The keys that are pressed within this time. Returns once there is anything. An error says that
    /// none will ever come.
    pub(super) fn read(&mut self, patience: Duration) -> io::Result<Vec<Key>> {
        let stdin = io::stdin();
        let mut wait = [PollFd::new(&stdin, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: patience.subsec_nanos().into(), // it is less than a second
        };
        match poll(&mut wait, Some(&patience)) {
            Ok(0) => return Ok(self.nothing_came().into_iter().collect()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 256];
        match rustix::io::read(&stdin, &mut bytes) {
            // It has hung up.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(self.all(&bytes[..read])),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn all(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|byte| self.next(*byte)).collect()
    }

    fn next(&mut self, byte: u8) -> Option<Key> {
        let before = std::mem::take(&mut self.at);
        match (before, byte) {
            // Whatever a sequence was to be.
            (_, CTRL_C) => return Some(Key::Interrupt),
            (At::Escape, ESCAPE) => {
                self.at = At::Escape;
                return Some(Key::EndRun);
            }
            (_, ESCAPE) => self.at = At::Escape,
            (At::Escape, b'[') => self.at = At::Sequence,
            (At::Escape, b'O') => self.at = At::Last,
            (At::Sequence, b' '..=b'?') => self.at = At::Sequence,
            // With Alt, or the end of a sequence.
            (At::Escape | At::Sequence | At::Last, _) => {}
            (At::Between, _) => return meaning(byte),
        }
        None
    }

    /// A sequence would have gone on.
    fn nothing_came(&mut self) -> Option<Key> {
        (std::mem::take(&mut self.at) == At::Escape).then_some(Key::EndRun)
    }
}

fn meaning(byte: u8) -> Option<Key> {
    match byte {
        b'q' | b'Q' => Some(Key::EndRun),
        b'n' | b'N' => Some(Key::EndRow),
        b'p' | b'P' | b' ' => Some(Key::Freeze),
        b'?' | b'h' | b'H' => Some(Key::Help),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_no_keys_of_ours() {
        let mut keys = Keys::default();
        for (bytes, expected) in [
            (
                &b"qNp?"[..],
                &[Key::EndRun, Key::EndRow, Key::Freeze, Key::Help][..],
            ),
            // Arrows and the like, a key with Alt, text of other languages.
            (
                b"\x1b[A\x1b[1;5H\x1bOq\x1bq\xc3\xb6\x1b[15~n",
                &[Key::EndRow],
            ),
            (b"\x1b", &[]),
            // It went on.
            (b"[Hp", &[Key::Freeze]),
            (b"\x1b[12\x03", &[Key::Interrupt]),
            (b"\x1b\x1b", &[Key::EndRun]),
        ] {
            assert_eq!(keys.all(bytes), expected, "{bytes:?}");
        }
        assert_eq!(keys.nothing_came(), Some(Key::EndRun));
        assert_eq!(keys.nothing_came(), None);
        assert!(keys.all(b"\x1b[").is_empty());
        assert_eq!(keys.nothing_came(), None);
        assert_eq!(keys.all(b"q"), [Key::EndRun]);
    }
}
