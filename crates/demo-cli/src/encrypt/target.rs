//! Where the result goes: under its name only when it is complete.

use std::fs::{self, File, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, InputError, RunError};

/// An output that is being written.
pub(crate) enum Target {
    Stdout {
        closed: bool,
    },
    /// A file beside the one that it will become. Gone if it is dropped.
    Replace {
        temp: NamedTempFile,
        path: PathBuf,
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
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let failed = |source| RunError::Write {
            path: path.clone(),
            source,
        };
        let existing = fs::metadata(&path).ok();
        if existing.as_ref().is_some_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(&path).map_err(failed)?;
            return Ok(Target::Direct { file, path });
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Its absence, in words without the name of a temporary file.
        fs::metadata(directory).map_err(failed)?;
        // As any new file, or as the file that is replaced.
        let mode = existing
            .as_ref()
            .map_or(0o666, |m| m.permissions().mode() & 0o777);
        let temp = tempfile::Builder::new()
            .prefix(".demo-cli-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)
            .map_err(failed)?;
        if let Some(existing) = existing {
            fs::set_permissions(temp.path(), existing.permissions()).map_err(failed)?;
        }
        Ok(Target::Replace { temp, path })
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
            Target::Replace { temp, path } => {
                temp.write_all(bytes).map_err(|source| RunError::Write {
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

    /// Whether the reader has gone.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Target::Stdout { closed: true })
    }

    /// The result is complete: gives it its name.
    pub(crate) fn finish(self) -> Result<(), RunError> {
        match self {
            Target::Stdout { .. } => Ok(()),
            Target::Direct { mut file, path } => file
                .flush()
                .map_err(|source| RunError::WriteDirect { path, source }),
            Target::Replace { temp, path } => {
                let synced = temp.as_file().sync_all();
                let named = synced.and_then(|()| temp.persist(&path).map_err(|e| e.error));
                match named {
                    Ok(_) => Ok(()),
                    Err(source) => Err(RunError::Write { path, source }),
                }
            }
        }
    }
}
