//! The bench's arguments, checked.

use std::path::PathBuf;
use std::time::Duration;

use libcrypto_peer::Libcrypto;
use offload::OpKind;

use super::payload;
use crate::cli::{BenchArgs, Format, NotifyArg, NotifyName, RuntimeName};
use crate::engine::EngineOptions;
use crate::error::InputError;
use crate::system;

/// What a job takes beside its payload, at least: the pages of its stack that it touches, its
/// context and its place in the set.
const JOB_BYTES: u64 = 12 * 1024;

/// Bytes per operation, where nothing is said.
const SIZE_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) struct BenchOptions {
    pub(crate) engine: EngineOptions,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    pub(crate) until: Until,
    pub(crate) runtime: RuntimeName,
    /// The same, ready to run: those that take turns in each row.
    pub(crate) runtimes: Vec<Runtime>,
    /// The rows, in order.
    pub(crate) notify: Vec<NotifyName>,
    pub(crate) op: OpKind,
    pub(crate) size: usize,
    pub(crate) input: Option<PathBuf>,
    pub(crate) format: Format,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
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

impl BenchOptions {
    pub(crate) fn new(args: BenchArgs) -> Result<BenchOptions, InputError> {
        let (jobs, threads) = (args.jobs, args.threads);
        let mut notes = Vec::new();
        let size = size(args.op, args.size, &args.input, &mut notes)?;
        if threads > jobs {
            return Err(InputError::MoreThreadsThanJobs { threads, jobs });
        }
        let payload = payload::bytes_max(size, args.input.is_some());
        let sides = if args.runtime == RuntimeName::Both {
            2
        } else {
            1
        };
        check_memory(jobs, sides, size, payload, system::memory_bytes())?;
        let engine = EngineOptions::new(&args.engine)?;
        if cfg!(debug_assertions)
            && args.runtime != RuntimeName::Ours
            && engine.computes_in_jobs(args.op, size)
        {
            let runtime = args.runtime.name();
            return Err(InputError::StacksTooSmall { runtime });
        }
        let runtimes = runtimes(args.runtime)?;
        let notify = match args.notify {
            NotifyArg::All => NotifyName::ALL.to_vec(),
            NotifyArg::Fd => vec![NotifyName::Fd],
            NotifyArg::SharedFd => vec![NotifyName::SharedFd],
            NotifyArg::Callback => vec![NotifyName::Callback],
            NotifyArg::Poll => vec![NotifyName::Poll],
        };
        let mut options = BenchOptions {
            engine,
            jobs,
            threads,
            until: match args.total {
                Some(total) => Until::Operations(total as u64),
                None => Until::Time(args.duration),
            },
            runtime: args.runtime,
            runtimes,
            notify,
            op: args.op,
            size,
            input: args.input,
            format: args.format,
            notes: Vec::new(),
        };
        if options.notify.contains(&NotifyName::Fd)
            && let Err((need, limit)) = system::make_room_for_fds(jobs * sides, threads * sides)
        {
            if options.notify.len() == 1 {
                return Err(InputError::TooFewFds { jobs, need, limit });
            }
            options.notify.retain(|&n| n != NotifyName::Fd);
            notes.push(format!(
                "no row for --notify fd: {jobs} jobs on {threads} threads need {need} open files, and the hard limit (ulimit -Hn) is {limit}"
            ));
        }
        options.notes = notes;
        Ok(options)
    }
}

/// Bytes per operation: those that were asked for, unless the operation decides.
fn size(
    op: OpKind,
    asked: Option<usize>,
    input: &Option<PathBuf>,
    notes: &mut Vec<String>,
) -> Result<usize, InputError> {
    let Some(fixed) = payload::input_bytes(op) else {
        return Ok(asked.unwrap_or(SIZE_BYTES));
    };
    if input.is_some() {
        return Err(InputError::MakesItsInput { op });
    }
    if let Some(asked) = asked.filter(|&asked| asked != fixed) {
        notes.push(format!(
            "--size {asked} is not used: {op} takes {fixed} bytes, no more and no less"
        ));
    }
    Ok(fixed)
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
        let mut size = |op, asked, file: &Option<PathBuf>| size(op, asked, file, &mut notes);
        assert!(matches!(size(OpKind::Sha256, None, &file), Ok(1024)));
        assert!(matches!(size(OpKind::EcdsaP256Sign, Some(5), &file), Ok(5)));
        assert!(matches!(size(op, None, &None), Ok(384)));
        assert!(matches!(size(op, Some(384), &None), Ok(384)));
        assert!(matches!(
            size(op, None, &file),
            Err(InputError::MakesItsInput {
                op: OpKind::Rsa3072Decrypt
            })
        ));
        assert!(matches!(size(OpKind::P256Derive, Some(64), &None), Ok(65)));
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
