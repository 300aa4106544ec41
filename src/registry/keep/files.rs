//! The files of a kept registry: opened, made, synced, moved. Touches: fs.
//!
//! **Invariant:** a file gets its name only once all of it is on disk, and the name is on disk when
//! the call returns. Files are 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::KeepError;
use super::record::FIRST_LINE;

/// All files of the registry at one moment.
pub(super) const BASE: &str = "base";

/// What changed since.
pub(super) const LOG: &str = "log";

/// A base that is made of both in the background, until it takes the place of the base: changes may write a
/// base of their own meanwhile.
pub(super) const FOLDED: &str = "folded";

/// Where a damaged pair is moved to.
pub(super) const BROKEN: &str = "broken";

/// What a file is called until it is whole.
const SUFFIX: &str = "new";

/// Bytes that are left free for the store, which fails for good where a write of it finds no room: what
/// it needs for one commit (`store/room.rs`), twice.
const LEFT_FREE: u64 = 2 * 1024 * 1024;

/// Bytes that are copied at once.
const CHUNK: usize = 256 * 1024;

/// The folder of a kept registry.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// A file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct Unnamed {
    file: File,
    length: u64,
    path: PathBuf,
}

impl Folder {
    /// The folder at this path.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file; `None` when there is none.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, KeepError> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        match options.read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }

    /// Makes a file that will be called `name`, with its first line.
    pub(super) fn begin(&self, name: &str) -> Result<Unnamed, KeepError> {
        let path = self.path.join(format!("{name}.{SUFFIX}"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(&path);
        let mut unnamed = Unnamed {
            file: file.map_err(failed("make", &path))?,
            length: 0,
            path,
        };
        unnamed.write(FIRST_LINE)?;
        Ok(unnamed)
    }

    /// Gives a file its name, over that of another one.
    pub(super) fn finish(&self, unnamed: Unnamed, name: &str) -> Result<(File, u64), KeepError> {
        unnamed.sync()?;
        let path = self.path(name);
        fs::rename(&unnamed.path, &path).map_err(failed("rename to", &path))?;
        self.sync()?;
        Ok((unnamed.file, unnamed.length))
    }

    /// Removes those of these that an error or an end by force left unnamed.
    pub(super) fn tidy(&self, names: &[&str]) {
        for name in names {
            let _none = fs::remove_file(self.path.join(format!("{name}.{SUFFIX}")));
        }
    }

    /// Moves both files aside, over those that were moved there before: evidence, bounded.
    pub(super) fn set_aside(&self) -> Result<PathBuf, KeepError> {
        let aside = self.path(BROKEN);
        match fs::create_dir(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the folder", &aside)(error));
            }
            _ => {}
        }
        for name in [BASE, LOG] {
            let _none_before = fs::remove_file(aside.join(name));
            match fs::rename(self.path(name), aside.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("move aside", &self.path(name))(error));
                }
                _ => {}
            }
        }
        self.sync()?;
        Ok(aside)
    }

    /// Whether something was moved aside and is still there.
    pub(super) fn has_broken(&self) -> bool {
        fs::read_dir(self.path(BROKEN)).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// An error unless so many bytes find room surely.
    pub(super) fn room(&self, bytes: u64) -> Result<(), KeepError> {
        let Ok(stat) = rustix::fs::statvfs(&self.path) else {
            // The write will say.
            return Ok(());
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free >= bytes.saturating_add(LEFT_FREE) {
            return Ok(());
        }
        Err(KeepError::NoRoom {
            folder: self.path.clone(),
        })
    }

    fn sync(&self) -> Result<(), KeepError> {
        let opened = File::open(&self.path);
        opened
            .and_then(|folder| folder.sync_all())
            .map_err(failed("sync", &self.path))
    }
}

impl Unnamed {
    /// Writes these bytes at its end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), KeepError> {
        self.file
            .write_all(bytes)
            .map_err(failed("write", &self.path))?;
        self.length += super::record::u64_of(bytes.len());
        Ok(())
    }

    /// How many bytes it has.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Waits until what was written is on disk.
    pub(super) fn sync(&self) -> Result<(), KeepError> {
        self.file.sync_data().map_err(failed("sync", &self.path))
    }

    /// Copies these bytes of another file to its end.
    pub(super) fn copy(&mut self, from: &File, (mut at, end): (u64, u64)) -> Result<(), KeepError> {
        let mut chunk = vec![0; CHUNK];
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let part = chunk.get_mut(..wanted).unwrap_or_default();
            from.read_exact_at(part, at)
                .map_err(failed("read for", &self.path))?;
            self.write(part)?;
            at += super::record::u64_of(wanted);
        }
        Ok(())
    }
}

/// The error of something that was done with a file.
pub(super) fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> KeepError + use<'a> {
    move |source| KeepError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
