//! Where the result goes: under its name only when it is complete.

use std::fs::{self, File, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::NamedTempFile;

use crate::error::{Error, InputError, RunError};

/// An output that is being written.
pub(crate) enum Target {
    Stdout {
        closed: bool,
    },
    /// A file that is to take the place of the one under `path`.
    Replace {
        staged: Staged,
        path: PathBuf,
        /// The mode that it gets when it is complete.
        mode: u32,
    },
    /// Something that cannot be replaced: a device, a pipe.
    Direct {
        file: File,
        path: PathBuf,
    },
}

impl Target {
    /// Opens it; nothing is under its name yet.
    pub(crate) fn open(path: &Path) -> Result<Target, Error> {
        if path.as_os_str() == "-" {
            if io::stdout().is_terminal() {
                return Err(InputError::BinaryToTerminal.into());
            }
            return Ok(Target::Stdout { closed: false });
        }
        // A link stays a link: what it points to is replaced.
        let path = match fs::canonicalize(path) {
            Err(source) if path.is_symlink() => {
                let path = path.to_owned();
                return Err(InputError::BadOut { path, source }.into());
            }
            real => real.unwrap_or_else(|_| path.to_owned()),
        };
        let failed = |source| InputError::BadOut {
            path: path.clone(),
            source,
        };
        let existing = fs::metadata(&path).ok();
        if existing.is_some() {
            // A directory, or a file that its owner has protected, is refused here.
            let file = File::options().write(true).open(&path).map_err(failed)?;
            if existing.as_ref().is_some_and(|m| !m.is_file()) {
                return Ok(Target::Direct { file, path });
            }
        }
        let staged = Staged::beside(&path).map_err(failed)?;
        // As the file that is replaced, or as any new file.
        let mode = match existing {
            Some(metadata) => metadata.permissions().mode() & 0o777,
            None => 0o666 & !umask(),
        };
        Ok(Target::Replace { staged, path, mode })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        match self {
            Target::Stdout { closed } => {
                if *closed {
                    return Ok(());
                }
                let mut stdout = io::stdout().lock();
                match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                        *closed = true;
                        Ok(())
                    }
                    other => other.map_err(RunError::Stdout),
                }
            }
            Target::Replace { staged, path, .. } => {
                staged
                    .file()
                    .write_all(bytes)
                    .map_err(|source| RunError::Write {
                        path: path.clone(),
                        source,
                    })
            }
            Target::Direct { file, path } => {
                file.write_all(bytes)
                    .map_err(|source| RunError::WriteDirect {
                        path: path.clone(),
                        source,
                    })
            }
        }
    }

    /// The file that is written to; none behind standard output.
    pub(crate) fn file(&mut self) -> Option<&mut File> {
        match self {
            Target::Stdout { .. } => None,
            Target::Replace { staged, .. } => Some(staged.file()),
            Target::Direct { file, .. } => Some(file),
        }
    }

    /// Whether the reader has gone.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Target::Stdout { closed: true })
    }

    /// The result is complete: gives it its name.
    pub(crate) fn finish(self) -> Result<(), RunError> {
        let (path, direct) = match &self {
            Target::Stdout { .. } => return Ok(()),
            Target::Direct { path, .. } => (path.clone(), true),
            Target::Replace { path, .. } => (path.clone(), false),
        };
        self.publish().map_err(|source| match direct {
            true => RunError::WriteDirect { path, source },
            false => RunError::Write { path, source },
        })
    }

    /// The same, for who has words of their own for what goes wrong.
    pub(crate) fn publish(self) -> io::Result<()> {
        match self {
            Target::Stdout { .. } => Ok(()),
            Target::Direct { mut file, .. } => file.flush(),
            Target::Replace { staged, path, mode } => staged.publish(&path, mode),
        }
    }
}

/// A result that is being written, for its owner's eyes only: it may be plaintext.
pub(crate) enum Staged {
    /// Has no name, so that the kernel removes it however this process ends.
    Unnamed(File),
    /// Where the file system knows no unnamed files. Gone if it is dropped.
    Named(NamedTempFile),
}

impl Staged {
    /// In the directory of `path`.
    fn beside(path: &Path) -> io::Result<Staged> {
        let directory = directory_of(path);
        // Without /proc an unnamed file could not be given a name.
        if Path::new("/proc/self/fd").is_dir() {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            if let Ok(fd) = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
                return Ok(Staged::Unnamed(File::from(fd)));
            }
        }
        let create = |name: &Path| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true).mode(0o600);
            options.open(name)
        };
        Ok(Staged::Named(temporary().make_in(directory, create)?))
    }

    fn file(&mut self) -> &mut File {
        match self {
            Staged::Unnamed(file) => file,
            Staged::Named(temp) => temp.as_file_mut(),
        }
    }

    /// Gives it `mode` and the name `path`, in place of what has that name now.
    fn publish(mut self, path: &Path, mode: u32) -> io::Result<()> {
        let file = self.file();
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        match self {
            Staged::Named(temp) => temp.persist(path).map(drop).map_err(|e| e.error),
            Staged::Unnamed(file) => {
                // A link cannot replace a name, a rename can.
                let from = format!("/proc/self/fd/{}", file.as_raw_fd());
                let link = |name: &Path| {
                    let follow = AtFlags::SYMLINK_FOLLOW;
                    rustix::fs::linkat(CWD, &from, CWD, name, follow).map_err(io::Error::from)
                };
                let temp = temporary().make_in(directory_of(path), link)?;
                temp.persist(path).map_err(|e| e.error)
            }
        }
    }
}

/// How temporary files are named.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".demo-cli-");
    builder
}

/// Whether two names are those of one plain file, or would be. Of devices and pipes many may make use.
pub(crate) fn are_one_file(a: &Path, b: &Path) -> bool {
    if [a, b].iter().any(|path| path.as_os_str() == "-") {
        return false; // a standard stream
    }
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        (Err(_), Err(_)) => {
            let place = |path: &Path| {
                let directory = fs::canonicalize(directory_of(path)).ok()?;
                Some(directory.join(path.file_name()?))
            };
            place(a).is_some_and(|a| Some(a) == place(b))
        }
        _ => false,
    }
}

/// Refuses what would write over what is read, or over what else is written.
pub(crate) fn keep_apart(
    (option, written): (&'static str, &Path),
    others: &[(&'static str, Option<&Path>)],
) -> Result<(), InputError> {
    for (other, path) in others {
        if path.is_some_and(|path| are_one_file(written, path)) {
            return Err(InputError::OneFileTwice {
                option,
                other,
                path: written.to_owned(),
            });
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What this process takes away from the mode of new files. It can be read only by setting it:
/// called before any other thread runs.
fn umask() -> u32 {
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    mask.bits()
}
