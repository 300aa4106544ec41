//! The folder of tokens on disk, which many processes use at once. Touches: fs, clock, process.
//!
//! **Invariant:** a token is read only from a file of this user's that nobody else can read, in a
//! folder of this user's that nobody else can enter, neither reached through a symbolic link; it is
//! written whole or not at all. One process asks for a token, the others wait for its lock.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::kept::Kept;
use crate::cli::https::Deadline;
use crate::clock::Clock;
use crate::domain::{Digest, Lifetime};
use crate::random;
use crate::settings::environment::Environment;

/// The folder's name in the places that the environment names.
const FOLDER: &str = "grantd-tokens";

/// Longest entry in bytes: the longest token, and some.
const MAX_ENTRY: u64 = 32 * 1024;

/// How often a process that waits looks whether its turn has come.
const LOOK: Duration = Duration::from_millis(20);

/// Entries that nobody has written for so long are removed: longer than any token should live.
const KEEP: Lifetime = Lifetime::from_days(7);

/// Most entries that one clean-up looks at: ten clients with a hundred scopes.
const MAX_LOOKED_AT: usize = 1000;

/// The bits of a mode that give something to group or others.
const NOT_OWNER: u32 = 0o077;

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheFault {
    /// No place is known.
    #[error(
        "no place for a cache is known (CACHE_DIRECTORY, XDG_RUNTIME_DIR, XDG_CACHE_HOME and HOME are not set): name one with --cache-dir, or say --no-cache"
    )]
    Nowhere,
    /// The folder can't be used.
    #[error("cannot use the cache {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder may be somebody else's work.
    #[error("the cache {} is not used: {why}", path.display())]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process holds the lock.
    #[error(
        "another `grantd token` has been asking for the same token all the time; see what it says, or give more time with --timeout"
    )]
    Waited,
}

/// The folder, open.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    folder: OwnedFd,
    clock: Clock,
}

/// The right to ask for a token, as long as it is held.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

/// What the cache holds for a key.
#[derive(Debug)]
pub(super) enum Entry {
    /// A token.
    Token(Kept),
    /// Nothing.
    Nothing,
    /// A file that is not used, and why.
    Unusable(String),
}

/// Where the cache is: as the arguments say, else in the first place that there is.
pub(super) fn place(asked: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = asked {
        return Some(path.to_owned());
    }
    let home_cache = environment.home.as_ref().map(|home| home.join(".cache"));
    [
        environment.cache.clone(),
        environment.runtime.clone(),
        environment.cache_home.clone(),
        home_cache,
    ]
    .into_iter()
    .flatten()
    .map(|base| base.join(FOLDER))
    .next()
}

impl Cache {
    /// Opens the folder; makes it where it is not there.
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Self, CacheFault> {
        let failed = |source| CacheFault::Io {
            path: path.to_owned(),
            source,
        };
        let untrusted = |why: String| CacheFault::Untrusted {
            path: path.to_owned(),
            why,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(untrusted("it is a symbolic link".to_owned()));
            }
            Err(errno) => return Err(failed(errno.into())),
        };
        let found = fstat(&folder).map_err(|errno| failed(errno.into()))?;
        if let Some(why) = distrust(found.st_uid, found.st_mode) {
            let advice = format!("{why}; run `chmod 700 {}` if it is yours", path.display());
            return Err(untrusted(advice));
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            clock,
        })
    }

    /// What it holds for a key.
    pub(super) fn read(&self, key: &Digest) -> Entry {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = entry_name(key);
        let unusable = |why: &str| {
            let path = self.path.join(&name);
            Entry::Unusable(format!(
                "the cached token {} is not used: {why}",
                path.display()
            ))
        };
        let file = match openat(&self.folder, &name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Entry::Nothing,
            Err(Errno::LOOP) => return unusable("it is a symbolic link"),
            Err(errno) => return unusable(&io::Error::from(errno).to_string()),
        };
        let Ok(found) = fstat(&file) else {
            return unusable("it can't be looked at");
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return unusable("it is no file");
        }
        if let Some(why) = distrust(found.st_uid, found.st_mode) {
            return unusable(&why);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        if File::from(file)
            .take(MAX_ENTRY)
            .read_to_end(&mut bytes)
            .is_err()
        {
            return unusable("it can't be read");
        }
        Kept::decode(&bytes, key).map_or_else(|| unusable("it is damaged"), Entry::Token)
    }

    /// The right to ask, or `None` when another process has it.
    pub(super) fn try_turn(&self, key: &Digest) -> Result<Option<Turn>, CacheFault> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.folder, lock_name(key), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.failed(errno.into()))?;
        let lock = File::from(file);
        match lock.try_lock() {
            Ok(()) => Ok(Some(Turn { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.failed(source)),
        }
    }

    /// Waits for the right to ask. The system gives it back when its holder ends, however it ends.
    pub(super) fn turn(&self, key: &Digest, deadline: Deadline) -> Result<Turn, CacheFault> {
        loop {
            if let Some(turn) = self.try_turn(key)? {
                return Ok(turn);
            }
            if deadline.left().is_zero() {
                return Err(CacheFault::Waited);
            }
            std::thread::sleep(LOOK.min(deadline.left()));
        }
    }

    /// Keeps a token, in place of what was there.
    pub(super) fn write(&self, key: &Digest, token: &Kept) -> Result<(), CacheFault> {
        let temporary = format!("{}.new", HEXLOWER.encode(&*random::bytes::<8>()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(
            &self.folder,
            &temporary,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .map_err(|errno| self.failed(errno.into()))?;
        // Not synced: an entry that a power cut has torn is seen by its digest, and asked for again.
        let written = File::from(file)
            .write_all(&token.encode(key))
            .and_then(|()| {
                Ok(renameat(
                    &self.folder,
                    &temporary,
                    &self.folder,
                    entry_name(key),
                )?)
            });
        if let Err(source) = written {
            let _left_behind = unlinkat(&self.folder, &temporary, AtFlags::empty());
            return Err(self.failed(source));
        }
        self.tidy();
        Ok(())
    }

    /// Removes what nobody uses any more: tokens of secrets that have changed. What can't be removed
    /// harms nobody.
    fn tidy(&self) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.folder) else {
            return;
        };
        let now = self.clock.now_seconds().get();
        for entry in entries.flatten().take(MAX_LOOKED_AT) {
            let name = entry.file_name();
            let is_ours = [&b".json"[..], b".new"]
                .iter()
                .any(|ending| name.to_bytes().ends_with(ending));
            let Ok(found) = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let written = u64::try_from(found.st_mtime).unwrap_or(0);
            if is_ours && now.saturating_sub(written) > KEEP.seconds() {
                let _stays = unlinkat(&self.folder, name, AtFlags::empty());
            }
        }
    }

    fn failed(&self, source: io::Error) -> CacheFault {
        CacheFault::Io {
            path: self.path.clone(),
            source,
        }
    }
}

fn entry_name(key: &Digest) -> String {
    format!("{key}.json")
}

/// One of 256 files, which stay: a lock that is removed could be held twice. Two keys that share one
/// wait for each other, and no more.
fn lock_name(key: &Digest) -> String {
    let first = key.as_bytes().first().copied().unwrap_or_default();
    format!("{first:02x}.lock")
}

fn distrust(owner: u32, mode: u32) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Some(format!("it belongs to the user {owner}, not to {user}"));
    }
    let mode = mode & 0o7777;
    (mode & NOT_OWNER != 0).then(|| format!("others can use it (mode {mode:04o})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_there_is_counts() {
        let some = |path: &str| Some(PathBuf::from(path));
        let mut environment = Environment {
            credentials: None,
            cache: some("/var/cache/job"),
            runtime: some("/run/user/1000"),
            cache_home: some("/home/a/xdg"),
            home: some("/home/a"),
        };
        let found = |environment: &Environment| {
            place(None, environment).map(|path| path.display().to_string())
        };
        assert_eq!(
            found(&environment).as_deref(),
            Some("/var/cache/job/grantd-tokens")
        );
        environment.cache = None;
        assert_eq!(
            found(&environment).as_deref(),
            Some("/run/user/1000/grantd-tokens")
        );
        environment.runtime = None;
        assert_eq!(
            found(&environment).as_deref(),
            Some("/home/a/xdg/grantd-tokens")
        );
        environment.cache_home = None;
        assert_eq!(
            found(&environment).as_deref(),
            Some("/home/a/.cache/grantd-tokens")
        );
        environment.home = None;
        assert_eq!(found(&environment), None);
        let asked = place(Some(Path::new("here")), &environment);
        assert_eq!(asked, some("here"));
    }
}
