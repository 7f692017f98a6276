//! The way of a request: arrival, batch, engine, answer, and how the host comes to see it.

use super::events::Event;
use super::{Load, Model, NO_ENGINE, Nanos, Out};

impl<T: Load> Model<T> {
    pub(super) fn arrive(&mut self, now: Nanos, index: u32, out: &mut Vec<Out<T>>) {
        let size = self.rules.batch_size;
        let Some(op) = self.op(index) else { return };
        op.times.arrived = now;
        let kind = op.course.kind;
        if size <= 1 {
            self.waiting.push_back(index);
        } else {
            let joined = self.batches.join(kind, index, size);
            if let Some(before) = joined.after
                && let Some(op) = self.op(before)
            {
                op.next = Some(index);
            }
            if let Some(version) = joined.opened {
                let at = now.saturating_add(self.rules.batch_flush_ns);
                self.at(at, Event::Flush(kind, version));
            }
            match joined.full {
                Some(first) => self.waiting.push_back(first),
                None => return,
            }
        }
        self.start(now, out);
    }

    /// Starts what waits, as far as there are engines.
    pub(super) fn start(&mut self, now: Nanos, out: &mut Vec<Out<T>>) {
        while let Some(&first) = self.waiting.front() {
            let Some(engine) = self.find_engine(now) else {
                return;
            };
            self.waiting.pop_front();
            let Some(first) = self.drop_abandoned(first, out) else {
                if engine != NO_ENGINE {
                    self.idle.push(std::cmp::Reverse(engine));
                }
                continue;
            };
            self.begin(now, first, engine, out);
            if self.dead {
                return;
            }
        }
    }

    /// An engine without work, which is then no longer in `idle`.
    fn find_engine(&mut self, now: Nanos) -> Option<u32> {
        if self.engines.is_empty() {
            return Some(NO_ENGINE);
        }
        let works = |engine: u32| self.engines[engine as usize].stalled_until <= now;
        let lowest = self.idle.peek()?.0;
        if works(lowest) {
            self.idle.pop();
            return Some(lowest);
        }
        // It is looked for again when it works again: `stall` has seen to that.
        let others = self.idle.iter().map(|idle| idle.0);
        let engine = others.filter(|&engine| works(engine)).min()?;
        self.idle.retain(|idle| idle.0 != engine);
        Some(engine)
    }

    /// Takes those out of a batch that nobody waits for. Returns the first of the others.
    pub(super) fn drop_abandoned(&mut self, first: u32, out: &mut Vec<Out<T>>) -> Option<u32> {
        let mut kept: Option<(u32, u32)> = None;
        let mut at = Some(first);
        while let Some(index) = at {
            let Some(op) = self.op(index) else { break };
            let next = op.next.take();
            if op.load.is_abandoned() {
                if let Some(op) = self.remove(index) {
                    let load = op.load;
                    out.push(Out::Skipped { load });
                }
            } else {
                let head = match kept {
                    None => index,
                    Some((head, last)) => {
                        if let Some(op) = self.op(last) {
                            op.next = Some(index);
                        }
                        head
                    }
                };
                kept = Some((head, index));
            }
            at = next;
        }
        kept.map(|(head, _)| head)
    }

    fn begin(&mut self, now: Nanos, first: u32, engine: u32, out: &mut Vec<Out<T>>) {
        let (mut service, mut stall, mut kills) = (0, 0, false);
        self.each(first, |_, op| {
            service = service.max(op.course.service_ns);
            stall = stall.max(op.course.stall_ns);
            kills |= op.course.kills;
        });
        let started = now.saturating_add(stall);
        self.each(first, |_, op| {
            op.times.started = started;
            op.engine = engine;
            if let Some(start) = op.load.start() {
                out.push(Out::Started {
                    at: started,
                    engine,
                    start,
                });
            }
        });
        if kills {
            self.die();
            out.push(Out::Died { at: now });
            return;
        }
        self.busy_ns = self.busy_ns.saturating_add(service);
        let done_at = started.saturating_add(service);
        if engine == NO_ENGINE {
            // Those of a batch end together.
            let mut all = Vec::new();
            self.each(first, |index, op| {
                op.next = None;
                all.push(index);
            });
            for index in all {
                self.at(done_at, Event::DoneAlone(index));
            }
            return;
        }
        let at = &mut self.engines[engine as usize];
        at.running = Some(first);
        at.done_at = done_at;
        at.version = at.version.wrapping_add(1);
        let version = at.version;
        self.at(done_at, Event::Done(engine, version));
    }

    /// Those from `first` on are done and on their way back.
    pub(super) fn finish(&mut self, now: Nanos, first: Option<u32>, out: &mut Vec<Out<T>>) {
        let mut at = first;
        while let Some(index) = at {
            let Some(op) = self.op(index) else { return };
            at = op.next.take();
            op.times.done = now;
            let lost = op.course.lost;
            let back = now.saturating_add(op.course.link_out_ns);
            if lost {
                if let Some(op) = self.remove(index) {
                    out.push(Out::Lost { load: op.load });
                }
                continue;
            }
            let every = self.rules.detect_every_ns;
            let seen = match every {
                0 => back,
                _ => back.checked_next_multiple_of(every).unwrap_or(back),
            };
            if seen == now {
                self.seen(now, index, out);
            } else {
                self.at(seen, Event::Seen(index));
            }
        }
    }

    pub(super) fn seen(&mut self, now: Nanos, index: u32, out: &mut Vec<Out<T>>) {
        if self.rules.coalesce_ns == 0 {
            self.answer(now, index, out);
            return;
        }
        self.held.push(index);
        if self.rules.coalesce_max > 0 && self.held.len() >= self.rules.coalesce_max as usize {
            self.tell_held(now, out);
        } else if self.held.len() == 1 {
            let at = now.saturating_add(self.rules.coalesce_ns);
            self.at(at, Event::Tell(self.held_version));
        }
    }

    pub(super) fn tell_held(&mut self, now: Nanos, out: &mut Vec<Out<T>>) {
        self.held_version = self.held_version.wrapping_add(1);
        for index in std::mem::take(&mut self.held) {
            self.answer(now, index, out);
        }
    }

    fn answer(&mut self, now: Nanos, index: u32, out: &mut Vec<Out<T>>) {
        if let Some(mut op) = self.remove(index) {
            op.times.seen = now;
            out.push(Out::Answered {
                load: op.load,
                engine: op.engine,
                times: op.times,
            });
        }
    }
}
