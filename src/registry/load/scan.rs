//! Lists the files of a registry folder and opens them safely. Touches: fs.
//!
//! **Invariant:** nothing outside of the root is ever opened, and nothing but regular files: each
//! part of a path is opened by itself without following links, and a link counts only by the path
//! that it resolves to.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, open, openat, statat};
use rustix::io::Errno;

use super::entry::{
    FILE, FOLDER, Identity, Stamp, identity, kind, kind_name, list, open_below, said, stamp,
};
use super::{Limits, LoadError};
use crate::registry::diagnostic::{Problem, Rule};
use crate::registry::source::{MAX_PATH, Place};

/// Most problems of entries that are told: the rest is more of the same.
const MAX_PROBLEMS: usize = 100;

/// A folder that was scanned, by its resolved path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The path, without links.
    pub path: PathBuf,
    /// Who it is.
    pub identity: Identity,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path below the root without links, where that is not the one that people see.
    at: Option<Box<Path>>,
    pub(super) stamp: Stamp,
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scan {
    root: PathBuf,
    /// The files by the path that people see, links unresolved.
    pub(super) entries: BTreeMap<Arc<str>, Entry>,
    pub(super) folders: Vec<Folder>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Lists a registry folder.
///
/// # Errors
/// [`LoadError`] when the folder itself can't be read, holds nothing, or too much.
pub(super) fn scan(root: &Path, limits: &Limits) -> Result<Scan, LoadError> {
    let name = root.display().to_string();
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::Missing(name.clone()),
        io::ErrorKind::NotADirectory => LoadError::NotAFolder(name.clone()),
        _ => LoadError::Unreadable {
            path: name.clone(),
            reason: error.to_string(),
        },
    };
    let resolved = std::fs::canonicalize(root).map_err(refused)?;
    let folder = open(&resolved, FOLDER, Mode::empty()).map_err(|error| refused(error.into()))?;
    let stat = fstat(&folder).map_err(|error| refused(error.into()))?;
    let mut walk = Walk {
        limits,
        bytes: 0,
        files: 0,
        above: vec![identity(&stat)],
        entries: Vec::new(),
        scan: Scan {
            root: resolved,
            entries: BTreeMap::new(),
            folders: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        },
    };
    if stat.st_mode & Mode::WOTH.as_raw_mode() != 0 {
        let message = "everybody on this machine may write to the registry folder";
        let problem = Problem::warning(Place::file("."), message)
            .rule(Rule::File)
            .advise("whoever can write here decides who gets tokens: `chmod o-w` it");
        walk.scan.warnings.push(problem);
    }
    walk.folder(&folder, Path::new(""), Path::new(""))
        .map_err(|stop| match stop {
            Stop::Files => LoadError::TooManyFiles {
                path: name.clone(),
                most: limits.files,
            },
            Stop::Bytes => LoadError::TooManyBytes {
                path: name.clone(),
                most: limits.total_bytes,
            },
            Stop::Root(error) => refused(error),
        })?;
    let mut scan = walk.scan;
    // In one go: nearly in order as they come.
    scan.entries = walk.entries.into_iter().collect();
    if scan.entries.is_empty() && scan.problems.is_empty() {
        return Err(LoadError::Empty(name));
    }
    Ok(scan)
}

impl Scan {
    /// A reader of the files of this scan, of at most so many bytes each.
    pub(super) const fn reader(&self, most: u64) -> Reader<'_> {
        Reader {
            scan: self,
            most,
            folder: None,
        }
    }
}

/// Reads files of one scan. The folder of the last one stays open, for the next often stands beside it.
pub(super) struct Reader<'a> {
    scan: &'a Scan,
    most: u64,
    folder: Option<(&'a Path, OwnedFd)>,
}

impl<'a> Reader<'a> {
    /// The bytes of a file.
    ///
    /// # Errors
    /// What the system says; `NotFound` also when another file stands there by now.
    pub(super) fn read(&mut self, path: &'a Arc<str>, entry: &'a Entry) -> io::Result<Vec<u8>> {
        let changed = || io::Error::from(io::ErrorKind::NotFound);
        let at = entry.at.as_deref().unwrap_or(Path::new(&**path));
        let file = self.open(at).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO => changed(),
            other => other.into(),
        })?;
        let stat = fstat(&file)?;
        if stamp(&stat) != entry.stamp || kind(&stat) != FileType::RegularFile {
            return Err(changed());
        }
        // One byte more than there is, so that the end is seen without another read.
        let size = usize::try_from(entry.stamp.size.min(self.most)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        File::from(file)
            .take(self.most + 1)
            .read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()) != Ok(entry.stamp.size) {
            return Err(changed());
        }
        Ok(bytes)
    }

    fn open(&mut self, at: &'a Path) -> rustix::io::Result<OwnedFd> {
        let (folder, name) = (at.parent().unwrap_or(Path::new("")), at.file_name());
        let name = name.ok_or(Errno::INVAL)?;
        if let Some((open, here)) = &self.folder
            && open.as_os_str() == folder.as_os_str()
        {
            return openat(here, name, FILE, Mode::empty());
        }
        let root = rustix::fs::open(&self.scan.root, FOLDER, Mode::empty())?;
        let here = open_below(root, folder, FOLDER)?;
        let file = openat(&here, name, FILE, Mode::empty());
        self.folder = Some((folder, here));
        file
    }
}

/// Why a walk ends early.
enum Stop {
    Files,
    Bytes,
    Root(io::Error),
}

struct Walk<'a> {
    limits: &'a Limits,
    bytes: u64,
    files: usize,
    /// The folders from the root to here: a link to one of them is a loop.
    above: Vec<Identity>,
    entries: Vec<(Arc<str>, Entry)>,
    scan: Scan,
}

impl Walk<'_> {
    /// Walks a folder: `shown` is its path as people see it, `at` the one without links.
    fn folder(&mut self, folder: &OwnedFd, shown: &Path, at: &Path) -> Result<(), Stop> {
        // Links within folders of links multiply them, without a single file.
        if self.scan.folders.len() >= self.limits.files {
            return Err(Stop::Files);
        }
        if let Some(identity) = self.above.last() {
            self.scan.folders.push(Folder {
                path: self.scan.root.join(at),
                identity: *identity,
            });
        }
        let mut names = match list(folder) {
            Ok(names) => names,
            Err(error) if self.above.len() == 1 => return Err(Stop::Root(error.into())),
            Err(error) => {
                self.problem(
                    shown,
                    &format!("this folder can't be listed: {}", said(error)),
                    "",
                );
                return Ok(());
            }
        };
        names.sort_unstable();
        let (mut shown, mut at) = (shown.to_owned(), at.to_owned());
        for name in names {
            let name = OsStr::from_bytes(&name);
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    shown.push(name);
                    at.push(name);
                    self.entry(folder, &stat, &shown, &at)?;
                    shown.pop();
                    at.pop();
                }
                // Gone since it was listed: the next scan sees it so too, or something else.
                Err(Errno::NOENT) => {}
                Err(error) => {
                    let message = format!("this can't be looked at: {}", said(error));
                    self.problem(&shown.join(name), &message, "");
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        stat: &Stat,
        shown: &Path,
        at: &Path,
    ) -> Result<(), Stop> {
        match kind(stat) {
            FileType::Symlink => self.link(shown),
            FileType::Directory => {
                let name = at.file_name().unwrap_or_default();
                let opened = openat(folder, name, FOLDER, Mode::empty());
                self.subfolder(opened, shown, at)
            }
            _ => self.file(stat, shown, at),
        }
    }

    fn file(&mut self, stat: &Stat, shown: &Path, at: &Path) -> Result<(), Stop> {
        if shown.extension() != Some(OsStr::new("toml")) {
            return Ok(());
        }
        if kind(stat) != FileType::RegularFile {
            let message = format!("this is {}, not a file", kind_name(kind(stat)));
            self.problem(
                shown,
                &message,
                "a registry is made of plain files: remove it",
            );
            return Ok(());
        }
        let path: Arc<str> = Arc::from(shown.to_string_lossy());
        if path.len() > MAX_PATH {
            let message = format!(
                "the path of this file has {} bytes, more than {MAX_PATH}",
                path.len()
            );
            self.problem(
                shown,
                &message,
                "put it into fewer folders, or shorten names",
            );
            return Ok(());
        }
        self.files += 1;
        if self.files > self.limits.files {
            return Err(Stop::Files);
        }
        let stamp = stamp(stat);
        if stamp.size > self.limits.file_bytes {
            let most = self.limits.file_bytes;
            let message = format!("this file has {} bytes, more than {most}", stamp.size);
            self.problem(
                shown,
                &message,
                "split it: tables may stand in as many files as you like",
            );
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(stamp.size);
        if self.bytes > self.limits.total_bytes {
            return Err(Stop::Bytes);
        }
        let same = at.as_os_str() == OsStr::new(&*path);
        let at = (!same).then(|| Box::from(at));
        self.entries.push((path, Entry { at, stamp }));
        Ok(())
    }

    fn subfolder(
        &mut self,
        opened: rustix::io::Result<OwnedFd>,
        shown: &Path,
        at: &Path,
    ) -> Result<(), Stop> {
        if shown.extension() == Some(OsStr::new("toml")) {
            let message = "this is a folder, though its name is that of a file";
            self.problem(shown, message, "rename it: what ends in `.toml` is a file");
            return Ok(());
        }
        if self.above.len() > self.limits.depth {
            let message = format!("folders are more than {} deep here", self.limits.depth);
            self.problem(shown, &message, "");
            return Ok(());
        }
        let (folder, stat) =
            match opened.and_then(|folder| fstat(&folder).map(|stat| (folder, stat))) {
                Ok(both) => both,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                Err(error) => {
                    self.problem(
                        shown,
                        &format!("this folder can't be opened: {}", said(error)),
                        "",
                    );
                    return Ok(());
                }
            };
        let identity = identity(&stat);
        if self.above.contains(&identity) {
            self.problem(
                shown,
                "this link leads back to a folder that it stands in",
                "remove it",
            );
            return Ok(());
        }
        self.above.push(identity);
        let result = self.folder(&folder, shown, at);
        self.above.pop();
        result
    }

    /// A link counts by what it resolves to, which must lie below the root: so Kubernetes'
    /// `..data` works, and nothing else on the machine can be made part of the registry.
    fn link(&mut self, shown: &Path) -> Result<(), Stop> {
        let is_toml = shown.extension() == Some(OsStr::new("toml"));
        let resolved = match std::fs::canonicalize(self.scan.root.join(shown)) {
            Ok(resolved) => resolved,
            Err(error) => {
                let message = match error.kind() {
                    io::ErrorKind::NotFound => "this link leads to nothing".to_owned(),
                    _ => format!("this link can't be followed: {error}"),
                };
                self.problem(shown, &message, "remove it, or make what it should lead to");
                return Ok(());
            }
        };
        let Ok(at) = resolved.strip_prefix(&self.scan.root).map(Path::to_owned) else {
            // A link to something else than a folder or a registry file is nobody's business.
            if is_toml || resolved.is_dir() {
                let message = "this link leads out of the registry folder";
                self.problem(
                    shown,
                    message,
                    "put the file itself here: only what is below the root is served",
                );
            }
            return Ok(());
        };
        let opened = open(&self.scan.root, FOLDER, Mode::empty())
            .and_then(|root| {
                open_below(root, &at, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
            })
            .and_then(|found| fstat(&found).map(|stat| (found, stat)));
        match opened {
            Ok((found, stat)) if kind(&stat) == FileType::Directory => {
                let folder = openat(found.as_fd(), ".", FOLDER, Mode::empty());
                self.subfolder(folder, shown, &at)
            }
            Ok((_, stat)) => self.file(&stat, shown, &at),
            // It changed in this instant: the next scan sees what it is.
            Err(_) => Ok(()),
        }
    }

    fn problem(&mut self, shown: &Path, message: &str, advice: &str) {
        if self.scan.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let place = Place::file(&shown.to_string_lossy());
        let mut problem = Problem::error(place, message).rule(Rule::File);
        if !advice.is_empty() {
            problem = problem.advise(advice);
        }
        self.scan.problems.push(problem);
    }
}
