//! The live view of a run: a screen of panels on a terminal, plain lines without one.
//!
//! ```text
//!  threads that run jobs ──┐
//!                          ├─▶ Feed ─▶ Sampler ─▶ Picture ─▶ screen, or lines
//!  the device's observer ──┘            (each 100 ms, on the main thread)
//! ```

mod charts;
mod device;
pub(crate) mod feed;
mod keys;
mod latencies;
mod lines;
mod log;
mod panels;
mod picture;
mod sampler;
mod screen;
mod terminal;
mod theme;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::feed::{Feed, Shape};
use self::keys::Key;
use self::lines::Lines;
use self::log::Log;
use self::picture::{Finished, Picture, Position};
use self::sampler::Sampler;
use self::screen::Look;
use self::terminal::Screen;
use self::theme::Theme;
use crate::bench::{BenchOptions, Case, Flow, RowBegins, RowResult, Runtime, Until, View};
use crate::cli::PlantedPanic;
use crate::human::show_us;
use crate::report::size_with_unit;
use crate::units::show_count;

/// Entries of the log that a screen may have room for.
const LOG_SHOWN: usize = 100;

/// How much longer than it should a request may take on an engine, by its device's jitter.
const SLOWER: u64 = 4;

/// A view that shows a run while it goes on.
pub(crate) struct Live {
    shown: Shown,
    theme: Theme,
    frozen: bool,
    help: bool,
    picture: Picture,
    lanes: Vec<Sampler>,
    /// Whose turn it is.
    turn: usize,
    log: Log,
    finished: Vec<Finished>,
    began: Instant,
    row: Option<RowNow>,
    flow: Flow,
    options: Asked,
    ticks: u64,
}

enum Shown {
    Screen(Screen),
    Lines(Lines),
}

/// What of the options is shown.
struct Asked {
    op: String,
    on: String,
    until: Until,
    is_virtual: bool,
    two_runtimes: bool,
    plant: Option<PlantedPanic>,
}

/// The row that runs.
struct RowNow {
    name: String,
    number: usize,
    rows: usize,
    lanes: usize,
    jobs: usize,
    size: usize,
}

impl Live {
    pub(crate) fn new(options: &BenchOptions) -> Live {
        let capable = terminal::is_capable();
        // A terminal that cannot be taken over can be written to.
        let screen = capable.then(Screen::enter).and_then(Result::ok);
        let shown = match screen {
            Some(screen) => Shown::Screen(screen),
            None => Shown::Lines(Lines::new()),
        };
        let device = options.engine.device().map(|device| plain(&device.name));
        Live {
            shown,
            theme: Theme::new(terminal::has_colours()),
            frozen: false,
            help: false,
            picture: Picture::default(),
            lanes: Vec::new(),
            turn: 0,
            log: Log::default(),
            finished: Vec::new(),
            began: Instant::now(),
            row: None,
            flow: Flow::GoesOn,
            options: Asked {
                op: options.op.name().to_owned(),
                on: device.unwrap_or_else(|| options.engine.name().to_owned()),
                until: options.until,
                is_virtual: options.is_virtual(),
                two_runtimes: options.runtimes.len() > 1,
                plant: options.plant,
            },
            ticks: 0,
        }
    }

    /// What is to be seen now.
    fn look(&mut self) -> Picture {
        let asked = &self.options;
        let mut picture = Picture {
            op: asked.op.clone(),
            on: asked.on.clone(),
            at: self.position(),
            log: self.log.latest(LOG_SHOWN),
            finished: self.finished.clone(),
            ..Picture::default()
        };
        let (Some(lane), Some(row)) = (self.lanes.get(self.turn), &self.row) else {
            return picture;
        };
        picture.op = format!("{} of {}", asked.op, size_with_unit(row.size));
        picture.runtime = asked.two_runtimes.then_some(lane.runtime);
        picture.model = asked.is_virtual.then(|| lane.model());
        picture.row_lasts = match asked.until {
            Until::Time(time) if !asked.is_virtual => Some(time.as_secs_f64()),
            _ => None,
        };
        picture.throughput = lane.throughput();
        picture.latency = lane.latency();
        picture.latencies = lane.latencies();
        picture.counts = lane.counts(row.jobs);
        picture.device = lane.device();
        picture
    }

    fn position(&self) -> Position {
        let Some(row) = &self.row else {
            return Position::default();
        };
        let spent = |at: &Sampler| match self.options.is_virtual {
            true => at.elapsed().1,
            false => at.elapsed().0,
        };
        let elapsed: Duration = self.lanes.iter().map(spent).sum();
        let lanes = row.lanes.max(1);
        let (part, length) = match self.options.until {
            Until::Time(time) => {
                let all = time.saturating_mul(lanes as u32); // one or two
                let part = elapsed.as_secs_f64() / all.as_secs_f64().max(1e-9);
                (part, show_us(all.as_secs_f64() * 1e6))
            }
            Until::Operations(total) => {
                let done = |lane: &Sampler| {
                    let counts = lane.counts(row.jobs);
                    counts.completed + counts.failed + counts.cancelled
                };
                let done: u64 = self.lanes.iter().map(done).sum();
                let all = total.saturating_mul(lanes as u64);
                let part = done as f64 / all.max(1) as f64;
                (part, format!("{} operations", show_count(all)))
            }
        };
        let part = part.min(1.0);
        let of_run = (row.number as f64 + part) / row.rows.max(1) as f64;
        let so_far = self.began.elapsed().as_secs_f64();
        let guess = so_far * (1.0 - of_run) / of_run;
        let left = match self.options.until {
            // Known, but for what lies between rows.
            Until::Time(time) if !self.options.is_virtual => {
                let row_s = time.as_secs_f64() * lanes as f64;
                row_s * (1.0 - part + (row.rows - row.number - 1) as f64)
            }
            _ => guess,
        };
        Position {
            row: plain(&row.name),
            number: row.number + 1,
            rows: row.rows,
            part: Some(part),
            elapsed,
            length,
            left: (of_run > 0.0)
                .then(|| Duration::try_from_secs_f64(left).ok())
                .flatten(),
            ending: self.flow != Flow::GoesOn,
        }
    }

    /// Takes what is new in, and shows it, unless the picture stands still.
    fn show(&mut self) {
        if let Some(lane) = self.lanes.get_mut(self.turn) {
            lane.look(&mut self.log);
        }
        if !self.frozen {
            self.picture = self.look();
        }
        if let Shown::Screen(screen) = &mut self.shown {
            let look = Look {
                theme: self.theme,
                frozen: self.frozen,
                help: self.help,
                keys: screen.keys,
            };
            let picture = &self.picture;
            // If the terminal is gone, a signal says so.
            let _ = screen.draw(|frame| screen::draw(frame, picture, look));
        }
    }

    fn write_line(&mut self) {
        if let Shown::Lines(lines) = &mut self.shown
            && lines.write(&self.picture).is_err()
        {
            // Nobody looks on: as if he had said so.
            self.flow = Flow::EndRun;
        }
    }

    fn obey_keys(&mut self) {
        let Shown::Screen(screen) = &self.shown else {
            return;
        };
        while let Some(key) = screen.pressed() {
            match key {
                Key::EndRun | Key::Interrupt => self.flow = Flow::EndRun,
                Key::EndRow => self.flow = self.flow.max(Flow::EndRow),
                Key::Freeze => self.frozen = !self.frozen,
                Key::Help => self.help = !self.help,
            }
        }
        // That the row ends is to be seen.
        if self.flow != Flow::GoesOn {
            self.frozen = false;
        }
    }
}

impl View for Live {
    fn begin(&mut self, row: RowBegins<'_>) {
        self.lanes.clear();
        self.turn = 0;
        // An end of the run that was asked for between two rows is still one.
        if self.flow != Flow::EndRun {
            self.flow = Flow::GoesOn;
        }
        self.log_row(&row);
        self.row = Some(RowNow {
            name: row.name.to_owned(),
            number: row.number,
            rows: row.rows,
            lanes: row.lanes,
            jobs: 0,
            size: 0,
        });
        self.show();
    }

    fn lane(&mut self, options: &BenchOptions, case: Case, runtime: Runtime) -> Option<Arc<Feed>> {
        let feed = Feed::new(shape(options, case), options.threads, options.plant);
        let feed = Arc::new(feed);
        self.lanes
            .push(Sampler::new(Arc::clone(&feed), runtime.name()));
        if let Some(row) = &mut self.row {
            row.jobs = case.jobs;
            row.size = case.size;
        }
        Some(feed)
    }

    fn turn(&mut self, lane: usize) {
        if let Some(before) = self.lanes.get_mut(self.turn) {
            before.look(&mut self.log);
            before.end_turn();
        }
        self.turn = lane;
        if let Some(next) = self.lanes.get_mut(lane) {
            next.begin_turn();
        }
    }

    fn tick(&mut self, _done: u64) -> Flow {
        self.ticks += 1;
        assert!(
            self.options.plant != Some(PlantedPanic::View) || self.ticks < 3,
            "planted in the view"
        );
        self.obey_keys();
        self.show();
        if matches!(&self.shown, Shown::Lines(lines) if lines.is_due()) {
            self.write_line();
        }
        self.flow
    }

    fn end(&mut self) {
        self.frozen = false;
        self.show();
        if let Some(lane) = self.lanes.get_mut(self.turn) {
            lane.end_turn();
        }
        self.write_line();
    }

    fn finished(&mut self, row: &RowResult) {
        let of = &row.row;
        self.finished.push(Finished {
            name: plain(&row.name),
            ops_per_s: of.ops_per_s,
            p50_us: of.latency_us.p50,
            p99_us: of.latency_us.p99,
            failed: of.failed,
            bad: !row.problems.is_empty(),
        });
        self.show();
    }
}

impl Live {
    fn log_row(&mut self, row: &RowBegins<'_>) {
        if row.rows > 1 {
            let (number, rows) = (row.number + 1, row.rows);
            let name = plain(row.name);
            self.log.mark(&format!("row {number} of {rows}: {name}"));
        }
    }
}

/// What the device of a lane consists of.
fn shape(options: &BenchOptions, case: Case) -> Shape {
    let Some(device) = options.engine.device() else {
        return Shape::default();
    };
    let depth = match device.asym_ring_depth_max {
        own if own > 0 && options.op.is_asymmetric() => own,
        _ => device.ring_depth_max,
    };
    let service = device.service_time(options.op, case.size);
    let service_ns = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
    Shape {
        service_ns_max: service_ns
            .saturating_mul(SLOWER)
            .saturating_add(device.faults.slow.extra_ns),
        endpoints: device.endpoints as usize,
        instances: device.instances as usize,
        engines: device.engines as usize,
        depth: u64::from(depth),
        models_time: options.models_time(case),
    }
}

/// A name as it can be shown: nothing in it is obeyed by a terminal.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}
