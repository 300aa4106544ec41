//! Opens and looks at single entries of a folder, following no link. Touches: fs.

use std::io;
use std::path::{Component, Path};

use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, openat};
use rustix::io::Errno;

/// How a folder is opened.
pub(super) const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A FIFO is opened without waiting for its writer, a terminal without becoming ours.
pub(super) const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Who a file or a folder is: another inode under the same name is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// What tells that a file changed without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: Identity,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The later of the two times, in milliseconds since 1970. A program may set the first of
    /// them, but not the second.
    pub(super) fn last_change_millis(&self) -> i64 {
        let millis = |(seconds, nanos): (i64, i64)| {
            seconds
                .saturating_mul(1000)
                .saturating_add(nanos / 1_000_000)
        };
        millis(self.modified).max(millis(self.changed))
    }
}

/// The names in a folder, without those that begin with `.`.
pub(super) fn list(folder: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name.first() != Some(&b'.') {
            names.push(name);
        }
    }
    Ok(names)
}

/// Opens a path without links below a folder, part by part, following none.
pub(super) fn open_below(root: OwnedFd, at: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut parts = at.components().peekable();
    let mut here = root;
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(Errno::INVAL);
        };
        let flags = if parts.peek().is_some() {
            through
        } else {
            flags
        };
        here = openat(&here, name, flags, Mode::empty())?;
    }
    Ok(here)
}

/// What an entry is.
pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// What a message calls it.
pub(super) const fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}

/// Who an entry is.
pub(super) const fn identity(stat: &Stat) -> Identity {
    Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

/// An entry's stamp.
pub(super) fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        identity: identity(stat),
        size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
        modified: (
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        changed: (
            stat.st_ctime,
            i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
        ),
    }
}

/// An error in the system's words.
pub(super) fn said(error: Errno) -> io::Error {
    error.into()
}
