//! The last good registry, kept on disk. Touches: fs.
//!
//! Beside the registry flow, between `diff` and `publish`: what was accepted is kept before it is
//! served, so that a daemon that starts on a broken folder serves it on.
//!
//! ```text
//! <state>/registry/base     all files of the registry at one moment
//! <state>/registry/log      batches of changed files since: each an accepted change
//! <state>/registry/broken/  the last pair that could not be read, for inquiry
//! ```
//! Kept are the files themselves and nothing that was made of them: at a start they are checked by the
//! code that checks the folder, under the rules of the day. A change writes what changed and no more; the
//! log is folded into a new base in the background, slowly, once it outgrows it.
//!
//! **Invariant:** when [`Keep::keep`] returns, the registry is on disk. The files of a kept registry are
//! those of one accepted registry, whole, and of no older one than was served last: an unfinished batch and
//! one that was never served are cut off, a base that was never served is told, and damage to one that was
//! served is [`Found::Broken`].

mod compact;
mod files;
mod record;
mod replay;
mod writing;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use compact::Compaction;
pub use record::Seal;

use super::source::{MAX_PATH, Source};
use crate::domain::Digest;
use files::{BASE, FOLDED, Folder, LOG, failed};
use record::{FIRST_LINE, MAX_BODY, u64_of};
use replay::{Part, Replayed, Spot};
use writing::Writing;

/// A log shorter than this is never folded into the base: a thousand changes of usual files.
const LEAST_LOG: u64 = 1024 * 1024;

/// How many times longer than the base the log may be before a change writes a new base itself: the
/// background did not come to it.
const MOST_LOG: u64 = 4;

/// Bytes of records that are gathered before they are written.
const GATHERED: usize = 1024 * 1024;

/// Bytes that are read ahead at a start.
const READ_AHEAD: usize = 256 * 1024;

/// What is wrong with keeping.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The disk is full. Nothing was changed, and it may be tried again.
    #[error(
        "the disk has no room to keep the registry in {}: make room; it is tried again",
        folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that no registry folder holds: `load` refuses it. Trying again does not help.
    #[error("the registry file {path} is too long to be kept, so that this registry is not served")]
    TooLong {
        /// The file.
        path: Arc<str>,
    },
    /// What was written is not there any more.
    #[error("the kept registry {} is damaged: all of it is written anew at the next change", path.display())]
    Rot {
        /// The file.
        path: PathBuf,
    },
}

/// A registry as it was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its files, in the order of their paths.
    pub files: Vec<Arc<Source>>,
    /// What is known of it.
    pub seal: Seal,
    /// Whether it was served, as far as the mark says. A base that was written anew takes the place of what
    /// was served before, and an end by force may come before the mark.
    pub served: bool,
}

/// What a start finds.
#[derive(Debug)]
pub enum Found {
    /// Nothing was ever kept.
    Nothing,
    /// A registry, whole: the last one that was served, or was to be.
    Whole(Kept),
    /// Something that must not be served, and why; it was moved aside.
    Broken(String),
}

/// Keeps the last good registry. One process at a time may: the state directory is locked.
#[derive(Debug)]
pub struct Keep {
    folder: Folder,
    /// Held while a change is written, by threads that block; never on a request's way.
    state: Mutex<State>,
}

/// What the files hold.
#[derive(Debug, Default)]
struct State {
    base: Option<(File, u64)>,
    log: Option<(File, u64)>,
    places: HashMap<Arc<str>, Place>,
    /// The last batch's number.
    number: u64,
    /// Bytes behind the end of the log may be on disk or not: a write or a sync failed.
    suspect: bool,
    /// Damage was found: the next change writes everything anew.
    renew: bool,
    /// A folding is under way: another one waits for the next change.
    folding: bool,
    /// Counts the bases that changes wrote: a folding that began before the last one is void.
    bases: u64,
}

/// A file as it is kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    digest: Digest,
    spot: Spot,
}

impl Keep {
    /// Opens what is in this folder, which must exist. `served` is the number of the last batch that was
    /// served, where that is known. Never fails: what can't be used is told, and kept anew.
    #[must_use]
    pub fn open(folder: &Path, served: Option<u64>) -> (Self, Found) {
        let keep = Self {
            folder: Folder::new(folder),
            state: Mutex::default(),
        };
        keep.folder.tidy(&[BASE, LOG, FOLDED]);
        let found = match keep.read(served) {
            Ok(Some(kept)) => Found::Whole(kept),
            Ok(None) => Found::Nothing,
            Err(why) => Found::Broken(keep.moved_aside(&why, served)),
        };
        (keep, found)
    }

    /// Keeps a registry of these files. `seal` says what is known of it; its number is set here, and
    /// returned.
    ///
    /// # Errors
    /// [`KeepError`]: what was kept before stands, and the same may be tried again.
    pub fn keep(&self, files: &[Arc<Source>], seal: Seal) -> Result<u64, KeepError> {
        for file in files {
            let (path, length) = (file.path(), file.text().len());
            if path.len() > MAX_PATH || length + path.len() + 2 > MAX_BODY {
                let path = Arc::clone(path);
                return Err(KeepError::TooLong { path });
            }
        }
        let mut state = self.state();
        let seal = Seal {
            number: state.number.saturating_add(1),
            ..seal
        };
        let number = seal.number;
        let written = match &state.base {
            Some((_, base)) if !state.renew => {
                let change = Change::of(&state.places, files);
                let long = base.max(&LEAST_LOG).saturating_mul(MOST_LOG);
                let log = state.log.as_ref().map_or(0, |(_, length)| *length);
                if log.saturating_add(change.bytes) > long {
                    self.write_base(&mut state, files, &seal)
                } else {
                    self.append(&mut state, &change, &seal)
                }
            }
            _ => self.write_base(&mut state, files, &seal),
        };
        if written.is_err() {
            self.folder.tidy(&[BASE, LOG]);
        }
        written?;
        state.number = number;
        Ok(number)
    }

    /// Moves what is there aside: it is whole, and says another thing than was recorded. Where it is now.
    ///
    /// # Errors
    /// [`KeepError`] when it can't be moved; it is not used all the same.
    pub fn set_aside(&self) -> Result<PathBuf, KeepError> {
        let mut state = self.state();
        *state = State {
            number: state.number,
            folding: state.folding,
            bases: state.bases.saturating_add(1),
            ..State::default()
        };
        self.folder.set_aside()
    }

    /// Whether something was moved aside that nobody has looked at, for it is still there; or whether
    /// damage was found and nothing kept since.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.folder.has_broken() || self.state().renew
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked left a state that the next write corrects: a suspect log is written anew.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved_aside(&self, why: &str, served: Option<u64>) -> String {
        self.state().number = served.unwrap_or_default();
        match self.folder.set_aside() {
            Ok(aside) => format!("{why}; it is in {}", aside.display()),
            Err(error) => format!("{why}; {}", crate::domain::chain(&error)),
        }
    }

    fn read(&self, served: Option<u64>) -> Result<Option<Kept>, String> {
        let told = |name: &'static str| {
            let path = self.folder.path(name);
            move |what: String| format!("{}: {what}", path.display())
        };
        let open = |name| {
            let opened = self.folder.open(name);
            opened.map_err(|error| crate::domain::chain(&error))
        };
        let (base, log) = (open(BASE)?, open(LOG)?);
        let Some(base) = base else {
            return match (served, log) {
                (None, None) => Ok(None),
                _ => Err(told(BASE)("it is missing".to_owned())),
            };
        };
        let reader = BufReader::with_capacity(READ_AHEAD, &base);
        let mut replayed = replay::base(reader).map_err(|it| told(BASE)(it.to_string()))?;
        if let Some(log) = &log {
            let reader = BufReader::with_capacity(READ_AHEAD, log);
            let read = replayed.log(reader, served);
            read.map_err(|it| told(LOG)(it.to_string()))?;
        }
        if served.is_some_and(|served| replayed.seal.number < served) {
            let why = replayed.stopped.map_or_else(
                || "changes that were served are missing".to_owned(),
                |stopped| stopped.to_string(),
            );
            return Err(told(LOG)(why));
        }
        let cut = self.cut(log, &replayed);
        let log = cut.map_err(|error| crate::domain::chain(&error))?;
        let kept = self.remember(base, log, replayed);
        Ok(Some(Kept {
            served: served.is_none_or(|served| kept.seal.number <= served),
            ..kept
        }))
    }

    /// Cuts off what does not count behind the end of the log.
    fn cut(
        &self,
        log: Option<File>,
        replayed: &Replayed,
    ) -> Result<Option<(File, u64)>, KeepError> {
        let Some(log) = log else { return Ok(None) };
        let path = self.folder.path(LOG);
        let length = log.metadata().map_err(failed("look at", &path))?.len();
        if length > replayed.log_end {
            log.set_len(replayed.log_end)
                .and_then(|()| log.sync_data())
                .map_err(failed("cut", &path))?;
        }
        Ok(Some((log, replayed.log_end)))
    }

    fn remember(&self, base: File, log: Option<(File, u64)>, replayed: Replayed) -> Kept {
        let mut state = self.state();
        let length = base.metadata().map_or(0, |base| base.len());
        state.base = Some((base, length));
        state.log = log;
        state.number = replayed.seal.number;
        let mut files = Vec::with_capacity(replayed.files.len());
        for (path, live) in replayed.files {
            let file = Arc::new(Source::new(&path, live.bytes));
            let (digest, spot) = (*file.digest(), live.spot);
            let path = Arc::clone(file.path());
            state.places.insert(path, Place { digest, spot });
            files.push(file);
        }
        Kept {
            files,
            seal: replayed.seal,
            served: true,
        }
    }

    /// Writes all files anew.
    fn write_base(
        &self,
        state: &mut State,
        files: &[Arc<Source>],
        seal: &Seal,
    ) -> Result<(), KeepError> {
        let bytes = files.iter().map(|file| size(file)).sum();
        self.folder.room(bytes)?;
        state.bases = state.bases.saturating_add(1);
        let mut base = self.folder.begin(BASE)?;
        let mut writing = Writing::new(Part::Base, base.length());
        let mut places = HashMap::with_capacity(files.len());
        for file in files {
            let place = writing.file(file);
            places.insert(Arc::clone(file.path()), place);
            writing.flush(GATHERED, |bytes| base.write(bytes))?;
        }
        writing.seal(seal);
        writing.flush(0, |bytes| base.write(bytes))?;
        state.base = Some(self.folder.finish(base, BASE)?);
        state.places = places;
        state.number = seal.number;
        state.renew = false;
        // What the log holds is older than the base: it is passed over until it is replaced.
        state.suspect = true;
        state.log = None;
        self.renew_log(state, 0)
    }

    /// Writes what changed behind the end of the log.
    fn append(&self, state: &mut State, change: &Change<'_>, seal: &Seal) -> Result<(), KeepError> {
        self.folder.room(change.bytes)?;
        if state.suspect || state.log.is_none() {
            let from = u64_of(FIRST_LINE.len());
            self.renew_log(state, from)?;
        }
        let Some((log, end)) = &state.log else {
            return Ok(());
        };
        let (path, start) = (self.folder.path(LOG), *end);
        let mut writing = Writing::new(Part::Log, start);
        let mut at = start;
        let mut write = |bytes: &[u8]| {
            let written = log.write_all_at(bytes, at);
            at += u64_of(bytes.len());
            written.map_err(failed("write", &path))
        };
        state.suspect = true;
        let mut places = Vec::with_capacity(change.files.len());
        let mut written = Ok(());
        for file in &change.files {
            places.push((Arc::clone(file.path()), writing.file(file)));
            written = written.and_then(|()| writing.flush(GATHERED, &mut write));
        }
        for path in &change.gone {
            writing.gone(path);
        }
        writing.seal(seal);
        written = written.and_then(|()| writing.flush(0, &mut write));
        if let Err(error) = written {
            // Nothing was synced: once it is cut off, it is as if it had not been written.
            state.suspect = log.set_len(start).is_err();
            return Err(error);
        }
        // After a sync that failed nobody knows what is on disk: the log is written anew then.
        log.sync_data().map_err(failed("sync", &path))?;
        state.suspect = false;
        state.log = state.log.take().map(|(log, _)| (log, at));
        for path in &change.gone {
            state.places.remove(path);
        }
        state.places.extend(places);
        Ok(())
    }

    /// Writes a new log of what stands from `from` to the end of the present one.
    fn renew_log(&self, state: &mut State, from: u64) -> Result<(), KeepError> {
        let mut renewed = self.folder.begin(LOG)?;
        if let Some((log, end)) = &state.log {
            self.folder.room(end.saturating_sub(from))?;
            renewed.copy(log, (from, *end))?;
        }
        state.log = Some(self.folder.finish(renewed, LOG)?);
        state.suspect = false;
        Ok(())
    }
}

/// What a registry's files are beside those that are kept.
struct Change<'a> {
    files: Vec<&'a Arc<Source>>,
    gone: Vec<Arc<str>>,
    bytes: u64,
}

impl<'a> Change<'a> {
    fn of(places: &HashMap<Arc<str>, Place>, files: &'a [Arc<Source>]) -> Self {
        let same = |file: &&Arc<Source>| {
            let place = places.get(file.path());
            place.is_some_and(|place| place.digest == *file.digest())
        };
        let changed: Vec<_> = files.iter().filter(|file| !same(file)).collect();
        let there: HashSet<&Arc<str>> = files.iter().map(|file| file.path()).collect();
        let gone = places.keys().filter(|path| !there.contains(path));
        let gone: Vec<_> = gone.cloned().collect();
        let of_files: u64 = changed.iter().map(|file| size(file)).sum();
        let of_gone: usize = gone.iter().map(|path| path.len() + record::AROUND).sum();
        Self {
            bytes: of_files.saturating_add(u64_of(of_gone)),
            files: changed,
            gone,
        }
    }
}

/// Bytes of a file's record.
fn size(file: &Source) -> u64 {
    u64_of(file.path().len() + file.text().len() + 2 + record::AROUND)
}

#[cfg(test)]
mod tests;
