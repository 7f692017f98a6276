//! `encrypt`: a file through the engine, with the result of `openssl enc`.

mod cipher;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use async_core::JobSet;
use offload::{Buffer, MAX_DATA_BYTES, OffloadClient, OffloadError, Request, Response};
use zeroize::Zeroizing;

pub(crate) use self::cipher::parse_cipher;
use self::cipher::{BLOCK_BYTES, Cipher};
use crate::cli::{EncryptArgs, NotifyName};
use crate::engine::{EngineOptions, TURN, next_finished};
use crate::error::{Error, InputError, RunError, as_typed};
use crate::human::show_number;
use crate::out::complain;
use crate::progress::Progress;
use crate::system;
use crate::target::Target;

/// A piece of a file that can be split; whole blocks.
const PIECE_BYTES: usize = 256 << 10;
const _: () = assert!(PIECE_BYTES.is_multiple_of(BLOCK_BYTES));

/// The most pieces that are read ahead of what was written: 256 MiB.
const PIECES_MAX: usize = (256 << 20) / PIECE_BYTES;

/// Encrypts or decrypts a file.
pub(crate) fn run(args: EncryptArgs) -> Result<ExitCode, Error> {
    let options = EngineOptions::new(&args.engine)?;
    let key = match (args.key, &args.key_file) {
        (Some(key), _) => Zeroizing::new(key),
        (None, Some(path)) => cipher::key_from_file(path)?,
        // clap has seen to it that there is one of the two.
        (None, None) => Zeroizing::new(String::new()),
    };
    let cipher = Cipher::new(args.op, key, &args.iv, args.decrypt)?;
    let jobs = args.jobs.min(PIECES_MAX);
    if args.notify == NotifyName::Fd {
        system::make_room_for_fds(jobs, 1).map_err(|(need, limit)| InputError::TooFewFds {
            jobs,
            need,
            limit,
        })?;
    }
    let source = Source::open(&args.file)?;
    let target = Target::open(&args.out)?;
    options.warn_of_wrong_results();
    let engine = options.open()?;
    let mut run = Run {
        set: JobSet::new(jobs, args.notify.wake_by()).map_err(RunError::WakeSource)?,
        client: Rc::new(engine.client.clone()),
        cipher,
        jobs: jobs as u64,
        source,
        target,
        done: BTreeMap::new(),
        next_written: 0,
        spare: Vec::new(),
        progress: Progress::of_filter(),
    };
    let result = run.all();
    run.progress.clear();
    let Run { target, set, .. } = run;
    if let Err(error) = result {
        // Before the engine is closed, which takes a moment.
        let _ = complain(&error);
        drop(set);
        engine.close();
        return Ok(error.exit_code());
    }
    drop(set);
    engine.close();
    target.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// What a job leaves.
type Answer = Result<Response, OffloadError>;

struct Run {
    set: JobSet<Answer>,
    client: Rc<OffloadClient>,
    cipher: Cipher,
    jobs: u64,
    source: Source,
    target: Target,
    /// Pieces that must wait for an earlier one; fewer than there are jobs.
    done: BTreeMap<u64, Answer>,
    next_written: u64,
    /// Buffers to be used again.
    spare: Vec<Buffer>,
    progress: Progress,
}

impl Run {
    fn all(&mut self) -> Result<(), Error> {
        let piece_bytes = if self.cipher.can_be_split() {
            PIECE_BYTES
        } else {
            // One more than can be, so that it shows.
            MAX_DATA_BYTES + 1
        };
        for piece in 0.. {
            if self.target.is_closed() {
                return Ok(());
            }
            // Read ahead of what was written by as many pieces as there are jobs.
            while piece - self.next_written >= self.jobs {
                self.turn()?;
            }
            let buffer = self.spare.pop().unwrap_or_default();
            let data = self.source.read(buffer, piece_bytes)?;
            let last = data.len() < piece_bytes;
            if !self.cipher.can_be_split() && !last {
                return Err(InputError::TooLargeToChain {
                    path: self.source.path.clone(),
                    op: self.cipher.kind(),
                }
                .into());
            }
            // Nothing is a piece too for a cipher that pads.
            if !data.is_empty() || !self.cipher.can_be_split() {
                self.start(piece, data)?;
            }
            if last {
                break;
            }
        }
        while !self.set.is_empty() {
            self.turn()?;
        }
        Ok(self.write()?)
    }

    fn start(&mut self, piece: u64, data: Buffer) -> Result<(), RunError> {
        let offset = piece * PIECE_BYTES as u64;
        let request = Request::new(self.cipher.at(offset), data).with_id(piece);
        let client = Rc::clone(&self.client);
        let started = self.set.start(piece, move || client.run(request));
        let started = started.map_err(|e| RunError::Start {
            started: self.set.in_flight(),
            wanted: self.set.in_flight() + 1,
            reason: as_typed(&e.to_string()),
        })?;
        if let Some(answer) = started {
            self.done.insert(piece, answer);
            self.write()?;
        }
        Ok(())
    }

    /// Of a file whose size is known, and that is cut into pieces.
    fn show_progress(&mut self) {
        let (done, all) = (self.next_written * PIECE_BYTES as u64, self.source.size);
        let part = (done > 0 && all > 0).then(|| (done as f64 / all as f64).min(1.0));
        let progress = &mut self.progress;
        progress.at(part, || format!("{}B written", show_number(done as f64)));
    }

    fn turn(&mut self) -> Result<(), RunError> {
        let done = &mut self.done;
        if let Some((piece, answer)) = next_finished(&mut self.set, &self.client, TURN)? {
            done.insert(piece, answer);
        }
        self.show_progress();
        self.write()
    }

    /// Writes what is complete, up to the first piece that is not.
    fn write(&mut self) -> Result<(), RunError> {
        while let Some(answer) = self.done.remove(&self.next_written) {
            let response = answer.map_err(|e| RunError::Operation {
                what: self.source.path.display().to_string(),
                reason: as_typed(&e.to_string()),
            })?;
            self.target.write(&response.data)?;
            self.spare.push(response.data);
            self.next_written += 1;
        }
        Ok(())
    }
}

/// The input, read from front to back.
struct Source {
    reader: Box<dyn Read>,
    path: PathBuf,
    /// Its size, as far as that can be told.
    size: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Source, InputError> {
        let path = path.to_owned();
        if path.as_os_str() == "-" {
            return Ok(Source {
                reader: Box::new(io::stdin().lock()),
                path,
                size: 0,
            });
        }
        let opened = File::open(&path).and_then(|file| {
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok((file, metadata.len()))
        });
        match opened {
            Ok((file, size)) => Ok(Source {
                reader: Box::new(file),
                path,
                size,
            }),
            Err(source) => Err(InputError::Unreadable { path, source }),
        }
    }

    /// The next `bytes` bytes, or fewer at the end. No copy of them is left behind: a buffer that
    /// must grow is replaced by one that is wiped too.
    fn read(&mut self, mut buffer: Buffer, bytes: usize) -> Result<Buffer, RunError> {
        buffer.clear();
        let expected = (self.size as usize).saturating_add(1).min(bytes);
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                let room = (2 * filled).clamp(expected.max(64 << 10).min(bytes), bytes);
                if room <= buffer.capacity() {
                    buffer.resize(room, 0);
                    continue;
                }
                let mut larger = Zeroizing::new(Vec::with_capacity(room + BLOCK_BYTES));
                larger.extend_from_slice(&buffer);
                larger.resize(room, 0);
                buffer = larger;
            }
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let path = self.path.clone();
                    return Err(RunError::Read { path, source });
                }
            }
            if filled == bytes {
                break;
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }
}
