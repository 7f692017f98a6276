//! What can go wrong, each in one sentence that says what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use offload::{MAX_DATA_BYTES, OpKind};

/// A library's sentence with the names of its settings replaced by what can be typed here.
pub(crate) fn as_typed(sentence: &str) -> String {
    sentence
        .replace("max_jobs or stack_bytes", "--jobs")
        .replace("use fewer jobs", "lower --jobs")
        .replace("lower `workers`", "lower `workers` in its device file")
        .replace(
            "or run without a time-out",
            "or raise the limit on them (ulimit -u)",
        )
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The user's to mend: exit status 2.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The run failed: exit status 1.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Error::Input(_) => ExitCode::from(2),
            Error::Run(_) => ExitCode::FAILURE,
        }
    }
}

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// clap's words, on one line.
    #[error("{0}")]
    Usage(String),
    #[error("--threads {threads} is more than --jobs {jobs}; give each thread a job at least")]
    MoreThreadsThanJobs { threads: usize, jobs: usize },
    #[error(
        "--jobs {jobs} with --size {size} needs about {need_mib} MiB, more than half of this machine's {have_mib} MiB of memory; lower one of the two"
    )]
    TooMuchMemory {
        jobs: usize,
        size: usize,
        need_mib: u64,
        have_mib: u64,
    },
    #[error(
        "--jobs {jobs} with --notify fd needs {need} open files, and the hard limit (ulimit -Hn) is {limit}; use --notify shared-fd, which needs one for all jobs, or raise the limit"
    )]
    TooFewFds { jobs: usize, need: u64, limit: u64 },
    #[error("cannot read {}: {source}; give a file that can be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {most} bytes, too large for a {what} file; give another", path.display())]
    TooLargeFile {
        path: PathBuf,
        what: &'static str,
        most: u64,
    },
    #[error("{} is not text, as a {what} file is; give another", path.display())]
    NotText { path: PathBuf, what: &'static str },
    #[error(
        "--input is not for {op}, which takes what is made for its key; leave it out, or give another --op"
    )]
    MakesItsInput { op: OpKind },
    #[error("{} is empty; give a file with at least one byte of payload", path.display())]
    EmptyInput { path: PathBuf },
    #[error(
        "{name} is neither a preset ({presets}) nor a device file that can be read: {source}{meant}; see 'demo-cli devices'"
    )]
    NoSuchDevice {
        name: String,
        presets: String,
        source: io::Error,
        meant: String,
    },
    #[error("the device file {}: {message}", path.display())]
    DeviceFile { path: PathBuf, message: String },
    #[error("the device {name} cannot be opened: {message}")]
    Device { name: String, message: String },
    #[error(
        "no preset is called {name}{meant}; the presets are {presets}, and a file is looked at with --check"
    )]
    NoSuchPreset {
        name: String,
        presets: String,
        meant: String,
    },
    #[error("{name} is a preset, not a file; see it with --show {name}")]
    IsAPreset { name: String },
    #[error("--device {device} is for --engine sim; the software engine has no device")]
    DeviceWithoutSim { device: String },
    #[error("{op} is not a cipher that a file can be encrypted with here; give one of {ciphers}")]
    NotACipher { op: OpKind, ciphers: String },
    #[error("{what} has {got} hex digits; {op} takes {expected}")]
    HexLength {
        what: String,
        op: OpKind,
        got: usize,
        expected: usize,
    },
    #[error("{what} is not hex: digit {at} is none of 0-9, a-f, A-F")]
    NotHex { what: String, at: usize },
    #[error(
        "{} is larger than 1 GiB, the most that one request carries; {op} cannot be split, use aes-128-ctr or aes-256-ctr",
        path.display()
    )]
    TooLargeToChain { path: PathBuf, op: OpKind },
    #[error(
        "standard output is a terminal, and the result is binary; give --out FILE or redirect it"
    )]
    BinaryToTerminal,
    #[error(
        "cannot write {}: {source}; give --out the name of a file that can be written, in a directory that is there",
        path.display()
    )]
    BadOut { path: PathBuf, source: io::Error },
    #[error("--runtime {runtime} needs libcrypto: {message}, or use --runtime ours")]
    NoLibcrypto {
        runtime: &'static str,
        message: String,
    },
    #[error(
        "--runtime {runtime} lets jobs compute on libcrypto's stacks here (the software engine, --fallback, or a device that answers before the pause), and they are too small for a debug build; build with --release"
    )]
    StacksTooSmall { runtime: &'static str },
    #[error("there is nothing to merge; give --merge the files of one result at least")]
    NothingToMerge,
    #[error("the results are of different campaigns, {a} and {b}; merge those of one")]
    OtherCampaign { a: String, b: String },
    #[error("seed {seed} is in two of the results; leave one of them out")]
    SeedsTwice { seed: u64 },
    #[error("{} is not a result of 'demo-cli simulate --format json': {message}", path.display())]
    NotAResult { path: PathBuf, message: String },
    #[error(
        "--clock virtual is for --engine sim; software takes the time that this machine takes, use --clock real"
    )]
    VirtualWithoutSim,
    #[error(
        "--clock virtual runs everything on one thread, so that each run is the same; leave --threads {threads} out, or use --clock real"
    )]
    VirtualThreads { threads: usize },
    #[error(
        "--clock virtual runs this repository's jobs only; use --runtime ours, or --clock real"
    )]
    VirtualRuntime,
    #[error(
        "on the device {device} {op} of {size} bytes takes no time, so a virtual clock would stand still; use a device with service times or `host.op_ns`, such as qat-c62x-1, or --rate"
    )]
    NoTime {
        device: String,
        op: OpKind,
        size: usize,
    },
    #[error("{option} is for --engine sim; the software engine has no device")]
    OptionWithoutSim { option: &'static str },
    #[error("cannot write {}: {source}; give --trace the name of a file that can be written", path.display())]
    BadTrace { path: PathBuf, source: io::Error },
    #[error("{} is not a report of 'demo-cli bench --format json': {message}", path.display())]
    NotAReport { path: PathBuf, message: String },
    #[error(
        "cannot write {}: {source}; give {option} the name of a file that can be written, in a directory that is there",
        path.display()
    )]
    BadPage {
        option: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{option} {} is the same file as {other}, and would be written over it; give {option} another name",
        path.display()
    )]
    OneFileTwice {
        option: &'static str,
        other: &'static str,
        path: PathBuf,
    },
    #[error("--trace takes the name of a file, not standard output, where the figures go")]
    TraceToStdout,
    #[error("--out takes the name of a file, not standard output; a page is for a browser")]
    PageToStdout,
    #[error(
        "--report takes the name of a file; to see the figures on standard output use --format"
    )]
    ReportToStdout,
    #[error(
        "--jobs, --sizes, --notify, --completion and --repeat make {rows} rows, more than {most}; give fewer values"
    )]
    TooManyRows { rows: usize, most: usize },
    #[error(
        "{} is not a trace of 'bench --trace': {message}; write one with 'demo-cli bench --trace FILE'",
        path.display()
    )]
    NotATrace { path: PathBuf, message: String },
    #[error(
        "{} is a trace of an older demo-cli, which wrote less; write it anew with 'demo-cli bench --trace FILE'",
        path.display()
    )]
    OldTrace { path: PathBuf },
    #[error(
        "{} is a trace of schema {found}, and this demo-cli reads schema {ours}; write it anew with 'demo-cli bench --trace FILE'",
        path.display()
    )]
    TraceSchema {
        path: PathBuf,
        found: u64,
        ours: u64,
    },
    #[error(
        "{} ends midway, after {operations} operations; wait until the run has ended, or write it anew",
        path.display()
    )]
    TraceCut { path: PathBuf, operations: u64 },
    #[error(
        "{} is damaged in line {line}, after {operations} operations; write it anew with 'demo-cli bench --trace FILE'",
        path.display()
    )]
    TraceDamaged {
        path: PathBuf,
        line: usize,
        operations: u64,
    },
    #[error("the trace has no {what}; its {kind} are {there}")]
    NotInTrace {
        what: String,
        kind: &'static str,
        there: String,
    },
    #[error("the trace has no row {row}{meant}; its rows are {rows}")]
    NoSuchRow {
        row: String,
        rows: String,
        meant: String,
    },
    #[error("standard input (-) is given twice, and can be read once; give a file for one of them")]
    StdinTwice,
    #[error(
        "{report} is a report of 'bench' or 'sweep' and {campaign} a result of 'simulate', which do not belong together; compare files of one kind"
    )]
    OtherKind { report: String, campaign: String },
    #[error("{base} and {other} have no rows in common ({why}); compare results of the same rows")]
    NoRowsInCommon {
        base: String,
        other: String,
        why: String,
    },
    #[error(
        "no row of {base} has a {figure} to judge by; give --figure another, or run longer on --clock real"
    )]
    NothingToJudgeBy { figure: &'static str, base: String },
    #[error(
        "--figure is for results of 'bench' and 'sweep'; those of 'simulate' are judged by the time of a seed"
    )]
    FigureOfCampaign,
    #[error("there is no command {name} to describe{meant}; the commands are {commands}")]
    NoSuchCommand {
        name: String,
        commands: String,
        meant: String,
    },
}

/// What went wrong while running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot write to standard output: {0}; free space, or redirect it elsewhere")]
    Stdout(io::Error),
    #[error("cannot write {}: {source}; nothing under that name was changed", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write to {}: {source}; what it has got so far is not complete", path.display())]
    WriteDirect { path: PathBuf, source: io::Error },
    #[error("cannot read {} to its end: {source}; give a file that can be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the jobs' wake source could not be made: {0}; raise the limit on open files (ulimit -n), or use --notify callback"
    )]
    WakeSource(io::Error),
    #[error("a thread could not be started: {0}; lower --threads")]
    Thread(io::Error),
    #[error("only {started} of {wanted} jobs could be started: {reason}")]
    Start {
        started: usize,
        wanted: usize,
        reason: String,
    },
    #[error("{0}")]
    Jobs(#[from] async_core::JobSetError),
    #[error("waiting for jobs failed: {0}; run again, or use another --notify")]
    Wait(io::Error),
    #[error("libcrypto's jobs cannot be set up: {0}; lower --jobs, or use --runtime ours")]
    Libcrypto(String),
    #[error(
        "{stuck} jobs are paused and nothing has woken them for {seconds} s, longer than any time-out: a wake was lost; run again with the same seed and report it"
    )]
    Stuck { stuck: usize, seconds: u64 },
    #[error(
        "{starts} operations were begun and the virtual clock stands still: nothing that they come to takes time on this device; give `host.op_ns` in its device file, or use --rate"
    )]
    StandsStill { starts: u64 },
    #[error("cannot write the trace {}: {source}; free space, or write it elsewhere", path.display())]
    Trace { path: PathBuf, source: io::Error },
    #[error("a bench thread panicked; this is a bug, report it with the message above")]
    Panicked,
    #[error("the operation on {what} failed: {reason}")]
    Operation { what: String, reason: String },
    #[error(
        "is larger than {} MiB, the most that one request carries; hash it with sha256sum",
        MAX_DATA_BYTES >> 20
    )]
    TooLargeToHash,
    #[error("{0}; look at what has changed, or raise --fail-above")]
    Regressed(String),
    #[error("the example's job was not run as the manual page says: {0}")]
    Example(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_typed_is_said_to_be_in_the_device_file() {
        let error = sim_engine::OpenError::Worker(io::Error::other("no room"));
        let said = as_typed(&error.to_string());
        assert!(
            said.ends_with("lower `workers` in its device file"),
            "{said}"
        );
    }
}
