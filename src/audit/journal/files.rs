//! The journal's folder: its names, and how its files are opened, made and moved. Touches: fs.
//!
//! **Invariant:** everything is opened relative to one descriptor of the folder, and never through a
//! symbolic link; files are 0600, the folder 0700.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};

use super::index::SUFFIX;

/// The segment that was made beforehand and has no name of its own yet.
pub(super) const NEXT: &str = "next.jsonl";
/// The copy of the last segment's valid prefix, while it is made.
pub(super) const RECOVERING: &str = "recovering.tmp";
/// The folder for what recovery moved aside.
pub(super) const TORN: &str = "torn";
/// Most files in the folder that are listed: at 64 MiB each, 64 TiB.
const MAX_FILES: usize = 1 << 20;

/// A file or folder of the journal could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The journal's folder, held open.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First sequences of the segments, in order.
    pub segments: Vec<u64>,
    /// Whether a segment was made beforehand.
    pub next: bool,
    /// Whether a recovery was interrupted.
    pub recovering: bool,
}

/// The first sequence of the segment with this name.
fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let numeric = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| numeric && *first > 0)
}

impl Folder {
    /// Opens the folder, and makes it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let fail = |action| {
            move |error: rustix::io::Errno| FileError {
                action,
                path: path.to_owned(),
                source: error.into(),
            }
        };
        let private = Mode::RWXU;
        match rustix::fs::mkdir(path, private) {
            Ok(()) => {
                if let Some(parent) = path.parent() {
                    let parent = rustix::fs::open(parent, DIRECTORY, Mode::empty());
                    let synced = parent.and_then(rustix::fs::fsync);
                    synced.map_err(fail("make durable the folder of"))?;
                }
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(fail("make the folder")(error)),
        }
        let folder = Self::look(path)?;
        rustix::fs::fchmod(&folder.fd, private)
            .map_err(fail("restrict to its owner the folder"))?;
        Ok(folder)
    }

    /// Opens the folder, which must exist, and changes nothing.
    pub(super) fn look(path: &Path) -> Result<Self, FileError> {
        let fd = rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let fd = fd.map_err(|error| FileError {
            action: "open as a folder (no link is followed)",
            path: path.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// The path of a file in the folder, for messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What is in the folder. Names that are not the journal's are left alone.
    pub(super) fn list(&self) -> Result<Listing, FileError> {
        let mut listing = Listing::default();
        let dir = Dir::read_from(&self.fd).map_err(|error| self.fail("list", "", error))?;
        for entry in dir.take(MAX_FILES) {
            let entry = entry.map_err(|error| self.fail("list", "", error))?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == NEXT {
                listing.next = true;
            } else if name == RECOVERING {
                listing.recovering = true;
            } else if let Some(first) = parse_segment_name(name) {
                listing.segments.push(first);
            } else if name.ends_with(SUFFIX) {
                let odd = io::Error::other("it is no segment: the name must be 20 digits");
                return Err(self.odd("use", name, odd));
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// Opens a regular file for reading.
    pub(super) fn open_file(&self, name: &str) -> Result<File, FileError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|error| self.fail("open", name, error))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| self.fail("look at", name, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let odd = io::Error::other("it is no regular file");
            return Err(self.odd("use", name, odd));
        }
        Ok(File::from(fd))
    }

    /// Makes a new file, for reading and writing; one that exists is an error.
    pub(super) fn create(&self, name: &str) -> Result<File, FileError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| self.fail("make", name, error))
    }

    /// Renames a file to a name that is free.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let free = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, free) {
            // File systems without the flag: nobody else makes files here.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => self.replace(from, to),
            result => result.map_err(|error| self.fail("rename to", to, error)),
        }
    }

    /// Renames a file over another.
    pub(super) fn replace(&self, from: &str, to: &str) -> Result<(), FileError> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
            .map_err(|error| self.fail("rename to", to, error))
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|error| self.fail("remove", name, error))
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        rustix::fs::fsync(&self.fd).map_err(|error| self.fail("make durable", "", error))
    }

    /// The folder below this one for what recovery moves aside.
    pub(super) fn torn(&self) -> Result<Self, FileError> {
        Self::open(&self.path(TORN))
    }

    /// Bytes that are free to us on the file system, and its size.
    pub(super) fn space(&self) -> Result<(u64, u64), FileError> {
        let stat = rustix::fs::fstatvfs(&self.fd)
            .map_err(|error| self.fail("ask for the free space of", "", error))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok((free, stat.f_blocks.saturating_mul(stat.f_frsize)))
    }

    /// Whether the folder's path still leads to the folder that is open, and not to one that was put
    /// in its place.
    pub(super) fn in_place(&self) -> bool {
        let (Ok(open), Ok(named)) = (rustix::fs::fstat(&self.fd), rustix::fs::lstat(&self.path))
        else {
            return false;
        };
        (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)
    }

    /// The length of a file; `None` when there is no such regular file.
    pub(super) fn length(&self, name: &str) -> Option<u64> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        u64::try_from(stat.st_size).ok().filter(|_| regular)
    }

    fn fail(&self, action: &'static str, name: &str, error: rustix::io::Errno) -> FileError {
        self.odd(action, name, error.into())
    }

    /// The error of an action with a file of this folder.
    pub(super) fn odd(&self, action: &'static str, name: &str, source: io::Error) -> FileError {
        FileError {
            action,
            path: self.path(name),
            source,
        }
    }
}

/// How folders are opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// What the writer needs of a segment's file.
pub(super) trait Appendable: Send {
    /// Writes all of it at this offset.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable, the length included.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Appendable for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&*self)?)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
