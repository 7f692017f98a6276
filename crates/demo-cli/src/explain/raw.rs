//! An event of a trace, as it is written.

use serde::Deserialize;

use super::read::{End, What, Why};

/// An event, as it is written. What is not asked for is skipped unread.
#[derive(Deserialize)]
pub(super) struct Raw {
    pub(super) ph: Ph,
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) tid: u64,
    #[serde(default)]
    pub(super) ts: Us,
    #[serde(default)]
    pub(super) dur: Us,
    #[serde(default)]
    pub(super) args: Args,
}

/// What kind of event it is.
#[derive(PartialEq, Eq, Deserialize)]
pub(super) enum Ph {
    #[serde(rename = "M")]
    Name,
    #[serde(other)]
    Else,
}

/// What belongs to it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Args {
    pub(super) row: Option<u32>,
    pub(super) tracks: Option<Tracks>,
    pub(super) row_name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) device: Option<String>,
    pub(super) engines: Option<u32>,
    pub(super) op: Option<u64>,
    pub(super) thread: Option<u64>,
    pub(super) due: Option<Us>,
    pub(super) refused: Option<Why>,
    pub(super) refusals: Option<u64>,
    pub(super) refused_at: Option<Us>,
    pub(super) submitted: Option<Us>,
    pub(super) endpoint: Option<u32>,
    pub(super) instance: Option<u32>,
    pub(super) engine: Option<u32>,
    pub(super) arrived: Option<Us>,
    pub(super) started: Option<Us>,
    pub(super) done: Option<Us>,
    pub(super) answered: Option<Us>,
    pub(super) end: Option<End>,
    pub(super) why: Option<String>,
    pub(super) event: Option<What>,
}

/// Nanoseconds, read as µs.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Us(pub(super) u64);

impl TryFrom<f64> for Us {
    type Error = &'static str;

    fn try_from(us: f64) -> Result<Us, &'static str> {
        let ns = (us * 1000.0).round();
        if (0.0..1.8e19).contains(&ns) {
            Ok(Us(ns as u64))
        } else {
            Err("a time of a trace is at least 0")
        }
    }
}

/// Whose tracks a process has.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tracks {
    Jobs,
    Engines,
    Device,
}
