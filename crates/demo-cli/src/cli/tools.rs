//! The arguments of the other commands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use offload::OpKind;

use super::load::{EngineArgs, NotifyName};
use crate::encrypt::parse_cipher;
use crate::units::{
    parse_count, parse_jobs, parse_op_id, parse_plant, parse_seed, parse_seeds, parse_threads,
};

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
    #[arg(long, value_parser = parse_seed, value_name = "S", conflicts_with = "seeds")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DigestName {
    /// SHA-256, as sha256sum.
    Sha256,
    /// SHA-512, as sha512sum.
    Sha512,
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
