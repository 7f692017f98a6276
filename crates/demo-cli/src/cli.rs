//! The arguments, as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use offload::OpKind;

use crate::color;
use crate::compare::CompareArgs;
use crate::encrypt::parse_cipher;
use crate::error::{Error, InputError};
use crate::examples;
use crate::units::{
    parse_count, parse_duration, parse_jobs, parse_op, parse_op_id, parse_plant, parse_rate,
    parse_repeat, parse_seeds, parse_size, parse_threads, parse_timeout,
};

/// Pausable crypto jobs on a simulated accelerator.
#[derive(Debug, Parser)]
#[command(name = "demo-cli", version, max_term_width = 100, after_help = examples::PROGRAM)]
struct Cli {
    /// Whether there are colours; unless given, the terminal, NO_COLOR and CLICOLOR decide.
    #[arg(long, value_enum, global = true, default_value_t = ColorName::Auto, value_name = "WHEN")]
    color: ColorName,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep many jobs in flight on an engine and measure each way of being woken.
    ///
    /// Keeps --jobs jobs in flight, as 'openssl speed -async_jobs' does: each job runs one
    /// operation, and a job that has finished is replaced until --duration is over or --total
    /// operations are done. Every response is compared with what plain software computes; the
    /// exit status is 1 if one is wrong, or if an operation, a job or a file descriptor is
    /// unaccounted for at the end.
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Run a bench row for each combination of jobs, sizes and ways, in one report.
    ///
    /// Takes lists where 'bench' takes one value, and otherwise the same options.
    #[command(after_help = examples::SWEEP)]
    Sweep(SweepArgs),
    /// Tell the life of one operation, or of one job, from a trace of 'bench --trace'.
    ///
    /// From when the operation was due until its job went on: each step in words, what it waited
    /// for, how it fared beside the others of its row, and a small timeline.
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Make the page of --report from results that were saved with --format json.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Watch a bench row while it runs: rings, engines, throughput, latency, faults.
    ///
    /// As 'bench --live', with one way of being woken and for a minute unless told otherwise. Press q
    /// to end it sooner; the table and the verdict follow.
    #[command(
        mut_arg("duration", |arg| arg.default_value("1m")),
        mut_arg("notify", |arg| arg.default_value("callback")),
        mut_arg("live", |arg| arg.hide(true))
    )]
    Watch(BenchArgs),
    /// Search for schedules that break something: random applications on a faulty device.
    ///
    /// Each seed is a run in virtual time: jobs are started, cancelled, dropped and resumed unasked,
    /// operations run in jobs and outside, rings fill up, the device fails, stalls, dies and is shut
    /// down, and everything that is to hold is checked. The exit status is 1 if a seed fails; the
    /// lowest one is printed, with the trace of the smallest run of it that fails.
    #[command(after_help = examples::SIMULATE)]
    Simulate(SimulateArgs),
    /// Compare results of 'bench', 'sweep' or 'simulate': how much slower, and what has changed.
    ///
    /// Rows are matched by what they ran. What is one value throughout one file and another throughout
    /// the other (the device, say) does not keep rows apart: it is listed as changed. Ratios are the
    /// other's figure ÷ the base's: above 1 is slower. Where 'bench' or 'sweep' ran with --repeat they are
    /// of the medians, with the least and the most over the repeats; a ratio whose spread includes 1 is
    /// no difference seen. Without repeats the spread is that of the time per operation within the run.
    #[command(after_help = examples::COMPARE)]
    Compare(CompareArgs),
    /// Print SHA-256 or SHA-512 digests, as sha256sum and sha512sum do.
    ///
    /// The files go through the engine in many jobs at once, each file as one request. The output
    /// is that of sha256sum, byte for byte, in the order of the arguments. A file of more than 1 GiB
    /// is refused. Digests are not checked against software: a device file with faults gives wrong
    /// ones.
    #[command(after_help = examples::DIGEST)]
    Digest(DigestArgs),
    /// Encrypt or decrypt a file, as openssl enc does.
    ///
    /// Counter mode is cut into pieces that run in many jobs at once; block chaining cannot be.
    /// The result is that of 'openssl enc -K KEY -iv IV', byte for byte, and gets its name only
    /// when it is complete. It is not authenticated, as that of openssl enc is not, and it is not
    /// checked against software: a device file with faults gives a wrong one.
    #[command(after_help = examples::ENCRYPT)]
    Encrypt(EncryptArgs),
    /// Run the example of OpenSSL's manual page ASYNC_start_job, step by step.
    Example,
    /// List the simulated devices that ship, show one, or check a device file.
    #[command(after_help = examples::DEVICES)]
    Devices(DevicesArgs),
    /// List the engines.
    Engines,
    /// Print completions for a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one of its commands.
    #[command(after_help = examples::MAN)]
    Man {
        /// The command; none for the program.
        command: Option<String>,
    },
}

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
    #[arg(long, default_value_t = 24_301)]
    pub(crate) seed: u64,
    /// How long an operation may take before it is given up; at least 10ms.
    #[arg(long, value_parser = parse_timeout, default_value = "10s", value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// Let software carry out what the device refuses or fails, but not what is lost on it: an
    /// operation that gets no answer times out, and has failed.
    #[arg(long)]
    pub(crate) fallback: bool,
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
    #[arg(long, hide = true, value_enum, requires = "live", value_name = "WHERE")]
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

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub(crate) struct ExplainArgs {
    /// The trace.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// The operation: its number in its thread, and before it the thread's, unless that is 0.
    #[arg(long, group = "whose", value_parser = parse_op_id, value_name = "[THREAD:]N")]
    pub(crate) op: Option<(u64, u64)>,
    /// The operation that took longest.
    #[arg(long, group = "whose")]
    pub(crate) slowest: bool,
    /// The job: its number in its row.
    #[arg(long, group = "whose", value_name = "N")]
    pub(crate) job: Option<u64>,
    /// The row: its number, from 1 on, or its name. [default: the first that has what is asked for]
    #[arg(long, value_name = "ROW")]
    pub(crate) row: Option<String>,
    /// List all operations of the job, not only the first and the last ones.
    #[arg(long, conflicts_with_all = ["op", "slowest"])]
    pub(crate) all: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = ExplainFormat::Text)]
    pub(crate) format: ExplainFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// For people.
    Text,
    /// One JSON object; times are nanoseconds.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// The results of a 'bench' or a 'sweep'.
    #[arg(value_name = "FILE.json")]
    pub(crate) file: PathBuf,
    /// Where the page goes.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The seeds: from the first to before the last. Ranges can be run apart, by many machines, and
    /// merged.
    #[arg(long, value_parser = parse_seeds, default_value = "0..10000", value_name = "A..B")]
    pub(crate) seeds: std::ops::Range<u64>,
    /// Run this seed only.
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Print what happens, event by event. With --seed.
    #[arg(long, requires = "seed", conflicts_with_all = ["seeds", "merge"])]
    pub(crate) trace: bool,
    /// The simulated device: a preset (see 'demo-cli devices') or a device file. Each seed leaves
    /// some of its faults out and makes others more frequent. [default: flaky]
    #[arg(long, value_name = "PRESET|FILE.toml")]
    pub(crate) device: Option<String>,
    /// Jobs in flight at most.
    #[arg(long, value_parser = parse_jobs, default_value = "24", value_name = "N")]
    pub(crate) jobs: usize,
    /// Jobs of a seed, of one to three operations each.
    #[arg(long, value_parser = parse_count, default_value = "40", value_name = "N")]
    pub(crate) total: usize,
    /// Threads that share the seeds. [default: one for each cpu]
    #[arg(long, value_parser = parse_threads, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = SimulateFormat::Table, conflicts_with = "trace")]
    pub(crate) format: SimulateFormat,
    /// Put results together that were printed with --format json, instead of running.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["seeds", "seed"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Write the result to this file as a page for a browser, with the trace of the smallest run that
    /// fails.
    #[arg(long, value_name = "FILE.html", conflicts_with = "seed")]
    pub(crate) report: Option<PathBuf>,
    /// Build a bug into the device, to show that it is found.
    #[arg(long, hide = true, value_parser = parse_plant, value_name = "BUG")]
    pub(crate) plant: Option<sim_engine::Plant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimulateFormat {
    /// For people.
    Table,
    /// One JSON object, to be merged.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct DigestArgs {
    /// The files; - or none for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The digest: sha256 or sha512.
    #[arg(long, value_enum, default_value_t = DigestName::Sha256)]
    pub(crate) op: DigestName,
    /// Files in flight; fewer when they are large, so that they take at most 256 MiB.
    #[arg(long, value_parser = parse_jobs, default_value = "64", value_name = "N")]
    pub(crate) jobs: usize,
    /// How the jobs' thread is told that an operation is done.
    #[arg(long, value_enum, default_value_t = NotifyName::Callback)]
    pub(crate) notify: NotifyName,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct EncryptArgs {
    /// The file; - for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The cipher: aes-128-ctr, aes-256-ctr, aes-128-cbc or aes-256-cbc.
    #[arg(long, value_parser = parse_cipher, value_name = "CIPHER")]
    pub(crate) op: OpKind,
    /// The key in hex. Other users of this machine can see it in the list of processes: prefer
    /// --key-file.
    #[arg(
        long,
        value_name = "HEX",
        required_unless_present = "key_file",
        conflicts_with = "key_file"
    )]
    pub(crate) key: Option<String>,
    /// A file with the key in hex.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The initialisation vector (for counter mode: the first counter block) in hex. Never use
    /// one twice with the same key.
    #[arg(long, value_name = "HEX")]
    pub(crate) iv: String,
    /// Where the result goes; - for standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) out: PathBuf,
    /// Decrypt instead.
    #[arg(long)]
    pub(crate) decrypt: bool,
    /// Pieces in flight, of 256 KiB each; at most 1024 are.
    #[arg(long, value_parser = parse_jobs, default_value = "64", value_name = "N")]
    pub(crate) jobs: usize,
    /// How the jobs' thread is told that an operation is done.
    #[arg(long, value_enum, default_value_t = NotifyName::Callback)]
    pub(crate) notify: NotifyName,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DevicesArgs {
    /// Print the device file of a preset, to start one's own from.
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub(crate) show: Option<String>,
    /// Say whether a device file is good.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorName {
    /// Where they can be seen and are not unwanted.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
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
pub(crate) enum CompletionName {
    /// The device's own threads.
    Threads,
    /// The jobs' thread polls the device each millisecond.
    Poll,
    /// The jobs' thread polls the device when much is in flight (48 asymmetric operations, 24
    /// others), when all jobs wait for it, and each millisecond.
    Heuristic,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DigestName {
    /// SHA-256, as sha256sum.
    Sha256,
    /// SHA-512, as sha512sum.
    Sha512,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To run a command.
    Command(Box<Command>),
    /// To see a text: the help, the version.
    Text(String),
}

/// clap's description of the whole command line.
pub(crate) fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses this process's arguments.
pub(crate) fn parse() -> Result<Asked, Error> {
    color::choose(asked_color(std::env::args_os()));
    match Cli::try_parse() {
        Ok(cli) => Ok(Asked::Command(Box::new(cli.command))),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let text = e.render();
            let text = match color::Paint::stdout().is_on() {
                true => text.ansi().to_string(),
                false => text.to_string(),
            };
            Ok(Asked::Text(text))
        }
        Err(e) => Err(InputError::Usage(one_sentence(&e)).into()),
    }
}

/// What `--color` says, whatever is wrong with the rest: a complaint has colours too.
fn asked_color(args: impl Iterator<Item = std::ffi::OsString>) -> ColorName {
    let mut asked = ColorName::Auto;
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let value = match arg.to_str() {
            Some("--") => break,
            Some("--color") => args.peek().and_then(|next| next.to_str()),
            Some(other) => other.strip_prefix("--color="),
            None => None,
        };
        let name = value.and_then(|value| ColorName::from_str(value, false).ok());
        asked = name.unwrap_or(asked);
    }
    asked
}

/// clap writes a small page; here is the sentence at its top.
fn one_sentence(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command was given; see 'demo-cli --help'".to_owned();
    }
    let page = error.render().to_string();
    let lines = page
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let sentence = lines.collect::<Vec<_>>().join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence}; see 'demo-cli --help'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_can_be_typed() {
        let mut program = command();
        program.build();
        let pages = std::iter::once(&program).chain(program.get_subcommands());
        let mut seen = 0;
        for page in pages.filter_map(|command| command.get_after_help()) {
            let page = page.to_string();
            for line in page.lines().filter(|line| line.starts_with("  demo-cli ")) {
                let typed = line.split(['|', '>', '#']).next().unwrap_or(line);
                if let Err(error) = Cli::try_parse_from(typed.split_whitespace()) {
                    panic!("{line}: {error}");
                }
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} examples");
    }

    #[test]
    fn colours_are_asked_for_before_anything_else_is_understood() {
        let asked = |args: &[&str]| asked_color(args.iter().map(|&arg| arg.into()));
        assert_eq!(asked(&["demo-cli", "bnech"]), ColorName::Auto);
        assert_eq!(
            asked(&["demo-cli", "bnech", "--color=never"]),
            ColorName::Never
        );
        assert_eq!(
            asked(&["demo-cli", "--color", "always", "x"]),
            ColorName::Always
        );
        assert_eq!(
            asked(&["demo-cli", "--color", "--", "never"]),
            ColorName::Auto
        );
        assert_eq!(asked(&["demo-cli", "--", "--color=never"]), ColorName::Auto);
    }

    #[test]
    fn complaints_are_one_line() {
        let lines: [&[&str]; 6] = [
            &["demo-cli"],
            &["demo-cli", "bnech"],
            &["demo-cli", "bench", "--job", "5"],
            &["demo-cli", "bench", "--size", "0"],
            &["demo-cli", "bench", "--notify", "smoke"],
            &["demo-cli", "encrypt"],
        ];
        for line in lines {
            let error = Cli::try_parse_from(line).expect_err("bad input");
            let sentence = one_sentence(&error);
            assert!(!sentence.contains('\n'), "{sentence}");
            assert!(sentence.len() > 20, "{sentence}");
        }
    }
}
