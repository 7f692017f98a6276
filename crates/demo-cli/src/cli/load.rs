//! The arguments of `bench`, `sweep` and `watch`, and those that all engines have.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use offload::OpKind;

use crate::units::{
    parse_count, parse_duration, parse_jobs, parse_op, parse_rate, parse_repeat, parse_seed,
    parse_size, parse_threads, parse_timeout,
};

#[derive(Args, Debug)]
pub(crate) struct EngineArgs {
    /// What carries out the operations.
    #[arg(long, value_enum, default_value_t = EngineName::Sim)]
    pub(crate) engine: EngineName,
    /// The simulated device: a preset (see 'demo-cli devices') or a device file. [default: ideal]
    #[arg(long, value_name = "PRESET|FILE.toml")]
    pub(crate) device: Option<String>,
    /// Decides the device's faults, and in the bench the payload and keys too (but for private keys:
    /// they are made anew each time).
    #[arg(long, value_parser = parse_seed, default_value = "24301")]
    pub(crate) seed: u64,
    /// How long an operation may take before it is given up; at least 10ms.
    #[arg(long, value_parser = parse_timeout, default_value = "10s", value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// Let software carry out what the device refuses or fails, but not what is lost on it: an
    /// operation that gets no answer times out, and has failed.
    #[arg(long)]
    pub(crate) fallback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// The simulated device.
    Sim,
    /// Plain software on the jobs' own thread: no job ever pauses.
    Software,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NotifyName {
    /// An eventfd for each job, watched with epoll.
    Fd,
    /// One eventfd for all jobs of a thread.
    SharedFd,
    /// A callback that queues the job and wakes its thread.
    Callback,
    /// Nobody is told: every job is resumed in turn.
    Poll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionName {
    /// The device's own threads.
    Threads,
    /// The jobs' thread polls the device each millisecond.
    Poll,
    /// The jobs' thread polls the device when much is in flight (48 asymmetric operations, 24
    /// others), when all jobs wait for it, and each millisecond.
    Heuristic,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Jobs in flight, over all threads; several numbers give a row for each.
    #[arg(long, value_parser = parse_jobs, default_value = "1000", value_name = "N,...", value_delimiter = ',')]
    pub(crate) jobs: Vec<usize>,
    /// Bytes per operation; of a signature those of the message. What decrypts or derives takes what
    /// is made for its key: a ciphertext, or a peer's public key, whose size is given.
    /// [default: 1KiB]
    #[arg(long, visible_alias = "sizes", value_parser = parse_size)]
    pub(crate) size: Option<usize>,
    /// How the jobs' thread is told that an operation is done.
    #[arg(long, value_enum, default_value_t = NotifyArg::All)]
    pub(crate) notify: NotifyArg,
    /// Who completes operations; unless given, whom the device file names.
    #[arg(long, value_enum, value_name = "WHO")]
    pub(crate) completion: Option<CompletionName>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArgs {
    /// Jobs in flight, over all threads.
    #[arg(long, value_parser = parse_jobs, default_value = "1,8,64", value_name = "N,...", value_delimiter = ',')]
    pub(crate) jobs: Vec<usize>,
    /// Bytes per operation.
    #[arg(long, visible_alias = "size", value_parser = parse_size, default_value = "64,1KiB,16KiB", value_name = "SIZE,...", value_delimiter = ',')]
    pub(crate) sizes: Vec<usize>,
    /// How the jobs' thread is told that an operation is done.
    #[arg(
        long,
        value_enum,
        default_value = "callback",
        value_name = "HOW,...",
        value_delimiter = ','
    )]
    pub(crate) notify: Vec<NotifyArg>,
    /// Who completes operations; unless given, whom the device file names.
    #[arg(long, value_enum, value_name = "WHO,...", value_delimiter = ',')]
    pub(crate) completion: Vec<CompletionName>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// What `bench` and `sweep` have in common.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// End with status 1 if an operation fails, when the run is complete. Without it failures are
    /// counted in the report and the status is 0, as long as some operations were completed.
    /// Software never steps in unless --fallback is given.
    #[arg(long, conflicts_with = "fallback")]
    pub(crate) no_fallback: bool,
    /// How long each row runs, by --clock.
    #[arg(long, value_parser = parse_duration, default_value = "2s", value_name = "TIME", conflicts_with = "total")]
    pub(crate) duration: Duration,
    /// Run each row until this many operations are done, instead of for a time.
    #[arg(long, value_parser = parse_count, value_name = "N")]
    pub(crate) total: Option<usize>,
    /// Run the whole list of rows this many times over, so that whatever else the machine does meets
    /// all of them; 'demo-cli compare' tells from repeats how far figures are to be trusted.
    #[arg(long, value_parser = parse_repeat, default_value = "1", value_name = "N")]
    pub(crate) repeat: usize,
    /// Begin this many operations a second, whether earlier ones are done or not, instead of
    /// keeping --jobs in flight: an open loop. --jobs is then the most in flight; what is due and
    /// finds no place waits, and its latency, from when it was due, says so.
    #[arg(long, value_parser = parse_rate, value_name = "OPS/S")]
    pub(crate) rate: Option<f64>,
    /// Let the gaps between operations be random, as those of a Poisson process with this rate;
    /// the seed decides them.
    #[arg(long, requires = "rate")]
    pub(crate) poisson: bool,
    /// The operation: nop, sha256, sha512, hmac-sha256; of AES with 128 or 256 bits aes-128-ctr,
    /// aes-128-gcm (seal), aes-128-cbc (encrypt); of RSA with 2048, 3072 or 4096 bits rsa2048-sign
    /// (PKCS#1 v1.5), rsa2048-decrypt (OAEP); ecdsa-p256-sign, ecdsa-p384-sign; x25519-derive,
    /// p256-derive.
    #[arg(long, value_parser = parse_op, default_value = "sha256", value_name = "OP")]
    pub(crate) op: OpKind,
    /// Take the payload from this file, --size bytes at a time and round again; of a large file
    /// 4096 pieces at most, spread over it, and 64 MiB. Without it the payload is pseudo-random.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Whose time the device keeps. With 'virtual' one thread runs a model of the device and of its
    /// host, without waiting; times in the report are the model's, and the same for the same seed.
    #[arg(long, value_enum, default_value_t = ClockName::Real)]
    pub(crate) clock: ClockName,
    /// Whether the device's results are computed, or only its times modelled, and nothing is
    /// verified. Unless given, the device file says it, and where that does not, they are computed,
    /// but for asymmetric operations on a virtual clock: these are modelled.
    #[arg(long, value_enum)]
    pub(crate) results: Option<ResultsName>,
    /// Threads that run jobs, each with its share of them.
    #[arg(long, value_parser = parse_threads, default_value = "1", value_name = "N")]
    pub(crate) threads: usize,
    /// Whose jobs are measured: the same load runs on either. libcrypto is loaded at run time, and
    /// LIBCRYPTO_PEER may name another than the system's.
    #[arg(long, value_enum, default_value_t = RuntimeName::Ours)]
    pub(crate) runtime: RuntimeName,
    /// Measure the stages of each operation where that costs throughput too: in a closed loop on a
    /// device that models no time. Unasked they are measured on devices that do, on a virtual clock,
    /// in open loops, with --trace, and where the jobs' thread polls by --completion.
    #[arg(long)]
    pub(crate) stages: bool,
    /// Write each operation to this file, on a track for each job and one for each modelled
    /// engine, for 'explain' and the trace viewers of Perfetto and Chrome. About 350 bytes an
    /// operation.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Show the run while it goes on: rings, engines, throughput, latency, faults. On a terminal it is
    /// a screen, with keys to end a row or the run early; elsewhere a line each second. It is drawn on
    /// standard error, so that standard output can be redirected.
    #[arg(long)]
    pub(crate) live: bool,
    /// Panic in the midst of a live view, to show what becomes of the terminal.
    #[arg(long, hide = true, value_enum, value_name = "WHERE")]
    pub(crate) plant_panic: Option<PlantedPanic>,
    /// Write the results to this file as a page for a browser: one file, which needs no network and no
    /// other.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// How the results are printed. If the run fails midway, the rows so far are, and JSON then has
    /// a field "error".
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Where a panic is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlantedPanic {
    /// On a thread that runs jobs.
    Job,
    /// On the main thread, which draws.
    View,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NotifyArg {
    /// An eventfd for each job, watched with epoll.
    Fd,
    /// One eventfd for all jobs of a thread.
    SharedFd,
    /// A callback that queues the job and wakes its thread.
    Callback,
    /// Nobody is told: every job is resumed in turn.
    Poll,
    /// Each of them, one after the other.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockName {
    /// The wall's.
    Real,
    /// A model's, which waits for nothing.
    Virtual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultsName {
    /// Computed in software, and verified.
    Computed,
    /// Not computed.
    Modelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeName {
    /// This repository's.
    Ours,
    /// libcrypto's own ASYNC_JOB, each with an ASYNC_WAIT_CTX. Its engine side is in Rust.
    Libcrypto,
    /// Both in short rounds in turn, and how they compare.
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON object.
    Json,
    /// A header and a line per row.
    Csv,
}
