//! Reads a registry folder as it stands, whole or not at all. Touches: fs, clock.
//!
//! Stage of the registry flow: `watch → load → check`.
//!
//! **Invariant:** what comes out was the folder's content at one moment: a scan before the reading
//! and one after it agree, and git's `HEAD` did not move between them. A folder that is missing,
//! empty or unreadable is a [`LoadError`], never an empty registry. Nothing but regular files is
//! opened, and nothing outside of the root.

mod committed;
mod entry;
mod head;
pub mod revision;
mod scan;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use entry::Identity;
pub use scan::Folder;

use super::diagnostic::{Problem, Rule};
use super::source::{Place, Source};
use crate::clock::Clock;
use crate::domain::{CommitId, UnixMillis};
use crate::tasks;
use entry::Stamp;
use gix::ObjectId;
use head::Head;
use scan::{Entry, Scan};

/// How long a file must have rested before its times tell whether it changed: coarse clocks of
/// file systems tick every 4 ms, those of NFS and FAT every second or two.
const RESTED: Duration = Duration::from_secs(3);

/// How often a folder that changes while it is read is read again at once.
const ATTEMPTS: usize = 5;

/// How long to wait before such a folder is read again: a checkout takes tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of a folder is read at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file. 1 MiB: a thousand clients in one file take a third of it.
    pub file_bytes: u64,
    /// Files, and folders. 200,000: twice the largest registry that grantd is measured with.
    pub files: usize,
    /// Bytes of all files together. 256 MiB: four times that registry's 62 MB.
    pub total_bytes: u64,
    /// Folders within folders. 32: no team lays out more, and a mount loop ends.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1024 * 1024,
            files: 200_000,
            total_bytes: 256 * 1024 * 1024,
            depth: 32,
        }
    }
}

/// Why a folder can't be read as a registry at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is nothing at its path.
    #[error("the registry folder {0} does not exist")]
    Missing(String),
    /// Its path is no folder.
    #[error("the registry {0} is not a folder")]
    NotAFolder(String),
    /// The system refuses to open or list it.
    #[error("cannot read the registry folder {path}: {reason}")]
    Unreadable {
        /// The folder.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It holds no `*.toml`: an unmounted volume or a checkout under way, not the wish to delete
    /// all clients.
    #[error(
        "the registry folder {0} holds no *.toml file: an empty folder is taken for a mistake, never for a registry without clients"
    )]
    Empty(String),
    /// More files, or folders, than [`Limits::files`].
    #[error("the registry folder {path} holds more than {most} files or folders")]
    TooManyFiles {
        /// The folder.
        path: String,
        /// The limit.
        most: usize,
    },
    /// More bytes than [`Limits::total_bytes`].
    #[error("the files of the registry folder {path} hold more than {most} bytes")]
    TooManyBytes {
        /// The folder.
        path: String,
        /// The limit.
        most: u64,
    },
    /// It changed each time that it was read.
    #[error("the registry folder {0} did not hold still while it was read")]
    Unstable(String),
}

impl LoadError {
    /// Whether the folder itself can't be reached, as opposed to holding no registry.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Missing(_) | Self::NotAFolder(_) | Self::Unreadable { .. } | Self::Unstable(_)
        )
    }
}

/// A folder's content at one moment.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The files in the order of their paths. An unchanged file is the same `Arc` as before.
    pub sources: Vec<Arc<Source>>,
    /// Entries that may not be there: FIFOs, links out of the root, files over the limit.
    pub problems: Vec<Problem>,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
    /// The git commit of the work tree, where the folder is in one.
    pub commit: Option<CommitId>,
    /// Whether the files are others than that commit's. `None` where there is no commit, where an entry
    /// could not be read, or where git can't be.
    pub dirty: Option<bool>,
}

/// What one look at the folder found.
#[derive(Debug)]
pub enum Look {
    /// The same as the last time that something was told.
    Unchanged,
    /// Something is changing: look again soon.
    Unsettled,
    /// Another content than before, or another error.
    Changed(Result<Loaded, LoadError>),
}

/// Reads one folder again and again, and remembers what it read.
#[derive(Debug)]
pub struct Loader {
    root: PathBuf,
    limits: Limits,
    clock: Clock,
    files: BTreeMap<Arc<str>, Remembered>,
    told: Option<Seen>,
    pending: Option<Seen>,
    folders: Vec<Folder>,
}

/// A file as it was read.
#[derive(Debug)]
struct Remembered {
    stamp: Stamp,
    /// Whether it had rested when it was read, so that its stamp stands for its content.
    rested: bool,
    source: Arc<Source>,
    /// What git calls its content; only found out in a work tree.
    blob: Option<ObjectId>,
}

/// What a scan saw otherwise than is remembered.
struct Differences<'a> {
    /// Files to be read.
    changed: Vec<(&'a Arc<str>, &'a Entry)>,
    /// Files that are no more.
    gone: Vec<Arc<str>>,
}

/// What a scan saw, for comparison with the next one.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    scan: Result<Scan, LoadError>,
    commit: Option<CommitId>,
}

impl Loader {
    /// A loader of this folder.
    #[must_use]
    pub fn new(root: &Path, limits: Limits, clock: Clock) -> Self {
        Self {
            root: root.to_owned(),
            limits,
            clock,
            files: BTreeMap::new(),
            told: None,
            pending: None,
            folders: Vec::new(),
        }
    }

    /// Takes these for the files that are there already: a file that is read and says the same is the
    /// same `Arc`.
    pub fn resume(&mut self, files: &[Arc<Source>]) {
        let remembered = |source: &Arc<Source>| Remembered {
            stamp: Stamp::default(),
            rested: false,
            // It is read anew, for its stamp is not known.
            blob: None,
            source: Arc::clone(source),
        };
        let files = files.iter();
        self.files = files
            .map(|source| (Arc::clone(source.path()), remembered(source)))
            .collect();
    }

    /// The folders that the last scan went through, to be watched.
    #[must_use]
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// Reads the folder now; waits up to half a second for it to hold still.
    ///
    /// # Errors
    /// [`LoadError`] when it can't be read as a registry.
    pub fn load(&mut self) -> Result<Loaded, LoadError> {
        self.told = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            if let Look::Changed(result) = self.look(true) {
                return result;
            }
        }
        Err(LoadError::Unstable(self.root.display().to_string()))
    }

    /// Looks whether the folder changed since the last [`Look::Changed`]. A change is read once a
    /// second look sees the same; at once where `settled` says that it has been quiet.
    pub fn look(&mut self, settled: bool) -> Look {
        let now = self.clock.now();
        let (seen, git_is_writing) = self.see(now);
        if git_is_writing {
            return self.unsettled(seen);
        }
        if self.told.as_ref() == Some(&seen) && !self.reread_differs(&seen, now) {
            self.pending = None;
            return Look::Unchanged;
        }
        if !settled && self.pending.as_ref() != Some(&seen) {
            self.pending = Some(seen);
            return Look::Unsettled;
        }
        let result = match &seen.scan {
            Ok(scan) => match self.read(scan, now, seen.commit.is_some()) {
                Some((sources, problems)) => Ok((sources, problems, scan.warnings.clone())),
                None => return self.unsettled(seen),
            },
            Err(error) => Err(error.clone()),
        };
        let (again, git_is_writing) = self.see(self.clock.now());
        if git_is_writing || again != seen {
            return self.unsettled(seen);
        }
        let commit = seen.commit.clone();
        self.pending = None;
        self.told = Some(seen);
        Look::Changed(result.map(|(sources, problems, warnings)| Loaded {
            dirty: self.is_dirty(commit.as_ref(), &problems),
            sources,
            problems,
            warnings,
            commit,
        }))
    }

    fn unsettled(&mut self, seen: Seen) -> Look {
        self.pending = Some(seen);
        Look::Unsettled
    }

    /// One scan, and whether git was writing when it began.
    fn see(&mut self, now: UnixMillis) -> (Seen, bool) {
        let _span = tracing::debug_span!("scan").entered();
        let Head { commit, writing } = head::head(&self.root, now);
        let scan = scan::scan(&self.root, &self.limits);
        match &scan {
            Ok(scan) => self.folders.clone_from(&scan.folders),
            Err(_) => self.folders.clear(),
        }
        (Seen { scan, commit }, writing)
    }

    /// Whether a file that had not rested when it was read says something else now, though its
    /// stamp is the same.
    fn reread_differs(&mut self, seen: &Seen, now: UnixMillis) -> bool {
        let Ok(scan) = &seen.scan else { return false };
        let mut differs = false;
        let mut reader = scan.reader(self.limits.file_bytes);
        for (path, entry) in &scan.entries {
            // It could not be read: what was wrong may have passed, without a mark on the file.
            let Some(known) = self.files.get_mut(path) else {
                differs = true;
                continue;
            };
            if known.rested {
                continue;
            }
            match reader.read(path, entry) {
                Ok(bytes) if Source::digest_of(&bytes) == *known.source.digest() => {
                    known.rested = has_rested(&entry.stamp, now);
                }
                _ => differs = true,
            }
        }
        differs
    }

    /// Whether the files that were read last are others than this commit's.
    fn is_dirty(&self, commit: Option<&CommitId>, problems: &[Problem]) -> Option<bool> {
        // What could not be read may be as it was committed, or not.
        if !problems.is_empty() {
            return None;
        }
        let files = committed::Files {
            count: self.files.len(),
            blob: &|path| self.files.get(path)?.blob,
        };
        committed::differs(&self.root, commit?, &files)
    }

    /// Reads what is not remembered. `None` when a file changed under the reading.
    fn read(
        &mut self,
        scan: &Scan,
        now: UnixMillis,
        in_git: bool,
    ) -> Option<(Vec<Arc<Source>>, Vec<Problem>)> {
        let _span = tracing::debug_span!("read").entered();
        let mut problems = scan.problems.clone();
        let Differences { changed, gone } = self.differences(scan, in_git);
        for path in &gone {
            self.files.remove(path);
        }
        let most = self.limits.file_bytes;
        let read = tasks::shared(&changed, |run| {
            let mut reader = scan.reader(most);
            run.iter()
                .map(|(path, entry)| {
                    let bytes = reader.read(path, entry)?;
                    let blob = in_git.then(|| committed::blob_id(&bytes)).flatten();
                    Ok((Source::at(Arc::clone(path), bytes), blob))
                })
                .collect::<Vec<std::io::Result<(Source, Option<ObjectId>)>>>()
        });
        for ((path, entry), read) in changed.into_iter().zip(read) {
            let known = self.files.remove(path);
            let (read, blob) = match read {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
                Err(error) => {
                    let message = format!("this file can't be read: {error}");
                    problems.push(Problem::error(Place::file(path), &message).rule(Rule::File));
                    continue;
                }
            };
            let same = known.filter(|known| known.source.same_content(&read));
            let remembered = Remembered {
                stamp: entry.stamp,
                rested: has_rested(&entry.stamp, now),
                source: same.map_or_else(|| Arc::new(read), |known| known.source),
                blob,
            };
            self.files.insert(Arc::clone(path), remembered);
        }
        let sources = self.files.values().map(|file| Arc::clone(&file.source));
        Some((sources.collect(), problems))
    }

    /// The files of a scan that must be read, and those remembered that are no more.
    fn differences<'a>(&self, scan: &'a Scan, in_git: bool) -> Differences<'a> {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        let mut known = self.files.iter().peekable();
        for (path, entry) in &scan.entries {
            while let Some((old, _)) = known.next_if(|(old, _)| *old < path) {
                gone.push(Arc::clone(old));
            }
            match known.next_if(|(old, _)| *old == path) {
                Some((_, file))
                    if file.rested
                        && file.stamp == entry.stamp
                        && (!in_git || file.blob.is_some()) => {}
                _ => changed.push((path, entry)),
            }
        }
        gone.extend(known.map(|(old, _)| Arc::clone(old)));
        Differences { changed, gone }
    }
}

fn has_rested(stamp: &Stamp, now: UnixMillis) -> bool {
    let rested = i64::try_from(RESTED.as_millis()).unwrap_or(i64::MAX);
    let now = i64::try_from(now.get()).unwrap_or(i64::MAX);
    stamp.last_change_millis().saturating_add(rested) < now
}

#[cfg(test)]
mod tests;
