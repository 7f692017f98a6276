//! The bench's arguments, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libcrypto_peer::Libcrypto;
use offload::OpKind;
use sim_engine::{Completions, DeviceConfig, Results};

use super::{capacity, payload};
use crate::cli::{
    BenchArgs, ClockName, CompletionName, Format, LoadArgs, NotifyArg, NotifyName, PlantedPanic,
    ResultsName, RuntimeName, SweepArgs,
};
use crate::engine::{EngineKind, EngineOptions};
use crate::error::InputError;
use crate::system;
use crate::target::keep_apart;

/// What a job takes beside its payload, at least: the pages of its stack that it touches, its
/// context and its place in the set.
const JOB_BYTES: u64 = 12 * 1024;

/// Bytes per operation, where nothing is said.
const SIZE_BYTES: usize = 1024;
/// The most rows of one report.
const ROWS_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct BenchOptions {
    pub(crate) engine: EngineOptions,
    pub(crate) lists: Lists,
    pub(crate) threads: usize,
    pub(crate) until: Until,
    /// Of an open loop: operations a second.
    pub(crate) rate: Option<f64>,
    pub(crate) poisson: bool,
    pub(crate) clock: ClockName,
    pub(crate) runtime: RuntimeName,
    /// The same, ready to run: those that take turns in each row.
    pub(crate) runtimes: Vec<Runtime>,
    pub(crate) op: OpKind,
    pub(crate) input: Option<PathBuf>,
    /// Stages are measured also where that costs throughput.
    pub(crate) stages: bool,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    /// An operation that the device fails fails the run.
    pub(crate) no_fallback: bool,
    pub(crate) format: Format,
    /// The run is shown while it goes on.
    pub(crate) live: bool,
    /// Where the live view meets a panic.
    pub(crate) plant: Option<PlantedPanic>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

/// What differs from row to row: each list has one value at least, and there is a row for each
/// combination.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    pub(crate) sizes: Vec<usize>,
    pub(crate) jobs: Vec<usize>,
    /// `None`: as the device file says.
    pub(crate) completion: Vec<Option<CompletionName>>,
    pub(crate) notify: Vec<NotifyName>,
    /// How often all of them are run.
    pub(crate) repeat: usize,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) size: usize,
    pub(crate) jobs: usize,
    pub(crate) completion: Option<CompletionName>,
    pub(crate) notify: NotifyName,
    /// How often it was run before.
    pub(crate) repeat: usize,
}

impl Case {
    /// Whether a timer polls the device.
    pub(crate) fn is_polled(self) -> bool {
        self.completion == Some(CompletionName::Poll)
    }
}

impl Lists {
    /// In the order of the report.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let repeats = 0..self.repeat;
        repeats.flat_map(|repeat| self.once(repeat)).collect()
    }

    /// One run of all of them.
    fn once(&self, repeat: usize) -> Vec<Case> {
        let mut cases = Vec::new();
        for &size in &self.sizes {
            for &jobs in &self.jobs {
                for &completion in &self.completion {
                    cases.extend(self.notify.iter().map(|&notify| Case {
                        size,
                        jobs,
                        completion,
                        notify,
                        repeat,
                    }));
                }
            }
        }
        cases
    }

    fn jobs_max(&self) -> usize {
        self.jobs.iter().copied().max().unwrap_or(1)
    }

    fn size_max(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or(1)
    }
}

/// Whose jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    Ours,
    Libcrypto(Libcrypto),
}

impl Runtime {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Runtime::Ours => RuntimeName::Ours.name(),
            Runtime::Libcrypto(_) => RuntimeName::Libcrypto.name(),
        }
    }
}

/// When a row ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    Operations(u64),
}

/// What is written is neither what is read nor each other.
fn keep_files_apart(args: &LoadArgs) -> Result<(), InputError> {
    let read = [
        ("--input", args.input.as_deref()),
        ("--device", args.engine.device.as_deref().map(Path::new)),
    ];
    if let Some(trace) = &args.trace {
        keep_apart(("--trace", trace), &read)?;
        keep_apart(("--trace", trace), &[("--report", args.report.as_deref())])?;
    }
    match &args.report {
        Some(report) => keep_apart(("--report", report), &read),
        None => Ok(()),
    }
}

impl BenchOptions {
    pub(crate) fn of_bench(args: BenchArgs) -> Result<BenchOptions, InputError> {
        let lists = Lists {
            sizes: args.size.into_iter().collect(),
            jobs: args.jobs,
            completion: vec![args.completion],
            notify: notify_names(&[args.notify]),
            repeat: args.load.repeat,
        };
        BenchOptions::new(lists, args.load)
    }

    pub(crate) fn of_sweep(args: SweepArgs) -> Result<BenchOptions, InputError> {
        let completion: Vec<_> = args.completion.into_iter().map(Some).collect();
        let lists = Lists {
            sizes: args.sizes,
            jobs: args.jobs,
            completion: match completion.is_empty() {
                true => vec![None],
                false => completion,
            },
            notify: notify_names(&args.notify),
            repeat: args.load.repeat,
        };
        BenchOptions::new(lists, args.load)
    }

    fn new(mut lists: Lists, args: LoadArgs) -> Result<BenchOptions, InputError> {
        let threads = args.threads;
        let mut notes = Vec::new();
        lists.sizes = sizes(args.op, lists.sizes, &args.input, &mut notes)?;
        let rows = lists.sizes.len() * lists.jobs.len() * lists.completion.len();
        let rows = rows * lists.notify.len() * lists.repeat;
        if rows > ROWS_MAX {
            let most = ROWS_MAX;
            return Err(InputError::TooManyRows { rows, most });
        }
        if let Some(&jobs) = lists.jobs.iter().find(|&&jobs| threads > jobs) {
            return Err(InputError::MoreThreadsThanJobs { threads, jobs });
        }
        let (jobs, size) = (lists.jobs_max(), lists.size_max());
        let payload = payload::bytes_max(size, args.input.is_some());
        let sides = if args.runtime == RuntimeName::Both {
            2
        } else {
            1
        };
        check_memory(jobs, sides, size, payload, system::memory_bytes())?;
        let mut engine = EngineOptions::new(&args.engine)?;
        keep_files_apart(&args)?;
        apply_to_device(&mut engine, &lists, args.results)?;
        if args.clock == ClockName::Virtual {
            check_virtual(&engine, &lists, &args)?;
        }
        if cfg!(debug_assertions)
            && args.runtime != RuntimeName::Ours
            && lists
                .sizes
                .iter()
                .any(|&size| engine.computes_in_jobs(args.op, size))
        {
            let runtime = args.runtime.name();
            return Err(InputError::StacksTooSmall { runtime });
        }

        let mut options = BenchOptions {
            engine,
            lists,
            threads,
            until: match args.total {
                Some(total) => Until::Operations(total as u64),
                None => Until::Time(args.duration),
            },
            rate: args.rate,
            poisson: args.poisson,
            clock: args.clock,
            runtime: args.runtime,
            runtimes: runtimes(args.runtime)?,
            op: args.op,
            input: args.input,
            stages: args.stages,
            trace: args.trace,
            report: args.report,
            no_fallback: args.no_fallback,
            format: args.format,
            live: args.live,
            plant: args.plant_panic,
            notes,
        };
        options.make_room_for_fds(jobs, sides)?;
        Ok(options)
    }

    /// For rows with an fd for each job, or leaves those rows out.
    fn make_room_for_fds(&mut self, jobs: usize, sides: usize) -> Result<(), InputError> {
        let notify = &mut self.lists.notify;
        if !notify.contains(&NotifyName::Fd) {
            return Ok(());
        }
        let threads = self.threads;
        let Err((need, limit)) = system::make_room_for_fds(jobs * sides, threads * sides) else {
            return Ok(());
        };
        if notify.len() == 1 {
            return Err(InputError::TooFewFds { jobs, need, limit });
        }
        notify.retain(|&n| n != NotifyName::Fd);
        self.notes.push(format!(
            "no row for --notify fd: {jobs} jobs on {threads} threads need {need} open files, and the hard limit (ulimit -Hn) is {limit}"
        ));
        Ok(())
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.clock == ClockName::Virtual
    }

    /// Whether results are computed, so that they can be verified.
    pub(crate) fn computes(&self) -> bool {
        let on_device = |d: &DeviceConfig| d.computes(self.op, self.is_virtual());
        self.engine.device().is_none_or(on_device)
    }

    /// The same, as it is called in the report.
    pub(crate) fn results(&self) -> &'static str {
        match self.computes() {
            true => "computed",
            false => "modelled",
        }
    }

    /// Whether requests of a row take time on the device.
    pub(crate) fn models_time(&self, case: Case) -> bool {
        let takes_time = |d| capacity::models_time(d, self.op, case.size);
        self.is_virtual() || self.engine.device().is_some_and(takes_time)
    }

    /// Who completes the operations of a row, as it is called in the report.
    pub(crate) fn completion(&self, case: Case) -> &'static str {
        match (case.completion, self.engine.device()) {
            (Some(completion), _) => completion.name(),
            (None, None) => "inline",
            (None, Some(device)) => match device.completions {
                Completions::Poll => "busy-poll",
                Completions::BeforePause => "before-pause",
                _ => "threads",
            },
        }
    }
}

/// Each way once, in the order in which they were given.
fn notify_names(args: &[NotifyArg]) -> Vec<NotifyName> {
    let mut names = Vec::new();
    for arg in args {
        let more: &[NotifyName] = match arg {
            NotifyArg::All => &NotifyName::ALL,
            NotifyArg::Fd => &[NotifyName::Fd],
            NotifyArg::SharedFd => &[NotifyName::SharedFd],
            NotifyArg::Callback => &[NotifyName::Callback],
            NotifyArg::Poll => &[NotifyName::Poll],
        };
        names.extend(more);
    }
    let mut once = Vec::new();
    names.retain(|name| {
        let new = !once.contains(name);
        once.push(*name);
        new
    });
    names
}

/// What is said of the device on the command line goes before its file.
fn apply_to_device(
    engine: &mut EngineOptions,
    lists: &Lists,
    results: Option<ResultsName>,
) -> Result<(), InputError> {
    let EngineKind::Sim(device) = &mut engine.kind else {
        let option = match results {
            Some(_) => "--results",
            None if lists.completion.iter().any(Option::is_some) => "--completion",
            None => return Ok(()),
        };
        return Err(InputError::OptionWithoutSim { option });
    };
    match results {
        Some(ResultsName::Computed) => device.results = Results::Computed,
        Some(ResultsName::Modelled) => device.results = Results::Modelled,
        None => {}
    }
    Ok(())
}

/// What a virtual clock needs: one thread, and a device on which something takes time.
fn check_virtual(engine: &EngineOptions, lists: &Lists, args: &LoadArgs) -> Result<(), InputError> {
    let Some(device) = engine.device() else {
        return Err(InputError::VirtualWithoutSim);
    };
    if args.threads > 1 {
        let threads = args.threads;
        return Err(InputError::VirtualThreads { threads });
    }
    if args.runtime != RuntimeName::Ours {
        return Err(InputError::VirtualRuntime);
    }
    let before_pause = |completion: &Option<CompletionName>| {
        completion.is_none() && device.completions == Completions::BeforePause
    };
    let at_once = lists.completion.iter().any(before_pause);
    let takes_none = |size: usize| {
        let on_device = device.service_time(args.op, size) + device.link_time(size);
        at_once || size < device.inline_below_bytes || on_device.is_zero()
    };
    let idle = lists.sizes.iter().find(|&&size| takes_none(size));
    match idle {
        Some(&size) if device.host.op_ns == 0 && args.rate.is_none() => Err(InputError::NoTime {
            device: device.name.clone(),
            op: args.op,
            size,
        }),
        _ => Ok(()),
    }
}

/// The sizes that are used: those that were asked for, or the one that `op` takes.
fn sizes(
    op: OpKind,
    asked: Vec<usize>,
    input: &Option<PathBuf>,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, InputError> {
    let Some(fixed) = payload::input_bytes(op) else {
        let default = asked.is_empty().then_some(SIZE_BYTES);
        return Ok(asked.into_iter().chain(default).collect());
    };
    if input.is_some() {
        return Err(InputError::MakesItsInput { op });
    }
    if let Some(asked) = asked.iter().find(|&&asked| asked != fixed) {
        notes.push(format!(
            "--size {asked} is not used: {op} takes {fixed} bytes, no more and no less"
        ));
    }
    Ok(vec![fixed])
}

/// Whose jobs run. libcrypto is loaded only where it is asked for.
fn runtimes(name: RuntimeName) -> Result<Vec<Runtime>, InputError> {
    let libcrypto = || {
        let missing = |message| InputError::NoLibcrypto {
            runtime: name.name(),
            message,
        };
        let library = Libcrypto::load().map_err(|e| missing(e.to_string()))?;
        if !library.is_capable() {
            let version = library.version();
            return Err(missing(format!(
                "{version} has no jobs on this system; install a build with them"
            )));
        }
        Ok(Runtime::Libcrypto(library))
    };
    Ok(match name {
        RuntimeName::Ours => vec![Runtime::Ours],
        RuntimeName::Libcrypto => vec![libcrypto()?],
        RuntimeName::Both => vec![Runtime::Ours, libcrypto()?],
    })
}

fn check_memory(
    jobs: usize,
    sides: usize,
    size: usize,
    payload: u64,
    memory: Option<u64>,
) -> Result<(), InputError> {
    let need = (jobs as u64)
        .saturating_mul(sides as u64)
        .saturating_mul(size as u64 + JOB_BYTES)
        .saturating_add(payload);
    match memory {
        Some(have) if need > have / 2 => Err(InputError::TooMuchMemory {
            jobs,
            size,
            need_mib: need >> 20,
            have_mib: have >> 20,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_decides_the_size() {
        let mut notes = Vec::new();
        let (file, op) = (Some(PathBuf::from("file")), OpKind::Rsa3072Decrypt);
        let mut sizes = |op, asked: &[usize], file: &Option<PathBuf>| {
            sizes(op, asked.to_vec(), file, &mut notes)
        };
        let is = |sizes: Result<Vec<usize>, InputError>, expected: &[usize]| {
            assert_eq!(sizes.expect("good sizes"), expected);
        };
        is(sizes(OpKind::Sha256, &[], &file), &[1024]);
        is(sizes(OpKind::EcdsaP256Sign, &[5, 6], &file), &[5, 6]);
        is(sizes(op, &[], &None), &[384]);
        is(sizes(op, &[384], &None), &[384]);
        assert!(matches!(
            sizes(op, &[], &file),
            Err(InputError::MakesItsInput {
                op: OpKind::Rsa3072Decrypt
            })
        ));
        is(sizes(OpKind::P256Derive, &[65, 64], &None), &[65]);
        assert_eq!(
            notes,
            ["--size 64 is not used: p256-derive takes 65 bytes, no more and no less"]
        );
    }

    #[test]
    fn half_the_memory_is_the_bound() {
        let have = Some(2 * (1024 + JOB_BYTES) * 100);
        assert!(check_memory(100, 1, 1024, 0, have).is_ok());
        assert!(check_memory(100, 1, 1024, 1, have).is_err());
        assert!(check_memory(50, 2, 1024, 0, have).is_ok());
        assert!(check_memory(51, 2, 1024, 0, have).is_err());
        assert!(check_memory(101, 1, 1024, 0, have).is_err());
        assert!(check_memory(usize::MAX, 1, usize::MAX >> 20, u64::MAX, have).is_err());
        assert!(check_memory(1_000_000, 1, 1024, 0, None).is_ok());
    }
}
