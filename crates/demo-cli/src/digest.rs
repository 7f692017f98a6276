//! `digest`: files through the engine, many at once, printed as sha256sum and sha512sum do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use async_core::JobSet;
use offload::{MAX_DATA_BYTES, OffloadClient, OffloadError, Op, Request, Response};
use zeroize::Zeroizing;

use crate::cli::{DigestArgs, DigestName, NotifyName};
use crate::engine::{EngineOptions, TURN, next_finished};
use crate::error::{Error, InputError, RunError, as_typed};
use crate::out::{Out, say};
use crate::progress::Progress;
use crate::system;
use crate::units::show_count;

/// The most bytes of files in flight, but for one file that is larger.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;

/// What a job leaves: the digest, or why there is none.
type Answer = Result<Response, OffloadError>;

/// Hashes the files in the order of the arguments. A file that cannot be read is said so, and the
/// others are hashed all the same.
pub(crate) fn run(args: DigestArgs, out: &mut Out) -> Result<ExitCode, Error> {
    let options = EngineOptions::new(&args.engine)?;
    let files = match &args.files[..] {
        [] => vec![PathBuf::from("-")],
        files => files.to_vec(),
    };
    let jobs = args.jobs.min(files.len());
    if args.notify == NotifyName::Fd {
        system::make_room_for_fds(jobs, 1).map_err(|(need, limit)| InputError::TooFewFds {
            jobs,
            need,
            limit,
        })?;
    }
    options.warn_of_wrong_results();
    let engine = options.open()?;
    let mut run = Run {
        set: JobSet::new(jobs, args.notify.wake_by()).map_err(RunError::WakeSource)?,
        client: Rc::new(engine.client.clone()),
        op: args.op,
        sizes: BTreeMap::new(),
        files: &files,
        lines: RefCell::new(Lines::default()),
        progress: Progress::of_filter(),
    };
    let result = run.all(out);
    run.progress.clear();
    let failed = run.lines.borrow().failed;
    drop(run);
    engine.close();
    result?;
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

struct Run<'a> {
    set: JobSet<Answer>,
    client: Rc<OffloadClient>,
    op: DigestName,
    /// The sizes of the files in flight, by index.
    sizes: BTreeMap<u64, usize>,
    files: &'a [PathBuf],
    lines: RefCell<Lines>,
    progress: Progress,
}

/// What is printed, in order however the jobs finish.
#[derive(Default)]
struct Lines {
    next: u64,
    /// Those that must wait for an earlier one. Nothing for a file without a digest.
    waiting: BTreeMap<u64, Option<Vec<u8>>>,
    failed: bool,
}

impl Run<'_> {
    fn all(&mut self, out: &mut Out) -> Result<(), RunError> {
        for index in 0..self.files.len() as u64 {
            if out.is_closed() {
                break;
            }
            let data = match read(self.path(index)) {
                Ok(data) => data,
                Err(reason) => {
                    self.lines
                        .borrow_mut()
                        .fail(index, self.path(index), &reason);
                    continue;
                }
            };
            self.show_progress(index);
            while !self.has_room_for(data.len()) {
                self.turn(out)?;
            }
            self.start(index, data)?;
        }
        while !self.set.is_empty() {
            self.turn(out)?;
        }
        self.lines.borrow_mut().print(out)
    }

    /// So many files have been read.
    fn show_progress(&mut self, read: u64) {
        let all = self.files.len();
        let part = (read > 0).then(|| read as f64 / all as f64);
        let progress = &mut self.progress;
        progress.at(part, || {
            format!("{} of {} files", show_count(read), show_count(all as u64))
        });
    }

    fn path(&self, index: u64) -> &Path {
        &self.files[index as usize]
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        let in_flight: usize = self.sizes.values().sum();
        self.set.is_empty()
            || self.set.has_room() && in_flight.saturating_add(bytes) <= IN_FLIGHT_BYTES_MAX
    }

    fn start(&mut self, index: u64, data: Zeroizing<Vec<u8>>) -> Result<(), RunError> {
        let op = match self.op {
            DigestName::Sha256 => Op::Sha256,
            DigestName::Sha512 => Op::Sha512,
        };
        self.sizes.insert(index, data.len());
        let request = Request::new(op, data).with_id(index);
        let client = Rc::clone(&self.client);
        let started = self.set.start(index, move || client.run(request));
        let started = started.map_err(|e| RunError::Start {
            started: self.set.in_flight(),
            wanted: self.files.len(),
            reason: as_typed(&e.to_string()),
        })?;
        if let Some(answer) = started {
            self.sizes.remove(&index);
            let path = self.path(index);
            self.lines.borrow_mut().take(index, path, answer);
        }
        Ok(())
    }

    fn turn(&mut self, out: &mut Out) -> Result<(), RunError> {
        let (lines, sizes, files) = (&self.lines, &mut self.sizes, self.files);
        if let Some((index, answer)) = next_finished(&mut self.set, &self.client, TURN)? {
            sizes.remove(&index);
            let path = &files[index as usize];
            lines.borrow_mut().take(index, path, answer);
        }
        lines.borrow_mut().print(out)
    }
}

impl Lines {
    fn take(&mut self, index: u64, path: &Path, answer: Answer) {
        let reason = match &answer {
            Ok(response) => match response.digest() {
                Some(digest) => {
                    self.waiting
                        .insert(index, Some(line(digest, path.as_os_str())));
                    return;
                }
                None => "the engine answered without a digest".to_owned(),
            },
            Err(error) => as_typed(&error.to_string()),
        };
        self.fail(index, path, &reason);
    }

    fn fail(&mut self, index: u64, path: &Path, reason: &str) {
        let _ = say(format_args!("{}: {reason}", path.display()));
        self.failed = true;
        self.waiting.insert(index, None);
    }

    /// Prints what is complete, up to the first file that is not.
    fn print(&mut self, out: &mut Out) -> Result<(), RunError> {
        while let Some(line) = self.waiting.remove(&self.next) {
            self.next += 1;
            if let Some(line) = line {
                out.write(&line)?;
            }
        }
        Ok(())
    }
}

/// Reads a file whole, or says why not.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let result = if path.as_os_str() == "-" {
        read_from(io::stdin().lock(), 0)
    } else {
        File::open(path).and_then(|file| {
            let size = file.metadata().map_or(0, |m| m.len());
            if size > MAX_DATA_BYTES as u64 {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            read_from(file, size)
        })
    };
    match result {
        Ok(data) if data.len() > MAX_DATA_BYTES => Err(RunError::TooLargeToHash.to_string()),
        Ok(data) => Ok(data),
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            Err(RunError::TooLargeToHash.to_string())
        }
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
            Err("is a directory; give files".to_owned())
        }
        Err(e) => Err(format!("{e}; give a file that can be read")),
    }
}

/// At most one byte more than fits a request, so that it shows.
fn read_from(file: impl Read, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = MAX_DATA_BYTES as u64 + 1;
    let mut data = Zeroizing::new(Vec::with_capacity(size.min(most) as usize));
    file.take(most).read_to_end(&mut data)?;
    Ok(data)
}

/// A line of sha256sum's: a name with a backslash or a line end in it is escaped, and the line
/// then begins with a backslash.
fn line(digest: &[u8], name: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name.as_bytes() {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            _ => escaped.push(byte),
        }
    }
    let mut line = Vec::with_capacity(2 * digest.len() + escaped.len() + 4);
    if escaped.len() != name.len() {
        line.push(b'\\');
    }
    for byte in digest {
        line.extend(format!("{byte:02x}").as_bytes());
    }
    line.extend(b"  ");
    line.extend(escaped);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_sha256sum_does() {
        let line = |name: &str| {
            let line = super::line(&[0xab, 1], OsStr::new(name));
            String::from_utf8(line).expect("ASCII")
        };
        assert_eq!(line("plain name"), "ab01  plain name\n");
        assert_eq!(line("back\\slash"), "\\ab01  back\\\\slash\n");
        assert_eq!(line("line\nend\r"), "\\ab01  line\\nend\\r\n");
    }
}
