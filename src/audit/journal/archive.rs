//! Reads a journal's files as they are, of a daemon that is stopped. Touches: fs.
//!
//! For `grantd audit tail`, `export`, `find` and `verify`. Nothing is repaired or changed, and nothing
//! is judged: the lines come as bytes, for [`crate::audit::chain::Verifier`] to say what is wrong.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::files::{FileError, Folder, NEXT};
use super::index::segment_name;
use crate::audit::chain::MAX_LINE;

/// The files of a journal.
#[derive(Debug)]
pub struct Archive {
    folder: Folder,
    names: Vec<String>,
}

/// One line's bytes, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveLine {
    /// The segment.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The line without its line feed; cut just above [`MAX_LINE`].
    pub bytes: Bytes,
    /// Whether a line feed follows: without one it was not written whole.
    pub whole: bool,
}

impl Archive {
    /// The journal in this folder, which must exist.
    ///
    /// # Errors
    /// [`FileError`] when the folder can't be read or holds odd files.
    pub fn open(dir: &Path) -> Result<Self, FileError> {
        let folder = Folder::look(dir)?;
        let listing = folder.list()?;
        let mut names: Vec<String> = listing.segments.iter().copied().map(segment_name).collect();
        if listing.next && folder.length(NEXT) != Some(0) {
            // A segment that was begun, but whose name was lost with the power.
            names.push(NEXT.to_owned());
        }
        Ok(Self { folder, names })
    }

    /// All lines in the order of the files, from the segment that should hold `from` on.
    pub fn lines(&self, from: u64) -> impl Iterator<Item = Result<ArchiveLine, FileError>> + '_ {
        let first = segment_name(from.max(1));
        let after = self
            .names
            .iter()
            .filter(|name| *name != NEXT)
            .take_while(|name| **name <= first)
            .count();
        self.names
            .iter()
            .skip(after.saturating_sub(1))
            .flat_map(|name| Lines::open(&self.folder, name))
    }
}

/// The lines of one file.
struct Lines<'a> {
    folder: &'a Folder,
    name: &'a str,
    reader: Option<BufReader<File>>,
    failed: Option<FileError>,
    offset: u64,
}

impl<'a> Lines<'a> {
    fn open(folder: &'a Folder, name: &'a str) -> Self {
        let opened = folder.open_file(name);
        let (reader, failed) = match opened {
            Ok(file) => (Some(BufReader::new(file)), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            folder,
            name,
            reader,
            failed,
            offset: 0,
        }
    }

    fn read(&mut self) -> Result<Option<ArchiveLine>, FileError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let most = MAX_LINE as u64 + 2;
        let read = reader.take(most).read_until(b'\n', &mut bytes);
        let read = match read {
            Ok(read) => read as u64,
            Err(source) => {
                self.reader = None;
                return Err(self.folder.odd("read", self.name, source));
            }
        };
        if read == 0 {
            return Ok(None);
        }
        let whole = bytes.last() == Some(&b'\n');
        bytes.truncate(bytes.len() - usize::from(whole));
        let line = ArchiveLine {
            path: self.folder.path(self.name),
            offset: self.offset,
            bytes: Bytes::from(bytes),
            whole,
        };
        self.offset += read;
        Ok(Some(line))
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<ArchiveLine, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
