//! What is said of an operation, step by step, and beside the others of its row.

use super::draw::time;
use super::life::{Compared, Step};
use super::peers::{PARTS, Part, Peers};
use super::read::{End, Span, What, Why};
use super::survey::{Found, Row};
use crate::units::show_count;

/// A point of its life: when, what begins there, and what is said of it.
pub(super) struct Point {
    pub(super) at: u64,
    pub(super) stage: &'static str,
    pub(super) said: String,
}

/// What is told from.
pub(super) struct Teller<'a> {
    pub(super) row: &'a Row,
    pub(super) found: &'a Found,
    pub(super) peers: &'a Peers,
}

impl Teller<'_> {
    pub(super) fn end(&self) -> End {
        self.found
            .span
            .as_ref()
            .map_or(End::CutOff, |span| span.end)
    }

    /// Its own way, in order; times never go back.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        let mut add = |at: u64, stage, said: String| {
            let at = points.last().map_or(at, |before| at.max(before.at));
            points.push(Point { at, stage, said });
        };
        let span = self.found.span.as_ref();
        if let Some(span) = span {
            self.host_side(span, &mut add);
        }
        let cut_off = self.end() == End::CutOff;
        let until = match span {
            Some(span) if !cut_off => span.resumed,
            _ => u64::MAX,
        };
        self.device_side(until, &mut add);
        if let Some(span) = span
            && !cut_off
        {
            add(span.resumed, "", self.last_words(span));
        }
        // What goes from a step on the device to its end without the ones between has waited for them.
        for at in 1..points.len() {
            let next = points[at].stage;
            let before = &mut points[at - 1].stage;
            let never_done = matches!(next, RESUMES | "");
            match *before {
                THERE if next == ENGINE => *before = QUEUE,
                THERE | QUEUE | ENGINE if never_done => *before = SILENT,
                BACK if next.is_empty() => *before = SILENT,
                _ => {}
            }
        }
        points
    }

    /// Until the device has taken it on.
    fn host_side(&self, span: &Span, add: &mut dyn FnMut(u64, &'static str, String)) {
        if let Some(job) = span.job {
            if span.due < span.begun {
                add(span.due, "waits for its turn", "It is due.".to_owned());
            }
            add(span.begun, BEGINS, format!("Job {job} begins it."));
        }
        if let Some(refused) = span.refused {
            let times = match refused.times {
                1 => String::new(),
                n => format!(", {} times in all", show_count(n)),
            };
            let said = match refused.why {
                Why::RingFull if self.peers.inside > 0 => format!(
                    "The device refuses it{times}: the ring is full, with {} on the endpoint. It waits for room.",
                    show_count(self.peers.inside)
                ),
                Why::RingFull => {
                    format!("The device refuses it{times}: the ring is full. It waits for room.")
                }
                Why::Unsupported => format!("The device refuses it{times}: it cannot do this."),
                Why::Down => format!("The device refuses it{times}: it is down."),
                Why::Throttled => format!("The device refuses it{times}: too many in a second."),
                Why::NoDescriptor => {
                    format!("The device refuses it{times}: no descriptor is left.")
                }
                Why::Other => format!("The device refuses it{times}."),
            };
            let stage = match refused.why {
                Why::RingFull => ROOM,
                _ => ELSEWHERE,
            };
            add(refused.at, stage, said);
        }
        if let Some(submitted) = span.submitted {
            let (endpoint, instance) = (submitted.endpoint, submitted.instance);
            let said = format!(
                "The device takes it on, in instance {instance} of endpoint {endpoint}; its job pauses."
            );
            add(submitted.at, THERE, said);
        }
    }

    /// On the device, as far as it came until its job went on.
    fn device_side(&self, until: u64, add: &mut dyn FnMut(u64, &'static str, String)) {
        let Some(record) = &self.found.record else {
            // What is lost there has begun, if it has.
            let started = self.found.span.as_ref().and_then(|span| span.started);
            if let Some(started) = started.filter(|at| *at <= until) {
                add(started, ENGINE, "An engine begins with it.".to_owned());
            }
            return;
        };
        if let Some(arrived) = record.arrived.filter(|at| *at <= until) {
            add(arrived, QUEUE, self.ahead());
        }
        let served = record.served.or_else(|| {
            let started = self.found.span.as_ref()?.started?;
            Some((started, u64::MAX))
        });
        if let Some((started, done)) = served {
            if started <= until {
                let engine = match record.engine {
                    Some(engine) => format!("Engine {engine} begins with it"),
                    None if self.row.head.engines == 0 => "It is carried out".to_owned(),
                    None => "An engine begins with it".to_owned(),
                };
                let batch = match self.peers.batch {
                    0 => String::new(),
                    n => format!(", in a batch with {}", others(n)),
                };
                add(started, ENGINE, format!("{engine}{batch}."));
            }
            if done <= until {
                let said = "The engine is done; the answer is on its way.";
                add(done, BACK, said.to_owned());
            }
        }
        // What nobody waited for comes too late, at whatever time.
        if record.answered <= until && record.end != End::Orphaned {
            let said = match record.end {
                End::Failed if record.served.is_none() => "The device gives it up.",
                End::Failed => "The device answers with a failure; its job is woken.",
                _ => "The answer is there; its job is woken.",
            };
            add(record.answered, RESUMES, said.to_owned());
        }
    }

    fn ahead(&self) -> String {
        let (ahead, served) = (self.peers.ahead, self.peers.served);
        let engines = match (served, self.row.head.engines) {
            (0, _) => "the engines are free".to_owned(),
            (1, _) => "1 is on an engine".to_owned(),
            (n, _) => format!("{} are on engines", show_count(n)),
        };
        match ahead {
            0 => format!("It is at the endpoint; nobody waits before it, {engines}."),
            1 => format!("It is at the endpoint; 1 other waits before it, {engines}."),
            n => format!(
                "It is at the endpoint; {} others wait before it, {engines}.",
                show_count(n)
            ),
        }
    }

    /// What its job has in the end.
    fn last_words(&self, span: &Span) -> String {
        let why = span.why.as_deref().unwrap_or("no reason was given");
        let failed_there =
            (self.found.record.as_ref()).is_some_and(|record| record.end == End::Failed);
        let refused_for_good = span.refused.is_some() && span.submitted.is_none();
        match span.end {
            End::Completed if failed_there || refused_for_good => {
                "Its job goes on: completed, by software instead.".to_owned()
            }
            End::Completed if span.submitted.is_none() => {
                "Its job goes on: completed, on the spot and not on a device.".to_owned()
            }
            End::Wrong => "Its job goes on, with an answer that is WRONG.".to_owned(),
            End::Failed => format!("Its job goes on: failed ({why})."),
            End::Cancelled => "Its job is cancelled.".to_owned(),
            _ => "Its job goes on: completed.".to_owned(),
        }
    }

    /// What happened to its endpoint meanwhile.
    pub(super) fn events(&self, due: u64) -> Vec<Step> {
        let events = self.peers.events.iter().map(|event| {
            let what = match event.what {
                What::Died => "dies: what is on it gets no answer",
                What::FoundDead => "is found dead: what was on it fails",
                What::Restarted => "works again",
            };
            let said = format!("(Endpoint {} {what}.)", event.endpoint);
            aside(event.at, due, said)
        });
        events.collect()
    }

    /// What the device made of it when nobody waited any more.
    pub(super) fn too_late(&self, due: u64) -> Option<Step> {
        let record = self.found.record.as_ref()?;
        let span = self.found.span.as_ref()?;
        if record.end != End::Orphaned || record.answered < span.resumed {
            return None;
        }
        let said = match record.served {
            Some(_) => "(The answer comes too late: nobody waits for it any more.)",
            None => "(The device lets go of it, without an answer.)",
        };
        Some(aside(record.answered, due, said.to_owned()))
    }

    pub(super) fn compared(&self, silent: u64) -> Compared {
        let peers = self.peers;
        let others = peers.others();
        let mut compared = Compared {
            others,
            shorter: peers.shorter,
            longer: peers.longer,
            said: String::new(),
        };
        if self.found.span.is_none() || self.end() == End::CutOff {
            return compared;
        }
        let (shorter, longer) = (peers.shorter, peers.longer);
        compared.said = match others {
            0 => "the only one of its row".to_owned(),
            _ if shorter == 0 && longer == 0 => {
                format!(
                    "as long as each of this row's {} others",
                    show_count(others)
                )
            }
            _ if peers.same >= shorter && peers.same >= longer => {
                let share = of_all(peers.same, others);
                format!("as long as {share} of this row's operations")
            }
            _ if shorter >= longer => {
                let mut said = format!(
                    "slower than {} of this row's operations",
                    of_all(shorter, others)
                );
                if let Some(reason) = self.reason(silent) {
                    said += &format!(": {reason}");
                }
                said
            }
            _ => format!(
                "faster than {} of this row's operations",
                of_all(longer, others)
            ),
        };
        compared
    }

    /// The part of its life that made it slow, if one did. `silent`: how long it waited for an answer
    /// while nothing came.
    fn reason(&self, silent: u64) -> Option<String> {
        let worse = PARTS.into_iter().filter_map(|part| {
            let (own, usual) = (self.own(part)?, self.peers.median(part).unwrap_or(0));
            (own > usual).then(|| (own - usual, part, own, usual))
        });
        // The first of those that are as bad.
        let worst = worse.min_by_key(|(excess, ..)| std::cmp::Reverse(*excess));
        let excess = worst.map_or(0, |(excess, ..)| excess);
        if silent > excess {
            return Some(format!("it waited {} for an answer", time(silent)));
        }
        let (_, part, own, usual) = worst?;
        let took = time(own);
        let what = match part {
            Part::Turn => format!("it waited {took} to begin"),
            Part::Room => format!("it waited {took} for room in the ring"),
            Part::Way => format!("it took {took} to come to the endpoint"),
            Part::Queue => format!("it waited {took} in the queue"),
            Part::Service => format!("its engine took {took}"),
            Part::Back => format!("its answer took {took} to come back"),
            Part::Resume => format!("its job went on {took} after the answer"),
        };
        Some(match usual {
            0 => format!("{what}, where half of the others took no time"),
            usual => format!(
                "{what}, where half of the others took {} at most",
                time(usual)
            ),
        })
    }

    fn own(&self, part: Part) -> Option<u64> {
        let span = self.found.span.as_ref();
        let record = self.found.record.as_ref();
        let served = record.and_then(|record| record.served);
        let (from, to) = match part {
            Part::Turn => span.map(|span| (span.due, span.begun)),
            Part::Room => span.and_then(|span| Some((span.refused?.at, span.submitted?.at))),
            Part::Queue => record
                .and_then(|record| record.arrived)
                .zip(served.map(|(at, _)| at)),
            Part::Service => served,
            Part::Way => span.and_then(|span| Some((span.submitted?.at, record?.arrived?))),
            Part::Resume => span.and_then(|span| Some((record?.answered, span.resumed))),
            Part::Back => served
                .map(|(_, at)| at)
                .zip(record.map(|record| record.answered)),
        }?;
        Some(to.saturating_sub(from))
    }
}

/// The stages that something goes by.
const BEGINS: &str = "begins";
const ROOM: &str = "waits for room";
const ELSEWHERE: &str = "goes elsewhere";
const THERE: &str = "on its way there";
const QUEUE: &str = "in the queue";
const ENGINE: &str = "on an engine";
const BACK: &str = "answer on its way";
const RESUMES: &str = "its job resumes";
pub(super) const SILENT: &str = "waits for an answer";

/// A step that is not its own.
fn aside(at: u64, due: u64, said: String) -> Step {
    Step {
        at_ns: at.saturating_sub(due),
        took_ns: None,
        said,
    }
}

fn others(n: u64) -> String {
    match n {
        1 => "1 other".to_owned(),
        n => format!("{} others", show_count(n)),
    }
}

/// A share in words, rounded down: `97 %`, `99.9 %`, `all`.
fn of_all(part: u64, all: u64) -> String {
    if part == all {
        return "all the others".to_owned();
    }
    let tenths = (u128::from(part) * 1000 / u128::from(all)) as u64; // less than 1000
    match tenths {
        990.. => format!("{}.{} %", tenths / 10, tenths % 10),
        tenths => format!("{} %", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down() {
        let cases = [
            (1, 3, "33 %"),
            (97, 100, "97 %"),
            (999, 1000, "99.9 %"),
            (99_999, 100_000, "99.9 %"),
            (5, 5, "all the others"),
            (0, 5, "0 %"),
        ];
        for (part, all, said) in cases {
            assert_eq!(of_all(part, all), said);
        }
    }
}
